/* unit_kernels.c — the vector sets: against libm and sums in double, and against each other bit for bit. */
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/tensor/bf16.h"
#include "trainer/tensor/kernels/pairs.h"
#include <float.h>
#include <math.h>
#include <stdio.h>

enum { N_MAX = 80, GUARD = 16 };
static const double EXP_ULPS = 1.02;
static const char *const SETS[] = {"avx512", "avx2", "plain"};

static void draw(float *x, int64_t n, double size, Rng *rng)
{
    for (int64_t i = 0; i < n; i++) x[i] = (float)(size * (2 * rng_uniform(rng) - 1));
}

/* |y - exp(x)| in units of the last place of the true result. */
static double exp_ulps(float x, float y)
{
    const double want = exp((double)x);
    if (isnan(x)) return isnan(y) ? 0 : INFINITY;
    if ((float)want == y) return 0;
    const double ulp = ldexp(1.0, (int)fmax(floor(log2(want)), -126) - 23);
    return fabs((double)y - want) / ulp;
}

/* Loops compare with `if` and ck_abort_msg: ck_assert writes to a file each time it holds. */

/* Every 997th float of all, of either sign: normal and denormal, inf and NaN. */
static void check_exp(const Kernels *k)
{
    enum { BATCH = 1024 };
    static float x[BATCH], y[BATCH];
    double worst = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX;) {
        for (int i = 0; i < BATCH; i++, bits += 997) memcpy(&x[i], &(uint32_t){(uint32_t)bits}, 4);
        k->exp(BATCH, x, y);
        for (int i = 0; i < BATCH; i++) {
            const double error = exp_ulps(x[i], y[i]);
            if (!(error <= EXP_ULPS))
                ck_abort_msg("%s: exp(%a) = %a, off by %g ulp", k->name, (double)x[i], (double)y[i],
                             error);
            if (error > worst) worst = error;
        }
    }
    printf("%s: exp within %.3f ulp\n", k->name, worst);
}

START_TEST(exp_agrees_with_libm_to_its_bound)
{
    for (int64_t s = 0; s < N_OF(SETS); s++)
        if (kernels_use(SETS[s])) check_exp(kernels());
    T_TRUE(kernels_use(NULL));
}
END_TEST

