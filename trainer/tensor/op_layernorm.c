/* op_layernorm.c — layer normalisation with a learned scale and shift.
 *
 *   y[r,c] = h[r,c] w[c] + b[c],    h[r,c] = (x[r,c] - mu[r]) s[r]
 *   mu[r] = mean_c x[r,c],    s[r] = (mean_c (x[r,c] - mu[r])^2 + eps)^(-1/2)
 *
 * Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. (3) and (4).
 * Backward, with u[c] = w[c] dy[r,c]:
 *   dx[r,c] = s (u[c] - mean_c u - h[r,c] mean_c(u h))
 *   dw[c] = sum_r dy[r,c] h[r,c],    db[c] = sum_r dy[r,c]
 */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"
#include <math.h>

/* in: x (R,C), w (C), b (C); arg: eps; out: y (R,C); saved: mu (R), s (R) */
static Status layernorm_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *w = k->in[1], *b = k->in[2];
    CHECK(x->n_dim == 2 && w->n_dim == 1 && b->n_dim == 1, SHAPE,
          "layernorm: x has %d dims, w %d, b %d", x->n_dim, w->n_dim, b->n_dim);
    CHECK(x->dim[1] == w->dim[0] && x->dim[1] == b->dim[0], SHAPE,
          "layernorm: x has %lld columns, w has %lld, b %lld", LL(x->dim[1]), LL(w->dim[0]),
          LL(b->dim[0]));
    op_out_like(k, x);
    k->n_saved = 2 * x->dim[0];
    k->n_scratch = 2 * row_chunks(x->dim[0]) * x->dim[1];
out:
    return rc;
}

static void layernorm_fwd(OpCall *k)
{
    const int64_t R = k->in[0]->dim[0], C = k->in[0]->dim[1];
    const double eps = ((const LayernormArg *)k->arg)->eps;
    const real *restrict w = k->in[1]->val, *restrict b = k->in[2]->val;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < R; r++) {
        const real *restrict x = k->in[0]->val + r * C;
        real *restrict y = k->out->val + r * C;
        const real mu = (real)(kernels()->sum(C, x) / (double)C);
        for (int64_t c = 0; c < C; c++) y[c] = x[c] - mu;
        const real s = (real)(1.0 / sqrt(kernels()->dot(C, y, y) / (double)C + eps));
        k->saved[r] = mu;
        k->saved[R + r] = s;
        for (int64_t c = 0; c < C; c++) y[c] = y[c] * s * w[c] + b[c];
    }
}

static void layernorm_dx(const OpCall *k, int64_t r)
{
    const int64_t R = k->in[0]->dim[0], C = k->in[0]->dim[1];
    const real *restrict w = k->in[1]->val, *restrict x = k->in[0]->val + r * C;
    const real *restrict dy = k->out->grad + r * C;
    real *restrict dx = grad_rows(k->in[0], r, 1);
    const real mu = k->saved[r], s = k->saved[R + r];
    const double sum_u = kernels()->dot(C, w, dy);
    const double sum_uh = (kernels()->dot3(C, w, dy, x) - (double)mu * sum_u) * (double)s;
    const real mean_u = (real)(sum_u / (double)C), mean_uh = (real)(sum_uh / (double)C);
    for (int64_t c = 0; c < C; c++)
        dx[c] += s * (w[c] * dy[c] - mean_u - (x[c] - mu) * s * mean_uh);
}

static void layernorm_bwd(OpCall *k)
{
    const int64_t R = k->in[0]->dim[0], C = k->in[0]->dim[1], n_part = row_chunks(R);
    const bool want_dx = k->in[0]->grad, want_dw = k->in[1]->grad, want_db = k->in[2]->grad;
    real *dw_parts = k->scratch, *db_parts = k->scratch + n_part * C; /* (n_part,C) */
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n_part; i++) {
        const int64_t end = (i + 1) * ROW_CHUNK < R ? (i + 1) * ROW_CHUNK : R;
        real *restrict dw = dw_parts + i * C, *restrict db = db_parts + i * C;
        memset(dw, 0, (size_t)C * sizeof *dw);
        memset(db, 0, (size_t)C * sizeof *db);
        for (int64_t r = i * ROW_CHUNK; r < end; r++) {
            const real *restrict x = k->in[0]->val + r * C, *restrict dy = k->out->grad + r * C;
            const real mu = k->saved[r], s = k->saved[R + r];
            if (want_dw)
                for (int64_t c = 0; c < C; c++) dw[c] += dy[c] * (x[c] - mu) * s;
            if (want_db)
                for (int64_t c = 0; c < C; c++) db[c] += dy[c];
            if (want_dx) layernorm_dx(k, r);
        }
    }
    if (want_dw) op_add_parts(grad_rows(k->in[1], 0, 1), dw_parts, n_part, C);
    if (want_db) op_add_parts(grad_rows(k->in[2], 0, 1), db_parts, n_part, C);
}

// clang-format off
static const OpCase layernorm_cases[] = {
    { "small",  3, { { 2, { 3, 5 } }, { 1, { 5 } }, { 1, { 5 } } }, &(const LayernormArg){ 1e-5 }, -2.0, 2.0 },
    { "tiny_x", 3, { { 2, { 2, 4 } }, { 1, { 4 } }, { 1, { 4 } } }, &(const LayernormArg){ 1e-5 }, -1e-2, 1e-2 },
    { "far",    3, { { 2, { 2, 6 } }, { 1, { 6 } }, { 1, { 6 } } }, &(const LayernormArg){ 1e-5 }, 9.0, 11.0 },
    { "lanes",  3, { { 2, { ROW_CHUNK + 2, 11 } }, { 1, { 11 } }, { 1, { 11 } } }, &(const LayernormArg){ 1e-6 }, -1.0, 1.0 },
};
// clang-format on
const OpDef op_layernorm = {.name = "layernorm",
                            .shape = layernorm_shape,
                            .fwd = layernorm_fwd,
                            .bwd = layernorm_bwd,
                            .cases = layernorm_cases,
                            .n_case = N_OF(layernorm_cases)};
