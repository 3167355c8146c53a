/* model.c — what all families share: options, creation, random weights, loss and logits. */
#include "trainer/models/model.h"
#include "trainer/base/mem.h"
#include "trainer/models/model_list.h"
#include "trainer/models/transformer.h"

#define MODEL_CHOICE(name) "|" #name
#define MODEL_DECLARE(name) extern const ModelDef model_##name;
#define MODEL_ENTRY(name) &model_##name,
MODEL_LIST(MODEL_DECLARE)
static const ModelDef *const model_defs[] = {MODEL_LIST(MODEL_ENTRY)};

static const char model_choices[] = MODEL_LIST(MODEL_CHOICE);

// clang-format off
const OptSpec MODEL_OPTS[] = {
    OPT_ENUM(ModelConfig, model_type, "llama", &model_choices[1], "model family"),
    OPT_COUNT(ModelConfig, vocab_size, 256, 2, 1e7, "number of token ids"),
    OPT_I64(ModelConfig, hidden_size, 128, 1, 65536, "width of the residual stream"),
    OPT_I64(ModelConfig, intermediate_size, 352, 1, 1 << 20, "width inside the feed-forward layer"),
    OPT_I64(ModelConfig, num_hidden_layers, 4, 1, 1024, "number of blocks"),
    OPT_I64(ModelConfig, num_attention_heads, 4, 1, 1024, "query heads"),
    OPT_I64(ModelConfig, num_key_value_heads, 0, 0, 1024, "key and value heads; 0: as many as query heads"),
    OPT_I64(ModelConfig, head_dim, 0, 0, 1024, "width of a head, even; 0: hidden_size / num_attention_heads"),
    OPT_COUNT(ModelConfig, max_position_embeddings, 2048, 1, 1 << 24, "longest sequence"),
    OPT_F64(ModelConfig, rms_norm_eps, 1e-5, 0, 1, "added to the mean square in RMSNorm"),
    OPT_F64(ModelConfig, rope_theta, 10000, 1, 1e12, "base of the rotary frequencies"),
    OPT_BOOL(ModelConfig, tie_word_embeddings, 0, "the output head is the embedding table"),
    OPT_BOOL(ModelConfig, attention_bias, 0, "biases on q, k, v and o"),
    OPT_BOOL(ModelConfig, mlp_bias, 0, "biases on gate, up and down"),
    OPT_ENUM(ModelConfig, initializer, "scaled", "scaled|normal",
             "scaled: std 0.7/sqrt(fan_in), less towards the stream; normal: initializer_range everywhere"),
    OPT_F64(ModelConfig, initializer_range, 0.02, 0, 10, "std of initializer: normal"),
    OPT_END
};
// clang-format on

struct Model {
    ModelConfig cfg;
    const ModelDef *def;
    Build build;   /* its parameter set is borrowed */
    Param **param; /* the model's own */
    int64_t n_param;
    const Hooks *hooks; /* borrowed; NULL: none */
    void *net;
    RopeTable rope;
    real *rope_numbers;
};

Status model_check_config(ModelConfig *c)
{
    Status rc = ST_OK;
    if (c->num_key_value_heads == 0) c->num_key_value_heads = c->num_attention_heads;
    if (c->head_dim == 0) {
        CHECK(c->hidden_size % c->num_attention_heads == 0, CONFIG,
              "hidden_size %lld is no multiple of num_attention_heads %lld; give head_dim",
              LL(c->hidden_size), LL(c->num_attention_heads));
        c->head_dim = c->hidden_size / c->num_attention_heads;
    }
    CHECK(c->head_dim % 2 == 0, CONFIG, "head_dim is %lld; rotary positions need an even one",
          LL(c->head_dim));
    CHECK(c->num_attention_heads % c->num_key_value_heads == 0, CONFIG,
          "num_attention_heads %lld is no multiple of num_key_value_heads %lld",
          LL(c->num_attention_heads), LL(c->num_key_value_heads));
out:
    return rc;
}

static Status model_make_rope(Model *m)
{
    Status rc = ST_OK;
    const int64_t n_pos = m->cfg.max_position_embeddings, half = m->cfg.head_dim / 2,
                  n = n_pos * half;
    m->rope_numbers = mem_array(2 * n, sizeof(real));
    CHECK(m->rope_numbers, NOMEM, "rotary table of %lld positions", LL(n_pos));
    rope_fill(m->cfg.rope_theta, n_pos, m->cfg.head_dim, m->rope_numbers, m->rope_numbers + n);
    m->rope = (RopeTable){n_pos, half, m->rope_numbers, m->rope_numbers + n};
out:
    return rc;
}

static const ModelDef *model_find(const char *model_type)
{
    for (int64_t i = 0; i < N_OF(model_defs); i++)
        if (strcmp(model_defs[i]->model_type, model_type) == 0) return model_defs[i];
    return NULL;
}

