/* gemm_reference.c — the product in plain C: the judge of the other backends, and the only one of
 * the double build. Takes operands of any dtype. */
#include "trainer/tensor/dtype.h"
#include "trainer/tensor/gemm_backend.h"

enum { BLOCK = 64 }; /* of k and n: a packed block of B stays in the first-level cache */

static real element(const Mat *x, int64_t i, int64_t j)
{
    const int64_t at = x->trans ? j * x->ld + i : i * x->ld + j;
    if (x->dtype == DT_REAL) return ((const real *)x->p)[at];
    real wide;
    dtype_widen(x->dtype, (const char *)x->p + (size_t)at * dtype_bytes(x->dtype), 1, &wide);
    return wide;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Adds alpha A[:, p0:p0+np] packed to n_col columns of C. */
static void add_block(int64_t m, int64_t np, int64_t p0, real alpha, const Mat *a,
                      real packed[BLOCK][BLOCK], int64_t n_col, real *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) {
        real sum[BLOCK] = {0};
        for (int64_t p = 0; p < np; p++) {
            const real x = element(a, i, p0 + p);
            for (int64_t j = 0; j < BLOCK; j++) sum[j] += x * packed[p][j];
        }
        for (int64_t j = 0; j < n_col; j++) c[i * ldc + j] += alpha * sum[j];
    }
}

static void product(int64_t m, int64_t n, int64_t k, real alpha, Mat a, Mat b, real beta, real *c,
                    int64_t ldc)
{
    if (beta == 0)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) c[i * ldc + j] = 0;
    for (int64_t j0 = 0; j0 < n; j0 += BLOCK)
        for (int64_t p0 = 0; p0 < k; p0 += BLOCK) {
            const int64_t n_col = min(BLOCK, n - j0), np = min(BLOCK, k - p0);
            real packed[BLOCK][BLOCK] = {{0}};
            for (int64_t p = 0; p < np; p++)
                for (int64_t j = 0; j < n_col; j++) packed[p][j] = element(&b, p0 + p, j0 + j);
            add_block(m, np, p0, alpha, &a, packed, n_col, c + j0, ldc);
        }
}

static const char *kernels(void)
{
    return "plain C";
}

const GemmBackend gemm_reference = {
    .name = "reference", .has_bf16 = true, .kernels = kernels, .product = product};
