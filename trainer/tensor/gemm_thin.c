/* gemm_thin.c — products with one thin side, as low-rank updates have them: near the bound of memory, so every large
 * operand is read once and as it is stored.
 *
 * C is cut into fixed tiles that threads share. In a tile, panels of B that stay in the first-level cache (copied where B
 * is transposed or ragged) meet strips of STRIP rows of A; with pairs of bf16, both are rounded on the way. The inner
 * index runs from 0 to k in order, one chain of fused additions per element, whatever the cuts. */
#include "trainer/base/log.h"
#include "trainer/base/profile.h"
#include "trainer/tensor/gemm.h"
#include "trainer/tensor/kernels/pairs.h"
#include <string.h>

enum {
    STRIP = 16,        /* rows of A and C at a time; even */
    PANEL_COLS = 256,  /* of B, at most; a multiple of the lanes */
    PANEL_SIZE = 8192, /* numbers in a panel of B, and pairs */
    ROWS = 128,        /* of a tile of C with few columns or a short inner length */
    FEW = 64,  /* rows of C up to which its columns are shared out instead, as many at a time */
    MANY = 16, /* or more where that still makes so many tiles */
};

typedef struct Thin {
    const PairKernels *pairs; /* NULL: nothing is rounded */
    int64_t m, n, k;
    Mat a, b;
    bool add;
    real *c;
    int64_t ldc;
    int64_t rows, cols;               /* of a tile of C */
    int64_t panel_cols, panel_length; /* of a panel of B */
} Thin;

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

static const real *at(const Mat *x, int64_t i, int64_t j)
{
    return (const real *)x->p + (x->trans ? j * x->ld + i : i * x->ld + j);
}

static Thin cut(int64_t m, int64_t n, int64_t k, Mat a, Mat b, bool add, real *c, int64_t ldc)
{
    Thin t = {pair_kernels(), m, n, k, a, b, add, c, ldc, .rows = ROWS, .cols = n};
    t.panel_cols = min(round_up(n, KERNEL_LANES), PANEL_COLS);
    if (m <= FEW) {
        t.rows = m;
        t.cols = t.panel_cols = min(t.panel_cols, max(FEW, n / MANY / FEW * FEW));
    }
    t.panel_length = PANEL_SIZE / t.panel_cols;
    if (t.pairs) t.panel_length *= 2;
    t.panel_length = min(k, t.panel_length);
    return t;
}

/* Numbers of B from (p,j) on, n_col of them beside each other in a row, zeros behind them. */
static const real *panel_of(const Thin *t, int64_t p, int64_t n_row, int64_t j, int64_t n_col,
                            int64_t *ld, real *room)
{
    const int64_t width = round_up(n_col, KERNEL_LANES);
    const real *from = at(&t->b, p, j);
    *ld = t->b.ld;
    if (!t->b.trans && width == n_col) return from;
    *ld = width;
    if (t->b.trans) {
        if (width != n_col) memset(room, 0, (size_t)(n_row * width) * sizeof *room);
        kernels()->transpose(n_col, n_row, from, t->b.ld, room, width);
        return room;
    }
    for (int64_t r = 0; r < n_row; r++) {
        memcpy(room + r * width, from + r * t->b.ld, (size_t)n_col * sizeof *room);
        memset(room + r * width + n_col, 0, (size_t)(width - n_col) * sizeof *room);
    }
    return room;
}

/* The same as pairs along the inner index. */
static const real *pair_panel_of(const Thin *t, int64_t p, int64_t n_row, int64_t j, int64_t n_col,
                                 int64_t *ld, real *room)
{
    real turned[PANEL_SIZE];
    const int64_t width = round_up(n_col, KERNEL_LANES), n_pair = (n_row + 1) / 2, ldb = t->b.ld;
    const real *from = at(&t->b, p, j);
    *ld = width;
    if (width != n_col) memset(room, 0, (size_t)(n_pair * width) * sizeof *room);
    if (t->b.trans) {
        for (int64_t c = 0; c < n_col; c++)
            t->pairs->along(n_row, from + c * ldb, turned + c * n_pair);
        kernels()->transpose(n_col, n_pair, turned, n_pair, room, width);
        return room;
    }
    for (int64_t r = 0; r < n_row; r += 2, from += 2 * ldb)
        t->pairs->across(n_col, from, r + 1 < n_row ? from + ldb : NULL, room + r / 2 * width);
    return room;
}

/* Rows i .. i + n_row of A, or a copy of them with a row of zeros where they are odd in number: number (or pair) p of row
 * r is at p[r row + p col]. */
typedef struct Strip {
    const real *p;
    int64_t row, col;
} Strip;

static Strip strip_of(const Thin *t, int64_t i, int64_t n_row, int64_t p, int64_t np, real *room)
{
    const int64_t height = round_up(n_row, KERNEL_MM_ROWS);
    if (height == n_row)
        return t->a.trans ? (Strip){at(&t->a, i, p), 1, t->a.ld}
                          : (Strip){at(&t->a, i, p), t->a.ld, 1};
    for (int64_t r = 0; r < height; r++)
        for (int64_t q = 0; q < np; q++)
            room[r * np + q] = r < n_row ? *at(&t->a, i + r, p + q) : 0;
    return (Strip){room, np, 1};
}

