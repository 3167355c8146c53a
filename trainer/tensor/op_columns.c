/* op_columns.c — some neighbouring columns of a matrix, such as q, k or v of a fused projection.
 *
 *   y[r,j] = x[r, first + j],  j < n.    Backward: dx[r, first + j] = dy[r,j]
 */
#include "trainer/tensor/op.h"

/* in: x (R,C); arg: first, n; out: y (R,n) */
static Status columns_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0];
    const ColumnsArg *a = k->arg;
    CHECK(x->n_dim == 2, SHAPE, "columns: x has %d dims", x->n_dim);
    CHECK(a->first >= 0 && a->n > 0 && a->n <= x->dim[1] - a->first, SHAPE,
          "columns: %lld from column %lld on, x has %lld", LL(a->n), LL(a->first), LL(x->dim[1]));
    op_out(k, 2, (int64_t[]){x->dim[0], a->n});
out:
    return rc;
}

static void columns_fwd(OpCall *k)
{
    const ColumnsArg *a = k->arg;
    const int64_t R = k->in[0]->dim[0], C = k->in[0]->dim[1];
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++)
        memcpy(k->out->val + r * a->n, k->in[0]->val + r * C + a->first,
               (size_t)a->n * sizeof(real));
}

static void columns_bwd(OpCall *k)
{
    const ColumnsArg *a = k->arg;
    const int64_t R = k->in[0]->dim[0];
    if (!k->in[0]->grad) return;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const real *restrict dy = k->out->grad + r * a->n;
        real *restrict dx = grad_rows(k->in[0], r, 1) + a->first;
        for (int64_t j = 0; j < a->n; j++) dx[j] += dy[j];
    }
}

// clang-format off
static const OpCase columns_cases[] = {
    { "first",  1, { { 2, { 3, 7 } } }, &(const ColumnsArg){ 0, 2 }, -2.0, 2.0 },
    { "middle", 1, { { 2, { 3, 7 } } }, &(const ColumnsArg){ 2, 3 }, -2.0, 2.0 },
    { "all",    1, { { 2, { 2, 4 } } }, &(const ColumnsArg){ 0, 4 }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_columns = {.name = "columns",
                          .shape = columns_shape,
                          .fwd = columns_fwd,
                          .bwd = columns_bwd,
                          .bwd_reads = op_reads_nothing,
                          .cases = columns_cases,
                          .n_case = N_OF(columns_cases)};
