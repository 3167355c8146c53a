/* kernel_loops.h — the kernels, written over the lanes of the vec_*.h that was included before. */
#include "trainer/tensor/bf16.h"
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#ifdef REAL_IS_DOUBLE
static const real LOWEST = -DBL_MAX, REAL_MIN = DBL_TRUE_MIN;
#else
static const real LOWEST = -FLT_MAX, REAL_MIN = FLT_TRUE_MIN;
#endif
static const real MINUS_INF = -(real)INFINITY;

/* gelu_tanh(x) = x sigmoid(LINE x + CUBE x^3): 2 sqrt(2/pi), and that times 0.044715 */
static const real GELU_LINE = (real)1.5957691216057308, GELU_CUBE = (real)0.07135481627260025;

static void loop_exp(int64_t n, const real *x, real *y)
{
    for (int64_t i = 0; i < n; i += KERNEL_LANES)
        v_store_n(y + i, v_exp(v_load_n(x + i, n - i)), n - i);
}

/* Float lanes hold the sum of at most SUM_BLOCK numbers, the rest is added in double. */
static double loop_exp_sum(int64_t n, const real *x, real shift, real *y)
{
    enum { SUM_BLOCK = 64 * KERNEL_LANES };
    const vec by = v_set(shift);
    double total = 0.0;
    for (int64_t at = 0; at < n; at += SUM_BLOCK) {
        const int64_t end = at + SUM_BLOCK < n ? at + SUM_BLOCK : n;
        const int64_t whole = end - (end - at) % KERNEL_LANES;
        vec sum = v_set(0);
        for (int64_t i = at; i < whole; i += KERNEL_LANES) {
            const vec e = v_exp(v_sub(v_load(x + i), by));
            v_store(y + i, e);
            sum = v_add(sum, e);
        }
        if (whole < end) {
            v_store_n(y + whole, v_exp(v_sub(v_load_n(x + whole, end - whole), by)), end - whole);
            sum = v_add(sum, v_load_n(y + whole, end - whole));
        }
        total += v_sum(sum);
    }
    return total;
}

static real loop_max(int64_t n, const real *x)
{
    const int64_t whole = n - n % KERNEL_LANES;
    vec top = v_set(MINUS_INF);
    for (int64_t i = 0; i < whole; i += KERNEL_LANES) top = v_max(v_load(x + i), top);
    real most = v_top(top);
    for (int64_t i = whole; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

static double loop_sum(int64_t n, const real *x)
{
    const vecd one = vd_wide(v_set(1));
    vecd sum = vd_zero();
    for (int64_t i = 0; i < n; i += KERNEL_LANES)
        sum = vd_fma(vd_wide(v_load_n(x + i, n - i)), one, sum);
    return vd_sum(sum);
}

static double loop_dot(int64_t n, const real *x, const real *y)
{
    vecd sum = vd_zero();
    for (int64_t i = 0; i < n; i += KERNEL_LANES)
        sum = vd_fma(vd_wide(v_load_n(x + i, n - i)), vd_wide(v_load_n(y + i, n - i)), sum);
    return vd_sum(sum);
}

static double loop_dot3(int64_t n, const real *x, const real *y, const real *z)
{
    vecd sum = vd_zero();
    for (int64_t i = 0; i < n; i += KERNEL_LANES) {
        const vecd xy = vd_mul(vd_wide(v_load_n(x + i, n - i)), vd_wide(v_load_n(y + i, n - i)));
        sum = vd_fma(xy, vd_wide(v_load_n(z + i, n - i)), sum);
    }
    return vd_sum(sum);
}

static void loop_scale(int64_t n, real a, real *x)
{
    for (int64_t i = 0; i < n; i += KERNEL_LANES)
        v_store_n(x + i, v_mul(v_load_n(x + i, n - i), v_set(a)), n - i);
}

static void loop_axpy(int64_t n, real a, const real *x, real *y)
{
    for (int64_t i = 0; i < n; i += KERNEL_LANES)
        v_store_n(y + i, v_fma(v_load_n(x + i, n - i), v_set(a), v_load_n(y + i, n - i)), n - i);
}

static void loop_to_bf16(int64_t n, const real *x, void *y)
{
    const int64_t whole = n - n % KERNEL_LANES;
    char *to = y;
    for (int64_t i = 0; i < whole; i += KERNEL_LANES) v_store_bf16(to + 2 * i, v_load(x + i));
    for (int64_t i = whole; i < n; i++) {
        const uint16_t bits = bf16_from_float((float)x[i]);
        memcpy(to + 2 * i, &bits, sizeof bits);
    }
}

/* 1 / (1 + exp(-g)) */
VEC_FN vec sigmoid(vec g)
{
    return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_set(0), g))));
}

