/* vec_plain.h — 16 lanes in C, exp by libm: what the vector sets are judged by. */
#ifndef TRAINER_TENSOR_KERNELS_VEC_PLAIN_H
#define TRAINER_TENSOR_KERNELS_VEC_PLAIN_H
#include "trainer/tensor/bf16.h"
#include "trainer/tensor/dtype.h"
#include "trainer/tensor/kernels/kernel.h"
#include <math.h>
#include <tgmath.h>

#define VEC_FN static inline /* not always: it would take the compiler minutes */
enum { VEC_MM_ROWS = 2, VEC_MM_COLS = 1, VEC_DOT_ROWS = 1, VEC_DOT_COLS = 2 };

typedef struct vec {
    real x[KERNEL_LANES];
} vec;
typedef struct vecd {
    double x[KERNEL_LANES];
} vecd;

#define VEC_EACH(type, expr)                                                                       \
    type y_;                                                                                       \
    for (int i = 0; i < KERNEL_LANES; i++) y_.x[i] = (expr);                                       \
    return y_

VEC_FN vec v_set(real a)
{
    VEC_EACH(vec, a);
}
VEC_FN vec v_load(const real *p)
{
    VEC_EACH(vec, p[i]);
}
VEC_FN vec v_load_n(const real *p, int64_t n)
{
    VEC_EACH(vec, i < n ? p[i] : 0);
}
VEC_FN vec v_widen(Dtype t, const char *p)
{
    vec y;
    dtype_widen(t, p, KERNEL_LANES, y.x);
    return y;
}
VEC_FN void v_store_bf16(char *p, vec a)
{
    uint16_t bits[KERNEL_LANES];
    for (int i = 0; i < KERNEL_LANES; i++) bits[i] = bf16_from_float((float)a.x[i]);
    memcpy(p, bits, sizeof bits);
}
VEC_FN void v_store_n(real *p, vec a, int64_t n)
{
    for (int i = 0; i < KERNEL_LANES && i < n; i++) p[i] = a.x[i];
}
VEC_FN void v_store(real *p, vec a)
{
    v_store_n(p, a, KERNEL_LANES);
}
VEC_FN vec v_add(vec a, vec b)
{
    VEC_EACH(vec, a.x[i] + b.x[i]);
}
VEC_FN vec v_sub(vec a, vec b)
{
    VEC_EACH(vec, a.x[i] - b.x[i]);
}
VEC_FN vec v_mul(vec a, vec b)
{
    VEC_EACH(vec, a.x[i] * b.x[i]);
}
VEC_FN vec v_div(vec a, vec b)
{
    VEC_EACH(vec, a.x[i] / b.x[i]);
}
VEC_FN vec v_max(vec a, vec b)
{
    VEC_EACH(vec, a.x[i] > b.x[i] ? a.x[i] : b.x[i]);
}
VEC_FN vec v_fma(vec a, vec b, vec c)
{
    VEC_EACH(vec, fma(a.x[i], b.x[i], c.x[i]));
}
VEC_FN vec v_zero_below(vec a, vec limit, vec b)
{
    VEC_EACH(vec, a.x[i] < limit.x[i] ? 0 : b.x[i]);
}
VEC_FN vec v_exp(vec a)
{
    VEC_EACH(vec, exp(a.x[i]));
}
VEC_FN vec v_tanh(vec a)
{
    VEC_EACH(vec, tanh(a.x[i]));
}
VEC_FN vec v_normal_cdf(vec a)
{
    VEC_EACH(vec, (real)0.5 * erfc(a.x[i] * (real)-0.70710678118654752));
}
VEC_FN vecd vd_zero(void)
{
    VEC_EACH(vecd, 0.0);
}
VEC_FN vecd vd_wide(vec a)
{
    VEC_EACH(vecd, (double)a.x[i]);
}
VEC_FN vecd vd_mul(vecd a, vecd b)
{
    VEC_EACH(vecd, a.x[i] * b.x[i]);
}
VEC_FN vecd vd_fma(vecd a, vecd b, vecd c)
{
    VEC_EACH(vecd, fma(a.x[i], b.x[i], c.x[i]));
}
VEC_FN double vd_sum(vecd a)
{
    for (int half = KERNEL_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a.x[i] += a.x[i + half];
    return a.x[0];
}
VEC_FN real v_sum(vec a)
{
    for (int half = KERNEL_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) a.x[i] += a.x[i + half];
    return a.x[0];
}
VEC_FN real v_top(vec a)
{
    for (int i = 1; i < KERNEL_LANES; i++) a.x[0] = a.x[i] > a.x[0] ? a.x[i] : a.x[0];
    return a.x[0];
}
VEC_FN void v_transpose8(const real *x, int64_t ldx, real *y, int64_t ldy)
{
    for (int64_t r = 0; r < 8; r++)
        for (int64_t c = 0; c < 8; c++) y[c * ldy + r] = x[r * ldx + c];
}
#undef VEC_EACH
#endif
