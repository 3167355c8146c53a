/* op_activation.c — activation of a feed-forward layer, gated or not.
 *
 *   y = f(x) u,  or y = f(x);    f(x) = x s(x) is silu or gelu (activation.h)
 * Gated: Shazeer 2020, arXiv:2002.05202, section 2 (SwiGLU, GEGLU).
 * Backward:
 *   dx = dy u f'(x),    du = dy f(x)
 *   silu:       f' = s (1 + x (1 - s))
 *   gelu:       f' = s + x phi(x), phi the normal density
 *   gelu_tanh:  s = 1 / (1 + exp(-a)) with a = 2 sqrt(2/pi) (x + 0.044715 x^3),
 *               f' = s (1 + x (1 - s) da/dx)
 */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"

/* in: x (N,I) [, up (N,I)]; arg: f; out: y (N,I) */
static Status activation_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *u = k->n_in == 2 ? k->in[1] : x;
    CHECK(x->n_dim == 2 && u->n_dim == 2, SHAPE, "activation: gate has %d dims, up %d", x->n_dim,
          u->n_dim);
    CHECK(x->dim[0] == u->dim[0] && x->dim[1] == u->dim[1], SHAPE,
          "activation: gate is %lld x %lld, up %lld x %lld", LL(x->dim[0]), LL(x->dim[1]),
          LL(u->dim[0]), LL(u->dim[1]));
    op_out_like(k, x);
out:
    return rc;
}

static void activation_fwd(OpCall *k)
{
    const Activation f = ((const ActivationArg *)k->arg)->f;
    const int64_t N = k->out->dim[0], I = k->out->dim[1];
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++)
        kernels()->act(f, I, k->in[0]->val + n * I, k->n_in == 2 ? k->in[1]->val + n * I : NULL,
                       k->out->val + n * I);
}

static void activation_bwd(OpCall *k)
{
    const Activation f = ((const ActivationArg *)k->arg)->f;
    const int64_t N = k->out->dim[0], I = k->out->dim[1];
    Tensor *x = k->in[0], *u = k->n_in == 2 ? k->in[1] : NULL;
    if (!x->grad && !(u && u->grad)) return;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++)
        kernels()->act_bwd(f, I, x->val + n * I, u ? u->val + n * I : NULL, k->out->grad + n * I,
                           x->grad ? grad_rows(x, n, 1) : NULL,
                           u && u->grad ? grad_rows(u, n, 1) : NULL);
}

// clang-format off
#define ARG(f_) &(const ActivationArg){ f_ }
static const OpCase activation_cases[] = {
    { "swiglu",    2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, ARG(ACT_SILU), -3.0, 3.0 },
    { "geglu",     2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, ARG(ACT_GELU_TANH), -3.0, 3.0 },
    { "geglu_erf", 2, { { 2, { 2, 19 } }, { 2, { 2, 19 } } }, ARG(ACT_GELU), -3.0, 3.0 },
    { "silu",      1, { { 2, { 3, 5 } } }, ARG(ACT_SILU), -3.0, 3.0 },
    { "gelu_tanh", 1, { { 2, { 2, 19 } } }, ARG(ACT_GELU_TANH), -4.0, 4.0 },
    { "gelu",      1, { { 2, { 2, 19 } } }, ARG(ACT_GELU), -4.0, 4.0 },
};
// clang-format on
const OpDef op_activation = {.name = "activation",
                             .shape = activation_shape,
                             .fwd = activation_fwd,
                             .bwd = activation_bwd,
                             .cases = activation_cases,
                             .n_case = N_OF(activation_cases)};