/* s(x) of activation.h; f is a constant where this is called. */
VEC_FN vec act_gate(const Activation f, vec x)
{
    if (f == ACT_SILU) return sigmoid(x);
    if (f == ACT_GELU) return v_normal_cdf(x);
    if (f == ACT_RELU) return v_zero_below(x, v_set(REAL_MIN), v_set(1));
    const vec inner = v_fma(v_mul(x, x), v_set(GELU_CUBE), v_set(GELU_LINE));
    return sigmoid(v_mul(x, inner));
}

/* f'(x) where s = s(x). */
VEC_FN vec act_slope(const Activation f, vec x, vec s)
{
    if (f == ACT_GELU) {
        const vec density = v_exp(v_mul(v_mul(x, x), v_set((real)-0.5)));
        return v_fma(v_mul(x, density), v_set((real)0.3989422804014327), s);
    }
    if (f == ACT_RELU) return s;
    vec da = x; /* x da/dx, a what the sigmoid is taken of */
    if (f == ACT_GELU_TANH)
        da = v_mul(x, v_fma(v_mul(x, x), v_set(3 * GELU_CUBE), v_set(GELU_LINE)));
    return v_mul(s, v_fma(da, v_sub(v_set(1), s), v_set(1)));
}

VEC_FN void act_row(const Activation f, int64_t n, const real *x, const real *u, real *y)
{
    for (int64_t i = 0; i < n; i += KERNEL_LANES) {
        const vec at = v_load_n(x + i, n - i), value = v_mul(at, act_gate(f, at));
        v_store_n(y + i, u ? v_mul(value, v_load_n(u + i, n - i)) : value, n - i);
    }
}

VEC_FN void act_row_bwd(const Activation f, int64_t n, const real *x, const real *u, const real *dy,
                        real *dx, real *du)
{
    for (int64_t i = 0; i < n; i += KERNEL_LANES) {
        const vec at = v_load_n(x + i, n - i), s = act_gate(f, at), d = v_load_n(dy + i, n - i);
        if (du) v_store_n(du + i, v_fma(d, v_mul(at, s), v_load_n(du + i, n - i)), n - i);
        if (dx) {
            const vec up = u ? v_mul(d, v_load_n(u + i, n - i)) : d;
            v_store_n(dx + i, v_fma(up, act_slope(f, at, s), v_load_n(dx + i, n - i)), n - i);
        }
    }
}

static void loop_act(Activation f, int64_t n, const real *x, const real *u, real *y)
{
    if (f == ACT_SILU)
        act_row(ACT_SILU, n, x, u, y);
    else if (f == ACT_GELU)
        act_row(ACT_GELU, n, x, u, y);
    else if (f == ACT_RELU)
        act_row(ACT_RELU, n, x, u, y);
    else
        act_row(ACT_GELU_TANH, n, x, u, y);
}

static void loop_act_bwd(Activation f, int64_t n, const real *x, const real *u, const real *dy,
                         real *dx, real *du)
{
    if (f == ACT_SILU)
        act_row_bwd(ACT_SILU, n, x, u, dy, dx, du);
    else if (f == ACT_GELU)
        act_row_bwd(ACT_GELU, n, x, u, dy, dx, du);
    else if (f == ACT_RELU)
        act_row_bwd(ACT_RELU, n, x, u, dy, dx, du);
    else
        act_row_bwd(ACT_GELU_TANH, n, x, u, dy, dx, du);
}

static void loop_softcap(int64_t n, real cap, real *x, real *slope)
{
    for (int64_t i = 0; i < n; i += KERNEL_LANES) {
        const vec t = v_tanh(v_mul(v_load_n(x + i, n - i), v_set(1 / cap)));
        v_store_n(x + i, v_mul(t, v_set(cap)), n - i);
        if (slope) v_store_n(slope + i, v_sub(v_set(1), v_mul(t, t)), n - i);
    }
}

