/* unit_model.c — the Llama forward against a plain one; invariances, random start and cost figures of all
 * families. */
#include "tests/toy_model.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>

/* --- the judge: one document, position by position, straight from modeling_llama.py; no biases ---
 */

enum { W_MAX = 64 };

static const real *judge_param(const ToyModel *toy, int layer, const char *name)
{
    char full[128];
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    const Param *p = params_find(toy->ps, full);
    ck_assert_msg(p, "no parameter %s", full);
    return p->val;
}

static void judge_norm(const real *w, const double *x, int64_t n, double eps, double *y)
{
    double square = 0;
    for (int64_t i = 0; i < n; i++) square += x[i] * x[i];
    for (int64_t i = 0; i < n; i++) y[i] = w[i] * x[i] / sqrt(square / (double)n + eps);
}

static void judge_linear(const real *w, const double *x, int64_t n_out, int64_t n_in, double *y)
{
    for (int64_t o = 0; o < n_out; o++) {
        y[o] = 0;
        for (int64_t i = 0; i < n_in; i++) y[o] += w[o * n_in + i] * x[i];
    }
}

/* apply_rotary_pos_emb with rotate_half: x cos + (-x2, x1) sin. */
static void judge_rotate(double *x, int64_t n_head, int64_t D, double theta, int64_t pos)
{
    for (int64_t h = 0; h < n_head; h++) {
        double turned[W_MAX];
        for (int64_t i = 0; i < D; i++) {
            const double angle = (double)pos / pow(theta, 2.0 * (double)(i % (D / 2)) / (double)D);
            const double other = i < D / 2 ? -x[h * D + i + D / 2] : x[h * D + i - D / 2];
            turned[i] = x[h * D + i] * cos(angle) + other * sin(angle);
        }
        memcpy(x + h * D, turned, (size_t)D * sizeof *x);
    }
}

static void judge_attend(const ModelConfig *c, const double *q, double (*k)[W_MAX],
                         double (*v)[W_MAX], int64_t t, double *y)
{
    const int64_t D = c->head_dim, share = c->num_attention_heads / c->num_key_value_heads;
    for (int64_t h = 0; h < c->num_attention_heads; h++) {
        double sum = 0, p[TOY_T];
        for (int64_t s = 0; s <= t; s++) {
            double score = 0;
            for (int64_t i = 0; i < D; i++) score += q[h * D + i] * k[s][h / share * D + i];
            p[s] = exp(score / sqrt((double)D));
            sum += p[s];
        }
        for (int64_t i = 0; i < D; i++) {
            y[h * D + i] = 0;
            for (int64_t s = 0; s <= t; s++) y[h * D + i] += p[s] / sum * v[s][h / share * D + i];
        }
    }
}

/* Logits of all n tokens of one document. */
static void judge_forward(const ToyModel *toy, const int32_t *tokens, int64_t n,
                          double (*logits)[TOY_V])
{
    const ModelConfig *c = model_config(toy->model);
    const int64_t C = c->hidden_size, I = c->intermediate_size, D = c->head_dim;
    const int64_t A = c->num_attention_heads * D, K = c->num_key_value_heads * D;
    double x[TOY_T][W_MAX], k[TOY_T][W_MAX], v[TOY_T][W_MAX], h[W_MAX], q[W_MAX], a[W_MAX],
        g[W_MAX], u[W_MAX];
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < C; i++)
            x[t][i] = judge_param(toy, -1, "model.embed_tokens.weight")[tokens[t] * C + i];
    for (int l = 0; l < c->num_hidden_layers; l++) {
        for (int64_t t = 0; t < n; t++) {
            judge_norm(judge_param(toy, l, "input_layernorm.weight"), x[t], C, c->rms_norm_eps, h);
            judge_linear(judge_param(toy, l, "self_attn.q_proj.weight"), h, A, C, q);
            judge_linear(judge_param(toy, l, "self_attn.k_proj.weight"), h, K, C, k[t]);
            judge_linear(judge_param(toy, l, "self_attn.v_proj.weight"), h, K, C, v[t]);
            judge_rotate(q, c->num_attention_heads, D, c->rope_theta, t);
            judge_rotate(k[t], c->num_key_value_heads, D, c->rope_theta, t);
            judge_attend(c, q, k, v, t, a);
            judge_linear(judge_param(toy, l, "self_attn.o_proj.weight"), a, C, A, h);
            for (int64_t i = 0; i < C; i++) x[t][i] += h[i];
            judge_norm(judge_param(toy, l, "post_attention_layernorm.weight"), x[t], C,
                       c->rms_norm_eps, h);
            judge_linear(judge_param(toy, l, "mlp.gate_proj.weight"), h, I, C, g);
            judge_linear(judge_param(toy, l, "mlp.up_proj.weight"), h, I, C, u);
            for (int64_t i = 0; i < I; i++) u[i] *= g[i] / (1 + exp(-g[i]));
            judge_linear(judge_param(toy, l, "mlp.down_proj.weight"), u, C, I, h);
            for (int64_t i = 0; i < C; i++) x[t][i] += h[i];
        }
    }
    for (int64_t t = 0; t < n; t++) {
        judge_norm(judge_param(toy, -1, "model.norm.weight"), x[t], C, c->rms_norm_eps, h);
        judge_linear(judge_param(toy, -1, "lm_head.weight"), h, TOY_V, C, logits[t]);
    }
}

