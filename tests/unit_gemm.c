/* unit_gemm.c — every backend against sums in double, its bits for several thread counts, and the choice. */
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/tensor/bf16.h"
#include "trainer/tensor/gemm.h"
#include "trainer/tensor/kernels/pairs.h"
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAMES[] = {"reference", "openblas", "onednn"};
static const char *program; /* argv[0], for tests that run this program again */

/* Rounds to 8 significant bits, ties to even, without looking at the bits. */
static double round_to_8_bits(double x)
{
    if (x == 0 || !isfinite(x)) return x;
    int e;
    const double fraction = frexp(x, &e);
    return ldexp(rint(ldexp(fraction, 8)), e - 8);
}

/* A matrix of random numbers, stored as `dtype` with rows of `ld`; `value` is what was stored,
 * or with `bf16` what a bf16 product makes of it. */
typedef struct Stored {
    Mat mat;
    void *bits;
    double *value;
} Stored;

static Stored stored_random(Rng *rng, int64_t rows, int64_t cols, bool trans, Dtype dtype,
                            bool bf16)
{
    const int64_t n_row = trans ? cols : rows,
                  ld = (trans ? rows : cols) + (int64_t)rng_below(rng, 5);
    Stored s = {.bits = mem_array(n_row * ld, dtype_bytes(dtype)),
                .value = mem_array(n_row * ld, sizeof(double))};
    for (int64_t i = 0; i < n_row * ld; i++) {
        double x = (float)(2 * rng_uniform(rng) - 1);
        if (dtype == DT_BF16) {
            x = round_to_8_bits(x);
            ((uint16_t *)s.bits)[i] = bf16_from_float((float)x);
        } else if (dtype == DT_F16) {
            const int64_t k = (int64_t)rng_below(rng, 2048); /* (1 + m/1024) 2^-e, built by hand */
            const int e = (int)rng_below(rng, 6);
            x = ldexp(1 + (double)(k % 1024) / 1024, -e) * (k < 1024 ? 1 : -1);
            ((uint16_t *)s.bits)[i] =
                (uint16_t)((k < 1024 ? 0 : 0x8000) | (15 - e) << 10 | k % 1024);
        } else {
            ((float *)s.bits)[i] = (float)x;
        }
        s.value[i] = bf16 ? round_to_8_bits(x) : x;
    }
    s.mat = (Mat){s.bits, ld, dtype, trans};
    return s;
}

static void stored_free(Stored *s)
{
    mem_free(s->bits);
    mem_free(s->value);
}

static double stored_at(const Stored *s, int64_t i, int64_t j)
{
    return s->value[s->mat.trans ? j * s->mat.ld + i : i * s->mat.ld + j];
}

typedef struct Case {
    int64_t m, n, k;
    bool trans_a, trans_b;
    Dtype a, b;
    float beta;
} Case;

typedef void Product(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c,
                     int64_t ldc);

/* One product against sums in double; `stride` > 1 looks at every stride-th element only. */
static void check_product_by(Product *product, const Case *t, uint64_t seed, bool bf16,
                             int64_t stride)
{
    Rng rng;
    rng_init(&rng, seed, 0);
    Stored a = stored_random(&rng, t->m, t->k, t->trans_a, t->a, bf16);
    Stored b = stored_random(&rng, t->k, t->n, t->trans_b, t->b, bf16);
    const int64_t ldc = t->n + (int64_t)rng_below(&rng, 4), n_c = t->m * ldc;
    float *c = mem_array(n_c, sizeof *c), *before = mem_array(n_c, sizeof *c);
    for (int64_t i = 0; i < n_c; i++)
        c[i] = before[i] = t->beta == 0 ? NAN : (float)rng_uniform(&rng);
    product(t->m, t->n, t->k, a.mat, b.mat, t->beta, c, ldc);
    int64_t n_spoiled = 0;
    for (int64_t at = 0; at < n_c; at += stride) {
        const int64_t i = at / ldc, j = at % ldc;
        if (j >= t->n) { /* between the rows: not ours */
            n_spoiled += memcmp(&c[at], &before[at], sizeof *c) != 0;
            continue;
        }
        double want = t->beta == 0 ? 0 : (double)before[at], size = fabs(want);
        for (int64_t p = 0; p < t->k; p++) {
            const double x = stored_at(&a, i, p) * stored_at(&b, p, j);
            want += x;
            size += fabs(x);
        }
        if (!(fabs(c[at] - want) <= 16 * FLT_EPSILON * size))
            ck_abort_msg("%s: (%lld,%lld,%lld) trans %d%d dtypes %s %s beta %g: c[%lld,%lld] is "
                         "%.9g, not %.9g",
                         gemm_choice().backend, LL(t->m), LL(t->n), LL(t->k), t->trans_a,
                         t->trans_b, dtype_name(t->a), dtype_name(t->b), (double)t->beta, LL(i),
                         LL(j), (double)c[at], want);
    }
    T_EQ_I64(n_spoiled, 0);
    stored_free(&a);
    stored_free(&b);
    mem_free(c);
    mem_free(before);
}

