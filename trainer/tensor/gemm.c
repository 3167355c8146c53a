/* gemm.c — products cut into tiles that threads share, and the conversion of operands.
 *
 * Operands that are not stored as they are multiplied (f32 activations under bf16 products) are converted panel by panel
 * into scratch that all threads read, so each number is converted about once. Frozen 16-bit weights under f32 products are
 * widened by each tile for itself, in parts that stay in its thread's cache: memory sees but their two bytes. Panels, parts and
 * tiles are pure functions of the shape.
 * A few rows against 16-bit weights, which is what generating does, are bound by memory: there the
 * weights go from file to registers without a panel. */
#include "trainer/base/log.h"
#include "trainer/base/profile.h"
#include "trainer/tensor/dtype.h"
#include "trainer/tensor/gemm_backend.h"
#include "trainer/tensor/kernels/kernel.h"
#include <omp.h>
#include <string.h>

enum {
    PANEL = 2048, /* rows, columns and inner length of a converted panel */
    TILE_M = 512, /* the largest tile */
    TILE_N = 1024,
    TILE_ALIGN = 64, /* tiles begin at multiples of this */
    FEW_ROWS = 16,
    WIDE_K = 1024, /* rows and columns of a part that a tile widens */
    WIDE_N = 512,
    MAX_TEAM = 128 /* threads that do so */
};

/* Untouched pages of these cost nothing: f32 products of f32 operands never use them. */
static _Alignas(64) char scratch_a[PANEL * PANEL * sizeof(real)];
static _Alignas(64) char scratch_b[PANEL * PANEL * sizeof(real)];
static _Alignas(64) char scratch_wide[MAX_TEAM][WIDE_K * WIDE_N * sizeof(real)];

GemmActive gemm_active = {&gemm_reference, false};

size_t dtype_bytes(Dtype t)
{
    static const size_t bytes[N_DTYPE] = {[DT_F32] = 4, [DT_BF16] = 2, [DT_F16] = 2, [DT_F64] = 8};
    return bytes[t];
}

