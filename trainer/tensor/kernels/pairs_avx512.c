#include "trainer/tensor/kernels/pairs.h"
#include "trainer/tensor/kernels/vec_avx512.h"
#include <stddef.h>

VEC_FN __m512bh pairs_at(const real *p)
{
    return (__m512bh)_mm512_loadu_si512((const void *)p);
}

static void avx512_along(int64_t n, const real *x, real *y)
{
    const int64_t whole = n - n % (2 * KERNEL_LANES), rest = n - whole;
    for (int64_t i = 0; i < whole; i += 2 * KERNEL_LANES)
        _mm512_storeu_si512(
            y + i / 2, (__m512i)_mm512_cvtne2ps_pbh(v_load(x + i + KERNEL_LANES), v_load(x + i)));
    if (rest == 0) return;
    const vec first = v_load_n(x + whole, rest),
              second = rest > KERNEL_LANES ? v_load_n(x + whole + KERNEL_LANES, rest - KERNEL_LANES)
                                           : v_set(0);
    _mm512_mask_storeu_epi32(y + whole / 2, v_mask((rest + 1) / 2),
                             (__m512i)_mm512_cvtne2ps_pbh(second, first));
}

static void avx512_across(int64_t n, const real *x0, const real *x1, real *y)
{
    static const uint16_t ZIP[2 * KERNEL_LANES] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                   21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                   11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i zip = _mm512_loadu_si512(ZIP);
    const int64_t whole = n - n % KERNEL_LANES;
    for (int64_t c = 0; c < whole; c += KERNEL_LANES) {
        const vec second = x1 ? v_load(x1 + c) : v_set(0);
        const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(second, v_load(x0 + c));
        _mm512_storeu_si512(y + c, _mm512_permutexvar_epi16(zip, halves));
    }
    if (whole == n) return;
    const vec second = x1 ? v_load_n(x1 + whole, n - whole) : v_set(0);
    const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(second, v_load_n(x0 + whole, n - whole));
    _mm512_mask_storeu_epi32(y + whole, v_mask(n - whole), _mm512_permutexvar_epi16(zip, halves));
}

static void avx512_apart(int64_t n, const real *y, real *x0, real *x1)
{
    for (int64_t c = 0; c < n; c += KERNEL_LANES) {
        const __m512i pairs = _mm512_castps_si512(v_load_n(y + c, n - c));
        const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
        v_store_n(x0 + c, _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)), n - c);
        v_store_n(x1 + c, _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)), n - c);
    }
}

/* A block of rows x cols vectors of C held in registers over the whole inner index: BLOCK of them, so that no addition
 * waits for the one before. */
enum { BLOCK = 16, MAX_COLS = 2 };

VEC_FN void mm_block(const int rows, const int cols, int64_t k, const real *a, int64_t a_row,
                     int64_t a_col, const real *b, int64_t ldb, bool add, real *c, int64_t ldc)
{
    vec sum[BLOCK][MAX_COLS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < cols; j++)
            sum[i][j] = add ? v_load(c + i * ldc + j * KERNEL_LANES) : v_set(0);
    for (int64_t p = 0; p < k; p++) {
        __m512bh row[MAX_COLS];
#pragma GCC unroll 2
        for (int j = 0; j < cols; j++) row[j] = pairs_at(b + p * ldb + j * KERNEL_LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            const __m512bh x = (__m512bh)v_set(a[i * a_row + p * a_col]);
#pragma GCC unroll 2
            for (int j = 0; j < cols; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, row[j]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < cols; j++) v_store(c + i * ldc + j * KERNEL_LANES, sum[i][j]);
}

/* cols vectors of columns, all rows. */
VEC_FN void mm_columns(const int cols, int64_t m, int64_t k, const real *a, int64_t a_row,
                       int64_t a_col, const real *b, int64_t ldb, bool add, real *c, int64_t ldc)
{
    const int rows = BLOCK / cols;
    int64_t i = 0;
    for (; i + rows <= m; i += rows)
        mm_block(rows, cols, k, a + i * a_row, a_row, a_col, b, ldb, add, c + i * ldc, ldc);
    for (; i < m; i += KERNEL_MM_ROWS)
        mm_block(KERNEL_MM_ROWS, cols, k, a + i * a_row, a_row, a_col, b, ldb, add, c + i * ldc,
                 ldc);
}

static void avx512_mm(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                      const real *b, int64_t ldb, bool add, real *c, int64_t ldc)
{
    int64_t j = 0;
    for (; j + MAX_COLS * KERNEL_LANES <= n; j += MAX_COLS * KERNEL_LANES)
        mm_columns(MAX_COLS, m, k, a, a_row, a_col, b + j, ldb, add, c + j, ldc);
    if (j < n) mm_columns(1, m, k, a, a_row, a_col, b + j, ldb, add, c + j, ldc);
}

const PairKernels pair_kernels_avx512 = {.name = "avx512_bf16",
                                         .along = avx512_along,
                                         .across = avx512_across,
                                         .apart = avx512_apart,
                                         .mm = avx512_mm};
