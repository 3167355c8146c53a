/* llama2c_model.c — seven int32 sizes, then float32 arrays one after the other, each kind of all
 * layers together.
 *
 * Rotary pairs are neighbours there, rows (2i, 2i+1) of a head; Hugging Face's Llama pairs rows
 * (i, i + head_dim/2). So the rows of q_proj and k_proj change places. */
#include "scripts/llama2c.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include "trainer/io/mapped.h"
#include "trainer/io/safetensors.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 1 << 20, MAX_LAYERS = 1024, NAME = 64 };

typedef struct Sizes { /* the header, in its order */
    int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len;
} Sizes;

typedef enum Extent { ONE, DIM, HIDDEN, KV_DIM, VOCAB, POSITIONS, N_EXTENT } Extent;

typedef struct Kind {
    const char *name; /* NULL: passed over */
    Extent rows, cols;
    bool per_layer, rotary;
} Kind;

// clang-format off
static const Kind KINDS[] = { /* in the order of the file */
    {"model.embed_tokens.weight",                       VOCAB,     DIM,    false, false},
    {"model.layers.%d.input_layernorm.weight",          ONE,       DIM,    true,  false},
    {"model.layers.%d.self_attn.q_proj.weight",         DIM,       DIM,    true,  true},
    {"model.layers.%d.self_attn.k_proj.weight",         KV_DIM,    DIM,    true,  true},
    {"model.layers.%d.self_attn.v_proj.weight",         KV_DIM,    DIM,    true,  false},
    {"model.layers.%d.self_attn.o_proj.weight",         DIM,       DIM,    true,  false},
    {"model.layers.%d.post_attention_layernorm.weight", ONE,       DIM,    true,  false},
    {"model.layers.%d.mlp.gate_proj.weight",            HIDDEN,    DIM,    true,  false},
    {"model.layers.%d.mlp.down_proj.weight",            DIM,       HIDDEN, true,  false},
    {"model.layers.%d.mlp.up_proj.weight",              HIDDEN,    DIM,    true,  false},
    {"model.norm.weight",                               ONE,       DIM,    false, false},
    {NULL, /* cos and sin of the positions */           POSITIONS, ONE,    false, false},
    {"lm_head.weight", /* absent when tied */           VOCAB,     DIM,    false, false},
};
// clang-format on

typedef struct Source {
    Mapped *file;
    Sizes sizes;
    bool tied;
    int64_t extent[N_EXTENT], head_dim, n;
    SafeTensor *tensor; /* (n) name, shape, data in the file */
    bool *rotary;       /* (n) */
    char (*name)[NAME]; /* (n) */
    float *turned;      /* one rotary matrix with its rows in their new places */
} Source;

static void source_close(Source *s)
{
    mem_free(s->turned);
    mem_free(s->name);
    mem_free(s->rotary);
    mem_free(s->tensor);
    mapped_close(s->file);
}

static bool fits(int32_t x, int32_t most)
{
    return x >= 1 && x <= most;
}

static Status source_read_sizes(Source *s)
{
    Status rc = ST_OK;
    const char *path = mapped_path(s->file);
    CHECK(mapped_bytes(s->file) >= (int64_t)sizeof s->sizes, FORMAT,
          "%s: %lld bytes, expected a header of %zu", path, LL(mapped_bytes(s->file)),
          sizeof s->sizes);
    memcpy(&s->sizes, mapped_data(s->file), sizeof s->sizes);
    Sizes *z = &s->sizes;
    s->tied = z->vocab_size > 0; /* a negative size tells that the head is not the embedding */
    if (!s->tied && z->vocab_size >= -MAX_SIZE) z->vocab_size = -z->vocab_size;
    CHECK(
        fits(z->dim, MAX_SIZE) && fits(z->hidden_dim, MAX_SIZE) && fits(z->n_layers, MAX_LAYERS) &&
            fits(z->n_heads, MAX_SIZE) && fits(z->n_kv_heads, z->n_heads) &&
            fits(z->vocab_size, MAX_SIZE) && fits(z->seq_len, MAX_SIZE) &&
            z->dim % z->n_heads == 0 && z->dim / z->n_heads % 2 == 0 &&
            z->n_heads % z->n_kv_heads == 0,
        FORMAT,
        "%s: dim %d, hidden_dim %d, n_layers %d, n_heads %d, n_kv_heads %d, vocab_size %d, seq_len "
        "%d are no sizes of a llama2.c model",
        path, z->dim, z->hidden_dim, z->n_layers, z->n_heads, z->n_kv_heads, z->vocab_size,
        z->seq_len);
    s->head_dim = z->dim / z->n_heads;
    s->extent[ONE] = 1;
    s->extent[DIM] = z->dim;
    s->extent[HIDDEN] = z->hidden_dim;
    s->extent[KV_DIM] = s->head_dim * z->n_kv_heads;
    s->extent[VOCAB] = z->vocab_size;
    s->extent[POSITIONS] = z->seq_len * s->head_dim; /* two tables of half as many */
out:
    return rc;
}