static void check_product(const Case *t, uint64_t seed, bool bf16, int64_t stride)
{
    check_product_by(gemm, t, seed, bf16, stride);
}

static Case random_case(Rng *rng, const Dtype *dtypes, uint64_t n_dtype)
{
    static const int64_t sizes[] = {1, 2, 3, 7, 8, 16, 31, 32, 63, 64, 65, 96, 128, 130, 192, 257};
    return (Case){sizes[rng_below(rng, N_OF(sizes))],
                  sizes[rng_below(rng, N_OF(sizes))],
                  sizes[rng_below(rng, N_OF(sizes))],
                  rng_below(rng, 2),
                  rng_below(rng, 2),
                  dtypes[rng_below(rng, n_dtype)],
                  dtypes[rng_below(rng, n_dtype)],
                  (float)rng_below(rng, 2)};
}

static void check_random_products(const Dtype *dtypes, uint64_t n_dtype, bool bf16)
{
    Rng rng;
    rng_init(&rng, 17, 0);
    for (uint64_t i = 0; i < 40; i++) {
        const Case t = random_case(&rng, dtypes, n_dtype);
        check_product(&t, i, bf16, 1);
    }
}

START_TEST(agrees_with_sums_in_double)
{
    const int64_t live = mem_live();
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        if (!gemm_has_backend(NAMES[i])) continue;
        T_OK(gemm_init(NAMES[i], "fp32"));
        T_EQ_STR(gemm_choice().backend, NAMES[i]);
        check_random_products((const Dtype[]){DT_F32}, 1, false);
        gemm_fini();
    }
    T_EQ_I64(mem_live(), live);
}
END_TEST

static void check_thin_products(bool bf16)
{
    static const int64_t shapes[][3] = {{515, 16, 96},  {300, 130, 8}, {16, 200, 515}, {7, 9, 600},
                                        {129, 64, 64},  {64, 300, 33}, {130, 257, 5},  {1, 1, 1},
                                        {40, 16, 1500}, {70, 100, 301}};
    Rng rng;
    rng_init(&rng, 3, 0);
    for (int64_t i = 0; i < 5 * N_OF(shapes); i++) {
        Case t = random_case(&rng, (const Dtype[]){DT_F32}, 1);
        const int64_t *shape = shapes[i % N_OF(shapes)];
        t.m = shape[0], t.n = shape[1], t.k = shape[2];
        check_product_by(gemm_thin, &t, (uint64_t)i, bf16, 1);
    }
}

START_TEST(thin_products_agree_with_sums_in_double)
{
    static const char *const sets[] = {"plain", "avx2", "avx512"};
    for (int64_t s = 0; s < N_OF(sets); s++)
        if (kernels_use(sets[s])) check_thin_products(false);
    kernels_use(NULL);
}
END_TEST

START_TEST(thin_products_round_to_bf16_when_asked)
{
    if (!pair_kernels_usable()) T_SKIP("this CPU multiplies no pairs");
    T_OK(gemm_init(NULL, "bf16"));
    check_thin_products(true);
    gemm_fini();
}
END_TEST

START_TEST(widens_stored_bf16_and_f16)
{
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        if (!gemm_has_backend(NAMES[i])) continue;
        T_OK(gemm_init(NAMES[i], "fp32"));
        check_random_products((const Dtype[]){DT_F32, DT_BF16, DT_F16}, 3, false);
        gemm_fini();
    }
}
END_TEST

