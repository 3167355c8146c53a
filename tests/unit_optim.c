/* unit_optim.c — update rules against ten-line versions in double, and what must not change their
 * bits. */
#include "optim/optim.h"
#include "optim/quant8.h"
#include "tests/test_helper.h"
#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    ROWS = 300,
    COLS = 211,
    N_STEP = 10
}; /* more than one stretch, and no multiple of a vector */
static const OptimCommon NO_CLIP = {.weight_decay = 0.1};
static const char *const NAMES[] = {"w", "norm", "bias", "emb"};

typedef union AnyOpts {
    double room[16];
} AnyOpts;

static const OptimDef *with_defaults(const char *name, AnyOpts *o)
{
    const OptimDef *def = optim_find(name);
    ck_assert_ptr_nonnull(def);
    ck_assert(def->opts_size <= sizeof *o);
    memset(o, 0, sizeof *o);
    opt_set_defaults(def->opts, o);
    return def;
}

/* A matrix, a norm, a bias, an embedding, with normal values. */
static ParamSet *tiny_params(void)
{
    ParamSet *ps = NULL;
    const int64_t matrix[] = {ROWS, COLS}, vector[] = {COLS}, table[] = {7, 5};
    T_OK(params_create(&ps));
    T_OK(params_add(ps, NAMES[0], PARAM_MATRIX, 2, matrix));
    T_OK(params_add(ps, NAMES[1], PARAM_NORM, 1, vector));
    T_OK(params_add(ps, NAMES[2], PARAM_BIAS, 1, vector));
    T_OK(params_add(ps, NAMES[3], PARAM_EMBEDDING, 2, table));
    T_OK(params_seal(ps));
    Rng r;
    rng_init(&r, 5, 0);
    for (int64_t k = 0; k < params_count(ps); k++)
        for (int64_t i = 0; i < params_at(ps, k)->n; i++)
            params_at(ps, k)->val[i] = (float)rng_normal(&r);
    return ps;
}

static float *gradient(const ParamSet *ps, uint64_t step)
{
    float *g = mem_array(params_flat_n(ps), sizeof *g);
    ck_assert_ptr_nonnull(g);
    Rng r;
    rng_init(&r, 6, step);
    for (int64_t k = 0; k < params_count(ps); k++)
        for (int64_t i = 0; i < params_at(ps, k)->n; i++)
            g[params_at(ps, k)->offset + i] = (float)(20.0 * rng_normal(&r));
    return g;
}

static double beta2_at(int step) /* changes half-way, as at the start of a branch */
{
    return step < N_STEP / 2 ? -1.0 : 0.999;
}

/* Runs N_STEP steps on tiny_params; the caller destroys both. */
static void run(const char *name, const AnyOpts *opts, const OptimCommon *common, ParamSet **ps,
                Optim **o)
{
    *ps = tiny_params();
    T_OK(optim_create(optim_find(name), opts, common, *ps, NULL, o));
    for (int t = 0; t < N_STEP; t++) {
        float *g = gradient(*ps, (uint64_t)t);
        const double norm = optim_grad_norm(*o, g, 0.01);
        optim_step(*o, *ps, g, 0.01, norm, 1e-2, beta2_at(t));
        mem_free(g);
    }
    T_EQ_I64(optim_updates(*o), N_STEP);
}

static float *whole_slot(const Optim *o, int i, const ParamSet *ps)
{
    float *x = mem_array(params_flat_n(ps), sizeof *x);
    ck_assert_ptr_nonnull(x);
    optim_slot_get(o, i, 0, params_flat_n(ps), x);
    return x;
}

static void adamw_in_double(double *p, double *m, double *v, double g, double wd, int t)
{
    const double b1 = 0.9, b2 = t <= N_STEP / 2 ? 0.95 : 0.999, lr = 1e-2;
    *m = b1 * *m + (1 - b1) * g;
    *v = b2 * *v + (1 - b2) * g * g;
    const double m_hat = *m / (1 - pow(b1, t)), v_hat = *v / (1 - pow(0.95, t));
    *p -= lr * wd * *p;
    *p -= lr * m_hat / (sqrt(v_hat) + 1e-8);
}

