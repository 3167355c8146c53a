/* op_rmsnorm.c — root-mean-square normalisation with a learned scale.
 *
 *   y[r,c] = x[r,c] s[r] g[c],    s[r] = (mean_c x[r,c]^2 + eps)^(-1/2),    g[c] = offset + w[c]
 *
 * Zhang & Sennrich 2019, arXiv:1910.07467, eq. (4); eps inside the root as in LLaMA; offset 1 as
 * in Gemma. A row is what w spans: where x is wider than w, each group of its columns is normalised
 * by itself (heads of Qwen3).
 * Backward, with u[c] = g[c] dy[r,c]:
 *   dx[r,c] = s (u[c] - x[r,c] s^2 mean_c(u x)),    dw[c] = sum_r dy[r,c] x[r,c] s[r]
 */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"
#include <math.h>

/* in: x (N,G*C), w (C); arg: eps, w_offset; out: y (N,G*C); saved: s (R), R = N*G */
static Status rmsnorm_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *w = k->in[1];
    CHECK(x->n_dim == 2 && w->n_dim == 1, SHAPE, "rmsnorm: x has %d dims, w %d", x->n_dim,
          w->n_dim);
    CHECK(w->dim[0] > 0 && x->dim[1] % w->dim[0] == 0, SHAPE,
          "rmsnorm: x has %lld columns, w has %lld", LL(x->dim[1]), LL(w->dim[0]));
    op_out_like(k, x);
    k->n_saved = x->n / w->dim[0];
    k->n_scratch = row_chunks(k->n_saved) * w->dim[0];
out:
    return rc;
}

static void rmsnorm_fwd(OpCall *k)
{
    const RmsnormArg *a = k->arg;
    const int64_t R = k->n_saved, C = k->in[1]->dim[0];
    const real offset = (real)a->w_offset, *restrict w = k->in[1]->val;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const real *restrict x = k->in[0]->val + r * C;
        real *restrict y = k->out->val + r * C;
        const real s = (real)(1.0 / sqrt(kernels()->dot(C, x, x) / (double)C + a->eps));
        k->saved[r] = s;
        for (int64_t c = 0; c < C; c++) y[c] = x[c] * s * (offset + w[c]);
    }
}

static void rmsnorm_dx(const OpCall *k, int64_t r)
{
    const int64_t C = k->in[1]->dim[0];
    const real offset = (real)((const RmsnormArg *)k->arg)->w_offset;
    const real *restrict w = k->in[1]->val, *restrict x = k->in[0]->val + r * C;
    const real *restrict dy = k->out->grad + r * C;
    real *restrict dx = grad_span(k->in[0], r * C, C);
    const real s = k->saved[r];
    double sum_ux = kernels()->dot3(C, w, dy, x);
    if (offset != 0) sum_ux += (double)offset * kernels()->dot(C, dy, x);
    const real m = (real)(sum_ux / (double)C) * s * s;
    for (int64_t c = 0; c < C; c++) dx[c] += s * ((offset + w[c]) * dy[c] - x[c] * m);
}

static void rmsnorm_bwd(OpCall *k)
{
    const int64_t R = k->n_saved, C = k->in[1]->dim[0];
    const bool want_dw = k->in[1]->grad;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < row_chunks(R); i++) {
        const int64_t end = (i + 1) * ROW_CHUNK < R ? (i + 1) * ROW_CHUNK : R;
        real *restrict dw = k->scratch + i * C;
        if (want_dw) memset(dw, 0, (size_t)C * sizeof *dw);
        for (int64_t r = i * ROW_CHUNK; r < end; r++) {
            const real *restrict x = k->in[0]->val + r * C, *restrict dy = k->out->grad + r * C;
            const real s = k->saved[r];
            if (want_dw)
                for (int64_t c = 0; c < C; c++) dw[c] += dy[c] * x[c] * s;
            if (k->in[0]->grad) rmsnorm_dx(k, r);
        }
    }
    if (want_dw) op_add_parts(grad_rows(k->in[1], 0, 1), k->scratch, row_chunks(R), C);
}

// clang-format off
static const OpCase rmsnorm_cases[] = {
    { "small",  2, { { 2, { 3, 5 } }, { 1, { 5 } } }, &(const RmsnormArg){ 1e-5, 0 }, -2.0, 2.0 },
    { "tiny_x", 2, { { 2, { 2, 4 } }, { 1, { 4 } } }, &(const RmsnormArg){ 1e-5, 0 }, -1e-2, 1e-2 },
    { "lanes",  2, { { 2, { ROW_CHUNK + 2, 11 } }, { 1, { 11 } } }, &(const RmsnormArg){ 1e-6, 0 }, -1.0, 1.0 },
    { "offset", 2, { { 2, { 3, 5 } }, { 1, { 5 } } }, &(const RmsnormArg){ 1e-6, 1 }, -2.0, 2.0 },
    { "heads",  2, { { 2, { ROW_CHUNK / 2 + 1, 6 } }, { 1, { 3 } } }, &(const RmsnormArg){ 1e-6, 0 }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_rmsnorm = {.name = "rmsnorm",
                          .shape = rmsnorm_shape,
                          .fwd = rmsnorm_fwd,
                          .bwd = rmsnorm_bwd,
                          .cases = rmsnorm_cases,
                          .n_case = N_OF(rmsnorm_cases)};
