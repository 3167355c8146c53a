/* op_linear.c — y = x w^T + bias, or with w stored (I,O) y = x w + bias.
 *
 *   y[n,o] = sum_i x[n,i] w[o,i] + bias[o]
 * Backward:
 *   dx = dy w,    dw = dy^T x,    dbias[o] = sum_n dy[n,o]
 * with w stored (I,O):
 *   dx = dy w^T,  dw = x^T dy
 */
#include "trainer/tensor/op.h"

static bool linear_in_out(const OpCall *k)
{
    return ((const LinearArg *)k->arg)->in_out;
}

/* in: x (N,I), w (O,I) or (I,O) [, bias (O)]; arg: in_out; out: y (N,O); w may be frozen in any
 * dtype */
static Status linear_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *w = k->in[1], *bias = k->n_in == 3 ? k->in[2] : NULL;
    CHECK(x->n_dim == 2 && w->n_dim == 2, SHAPE, "linear: x has %d dims, w %d", x->n_dim, w->n_dim);
    const bool in_out = linear_in_out(k);
    const int64_t I = w->dim[in_out ? 0 : 1], O = w->dim[in_out ? 1 : 0];
    CHECK(x->dim[1] == I, SHAPE, "linear: x has %lld columns, w has %lld%s", LL(x->dim[1]), LL(I),
          in_out ? " rows" : "");
    CHECK(!bias || (bias->n_dim == 1 && bias->dim[0] == O), SHAPE,
          "linear: the bias has %lld elements, w has %lld %s", LL(bias->n), LL(O),
          in_out ? "columns" : "rows");
    op_out(k, 2, (int64_t[]){x->dim[0], O});
    if (bias) k->n_scratch = row_chunks(x->dim[0]) * O;
out:
    return rc;
}

static void linear_fwd(OpCall *k)
{
    const Tensor *x = k->in[0], *w = k->in[1];
    const int64_t N = x->dim[0], I = x->dim[1], O = k->out->dim[1];
    real *y = k->out->val;
    if (k->n_in == 3) {
#pragma omp parallel for schedule(static)
        for (int64_t n = 0; n < N; n++) memcpy(y + n * O, k->in[2]->val, (size_t)O * sizeof(real));
    }
    gemm(N, O, I, tensor_mat(x, false), tensor_mat(w, !linear_in_out(k)), k->n_in == 3 ? 1 : 0, y,
         O);
}

static void linear_bias_bwd(OpCall *k)
{
    const int64_t N = k->out->dim[0], O = k->out->dim[1];
    real *part = k->scratch; /* (chunks,O) */
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < row_chunks(N); c++) {
        const int64_t end = (c + 1) * ROW_CHUNK < N ? (c + 1) * ROW_CHUNK : N;
        memset(part + c * O, 0, (size_t)O * sizeof(real));
        for (int64_t n = c * ROW_CHUNK; n < end; n++) {
            const real *dy = k->out->grad + n * O;
            for (int64_t o = 0; o < O; o++) part[c * O + o] += dy[o];
        }
    }
    op_add_parts(grad_rows(k->in[2], 0, 1), part, row_chunks(N), O);
}

static void linear_bwd(OpCall *k)
{
    Tensor *x = k->in[0], *w = k->in[1];
    const int64_t N = x->dim[0], I = x->dim[1], O = k->out->dim[1];
    const bool in_out = linear_in_out(k);
    if (x->grad)
        gemm(N, I, O, grad_mat(k->out, false), tensor_mat(w, in_out), grad_beta(x), x->grad, I);
    if (w->grad && in_out)
        gemm(I, O, N, tensor_mat(x, true), grad_mat(k->out, false), grad_beta(w), w->grad, O);
    if (w->grad && !in_out)
        gemm(O, I, N, grad_mat(k->out, true), tensor_mat(x, false), grad_beta(w), w->grad, I);
    if (k->n_in == 3 && k->in[2]->grad) linear_bias_bwd(k);
}

static bool linear_bwd_reads(const OpCall *k, int i)
{
    return i > 0 || k->in[1]->grad;
}

// clang-format off
static const OpCase linear_cases[] = {
    { "small",  2, { { 2, { 3, 5 } }, { 2, { 4, 5 } } }, &(const LinearArg){ false }, -2.0, 2.0 },
    { "biased", 3, { { 2, { 3, 5 } }, { 2, { 4, 5 } }, { 1, { 4 } } }, &(const LinearArg){ false }, -2.0, 2.0 },
    { "chunks", 3, { { 2, { ROW_CHUNK + 3, 2 } }, { 2, { 3, 2 } }, { 1, { 3 } } }, &(const LinearArg){ false }, -1.0, 1.0 },
    { "in_out", 3, { { 2, { 3, 5 } }, { 2, { 5, 4 } }, { 1, { 4 } } }, &(const LinearArg){ true }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_linear = {.name = "linear",
                         .shape = linear_shape,
                         .fwd = linear_fwd,
                         .bwd = linear_bwd,
                         .bwd_reads = linear_bwd_reads,
                         .cases = linear_cases,
                         .n_case = N_OF(linear_cases)};
