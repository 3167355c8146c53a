/* vec_exp.h — exp over float lanes.
 *
 *   exp(x) = 2^n exp(r),  n = round(x / ln 2),  r = x - n ln 2 in two fused steps,  |r| <= ln 2 / 2
 *   exp(r) = 1 + r + r^2 p(r), p of degree 5
 *
 * Lanes below LOWEST, where the result rounds to zero, are taken out first: masked scores are -inf,
 * and arithmetic on denormals is slow. Coefficients: Cephes expf (S. Moshier). */
#ifndef TRAINER_TENSOR_KERNELS_VEC_EXP_H
#define TRAINER_TENSOR_KERNELS_VEC_EXP_H

VEC_FN vec v_exp(vec x)
{
    const vec lowest = v_set(-103.97208f); /* below it exp(x) < 2^-150 */
    const vec kept =
        v_zero_below(x, lowest, v_min(v_set(89.0f), x)); /* exp(89) is inf; NaN stays */
    const vec n = v_round(v_mul(kept, v_set(0x1.715476p+0f)));
    const vec r = v_fma(n, v_set(0x1.05c61p-29f), v_fma(n, v_set(-0x1.62e43p-1f), kept));
    vec p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
    return v_zero_below(x, lowest, v_ldexp(p, n));
}
#endif