START_TEST(rounds_operands_to_bf16_when_asked)
{
    const int64_t live = mem_live();
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        if (!gemm_has_backend(NAMES[i]) || strcmp(NAMES[i], "openblas") == 0) continue;
        T_OK(gemm_init(NAMES[i], "bf16"));
        T_EQ_STR(gemm_choice().compute_dtype, "bf16");
        check_random_products((const Dtype[]){DT_F32, DT_BF16, DT_F16}, 3, true);
        gemm_fini();
    }
    T_EQ_I64(mem_live(), live);
}
END_TEST

/* Longer than a converted panel in each direction in turn, and several tiles wide. */
START_TEST(cuts_long_products_without_seams)
{
    static const Case cases[] = {{30, 40, 2100, false, true, DT_F32, DT_BF16, 1},
                                 {40, 30, 2100, true, false, DT_F32, DT_F16, 0},
                                 {2100, 40, 33, false, true, DT_BF16, DT_F32, 1},
                                 {40, 2100, 33, false, true, DT_F32, DT_BF16, 0},
                                 {2100, 2100, 20, true, true, DT_F16, DT_BF16, 1},
                                 {1100, 2300, 96, false, true, DT_F32, DT_F32, 0},
                                 {600, 1200, 96, true, false, DT_F32, DT_F32, 1},
                                 {64, 96, 1088, true, false, DT_F32, DT_F32, 1},
                                 {70, 1300, 2300, false, false, DT_F32, DT_BF16, 1},
                                 {700, 1100, 600, false, true, DT_F32, DT_F16, 0}};
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        if (!gemm_has_backend(NAMES[i])) continue;
        T_OK(gemm_init(NAMES[i], "fp32"));
        for (int64_t j = 0; j < N_OF(cases); j++) check_product(&cases[j], (uint64_t)j, false, 997);
        gemm_fini();
    }
    T_OK(gemm_init("reference", "bf16"));
    for (int64_t j = 0; j < N_OF(cases); j++) check_product(&cases[j], (uint64_t)j, true, 1997);
    gemm_fini();
}
END_TEST

enum { N_POOL = 1 << 20, N_OUT = 3 << 20 };

/* Products of many shapes with n_thread threads, one after the other in `out`. */
static void products_with(int n_thread, const Mat *pool, const Mat *pool_bf16, float *out)
{
    static const int64_t shapes[][3] = {{300, 128, 128}, {300, 700, 20}, {8, 1024, 96},
                                        {64, 96, 1088},  {512, 512, 16}, {1000, 259, 16},
                                        {64, 64, 64}};
    omp_set_num_threads(n_thread);
    int64_t used = 0;
    for (int64_t s = 0; s < N_OF(shapes); s++)
        for (int trans = 0; trans < 3; trans++) {
            const int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
            Mat a = *pool, b = trans == 2 ? *pool_bf16 : *pool;
            a.trans = trans == 1;
            a.ld = a.trans ? m : k;
            b.trans = trans == 2;
            b.ld = b.trans ? k : n;
            T_TRUE(used + m * n <= N_OUT);
            gemm(m, n, k, a, b, 0, out + used, n);
            if (trans < 2) gemm_thin(m, n, k, a, b, 1, out + used, n);
            used += m * n;
        }
}

static void check_bits(const char *backend, const char *compute_dtype)
{
    Rng rng;
    rng_init(&rng, 5, 0);
    Stored x = stored_random(&rng, 1, N_POOL, false, DT_F32, false);
    Stored w = stored_random(&rng, 1, N_POOL, false, DT_BF16, false);
    float *one = mem_array(N_OUT, sizeof *one), *more = mem_array(N_OUT, sizeof *more);
    const int threads = omp_get_max_threads();
    T_OK(gemm_init(backend, compute_dtype));
    products_with(1, &x.mat, &w.mat, one);
    for (int n_thread = 2; n_thread <= 3; n_thread++) {
        products_with(n_thread, &x.mat, &w.mat, more);
        ck_assert_msg(memcmp(one, more, N_OUT * sizeof *one) == 0,
                      "%s %s: other bits with %d threads", backend, compute_dtype, n_thread);
    }
    gemm_fini();
    omp_set_num_threads(threads);
    stored_free(&x);
    stored_free(&w);
    mem_free(one);
    mem_free(more);
}

