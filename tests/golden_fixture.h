/* golden_fixture.h — what transformers and PEFT computed (tests/golden/README.md), and the checks against it. */
#ifndef TESTS_GOLDEN_FIXTURE_H
#define TESTS_GOLDEN_FIXTURE_H
#include "optim/optim.h"
#include "tests/test_helper.h"
#include "trainer/io/safetensors.h"
#include "trainer/models/model.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LOGITS_TOL = 1e-4, GRAD_TOL = 1e-3, CURVE_TOL = 1e-4;

static inline const char *golden_dir(const char *name)
{
    static char dir[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(dir[next], sizeof dir[next], "%s/tests/golden/hf/%s", SWITCHYARD_SOURCE_DIR, name);
    return dir[next];
}

static inline SafeTensors *golden_values(const char *name)
{
    char path[600];
    SafeTensors *values;
    snprintf(path, sizeof path, "%s/golden.safetensors", golden_dir(name));
    T_OK(safetensors_open(path, &values));
    return values;
}

static inline const SafeTensor *golden_value(const SafeTensors *values, const char *name)
{
    const SafeTensor *t = safetensors_find(values, name);
    ck_assert_msg(t, "there is no value %s", name);
    return t;
}

/* A model under test. */
typedef struct GoldenModel {
    const char *name;
    const Model *model;
    ParamSet *ps;
    Tape *tape;
    real *grad; /* bound to ps */
    const SafeTensors *values;
} GoldenModel;

/* Predicting each next id of n_row rows of n ids. */
typedef struct Rows {
    Batch batch;
    int32_t tokens[128], labels[128], doc_start[128];
} Rows;

static inline void rows_init(Rows *r, const int32_t *ids, int64_t n_row, int64_t n,
                             bool last_has_label)
{
    const int64_t T = last_has_label ? n - 1 : n;
    *r = (Rows){.batch = {.B = n_row, .T = T}};
    T_TRUE(n_row * T <= (int64_t)N_OF(r->tokens));
    for (int64_t i = 0; i < n_row * T; i++) {
        const int64_t at = i / T * n + i % T;
        r->tokens[i] = ids[at];
        r->labels[i] = i % T + 1 < n ? ids[at + 1] : -1;
        r->batch.n_label += r->labels[i] >= 0;
    }
    r->batch.tokens = r->tokens;
    r->batch.labels = r->labels;
    r->batch.doc_start = r->doc_start;
}

/* Logits after every token of the value `ids`. */
static inline void golden_logits(const Model *model, Tape *tape, const SafeTensor *ids, real *got)
{
    Rows rows;
    int64_t at[128];
    rows_init(&rows, ids->data, 1, ids->n, false);
    for (int64_t i = 0; i < ids->n; i++) at[i] = i;
    T_OK(model_logits(model, tape, &rows.batch, ids->n, at, got));
}

static inline void golden_check_logits(const GoldenModel *g, const char *ids, const char *logits)
{
    double off = 0, scale = 0;
    const SafeTensor *want = golden_value(g->values, logits);
    const float *w = want->data;
    real *got = mem_array(want->n, sizeof *got);
    T_TRUE(got);
    golden_logits(g->model, g->tape, golden_value(g->values, ids), got);
    for (int64_t i = 0; i < want->n; i++) {
        off = fmax(off, fabs((double)got[i] - (double)w[i]));
        scale = fmax(scale, fabs((double)w[i]));
    }
    mem_free(got);
    ck_assert_msg(off <= LOGITS_TOL * scale, "%s: %s are off by %.3g of %.3g", g->name, logits, off,
                  scale);
}

/* The gradient of every trained parameter, and the loss; their values begin with `prefix`. */
static inline void golden_check_gradients(const GoldenModel *g, const char *prefix)
{
    Rows rows;
    double loss;
    char key[256];
    const SafeTensor *ids = golden_value(g->values, "input_ids");
    rows_init(&rows, ids->data, 1, ids->n, false);
    memset(g->grad, 0, (size_t)params_flat_n(g->ps) * sizeof *g->grad);
    T_OK(model_loss(g->model, g->tape, &rows.batch, true, &loss, NULL));
    const double mean = 1.0 / (double)rows.batch.n_label;
    snprintf(key, sizeof key, "%sloss", prefix);
    T_NEAR(mean * loss, *(const float *)golden_value(g->values, key)->data, 1e-5);
    for (int64_t k = 0; k < params_count(g->ps); k++) {
        const Param *p = params_at(g->ps, k);
        double off = 0, size = 0;
        snprintf(key, sizeof key, *prefix ? "%sgrad.base_model.model.%s" : "%sgrad.%s", prefix,
                 p->name);
        const SafeTensor *want = golden_value(g->values, key);
        const float *w = want->data;
        T_EQ_I64(want->n, p->n);
        for (int64_t i = 0; i < p->n; i++) {
            off += pow(mean * (double)p->grad[i] - (double)w[i], 2);
            size += (double)w[i] * (double)w[i];
        }
        ck_assert_msg(size > 0 && sqrt(off) <= GRAD_TOL * sqrt(size),
                      "%s: %s is off by %.3g of %.3g", g->name, key, sqrt(off), sqrt(size));
    }
}

/* Loss and gradient norm of every step of a training with AdamW, against the curves that begin with `prefix`. */
static inline void golden_check_curve(const GoldenModel *g, const char *prefix, double lr)
{
    const OptimDef *def = optim_find("adamw");
    const OptimCommon common = {.weight_decay = 0.1, .max_grad_norm = 1};
    SafeTensors *batches;
    char key[64];
    T_OK(safetensors_open(golden_dir("batches.safetensors"), &batches));
    const SafeTensor *ids = golden_value(batches, "train_ids");
    const int64_t n_step = ids->dim[0], B = ids->dim[1], n = ids->dim[2];
    snprintf(key, sizeof key, "%sloss_curve", prefix);
    const float *losses = golden_value(g->values, key)->data;
    snprintf(key, sizeof key, "%sgrad_norm_curve", prefix);
    const float *norms = golden_value(g->values, key)->data;
    Optim *o;
    void *opts = mem_alloc(def->opts_size);
    T_TRUE(opts);
    opt_set_defaults(def->opts, opts);
    T_OK(optim_create(def, opts, &common, g->ps, NULL, &o));
    for (int64_t step = 0; step < n_step; step++) {
        Rows rows;
        double sum;
        rows_init(&rows, (const int32_t *)ids->data + step * B * n, B, n, true);
        memset(g->grad, 0, (size_t)params_flat_n(g->ps) * sizeof *g->grad);
        T_OK(model_loss(g->model, g->tape, &rows.batch, true, &sum, NULL));
        const double mean = 1.0 / (double)rows.batch.n_label, loss = mean * sum,
                     norm = optim_grad_norm(o, g->grad, mean);
        ck_assert_msg(fabs(loss - losses[step]) <= CURVE_TOL * losses[step],
                      "%s: %sloss of step %lld is %.7g, not %.7g", g->name, prefix, LL(step), loss,
                      (double)losses[step]);
        T_NEAR(norm, (double)norms[step], 1e-3 * (double)norms[step]);
        optim_step(o, g->ps, g->grad, mean, norm, lr, -1);
    }
    optim_destroy(o);
    mem_free(opts);
    safetensors_close(batches);
}
#endif