static int64_t kind_count(const Source *s, const Kind *k)
{
    if (k == &KINDS[N_OF(KINDS) - 1] && s->tied) return 0;
    return k->per_layer ? s->sizes.n_layers : 1;
}

static int64_t kind_floats(const Source *s, const Kind *k)
{
    return s->extent[k->rows] * s->extent[k->cols];
}

/* Notes where each tensor lies; nothing is read. */
static Status source_list(Source *s)
{
    Status rc = ST_OK;
    int64_t n = 0, n_float = 0;
    for (const Kind *k = KINDS; k < KINDS + N_OF(KINDS); k++) {
        n += kind_count(s, k);
        n_float += kind_count(s, k) * kind_floats(s, k);
    }
    const int64_t n_bytes = (int64_t)sizeof s->sizes + n_float * (int64_t)sizeof(float);
    CHECK(mapped_bytes(s->file) == n_bytes, FORMAT,
          "%s: %lld bytes, expected %lld for the sizes in its header", mapped_path(s->file),
          LL(mapped_bytes(s->file)), LL(n_bytes));
    s->tensor = mem_array(n, sizeof *s->tensor);
    s->rotary = mem_array(n, sizeof *s->rotary);
    s->name = mem_array(n, sizeof *s->name);
    s->turned = mem_array(s->extent[DIM] * s->extent[DIM], sizeof *s->turned);
    CHECK(s->tensor && s->rotary && s->name && s->turned, NOMEM, "no memory for %lld tensors",
          LL(n));
    const float *at = (const float *)((const char *)mapped_data(s->file) + sizeof s->sizes);
    for (const Kind *k = KINDS; k < KINDS + N_OF(KINDS); k++)
        for (int64_t layer = 0; layer < kind_count(s, k); layer++, at += kind_floats(s, k)) {
            if (!k->name) continue;
            const bool vector = k->rows == ONE;
            snprintf(s->name[s->n], NAME, k->name, (int)layer);
            s->rotary[s->n] = k->rotary;
            s->tensor[s->n] =
                (SafeTensor){.name = s->name[s->n],
                             .dtype = DT_F32,
                             .n_dim = vector ? 1 : 2,
                             .dim = {s->extent[vector ? k->cols : k->rows], s->extent[k->cols]},
                             .data = at};
            s->n++;
        }
out:
    return rc;
}

static Status source_values(void *self, int64_t i, const void **data)
{
    Source *s = self;
    const SafeTensor *t = &s->tensor[i];
    *data = t->data;
    if (!s->rotary[i]) return ST_OK;
    const int64_t C = t->dim[1], D = s->head_dim;
    const float *from = t->data;
    for (int64_t row = 0; row < t->dim[0]; row++) {
        const int64_t head = row / D, in_head = row % D;
        const int64_t to = head * D + in_head / 2 + in_head % 2 * (D / 2);
        memcpy(s->turned + to * C, from + row * C, (size_t)C * sizeof *from);
    }
    *data = s->turned;
    return ST_OK;
}

static Status write_config(const Source *s, const char *dir)
{
    const Sizes *z = &s->sizes;
    json_t *c = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:f, s:n, s:b, s:b, s:b, s:i, "
        "s:i,"
        " s:s}",
        "architectures", "LlamaForCausalLM", "model_type", "llama", "vocab_size", z->vocab_size,
        "hidden_size", z->dim, "intermediate_size", z->hidden_dim, "num_hidden_layers", z->n_layers,
        "num_attention_heads", z->n_heads, "num_key_value_heads", z->n_kv_heads,
        "max_position_embeddings", z->seq_len, "hidden_act", "silu", "rms_norm_eps", 1e-5,
        "rope_theta", 10000.0, "rope_scaling", "tie_word_embeddings", s->tied, "attention_bias", 0,
        "mlp_bias", 0, "bos_token_id", 1, "eos_token_id", 2, "torch_dtype", "float32");
    return json_file_write(dir, "config.json", c, false);
}

Status llama2c_convert(const char *model, const char *tokenizer, const char *dir)
{
    Status rc = ST_OK;
    Source s = {0};
    char *path = path_join(dir, "model.safetensors");
    CHECK(path, NOMEM, "no memory for a path");
    TRY(mapped_open(model, &s.file));
    TRY(source_read_sizes(&s));
    TRY(source_list(&s));
    TRY(dir_make(dir));
    TRY(llama2c_convert_tokenizer(tokenizer, s.sizes.vocab_size, s.sizes.seq_len, dir));
    TRY(write_config(&s, dir));
    TRY(safetensors_write(path, s.tensor, s.n, source_values, &s));
out:
    source_close(&s);
    mem_free(path);
    return rc;
}
