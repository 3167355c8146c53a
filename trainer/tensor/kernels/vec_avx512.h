/* vec_avx512.h — 16 float lanes in one register. */
#ifndef TRAINER_TENSOR_KERNELS_VEC_AVX512_H
#define TRAINER_TENSOR_KERNELS_VEC_AVX512_H
#include "trainer/tensor/kernels/vec_avx.h"

enum { VEC_MM_ROWS = 8, VEC_MM_COLS = 2, VEC_DOT_ROWS = 2, VEC_DOT_COLS = 4 };

typedef __m512 vec;
typedef struct vecd {
    __m512d lo, hi;
} vecd;

VEC_FN __mmask16 v_mask(int64_t n)
{
    return (__mmask16)(n < KERNEL_LANES ? (1u << n) - 1 : 0xffffu);
}
VEC_FN vec v_set(float a)
{
    return _mm512_set1_ps(a);
}
VEC_FN vec v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
VEC_FN vec v_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(v_mask(n), p);
}
/* The 16-bit numbers at p, bf16 or f16. */
VEC_FN vec v_widen(const Dtype t, const char *p)
{
    const __m256i bits = _mm256_loadu_si256((const void *)p);
    if (t == DT_F16) return _mm512_cvtph_ps(bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
/* As bf16_from_float: half of the last place kept is added, less for an even one; a NaN stays one. */
VEC_FN void v_store_bf16(char *p, vec a)
{
    const __m512i bits = _mm512_castps_si512(a), high = _mm512_srli_epi32(bits, 16);
    const __m512i even = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff)));
    const __m512i rounded =
        _mm512_mask_or_epi32(_mm512_srli_epi32(up, 16), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q),
                             high, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(rounded));
}
VEC_FN void v_store(float *p, vec a)
{
    _mm512_storeu_ps(p, a);
}
VEC_FN void v_store_n(float *p, vec a, int64_t n)
{
    _mm512_mask_storeu_ps(p, v_mask(n), a);
}
VEC_FN vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}
VEC_FN vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}
VEC_FN vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}
VEC_FN vec v_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}
VEC_FN vec v_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}
VEC_FN vec v_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}
VEC_FN vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
VEC_FN vec v_round(vec a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
VEC_FN vec v_ldexp(vec a, vec n)
{
    return _mm512_scalef_ps(a, n);
}
VEC_FN vec v_zero_below(vec a, vec limit, vec b)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, limit, _CMP_NLT_UQ), b);
}
VEC_FN float v_sum(vec a)
{
    return lanes8_sum(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}
VEC_FN float v_top(vec a)
{
    return lanes8_max(_mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}
VEC_FN vecd vd_zero(void)
{
    return (vecd){_mm512_setzero_pd(), _mm512_setzero_pd()};
}
VEC_FN vecd vd_wide(vec a)
{
    return (vecd){_mm512_cvtps_pd(_mm512_castps512_ps256(a)),
                  _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))};
}
VEC_FN vecd vd_mul(vecd a, vecd b)
{
    return (vecd){_mm512_mul_pd(a.lo, b.lo), _mm512_mul_pd(a.hi, b.hi)};
}
VEC_FN vecd vd_fma(vecd a, vecd b, vecd c)
{
    return (vecd){_mm512_fmadd_pd(a.lo, b.lo, c.lo), _mm512_fmadd_pd(a.hi, b.hi, c.hi)};
}
VEC_FN double vd_sum(vecd a)
{
    const __m512d s = _mm512_add_pd(a.lo, a.hi);
    return lanes4d_sum(_mm256_add_pd(_mm512_castpd512_pd256(s), _mm512_extractf64x4_pd(s, 1)));
}
#include "trainer/tensor/kernels/vec_exp.h"
#endif
