/* op_activation.c — activation of a feed-forward layer, gated or not.
 *
 *   y = f(x) u,  or y = f(x);    f(x) = x s(x) is silu or gelu (activation.h)
 * Gated: Shazeer 2020, arXiv:2002.05202, section 2 (SwiGLU, GEGLU).
 * Backward:
 *   dx = dy u f'(x),    du = dy f(x)
 *   silu:       f' = s (1 + x (1 - s))
 *   relu:       f' = s
 *   gelu:       f' = s + x phi(x), phi the normal density
 *   gelu_tanh:  s = 1 / (1 + exp(-a)) with a = 2 sqrt(2/pi) (x + 0.044715 x^3),
 *               f' = s (1 + x (1 - s) da/dx)
 */
#include "trainer/tensor/kernels/pairs.h"
#include "trainer/tensor/op.h"

static bool keeps(const OpCall *k)
{
    return ((const ActivationArg *)k->arg)->keeps && k->n_saved > 0;
}

/* in: x (N,I) [, up (N,I)]; arg: f, keeps; out: y (N,I); saved: x and up, (N,I) pairs or (N,2,I) */
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
    if (!((const ActivationArg *)k->arg)->keeps || !(x->needs_grad || u->needs_grad)) goto out;
    ASSERT(k->n_in == 2);
    k->n_saved = pair_storage() ? x->n : 2 * x->n;
    k->n_scratch_thread = 2 * x->dim[1];
out:
    return rc;
}

static void keep_row(OpCall *k, const PairKernels *pairs, int64_t n, const real *x, const real *u)
{
    const int64_t I = k->out->dim[1];
    if (pairs) {
        pairs->across(I, x, u, k->saved + n * I);
        return;
    }
    memcpy(k->saved + 2 * n * I, x, (size_t)I * sizeof *x);
    memcpy(k->saved + (2 * n + 1) * I, u, (size_t)I * sizeof *u);
}

/* x and up of row n, as they come or as they were kept; these may lie in the thread's scratch. */
static void row_of(const OpCall *k, const PairKernels *pairs, bool kept, int64_t n, const real **x,
                   const real **u)
{
    const int64_t I = k->out->dim[1];
    if (!kept) {
        *x = k->in[0]->val + n * I;
        *u = k->n_in == 2 ? k->in[1]->val + n * I : NULL;
    } else if (pairs) {
        real *room = op_thread_scratch(k);
        pairs->apart(I, k->saved + n * I, room, room + I);
        *x = room;
        *u = room + I;
    } else {
        *x = k->saved + 2 * n * I;
        *u = *x + I;
    }
}

static void activation_fwd(OpCall *k)
{
    const Activation f = ((const ActivationArg *)k->arg)->f;
    const int64_t N = k->out->dim[0], I = k->out->dim[1];
    const PairKernels *pairs = pair_storage();
    const bool keep = keeps(k), again = keep && !k->in[0]->val;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const real *x, *u;
        row_of(k, pairs, again, n, &x, &u);
        if (keep && !again) keep_row(k, pairs, n, x, u);
        kernels()->act(f, I, x, u, k->out->val + n * I);
    }
}

static void activation_bwd(OpCall *k)
{
    const Activation f = ((const ActivationArg *)k->arg)->f;
    const int64_t N = k->out->dim[0], I = k->out->dim[1];
    const PairKernels *pairs = pair_storage();
    Tensor *gate = k->in[0], *up = k->n_in == 2 ? k->in[1] : NULL;
    const bool kept = keeps(k);
    if (!gate->grad && !(up && up->grad)) return;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const real *x, *u;
        row_of(k, pairs, kept, n, &x, &u);
        kernels()->act_bwd(f, I, x, u, k->out->grad + n * I,
                           gate->grad ? grad_rows(gate, n, 1) : NULL,
                           up && up->grad ? grad_rows(up, n, 1) : NULL);
    }
}

static bool activation_bwd_reads(const OpCall *k, int i)
{
    (void)i;
    return !keeps(k);
}

// clang-format off
#define ARG(f_) &(const ActivationArg){ f_, false }
static const OpCase activation_cases[] = {
    { "keeps",     2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, &(const ActivationArg){ ACT_SILU, true }, -3.0, 3.0 },
    { "swiglu",    2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, ARG(ACT_SILU), -3.0, 3.0 },
    { "geglu",     2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, ARG(ACT_GELU_TANH), -3.0, 3.0 },
    { "geglu_erf", 2, { { 2, { 2, 19 } }, { 2, { 2, 19 } } }, ARG(ACT_GELU), -3.0, 3.0 },
    { "relu",      1, { { 2, { 3, 5 } } }, ARG(ACT_RELU), 0.5, 3.0 },
    { "relu_off",  1, { { 2, { 3, 5 } } }, ARG(ACT_RELU), -3.0, -0.5 },
    { "silu",      1, { { 2, { 3, 5 } } }, ARG(ACT_SILU), -3.0, 3.0 },
    { "gelu_tanh", 1, { { 2, { 2, 19 } } }, ARG(ACT_GELU_TANH), -4.0, 4.0 },
    { "gelu",      1, { { 2, { 2, 19 } } }, ARG(ACT_GELU), -4.0, 4.0 },
};
// clang-format on
const OpDef op_activation = {.name = "activation",
                             .shape = activation_shape,
                             .fwd = activation_fwd,
                             .bwd = activation_bwd,
                             .bwd_reads = activation_bwd_reads,
                             .cases = activation_cases,
                             .n_case = N_OF(activation_cases)};