const char *dtype_name(Dtype t)
{
    static const char *const names[N_DTYPE] = {
        [DT_F32] = "F32", [DT_BF16] = "BF16", [DT_F16] = "F16", [DT_F64] = "F64"};
    return names[t];
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* op(x) from element (i,j) on. */
static Mat mat_from(Mat x, int64_t i, int64_t j)
{
    const int64_t at = x.trans ? j * x.ld + i : i * x.ld + j;
    x.p = (const char *)x.p + (size_t)at * dtype_bytes(x.dtype);
    return x;
}

Dtype gemm_operand_dtype(void)
{
    return gemm_active.bf16 ? DT_BF16 : DT_REAL;
}

static void convert_row(Dtype from, const void *x, int64_t n, Dtype to, void *y)
{
    enum { CHUNK = 256 };
    if (to == DT_REAL) {
        dtype_widen(from, x, n, y);
        return;
    }
    if (from == DT_REAL) {
        kernels()->to_bf16(n, x, y);
        return;
    }
    uint16_t *out = y;
    for (int64_t i = 0; i < n; i += CHUNK) {
        real wide[CHUNK];
        const int64_t n_here = min(CHUNK, n - i);
        dtype_widen(from, (const char *)x + (size_t)i * dtype_bytes(from), n_here, wide);
        kernels()->to_bf16(n_here, wide, out + i);
    }
}

/* The (rows, cols) panel of op(x) that begins at (i,j), as `to`; the team fills `scratch` together
 * when x is stored otherwise. */
static Mat panel_as(Dtype to, Mat x, int64_t i, int64_t j, int64_t rows, int64_t cols,
                    char *scratch)
{
    const Mat from = mat_from(x, i, j);
    if (x.dtype == to) return from;
    const int64_t n_row = x.trans ? cols : rows, n_col = x.trans ? rows : cols;
    const size_t row_bytes = (size_t)n_col * dtype_bytes(to);
    const size_t stride = (size_t)x.ld * dtype_bytes(x.dtype);
#pragma omp for schedule(static)
    for (int64_t r = 0; r < n_row; r++)
        convert_row(x.dtype, (const char *)from.p + (size_t)r * stride, n_col, to,
                    scratch + (size_t)r * row_bytes);
    return (Mat){scratch, n_col, to, x.trans};
}

typedef struct Tile {
    int64_t m, n;
} Tile;

static int64_t tile_count(int64_t m, int64_t n, Tile t)
{
    return ceil_div(m, t.m) * ceil_div(n, t.n);
}

/* Even cuts of `n` into parts of at most `largest`. */
static int64_t even_part(int64_t n, int64_t largest)
{
    const int64_t part = ceil_div(n, ceil_div(n, largest));
    return ceil_div(part, TILE_ALIGN) * TILE_ALIGN;
}

/* Halves the longer side until there are `wanted` tiles or both sides are down to `smallest`. */
static Tile halved(Tile t, int64_t m, int64_t n, int64_t wanted, Tile smallest)
{
    while (tile_count(m, n, t) < wanted && (t.m > smallest.m || t.n > smallest.n))
        if (t.m > smallest.m && (t.m > t.n || t.n <= smallest.n))
            t.m = ceil_div(t.m, 2);
        else
            t.n = ceil_div(t.n, 2);
    return t;
}

/* Many threads want many tiles, but every copy of an operand panel that a tile makes costs time:
 * 256 x 256 loses a sixth of the speed of 512 x 512, 128 x 128 a third. So there are 16 tiles where
 * they can be large, 8 where they can be middling, 2 at any size worth waking a thread for. */
static Tile tile_of(int64_t m, int64_t n, int64_t k)
{
    const int64_t worth_two = (int64_t)1 << 21;
    Tile t = {min(TILE_M, m), min(TILE_N, n)};
    if (m * n * k > worth_two) {
        t = halved(t, m, n, 16, (Tile){512, 512});
        t = halved(t, m, n, 8, (Tile){256, 512});
        t = halved(t, m, n, 2, (Tile){TILE_ALIGN, TILE_ALIGN});
    }
    return (Tile){even_part(m, t.m), even_part(n, t.n)};
}

/* A tile on the calling thread, B widened part by part. */
static void widen_tile(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c,
                       int64_t ldc)
{
    char *room = scratch_wide[omp_get_thread_num()];
    for (int64_t j = 0; j < n; j += WIDE_N)
        for (int64_t p = 0; p < k; p += WIDE_K) {
            const int64_t nj = min(WIDE_N, n - j), np = min(WIDE_K, k - p);
            const int64_t n_row = b.trans ? nj : np, n_col = b.trans ? np : nj;
            const Mat from = mat_from(b, p, j);
            for (int64_t r = 0; r < n_row; r++)
                convert_row(b.dtype, mat_from(from, b.trans ? 0 : r, b.trans ? r : 0).p, n_col,
                            DT_REAL, room + (size_t)(r * n_col) * sizeof(real));
            gemm_active.backend->product(m, nj, np, 1, mat_from(a, 0, p),
                                         (Mat){room, n_col, DT_REAL, b.trans}, p == 0 ? beta : 1,
                                         c + j, ldc);
        }
}

/* C = beta C + A B, the team's threads taking tiles as they come. */
static void share_tiles(int64_t m, int64_t n, int64_t k, Tile t, Mat a, Mat b, real beta, real *c,
                        int64_t ldc)
{
    const int64_t n_row = ceil_div(m, t.m);
#pragma omp for schedule(dynamic)
    for (int64_t tile = 0; tile < tile_count(m, n, t); tile++) {
        const int64_t i = tile % n_row * t.m, j = tile / n_row * t.n;
        const int64_t mi = min(t.m, m - i), nj = min(t.n, n - j);
        if (b.dtype != a.dtype)
            widen_tile(mi, nj, k, mat_from(a, i, 0), mat_from(b, 0, j), beta, c + i * ldc + j, ldc);
        else
            gemm_active.backend->product(mi, nj, k, 1, mat_from(a, i, 0), mat_from(b, 0, j), beta,
                                         c + i * ldc + j, ldc);
    }
}

static void multiply_widening(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c,
                              int64_t ldc)
{
    const Tile t = tile_of(m, n, k);
    const int team = (int)min(omp_get_max_threads(), MAX_TEAM);
#pragma omp parallel num_threads(team) if (tile_count(m, n, t) > 1)
    share_tiles(m, n, k, t, a, b, beta, c, ldc);
}

static void set_zero(int64_t m, int64_t n, real *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) memset(c + i * ldc, 0, (size_t)n * sizeof *c);
}

