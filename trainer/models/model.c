/* model.c — what all families share: creation, random weights, loss and logits. */
#include "trainer/models/model.h"
#include "trainer/base/mem.h"
#include "trainer/models/segments.h"
#include "trainer/models/transformer.h"
#include <math.h>

struct Model {
    ModelConfig cfg;
    const ModelDef *def;
    Build build;   /* its parameter set is borrowed */
    Param **param; /* the model's own */
    int64_t n_param;
    const Hooks *hooks; /* borrowed; NULL: none */
    bool blind;         /* model_blind */
    void *net;
    RopeCache *rope; /* grows with the rows it sees */
};

Status model_create(const ModelConfig *cfg, ParamSet *ps, Model **model)
{
    Status rc = ST_OK;
    Model *m = mem_alloc(sizeof *m);
    CHECK(m, NOMEM, "model: %zu bytes", sizeof *m);
    m->cfg = *cfg;
    TRY(model_check_config(&m->cfg));
    m->def = model_def_find(cfg->model_type);
    m->build = (Build){.ps = ps, .def = m->def, .cfg = &m->cfg};
    CHECK(m->rope = mem_alloc(sizeof *m->rope), NOMEM, "model: %zu bytes", sizeof *m->rope);
    RopeTable shortest; /* made here, so that short rows take no memory later */
    if (m->def->rotary) TRY(rope_cache_get(m->rope, &m->cfg, 1, &shortest));
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
    if (m->rope) rope_cache_fini(m->rope);
    mem_free(m->rope);
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

const Param *model_head(const Model *m)
{
    return m->def->head(m->net);
}

ModelView model_view(const Model *m)
{
    return (ModelView){.n_layer = m->cfg.num_hidden_layers,
                       .n_site = m->build.n_site,
                       .n_param = m->n_param,
                       .site = (const Site *const *)m->build.site,
                       .param = m->param,
                       .tied = m->cfg.tie_word_embeddings,
                       .rotary = m->def->rotary,
                       .n_head = m->cfg.num_attention_heads,
                       .n_kv_head = m->cfg.num_key_value_heads,
                       .head_dim = m->cfg.head_dim,
                       .max_positions = model_max_positions(&m->cfg)};
}

const ParamSet *model_params(const Model *m)
{
    return m->build.ps;
}

const Hooks *model_hooks(const Model *m)
{
    return m->hooks;
}

void model_set_hooks(Model *m, const Hooks *hooks)
{
    m->hooks = hooks;
}

void model_blind(Model *m, bool on)
{
    m->blind = on;
}

bool model_is_blind(const Model *m)
{
    return m->blind;
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
            fill_constant(p, (real)(1 - m->def->norm_offset));
        else if (p->kind == PARAM_BIAS)
            fill_constant(p, 0);
        else
            fill_normal(p, scaled ? m->def->init_std(&m->cfg, p) : m->cfg.initializer_range, seed);
    }
}

/* ---- forward ---- */

static const AskedRows ALL_ROWS = {0};

typedef struct BlockCall {
    const Model *m;
    const Piece *piece;
    int64_t layer;
} BlockCall;

static Status run_block(Tape *t, const void *ctx, Tensor *x, Tensor **y)
{
    const BlockCall *b = ctx;
    return b->m->def->block(b->m->net, b->layer, t, b->piece, x, y);
}

/* Blocks [first, end). */
static Status run_blocks(const Model *m, Tape *t, const Piece *piece, int64_t first, int64_t end,
                         Tensor **x)
{
    Status rc = ST_OK;
    for (int64_t i = first; i < end; i++) {
        const BlockCall call = {m, piece, i};
        TRY(tape_block(t, run_block, &call, sizeof call, *x, x));
    }
out:
    return rc;
}

Status model_run(const Model *m, Tape *t, Piece *piece, Tensor **x)
{
    Status rc = ST_OK;
    piece->hooks = m->hooks;
    TRY(m->def->enter(m->net, t, piece, x));
    TRY(run_blocks(m, t, piece, 0, m->cfg.num_hidden_layers, x));
    TRY(m->def->leave(m->net, t, piece, *x, x));
out:
    return rc;
}