START_TEST(has_the_same_bits_with_any_thread_count)
{
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        if (!gemm_has_backend(NAMES[i])) continue;
        check_bits(NAMES[i], "fp32");
        if (strcmp(NAMES[i], "openblas") != 0) check_bits(NAMES[i], "bf16");
    }
}
END_TEST

START_TEST(multiplies_inside_parallel_regions)
{
    enum { N = 64, M = 48, K = 33, N_PRODUCT = 40 };
    static float a[M * K], b[K * N], c[N_PRODUCT][M * N];
    for (int i = 0; i < M * K; i++) a[i] = (float)(i % 7 - 3);
    for (int i = 0; i < K * N; i++) b[i] = (float)(i % 5 - 2);
    for (int64_t s = 0; s < N_OF(NAMES); s++) {
        if (!gemm_has_backend(NAMES[s])) continue;
        T_OK(gemm_init(NAMES[s], NULL));
        for (int i = 0; i < N_PRODUCT; i++)
            for (int j = 0; j < M * N; j++) c[i][j] = 1;
#pragma omp parallel for num_threads(4)
        for (int i = 0; i < N_PRODUCT; i++)
            gemm_here(M, N, K, 0.5f, (Mat){a, K, DT_F32, false}, (Mat){b, N, DT_F32, false},
                      (float)(i % 2), c[i], N);
        int64_t n_wrong = 0;
        for (int i = 0; i < N_PRODUCT; i++)
            for (int at = 0; at < M * N; at++) {
                double want = i % 2;
                for (int p = 0; p < K; p++)
                    want += 0.5 * (double)(a[at / N * K + p] * b[p * N + at % N]);
                n_wrong += !((double)c[i][at] == want);
            }
        T_EQ_I64(n_wrong, 0);
        gemm_fini();
    }
}
END_TEST

START_TEST(handles_empty_products)
{
    const Mat none = {NULL, 0, DT_F32, false};
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        if (!gemm_has_backend(NAMES[i])) continue;
        T_OK(gemm_init(NAMES[i], "fp32"));
        float c[] = {1, 2, 3, 4, 5, 6};
        gemm(0, 2, 2, none, none, 0, c, 2);
        gemm(2, 0, 2, none, none, 0, c, 2);
        gemm(2, 2, 0, none, none, 1, c, 3);
        gemm_here(2, 2, 0, 1, none, none, 1, c, 3);
        gemm_thin(2, 2, 0, none, none, 1, c, 3);
        ck_assert_double_eq((double)(c[0] + c[1] + c[3] + c[4]), 12);
        gemm(2, 2, 0, none, none, 0, c, 3);
        ck_assert_double_eq((double)(c[0] + c[1] + c[3] + c[4]), 0);
        ck_assert_double_eq((double)(c[2] + c[5]), 9);
        gemm_fini();
    }
}
END_TEST

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

START_TEST(rounds_to_nearest_even_bf16)
{
    T_EQ_I64(bf16_from_float(1.0f), 0x3f80);
    T_EQ_I64(bf16_from_float(float_of(0x3f808000)), 0x3f80); /* a tie, down to even */
    T_EQ_I64(bf16_from_float(float_of(0x3f818000)), 0x3f82); /* a tie, up to even */
    T_EQ_I64(bf16_from_float(float_of(0x3f808001)), 0x3f81);
    T_EQ_I64(bf16_from_float(-0.0f), 0x8000);
    T_EQ_I64(bf16_from_float(FLT_MAX), 0x7f80);
    T_EQ_I64(bf16_from_float(-INFINITY), 0xff80);
    T_EQ_I64(bf16_from_float(float_of(0x00018000)), 0x0002); /* a denormal tie */
    T_TRUE((bf16_from_float(float_of(0x7f800001)) & 0x7fff) >
           0x7f80); /* NaN only in the low bits */
    T_TRUE((bf16_from_float(float_of(0xffffffff)) & 0x7fff) > 0x7f80);
    Rng rng;
    rng_init(&rng, 3, 0);
    int64_t n_wrong = 0;
    for (int i = 0; i < 100000; i++) {
        const float x = (float)ldexp(rng_uniform(&rng) - 0.5, (int)rng_below(&rng, 200) - 100);
        n_wrong +=
            !((double)float_of((uint32_t)bf16_from_float(x) << 16) == round_to_8_bits((double)x));
    }
    T_EQ_I64(n_wrong, 0);
}
END_TEST