static bool is_few_rows(int64_t m, Mat a, Mat b)
{
    return m <= FEW_ROWS && !gemm_active.bf16 && a.dtype == DT_REAL && !a.trans && b.trans &&
           (b.dtype == DT_BF16 || b.dtype == DT_F16);
}

static void multiply_few_rows(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c,
                              int64_t ldc)
{
    enum { COLUMNS = 64 };
#pragma omp parallel for schedule(static) if (n > COLUMNS)
    for (int64_t j = 0; j < n; j += COLUMNS)
        kernels()->mm_stored(m, min(COLUMNS, n - j), k, a.p, a.ld, b.dtype, mat_from(b, 0, j).p,
                             b.ld, beta != 0, c + j, ldc);
}

static void multiply(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c, int64_t ldc)
{
    if (m <= 0 || n <= 0) return;
    if (k <= 0) {
        if (beta == 0) set_zero(m, n, c, ldc);
        return;
    }
    if (is_few_rows(m, a, b)) {
        multiply_few_rows(m, n, k, a, b, beta, c, ldc);
        return;
    }
    const Dtype as = gemm_operand_dtype();
    if (as == DT_REAL && a.dtype == as && b.dtype != as) {
        multiply_widening(m, n, k, a, b, beta, c, ldc);
        return;
    }
    const bool same_a = a.dtype == as, same_b = b.dtype == as;
    const int64_t panel_m = same_a ? m : PANEL, panel_n = same_b ? n : PANEL;
    const int64_t panel_k = same_a && same_b ? k : PANEL;
    const Tile t = tile_of(min(m, panel_m), min(n, panel_n), min(k, panel_k));
#pragma omp parallel if (tile_count(m, n, t) > 1)
    for (int64_t p = 0; p < k; p += panel_k)
        for (int64_t i = 0; i < m; i += panel_m) {
            const int64_t np = min(panel_k, k - p), ni = min(panel_m, m - i);
            const Mat a_panel = panel_as(as, a, i, p, ni, np, scratch_a);
            for (int64_t j = 0; j < n; j += panel_n) {
                const int64_t nj = min(panel_n, n - j);
                const Mat b_panel = panel_as(as, b, p, j, np, nj, scratch_b);
                share_tiles(ni, nj, np, t, a_panel, b_panel, p == 0 ? beta : 1, c + i * ldc + j,
                            ldc);
            }
        }
}

void gemm(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c, int64_t ldc)
{
    const double begin = profile_is_on ? clock_s() : 0;
    multiply(m, n, k, a, b, beta, c, ldc);
    if (profile_is_on) profile_product(m, n, k, clock_s() - begin);
}

void gemm_here(int64_t m, int64_t n, int64_t k, real alpha, Mat a, Mat b, real beta, real *c,
               int64_t ldc)
{
    ASSERT(a.dtype == DT_REAL && b.dtype == DT_REAL);
    if (m <= 0 || n <= 0) return;
    if (k > 0)
        gemm_active.backend->product(m, n, k, alpha, a, b, beta, c, ldc);
    else if (beta == 0)
        set_zero(m, n, c, ldc);
}
