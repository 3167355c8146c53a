/* golden_models.c — logits, gradients and loss curves of every family against transformers (tests/golden/README.md).
 */
#include "optim/optim.h"
#include "tests/test_helper.h"
#include "trainer/models/model_json.h"
#include "trainer/models/weights.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>

static const double LOGITS_TOL = 1e-4, GRAD_TOL = 1e-3, CURVE_TOL = 1e-4;

static const char *const MODELS[] = {
    "llama",
    "llama3",
    "mistral",
    "qwen2",
    "qwen3",
    "smollm",
    "gpt2",
    "gemma2",
    "llama-bf16",
    "llama-f16",
    "gpt2-hub",
    "llama-sharded",
    "qwen2-sliding",
    "llama-rope-linear",
    "llama-rope-dynamic",
    "llama-rope-yarn",
    "llama-v5-config",
};

typedef struct Golden {
    ModelConfig cfg;
    ParamSet *ps;
    Model *model;
    Tape *tape;
    SafeTensors *weights, *values;
    real *grad;
} Golden;

static const char *golden_dir(const char *name)
{
    static char dir[512];
    snprintf(dir, sizeof dir, "%s/tests/golden/hf/%s", SWITCHYARD_SOURCE_DIR, name);
    return dir;
}

/* frozen: every matrix and table stays as its file has it. */
static void golden_open(Golden *g, const char *name, bool frozen)
{
    const char *dir = golden_dir(name);
    char values[600];
    *g = (Golden){0};
    T_OK(model_config_read(dir, &g->cfg));
    T_OK(params_create(&g->ps));
    T_OK(model_create(&g->cfg, g->ps, &g->model));
    for (int64_t i = 0; i < params_count(g->ps); i++) {
        Param *p = params_at(g->ps, i);
        p->frozen = frozen && (p->kind == PARAM_MATRIX || p->kind == PARAM_EMBEDDING);
    }
    T_OK(params_seal(g->ps));
    T_OK(safetensors_open_folder(dir, &g->weights));
    T_OK(model_read_weights(g->model, g->weights, dir, WEIGHTS_ALL));
    snprintf(values, sizeof values, "%s/golden.safetensors", dir);
    T_OK(safetensors_open(values, &g->values));
    T_OK(tape_create(&g->tape));
    g->grad = mem_array(params_flat_n(g->ps), sizeof *g->grad);
    T_TRUE(g->grad);
    params_bind_grad(g->ps, g->grad);
}

static void golden_close(Golden *g)
{
    tape_destroy(g->tape);
    model_destroy(g->model);
    params_destroy(g->ps);
    safetensors_close(g->weights);
    safetensors_close(g->values);
    mem_free(g->grad);
}

static const SafeTensor *value(const Golden *g, const char *name)
{
    const SafeTensor *t = safetensors_find(g->values, name);
    ck_assert_msg(t, "there is no value %s", name);
    return t;
}

/* Predicting each next id of n_row rows of n ids. */
typedef struct Rows {
    Batch batch;
    int32_t tokens[128], labels[128], doc_start[128];
} Rows;

static void rows_init(Rows *r, const int32_t *ids, int64_t n_row, int64_t n, bool last_has_label)
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

static void check_logits(const Golden *g, const char *name, const char *suffix)
{
    Rows rows;
    char key[64];
    int64_t at[128];
    double off = 0, scale = 0;
    snprintf(key, sizeof key, "input_ids%s", suffix);
    const SafeTensor *ids = value(g, key);
    snprintf(key, sizeof key, "logits%s", suffix);
    const SafeTensor *want = value(g, key);
    const float *w = want->data;
    rows_init(&rows, ids->data, 1, ids->n, false);
    for (int64_t i = 0; i < ids->n; i++) at[i] = i;
    real *got = mem_array(want->n, sizeof *got);
    T_TRUE(got);
    T_OK(model_logits(g->model, g->tape, &rows.batch, ids->n, at, got));
    for (int64_t i = 0; i < want->n; i++) {
        off = fmax(off, fabs((double)got[i] - (double)w[i]));
        scale = fmax(scale, fabs((double)w[i]));
    }
    mem_free(got);
    ck_assert_msg(off <= LOGITS_TOL * scale, "%s: logits%s are off by %.3g of %.3g", name, suffix,
                  off, scale);
}

START_TEST(logits_of_every_model)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Golden g;
        golden_open(&g, MODELS[i], false);
        check_logits(&g, MODELS[i], "");
        check_logits(&g, MODELS[i], "_short");
        check_logits(&g, MODELS[i], "");
        golden_close(&g);
    }
}
END_TEST

/* --- gradients --- */

