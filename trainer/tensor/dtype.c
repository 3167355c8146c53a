/* dtype.c — see dtype.h. */
#include "trainer/tensor/dtype.h"
#include <immintrin.h>
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
        WIDEN_EACH(uint16_t, _cvtsh_ss(v)) break;
    case N_DTYPE:
        break;
    }
}