START_TEST(refuses_what_is_not_there)
{
    T_FAILS(gemm_init("mkl", NULL), CONFIG,
            "gemm backend \"mkl\" is not built in; there are reference, openblas");
    T_FAILS(gemm_init(NULL, "fp64"), CONFIG,
            "compute_dtype is \"fp64\", not one of auto, fp32, bf16");
    T_FAILS(gemm_init("openblas", "bf16"), CONFIG, "openblas has no bf16 product");
    T_TRUE(!gemm_has_backend("mkl"));
    T_TRUE(gemm_has_backend("reference") && gemm_has_backend("openblas"));
}
END_TEST

START_TEST(chooses_from_the_table)
{
    T_OK(gemm_init("auto", "auto"));
    const GemmChoice by_table = gemm_choice();
    T_TRUE(strcmp(by_table.backend, "reference") != 0);
    T_TRUE(strlen(by_table.kernels) > 0);
    T_OK(gemm_init(NULL, NULL));
    T_EQ_STR(gemm_choice().backend, by_table.backend);
    const GemmRate one = gemm_rate(1), two = gemm_rate(2);
    T_TRUE(one.gflops > 0 && two.gflops > 0);
    ck_assert_double_eq(two.expected_gflops, 2 * one.expected_gflops);
    T_OK(gemm_init("reference", "auto"));
    T_EQ_STR(gemm_choice().compute_dtype, "fp32");
    gemm_fini();
}
END_TEST

/* What a child of this program prints on both streams; `env` goes in front of the command. */
static const char *output_of_child(const char *env)
{
    static char text[2048];
    char command[1024];
    snprintf(command, sizeof command,
             "env -u OPENBLAS_CORETYPE -u OPENBLAS_NUM_THREADS %s '%s' --show-environment 2>&1",
             env, program);
    FILE *f = popen(command, "r");
    T_TRUE(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    T_EQ_I64(pclose(f), 0);
    return text;
}

static int show_environment(char **argv)
{
    gemm_fix_environment(argv);
    const char *core = getenv("OPENBLAS_CORETYPE"), *threads = getenv("OPENBLAS_NUM_THREADS");
    if (gemm_init("openblas", "fp32") != ST_OK) return EXIT_FAILURE;
    printf("core %s threads %s runs %s\n", core ? core : "unset", threads ? threads : "unset",
           gemm_choice().kernels);
    gemm_fini();
    return EXIT_SUCCESS;
}

START_TEST(runs_again_with_the_right_kernels)
{
    char core[64], runs[64], threads[64];
    const char *text = output_of_child("");
    const int n_read = sscanf(text, "core %63s threads %63s runs %63s", core, threads, runs);
    ck_assert_msg(n_read == 3, "the child said: %s", text);
    T_EQ_STR(threads, "1");
    T_EQ_STR(core, runs);
}
END_TEST

START_TEST(respects_and_reports_the_users_kernels)
{
    T_EQ_STR(output_of_child("OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=3"),
             "core Haswell threads 3 runs Haswell\n");
    T_HAS(output_of_child("OPENBLAS_CORETYPE=Abacus"), "OPENBLAS_CORETYPE asked for Abacus");
}
END_TEST

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1 && strcmp(argv[1], "--show-environment") == 0) return show_environment(argv);
    const TTest *t[] = {agrees_with_sums_in_double,
                        thin_products_agree_with_sums_in_double,
                        thin_products_round_to_bf16_when_asked,
                        widens_stored_bf16_and_f16,
                        rounds_operands_to_bf16_when_asked,
                        cuts_long_products_without_seams,
                        has_the_same_bits_with_any_thread_count,
                        multiplies_inside_parallel_regions,
                        handles_empty_products,
                        rounds_to_nearest_even_bf16,
                        refuses_what_is_not_there,
                        chooses_from_the_table,
                        runs_again_with_the_right_kernels,
                        respects_and_reports_the_users_kernels};
    return test_main("unit.gemm", t, N_OF(t));
}
