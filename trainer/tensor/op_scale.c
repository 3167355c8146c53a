/* op_scale.c — y = c x, element by element.   Backward: dx = c dy. */
#include "trainer/tensor/op.h"

/* in: x; arg: c; out: y */
static Status scale_shape(OpCall *k)
{
    op_out_like(k, k->in[0]);
    return ST_OK;
}

static void scale_fwd(OpCall *k)
{
    const real c = (real)((const ScaleArg *)k->arg)->c;
    const real *restrict x = k->in[0]->val;
    real *restrict y = k->out->val;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < k->out->n; i++) y[i] = c * x[i];
}

static void scale_bwd(OpCall *k)
{
    const real c = (real)((const ScaleArg *)k->arg)->c;
    const real *restrict dy = k->out->grad;
    real *restrict dx = k->in[0]->grad;
    if (!dx) return;
    const bool blank = k->in[0]->grad_blank;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < k->out->n; i++) dx[i] = (blank ? 0 : dx[i]) + c * dy[i];
}

// clang-format off
static const OpCase scale_cases[] = {
    { "matrix", 1, { { 2, { 3, 5 } } }, &(const ScaleArg){ -1.7 }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_scale = {.name = "scale",
                        .shape = scale_shape,
                        .fwd = scale_fwd,
                        .bwd = scale_bwd,
                        .bwd_reads = op_reads_nothing,
                        .cases = scale_cases,
                        .n_case = N_OF(scale_cases)};