static double judge_nats(const double *logits, int32_t label)
{
    double sum = 0;
    for (int i = 0; i < TOY_V; i++) sum += exp(logits[i]);
    return log(sum) - logits[label];
}

START_TEST(logits_and_losses_are_those_of_the_plain_forward)
{
    /* row 0: documents of 3 and 4 tokens, row 1: one of 7 */
    static const int64_t start[] = {0, 3, TOY_T, TOY_N};
    const ModelConfig c = toy_config();
    ToyModel toy;
    double want[TOY_N][TOY_V], loss, sum = 0;
    real got[TOY_N * TOY_V];
    int64_t rows[TOY_N];
    const real *nats;
    toy_model_init(&toy, &c);
    for (int i = 0; i < 3; i++)
        judge_forward(&toy, toy.tokens + start[i], start[i + 1] - start[i], want + start[i]);
    for (int i = 0; i < TOY_N; i++) rows[i] = i;
    T_OK(model_logits(toy.model, toy.tape, &toy.batch, TOY_N, rows, got));
    for (int i = 0; i < TOY_N; i++)
        for (int j = 0; j < TOY_V; j++) T_NEAR(got[i * TOY_V + j], want[i][j], 1e-4);
    T_OK(model_loss(toy.model, toy.tape, &toy.batch, false, &loss, &nats));
    for (int i = 0; i < TOY_N; i++) {
        const double expected = toy.labels[i] < 0 ? 0 : judge_nats(want[i], toy.labels[i]);
        T_NEAR(nats[i], expected, 1e-4);
        sum += expected;
    }
    T_NEAR(loss, sum, 1e-3);
    toy_model_fini(&toy);
}
END_TEST

/* --- invariances --- */

static void check_same_bits(const ModelConfig *c)
{
    const int n_thread = omp_get_max_threads();
    ToyModel toy;
    toy_model_init(&toy, c);
    const double loss = toy_backward(&toy);
    const size_t bytes = (size_t)toy.n * sizeof(real);
    real *grad = mem_alloc(bytes);
    T_TRUE(grad);
    memcpy(grad, toy.grad, bytes);
    for (int on = 0; on < 2; on++) {
        for (int n = 1; n <= 3; n++) {
            omp_set_num_threads(n);
            tape_checkpointing(toy.tape, on);
            T_TRUE(toy_backward(&toy) == loss);
            T_TRUE(memcmp(grad, toy.grad, bytes) == 0);
            T_TRUE(toy_loss(&toy) == loss);
        }
    }
    omp_set_num_threads(n_thread);
    mem_free(grad);
    toy_model_fini(&toy);
}

START_TEST(same_bits_with_checkpointing_and_any_thread_count)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        check_same_bits(&c);
    }
}
END_TEST

