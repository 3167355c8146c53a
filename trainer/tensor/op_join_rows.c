/* op_join_rows.c — two tensors one below the other, group by group.
 *
 *   y[g, 0 .. n) = a[g],    y[g, n .. n+m) = b[g]
 * Backward:
 *   da[g] = dy[g, 0 .. n),    db[g] = dy[g, n .. n+m)
 */
#include "trainer/tensor/op.h"

/* in: a (G*n,C), b (G*m,C); arg: n_group G; out: y (G*(n+m),C) */
static Status join_rows_shape(OpCall *k)
{
    Status rc = ST_OK;
    const int64_t G = ((const JoinRowsArg *)k->arg)->n_group;
    const Tensor *a = k->in[0], *b = k->in[1];
    CHECK(a->n_dim == 2 && b->n_dim == 2 && a->dim[1] == b->dim[1] && G > 0 && a->dim[0] % G == 0 &&
              b->dim[0] % G == 0,
          SHAPE, "join_rows: %lld x %lld and %lld x %lld in %lld groups", LL(a->dim[0]),
          LL(a->dim[1]), LL(b->dim[0]), LL(b->dim[1]), LL(G));
    op_out(k, 2, (int64_t[]){a->dim[0] + b->dim[0], a->dim[1]});
out:
    return rc;
}

static void join_rows_fwd(OpCall *k)
{
    const int64_t G = ((const JoinRowsArg *)k->arg)->n_group;
    real *y = k->out->val;
    for (int64_t g = 0; g < G; g++)
        for (int i = 0; i < 2; i++) {
            const int64_t n = k->in[i]->n / G;
            memcpy(y, k->in[i]->val + g * n, (size_t)n * sizeof *y);
            y += n;
        }
}

static void join_rows_bwd(OpCall *k)
{
    const int64_t G = ((const JoinRowsArg *)k->arg)->n_group;
    const real *dy = k->out->grad;
    for (int64_t g = 0; g < G; g++)
        for (int i = 0; i < 2; i++) {
            const int64_t n = k->in[i]->n / G;
            real *dx = k->in[i]->grad ? grad_span(k->in[i], g * n, n) : NULL;
            for (int64_t c = 0; dx && c < n; c++) dx[c] += dy[c];
            dy += n;
        }
}

// clang-format off
static const OpCase join_rows_cases[] = {
    { "groups", 2, { { 2, { 4, 3 } }, { 2, { 6, 3 } } }, &(const JoinRowsArg){ 2 }, -2.0, 2.0 },
    { "one",    2, { { 2, { 1, 5 } }, { 2, { 2, 5 } } }, &(const JoinRowsArg){ 1 }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_join_rows = {.name = "join_rows",
                            .shape = join_rows_shape,
                            .fwd = join_rows_fwd,
                            .bwd = join_rows_bwd,
                            .cases = join_rows_cases,
                            .n_case = N_OF(join_rows_cases),
                            .bwd_reads = op_reads_nothing};