static void sgd_in_double(double *p, double *m, double g, double wd, bool nesterov)
{
    const double mu = 0.9, lr = 1e-2;
    *m = mu * *m + g;
    *p -= lr * wd * *p;
    *p -= lr * (nesterov ? g + mu * *m : *m);
}

static void ten_steps_against_double(const char *name, bool nesterov)
{
    const int64_t live = mem_live();
    AnyOpts opts;
    const OptimDef *def = with_defaults(name, &opts);
    if (nesterov) T_OK(opt_set(opt_find(def->opts, "nesterov"), &opts, "true", false));
    ParamSet *ps, *start = tiny_params();
    Optim *o;
    run(name, &opts, &NO_CLIP, &ps, &o);
    float *g[N_STEP];
    for (int t = 0; t < N_STEP; t++) g[t] = gradient(ps, (uint64_t)t);
    for (int64_t k = 0; k < params_count(ps); k++) {
        const Param *now = params_at(ps, k);
        const double wd = now->kind == PARAM_NORM || now->kind == PARAM_BIAS ? 0.0 : 0.1;
        for (int64_t i = 0; i < now->n; i++) {
            double p = (double)params_at(start, k)->val[i], m = 0.0, v = 0.0;
            for (int t = 0; t < N_STEP; t++) {
                const double gi = 0.01 * (double)g[t][now->offset + i];
                if (strcmp(name, "adamw") == 0)
                    adamw_in_double(&p, &m, &v, gi, wd, t + 1);
                else
                    sgd_in_double(&p, &m, gi, wd, nesterov);
            }
            T_NEAR(now->val[i], p, 2e-6);
            T_NEAR(optim_slot(o, 0)[now->offset + i], m, 1e-6);
        }
    }
    for (int t = 0; t < N_STEP; t++) mem_free(g[t]);
    optim_destroy(o);
    params_destroy(ps);
    params_destroy(start);
    T_EQ_I64(mem_live(), live);
}

START_TEST(adamw_is_the_formula)
{
    ten_steps_against_double("adamw", false);
}
END_TEST

START_TEST(sgd_is_the_formula)
{
    ten_steps_against_double("sgd", false);
    ten_steps_against_double("sgd", true);
}
END_TEST

START_TEST(bits_do_not_depend_on_threads)
{
    const int before = omp_get_max_threads();
    int64_t n;
    const OptimDef *const *all = optim_all(&n);
    for (int64_t d = 0; d < n; d++) {
        AnyOpts opts;
        with_defaults(all[d]->name, &opts);
        const OptimCommon clip = {.weight_decay = 0.1, .max_grad_norm = 1.0};
        ParamSet *one, *three;
        Optim *o1, *o3;
        omp_set_num_threads(1);
        run(all[d]->name, &opts, &clip, &one, &o1);
        omp_set_num_threads(3);
        run(all[d]->name, &opts, &clip, &three, &o3);
        const size_t n_bytes = (size_t)params_flat_n(one) * sizeof(float);
        T_TRUE(memcmp(params_flat(one), params_flat(three), n_bytes) == 0);
        for (int i = 0; i < optim_n_slot(o1); i++) {
            float *x1 = whole_slot(o1, i, one), *x3 = whole_slot(o3, i, three);
            T_TRUE(memcmp(x1, x3, n_bytes) == 0);
            mem_free(x1);
            mem_free(x3);
        }
        optim_destroy(o1);
        optim_destroy(o3);
        params_destroy(one);
        params_destroy(three);
    }
    omp_set_num_threads(before);
}
END_TEST