/* The upper blocks before the lower ones. */
START_TEST(gradients_are_complete_when_it_is_said)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++)
        for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
            ToyModel toy;
            const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
            toy_model_init(&toy, &c);
            tape_checkpointing(toy.tape, checkpointing);
            T_TRUE(toy_expect_complete(&toy) > toy.n / 3);
            toy_model_fini(&toy);
        }
}
END_TEST

START_TEST(gradients_are_added_and_not_divided)
{
    const ModelConfig c = toy_config();
    ToyModel toy;
    double loss;
    toy_model_init(&toy, &c);
    const double once_loss = toy_backward(&toy);
    const Param *p = params_find(toy.ps, "model.layers.1.mlp.up_proj.weight");
    const real once = p->grad[3];
    T_OK(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL));
    T_TRUE(loss == once_loss);
    T_NEAR(p->grad[3], 2 * once, 1e-5 * fabs((double)once));
    toy_model_fini(&toy);
}
END_TEST

START_TEST(a_few_steps_downhill_lower_the_loss)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        ToyModel toy;
        toy_model_init(&toy, &c);
        const double first = toy_backward(&toy);
        for (int step = 0; step < 40; step++) {
            real *w = params_flat(toy.ps);
            for (int64_t k = 0; k < toy.n; k++) w[k] -= (real)0.02 * toy.grad[k];
            toy_backward(&toy);
        }
        const double last = toy_loss(&toy);
        ck_assert_msg(last < 0.7 * first, "%s: %.4f after %.4f", c.model_type, last, first);
        toy_model_fini(&toy);
    }
}
END_TEST

/* What the window hides has no influence: the token before it may be any. */
START_TEST(a_window_hides_what_is_before_it)
{
    static const char *const windowed[] = {"mistral", "qwen2", "qwen3"};
    for (int64_t i = 0; i < N_OF(windowed); i++) {
        ModelConfig c = toy_family_config(windowed[i]);
        ToyModel toy;
        real before[TOY_V], after[TOY_V];
        const int64_t last = TOY_N - 1;
        c.num_hidden_layers = 1;
        c.max_window_layers = 0;
        toy_model_init(&toy, &c);
        for (int hidden = 3; hidden >= 2; hidden--) { /* tokens back: the window sees 0, 1, 2 */
            T_OK(model_logits(toy.model, toy.tape, &toy.batch, 1, &last, before));
            toy.tokens[last - hidden] = (toy.tokens[last - hidden] + 1) % TOY_V;
            T_OK(model_logits(toy.model, toy.tape, &toy.batch, 1, &last, after));
            T_TRUE((memcmp(before, after, sizeof after) == 0) == (hidden == 3));
        }
        toy_model_fini(&toy);
    }
}
END_TEST

/* Its row gets no gradient as an input; all other gradients are what they were. */
START_TEST(padding_learns_nothing_as_an_input)
{
    ModelConfig c = toy_config();
    ToyModel all, padded;
    toy_model_init(&all, &c);
    c.pad_token_id = all.tokens[4];
    toy_model_init(&padded, &c);
    T_TRUE(toy_backward(&all) == toy_backward(&padded));
    const Param *table = params_find(all.ps, "model.embed_tokens.weight");
    const int64_t first = table->offset + c.pad_token_id * c.hidden_size;
    double size = 0;
    for (int64_t i = 0; i < all.n; i++) {
        const bool row = i >= first && i < first + c.hidden_size;
        T_TRUE(padded.grad[i] == (row ? 0 : all.grad[i]));
        if (row) size += fabs((double)all.grad[i]);
    }
    T_TRUE(size > 1e-3);
    toy_model_fini(&all);
    toy_model_fini(&padded);
}
END_TEST

/* --- random start --- */

static void declare(const ModelConfig *c, ParamSet **ps, Model **m)
{
    T_OK(params_create(ps));
    T_OK(model_create(c, *ps, m));
}

static double spread(const Param *p)
{
    double square = 0;
    for (int64_t i = 0; i < p->n; i++) square += (double)p->val[i] * (double)p->val[i];
    return sqrt(square / (double)p->n);
}

