/* pairs.h — dot products of bf16 numbers with f32 sums, for tiles that ops convert themselves.
 *
 * A pair is two bf16 numbers in the room of one float, the first in the lower half; arrays of pairs are declared as `real`
 * and only ever copied. Numbers are rounded to the nearest, ties to even; denormals count as zero. Lengths may be
 * anything, pointers need no alignment. In the double build there are none. */
#ifndef TRAINER_TENSOR_KERNELS_PAIRS_H
#define TRAINER_TENSOR_KERNELS_PAIRS_H
#include "trainer/tensor/kernels/kernel.h"

typedef struct PairKernels {
    const char *name; /* "avx512_bf16" | "plain", which judges it and is never chosen */

    /* Pair p of y is (x[2p], x[2p+1]), for n numbers; an odd one out is paired with zero. */
    void (*along)(int64_t n, const real *x, real *y);
    /* Pair c of y is (x0[c], x1[c]), for c < n; x1 NULL: zeros. */
    void (*across)(int64_t n, const real *x0, const real *x1, real *y);
    /* Back: x0[c] and x1[c] of pair c of y, for c < n. */
    void (*apart)(int64_t n, const real *y, real *x0, real *x1);

    /* C = A B, or C += A B with `add`, as Kernels.mm has it, where A is (m,k) and B (k,n) of pairs: the inner length is 2 k.
     * Math  one chain of additions per element, pair after pair */
    void (*mm)(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_col,
               const real *b, int64_t ldb, bool add, real *c, int64_t ldc);
} PairKernels;

/* What ops multiply small tiles by; NULL, as they are: the compute dtype is not bf16, or the CPU knows no pairs.
 * Rank: local */
const PairKernels *pair_kernels(void);
/* What ops keep values by that only a backward wants again; NULL, as they are: the compute dtype is not bf16. Rank: local */
const PairKernels *pair_storage(void);
bool pair_kernels_usable(void); /* on this CPU */
#ifndef REAL_IS_DOUBLE
extern const PairKernels pair_kernels_plain, pair_kernels_avx512;
#endif
#endif
