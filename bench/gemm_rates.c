/* gemm_rates.c — rates of the products that training makes, for every backend and thread count.
 *
 *   bench/gemm_rates [rounds [threads ...]]       default: 7 rounds, 1 and 2 threads
 *
 * Each round measures every column once, so that a machine that is busy for a while slows all of
 * them; printed are medians in GFLOP/s. bf16 is left out where the CPU only emulates it. "own" is
 * OpenBLAS on the whole product with threads of its own, which is what tiling has to be compared
 * with. "widened" is oneDNN in f32 by a frozen matrix stored in bf16 (y and dx); printed last is its rate over that by one
 * stored in f32. */
#include "trainer/base/cpu.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/tensor/gemm.h"
#include "trainer/tensor/kernels/kernel.h"
#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Product {
    const char *what; /* y = x W^T, dx = dy W, dW = dy^T x */
    int64_t m, n, k;
} Product;

static const Product PRODUCTS[] = {
    {"y", 512, 128, 128},      {"y", 512, 512, 512},      {"y", 4096, 512, 512},
    {"y", 4096, 1408, 512},    {"y", 1024, 2048, 2048},   {"y", 512, 4864, 896},
    {"dx", 512, 512, 512},     {"dx", 4096, 512, 512},    {"dx", 4096, 512, 1408},
    {"dx", 1024, 2048, 2048},  {"dx", 512, 896, 4864},    {"dW", 128, 128, 4096},
    {"dW", 512, 512, 4096},    {"dW", 1408, 512, 4096},   {"dW", 2048, 2048, 1024},
    {"lora y", 4096, 8, 1024}, {"lora dA", 8, 1024, 4096}};

typedef struct Column {
    const char *name, *backend, *compute_dtype; /* backend NULL: "own" */
    bool stored_bf16;                           /* the weights of y and dx */
} Column;

static const Column COLUMNS[] = {{"openblas", "openblas", "fp32", false},
                                 {"onednn", "onednn", "fp32", false},
                                 {"own", NULL, NULL, false},
                                 {"bf16", "onednn", "bf16", false},
                                 {"widened", "onednn", "fp32", true}};

enum { F32 = 1, OWN = 2, WIDENED = 4 }; /* of these */
enum { MAX_ROUND = 101, N_FLOAT = 4096 * 2048 };
static float *a, *b, *c;
static uint16_t *b_stored; /* b in bf16 */

static bool is_by_weights(const Product *p)
{
    return strcmp(p->what, "y") == 0 || strcmp(p->what, "dx") == 0;
}

static void multiply(const Product *p, const Column *col, int n_thread)
{
    const bool trans_a = strcmp(p->what, "dW") == 0 || strcmp(p->what, "lora dA") == 0;
    const bool trans_b = p->what[strlen(p->what) - 1] == 'y';
    const int64_t lda = trans_a ? p->m : p->k, ldb = trans_b ? p->k : p->n;
    const float beta = trans_b ? 0 : 1;
    if (col->backend) {
        const bool stored = col->stored_bf16 && !trans_a;
        const Mat by = {stored ? (const void *)b_stored : b, ldb, stored ? DT_BF16 : DT_F32,
                        trans_b};
        gemm(p->m, p->n, p->k, (Mat){a, lda, DT_F32, trans_a}, by, beta, c, p->n);
        return;
    }
    openblas_set_num_threads(n_thread);
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans,
                trans_b ? CblasTrans : CblasNoTrans, (blasint)p->m, (blasint)p->n, (blasint)p->k, 1,
                a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)p->n);
    openblas_set_num_threads(1);
}

static bool prepare(const Column *col)
{
    if (!col->backend) return true;
    if (!gemm_has_backend(col->backend)) return false;
    if (strcmp(col->compute_dtype, "bf16") == 0 && !(cpu_features() & CPU_AVX512_BF16))
        return false;
    const Status rc = gemm_init(col->backend, col->compute_dtype);
    if (rc != ST_OK) LOG_E("%s", status_message());
    return rc == ST_OK;
}

