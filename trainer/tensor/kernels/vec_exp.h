/* vec_exp.h — exp over float lanes, and what is made from it: tanh, the normal distribution function.
 *
 *   exp(x) = 2^n exp(r),  n = round(x / ln 2),  r = x - n ln 2 in two fused steps,  |r| <= ln 2 / 2
 *   exp(r) = 1 + r + r^2 p(r), p of degree 5
 *
 * Lanes below LOWEST, where the result rounds to zero, are taken out first: masked scores are -inf,
 * and arithmetic on denormals is slow. Coefficients: Cephes expf (S. Moshier). */
#ifndef TRAINER_TENSOR_KERNELS_VEC_EXP_H
#define TRAINER_TENSOR_KERNELS_VEC_EXP_H

/* exp(r) - 1 for x = n ln 2 + r. */
VEC_FN vec exp_reduced(vec x, vec *n)
{
    *n = v_round(v_mul(x, v_set(0x1.715476p+0f)));
    const vec r = v_fma(*n, v_set(0x1.05c61p-29f), v_fma(*n, v_set(-0x1.62e43p-1f), x));
    vec p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    return v_fma(p, v_mul(r, r), r);
}

VEC_FN vec v_exp(vec x)
{
    const vec lowest = v_set(-103.97208f); /* below it exp(x) < 2^-150 */
    const vec kept =
        v_zero_below(x, lowest, v_min(v_set(89.0f), x)); /* exp(89) is inf; NaN stays */
    vec n;
    const vec p = v_add(exp_reduced(kept, &n), v_set(1.0f));
    return v_zero_below(x, lowest, v_ldexp(p, n));
}

/* tanh(x) = e / (e + 2), e = exp(2x) - 1, which keeps its digits near zero. */
VEC_FN vec v_tanh(vec x)
{
    const vec kept = v_max(v_set(-10.0f), v_min(v_set(10.0f), x)); /* tanh(10) rounds to 1 */
    vec n;
    const vec p = exp_reduced(v_add(kept, kept), &n), power = v_ldexp(v_set(1.0f), n);
    const vec e = v_fma(power, p, v_sub(power, v_set(1.0f)));
    return v_div(e, v_add(e, v_set(2.0f)));
}

/* Phi(-|x|) = exp(-x^2/2) t q(t), t = 1 / (1 + 0.35 |x|), q of degree 8 fitted to 3.2e-8 (relative)
 * on |x| < 14.5; Phi(|x|) = 1 - Phi(-|x|). */
VEC_FN vec v_normal_cdf(vec x)
{
    const vec one = v_set(1.0f), zero = v_set(0.0f), size = v_max(v_sub(zero, x), x);
    const vec t = v_div(one, v_fma(size, v_set(0.35f), one));
    vec q = v_set(-0.0291580297f);
    q = v_fma(q, t, v_set(0.144031614f));
    q = v_fma(q, t, v_set(-0.255840391f));
    q = v_fma(q, t, v_set(0.159321249f));
    q = v_fma(q, t, v_set(-0.0232133921f));
    q = v_fma(q, t, v_set(0.105552927f));
    q = v_fma(q, t, v_set(0.119821183f));
    q = v_fma(q, t, v_set(0.139863536f));
    q = v_fma(q, t, v_set(0.139621302f));
    const vec tail = v_mul(v_exp(v_mul(v_mul(x, x), v_set(-0.5f))), v_mul(t, q));
    return v_add(tail, v_zero_below(x, zero, v_sub(one, v_add(tail, tail))));
}
#endif
