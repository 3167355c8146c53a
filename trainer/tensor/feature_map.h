/* feature_map.h — sigma(x) = ELU(x) + 1, by which queries and keys meet in a compressed memory.
 *
 * Katharopoulos et al. 2020, arXiv:2006.16236, eq. (7): x + 1 where x > 0, exp(x) elsewhere. */
#ifndef TRAINER_TENSOR_FEATURE_MAP_H
#define TRAINER_TENSOR_FEATURE_MAP_H
#include "trainer/tensor/kernels/kernel.h"

/* f = sigma(x) for n numbers. */
static inline void feature_map(int64_t n, const real *x, real *f)
{
    for (int64_t i = 0; i < n; i++) f[i] = x[i] < 0 ? x[i] : 0;
    kernels()->exp(n, f, f);
    for (int64_t i = 0; i < n; i++) f[i] += x[i] > 0 ? x[i] : 0;
}

/* sigma'(x), where f = sigma(x) */
static inline real feature_slope(real x, real f)
{
    return x > 0 ? 1 : f;
}
#endif
