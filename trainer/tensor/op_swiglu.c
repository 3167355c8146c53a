/* op_swiglu.c — gated activation of the feed-forward layer.
 *
 *   y = silu(g) u,    silu(g) = g sigma(g)
 * Shazeer 2020, arXiv:2002.05202, section 2.
 * Backward:
 *   dg = dy u sigma(g) (1 + g (1 - sigma(g))),    du = dy silu(g)
 */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"

/* in: gate (N,I), up (N,I); out: y (N,I) */
static Status swiglu_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *g = k->in[0], *u = k->in[1];
    CHECK(g->n_dim == 2 && u->n_dim == 2, SHAPE, "swiglu: gate has %d dims, up %d", g->n_dim,
          u->n_dim);
    CHECK(g->dim[0] == u->dim[0] && g->dim[1] == u->dim[1], SHAPE,
          "swiglu: gate is %lld x %lld, up %lld x %lld", LL(g->dim[0]), LL(g->dim[1]),
          LL(u->dim[0]), LL(u->dim[1]));
    op_out_like(k, g);
out:
    return rc;
}

static void swiglu_fwd(OpCall *k)
{
    const int64_t N = k->out->dim[0], I = k->out->dim[1];
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++)
        kernels()->swiglu(I, k->in[0]->val + n * I, k->in[1]->val + n * I, k->out->val + n * I);
}

static void swiglu_bwd(OpCall *k)
{
    const int64_t N = k->out->dim[0], I = k->out->dim[1];
    if (!k->in[0]->grad && !k->in[1]->grad) return;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++)
        kernels()->swiglu_bwd(I, k->in[0]->val + n * I, k->in[1]->val + n * I, k->out->grad + n * I,
                              k->in[0]->grad ? grad_rows(k->in[0], n, 1) : NULL,
                              k->in[1]->grad ? grad_rows(k->in[1], n, 1) : NULL);
}

// clang-format off
static const OpCase swiglu_cases[] = {
    { "small", 2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, NULL, -3.0, 3.0 },
};
// clang-format on
const OpDef op_swiglu = {.name = "swiglu",
                         .shape = swiglu_shape,
                         .fwd = swiglu_fwd,
                         .bwd = swiglu_bwd,
                         .cases = swiglu_cases,
                         .n_case = N_OF(swiglu_cases)};