static double rate(const Product *p, const Column *col, int n_thread)
{
    const double flops = 2.0 * (double)(p->m * p->n * p->k), enough_s = 0.02;
    if (!prepare(col)) return 0;
    multiply(p, col, n_thread);
    const double start_s = clock_s();
    double now_s = start_s;
    int n = 0;
    for (; now_s < start_s + enough_s; now_s = clock_s(), n++) multiply(p, col, n_thread);
    return flops * n / (now_s - start_s) / 1e9;
}

static int by_value(const void *x, const void *y)
{
    const double d = *(const double *)x - *(const double *)y;
    return d < 0 ? -1 : d > 0;
}

/* Gives widened over f32. */
static double bench(const Product *p, int n_round, int n_thread)
{
    double rates[N_OF(COLUMNS)][MAX_ROUND], best = 0;
    omp_set_num_threads(n_thread);
    for (int round = 0; round < n_round; round++)
        for (int64_t i = 0; i < N_OF(COLUMNS); i++)
            rates[i][round] = rate(p, &COLUMNS[i], n_thread);
    printf("%-8s %5lld %5lld %5lld %3d", p->what, LL(p->m), LL(p->n), LL(p->k), n_thread);
    for (int64_t i = 0; i < N_OF(COLUMNS); i++) {
        qsort(rates[i], (size_t)n_round, sizeof **rates, by_value);
        const double median = rates[i][n_round / 2];
        if (COLUMNS[i].backend && !COLUMNS[i].stored_bf16 && median > best &&
            strcmp(COLUMNS[i].compute_dtype, "fp32") == 0)
            best = median;
        printf(" %9.1f", median);
    }
    printf(" %9.2f\n", best / rates[OWN][n_round / 2]);
    fflush(stdout);
    return rates[WIDENED][n_round / 2] / rates[F32][n_round / 2];
}

int main(int argc, char **argv)
{
    gemm_fix_environment(argv);
    const int n_round = argc > 1 ? atoi(argv[1]) : 7;
    char cpu[64];
    cpu_name(cpu, sizeof cpu);
    a = mem_array(N_FLOAT, sizeof *a);
    b = mem_array(N_FLOAT, sizeof *b);
    c = mem_array(N_FLOAT, sizeof *c);
    b_stored = mem_array(N_FLOAT, sizeof *b_stored);
    if (!a || !b || !b_stored || !c || n_round < 1 || n_round > MAX_ROUND) return EXIT_FAILURE;
    for (int64_t i = 0; i < N_FLOAT; i++) {
        a[i] = (float)(i % 13 - 6) / 8;
        b[i] = (float)(i % 11 - 5) / 8; /* exact in bf16 */
    }
    if (gemm_init(NULL, NULL) != ST_OK) return EXIT_FAILURE;
    kernels()->to_bf16(N_FLOAT, b, b_stored);
    const GemmChoice choice = gemm_choice();
    printf("%s: %s, %s, %s\n", cpu, choice.backend, choice.kernels, choice.compute_dtype);
    printf("%-8s %5s %5s %5s %3s", "product", "m", "n", "k", "thr");
    for (int64_t i = 0; i < N_OF(COLUMNS); i++) printf(" %9s", COLUMNS[i].name);
    printf(" %9s\n", "best/own");
    double least = 2, most = 0;
    for (int64_t i = 0; i < N_OF(PRODUCTS); i++)
        for (int t = 2; t < (argc > 2 ? argc : 4); t++) {
            const double r = bench(&PRODUCTS[i], n_round, argc > 2 ? atoi(argv[t]) : t - 1);
            if (is_by_weights(&PRODUCTS[i]) && r < least) least = r;
            if (is_by_weights(&PRODUCTS[i]) && r > most) most = r;
        }
    if (gemm_has_backend("onednn")) printf("widened / f32: %.3f to %.3f\n", least, most);
    gemm_fini();
    mem_free(a);
    mem_free(b);
    mem_free(b_stored);
    mem_free(c);
    return EXIT_SUCCESS;
}