static Status model_hidden(const Model *m, Tape *t, const Batch *batch, const KvRows *kv,
                           AskedRows asked, Tensor **x)
{
    Status rc = ST_OK;
    Piece *piece;
    TRY(piece_make(t, &m->cfg, m->def, m->rope, batch, kv, asked, &piece));
    if (!batch->hidden) {
        rc = model_run(m, t, piece, x);
        goto out;
    }
    piece->hooks = m->hooks;
    TRY(tape_const(t, DT_REAL, batch->hidden, 2, (int64_t[]){piece->N, m->cfg.hidden_size}, x));
    TRY(run_blocks(m, t, piece, batch->n_block, m->cfg.num_hidden_layers, x));
    TRY(m->def->leave(m->net, t, piece, *x, x));
out:
    return rc;
}

Status model_hidden_at(const Model *m, Tape *t, const Batch *batch, int64_t n_block, real *hidden)
{
    Status rc = ST_OK;
    Piece *piece;
    Tensor *x;
    tape_reset(t);
    tape_no_grad(t, true);
    TRY(piece_make(t, &m->cfg, m->def, m->rope, batch, NULL, ALL_ROWS, &piece));
    piece->hooks = m->hooks;
    TRY(m->def->enter(m->net, t, piece, &x));
    TRY(run_blocks(m, t, piece, 0, n_block, &x));
    memcpy(hidden, x->val, (size_t)x->n * sizeof *hidden);
out:
    return rc;
}

/* The rows with a label, where so few have one that the last block is spared enough to pay for picking them. */
static Status labelled_rows(const Model *m, Tape *t, const Batch *batch, AskedRows *asked)
{
    Status rc = ST_OK;
    const int64_t N = batch->B * batch->T;
    int64_t n = 0;
    for (int64_t i = 0; i < N; i++) n += batch->labels[i] >= 0;
    *asked = ALL_ROWS;
    if (n == 0 || 4 * n > 3 * N) goto out;
    if (batch->hidden && batch->n_block == m->cfg.num_hidden_layers) goto out; /* it is not run */
    int32_t *row = tape_alloc(t, n, sizeof *row);
    CHECK(row, NOMEM, "numbers of %lld rows", LL(n));
    asked->row = row;
    for (int32_t i = 0; i < N; i++)
        if (batch->labels[i] >= 0) row[asked->n++] = i;
out:
    return rc;
}

static Status pick_labels(Tape *t, const Batch *batch, AskedRows asked, const int32_t **labels)
{
    Status rc = ST_OK;
    *labels = batch->labels;
    if (asked.n == 0) goto out;
    int32_t *of_asked = tape_alloc(t, asked.n, sizeof *of_asked);
    CHECK(of_asked, NOMEM, "labels of %lld rows", LL(asked.n));
    for (int64_t i = 0; i < asked.n; i++) of_asked[i] = batch->labels[asked.row[i]];
    *labels = of_asked;
out:
    return rc;
}

/* Nothing depends on what stands behind the last label of every row: the batch without those columns. */
static Status leave_columns_out(Tape *t, const Batch *batch, Batch *seen)
{
    enum { STEP = 16 };
    Status rc = ST_OK;
    const int64_t B = batch->B, T = batch->T;
    int64_t n = 0;
    *seen = *batch;
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = n; i < T; i++)
            if (batch->labels[b * T + i] >= 0) n = i + 1;
    n = (n + STEP - 1) / STEP * STEP;
    if (n == 0 || n >= T || batch->hidden) goto out;
    int32_t *const from[] = {batch->tokens, batch->labels, batch->doc_start, batch->shared_start,
                             batch->n_shared};
    int32_t **const to[] = {&seen->tokens, &seen->labels, &seen->doc_start, &seen->shared_start,
                            &seen->n_shared};
    seen->T = n;
    for (int k = 0; k < N_OF(from); k++) {
        if (!from[k]) continue;
        *to[k] = tape_alloc(t, B * n, sizeof **to[k]);
        CHECK(*to[k], NOMEM, "batch of %lld rows of %lld tokens", LL(B), LL(n));
        for (int64_t b = 0; b < B; b++)
            memcpy(*to[k] + b * n, from[k] + b * T, (size_t)n * sizeof **to[k]);
    }
out:
    return rc;
}

