/* op_ce_head.c — LM head and cross-entropy in one op: logits exist for one chunk of rows at a time.
 *
 *   z[n,v] = x[n] . w[v],    y[n] = log sum_v exp(z[n,v]) - z[n,label_n]    (nats; 0: no label)
 * With a softcap c, z[n,v] = c tanh(x[n] . w[v] / c).
 * Backward, with p = softmax(z):
 *   dz[n,v] = dy[n] (p[n,v] - [v = label_n]),  times 1 - (z[n,v] / c)^2 with a softcap
 *   dx[n] = sum_v dz[n,v] w[v],    dw[v] = sum_n dz[n,v] x[n]
 *
 * Only rows with a label are gathered and multiplied. The backward gives y as well, and the forward
 * is run in evaluation only: so a chunk's logits are computed once, used and dropped, where a
 * forward of its own would cost a fourth N x C x V product, or a second gradient of w. */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"
#include <math.h>

/* Rows of a chunk: 2^24 logits (64 MiB), but enough rows for efficient products. A function of V
 * alone, so that the sums over rows in dw do not depend on anything else. */
enum { CE_MIN_ROWS = 256, CE_MAX_ROWS = 1024 };

static int64_t ce_chunk_rows(int64_t V)
{
    int64_t rows = CE_MAX_ROWS;
    while (rows > CE_MIN_ROWS && rows * V > (int64_t)1 << 24) rows /= 2;
    return rows;
}

int64_t ce_head_scratch(int64_t n_label, int64_t C, int64_t V)
{
    const int64_t most = ce_chunk_rows(V), rows = n_label < most ? n_label : most;
    return rows * (V + 2 * C);
}

/* in: x (N,C), w (V,C); arg: labels (N), softcap; out: y (N) */
static Status ce_head_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *w = k->in[1];
    const CeHeadArg *a = k->arg;
    const int32_t *labels = a->labels;
    CHECK(a->softcap >= 0, SHAPE, "ce_head: softcap is %g", a->softcap);
    CHECK(x->n_dim == 2 && w->n_dim == 2, SHAPE, "ce_head: x has %d dims, w %d", x->n_dim,
          w->n_dim);
    const int64_t N = x->dim[0], C = x->dim[1], V = w->dim[0];
    CHECK(C == w->dim[1], SHAPE, "ce_head: x has %lld columns, w has %lld", LL(C), LL(w->dim[1]));
    int64_t n_label = 0;
    for (int64_t n = 0; n < N; n++) {
        CHECK(labels[n] >= -1 && labels[n] < V, SHAPE,
              "ce_head: label %d of row %lld, %lld classes", labels[n], LL(n), LL(V));
        n_label += labels[n] >= 0;
    }
    op_out(k, 1, &N);
    k->n_scratch = ce_head_scratch(n_label, C, V);
    if (a->softcap != 0) k->n_scratch_thread = V; /* the slopes of a row */
out:
    return rc;
}

typedef struct CeChunk {
    int64_t first, end, n;    /* rows first..end of x hold n labels */
    int64_t row[CE_MAX_ROWS]; /* the rows of x that have one */
} CeChunk;

static CeChunk ce_next_chunk(const int32_t *labels, int64_t first, int64_t N, int64_t most)
{
    CeChunk c = {.first = first, .end = first};
    for (; c.end < N && c.n < most; c.end++)
        if (labels[c.end] >= 0) c.row[c.n++] = c.end;
    return c;
}

/* z (V) becomes exp(z - max z); gives the sum, and through nats the loss of the row. */
static double ce_row(real *z, int64_t V, int32_t label, real *nats)
{
    const real top = kernels()->max(V, z), at_label = z[label];
    const double sum = kernels()->exp_sum(V, z, top, z);
    *nats = (real)(log(sum) + (double)top - (double)at_label);
    return sum;
}

