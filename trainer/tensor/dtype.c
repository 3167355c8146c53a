/* dtype.c — see dtype.h. */
#include "trainer/tensor/dtype.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define WIDEN_EACH(type, expr)                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type v;                                                                                    \
        memcpy(&v, (const char *)x + (size_t)i * sizeof v, sizeof v);                              \
        y[i] = (real)(expr);                                                                       \
    }

static float bf16_to_float(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &wide, sizeof f);
    return f;
}

/* Eight at a time: to the compiler the conversion of one number is no part of a vector. */
static void widen_f16(const char *x, int64_t n, real *y)
{
    enum { LANES = 8 };
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float wide[LANES];
        _mm256_storeu_ps(wide, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(x + 2 * i))));
        for (int64_t j = 0; j < LANES; j++) y[i + j] = wide[j];
    }
    for (; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, x + 2 * i, sizeof bits);
        y[i] = _cvtsh_ss(bits);
    }
}

void dtype_widen(Dtype t, const void *x, int64_t n, real *y)
{
    switch (t) {
    case DT_F32:
        WIDEN_EACH(float, v) break;
    case DT_F64:
        WIDEN_EACH(double, v) break;
    case DT_BF16:
        WIDEN_EACH(uint16_t, bf16_to_float(v)) break;
    case DT_F16:
        widen_f16(x, n, y);
        break;
    case N_DTYPE:
        break;
    }
}

/* A number that is not finite keeps its kind: a NaN must not be rounded up to an infinity. */
static uint16_t float_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (isnan(f)) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#define NARROW_EACH(type, narrow, wide)                                                            \
    for (int64_t i = 0; i < n; i++) {                                                              \
        const type v = (type)(narrow);                                                             \
        memcpy((char *)y + (size_t)i * sizeof v, &v, sizeof v);                                    \
        fits = fits && (isfinite(wide) || !isfinite(x[i]));                                        \
    }

bool dtype_narrow(const real *x, int64_t n, Dtype t, void *y)
{
    bool fits = true;
    switch (t) {
    case DT_F32:
        NARROW_EACH(float, x[i], v) break;
    case DT_F64:
        NARROW_EACH(double, x[i], v) break;
    case DT_BF16:
        NARROW_EACH(uint16_t, float_to_bf16((float)x[i]), bf16_to_float(v)) break;
    case DT_F16:
        NARROW_EACH(uint16_t, _cvtss_sh((float)x[i], _MM_FROUND_TO_NEAREST_INT), _cvtsh_ss(v))
        break;
    case N_DTYPE:
        break;
    }
    return fits;
}