/* The losses of the rows that were asked for, at their places in the whole batch, 0 elsewhere. */
static Status spread_nats(Tape *t, const Batch *batch, const Batch *seen, AskedRows asked,
                          const Tensor *loss, const real **nats)
{
    Status rc = ST_OK;
    real *of_all = tape_alloc(t, batch->B * batch->T, sizeof *of_all);
    CHECK(of_all, NOMEM, "losses of %lld rows", LL(batch->B * batch->T));
    memset(of_all, 0, (size_t)(batch->B * batch->T) * sizeof *of_all);
    for (int64_t i = 0; i < loss->n; i++) {
        const int64_t row = asked.n > 0 ? asked.row[i] : i;
        of_all[row / seen->T * batch->T + row % seen->T] = loss->val[i];
    }
    *nats = of_all;
out:
    return rc;
}

Status model_loss(const Model *m, Tape *t, const Batch *batch, bool backward, double *loss_sum,
                  const real **nats)
{
    Status rc = ST_OK;
    AskedRows asked;
    Batch seen;
    const int32_t *labels;
    Tensor *x, *w, *loss;
    if (segments_for(m, batch->T, backward))
        return segments_loss(m, t, batch, backward, loss_sum, nats);
    tape_reset(t);
    tape_no_grad(t, !backward);
    TRY(leave_columns_out(t, batch, &seen));
    TRY(labelled_rows(m, t, &seen, &asked));
    TRY(pick_labels(t, &seen, asked, &labels));
    TRY(model_hidden(m, t, &seen, NULL, asked, &x));
    TRY(tape_param(t, model_head(m), &w));
    TRY(tape_ce_head_softcap(t, x, w, labels, m->cfg.final_logit_softcapping, &loss));
    if (backward) TRY(tape_backward(t, loss));
    *loss_sum = 0;
    for (int64_t n = 0; n < loss->n; n++) *loss_sum += loss->val[n];
    if (nats) TRY(spread_nats(t, batch, &seen, asked, loss, nats));
out:
    return rc;
}

static void soften(double cap, int64_t n, real *x)
{
    if (cap == 0) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) x[i] = (real)(cap * tanh(x[i] / cap));
}

Status model_head_logits(const Model *m, Tape *t, const Tensor *x, int64_t n_row,
                         const int64_t *rows, real *logits)
{
    Status rc = ST_OK;
    const Param *head = model_head(m);
    const int64_t V = head->dim[0], C = head->dim[1];
    real *picked = tape_alloc(t, n_row * C, sizeof *picked); /* (n_row,C) */
    CHECK(picked, NOMEM, "hidden states of %lld rows", LL(n_row));
    for (int64_t i = 0; i < n_row; i++) {
        CHECK(rows[i] >= 0 && rows[i] < x->dim[0], SHAPE, "logits of row %lld, the batch has %lld",
              LL(rows[i]), LL(x->dim[0]));
        memcpy(picked + i * C, x->val + rows[i] * C, (size_t)C * sizeof *picked);
    }
    gemm(n_row, V, C, (Mat){picked, C, DT_REAL, false}, (Mat){head->raw, C, head->dtype, true}, 0,
         logits, V);
    soften(m->cfg.final_logit_softcapping, n_row * V, logits);
out:
    return rc;
}

Status model_logits(const Model *m, Tape *t, const Batch *batch, int64_t n_row, const int64_t *rows,
                    real *logits)
{
    Status rc = ST_OK;
    Tensor *x;
    if (segments_for(m, batch->T, false)) return segments_logits(m, t, batch, n_row, rows, logits);
    tape_reset(t);
    tape_no_grad(t, true);
    TRY(model_hidden(m, t, batch, NULL, ALL_ROWS, &x));
    TRY(model_head_logits(m, t, x, n_row, rows, logits));
out:
    return rc;
}

Status model_extend(const Model *m, Tape *t, const Batch *batch, const KvRows *kv, real *logits)
{
    Status rc = ST_OK;
    Tensor *x;
    tape_reset(t);
    tape_no_grad(t, true);
    TRY(model_hidden(m, t, batch, kv, ALL_ROWS, &x));
    int64_t *last = tape_alloc(t, batch->B, sizeof *last);
    CHECK(last, NOMEM, "%lld rows", LL(batch->B));
    for (int64_t b = 0; b < batch->B; b++) last[b] = b * batch->T + kv->n_new[b] - 1;
    TRY(model_head_logits(m, t, x, batch->B, last, logits));
    for (int64_t b = 0; b < batch->B; b++) kv->cache->n_past[kv->slot[b]] += kv->n_new[b];
out:
    return rc;
}