START_TEST(random_weights_have_the_declared_spread)
{
    ModelConfig c = toy_config();
    ParamSet *ps;
    Model *m;
    c.hidden_size = 64;
    c.head_dim = 16;
    c.intermediate_size = 160;
    c.vocab_size = 500;
    for (int normal = 0; normal < 2; normal++) {
        c.initializer = normal ? "normal" : "scaled";
        c.initializer_range = 0.03;
        T_OK(params_create(&ps));
        T_OK(model_create(&c, ps, &m));
        T_OK(params_seal(ps));
        model_init_weights(m, 1);
        const double in = normal ? 0.03 : 0.7 / sqrt(64),
                     out = normal ? 0.03 : 0.7 / sqrt(160) / sqrt(2 * 2);
        T_NEAR(spread(params_find(ps, "model.layers.0.mlp.up_proj.weight")), in, 0.02 * in);
        T_NEAR(spread(params_find(ps, "model.layers.1.mlp.down_proj.weight")), out, 0.02 * out);
        const Param *head = params_find(ps, "lm_head.weight");
        T_NEAR(spread(head), normal ? 0.03 : 0.02, 4e-4);
        Rng r = {1, rng_hash_bytes(head->name, strlen(head->name), 0), 20000};
        T_NEAR(head->val[20000], (normal ? 0.03 : 0.02) * rng_normal(&r), 1e-7);
        T_TRUE(params_find(ps, "model.norm.weight")->val[5] == 1);
        model_destroy(m);
        params_destroy(ps);
    }
}
END_TEST

/* Matrices stored (in,out) by their inputs; what scales by 1 + weight starts at 0. */
START_TEST(random_weights_of_other_families)
{
    ModelConfig c = toy_family_config("gpt2");
    ParamSet *ps;
    Model *m;
    c.hidden_size = 64;
    c.intermediate_size = 160;
    declare(&c, &ps, &m);
    T_OK(params_seal(ps));
    model_init_weights(m, 1);
    const double in = 0.7 / sqrt(64), out = 0.7 / sqrt(160) / sqrt(2 * 2);
    T_NEAR(spread(params_find(ps, "transformer.h.0.mlp.c_fc.weight")), in, 0.02 * in);
    T_NEAR(spread(params_find(ps, "transformer.h.1.mlp.c_proj.weight")), out, 0.02 * out);
    T_TRUE(params_find(ps, "transformer.ln_f.weight")->val[5] == 1);
    T_TRUE(params_find(ps, "transformer.ln_f.bias")->val[5] == 0);
    model_destroy(m);
    params_destroy(ps);

    c = toy_family_config("gemma2");
    declare(&c, &ps, &m);
    T_OK(params_seal(ps));
    model_init_weights(m, 1);
    T_TRUE(params_find(ps, "model.layers.0.post_feedforward_layernorm.weight")->val[5] == 0);
    model_destroy(m);
    params_destroy(ps);
}
END_TEST

START_TEST(random_weights_depend_on_seed_and_name_only)
{
    const ModelConfig c = toy_config();
    ModelConfig deeper = c;
    deeper.num_hidden_layers = 3;
    deeper.num_attention_heads = 4;
    ParamSet *ps[3];
    Model *m[3];
    static const char name[] = "model.layers.1.self_attn.q_proj.weight";
    const int n_thread = omp_get_max_threads();
    for (int i = 0; i < 3; i++) {
        omp_set_num_threads(1 + i);
        T_OK(params_create(&ps[i]));
        T_OK(model_create(i == 1 ? &deeper : &c, ps[i], &m[i]));
        T_OK(params_seal(ps[i]));
        model_init_weights(m[i], i == 2 ? 6 : 5);
    }
    omp_set_num_threads(n_thread);
    const Param *a = params_find(ps[0], name), *b = params_find(ps[1], name),
                *other_seed = params_find(ps[2], name);
    T_TRUE(memcmp(a->val, b->val, (size_t)a->n * sizeof(real)) == 0);
    T_TRUE(memcmp(a->val, other_seed->val, (size_t)a->n * sizeof(real)) != 0);
    const Param *other_name = params_find(ps[0], "model.layers.0.self_attn.q_proj.weight");
    T_TRUE(memcmp(a->val, other_name->val, (size_t)a->n * sizeof(real)) != 0);
    for (int i = 0; i < 3; i++) {
        model_destroy(m[i]);
        params_destroy(ps[i]);
    }
}
END_TEST