static void check_gradient(const Golden *g, const char *name, const Param *p, double scale)
{
    char key[256];
    double off = 0, size = 0;
    snprintf(key, sizeof key, "grad.%s", p->name);
    const SafeTensor *want = value(g, key);
    const float *w = want->data;
    T_EQ_I64(want->n, p->n);
    for (int64_t i = 0; i < p->n; i++) {
        off += pow(scale * (double)p->grad[i] - (double)w[i], 2);
        size += (double)w[i] * (double)w[i];
    }
    ck_assert_msg(size > 0 && sqrt(off) <= GRAD_TOL * sqrt(size), "%s: %s is off by %.3g of %.3g",
                  name, key, sqrt(off), sqrt(size));
}

START_TEST(losses_and_gradients)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Golden g;
        Rows rows;
        double loss;
        golden_open(&g, MODELS[i], false);
        const SafeTensor *ids = value(&g, "input_ids");
        rows_init(&rows, ids->data, 1, ids->n, false);
        T_OK(model_loss(g.model, g.tape, &rows.batch, true, &loss, NULL));
        const double scale = 1.0 / (double)rows.batch.n_label;
        T_NEAR(scale * loss, *(const float *)value(&g, "loss")->data, 1e-5);
        for (int64_t k = 0; k < params_count(g.ps); k++)
            check_gradient(&g, MODELS[i], params_at(g.ps, k), scale);
        golden_close(&g);
    }
}
END_TEST

/* --- training --- */

static void check_step(const char *name, const char *what, int64_t step, double got, double want)
{
    ck_assert_msg(fabs(got - want) <= CURVE_TOL * want, "%s: %s of step %lld is %.7g, not %.7g",
                  name, what, LL(step), got, want);
}

static void train(Golden *g, const char *name, const SafeTensor *ids)
{
    const OptimDef *def = optim_find("adamw");
    const OptimCommon common = {.weight_decay = 0.1, .max_grad_norm = 1};
    const int64_t n_step = ids->dim[0], B = ids->dim[1], n = ids->dim[2];
    const float *losses = value(g, "loss_curve")->data, *norms = value(g, "grad_norm_curve")->data;
    Optim *o;
    void *opts = mem_alloc(def->opts_size);
    T_TRUE(opts);
    opt_set_defaults(def->opts, opts);
    T_OK(optim_create(def, opts, &common, g->ps, &o));
    for (int64_t step = 0; step < n_step; step++) {
        Rows rows;
        double loss;
        rows_init(&rows, (const int32_t *)ids->data + step * B * n, B, n, true);
        memset(g->grad, 0, (size_t)params_flat_n(g->ps) * sizeof *g->grad);
        T_OK(model_loss(g->model, g->tape, &rows.batch, true, &loss, NULL));
        const double scale = 1.0 / (double)rows.batch.n_label,
                     norm = optim_grad_norm(g->ps, g->grad, scale);
        check_step(name, "loss", step, scale * loss, (double)losses[step]);
        T_NEAR(norm, (double)norms[step], 1e-3 * (double)norms[step]);
        optim_step(o, g->ps, g->grad, scale, norm, 3e-3, -1);
    }
    optim_destroy(o);
    mem_free(opts);
}

START_TEST(loss_curves_of_training_with_adamw)
{
    SafeTensors *batches;
    T_OK(safetensors_open(golden_dir("batches.safetensors"), &batches));
    int64_t n_curve = 0;
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Golden g;
        golden_open(&g, MODELS[i], false);
        if (safetensors_find(g.values, "loss_curve")) {
            train(&g, MODELS[i], safetensors_find(batches, "train_ids"));
            n_curve++;
        }
        golden_close(&g);
    }
    T_EQ_I64(n_curve, 8);
    safetensors_close(batches);
}
END_TEST

/* --- frozen weights --- */

/* A base that is read where it lies gives what its widened copy gives. */
START_TEST(a_frozen_base_gives_the_same_logits)
{
    static const char *const stored[] = {"llama-bf16", "llama-f16", "llama-sharded", "gpt2",
                                         "gemma2"};
    for (int64_t i = 0; i < N_OF(stored); i++) {
        Golden g[2];
        real logits[2][128 * 96];
        for (int frozen = 0; frozen < 2; frozen++) {
            Rows rows;
            int64_t at[128];
            golden_open(&g[frozen], stored[i], frozen);
            const SafeTensor *ids = value(&g[frozen], "input_ids");
            rows_init(&rows, ids->data, 1, ids->n, false);
            for (int64_t k = 0; k < ids->n; k++) at[k] = k;
            T_OK(model_logits(g[frozen].model, g[frozen].tape, &rows.batch, ids->n, at,
                              logits[frozen]));
            check_logits(&g[frozen], stored[i], "");
        }
        T_TRUE(params_n_frozen(g[1].ps) > 0);
        const int64_t n = value(&g[0], "logits")->n;
        T_TRUE(memcmp(logits[0], logits[1], (size_t)n * sizeof(real)) == 0);
        golden_close(&g[0]);
        golden_close(&g[1]);
    }
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {logits_of_every_model, losses_and_gradients,
                        loss_curves_of_training_with_adamw, a_frozen_base_gives_the_same_logits};
    return test_main("golden.models", t, N_OF(t));
}