Status model_create(const ModelConfig *cfg, ParamSet *ps, Model **model)
{
    Status rc = ST_OK;
    Model *m = mem_alloc(sizeof *m);
    CHECK(m, NOMEM, "model: %zu bytes", sizeof *m);
    m->cfg = *cfg;
    m->build = (Build){.ps = ps, .cfg = &m->cfg};
    m->def = model_find(cfg->model_type);
    CHECK(m->def, CONFIG, "unknown model_type \"%s\"; known: %s", cfg->model_type,
          &model_choices[1]);
    TRY(model_check_config(&m->cfg));
    TRY(model_make_rope(m));
    const int64_t first = params_count(ps);
    TRY(m->def->create(&m->build, &m->net));
    m->n_param = params_count(ps) - first;
    m->param = mem_array(m->n_param, sizeof *m->param);
    CHECK(m->param, NOMEM, "model: %lld parameters", LL(m->n_param));
    for (int64_t i = 0; i < m->n_param; i++) m->param[i] = params_at(ps, first + i);
    *model = m;
    m = NULL;
out:
    model_destroy(m);
    return rc;
}

void model_destroy(Model *m)
{
    if (!m) return;
    if (m->net) m->def->destroy(m->net);
    build_fini(&m->build);
    mem_free(m->param);
    mem_free(m->rope_numbers);
    mem_free(m);
}

const ModelConfig *model_config(const Model *m)
{
    return &m->cfg;
}

const ModelDef *model_def(const Model *m)
{
    return m->def;
}

ModelView model_view(const Model *m)
{
    return (ModelView){.n_layer = m->cfg.num_hidden_layers,
                       .n_site = m->build.n_site,
                       .n_param = m->n_param,
                       .site = (const Site *const *)m->build.site,
                       .param = m->param,
                       .tied = m->cfg.tie_word_embeddings};
}

void model_set_hooks(Model *m, const Hooks *hooks)
{
    m->hooks = hooks;
}

static void fill_constant(const Param *p, real value)
{
    for (int64_t i = 0; i < p->n; i++) p->val[i] = value;
}

static void fill_normal(const Param *p, double std, uint64_t seed)
{
    enum { CHUNK = 1 << 14 };
    const uint64_t stream = rng_hash_bytes(p->name, strlen(p->name), 0);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < p->n; first += CHUNK) {
        Rng r;
        rng_init(&r, seed, stream);
        r.index = (uint64_t)first; /* rng_normal takes one number of the stream */
        const int64_t end = first + CHUNK < p->n ? first + CHUNK : p->n;
        for (int64_t i = first; i < end; i++) p->val[i] = (real)(std * rng_normal(&r));
    }
}

void model_init_weights(Model *m, uint64_t seed)
{
    const bool scaled = strcmp(m->cfg.initializer, "scaled") == 0;
    for (int64_t i = 0; i < m->n_param; i++) {
        const Param *p = m->param[i];
        if (!p->val) continue; /* frozen, and lies where its file is */
        if (p->kind == PARAM_NORM)
            fill_constant(p, 1);
        else if (p->kind == PARAM_BIAS)
            fill_constant(p, 0);
        else
            fill_normal(p, scaled ? m->def->init_std(&m->cfg, p) : m->cfg.initializer_range, seed);
    }
}

static Status model_hidden(const Model *m, Tape *t, const Batch *batch, Tensor **x)
{
    Status rc = ST_OK;
    Piece *piece;
    TRY(piece_make(t, &m->cfg, &m->rope, batch, &piece));
    piece->hooks = m->hooks;
    TRY(m->def->forward(m->net, t, piece, x));
out:
    return rc;
}

Status model_loss(const Model *m, Tape *t, const Batch *batch, bool backward, double *loss_sum,
                  const real **nats)
{
    Status rc = ST_OK;
    Tensor *x, *w, *loss;
    tape_reset(t);
    tape_no_grad(t, !backward);
    TRY(model_hidden(m, t, batch, &x));
    TRY(tape_param(t, m->def->head(m->net), &w));
    TRY(tape_ce_head(t, x, w, batch->labels, &loss));
    if (backward) TRY(tape_backward(t, loss));
    *loss_sum = 0;
    for (int64_t n = 0; n < loss->n; n++) *loss_sum += loss->val[n];
    if (nats) *nats = loss->val;
out:
    return rc;
}

Status model_logits(const Model *m, Tape *t, const Batch *batch, int64_t n_row, const int64_t *rows,
                    real *logits)
{
    Status rc = ST_OK;
    const Param *head = m->def->head(m->net);
    const int64_t V = head->dim[0], C = head->dim[1];
    Tensor *x;
    tape_reset(t);
    tape_no_grad(t, true);
    TRY(model_hidden(m, t, batch, &x));
    real *picked = tape_alloc(t, n_row * C, sizeof *picked); /* (n_row,C) */
    CHECK(picked, NOMEM, "hidden states of %lld rows", LL(n_row));
    for (int64_t i = 0; i < n_row; i++) {
        CHECK(rows[i] >= 0 && rows[i] < x->dim[0], SHAPE, "logits of row %lld, the batch has %lld",
              LL(rows[i]), LL(x->dim[0]));
        memcpy(picked + i * C, x->val + rows[i] * C, (size_t)C * sizeof *picked);
    }
    gemm(n_row, V, C, (Mat){picked, C, DT_REAL, false}, (Mat){head->val, C, DT_REAL, true}, 0,
         logits, V);
out:
    return rc;
}
