/* unit_attention.c — attention against T x T scores in double, over random shapes and key ranges. */
#include "tests/op_run.h"
#include "trainer/tensor/kernels/pairs.h"
#include <math.h>
#include <stdio.h>

/* The bound on every output and gradient: values are of order one, sums have up to 140 terms. */
static const double LIMIT = sizeof(real) == sizeof(double) ? 1e-13 : 1e-5;

typedef struct Scene {
    AttentionArg arg;
    KeyRange *range;
    OpRun run;
    double *want[4]; /* y, dq, dk, dv */
} Scene;

static int64_t below(Rng *rng, int64_t n)
{
    return (int64_t)rng_below(rng, (uint64_t)n);
}

typedef enum Pattern { CAUSAL, PACKED, SINK_WINDOW, BOTH_WAYS, N_PATTERN } Pattern;

/* Ranges of one group, keys counted from `base`. */
static void draw_ranges(Pattern p, int64_t n_query, int64_t n_key, int64_t base, KeyRange *range,
                        Rng *rng)
{
    int64_t doc = 0;
    const int64_t sink = below(rng, 5), window = 1 + below(rng, 90);
    for (int64_t t = 0; t < n_query; t++) {
        const int64_t last = n_key - n_query + t; /* the query's own key */
        if (below(rng, 20) == 0) doc = last;
        KeyRange r[2] = {{0, (int32_t)last + 1}, {0, 0}};
        if (p == PACKED) r[0].first = (int32_t)doc;
        if (p == BOTH_WAYS) r[0].end = (int32_t)n_key;
        if (p == SINK_WINDOW && last - window > sink) {
            r[0].end = (int32_t)sink;
            r[1] = (KeyRange){(int32_t)(last - window), (int32_t)last + 1};
        }
        for (int i = 0; i < 2; i++)
            range[2 * t + i] = (KeyRange){r[i].first + (int32_t)base, r[i].end + (int32_t)base};
    }
}

static void scene_init(Scene *s, Pattern p, int64_t head_dim, Rng *rng)
{
    const int64_t n_group = 1 + below(rng, 3), n_query = 1 + below(rng, 90),
                  n_key = n_query + below(rng, 50);
    const int64_t n_kv_head = 1 + below(rng, 2), n_head = n_kv_head * (1 + below(rng, 3));
    s->range = mem_array(2 * n_group * n_query, sizeof *s->range);
    T_TRUE(s->range);
    for (int64_t g = 0; g < n_group; g++)
        draw_ranges(p, n_query, n_key, g * n_key, s->range + 2 * g * n_query, rng);
    s->arg = (AttentionArg){.keys = {n_group * n_query, n_group * n_key, n_group, 2, s->range},
                            .n_head = n_head,
                            .n_kv_head = n_kv_head,
                            .head_dim = head_dim};
    if (below(rng, 2)) s->arg.scale = 0.2 + rng_uniform(rng);
    if (below(rng, 2)) s->arg.softcap = 0.5 + rng_uniform(rng);
    const int64_t dim[3][2] = {{n_group * n_query, n_head * head_dim},
                               {n_group * n_key, n_kv_head * head_dim},
                               {n_group * n_key, n_kv_head * head_dim}};
    op_run_init(&s->run, &op_attention, 3, dim, &s->arg, rng);
    for (int i = 0; i < 4; i++) {
        s->want[i] = mem_array(i == 0 ? s->run.out.n : s->run.in[i - 1].n, sizeof(double));
        T_TRUE(s->want[i]);
    }
}

static void scene_fini(Scene *s)
{
    op_run_fini(&s->run);
    mem_free(s->range);
    for (int i = 0; i < 4; i++) mem_free(s->want[i]);
}