/* The rule works element by element: cut anywhere, it gives the same bits. */
START_TEST(bits_do_not_depend_on_the_cut)
{
    int64_t n_def;
    const OptimDef *const *all = optim_all(&n_def);
    for (int64_t d = 0; d < n_def; d++) {
        AnyOpts opts;
        with_defaults(all[d]->name, &opts);
        enum { N = 101 };
        float whole[4][N], parts[4][N];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < 4; j++) whole[j][i] = fabsf(sinf((float)(7 * i + j)));
        memcpy(parts, whole, sizeof whole);
        OptimCall c = {N,
                       whole[0],
                       whole[1],
                       {whole[2], whole[3]},
                       .scale = 0.5,
                       .lr = 1e-2,
                       .weight_decay = 0.1,
                       .beta2 = -1,
                       .t = 3};
        all[d]->step(&opts, &c);
        for (int i = 0; i < N; i += 13) {
            c = (OptimCall){N - i < 13 ? N - i : 13,      parts[0] + i, parts[1] + i,
                            {parts[2] + i, parts[3] + i}, .scale = 0.5, .lr = 1e-2,
                            .weight_decay = 0.1,          .beta2 = -1,  .t = 3};
            all[d]->step(&opts, &c);
        }
        T_TRUE(memcmp(parts, whole, sizeof whole) == 0);
    }
}
END_TEST

/* State taken out by slot name and put into a fresh optimizer continues with the same bits. */
START_TEST(slots_and_counter_are_the_whole_state)
{
    int64_t n;
    const OptimDef *const *all = optim_all(&n);
    for (int64_t d = 0; d < n; d++) {
        AnyOpts opts;
        with_defaults(all[d]->name, &opts);
        ParamSet *a, *b = tiny_params();
        Optim *oa, *ob;
        run(all[d]->name, &opts, &NO_CLIP, &a, &oa);
        T_OK(optim_create(all[d], &opts, &NO_CLIP, b, NULL, &ob));
        const int64_t n_flat = params_flat_n(a);
        const size_t n_bytes = (size_t)n_flat * sizeof(float);
        memcpy(params_flat(b), params_flat(a), n_bytes);
        for (int i = 0; i < optim_n_slot(oa); i++) {
            T_EQ_STR(optim_slot_name(oa, i), all[d]->slot[i]);
            float *copy = whole_slot(oa, i, a);
            for (int64_t k = 0; k < params_count(b); k++) {
                const Param *p = params_at(b, k);
                optim_slot_put(ob, i, p->offset, p->n, copy + p->offset);
            }
            mem_free(copy);
        }
        optim_set_updates(ob, optim_updates(oa));
        float *g = gradient(a, 99);
        optim_step(oa, a, g, 1.0, 1.0, 1e-3, -1.0);
        optim_step(ob, b, g, 1.0, 1.0, 1e-3, -1.0);
        T_TRUE(memcmp(params_flat(a), params_flat(b), n_bytes) == 0);
        mem_free(g);
        optim_destroy(oa);
        optim_destroy(ob);
        params_destroy(a);
        params_destroy(b);
    }
}
END_TEST

START_TEST(norm_is_euclid_in_double)
{
    AnyOpts opts;
    Optim *o;
    ParamSet *ps = tiny_params();
    float *g = gradient(ps, 1);
    T_OK(optim_create(with_defaults("sgd", &opts), &opts, &NO_CLIP, ps, NULL, &o));
    long double sum = 0.0L;
    for (int64_t i = 0; i < params_flat_n(ps); i++) sum += (long double)g[i] * g[i];
    const double expected = 0.01 * sqrt((double)sum);
    T_NEAR(optim_grad_norm(o, g, 0.01), expected, 1e-12 * expected);
    const int64_t last = params_at(ps, 3)->offset + params_at(ps, 3)->n - 1;
    g[last] = INFINITY;
    T_TRUE(!isfinite(optim_grad_norm(o, g, 0.01)));
    g[last] = NAN;
    T_TRUE(isnan(optim_grad_norm(o, g, 0.01)));
    mem_free(g);
    optim_destroy(o);
    params_destroy(ps);
}
END_TEST