/* A block of rows x (cols vectors) of C held in registers over the whole inner index. */
VEC_FN void mm_block(const int rows, const int cols, int64_t k, const real *a, int64_t a_row,
                     int64_t a_col, const real *b, int64_t ldb, bool add, real *c, int64_t ldc)
{
    vec sum[VEC_MM_ROWS][VEC_MM_COLS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            sum[i][j] = add ? v_load(c + i * ldc + j * KERNEL_LANES) : v_set(0);
    for (int64_t p = 0; p < k; p++) {
        vec row[VEC_MM_COLS];
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) row[j] = v_load(b + p * ldb + j * KERNEL_LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            const vec x = v_set(a[i * a_row + p * a_col]);
#pragma GCC unroll 4
            for (int j = 0; j < cols; j++) sum[i][j] = v_fma(x, row[j], sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) v_store(c + i * ldc + j * KERNEL_LANES, sum[i][j]);
}

static void loop_mm(int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_col,
                    const real *b, int64_t ldb, bool add, real *c, int64_t ldc)
{
    enum { WIDE = VEC_MM_COLS * KERNEL_LANES };
    const int64_t n_wide = n - n % WIDE, m_high = m - m % VEC_MM_ROWS;
    for (int64_t j = 0; j < n_wide; j += WIDE) {
        for (int64_t i = 0; i < m_high; i += VEC_MM_ROWS)
            mm_block(VEC_MM_ROWS, VEC_MM_COLS, k, a + i * a_row, a_row, a_col, b + j, ldb, add,
                     c + i * ldc + j, ldc);
        for (int64_t i = m_high; i < m; i += KERNEL_MM_ROWS)
            mm_block(KERNEL_MM_ROWS, VEC_MM_COLS, k, a + i * a_row, a_row, a_col, b + j, ldb, add,
                     c + i * ldc + j, ldc);
    }
    for (int64_t j = n_wide; j < n; j += KERNEL_LANES) {
        for (int64_t i = 0; i < m_high; i += VEC_MM_ROWS)
            mm_block(VEC_MM_ROWS, 1, k, a + i * a_row, a_row, a_col, b + j, ldb, add,
                     c + i * ldc + j, ldc);
        for (int64_t i = m_high; i < m; i += KERNEL_MM_ROWS)
            mm_block(KERNEL_MM_ROWS, 1, k, a + i * a_row, a_row, a_col, b + j, ldb, add,
                     c + i * ldc + j, ldc);
    }
}

/* rows x cols elements of C: that many sums run side by side. */
VEC_FN void dot_block(const int rows, const int cols, const Dtype type, int64_t k, const real *a,
                      int64_t lda, const char *w, size_t w_stride, bool add, real *c, int64_t ldc)
{
    vec sum[VEC_DOT_ROWS][VEC_DOT_COLS];
    const int64_t whole = k - k % KERNEL_LANES;
    char rest[VEC_DOT_COLS][2 * KERNEL_LANES] = {{0}};
    for (int j = 0; j < cols; j++) {
        memcpy(rest[j], w + (size_t)j * w_stride + 2 * whole, (size_t)(k - whole) * 2);
        for (int i = 0; i < rows; i++) sum[i][j] = v_set(0);
    }
    for (int64_t p = 0; p < k; p += KERNEL_LANES)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++) {
            const vec wide = v_widen(type, p < whole ? w + (size_t)j * w_stride + 2 * p : rest[j]);
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++)
                sum[i][j] = v_fma(v_load_n(a + i * lda + p, k - p), wide, sum[i][j]);
        }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            real *at = c + i * ldc + j;
            *at = (add ? *at : 0) + v_sum(sum[i][j]);
        }
}

