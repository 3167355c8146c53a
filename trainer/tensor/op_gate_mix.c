/* op_gate_mix.c — two inputs blended by a learned gate, row by row.
 *
 *   y[n,j] = g x[n,j] + (1 - g) x0[n,j],    g = 1 / (1 + exp(-c))
 * with c by row and column (N,C), by column (C), or one for each of as many equal parts of a row (heads). Rows that do not
 * take part are x0, bit for bit. Backward:
 *   dx = g dy,    dx0 = (1 - g) dy,    dc = sum dy (x - x0) g (1 - g)  over what shares c
 */
#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/op.h"

/* in: x, x0 (N,C), c (N,C), (C) or (a divisor of C); arg: takes; out: y (N,C) */
static Status gate_mix_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0], *x0 = k->in[1], *c = k->in[2];
    CHECK(x->n_dim == 2 && x0->n_dim == 2 && x->dim[0] == x0->dim[0] && x->dim[1] == x0->dim[1],
          SHAPE, "gate_mix: x is %lld x %lld, x0 %lld x %lld", LL(x->dim[0]), LL(x->dim[1]),
          LL(x0->dim[0]), LL(x0->dim[1]));
    CHECK(c->n_dim == 2 ? c->dim[0] == x->dim[0] && c->dim[1] == x->dim[1]
                        : c->n_dim == 1 && c->dim[0] > 0 && x->dim[1] % c->dim[0] == 0,
          SHAPE, "gate_mix: the gate has %d dims, the first is %lld, for rows of %lld", c->n_dim,
          LL(c->dim[0]), LL(x->dim[1]));
    op_out_like(k, x);
    k->n_scratch_thread = 2 * x->dim[1];
    if (c->n_dim == 1) k->n_scratch = row_chunks(x->dim[0]) * x->dim[1];
out:
    return rc;
}

/* g of row n, in the thread's scratch */
static const real *gates(const OpCall *k, int64_t n)
{
    const Tensor *c = k->in[2];
    const int64_t C = k->out->dim[1], wide = c->n_dim == 2 ? 1 : C / c->dim[0];
    const real *from = c->val + (c->n_dim == 2 ? n * C : 0);
    real *g = op_thread_scratch(k);
    for (int64_t j = 0; j < C; j++) g[j] = -from[j / wide];
    kernels()->exp(C, g, g);
    for (int64_t j = 0; j < C; j++) g[j] = 1 / (1 + g[j]);
    return g;
}

static void gate_mix_fwd(OpCall *k)
{
    const GateMixArg *a = k->arg;
    const int64_t N = k->out->dim[0], C = k->out->dim[1];
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const real *restrict x = k->in[0]->val + n * C, *restrict x0 = k->in[1]->val + n * C;
        real *restrict y = k->out->val + n * C;
        if (!a->takes[n]) {
            memcpy(y, x0, (size_t)C * sizeof *y);
            continue;
        }
        const real *restrict g = gates(k, n);
        for (int64_t j = 0; j < C; j++) y[j] = g[j] * x[j] + (1 - g[j]) * x0[j];
    }
}

/* Gradients of a row's inputs; dc: C numbers that its own part is added to. */
static void row_bwd(OpCall *k, int64_t n, bool takes, real *dc)
{
    const int64_t C = k->out->dim[1], at = n * C;
    const real *dy = k->out->grad + at, *x = k->in[0]->val + at, *x0 = k->in[1]->val + at;
    const real *g = takes ? gates(k, n) : NULL;
    real *dx = k->in[0]->grad ? grad_rows(k->in[0], n, 1) : NULL,
         *dx0 = k->in[1]->grad ? grad_rows(k->in[1], n, 1) : NULL;
    for (int64_t j = 0; dx0 && j < C; j++) dx0[j] += (g ? 1 - g[j] : 1) * dy[j];
    for (int64_t j = 0; dx && g && j < C; j++) dx[j] += g[j] * dy[j];
    for (int64_t j = 0; dc && g && j < C; j++) dc[j] += dy[j] * (x[j] - x0[j]) * g[j] * (1 - g[j]);
}

/* dc += the sums over the chunks, and over the columns that share a gate */
static void add_gate_grads(OpCall *k)
{
    Tensor *c = k->in[2];
    const int64_t N = k->out->dim[0], C = k->out->dim[1], wide = C / c->dim[0];
    real *dc = grad_rows(c, 0, 1);
    for (int64_t i = 0; i < row_chunks(N); i++)
        for (int64_t j = 0; j < C; j++) dc[j / wide] += k->scratch[i * C + j];
}

static void gate_mix_bwd(OpCall *k)
{
    const GateMixArg *a = k->arg;
    Tensor *c = k->in[2];
    const int64_t N = k->out->dim[0], C = k->out->dim[1];
    const bool by_row = c->n_dim == 2;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < row_chunks(N); i++) {
        const int64_t end = (i + 1) * ROW_CHUNK < N ? (i + 1) * ROW_CHUNK : N;
        real *sums = by_row ? NULL : k->scratch + i * C;
        if (sums) memset(sums, 0, (size_t)C * sizeof *sums);
        for (int64_t n = i * ROW_CHUNK; n < end; n++)
            row_bwd(k, n, a->takes[n], !by_row ? sums : c->grad ? grad_rows(c, n, 1) : NULL);
    }
    if (!by_row && c->grad) add_gate_grads(k);
}

// clang-format off
static const uint8_t gate_mix_takes[] = { 1, 0, 1 };
static const uint8_t gate_mix_many[ROW_CHUNK + 2] = { 1, 1, 0, 1, [ROW_CHUNK] = 1, 1 };
static const OpCase gate_mix_cases[] = {
    { "by_head",   3, { { 2, { 3, 6 } }, { 2, { 3, 6 } }, { 1, { 2 } } }, &(const GateMixArg){ gate_mix_takes }, -2.0, 2.0 },
    { "by_column", 3, { { 2, { ROW_CHUNK + 2, 3 } }, { 2, { ROW_CHUNK + 2, 3 } }, { 1, { 3 } } }, &(const GateMixArg){ gate_mix_many }, -2.0, 2.0 },
    { "by_row",    3, { { 2, { 3, 5 } }, { 2, { 3, 5 } }, { 2, { 3, 5 } } }, &(const GateMixArg){ gate_mix_takes }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_gate_mix = {.name = "gate_mix",
                           .shape = gate_mix_shape,
                           .fwd = gate_mix_fwd,
                           .bwd = gate_mix_bwd,
                           .cases = gate_mix_cases,
                           .n_case = N_OF(gate_mix_cases)};
