/* op_dropout.c — elements dropped at random, the others scaled up.
 *
 *   y[i] = x[i] m[i] / (1 - p),    m[i] = 0 where the 32-bit word i of the stream is below p 2^32,
 *                                  else 1;   words 2 j and 2 j + 1 are the halves of rng_at(j)
 *
 * Srivastava et al. 2014, JMLR 15, scaled in training. Backward: dx = dy m / (1 - p), the mask drawn
 * again.
 */
#include "trainer/base/rng.h"
#include "trainer/tensor/op.h"

enum { PART = 2048 }; /* elements at a time, an even number */

/* in: x; arg: p, seed, stream; out: y */
static Status dropout_shape(OpCall *k)
{
    Status rc = ST_OK;
    const DropoutArg *a = k->arg;
    CHECK(a->p >= 0 && a->p < 1, SHAPE, "dropout: p is %g, not in [0, 1)", a->p);
    op_out_like(k, k->in[0]);
out:
    return rc;
}

/* The factors 0 or 1/(1 - p) of elements first, first + 1, ... */
static void dropout_factors(const DropoutArg *a, int64_t first, int64_t n, real *factor)
{
    const uint32_t below = (uint32_t)(a->p * 0x1p32);
    const real kept = (real)(1 / (1 - a->p));
    uint64_t bits[PART / 2];
    rng_fill(a->seed, a->stream, (uint64_t)first / 2, (uint64_t)(n + 1) / 2, bits);
    for (int64_t i = 0; i < n; i++)
        factor[i] = (uint32_t)(bits[i / 2] >> 32 * (i % 2)) < below ? 0 : kept;
}

static void dropout_fwd(OpCall *k)
{
    const int64_t n = k->out->n;
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n; first += PART) {
        const int64_t n_here = n - first < PART ? n - first : PART;
        const real *restrict x = k->in[0]->val + first;
        real *restrict y = k->out->val + first, factor[PART];
        dropout_factors(k->arg, first, n_here, factor);
        for (int64_t i = 0; i < n_here; i++) y[i] = x[i] * factor[i];
    }
}

static void dropout_bwd(OpCall *k)
{
    const int64_t n = k->out->n;
    if (!k->in[0]->grad) return;
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n; first += PART) {
        const int64_t n_here = n - first < PART ? n - first : PART;
        const real *restrict dy = k->out->grad + first;
        real *restrict dx = grad_span(k->in[0], first, n_here), factor[PART];
        dropout_factors(k->arg, first, n_here, factor);
        for (int64_t i = 0; i < n_here; i++) dx[i] += dy[i] * factor[i];
    }
}

// clang-format off
static const OpCase dropout_cases[] = {
    { "half", 1, { { 2, { 5, 7 } } }, &(const DropoutArg){ 0.5, 1, 2 }, -2.0, 2.0 },
    { "none", 1, { { 2, { 3, 5 } } }, &(const DropoutArg){ 0, 1, 2 }, -2.0, 2.0 },
};
// clang-format on
const OpDef op_dropout = {.name = "dropout",
                          .shape = dropout_shape,
                          .fwd = dropout_fwd,
                          .bwd = dropout_bwd,
                          .bwd_reads = op_reads_nothing,
                          .cases = dropout_cases,
                          .n_case = N_OF(dropout_cases)};
