/* kernel.h — the inner loops: vector code in three sets, one of them chosen by CPU feature.
 *
 * "avx512" and "avx2" are the same source over 16 lanes and give equal bits: sums go into 16 fixed
 * lanes that are added in one fixed tree, products are fused explicitly, exp is a polynomial of our
 * own. "plain" is C and libm: it judges the other two, and it is what the double build uses.
 * Lengths may be anything, pointers need no alignment; x and y may be the same array, otherwise
 * arrays do not overlap. NaN and inf propagate. */
#ifndef TRAINER_TENSOR_KERNELS_KERNEL_H
#define TRAINER_TENSOR_KERNELS_KERNEL_H
#include "trainer/tensor/activation.h"
#include "trainer/tensor/gemm.h"
#include <stdbool.h>
#include <stdint.h>

enum { KERNEL_LANES = 16, KERNEL_MM_ROWS = 2 };

typedef struct Kernels {
    const char *name; /* "avx512" | "avx2" | "plain"; part of the numerics fingerprint */

    /* y = exp(x), at most 1.02 ulp off (every float was tried), denormal results included. */
    void (*exp)(int64_t n, const real *x, real *y);
    /* y = exp(x - shift), and its sum. */
    double (*exp_sum)(int64_t n, const real *x, real shift, real *y);

    /* Reductions in double; dot(x, x) is the sum of squares, dot3 the sum of x y z. */
    double (*sum)(int64_t n, const real *x);
    double (*dot)(int64_t n, const real *x, const real *y);
    double (*dot3)(int64_t n, const real *x, const real *y, const real *z);
    real (*max)(int64_t n, const real *x); /* -inf for n = 0; a NaN may go unseen */

    void (*scale)(int64_t n, real a, real *x);               /* x *= a */
    void (*axpy)(int64_t n, real a, const real *x, real *y); /* y += a x */

    /* y = x in bf16, rounded to the nearest, ties to even (bf16.h). y may be x: what is not read yet is not overwritten. */
    void (*to_bf16)(int64_t n, const real *x, void *y);

    /* y = f(x) u; u NULL: y = f(x). */
    void (*act)(Activation f, int64_t n, const real *x, const real *u, real *y);
    /* Adds to dx and du; either may be NULL, du must be where u is. */
    void (*act_bwd)(Activation f, int64_t n, const real *x, const real *u, const real *dy, real *dx,
                    real *du);

    /* x = cap tanh(x / cap); slope = 1 - tanh(x / cap)^2, its derivative, unless NULL. */
    void (*softcap)(int64_t n, real cap, real *x, real *slope);

    /* C = A B, or C += A B with `add`, for tiles that fit a cache.
     *
     * Shapes  A: (m,k), element (i,p) is a[i a_row + p a_col]; B: (k,n), C: (m,n) row-major;
     *         m a multiple of KERNEL_MM_ROWS, n of KERNEL_LANES
     * Math    one chain of fused additions per element, in the order of the inner index */
    void (*mm)(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_col,
               const real *b, int64_t ldb, bool add, real *c, int64_t ldc);

    /* C = A W^T, or C += A W^T with `add`, for few rows: W is read as it is stored, and once.
     *
     * Shapes  A: (m,k), W: (n,k) of `type`, bf16 or f16, C: (m,n); rows lda, ldw, ldc apart
     * Math    KERNEL_LANES chains of fused additions per element, then the sum tree */
    void (*mm_stored)(int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, Dtype type,
                      const void *w, int64_t ldw, bool add, real *c, int64_t ldc);

    /* y[c,r] = x[r,c] for r < n_row, c < n_col; rows of y are ldy apart. */
    void (*transpose)(int64_t n_row, int64_t n_col, const real *x, int64_t ldx, real *y,
                      int64_t ldy);

    /* Softmax over columns, one block of rows after the other; start with m = -inf, l = 0.
     *
     * Shapes  s: (n_row, n_col) dense, n_col a multiple of KERNEL_LANES; m, l, fix: (n_col)
     * Math    m' = max(m, max_r s), s = exp(s - m'), fix = exp(m - m'), l = l fix + sum_r s,
     *         m = m'; where m' = -inf, s = 0 and fix = 0 */
    void (*softmax_cols)(int64_t n_row, int64_t n_col, real *s, real *m, real *l, real *fix);
    /* Its backward: s = exp(s - lse), dp = s (dp - delta); dp may be NULL. */
    void (*softmax_cols_bwd)(int64_t n_row, int64_t n_col, real *s, real *dp, const real *lse,
                             const real *delta);
} Kernels;

/* The chosen set; the first call chooses, any thread may ask. Rank: local */
const Kernels *kernels(void);

/* Takes the set of this name from now on; NULL: by CPU feature again. False: unknown, or not for
 * this CPU. Not while other threads compute. */
bool kernels_use(const char *name);
#endif
