#include "trainer/tensor/kernels/pairs.h"
#include "trainer/base/cpu.h"
#include "trainer/tensor/bf16.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

#ifdef REAL_IS_DOUBLE
bool pair_kernels_usable(void)
{
    return false;
}

const PairKernels *pair_kernels(void)
{
    return NULL;
}

const PairKernels *pair_storage(void)
{
    return NULL;
}
#else
/* Denormals become zero of their sign. */
static uint16_t rounded(float x)
{
    return bf16_from_float(fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x);
}

static real pair_of(float first, float second)
{
    const uint16_t half[2] = {rounded(first), rounded(second)};
    real pair;
    memcpy(&pair, half, sizeof pair);
    return pair;
}

static double half_of(const real *pair, int second)
{
    uint16_t half[2];
    memcpy(half, pair, sizeof half);
    const uint32_t bits = (uint32_t)half[second] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static void plain_along(int64_t n, const real *x, real *y)
{
    for (int64_t i = 0; i < n; i += 2) {
        const real pair = pair_of(x[i], i + 1 < n ? x[i + 1] : 0);
        memcpy(&y[i / 2], &pair, sizeof pair);
    }
}

static void plain_across(int64_t n, const real *x0, const real *x1, real *y)
{
    for (int64_t c = 0; c < n; c++) {
        const real pair = pair_of(x0[c], x1 ? x1[c] : 0);
        memcpy(&y[c], &pair, sizeof pair);
    }
}

static void plain_apart(int64_t n, const real *y, real *x0, real *x1)
{
    for (int64_t c = 0; c < n; c++) {
        x0[c] = (real)half_of(y + c, 0);
        x1[c] = (real)half_of(y + c, 1);
    }
}

static void plain_mm(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                     const real *b, int64_t ldb, bool add, real *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = add ? (double)c[i * ldc + j] : 0;
            for (int64_t p = 0; p < k; p++)
                for (int half = 0; half < 2; half++)
                    sum +=
                        half_of(a + i * a_row + p * a_col, half) * half_of(b + p * ldb + j, half);
            c[i * ldc + j] = (real)sum;
        }
}

const PairKernels pair_kernels_plain = {.name = "plain",
                                        .along = plain_along,
                                        .across = plain_across,
                                        .apart = plain_apart,
                                        .mm = plain_mm};

bool pair_kernels_usable(void)
{
    return cpu_features() & CPU_AVX512_BF16 && cpu_features() & CPU_AVX512;
}

const PairKernels *pair_kernels(void)
{
    return gemm_operand_dtype() == DT_BF16 && pair_kernels_usable() ? &pair_kernels_avx512 : NULL;
}

const PairKernels *pair_storage(void)
{
    if (gemm_operand_dtype() != DT_BF16) return NULL;
    return pair_kernels_usable() ? &pair_kernels_avx512 : &pair_kernels_plain;
}
#endif