static double row_dot(const real *a, const real *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* One query of one head, as the formulas stand in op_attention.c. */
static void naive_query(const Scene *s, int64_t i, int64_t head, double *p, double *dp,
                        double *slope)
{
    const AttentionArg *arg = &s->arg;
    const int64_t D = arg->head_dim, n_key = arg->keys.n_key,
                  kv = head / (arg->n_head / arg->n_kv_head);
    const int64_t at = (i * arg->n_head + head) * D, at_kv = kv * D, ld = arg->n_kv_head * D;
    const real *q = s->run.in[0].val + at, *k = s->run.in[1].val + at_kv,
               *v = s->run.in[2].val + at_kv;
    const real *dy = s->run.out.grad + at;
    const double scale = arg->scale != 0 ? arg->scale : 1 / sqrt((double)D), cap = arg->softcap;
    double sum = 0, delta = 0;
    for (int64_t j = 0; j < n_key; j++) {
        bool seen = false;
        for (int r = 0; r < 2; r++)
            seen |= j >= s->range[2 * i + r].first && j < s->range[2 * i + r].end;
        const double score = scale * row_dot(q, k + j * ld, D);
        slope[j] = cap != 0 ? 1 - pow(tanh(score / cap), 2) : 1;
        p[j] = exp(cap != 0 ? cap * tanh(score / cap) : score); /* small: no maximum */
        if (!seen) p[j] = 0;
        sum += p[j];
    }
    for (int64_t j = 0; j < n_key; j++) {
        p[j] /= sum;
        dp[j] = row_dot(dy, v + j * ld, D);
        delta += p[j] * dp[j];
    }
    for (int64_t j = 0; j < n_key; j++) {
        const double ds = p[j] * (dp[j] - delta) * slope[j] * scale;
        for (int64_t c = 0; c < D; c++) {
            s->want[0][at + c] += p[j] * (double)v[j * ld + c];
            s->want[1][at + c] += ds * (double)k[j * ld + c];
            s->want[2][at_kv + j * ld + c] += ds * (double)q[c];
            s->want[3][at_kv + j * ld + c] += p[j] * (double)dy[c];
        }
    }
}

static void naive_run(const Scene *s)
{
    const int64_t n = s->arg.keys.n_key;
    double *p = mem_array(n, sizeof *p), *dp = mem_array(n, sizeof *dp),
           *slope = mem_array(n, sizeof *slope);
    T_TRUE(p && dp && slope);
    for (int64_t i = 0; i < s->arg.keys.n_query; i++)
        for (int64_t head = 0; head < s->arg.n_head; head++) naive_query(s, i, head, p, dp, slope);
    mem_free(p);
    mem_free(dp);
    mem_free(slope);
}

static double scene_error(const Scene *s)
{
    double worst = op_run_error(s->run.out.val, s->want[0], s->run.out.n);
    for (int i = 0; i < 3; i++) {
        const double error = op_run_error(s->run.in[i].grad, s->want[1 + i], s->run.in[i].n);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

static void check_scenes(uint64_t seed, double limit)
{
    Rng rng;
    rng_init(&rng, seed, 0);
    double worst = 0;
    for (int n = 0; n < 20; n++) {
        static const int64_t head_dims[] = {1, 7, 16, 24, 32, 33, 64, 80};
        Scene s;
        scene_init(&s, (Pattern)(n % N_PATTERN), head_dims[below(&rng, N_OF(head_dims))], &rng);
        naive_run(&s);
        (void)op_run_hash(&s.run, 1);
        const double error = scene_error(&s);
        ck_assert_msg(error < limit, "scene %d: error %g, limit %g", n, error, limit);
        if (error > worst) worst = error;
        scene_fini(&s);
    }
    printf("largest error %.2g, limit %.0e\n", worst, limit);
}

START_TEST(agrees_with_all_pairs_in_double)
{
    check_scenes(1, LIMIT);
}
END_TEST

static void check_threads(void)
{
    Rng rng;
    rng_init(&rng, 2, 0);
    for (int p = 0; p < N_PATTERN; p++) {
        Scene s;
        scene_init(&s, (Pattern)p, 40, &rng);
        const uint64_t alone = op_run_hash(&s.run, 1);
        for (int n = 2; n <= OP_RUN_MAX_THREADS; n++) T_TRUE(op_run_hash(&s.run, n) == alone);
        scene_fini(&s);
    }
}

START_TEST(bits_do_not_depend_on_threads)
{
    check_threads();
}
END_TEST

#ifndef REAL_IS_DOUBLE
/* Factors are rounded to 8 bits; values and sums as above. */
START_TEST(agrees_with_all_pairs_to_bf16)
{
    if (!pair_kernels_usable()) T_SKIP("this CPU multiplies no pairs");
    T_OK(gemm_init(NULL, "bf16"));
    check_scenes(1, 3e-2);
    gemm_fini();
}
END_TEST

START_TEST(vector_sets_give_equal_bits)
{
    Rng rng;
    rng_init(&rng, 3, 0);
    if (!kernels_use("avx512")) T_SKIP("no avx512 here");
    Scene s;
    scene_init(&s, PACKED, 40, &rng);
    const uint64_t wide = op_run_hash(&s.run, 1);
    T_TRUE(kernels_use("avx2"));
    T_TRUE(op_run_hash(&s.run, 1) == wide);
    T_TRUE(kernels_use(NULL));
    scene_fini(&s);
}
END_TEST
#endif

START_TEST(frozen_inputs_change_no_other_gradient)
{
    Rng rng;
    rng_init(&rng, 4, 0);
    Scene s;
    scene_init(&s, PACKED, 17, &rng);
    real *all[3], *own[3];
    (void)op_run_hash(&s.run, 2);
    for (int i = 0; i < 3; i++) {
        own[i] = s.run.in[i].grad;
        all[i] = op_run_reals(s.run.in[i].n);
        memcpy(all[i], own[i], (size_t)s.run.in[i].n * sizeof(real));
    }
    for (int frozen = 1; frozen < 8; frozen++) {
        for (int i = 0; i < 3; i++) s.run.in[i].grad = frozen >> i & 1 ? NULL : own[i];
        (void)op_run_hash(&s.run, 2);
        for (int i = 0; i < 3; i++)
            if (s.run.in[i].grad)
                T_TRUE(memcmp(own[i], all[i], (size_t)s.run.in[i].n * sizeof(real)) == 0);
    }
    for (int i = 0; i < 3; i++) {
        s.run.in[i].grad = own[i];
        mem_free(all[i]);
    }
    scene_fini(&s);
}
END_TEST

/* Decoding: the last queries of rows of different lengths, over the keys that were kept. */
static void check_few(void)
{
    enum { B = 2, T = 201, H = 6, HKV = 2, D = 24 };
    static const int64_t length[B] = {T, 77};
    static KeyRange range[B * T], last[B * 3];
    Rng rng;
    rng_init(&rng, 7, 0);
    for (int64_t n = 0; n < B * T; n++)
        range[n] = (KeyRange){(int32_t)(n / T * T), (int32_t)(n + 1)};
    const AttentionArg all = {{B * T, B * T, B, 1, range}, H, HKV, D, 0, 0};
    const int64_t dim[3][2] = {{B * T, H * D}, {B * T, HKV * D}, {B * T, HKV * D}};
    OpRun r, few;
    op_run_init(&r, &op_attention, 3, dim, &all, &rng);
    r.op->fwd(&r.call);
    for (int64_t n_query = 1; n_query <= 3; n_query += 2) {
        for (int64_t b = 0; b < B; b++)
            for (int64_t i = 0; i < n_query; i++)
                last[b * n_query + i] = range[b * T + length[b] - n_query + i];
        const AttentionArg arg = {{B * n_query, B * T, B, 1, last}, H, HKV, D, 0, 0};
        const int64_t few_dim[3][2] = {{B * n_query, H * D}, {B * T, HKV * D}, {B * T, HKV * D}};
        op_run_init(&few, &op_attention, 3, few_dim, &arg, &rng);
        const size_t bytes = (size_t)(n_query * H * D) * sizeof(real);
        for (int64_t b = 0; b < B; b++)
            memcpy(few.in[0].val + b * n_query * H * D,
                   r.in[0].val + (b * T + length[b] - n_query) * H * D, bytes);
        for (int i = 1; i < 3; i++)
            memcpy(few.in[i].val, r.in[i].val, (size_t)r.in[i].n * sizeof(real));
        few.op->fwd(&few.call);
        for (int64_t b = 0; b < B; b++)
            T_TRUE(memcmp(few.out.val + b * n_query * H * D,
                          r.out.val + (b * T + length[b] - n_query) * H * D, bytes) == 0);
        op_run_fini(&few);
    }
    op_run_fini(&r);
}

START_TEST(few_queries_have_the_bits_they_have_among_many)
{
    check_few();
}
END_TEST

#ifndef REAL_IS_DOUBLE
START_TEST(bits_in_bf16_do_not_depend_on_threads)
{
    T_OK(gemm_init(NULL, "bf16"));
    check_threads();
    gemm_fini();
}
END_TEST

START_TEST(few_queries_have_the_bits_they_have_among_many_in_bf16)
{
    T_OK(gemm_init(NULL, "bf16"));
    check_few();
    gemm_fini();
}
END_TEST
#endif

/* A sink and a window far apart: what lies between is never read. */
START_TEST(tiles_nobody_sees_are_skipped)
{
    enum { N_KEY = 640, D = 16 };
    static const KeyRange range[4] = {{0, 3}, {600, 610}, {0, 3}, {601, 611}};
    const AttentionArg arg = {{2, N_KEY, 1, 2, range}, 1, 1, D, 0, 0};
    const int64_t dim[3][2] = {{2, D}, {N_KEY, D}, {N_KEY, D}};
    Rng rng;
    rng_init(&rng, 5, 0);
    OpRun r;
    op_run_init(&r, &op_attention, 3, dim, &arg, &rng);
    const uint64_t before = op_run_hash(&r, 1);
    for (int64_t i = 128 * D; i < 512 * D; i++) r.in[1].val[i] = r.in[2].val[i] = (real)NAN;
    T_TRUE(op_run_hash(&r, 1) == before);
    T_TRUE(r.in[1].grad[200 * D] == 0 && isfinite(r.out.val[0]));
    op_run_fini(&r);
}
END_TEST

/* Scores of a thousand and more: no overflow, and one key takes all. */
START_TEST(large_scores_are_safe)
{
    static const KeyRange range[2] = {{0, 1}, {0, 2}};
    const AttentionArg arg = {{2, 2, 1, 1, range}, 1, 1, 4, 0, 0};
    const int64_t dim[3][2] = {{2, 4}, {2, 4}, {2, 4}};
    Rng rng;
    rng_init(&rng, 6, 0);
    OpRun r;
    op_run_init(&r, &op_attention, 3, dim, &arg, &rng);
    for (int i = 0; i < 8; i++) {
        r.in[0].val[i] = 100;
        r.in[1].val[i] = i < 4 ? -100 : 100;
    }
    (void)op_run_hash(&r, 1);
    for (int c = 0; c < 4; c++) {
        T_NEAR((double)r.out.val[c], (double)r.in[2].val[c], 1e-6);
        T_NEAR((double)r.out.val[4 + c], (double)r.in[2].val[4 + c], 1e-6);
        T_TRUE(isfinite(r.in[0].grad[4 + c]) && isfinite(r.in[1].grad[4 + c]));
    }
    op_run_fini(&r);
}
END_TEST

static Status shape_with(int64_t q_columns, int64_t n_kv_head, const KeyRange *range,
                         int64_t n_group)
{
    Tensor x[3], y = {0};
    for (int i = 0; i < 3; i++)
        x[i] = (Tensor){.n_dim = 2, .dim = {2, 8}, .n = 16, .dtype = DT_REAL};
    x[0].dim[1] = q_columns;
    const AttentionArg arg = {{2, 2, n_group, 1, range}, 2, n_kv_head, 4, 0, 0};
    OpCall k = {.in = {&x[0], &x[1], &x[2]}, .n_in = 3, .arg = &arg, .out = &y};
    return op_attention.shape(&k);
}

START_TEST(wrong_shapes_are_named)
{
    static const KeyRange good[2] = {{0, 1}, {0, 2}}, blind[2] = {{0, 1}, {1, 1}},
                          far[2] = {{0, 1}, {0, 3}};
    T_OK(shape_with(8, 2, good, 1));
    T_FAILS(shape_with(12, 2, good, 1), SHAPE, "input 0 is 2 x 12, not 2 x 8");
    T_FAILS(shape_with(8, 3, good, 1), SHAPE, "2 heads of 4 columns on 3 key heads");
    T_FAILS(shape_with(8, 2, blind, 1), SHAPE, "query 1 sees no key");
    T_FAILS(shape_with(8, 2, far, 1), SHAPE, "query 1 sees keys 0..3");
    T_FAILS(shape_with(8, 2, good, 2), SHAPE, "must lie in order in 1..2");
    T_FAILS(shape_with(8, 2, good, 3), SHAPE, "2 queries and 2 keys in 3 groups");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {agrees_with_all_pairs_in_double,
                            bits_do_not_depend_on_threads,
#ifndef REAL_IS_DOUBLE
                            agrees_with_all_pairs_to_bf16,
                            vector_sets_give_equal_bits,
                            bits_in_bf16_do_not_depend_on_threads,
                            few_queries_have_the_bits_they_have_among_many_in_bf16,
#endif
                            frozen_inputs_change_no_other_gradient,
                            few_queries_have_the_bits_they_have_among_many,
                            tiles_nobody_sees_are_skipped,
                            large_scores_are_safe,
                            wrong_shapes_are_named};
    return test_main("unit.attention", tests, N_OF(tests));
}
