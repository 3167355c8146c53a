/* model_llama.c — the Llama family: pre-norm blocks of rotary grouped-query attention and a gated
 * feed-forward.
 *
 * Touvron et al. 2023, arXiv:2302.13971 and arXiv:2307.09288 (grouped queries, section 2.2).
 * Parameter names and the half-split rotary order are those of the Hugging Face files. */
#include "trainer/base/mem.h"
#include "trainer/models/transformer.h"
#include <math.h>

typedef struct LlamaLayer {
    const Param *input_layernorm, *post_attention_layernorm;
    Linear q_proj, k_proj, v_proj, o_proj;
    Linear gate_proj, up_proj, down_proj;
} LlamaLayer;

typedef struct Llama {
    ModelConfig cfg;
    const Param *embed_tokens, *norm, *lm_head; /* tied: lm_head is embed_tokens */
    LlamaLayer *layer;
} Llama;

/* --- forward --- */

static Status llama_attention(Tape *t, const Llama *m, const LlamaLayer *l, const Piece *p,
                              Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *q, *k, *v, *a;
    TRY(linear_forward(t, p, &l->q_proj, x, &q)); /* (N,H*D) */
    TRY(linear_forward(t, p, &l->k_proj, x, &k)); /* (N,Hkv*D) */
    TRY(linear_forward(t, p, &l->v_proj, x, &v));
    TRY(tape_rope(t, q, &p->rope, p->pos, m->cfg.num_attention_heads, &q));
    TRY(tape_rope(t, k, &p->rope, p->pos, m->cfg.num_key_value_heads, &k));
    TRY(tape_attention(t, q, k, v, &p->attention, &a)); /* (N,H*D) */
    TRY(linear_forward(t, p, &l->o_proj, a, y));        /* (N,C) */
out:
    return rc;
}

static Status llama_mlp(Tape *t, const LlamaLayer *l, const Piece *p, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *gate, *up, *h;
    TRY(linear_forward(t, p, &l->gate_proj, x, &gate)); /* (N,I) */
    TRY(linear_forward(t, p, &l->up_proj, x, &up));
    TRY(tape_swiglu(t, gate, up, &h));
    TRY(linear_forward(t, p, &l->down_proj, h, y)); /* (N,C) */
out:
    return rc;
}

typedef struct LlamaBlock {
    const Llama *model;
    const LlamaLayer *layer;
    const Piece *piece;
} LlamaBlock;

static Status llama_block(Tape *t, const void *ctx, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    const LlamaBlock *b = ctx;
    const double eps = b->model->cfg.rms_norm_eps;
    Tensor *h;
    TRY(norm_forward(t, b->layer->input_layernorm, eps, x, &h));
    TRY(llama_attention(t, b->model, b->layer, b->piece, h, &h));
    TRY(tape_add(t, x, h, &x));
    TRY(norm_forward(t, b->layer->post_attention_layernorm, eps, x, &h));
    TRY(llama_mlp(t, b->layer, b->piece, h, &h));
    TRY(tape_add(t, x, h, y));
out:
    return rc;
}

static Status llama_forward(const void *net, Tape *t, const Piece *piece, Tensor **x)
{
    Status rc = ST_OK;
    const Llama *m = net;
    TRY(table_forward(t, m->embed_tokens, piece, x)); /* (N,C) */
    for (int64_t i = 0; i < m->cfg.num_hidden_layers; i++) {
        const LlamaBlock block = {m, &m->layer[i], piece};
        TRY(tape_block(t, llama_block, &block, sizeof block, *x, x));
    }
    TRY(norm_forward(t, m->norm, m->cfg.rms_norm_eps, *x, x));
out:
    return rc;
}

static const Param *llama_head(const void *net)
{
    return ((const Llama *)net)->lm_head;
}

/* --- parameters --- */

static Status llama_declare_layer(Build *b, LlamaLayer *l)
{
    Status rc = ST_OK;
    const ModelConfig *c = b->cfg;
    const int layer = b->layer;
    const int64_t C = c->hidden_size, I = c->intermediate_size;
    const int64_t A = c->num_attention_heads * c->head_dim,
                  K = c->num_key_value_heads * c->head_dim;
    const bool a_bias = c->attention_bias, m_bias = c->mlp_bias;
    TRY(norm_declare(b, &l->input_layernorm, C, "model.layers.%d.input_layernorm", layer));
    TRY(linear_declare(b, &l->q_proj, A, C, a_bias, "model.layers.%d.self_attn.q_proj", layer));
    TRY(linear_declare(b, &l->k_proj, K, C, a_bias, "model.layers.%d.self_attn.k_proj", layer));
    TRY(linear_declare(b, &l->v_proj, K, C, a_bias, "model.layers.%d.self_attn.v_proj", layer));
    TRY(linear_declare(b, &l->o_proj, C, A, a_bias, "model.layers.%d.self_attn.o_proj", layer));
    TRY(norm_declare(b, &l->post_attention_layernorm, C, "model.layers.%d.post_attention_layernorm",
                     layer));
    TRY(linear_declare(b, &l->gate_proj, I, C, m_bias, "model.layers.%d.mlp.gate_proj", layer));
    TRY(linear_declare(b, &l->up_proj, I, C, m_bias, "model.layers.%d.mlp.up_proj", layer));
    TRY(linear_declare(b, &l->down_proj, C, I, m_bias, "model.layers.%d.mlp.down_proj", layer));
out:
    return rc;
}

static void llama_destroy(void *net)
{
    Llama *m = net;
    if (m) mem_free(m->layer);
    mem_free(m);
}

static Status llama_create(Build *b, void **net)
{
    Status rc = ST_OK;
    const ModelConfig *cfg = b->cfg;
    Llama *m = mem_alloc(sizeof *m);
    CHECK(m, NOMEM, "llama: %zu bytes", sizeof *m);
    m->cfg = *cfg;
    m->layer = mem_array(cfg->num_hidden_layers, sizeof *m->layer);
    CHECK(m->layer, NOMEM, "llama: %lld layers", LL(cfg->num_hidden_layers));
    TRY(table_declare(b, &m->embed_tokens, cfg->vocab_size, cfg->hidden_size,
                      "model.embed_tokens"));
    for (b->layer = 0; b->layer < cfg->num_hidden_layers; b->layer++)
        TRY(llama_declare_layer(b, &m->layer[b->layer]));
    TRY(norm_declare(b, &m->norm, cfg->hidden_size, "model.norm"));
    m->lm_head = m->embed_tokens;
    if (!cfg->tie_word_embeddings)
        TRY(table_declare(b, &m->lm_head, cfg->vocab_size, cfg->hidden_size, "lm_head"));
    *net = m;
    m = NULL;
out:
    llama_destroy(m);
    return rc;
}

static bool llama_writes_to_stream(const char *name)
{
    return strstr(name, ".o_proj.") || strstr(name, ".down_proj.");
}

static double llama_init_std(const ModelConfig *cfg, const Param *w)
{
    if (w->kind == PARAM_EMBEDDING) return 0.02;
    const double std = 0.7 / sqrt((double)w->dim[1]);
    return llama_writes_to_stream(w->name) ? std / sqrt(2.0 * (double)cfg->num_hidden_layers) : std;
}

static const char *const llama_buffers[] = {".rotary_emb.inv_freq", NULL};

const ModelDef model_llama = {.model_type = "llama",
                              .prefix = "model.",
                              .buffers = llama_buffers,
                              .create = llama_create,
                              .destroy = llama_destroy,
                              .forward = llama_forward,
                              .head = llama_head,
                              .init_std = llama_init_std};
