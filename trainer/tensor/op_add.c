/* op_add.c — y = a + c b, element by element.   Backward: da = dy, db = c dy. */
#include "trainer/tensor/op.h"

/* in: a, b of one shape; arg: c; out: y */
static Status add_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *a = k->in[0], *b = k->in[1];
    CHECK(a->n_dim == b->n_dim, SHAPE, "add: a has %d dims, b %d", a->n_dim, b->n_dim);
    for (int i = 0; i < a->n_dim; i++)
        CHECK(a->dim[i] == b->dim[i], SHAPE, "add: dim %d of a is %lld, of b %lld", i,
              LL(a->dim[i]), LL(b->dim[i]));
    op_out_like(k, a);
out:
    return rc;
}

static void add_fwd(OpCall *k)
{
    const real *a = k->in[0]->val, *restrict b = k->in[1]->val;
    const real c = (real)((const AddArg *)k->arg)->c;
    real *y = k->out->val; /* may be a */
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < k->out->n; i++) y[i] = a[i] + c * b[i];
}

static void add_bwd(OpCall *k)
{
    const real *restrict dy = k->out->grad;
    for (int j = 0; j < 2; j++) {
        real *restrict dx = k->in[j]->grad;
        if (!dx || dx == dy) continue;
        const bool blank = k->in[j]->grad_blank;
        const real c = j == 0 ? 1 : (real)((const AddArg *)k->arg)->c;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < k->out->n; i++) dx[i] = blank ? c * dy[i] : dx[i] + c * dy[i];
    }
}

// clang-format off
static const OpCase add_cases[] = {
    { "sum",    2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, &(const AddArg){ 1 }, -2.0, 2.0 },
    { "factor", 2, { { 2, { 3, 5 } }, { 2, { 3, 5 } } }, &(const AddArg){ -0.7 }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_add = {.name = "add",
                      .shape = add_shape,
                      .fwd = add_fwd,
                      .bwd = add_bwd,
                      .bwd_reads = op_reads_nothing,
                      .cases = add_cases,
                      .n_case = N_OF(add_cases)};