/* sgd without momentum and decay moves by lr * gradient: what it moved is the clipped gradient. */
START_TEST(clipping_limits_the_norm)
{
    AnyOpts opts;
    const OptimDef *def = with_defaults("sgd", &opts);
    T_OK(opt_set(opt_find(def->opts, "momentum"), &opts, "0", false));
    const double limits[] = {0.5, 1e6, 0.0};
    for (int k = 0; k < 3; k++) {
        const OptimCommon common = {.max_grad_norm = limits[k]};
        ParamSet *ps = tiny_params();
        Optim *o;
        T_OK(optim_create(def, &opts, &common, ps, NULL, &o));
        float *g = gradient(ps, 1), *moved = mem_array(params_flat_n(ps), sizeof *moved);
        ck_assert_ptr_nonnull(moved);
        memset(params_flat(ps), 0, (size_t)params_flat_n(ps) * sizeof(float));
        const double norm = optim_grad_norm(o, g, 0.01);
        optim_step(o, ps, g, 0.01, norm, 1.0, -1.0);
        memcpy(moved, params_flat(ps), (size_t)params_flat_n(ps) * sizeof(float));
        const double expected = k == 0 ? 0.5 : norm;
        T_NEAR(optim_grad_norm(o, moved, 1.0), expected, 1e-6 * expected);
        mem_free(g);
        mem_free(moved);
        optim_destroy(o);
        params_destroy(ps);
    }
}
END_TEST

/* With a gradient of zero only the decay moves a weight. */
START_TEST(norms_and_biases_decay_when_asked_gates_never)
{
    AnyOpts opts;
    const OptimDef *def = with_defaults("adamw", &opts);
    for (int all = 0; all < 4; all++) {
        const bool is_gate = all >= 2; /* the matrix, which then never decays */
        const OptimCommon common = {.weight_decay = 0.1, .decay_norms_and_biases = all % 2};
        ParamSet *ps = tiny_params(), *start = tiny_params();
        Optim *o;
        if (is_gate) params_find(ps, NAMES[0])->kind = PARAM_GATE;
        T_OK(optim_create(def, &opts, &common, ps, NULL, &o));
        float *zero = mem_array(params_flat_n(ps), sizeof *zero);
        ck_assert_ptr_nonnull(zero);
        optim_step(o, ps, zero, 1.0, 0.0, 0.5, -1.0);
        for (int k = 0; k < N_OF(NAMES); k++) {
            const float now = params_find(ps, NAMES[k])->val[0];
            const float was = params_find(start, NAMES[k])->val[0];
            const bool decays = (all % 2 || k == 0 || k == 3) && !(is_gate && k == 0);
            T_NEAR(now, decays ? 0.95f * was : was, 1e-7);
        }
        mem_free(zero);
        optim_destroy(o);
        params_destroy(ps);
        params_destroy(start);
    }
}
END_TEST

/* After 200 updates at 0.95 a switch to 0.999 must leave the size of a step as it was. */
START_TEST(another_beta2_does_not_jump)
{
    AnyOpts opts;
    const OptimDef *def = with_defaults("adamw", &opts);
    float p = 0.0f, g = 1.0f, m = 0.0f, v = 0.0f;
    float moved = 0.0f;
    for (int64_t t = 1; t <= 210; t++) {
        const float was = p;
        def->step(&opts, &(OptimCall){1,
                                      &p,
                                      &g,
                                      {&m, &v},
                                      .scale = 1.0,
                                      .lr = 1e-3,
                                      .beta2 = t > 200 ? 0.999 : -1.0,
                                      .t = t});
        moved = was - p;
        if (t >= 200) T_NEAR(moved, 1e-3, 1e-7);
    }
}
END_TEST

/* A parameter with lr_scale 2 goes as all go at twice the rate, the others as before. */
START_TEST(a_parameter_may_have_its_own_rate)
{
    static const struct {
        double lr, lr_scale;
    } RUN[] = {{1e-2, 2}, {2e-2, 1}, {1e-2, 1}};
    ParamSet *ps[N_OF(RUN)];
    for (int64_t i = 0; i < N_OF(RUN); i++) {
        AnyOpts opts;
        Optim *o;
        const OptimDef *def = with_defaults("adamw", &opts);
        ps[i] = tiny_params();
        params_find(ps[i], NAMES[0])->lr_scale = RUN[i].lr_scale;
        T_OK(optim_create(def, &opts, &NO_CLIP, ps[i], NULL, &o));
        for (int t = 0; t < 3; t++) {
            float *g = gradient(ps[i], (uint64_t)t);
            optim_step(o, ps[i], g, 0.01, 1.0, RUN[i].lr, -1);
            mem_free(g);
        }
        optim_destroy(o);
    }
    for (int64_t k = 0; k < params_count(ps[0]); k++) {
        const Param *own = params_at(ps[0], k), *twice = params_at(ps[1], k),
                    *once = params_at(ps[2], k);
        const size_t n = (size_t)own->n * sizeof *own->val;
        T_TRUE((memcmp(own->val, twice->val, n) == 0) == (k == 0));
        T_TRUE((memcmp(own->val, once->val, n) == 0) == (k != 0));
    }
    for (int64_t i = 0; i < N_OF(RUN); i++) params_destroy(ps[i]);
}
END_TEST