static Strip pair_strip_of(const Thin *t, int64_t i, int64_t n_row, int64_t p, int64_t np,
                           real *room)
{
    const int64_t height = round_up(n_row, KERNEL_MM_ROWS), n_pair = (np + 1) / 2, ld = t->a.ld;
    const real *from = at(&t->a, i, p);
    if (height != n_row) memset(room, 0, (size_t)(height * n_pair) * sizeof *room);
    if (!t->a.trans) {
        for (int64_t r = 0; r < n_row; r++) t->pairs->along(np, from + r * ld, room + r * n_pair);
        return (Strip){room, n_pair, 1};
    }
    for (int64_t q = 0; q < np; q += 2, from += 2 * ld)
        t->pairs->across(n_row, from, q + 1 < np ? from + ld : NULL, room + q / 2 * height);
    return (Strip){room, 1, height};
}

static void multiply_strip(const Thin *t, int64_t n_row, int64_t n_col, int64_t np, const Strip *a,
                           const real *panel, int64_t ld, bool add, real *c, int64_t ldc)
{
    if (t->pairs)
        t->pairs->mm(n_row, n_col, (np + 1) / 2, a->p, a->row, a->col, panel, ld, add, c, ldc);
    else
        kernels()->mm(n_row, n_col, np, a->p, a->row, a->col, panel, ld, add, c, ldc);
}

/* The same for n_row x n_col of C that no whole kernel tile fits. */
static void ragged_strip(const Thin *t, int64_t n_row, int64_t n_col, int64_t np, const Strip *a,
                         const real *panel, int64_t ld, bool add, real *c)
{
    real room[STRIP * PANEL_COLS];
    const int64_t height = round_up(n_row, KERNEL_MM_ROWS), width = round_up(n_col, KERNEL_LANES);
    memset(room, 0, sizeof(real) * (size_t)(height * width));
    for (int64_t r = 0; add && r < n_row; r++)
        memcpy(room + r * width, c + r * t->ldc, (size_t)n_col * sizeof *c);
    multiply_strip(t, height, width, np, a, panel, ld, true, room, width);
    for (int64_t r = 0; r < n_row; r++)
        memcpy(c + r * t->ldc, room + r * width, (size_t)n_col * sizeof *c);
}

static void multiply_panel(const Thin *t, int64_t i, int64_t n_row, int64_t j, int64_t n_col,
                           int64_t p, int64_t np, const real *panel, int64_t ld)
{
    real room[STRIP * PANEL_SIZE / KERNEL_LANES];
    const bool add = t->add || p > 0;
    for (int64_t end = i + n_row; i < end; i += STRIP) {
        const int64_t n = min(STRIP, end - i);
        const Strip a =
            t->pairs ? pair_strip_of(t, i, n, p, np, room) : strip_of(t, i, n, p, np, room);
        real *c = t->c + i * t->ldc + j;
        if (n % KERNEL_MM_ROWS || n_col % KERNEL_LANES)
            ragged_strip(t, n, n_col, np, &a, panel, ld, add, c);
        else
            multiply_strip(t, n, n_col, np, &a, panel, ld, add, c, t->ldc);
    }
}

static void multiply_tile(const Thin *t, int64_t i, int64_t j)
{
    _Alignas(64) real room[PANEL_SIZE];
    const int64_t n_row = min(t->rows, t->m - i), end = j + min(t->cols, t->n - j);
    for (; j < end; j += t->panel_cols)
        for (int64_t p = 0; p < t->k; p += t->panel_length) {
            const int64_t np = min(t->panel_length, t->k - p), n_col = min(t->panel_cols, end - j);
            int64_t ld;
            const real *panel = t->pairs ? pair_panel_of(t, p, np, j, n_col, &ld, room)
                                         : panel_of(t, p, np, j, n_col, &ld, room);
            multiply_panel(t, i, n_row, j, n_col, p, np, panel, ld);
        }
}

void gemm_thin(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c, int64_t ldc)
{
    ASSERT(a.dtype == DT_REAL && b.dtype == DT_REAL);
    if (m <= 0 || n <= 0) return;
    for (int64_t i = 0; k <= 0 && beta == 0 && i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    if (k <= 0) return;
    const double begin = profile_is_on ? clock_s() : 0;
    const Thin t = cut(m, n, k, a, b, beta != 0, c, ldc);
    const int64_t n_down = (m + t.rows - 1) / t.rows, n_across = (n + t.cols - 1) / t.cols;
#pragma omp parallel for schedule(dynamic)
    for (int64_t tile = 0; tile < n_down * n_across; tile++)
        multiply_tile(&t, tile % n_down * t.rows, tile / n_down * t.cols);
    if (profile_is_on) profile_product(m, n, k, clock_s() - begin);
}