START_TEST(exp_keeps_its_edges)
{
    const float x[] = {0,      -0.0f,   -INFINITY, INFINITY, NAN,    88.72283f,  88.72284f,
                       -87.5f, -103.9f, -104,      1e30f,    -1e30f, FLT_MIN / 2};
    float y[N_OF(x)];
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        kernels()->exp(N_OF(x), x, y);
        T_TRUE(y[0] == 1 && y[1] == 1 && y[2] == 0 && y[3] == INFINITY && isnan(y[4]));
        T_TRUE(isfinite(y[5]) && y[6] == INFINITY);
        T_TRUE(fpclassify(y[7]) == FP_SUBNORMAL && fpclassify(y[8]) == FP_SUBNORMAL);
        T_TRUE(y[9] == 0 && y[10] == INFINITY && y[11] == 0 && y[12] == 1);
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

/* Everything a set computes from the inputs of length n, for comparison; `out` is guarded behind n. */
enum { N_ACT = ACT_RELU + 1, ACT_ROWS = 5, N_ROW = 6 + N_ACT * ACT_ROWS };
typedef struct Results {
    float y[N_ROW][N_MAX + GUARD];
    double sum[5];
} Results;

static void run_rows(const Kernels *k, int64_t n, float (*x)[N_MAX], Results *r)
{
    for (int i = 0; i < N_ROW; i++)
        for (int j = 0; j < N_MAX + GUARD; j++) r->y[i][j] = 0.25f;
    r->sum[0] = k->sum(n, x[0]);
    r->sum[1] = k->dot(n, x[0], x[1]);
    r->sum[2] = k->dot3(n, x[0], x[1], x[2]);
    r->sum[3] = k->exp_sum(n, x[0], 0.5f, r->y[0]);
    r->sum[4] = (double)k->max(n, x[0]);
    k->exp(n, x[1], r->y[1]);
    k->scale(n, 1.5f, r->y[2]);
    k->axpy(n, 0.3f, x[1], r->y[3]);
    for (int f = 0; f < N_ACT; f++) {
        float(*y)[N_MAX + GUARD] = r->y + 4 + f * ACT_ROWS;
        k->act((Activation)f, n, x[0], x[1], y[0]);
        k->act_bwd((Activation)f, n, x[0], x[1], x[2], y[1], y[2]);
        k->act((Activation)f, n, x[0], NULL, y[3]);
        k->act_bwd((Activation)f, n, x[0], NULL, x[2], y[4], NULL);
    }
    k->softcap(n, 2, r->y[N_ROW - 2], r->y[N_ROW - 1]);
}

/* f(x) and f'(x) as activation.h has them. */
static double act_by_libm(Activation f, double x, double *slope)
{
    const double root = sqrt(2 / acos(-1)), a = root * (x + 0.044715 * x * x * x), th = tanh(a);
    switch (f) {
    case ACT_RELU:
        *slope = x > 0;
        return x > 0 ? x : 0;
    case ACT_SILU:
        *slope = (1 + x - x / (1 + exp(-x))) / (1 + exp(-x));
        return x / (1 + exp(-x));
    case ACT_GELU:
        *slope = erfc(-x / sqrt(2)) / 2 + x * exp(-x * x / 2) * root / 2;
        return x * erfc(-x / sqrt(2)) / 2;
    case ACT_GELU_TANH:
        *slope = (1 + th + x * (1 - th * th) * root * (1 + 3 * 0.044715 * x * x)) / 2;
        return x * (1 + th) / 2;
    }
    return NAN;
}

static void check_rows(const char *name, int64_t n, float (*x)[N_MAX], const Results *r)
{
    double want[5] = {0, 0, 0, 0, -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        const double a = (double)x[0][i], b = (double)x[1][i], c = (double)x[2][i];
        double y[N_ROW] = {exp(a - 0.5), exp(b), 0.375, 0.25 + (double)0.3f * b};
        for (int f = 0; f < N_ACT; f++) {
            double slope, *at = y + 4 + f * ACT_ROWS;
            at[3] = act_by_libm((Activation)f, a, &slope);
            at[0] = at[3] * b;
            at[1] = 0.25 + c * b * slope;
            at[2] = 0.25 + c * at[3];
            at[4] = 0.25 + c * slope;
        }
        y[N_ROW - 2] = 2 * tanh(0.125);
        y[N_ROW - 1] = 1 - tanh(0.125) * tanh(0.125);
        for (int j = 0; j < N_ROW; j++)
            if (!(fabs((double)r->y[j][i] - y[j]) <= 4e-7 * fmax(1, fabs(y[j]))))
                ck_abort_msg("%s, result %d, %lld of %lld: %g, not %g", name, j, LL(i), LL(n),
                             (double)r->y[j][i], y[j]);
        want[0] += a, want[1] += a * b, want[2] += a * b * c, want[3] += y[0];
        want[4] = fmax(want[4], a);
    }
    for (int j = 0; j < 5; j++)
        ck_assert_msg(want[j] == r->sum[j] || fabs(want[j] - r->sum[j]) <=
                                                  (j == 3 ? 1e-6 * want[3] : 1e-12 * (double)n),
                      "%s, sum %d of %lld: %.17g, not %.17g", name, j, LL(n), r->sum[j], want[j]);
    for (int j = 0; j < N_ROW; j++)
        for (int64_t i = n; i < N_MAX + GUARD; i++)
            if (r->y[j][i] != 0.25f)
                ck_abort_msg("%s, result %d: wrote at %lld of %lld", name, j, LL(i), LL(n));
}

START_TEST(rows_of_any_length_are_right_and_end_where_they_end)
{
    Rng rng;
    rng_init(&rng, 1, 0);
    static float x[3][N_MAX];
    static Results r;
    for (int64_t n = 0; n <= N_MAX; n++) {
        for (int i = 0; i < 3; i++) draw(x[i], N_MAX, 2, &rng);
        for (int64_t s = 0; s < N_OF(SETS); s++) {
            if (!kernels_use(SETS[s])) continue;
            run_rows(kernels(), n, x, &r);
            check_rows(SETS[s], n, x, &r);
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

/* Far out the tails are small: what counts is the error beside |x|. */
START_TEST(activations_agree_with_libm_far_out)
{
    enum { N = 4001 };
    static float x[N], y[N], dx[N];
    const float one = 1;
    for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2) * (20 / (float)(N / 2));
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        double worst[N_ACT] = {0}, worst_slope[N_ACT] = {0};
        for (int f = 0; f < N_ACT; f++) {
            kernels()->act((Activation)f, N, x, NULL, y);
            for (int i = 0; i < N; i++) {
                double slope;
                const double want = act_by_libm((Activation)f, (double)x[i], &slope);
                dx[i] = 0;
                kernels()->act_bwd((Activation)f, 1, x + i, NULL, &one, dx + i, NULL);
                worst[f] = fmax(worst[f], fabs((double)y[i] - want) / fmax(1, fabs(want)));
                const double error = fabs((double)dx[i] - slope) / fmax(1, fabs((double)x[i]));
                worst_slope[f] = fmax(worst_slope[f], error);
            }
            printf("%s, activation %d: within %.2g, slope %.2g\n", SETS[s], f, worst[f],
                   worst_slope[f]);
            T_TRUE(worst[f] < 3e-7 && worst_slope[f] < 5e-7);
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

START_TEST(activations_keep_their_edges)
{
    const float x[] = {0, -0.0f, NAN, INFINITY, 30, -30, 1e-30f};
    float y[N_OF(x)];
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        for (int f = 0; f < N_ACT; f++) {
            kernels()->act((Activation)f, N_OF(x), x, NULL, y);
            T_TRUE(y[0] == 0 && y[1] == 0 && isnan(y[2]) && y[3] == INFINITY && y[4] == 30);
            T_TRUE(fabsf(y[5]) < 1e-11f && y[6] == (f == ACT_RELU ? 1e-30f : 5e-31f));
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

/* From 1e-6 of the cap, where tanh is its argument, to far beyond it. */
START_TEST(softcap_agrees_with_libm)
{
    enum { N = 3001 };
    static float x[N], y[N], slope[N];
    const float cap = 30;
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        double worst = 0, worst_slope = 0;
        for (int i = 0; i < N; i++)
            y[i] = x[i] = cap * powf(10, (float)(i % 1000) / 125 - 6) * (i % 2 ? 1 : -1);
        kernels()->softcap(N, cap, y, slope);
        for (int i = 0; i < N; i++) {
            const double t = tanh((double)x[i] / (double)cap), want = (double)cap * t;
            worst = fmax(worst, fabs((double)y[i] / want - 1));
            worst_slope = fmax(worst_slope, fabs((double)slope[i] - (1 - t * t)));
        }
        printf("%s: softcap within %.2g relative, slope %.2g\n", SETS[s], worst, worst_slope);
        T_TRUE(worst < 5e-7 && worst_slope < 3e-7);
        float edge[] = {0, NAN, INFINITY, -INFINITY};
        kernels()->softcap(N_OF(edge), cap, edge, NULL);
        T_TRUE(edge[0] == 0 && isnan(edge[1]) && edge[2] == cap && edge[3] == -cap);
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

START_TEST(long_sums_keep_their_digits)
{
    enum { N = 151936 };
    float *x = mem_array(N, sizeof *x), *y = mem_array(N, sizeof *y);
    T_TRUE(x && y);
    Rng rng;
    rng_init(&rng, 2, 0);
    draw(x, N, 3, &rng);
    double want = 0;
    for (int64_t i = 0; i < N; i++) want += exp((double)x[i]);
    for (int64_t s = 0; s < N_OF(SETS); s++)
        if (kernels_use(SETS[s])) T_NEAR(kernels()->exp_sum(N, x, 0, y) / want, 1, 2e-7);
    T_TRUE(kernels_use(NULL));
    mem_free(x);
    mem_free(y);
}
END_TEST

enum { MM_MAX = 80 };

static void check_mm(const Kernels *k, int64_t m, int64_t n, int64_t inner, bool turned, bool add,
                     const float *a, const float *b, float *c)
{
    const int64_t a_row = turned ? 1 : MM_MAX, a_col = turned ? MM_MAX : 1;
    for (int64_t i = 0; i < MM_MAX * MM_MAX; i++) c[i] = 0.5f;
    k->mm(m, n, inner, a, a_row, a_col, b, MM_MAX, add, c, MM_MAX);
    for (int64_t i = 0; i < MM_MAX; i++) {
        for (int64_t j = 0; j < MM_MAX; j++) {
            double want = 0.5;
            if (i < m && j < n) {
                want = add ? 0.5 : 0;
                for (int64_t p = 0; p < inner; p++)
                    want += (double)a[i * a_row + p * a_col] * (double)b[p * MM_MAX + j];
            }
            if (!(fabs((double)c[i * MM_MAX + j] - want) < 1e-5))
                ck_abort_msg("%s: mm %lld x %lld x %lld, c[%lld,%lld] = %g, not %g", k->name, LL(m),
                             LL(n), LL(inner), LL(i), LL(j), (double)c[i * MM_MAX + j], want);
        }
    }
}

START_TEST(small_products_are_right)
{
    static float a[MM_MAX * MM_MAX], b[MM_MAX * MM_MAX], c[MM_MAX * MM_MAX], first[MM_MAX * MM_MAX];
    Rng rng;
    rng_init(&rng, 3, 0);
    draw(a, N_OF(a), 1, &rng);
    draw(b, N_OF(b), 1, &rng);
    for (int64_t m = 2; m <= 34; m += KERNEL_MM_ROWS) {
        for (int64_t n = KERNEL_LANES; n <= MM_MAX; n += KERNEL_LANES) {
            const int64_t inner = (m * 7 + n) % MM_MAX;
            for (int64_t s = 0; s < N_OF(SETS); s++) {
                if (!kernels_use(SETS[s])) continue;
                check_mm(kernels(), m, n, inner, false, false, a, b, c);
                check_mm(kernels(), m, n, inner, true, true, a, b, c);
                if (s == 0) memcpy(first, c, sizeof c);
                if (s == 1 && kernels_use("avx512")) T_TRUE(memcmp(first, c, sizeof c) == 0);
            }
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

/* Any bits, NaN, denormals and halves of the last place among them; out of place and in place. */
START_TEST(rounds_to_bf16_as_one_number_is_rounded)
{
    enum { N = 1000 };
    static float x[N], y[N];
    Rng rng;
    rng_init(&rng, 23, 0);
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        for (int64_t n = N; n > 0; n -= n > 40 ? 97 : 1) {
            for (int64_t i = 0; i < n; i++) {
                uint32_t bits = (uint32_t)rng_below(&rng, (uint64_t)1 << 32);
                if (i % 3 == 0) bits = (bits & 0xffff0000u) | 0x8000u;
                if (i % 7 == 0) bits |= 0x7f800000u;
                memcpy(&x[i], &bits, sizeof bits);
            }
            kernels()->to_bf16(n, x, y);
            for (int64_t i = 0; i < n; i++) {
                uint16_t got;
                memcpy(&got, (char *)y + 2 * i, sizeof got);
                ck_assert_uint_eq(got, bf16_from_float(x[i]));
            }
            kernels()->to_bf16(n, x, x);
            T_TRUE(memcmp(x, y, (size_t)(2 * n)) == 0);
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

/* Pairs of x0 and x1 give back what these are rounded to. */
static void check_apart(int64_t n, const float *x0, const float *x1, const float *pairs)
{
    const PairKernels *const set[2] = {&pair_kernels_plain, &pair_kernels_avx512};
    static float got[2][2][N_MAX + GUARD];
    for (int s = 0; s < 2; s++) {
        for (int64_t i = 0; i < N_MAX + GUARD; i++) got[s][0][i] = got[s][1][i] = 0.25f;
        set[s]->apart(n, pairs, got[s][0], got[s][1]);
    }
    T_TRUE(memcmp(got[0], got[1], sizeof got[0]) == 0);
    T_TRUE(got[0][0][n] == 0.25f && got[0][1][n] == 0.25f);
    for (int64_t i = 0; i < n; i++)
        for (int half = 0; half < 2; half++) {
            const float want = half ? x1[i] : x0[i], is = got[0][half][i];
            if (fpclassify(want) == FP_NORMAL && isfinite(is))
                T_TRUE(fabsf(is - want) <= ldexpf(fabsf(want), -8));
            else
                T_TRUE(isnan(want) ? isnan(is) : is == 0 || fabsf(want) > 3e38f);
        }
}

START_TEST(pairs_are_rounded_as_one_number_is_rounded)
{
    enum { N = 75 };
    static float x[2][N], y[2][N + GUARD];
    Rng rng;
    rng_init(&rng, 29, 0);
    if (!pair_kernels_usable()) T_SKIP("this CPU multiplies no pairs");
    for (int64_t n = 1; n <= N; n++) {
        for (int64_t i = 0; i < 2 * n; i++) {
            uint32_t bits = (uint32_t)rng_below(&rng, (uint64_t)1 << 32);
            if (i % 3 == 0) bits = (bits & 0xffff0000u) | 0x8000u;
            if (i % 7 == 0) bits &= 0x807fffffu; /* denormal */
            memcpy(&x[i / n][i % n], &bits, sizeof bits);
        }
        for (int form = 0; form < 3; form++) {
            const PairKernels *const set[2] = {&pair_kernels_plain, &pair_kernels_avx512};
            for (int s = 0; s < 2; s++) {
                for (int64_t i = 0; i < N + GUARD; i++) y[s][i] = 0.25f;
                if (form == 0)
                    set[s]->along(n, x[0], y[s]);
                else
                    set[s]->across(n, x[0], form == 1 ? x[1] : NULL, y[s]);
            }
            T_TRUE(memcmp(y[0], y[1], sizeof y[0]) == 0);
            T_TRUE(y[0][n] == 0.25f);
            if (form == 1) check_apart(n, x[0], x[1], y[0]);
        }
    }
}
END_TEST

START_TEST(products_of_pairs_are_right)
{
    static float x[MM_MAX * MM_MAX], a[MM_MAX * MM_MAX], b[MM_MAX * MM_MAX], c[2][MM_MAX * MM_MAX];
    Rng rng;
    rng_init(&rng, 31, 0);
    if (!pair_kernels_usable()) T_SKIP("this CPU multiplies no pairs");
    const PairKernels *const set[2] = {&pair_kernels_plain, &pair_kernels_avx512};
    draw(x, N_OF(x), 1, &rng);
    set[0]->across(MM_MAX * MM_MAX / 2, x, x + MM_MAX * MM_MAX / 2, a);
    set[0]->along(MM_MAX * MM_MAX, x, b);
    for (int64_t m = 2; m <= 34; m += KERNEL_MM_ROWS)
        for (int64_t n = KERNEL_LANES; n <= MM_MAX; n += KERNEL_LANES)
            for (int turned = 0; turned < 2; turned++) {
                const int64_t k = (m * 7 + n) % 40, a_row = turned ? 1 : 40,
                              a_col = turned ? 40 : 1;
                for (int s = 0; s < 2; s++) {
                    for (int64_t i = 0; i < MM_MAX * MM_MAX; i++) c[s][i] = 0.5f;
                    set[s]->mm(m, n, k, a, a_row, a_col, b, MM_MAX, turned, c[s], MM_MAX);
                }
                for (int64_t i = 0; i < MM_MAX * MM_MAX; i++)
                    T_NEAR((double)c[1][i], (double)c[0][i], 1e-5);
            }
}
END_TEST

/* Weights of 16 bits: small odd numbers, which bf16 and f16 both hold. */
START_TEST(products_with_stored_weights_are_right)
{
    enum { M = 5, N = 11, K = 70, LDW = 73 };
    static float a[M * K], c[M * N], first[M * N];
    static uint16_t w[2][N * LDW];
    Rng rng;
    rng_init(&rng, 7, 0);
    draw(a, N_OF(a), 1, &rng);
    for (int64_t i = 0; i < N * LDW; i++) {
        const uint16_t m = (uint16_t)rng_below(&rng, 128), sign = (uint16_t)(i % 3 ? 0 : 0x8000);
        w[0][i] = sign | 0x3f80 | m;                  /* bf16: +-(1 + m/128) */
        w[1][i] = (uint16_t)(sign | 0x3c00 | m << 3); /* f16: the same */
    }
    for (int64_t k = 0; k <= K; k += 7) {
        for (int64_t s = 0; s < N_OF(SETS) * 2; s++) {
            const Dtype type = s % 2 ? DT_F16 : DT_BF16;
            if (!kernels_use(SETS[s / 2])) continue;
            for (int64_t i = 0; i < M * N; i++) c[i] = 0.5f;
            kernels()->mm_stored(M, N, k, a, K, type, w[s % 2], LDW, k % 2, c, N);
            for (int64_t i = 0; i < M; i++)
                for (int64_t j = 0; j < N; j++) {
                    double want = k % 2 ? 0.5 : 0;
                    for (int64_t p = 0; p < k; p++)
                        want += (double)a[i * K + p] * (1 + (w[0][j * LDW + p] & 127) / 128.0) *
                                ((j * LDW + p) % 3 ? 1 : -1);
                    T_NEAR((double)c[i * N + j], want, 2e-5);
                }
            if (s == 0) memcpy(first, c, sizeof c);
            if (s < 4 && kernels_use("avx512")) T_TRUE(memcmp(first, c, sizeof c) == 0);
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

START_TEST(transpose_turns_any_shape)
{
    static float x[37 * 40], y[40 * 37];
    Rng rng;
    rng_init(&rng, 4, 0);
    draw(x, N_OF(x), 1, &rng);
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        for (int64_t n_row = 0; n_row <= 37; n_row += 1 + n_row % 5) {
            for (int64_t n_col = 0; n_col <= 37; n_col += 3) {
                int64_t n_wrong = 0;
                memset(y, 0, sizeof y);
                kernels()->transpose(n_row, n_col, x, 40, y, 37);
                for (int64_t c = 0; c < 40; c++)
                    for (int64_t r = 0; r < 37; r++)
                        n_wrong += y[c * 37 + r] != (r < n_row && c < n_col ? x[r * 40 + c] : 0);
                T_EQ_I64(n_wrong, 0);
            }
        }
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

typedef struct Softmax {
    float s[2][6 * 32], m[32], l[32], fix[32], dp[6 * 32];
} Softmax;

/* Two blocks of 6 rows, 32 columns; column 3 sees nothing, column 4 nothing in the first block. */
static void run_softmax(const Kernels *k, const float *scores, Softmax *x)
{
    memcpy(x->s, scores, sizeof x->s);
    for (int c = 0; c < 32; c++) {
        x->m[c] = -INFINITY;
        x->l[c] = 0;
    }
    for (int r = 0; r < 6; r++)
        x->s[0][r * 32 + 3] = x->s[1][r * 32 + 3] = x->s[0][r * 32 + 4] = -INFINITY;
    for (int b = 0; b < 2; b++) k->softmax_cols(6, 32, x->s[b], x->m, x->l, x->fix);
    memcpy(x->dp, scores, sizeof x->dp);
}

START_TEST(softmax_goes_over_blocks)
{
    static float scores[2 * 6 * 32];
    static Softmax x;
    Rng rng;
    rng_init(&rng, 5, 0);
    draw(scores, N_OF(scores), 20, &rng);
    for (int64_t s = 0; s < N_OF(SETS); s++) {
        if (!kernels_use(SETS[s])) continue;
        run_softmax(kernels(), scores, &x);
        for (int c = 0; c < 32; c++) {
            double sum = 0;
            for (int r = 0; r < 12; r++)
                if (c != 3 && (c != 4 || r >= 6))
                    sum += exp((double)scores[r * 32 + c] - (double)x.m[c]);
            T_NEAR((double)x.l[c], sum, 1e-6 * fmax(1, sum));
        }
        T_TRUE(x.l[3] == 0 && x.fix[3] == 0 && x.fix[4] == 0 && x.s[0][4] == 0 && x.s[1][3] == 0);
        kernels()->softmax_cols_bwd(6, 32, x.s[1], x.dp, x.l, x.fix);
        run_softmax(kernels(), scores, &x);
        const float p = x.s[1][7];
        float once[32], ds[32];
        memcpy(once, x.s[1], sizeof once);
        memcpy(ds, x.dp, sizeof ds);
        kernels()->softmax_cols_bwd(1, 32, once, ds, x.l, x.fix);
        T_NEAR((double)once[7], exp((double)p - (double)x.l[7]), 1e-6);
        T_NEAR((double)ds[7], (double)once[7] * ((double)scores[7] - (double)x.fix[7]), 1e-5);
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

START_TEST(vector_sets_give_equal_bits)
{
    static float x[3][N_MAX], scores[2 * 6 * 32];
    static Results wide, narrow;
    static Softmax wide_softmax, narrow_softmax;
    Rng rng;
    rng_init(&rng, 6, 0);
    if (!kernels_use("avx512")) T_SKIP("no avx512 here");
    for (int64_t n = 0; n <= N_MAX; n++) {
        for (int i = 0; i < 3; i++) draw(x[i], N_MAX, 30, &rng);
        draw(scores, N_OF(scores), 60, &rng);
        T_TRUE(kernels_use("avx512"));
        run_rows(kernels(), n, x, &wide);
        run_softmax(kernels(), scores, &wide_softmax);
        T_TRUE(kernels_use("avx2"));
        run_rows(kernels(), n, x, &narrow);
        run_softmax(kernels(), scores, &narrow_softmax);
        T_TRUE(memcmp(&wide, &narrow, sizeof wide) == 0);
        T_TRUE(memcmp(&wide_softmax, &narrow_softmax, sizeof wide_softmax) == 0);
    }
    T_TRUE(kernels_use(NULL));
}
END_TEST

START_TEST(a_set_is_chosen_by_name)
{
    T_TRUE(kernels_use("plain"));
    T_EQ_STR(kernels()->name, "plain");
    T_TRUE(!kernels_use("avx1024"));
    T_EQ_STR(kernels()->name, "plain");
    T_TRUE(kernels_use(NULL));
    T_TRUE(strcmp(kernels()->name, "plain") != 0 || !kernels_use("avx2"));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {exp_agrees_with_libm_to_its_bound,
                            rounds_to_bf16_as_one_number_is_rounded,
                            pairs_are_rounded_as_one_number_is_rounded,
                            products_of_pairs_are_right,
                            exp_keeps_its_edges,
                            rows_of_any_length_are_right_and_end_where_they_end,
                            activations_agree_with_libm_far_out,
                            activations_keep_their_edges,
                            softcap_agrees_with_libm,
                            long_sums_keep_their_digits,
                            small_products_are_right,
                            products_with_stored_weights_are_right,
                            transpose_turns_any_shape,
                            softmax_goes_over_blocks,
                            vector_sets_give_equal_bits,
                            a_set_is_chosen_by_name};
    return test_main("unit.kernels", tests, N_OF(tests));
}