VEC_FN void dot_rows(const Dtype type, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda,
                     const char *w, size_t w_stride, bool add, real *c, int64_t ldc)
{
    const int64_t m_even = m - m % VEC_DOT_ROWS, n_wide = n - n % VEC_DOT_COLS;
    for (int64_t j = 0; j < n; j += j < n_wide ? VEC_DOT_COLS : 1) {
        const char *from = w + (size_t)j * w_stride;
        for (int64_t i = 0; i < m; i += i < m_even ? VEC_DOT_ROWS : 1) {
            const real *rows = a + i * lda;
            real *at = c + i * ldc + j;
            if (i < m_even && j < n_wide)
                dot_block(VEC_DOT_ROWS, VEC_DOT_COLS, type, k, rows, lda, from, w_stride, add, at,
                          ldc);
            else if (i < m_even)
                dot_block(VEC_DOT_ROWS, 1, type, k, rows, lda, from, w_stride, add, at, ldc);
            else if (j < n_wide)
                dot_block(1, VEC_DOT_COLS, type, k, rows, lda, from, w_stride, add, at, ldc);
            else
                dot_block(1, 1, type, k, rows, lda, from, w_stride, add, at, ldc);
        }
    }
}

static void loop_mm_stored(int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, Dtype type,
                           const void *w, int64_t ldw, bool add, real *c, int64_t ldc)
{
    if (type == DT_BF16)
        dot_rows(DT_BF16, m, n, k, a, lda, w, 2 * (size_t)ldw, add, c, ldc);
    else
        dot_rows(DT_F16, m, n, k, a, lda, w, 2 * (size_t)ldw, add, c, ldc);
}

static void loop_transpose(int64_t n_row, int64_t n_col, const real *x, int64_t ldx, real *y,
                           int64_t ldy)
{
    const int64_t r8 = n_row - n_row % 8, c8 = n_col - n_col % 8;
    for (int64_t r = 0; r < r8; r += 8)
        for (int64_t c = 0; c < c8; c += 8)
            v_transpose8(x + r * ldx + c, ldx, y + c * ldy + r, ldy);
    for (int64_t r = 0; r < n_row; r++)
        for (int64_t c = r < r8 ? c8 : 0; c < n_col; c++) y[c * ldy + r] = x[r * ldx + c];
}

/* A column that is -inf throughout is shifted by LOWEST, not by -inf, so that it becomes 0,
 * not NaN. */
static void loop_softmax_cols(int64_t n_row, int64_t n_col, real *s, real *m, real *l, real *fix)
{
    for (int64_t c = 0; c < n_col; c += KERNEL_LANES) {
        const vec before = v_load(m + c);
        vec top = before, sum = v_set(0);
        for (int64_t r = 0; r < n_row; r++) top = v_max(v_load(s + r * n_col + c), top);
        const vec shift = v_max(top, v_set(LOWEST));
        for (int64_t r = 0; r < n_row; r++) {
            const vec e = v_exp(v_sub(v_load(s + r * n_col + c), shift));
            v_store(s + r * n_col + c, e);
            sum = v_add(sum, e);
        }
        const vec down = v_exp(v_sub(before, shift));
        v_store(fix + c, down);
        v_store(l + c, v_fma(v_load(l + c), down, sum));
        v_store(m + c, top);
    }
}

static void loop_softmax_cols_bwd(int64_t n_row, int64_t n_col, real *s, real *dp, const real *lse,
                                  const real *delta)
{
    for (int64_t c = 0; c < n_col; c += KERNEL_LANES) {
        const vec shift = v_load(lse + c), mean = v_load(delta + c);
        for (int64_t at = c; at < n_row * n_col; at += n_col) {
            const vec p = v_exp(v_sub(v_load(s + at), shift));
            v_store(s + at, p);
            if (dp) v_store(dp + at, v_mul(p, v_sub(v_load(dp + at), mean)));
        }
    }
}

const Kernels KERNEL_SET = {
    .name = KERNEL_SET_NAME,
    .exp = loop_exp,
    .exp_sum = loop_exp_sum,
    .max = loop_max,
    .sum = loop_sum,
    .dot = loop_dot,
    .dot3 = loop_dot3,
    .scale = loop_scale,
    .axpy = loop_axpy,
    .to_bf16 = loop_to_bf16,
    .act = loop_act,
    .act_bwd = loop_act_bwd,
    .softcap = loop_softcap,
    .mm = loop_mm,
    .mm_stored = loop_mm_stored,
    .transpose = loop_transpose,
    .softmax_cols = loop_softmax_cols,
    .softmax_cols_bwd = loop_softmax_cols_bwd,
};
