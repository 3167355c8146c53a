/* op_head_linear.c — a linear layer on each head by itself, its weights shared by all heads or one's own.
 *
 *   y[n,h,o] = sum_i x[n,h,i] w[g,o,i] + bias[g,o],    g = h, or 0 where shared
 * Backward:
 *   dx = dy w,    dw = dy^T x,    dbias[g,o] = sum_n dy[n,h,o]    (shared: over the heads, too)
 * With shared weights it is one product over N*H rows. */
#include "trainer/tensor/op.h"

typedef struct Heads {
    int64_t n, N, I, O; /* blocks of weights; rows of x and y as a block sees them; their widths */
    int64_t ldx, ldy;
} Heads;

static Heads heads_of(const OpCall *k)
{
    const int64_t H = ((const HeadLinearArg *)k->arg)->n_head, N = k->in[0]->dim[0],
                  I = k->in[1]->dim[1], O = k->out->dim[1] / H;
    if (k->in[1]->dim[0] == O) return (Heads){1, N * H, I, O, I, O};
    return (Heads){H, N, I, O, H * I, H * O};
}

/* in: x (N,H*I), w (O or H*O,I) [, bias (as w's rows)]; arg: n_head; out: y (N,H*O) */
static Status head_linear_shape(OpCall *k)
{
    Status rc = ST_OK;
    const HeadLinearArg *a = k->arg;
    const Tensor *x = k->in[0], *w = k->in[1], *bias = k->n_in == 3 ? k->in[2] : NULL;
    CHECK(x->n_dim == 2 && w->n_dim == 2, SHAPE, "head_linear: x has %d dims, w %d", x->n_dim,
          w->n_dim);
    CHECK(a->n_head > 0 && x->dim[1] == a->n_head * w->dim[1], SHAPE,
          "head_linear: x has %lld columns, w %lld for each of %lld heads", LL(x->dim[1]),
          LL(w->dim[1]), LL(a->n_head));
    CHECK(w->dim[0] == a->n_out || w->dim[0] == a->n_head * a->n_out, SHAPE,
          "head_linear: w has %lld rows for %lld outputs of %lld heads", LL(w->dim[0]),
          LL(a->n_out), LL(a->n_head));
    CHECK(!bias || (bias->n_dim == 1 && bias->dim[0] == w->dim[0]), SHAPE,
          "head_linear: the bias has %lld elements, w has %lld rows", LL(bias->n), LL(w->dim[0]));
    op_out(k, 2, (int64_t[]){x->dim[0], a->n_head * a->n_out});
    if (bias) k->n_scratch = row_chunks(k->out->n / bias->n) * bias->n;
out:
    return rc;
}

static Mat part(const real *p, int64_t at, int64_t ld, bool trans)
{
    return (Mat){p + at, ld, DT_REAL, trans};
}

static void head_linear_fwd(OpCall *k)
{
    const Heads h = heads_of(k);
    const Tensor *x = k->in[0], *w = k->in[1], *bias = k->n_in == 3 ? k->in[2] : NULL;
    real *y = k->out->val;
    if (bias) {
#pragma omp parallel for schedule(static)
        for (int64_t r = 0; r < k->out->n / bias->n; r++)
            memcpy(y + r * bias->n, bias->val, (size_t)bias->n * sizeof *y);
    }
    for (int64_t g = 0; g < h.n; g++)
        gemm(h.N, h.O, h.I, part(x->val, g * h.I, h.ldx, false),
             part(w->val, g * h.O * h.I, h.I, true), bias ? 1 : 0, y + g * h.O, h.ldy);
}

static void head_linear_bias_bwd(OpCall *k)
{
    const int64_t n = k->in[2]->n, R = k->out->n / n;
    real *sums = k->scratch; /* (chunks,n) */
#pragma omp parallel for schedule(static)
    for (int64_t c = 0; c < row_chunks(R); c++) {
        const int64_t end = (c + 1) * ROW_CHUNK < R ? (c + 1) * ROW_CHUNK : R;
        memset(sums + c * n, 0, (size_t)n * sizeof *sums);
        for (int64_t r = c * ROW_CHUNK; r < end; r++)
            for (int64_t o = 0; o < n; o++) sums[c * n + o] += k->out->grad[r * n + o];
    }
    op_add_parts(grad_rows(k->in[2], 0, 1), sums, row_chunks(R), n);
}

static void head_linear_bwd(OpCall *k)
{
    const Heads h = heads_of(k);
    Tensor *x = k->in[0], *w = k->in[1];
    const real *dy = k->out->grad;
    for (int64_t g = 0; x->grad && g < h.n; g++)
        gemm(h.N, h.I, h.O, part(dy, g * h.O, h.ldy, false),
             part(w->val, g * h.O * h.I, h.I, false), grad_beta(x), x->grad + g * h.I, h.ldx);
    for (int64_t g = 0; w->grad && g < h.n; g++)
        gemm(h.O, h.I, h.N, part(dy, g * h.O, h.ldy, true), part(x->val, g * h.I, h.ldx, false),
             grad_beta(w), w->grad + g * h.O * h.I, h.I);
    if (k->n_in == 3 && k->in[2]->grad) head_linear_bias_bwd(k);
}

// clang-format off
static const OpCase head_linear_cases[] = {
    { "shared", 3, { { 2, { 3, 8 } }, { 2, { 5, 4 } }, { 1, { 5 } } }, &(const HeadLinearArg){ 2, 5 }, -2.0, 2.0 },
    { "own",    3, { { 2, { 3, 8 } }, { 2, { 10, 4 } }, { 1, { 10 } } }, &(const HeadLinearArg){ 2, 5 }, -2.0, 2.0 },
    { "plain",  2, { { 2, { ROW_CHUNK + 1, 6 } }, { 2, { 4, 2 } } }, &(const HeadLinearArg){ 3, 4 }, -1.0, 1.0 },
};
// clang-format on
const OpDef op_head_linear = {.name = "head_linear",
                              .shape = head_linear_shape,
                              .fwd = head_linear_fwd,
                              .bwd = head_linear_bwd,
                              .cases = head_linear_cases,
                              .n_case = N_OF(head_linear_cases)};