/* Moments at zero are exact, so the first step is. Later ones are off by less than the rate; and
 * vectors and small tables, whose moments stay floats, go on with the same bits. */
START_TEST(eight_bits_are_for_large_matrices)
{
    static const char *const RULE[] = {"adamw", "adamw_8bit"};
    ParamSet *ps[2];
    Optim *o[2];
    for (int i = 0; i < 2; i++) {
        AnyOpts opts;
        ps[i] = tiny_params();
        T_OK(optim_create(with_defaults(RULE[i], &opts), &opts, &NO_CLIP, ps[i], NULL, &o[i]));
    }
    for (int t = 0; t < 3; t++) {
        float *g = gradient(ps[0], (uint64_t)t);
        for (int i = 0; i < 2; i++) optim_step(o[i], ps[i], g, 0.01, 1.0, 1e-2, -1);
        mem_free(g);
        for (int64_t k = 0; k < params_count(ps[0]); k++) {
            const Param *a = params_at(ps[0], k), *b = params_at(ps[1], k);
            const bool same = memcmp(a->val, b->val, (size_t)a->n * sizeof *a->val) == 0;
            T_TRUE(same == (k != 0 || t == 0));
            for (int64_t i = 0; i < a->n; i++) T_NEAR(a->val[i], b->val[i], 1e-2);
        }
    }
    for (int i = 0; i < 2; i++) {
        optim_destroy(o[i]);
        params_destroy(ps[i]);
    }
}
END_TEST

/* Y = X W + noise, a few rows a step: gives the mean squared error over all rows at the end. */
static double fit(const char *rule)
{
    enum { N_ROW = 256, N_BATCH = 32, N_IN = 64, N_OUT = 96, N_FIT = 400 };
    static float x[N_ROW][N_IN], y[N_ROW][N_OUT], error[N_OUT];
    const int64_t dim[] = {N_IN, N_OUT};
    const OptimCommon common = {0};
    AnyOpts opts;
    Rng r;
    ParamSet *ps = NULL;
    Optim *o;
    double sum = 0.0;
    T_OK(params_create(&ps));
    T_OK(params_add(ps, NAMES[0], PARAM_MATRIX, 2, dim));
    T_OK(params_seal(ps));
    T_OK(optim_create(with_defaults(rule, &opts), &opts, &common, ps, NULL, &o));
    float *w = params_flat(ps), *g = mem_array(params_flat_n(ps), sizeof *g);
    ck_assert_ptr_nonnull(g);
    rng_init(&r, 11, 0);
    for (int i = 0; i < N_ROW; i++) {
        for (int k = 0; k < N_IN; k++) x[i][k] = (float)rng_normal(&r);
        for (int j = 0; j < N_OUT; j++)
            y[i][j] = x[i][j % N_IN] - 0.5f * x[i][3 * j % N_IN] + (float)rng_normal(&r);
    }
    for (int t = 0; t <= N_FIT; t++) {
        const bool last = t == N_FIT;
        memset(g, 0, (size_t)params_flat_n(ps) * sizeof *g);
        for (int i = 0; i < (last ? N_ROW : N_BATCH); i++) {
            const int row = (t * N_BATCH + i) % N_ROW;
            for (int j = 0; j < N_OUT; j++) error[j] = -y[row][j];
            for (int k = 0; k < N_IN; k++)
                for (int j = 0; j < N_OUT; j++) error[j] += x[row][k] * w[k * N_OUT + j];
            for (int k = 0; k < N_IN; k++)
                for (int j = 0; j < N_OUT; j++) g[k * N_OUT + j] += x[row][k] * error[j];
            for (int j = 0; last && j < N_OUT; j++) sum += (double)error[j] * error[j];
        }
        if (!last) optim_step(o, ps, g, 1.0 / N_BATCH, 0.0, 0.02 * (N_FIT - t) / N_FIT, -1);
    }
    mem_free(g);
    optim_destroy(o);
    params_destroy(ps);
    return sum / (N_ROW * N_OUT);
}

