/* op_column_scale.c — columns times learned factors.
 *
 *   y[n,c] = x[n,c] a[c]
 * Backward:
 *   dx = dy a,    da[c] = sum_n dy[n,c] x[n,c]
 */
#include "trainer/tensor/op.h"

/* in: x (N,C), a (C); out: y (N,C) */
static Status column_scale_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *a = k->in[1];
    CHECK(x->n_dim == 2 && a->n_dim == 1 && x->dim[1] == a->dim[0], SHAPE,
          "column_scale: x has %lld columns, there are %lld factors", LL(x->dim[1]), LL(a->dim[0]));
    op_out_like(k, x);
    k->n_scratch = row_chunks(x->dim[0]) * x->dim[1];
out:
    return rc;
}

static void column_scale_fwd(OpCall *k)
{
    const int64_t N = k->out->dim[0], C = k->out->dim[1];
    const real *restrict a = k->in[1]->val;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const real *restrict x = k->in[0]->val + n * C;
        real *restrict y = k->out->val + n * C;
        for (int64_t c = 0; c < C; c++) y[c] = x[c] * a[c];
    }
}

static void column_scale_bwd(OpCall *k)
{
    const int64_t N = k->out->dim[0], C = k->out->dim[1];
    Tensor *x = k->in[0], *a = k->in[1];
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < row_chunks(N); i++) {
        const int64_t end = (i + 1) * ROW_CHUNK < N ? (i + 1) * ROW_CHUNK : N;
        real *restrict da = k->scratch + i * C;
        memset(da, 0, (size_t)C * sizeof *da);
        for (int64_t n = i * ROW_CHUNK; n < end; n++) {
            const real *restrict dy = k->out->grad + n * C, *restrict val = x->val + n * C;
            real *restrict dx = x->grad ? grad_rows(x, n, 1) : NULL;
            for (int64_t c = 0; c < C; c++) da[c] += dy[c] * val[c];
            for (int64_t c = 0; dx && c < C; c++) dx[c] += dy[c] * a->val[c];
        }
    }
    if (a->grad) op_add_parts(grad_rows(a, 0, 1), k->scratch, row_chunks(N), C);
}

// clang-format off
static const OpCase column_scale_cases[] = {
    { "small",  2, { { 2, { 3, 5 } }, { 1, { 5 } } }, NULL, -2.0, 2.0 },
    { "chunks", 2, { { 2, { ROW_CHUNK + 2, 3 } }, { 1, { 3 } } }, NULL, -1.0, 1.0 },
};
// clang-format on
const OpDef op_column_scale = {.name = "column_scale",
                               .shape = column_scale_shape,
                               .fwd = column_scale_fwd,
                               .bwd = column_scale_bwd,
                               .cases = column_scale_cases,
                               .n_case = N_OF(column_scale_cases)};