/* The loss of row n, and in the place of its products z with w their gradient, if wanted, as products take it. */
static void ce_row_run(const OpCall *k, int64_t n, int64_t V, bool backward, real *z)
{
    const CeHeadArg *a = k->arg;
    real *slope = a->softcap != 0 && backward ? op_thread_scratch(k) : NULL; /* (V) */
    if (a->softcap != 0) kernels()->softcap(V, (real)a->softcap, z, slope);
    const double sum = ce_row(z, V, a->labels[n], &k->out->val[n]);
    if (!backward) return;
    kernels()->scale(V, (real)((double)k->out->grad[n] / sum), z);
    z[a->labels[n]] -= k->out->grad[n];
    if (slope)
        for (int64_t v = 0; v < V; v++) z[v] *= slope[v];
    if (gemm_operand_dtype() == DT_BF16) kernels()->to_bf16(V, z, z);
}

/* y, and with gradients wanted dx and dw, from one pass over the chunks. */
static void ce_head_run(OpCall *k, bool backward)
{
    Tensor *x = k->in[0], *w = k->in[1];
    const int32_t *labels = ((const CeHeadArg *)k->arg)->labels;
    const int64_t N = x->dim[0], C = x->dim[1], V = w->dim[0], most = ce_chunk_rows(V);
    const size_t row_bytes = (size_t)C * sizeof(real);
    real beta_w = backward && w->grad ? grad_beta(w) : 1;
    memset(k->out->val, 0, (size_t)N * sizeof(real));
    for (CeChunk c = {.end = 0}; c.end < N;) {
        c = ce_next_chunk(labels, c.end, N, most);
        real *rows = k->scratch;      /* (n,C) */
        real *drows = rows + c.n * C; /* (n,C) */
        real *z = drows + c.n * C;    /* (n,V) */
        const Mat rows_mat = {rows, C, DT_REAL, false};
        const Dtype as =
            gemm_operand_dtype(); /* of the gradient, which begins where its row of z began */
        const int64_t ldz = V * (int64_t)(sizeof(real) / dtype_bytes(as));
        if (backward && x->grad) (void)grad_rows(x, c.first, c.end - c.first);
        if (c.n == 0) continue;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < c.n; i++) memcpy(rows + i * C, x->val + c.row[i] * C, row_bytes);
        gemm(c.n, V, C, rows_mat, tensor_mat(w, true), 0, z, V);
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < c.n; i++) ce_row_run(k, c.row[i], V, backward, z + i * V);
        if (backward && x->grad) {
            gemm(c.n, C, V, (Mat){z, ldz, as, false}, tensor_mat(w, false), 0, drows, C);
#pragma omp parallel for schedule(static)
            for (int64_t i = 0; i < c.n; i++)
                kernels()->axpy(C, 1, drows + i * C, x->grad + c.row[i] * C);
        }
        if (backward && w->grad) {
            gemm(V, C, c.n, (Mat){z, ldz, as, true}, rows_mat, beta_w, w->grad, C);
            beta_w = 1;
        }
    }
    if (beta_w == 0) (void)grad_rows(w, 0, V); /* blank still: no row had a label */
}

static void ce_head_fwd(OpCall *k)
{
    ce_head_run(k, false);
}

static void ce_head_bwd(OpCall *k)
{
    ce_head_run(k, true);
}

// clang-format off
static const OpCase ce_head_cases[] = {
    { "all_rows",  2, { { 2, { 3, 4 } }, { 2, { 5, 4 } } }, &(const CeHeadArg){ (const int32_t[]){ 4, 0, 2 }, 0 }, -1.5, 1.5 },
    { "some_rows", 2, { { 2, { 5, 3 } }, { 2, { 4, 3 } } }, &(const CeHeadArg){ (const int32_t[]){ -1, 3, -1, 1, -1 }, 0 }, -1.5, 1.5 },
    { "no_row",    2, { { 2, { 2, 3 } }, { 2, { 4, 3 } } }, &(const CeHeadArg){ (const int32_t[]){ -1, -1 }, 0 }, -1.5, 1.5 },
    { "softcap",   2, { { 2, { 5, 3 } }, { 2, { 4, 3 } } }, &(const CeHeadArg){ (const int32_t[]){ -1, 3, 2, 1, -1 }, 0.9 }, -1.5, 1.5 },
};
// clang-format on
const OpDef op_ce_head = {.name = "ce_head",
                          .shape = ce_head_shape,
                          .fwd = ce_head_fwd,
                          .bwd = ce_head_bwd,
                          .cases = ce_head_cases,
                          .n_case = N_OF(ce_head_cases),
                          .bwd_gives_out = true};