/* --- figures --- */

START_TEST(parameters_and_work_are_counted)
{
    ModelConfig c;
    ParamSet *ps;
    Model *m;
    opt_set_defaults(MODEL_OPTS, &c);
    declare(&c, &ps, &m);
    T_EQ_I64(model_n_params(m), 869504); /* the default model is that of the demo */
    T_NEAR(model_flops_per_token(m, 128), 5.81e6, 0.01e6);
    model_destroy(m);
    params_destroy(ps);
    for (int64_t i = 0; i < 2 * N_OF(TOY_FAMILIES); i++) {
        c = toy_family_config(TOY_FAMILIES[i / 2]);
        c.tie_word_embeddings = i % 2;
        declare(&c, &ps, &m);
        const int64_t n = model_n_params(m),
                      tables = (c.tie_word_embeddings ? 1 : 2) * TOY_V * c.hidden_size;
        T_OK(params_seal(ps));
        T_EQ_I64(params_n_elem(ps), n);
        const int64_t positions =
            strcmp(c.model_type, "gpt2") == 0 ? c.max_position_embeddings * c.hidden_size : 0;
        const double work = model_flops_per_token(m, 5) - model_attention_flops_per_token(m, 5);
        T_NEAR(work, 6.0 * (double)(n - tables - positions + TOY_V * c.hidden_size), 1e-9);
        model_destroy(m);
        params_destroy(ps);
    }
}
END_TEST

/* The pairs of a query and a key that a causal mask with a window leaves, counted. */
START_TEST(a_window_saves_work)
{
    enum { T = 40, WINDOW = 6 };
    static const struct {
        const char *model_type;
        int n_windowed; /* of four layers */
    } of[] = {{"llama", 0}, {"gpt2", 0}, {"mistral", 4}, {"gemma2", 2}, {"qwen2", 3}};
    for (int64_t i = 0; i < N_OF(of); i++) {
        ModelConfig c = toy_family_config(of[i].model_type);
        ParamSet *ps;
        Model *m;
        c.num_hidden_layers = 4;
        c.sliding_window = WINDOW;
        double full = 0, windowed = 0;
        for (int t = 0; t < T; t++) {
            full += t + 0.5; /* the token itself counts half, as in T * T / 2 */
            windowed += t < WINDOW ? t + 0.5 : WINDOW;
        }
        declare(&c, &ps, &m);
        const int64_t width = c.num_attention_heads * model_config(m)->head_dim;
        const double pairs = (4 - of[i].n_windowed) * full + of[i].n_windowed * windowed;
        T_NEAR(model_attention_flops_per_token(m, T), 2 * 12.0 * pairs / T * (double)width, 1e-6);
        model_destroy(m);
        params_destroy(ps);
    }
}
END_TEST

static void check_memory(const ModelConfig *c)
{
    enum { B = 1, T = 128, N = B * T };
    static int32_t tokens[N], doc_start[N];
    const Batch batch = {
        .B = B, .T = T, .tokens = tokens, .labels = tokens, .doc_start = doc_start, .n_label = N};
    ParamSet *ps;
    Model *m;
    double loss;
    declare(c, &ps, &m);
    T_OK(params_seal(ps));
    real *grad = mem_array(params_flat_n(ps), sizeof(real));
    params_bind_grad(ps, grad);
    for (int on = 0; on < 2; on++) {
        Tape *t;
        T_OK(tape_create(&t));
        tape_checkpointing(t, on);
        for (int piece = 0; piece < 2; piece++) T_OK(model_loss(m, t, &batch, true, &loss, NULL));
        const double held = (double)tape_bytes(t),
                     foreseen = (double)model_activation_bytes(m, B, T, on);
        ck_assert_msg(fabs(held / foreseen - 1) < 0.25, "%s: held %.0f bytes, foreseen %.0f",
                      c->model_type, held, foreseen);
        tape_destroy(t);
    }
    mem_free(grad);
    model_destroy(m);
    params_destroy(ps);
}

