/* op_low_rank.c — a low-rank update on top of a linear layer's output.
 *
 *   y = y0 + h b^T,    h = c x a^T
 * Hu et al. 2021, arXiv:2106.09685, sec. 4.1. Backward:
 *   dh = c dy b,    dy0 = dy,    dx = dh a,    da = dh^T x,    db = dy^T h
 *
 * The products are thin, so they are bound by memory: x and dy are read as they are, in place of a copy in bf16, and y
 * may lie where y0 lies, with its gradient (tape_call_over). */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"

/* in: y0 (N,O), x (N,I), a (r,I), b (O,r); arg: c; out: y (N,O); saved: h (N,r) */
static Status low_rank_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *y0 = k->in[0], *x = k->in[1], *a = k->in[2], *b = k->in[3];
    for (int i = 0; i < 4; i++)
        CHECK(k->in[i]->n_dim == 2 && k->in[i]->val, SHAPE,
              "low_rank: input %d has %d dims, or is not stored as it is multiplied", i,
              k->in[i]->n_dim);
    CHECK(x->dim[0] == y0->dim[0] && a->dim[1] == x->dim[1] && b->dim[0] == y0->dim[1] &&
              a->dim[0] == b->dim[1],
          SHAPE, "low_rank: y0 is %lld x %lld, x %lld x %lld, a %lld x %lld, b %lld x %lld",
          LL(y0->dim[0]), LL(y0->dim[1]), LL(x->dim[0]), LL(x->dim[1]), LL(a->dim[0]),
          LL(a->dim[1]), LL(b->dim[0]), LL(b->dim[1]));
    op_out_like(k, y0);
    k->n_saved = x->dim[0] * a->dim[0];
    k->n_scratch = a->dim[0] * (x->dim[0] + b->dim[0]);
out:
    return rc;
}

static real low_rank_scale(const OpCall *k)
{
    return (real)((const LowRankArg *)k->arg)->c;
}

static void low_rank_fwd(OpCall *k)
{
    const Tensor *y0 = k->in[0], *x = k->in[1], *a = k->in[2], *b = k->in[3];
    const int64_t N = x->dim[0], I = x->dim[1], O = y0->dim[1], r = a->dim[0];
    const Mat h = {k->saved, r, DT_REAL, false};
    gemm_thin(N, r, I, tensor_mat(x, false), tensor_mat(a, true), 0, k->saved, r);
    kernels()->scale(N * r, low_rank_scale(k), k->saved);
    if (k->out->val != y0->val) {
#pragma omp parallel for schedule(static)
        for (int64_t n = 0; n < N; n++)
            memcpy(k->out->val + n * O, y0->val + n * O, (size_t)O * sizeof(real));
    }
    gemm_thin(N, O, r, h, tensor_mat(b, true), 1, k->out->val, O);
}

/* dst (O,r) += src^T (r,O) */
static void add_transposed(const Tensor *b, const real *src)
{
    const int64_t O = b->dim[0], r = b->dim[1];
    real *dst = grad_rows(b, 0, O);
    for (int64_t j = 0; j < r; j++)
        for (int64_t o = 0; o < O; o++) dst[o * r + j] += src[j * O + o];
}

static void low_rank_bwd(OpCall *k)
{
    Tensor *y0 = k->in[0], *x = k->in[1], *a = k->in[2], *b = k->in[3];
    const int64_t N = x->dim[0], I = x->dim[1], O = y0->dim[1], r = a->dim[0];
    const Mat dy = grad_mat(k->out, false), h = {k->saved, r, DT_REAL, true};
    real *dh = k->scratch, *db = dh + N * r; /* (N,r), (r,O) */
    if (x->grad || a->grad) {
        gemm_thin(N, r, O, dy, tensor_mat(b, false), 0, dh, r);
        kernels()->scale(N * r, low_rank_scale(k), dh);
    }
    if (x->grad)
        gemm_thin(N, I, r, (Mat){dh, r, DT_REAL, false}, tensor_mat(a, false), grad_beta(x),
                  x->grad, I);
    if (a->grad)
        gemm_thin(r, I, N, (Mat){dh, r, DT_REAL, true}, tensor_mat(x, false), grad_beta(a), a->grad,
                  I);
    if (b->grad) {
        gemm_thin(r, O, N, h, dy, 0, db, O);
        add_transposed(b, db);
    }
    if (!y0->grad || y0->grad == k->out->grad) return;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++)
        kernels()->axpy(O, 1, k->out->grad + n * O, grad_rows(y0, n, 1));
}

static bool low_rank_bwd_reads(const OpCall *k, int i)
{
    return i > 1 || (i == 1 && k->in[2]->grad);
}

// clang-format off
static const OpCase low_rank_cases[] = {
    { "small",  4, { { 2, { 3, 4 } }, { 2, { 3, 5 } }, { 2, { 2, 5 } }, { 2, { 4, 2 } } }, &(const LowRankArg){ 0.5 }, -1.5, 1.5 },
    { "wide",   4, { { 2, { 5, 17 } }, { 2, { 5, 18 } }, { 2, { 3, 18 } }, { 2, { 17, 3 } } }, &(const LowRankArg){ 2 }, -1.0, 1.0 },
};
// clang-format on
const OpDef op_low_rank = {.name = "low_rank",
                           .shape = low_rank_shape,
                           .fwd = low_rank_fwd,
                           .bwd = low_rank_bwd,
                           .bwd_reads = low_rank_bwd_reads,
                           .cases = low_rank_cases,
                           .n_case = N_OF(low_rank_cases)};
