/* toy_model.h — a small model of any family and a micro-batch of packed documents, for the tests of
 * trainer/models. */
#ifndef TESTS_TOY_MODEL_H
#define TESTS_TOY_MODEL_H
#include "tests/test_helper.h"
#include "trainer/models/model.h"

enum { TOY_B = 2, TOY_T = 7, TOY_N = TOY_B * TOY_T, TOY_V = 11 };

typedef struct ToyModel {
    ParamSet *ps;
    Model *model;
    Tape *tape;
    real *grad;
    int64_t n;
    int32_t tokens[TOY_N], labels[TOY_N], doc_start[TOY_N];
    Batch batch;
} ToyModel;

static inline ModelConfig toy_config(void)
{
    ModelConfig c;
    opt_set_defaults(MODEL_OPTS, &c);
    c.vocab_size = TOY_V;
    c.hidden_size = 12;
    c.intermediate_size = 20;
    c.num_hidden_layers = 2;
    c.num_attention_heads = 4;
    c.num_key_value_heads = 2;
    c.head_dim = 4;
    c.max_position_embeddings = 16;
    return c;
}

/* What shows the family's own: a window shorter than a document, caps that bend, biases, odd sizes. */
static const char *const TOY_FAMILIES[] = {"llama", "mistral", "qwen2", "qwen3", "gpt2", "gemma2"};

static inline ModelConfig toy_family_config(const char *model_type)
{
    ModelConfig c = toy_config();
    c.model_type = model_type;
    c.sliding_window = 3;
    c.use_sliding_window = true;
    c.max_window_layers = 1;
    c.query_pre_attn_scalar = 9;
    c.attn_logit_softcapping = 2;
    c.final_logit_softcapping = 3;
    c.tie_word_embeddings = strcmp(model_type, "gpt2") == 0;
    if (strcmp(model_type, "gpt2") != 0) return c;
    c.num_key_value_heads = c.head_dim = 0; /* not its own */
    return c;
}

static inline void toy_model_declare(ToyModel *toy, const ModelConfig *cfg)
{
    *toy = (ToyModel){0};
    T_OK(params_create(&toy->ps));
    T_OK(model_create(cfg, toy->ps, &toy->model));
}

static inline void toy_shake(Rng *r, const Param *p)
{
    for (int64_t j = 0; j < p->n; j++) p->val[j] += (real)(0.2 * rng_normal(r));
}

/* Row 0 is two documents, row 1 one; every third token has no label. Weights are larger than at a
 * start, so that every gradient is well away from zero. */
static inline void toy_model_start(ToyModel *toy)
{
    T_OK(params_seal(toy->ps));
    for (int64_t i = 0; i < params_n_frozen(toy->ps); i++)
        T_OK(params_own(params_frozen_at(toy->ps, i)));
    T_OK(tape_create(&toy->tape));
    model_init_weights(toy->model, 5);
    toy->n = params_flat_n(toy->ps);
    toy->grad = mem_array(toy->n, sizeof(real));
    T_TRUE(toy->grad);
    params_bind_grad(toy->ps, toy->grad);
    Rng r;
    rng_init(&r, 6, 0);
    const ModelView view = model_view(toy->model);
    for (int64_t i = 0; i < view.n_param; i++) toy_shake(&r, view.param[i]);
    for (int i = 0; i < TOY_N; i++) {
        toy->tokens[i] = (int32_t)rng_below(&r, TOY_V);
        toy->labels[i] = i % 3 == 1 ? -1 : (int32_t)rng_below(&r, TOY_V);
        toy->doc_start[i] = i < TOY_T && i >= 3 ? 3 : 0;
        toy->batch.n_label += toy->labels[i] >= 0;
    }
    toy->batch.B = TOY_B;
    toy->batch.T = TOY_T;
    toy->batch.tokens = toy->tokens;
    toy->batch.labels = toy->labels;
    toy->batch.doc_start = toy->doc_start;
}

static inline void toy_model_init(ToyModel *toy, const ModelConfig *cfg)
{
    toy_model_declare(toy, cfg);
    toy_model_start(toy);
}

static inline void toy_model_fini(ToyModel *toy)
{
    tape_destroy(toy->tape);
    model_destroy(toy->model);
    params_destroy(toy->ps);
    mem_free(toy->grad);
}

static inline double toy_loss(const ToyModel *toy)
{
    double loss;
    T_OK(model_loss(toy->model, toy->tape, &toy->batch, false, &loss, NULL));
    return loss;
}

/* What a watch was told of a backward: the gradients that were said to be complete, as they stood then. */
typedef struct ToyWatch {
    ToyModel *toy;
    real *then;                        /* (n) from `complete` on */
    int64_t complete, n_call, n_early; /* n_early: numbers complete before the last call */
} ToyWatch;

static inline void toy_told(void *ctx, int64_t complete)
{
    ToyWatch *w = ctx;
    w->n_early = w->toy->n - w->complete;
    for (; w->complete > complete; w->complete--)
        w->then[w->complete - 1] = w->toy->grad[w->complete - 1];
    w->n_call++;
}

/* Gradients from zero. */
static inline double toy_backward(ToyModel *toy)
{
    double loss;
    memset(toy->grad, 0, (size_t)toy->n * sizeof(real));
    T_OK(model_loss(toy->model, toy->tape, &toy->batch, true, &loss, NULL));
    return loss;
}

/* Nothing is added to what was said to be complete, all is in the end. Returns how many numbers were before the last op. */
static inline int64_t toy_expect_complete(ToyModel *toy)
{
    ToyWatch w = {.toy = toy, .then = mem_array(toy->n, sizeof(real)), .complete = toy->n};
    T_TRUE(w.then);
    tape_watch(toy->tape, (TapeWatch){toy_told, &w});
    toy_backward(toy);
    tape_watch(toy->tape, (TapeWatch){NULL, NULL});
    T_TRUE(w.n_call > 0);
    T_EQ_I64(w.complete, 0);
    T_TRUE(memcmp(w.then, toy->grad, (size_t)toy->n * sizeof(real)) == 0);
    mem_free(w.then);
    return w.n_early;
}
#endif