START_TEST(activation_memory_is_foreseen)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        ModelConfig c;
        opt_set_defaults(MODEL_OPTS, &c);
        c.model_type = TOY_FAMILIES[i];
        c.num_hidden_layers = 6;
        c.hidden_size = 64;
        c.intermediate_size = 176;
        check_memory(&c);
    }
}
END_TEST

/* --- refusals --- */

static Status try_config(const ModelConfig *c)
{
    Status rc = ST_OK;
    ParamSet *ps = NULL;
    Model *m = NULL;
    TRY(params_create(&ps));
    TRY(model_create(c, ps, &m));
out:
    model_destroy(m);
    params_destroy(ps);
    return rc;
}

START_TEST(impossible_sizes_are_refused)
{
    ModelConfig c = toy_config();
    c.head_dim = 3;
    T_FAILS(try_config(&c), CONFIG, "head_dim is 3");
    c.head_dim = 2 * MAX_HEAD_DIM;
    T_FAILS(try_config(&c), CONFIG, "head_dim is 2048, the most is 1024");
    c.head_dim = 0;
    c.hidden_size = 13;
    T_FAILS(try_config(&c), CONFIG, "hidden_size 13 is no multiple of num_attention_heads 4");
    c = toy_config();
    c.num_key_value_heads = 3;
    T_FAILS(try_config(&c), CONFIG,
            "num_attention_heads 4 is no multiple of num_key_value_heads 3");
    c = toy_config();
    c.model_type = "lama";
    T_FAILS(try_config(&c), CONFIG, "unknown model_type \"lama\"; known: llama|mistral");
}
END_TEST

START_TEST(batches_that_do_not_fit_are_refused)
{
    ModelConfig c = toy_config();
    ToyModel toy;
    double loss;
    real logits[TOY_V];
    c.max_position_embeddings = TOY_T - 1;
    toy_model_init(&toy, &c);
    T_FAILS(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL), CONFIG,
            "a row has 7 tokens, max_position_embeddings is 6");
    toy_model_fini(&toy);

    c = toy_config();
    toy_model_init(&toy, &c);
    T_FAILS(model_logits(toy.model, toy.tape, &toy.batch, 1, &(int64_t){TOY_N}, logits), SHAPE,
            "row 14, the batch has 14");
    toy.tokens[2] = TOY_V;
    T_FAILS(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL), SHAPE, "id 11 at 2");
    toy.tokens[2] = 0;
    toy.labels[3] = TOY_V;
    T_FAILS(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL), SHAPE, "11");
    toy.labels[3] = 0;
    toy.doc_start[4] = 5;
    T_FAILS(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL), SHAPE,
            "its document starts at 5");
    toy_model_fini(&toy);
}
END_TEST

START_TEST(running_out_of_memory_is_an_error_and_leaks_nothing)
{
    const int64_t live = mem_live();
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        for (int n = 1;; n++) {
            fault_arm(n, false);
            const Status rc = try_config(&c);
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc == ST_NOMEM));
            status_clear();
            T_EQ_I64(mem_live(), live);
            if (!hit) break;
        }
    }
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {
        logits_and_losses_are_those_of_the_plain_forward,
        same_bits_with_checkpointing_and_any_thread_count,
        gradients_are_complete_when_it_is_said,
        gradients_are_added_and_not_divided,
        a_few_steps_downhill_lower_the_loss,
        a_window_hides_what_is_before_it,
        padding_learns_nothing_as_an_input,
        random_weights_have_the_declared_spread,
        random_weights_of_other_families,
        random_weights_depend_on_seed_and_name_only,
        parameters_and_work_are_counted,
        a_window_saves_work,
        activation_memory_is_foreseen,
        impossible_sizes_are_refused,
        batches_that_do_not_fit_are_refused,
        running_out_of_memory_is_an_error_and_leaks_nothing,
    };
    return test_main("unit.model", t, N_OF(t));
}
