/* bf16.h — rounding to bfloat16, the upper half of a float. */
#ifndef TRAINER_TENSOR_BF16_H
#define TRAINER_TENSOR_BF16_H
#include <stdint.h>
#include <string.h>

/* Round to nearest, ties to even; NaN stays NaN, too large becomes infinity, denormals are kept. */
static inline uint16_t bf16_from_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    const uint32_t quiet_nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}
#endif
