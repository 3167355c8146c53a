/* vec_avx2.h — 16 float lanes in two registers. */
#ifndef TRAINER_TENSOR_KERNELS_VEC_AVX2_H
#define TRAINER_TENSOR_KERNELS_VEC_AVX2_H
#include "trainer/tensor/kernels/vec_avx.h"

enum { VEC_MM_ROWS = 6, VEC_MM_COLS = 1, VEC_DOT_ROWS = 2, VEC_DOT_COLS = 2 };

typedef struct vec {
    __m256 lo, hi;
} vec;
typedef struct vecd {
    __m256d q[4];
} vecd;

VEC_FN __m256i lanes8_mask(int64_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : (int)n), lane);
}
VEC_FN vec v_set(float a)
{
    return (vec){_mm256_set1_ps(a), _mm256_set1_ps(a)};
}
VEC_FN vec v_load(const float *p)
{
    return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
VEC_FN vec v_load_n(const float *p, int64_t n)
{
    if (n >= KERNEL_LANES) return v_load(p);
    if (n <= 8) return (vec){_mm256_maskload_ps(p, lanes8_mask(n)), _mm256_setzero_ps()};
    return (vec){_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, lanes8_mask(n - 8))};
}
/* The 16-bit numbers at p, bf16 or f16. */
VEC_FN __m256 lanes8_widen(const Dtype t, const void *p)
{
    const __m128i bits = _mm_loadu_si128(p);
    if (t == DT_F16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
VEC_FN vec v_widen(const Dtype t, const char *p)
{
    return (vec){lanes8_widen(t, p), lanes8_widen(t, p + 16)};
}
/* As bf16_from_float: half of the last place kept is added, less for an even one; a NaN stays one. */
VEC_FN __m256i lanes8_to_bf16(__m256 a)
{
    const __m256i bits = _mm256_castps_si256(a), high = _mm256_srli_epi32(bits, 16);
    const __m256i even = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(_mm256_srli_epi32(up, 16),
                              _mm256_or_si256(high, _mm256_set1_epi32(0x40)), nan);
}
VEC_FN void v_store_bf16(char *p, vec a)
{
    const __m256i packed = _mm256_packus_epi32(lanes8_to_bf16(a.lo), lanes8_to_bf16(a.hi));
    _mm256_storeu_si256((void *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}
VEC_FN void v_store(float *p, vec a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}
VEC_FN void v_store_n(float *p, vec a, int64_t n)
{
    if (n >= KERNEL_LANES) {
        v_store(p, a);
    } else if (n <= 8) {
        _mm256_maskstore_ps(p, lanes8_mask(n), a.lo);
    } else {
        _mm256_storeu_ps(p, a.lo);
        _mm256_maskstore_ps(p + 8, lanes8_mask(n - 8), a.hi);
    }
}
VEC_FN vec v_add(vec a, vec b)
{
    return (vec){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
VEC_FN vec v_sub(vec a, vec b)
{
    return (vec){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
VEC_FN vec v_mul(vec a, vec b)
{
    return (vec){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
VEC_FN vec v_div(vec a, vec b)
{
    return (vec){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
VEC_FN vec v_max(vec a, vec b)
{
    return (vec){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
VEC_FN vec v_min(vec a, vec b)
{
    return (vec){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
VEC_FN vec v_fma(vec a, vec b, vec c)
{
    return (vec){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
VEC_FN vec v_round(vec a)
{
    enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return (vec){_mm256_round_ps(a.lo, NEAREST), _mm256_round_ps(a.hi, NEAREST)};
}
VEC_FN __m256 lanes8_pow2(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* a 2^n in two factors, because 2^n alone leaves the range of normal numbers before the result
 * does; the first product is exact, so the result is rounded once. */
VEC_FN __m256 lanes8_ldexp(__m256 a, __m256 n)
{
    const __m256i all = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(all, 1);
    return _mm256_mul_ps(_mm256_mul_ps(a, lanes8_pow2(half)),
                         lanes8_pow2(_mm256_sub_epi32(all, half)));
}
VEC_FN vec v_ldexp(vec a, vec n)
{
    return (vec){lanes8_ldexp(a.lo, n.lo), lanes8_ldexp(a.hi, n.hi)};
}
VEC_FN vec v_zero_below(vec a, vec limit, vec b)
{
    return (vec){_mm256_and_ps(_mm256_cmp_ps(a.lo, limit.lo, _CMP_NLT_UQ), b.lo),
                 _mm256_and_ps(_mm256_cmp_ps(a.hi, limit.hi, _CMP_NLT_UQ), b.hi)};
}
VEC_FN float v_sum(vec a)
{
    return lanes8_sum(_mm256_add_ps(a.lo, a.hi));
}
VEC_FN float v_top(vec a)
{
    return lanes8_max(_mm256_max_ps(a.lo, a.hi));
}
VEC_FN vecd vd_zero(void)
{
    const __m256d z = _mm256_setzero_pd();
    return (vecd){{z, z, z, z}};
}
VEC_FN vecd vd_wide(vec a)
{
    return (vecd){{_mm256_cvtps_pd(_mm256_castps256_ps128(a.lo)),
                   _mm256_cvtps_pd(_mm256_extractf128_ps(a.lo, 1)),
                   _mm256_cvtps_pd(_mm256_castps256_ps128(a.hi)),
                   _mm256_cvtps_pd(_mm256_extractf128_ps(a.hi, 1))}};
}
VEC_FN vecd vd_mul(vecd a, vecd b)
{
    return (vecd){{_mm256_mul_pd(a.q[0], b.q[0]), _mm256_mul_pd(a.q[1], b.q[1]),
                   _mm256_mul_pd(a.q[2], b.q[2]), _mm256_mul_pd(a.q[3], b.q[3])}};
}
VEC_FN vecd vd_fma(vecd a, vecd b, vecd c)
{
    return (vecd){{_mm256_fmadd_pd(a.q[0], b.q[0], c.q[0]), _mm256_fmadd_pd(a.q[1], b.q[1], c.q[1]),
                   _mm256_fmadd_pd(a.q[2], b.q[2], c.q[2]),
                   _mm256_fmadd_pd(a.q[3], b.q[3], c.q[3])}};
}
VEC_FN double vd_sum(vecd a)
{
    return lanes4d_sum(_mm256_add_pd(_mm256_add_pd(a.q[0], a.q[2]), _mm256_add_pd(a.q[1], a.q[3])));
}
#include "trainer/tensor/kernels/vec_exp.h"
#endif