START_TEST(eight_bits_reach_the_loss_of_adamw)
{
    const double loss = fit("adamw");
    T_TRUE(loss < 1.0); /* that of the noise alone; at the start 2.2 */
    T_NEAR(fit("adamw_8bit"), loss, 1e-3 * loss);
}
END_TEST

/* What is foretold, beside what does not depend on the rule; and two bytes a number and scales. */
START_TEST(slots_take_the_bytes_foretold)
{
    int64_t n, other = 0;
    const OptimDef *const *all = optim_all(&n);
    ParamSet *ps = tiny_params();
    for (int64_t d = 0; d < n; d++) {
        AnyOpts opts;
        Optim *o;
        with_defaults(all[d]->name, &opts);
        const int64_t before = mem_live_bytes();
        T_OK(optim_create(all[d], &opts, &NO_CLIP, ps, NULL, &o));
        const int64_t foretold = optim_bytes(all[d], &NO_CLIP, ps, NULL),
                      left = mem_live_bytes() - before - foretold;
        if (d == 0) other = left;
        const int64_t tables = all[d]->packing[0] ? 2 * (int64_t)sizeof(Quant8) : 0;
        T_TRUE(left >= other - 64 && left <= other + 64 + tables);
        if (tables) T_TRUE((double)foretold < 2.1 * (double)params_flat_n(ps));
        optim_destroy(o);
    }
    params_destroy(ps);
}
END_TEST

START_TEST(defaults_are_documented_ones)
{
    OptimCommon common;
    opt_set_defaults(OPTIM_COMMON_OPTS, &common);
    T_TRUE(common.weight_decay == 0.1 && common.max_grad_norm == 1.0 &&
           !common.decay_norms_and_biases);
    const OptimDef *adamw = optim_find("adamw");
    T_TRUE(opt_find(adamw->opts, "adam_beta1")->def_num == 0.9);
    T_TRUE(opt_find(adamw->opts, "adam_beta2")->def_num == 0.95);
    T_TRUE(opt_find(adamw->opts, "adam_epsilon")->def_num == 1e-8);
    ck_assert_ptr_null(optim_find("adam"));
}
END_TEST

START_TEST(running_out_of_memory_leaks_nothing)
{
    AnyOpts opts;
    const OptimDef *def = with_defaults("adamw", &opts);
    ParamSet *ps = tiny_params();
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        Optim *o = NULL;
        fault_arm(n, false);
        const Status rc = optim_create(def, &opts, &NO_CLIP, ps, NULL, &o);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc == ST_NOMEM));
        T_TRUE(hit == (o == NULL));
        status_clear();
        optim_destroy(o);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    params_destroy(ps);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {adamw_is_the_formula,
                            sgd_is_the_formula,
                            bits_do_not_depend_on_threads,
                            bits_do_not_depend_on_the_cut,
                            slots_and_counter_are_the_whole_state,
                            eight_bits_are_for_large_matrices,
                            eight_bits_reach_the_loss_of_adamw,
                            slots_take_the_bytes_foretold,
                            norm_is_euclid_in_double,
                            clipping_limits_the_norm,
                            norms_and_biases_decay_when_asked_gates_never,
                            a_parameter_may_have_its_own_rate,
                            another_beta2_does_not_jump,
                            defaults_are_documented_ones,
                            running_out_of_memory_leaks_nothing};
    return test_main("unit.optim", tests, N_OF(tests));
}
