/* op_rope.c — rotary position embedding, in the half-split order of the Hugging Face Llama files.
 *
 * In each head the first D columns turn; with i < D/2, angle a = pos[n] freq[i], plainly freq[i] = theta^(-2i/D):
 *   y[i]       = x[i] cos a - x[i + D/2] sin a
 *   y[i + D/2] = x[i + D/2] cos a + x[i] sin a
 * and y[i] = x[i] for i >= D (partial rotary embedding).
 * Su et al. 2021, arXiv:2104.09864, eq. (34), with the pairs (i, i + D/2) in place of (2i, 2i + 1).
 * Backward is the rotation by -a.
 */
#include "trainer/tensor/op.h"
#include "trainer/tensor/tape.h"
#include <math.h>

void rope_fill(const double *freq, double factor, int64_t n_pos, int64_t half, real *cos_out,
               real *sin_out)
{
    for (int64_t p = 0; p < n_pos; p++)
        rope_fill_row(freq, factor, p, half, cos_out + p * half, sin_out + p * half);
}

void rope_fill_row(const double *freq, double factor, int64_t pos, int64_t half, real *cos_out,
                   real *sin_out)
{
    for (int64_t i = 0; i < half; i++) {
        cos_out[i] = (real)(factor * cos((double)pos * freq[i]));
        sin_out[i] = (real)(factor * sin((double)pos * freq[i]));
    }
}

/* in: x (N,H*W), W >= D; arg: table (n_pos,D/2), n_head H, pos (N); out: y (N,H*W) */
static Status rope_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *x = k->in[0];
    const RopeArg *a = k->arg;
    CHECK(x->n_dim == 2, SHAPE, "rope: x has %d dims", x->n_dim);
    CHECK(x->dim[1] % a->n_head == 0 && x->dim[1] / a->n_head >= 2 * a->table.half, SHAPE,
          "rope: x has %lld columns for %lld heads of %lld or more", LL(x->dim[1]), LL(a->n_head),
          LL(2 * a->table.half));
    for (int64_t n = 0; n < x->dim[0]; n++)
        CHECK(a->pos[n] >= 0 && a->pos[n] < a->table.n_pos, SHAPE,
              "rope: position %d, the table ends before %lld", a->pos[n], LL(a->table.n_pos));
    op_out_like(k, x);
out:
    return rc;
}

/* y = x turned by the angles whose cosines and sines are given; y may be x. */
static void turn(int64_t half, const real *co, const real *si, const real *x, real *y)
{
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        const real first = x[i], second = x[i + half];
        y[i] = first * co[i] - second * si[i];
        y[i + half] = second * co[i] + first * si[i];
    }
}

/* y = x turned back, or y += that. */
static void turn_back(int64_t half, const real *co, const real *si, const real *x, bool add,
                      real *y)
{
    const real keep = add;
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        const real first = x[i], second = x[i + half];
        y[i] = keep * y[i] + (first * co[i] + second * si[i]);
        y[i + half] = keep * y[i + half] + (second * co[i] - first * si[i]);
    }
}

static void rope_fwd(OpCall *k)
{
    const RopeArg *a = k->arg;
    const int64_t N = k->in[0]->dim[0], C = k->in[0]->dim[1], half = a->table.half,
                  width = C / a->n_head;
    const bool apart = k->out->val != k->in[0]->val;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const int64_t at = a->pos[n] * half;
        for (int64_t h = 0; h < a->n_head; h++) {
            const real *x = k->in[0]->val + n * C + h * width;
            real *y = k->out->val + n * C + h * width;
            turn(half, a->table.cos + at, a->table.sin + at, x, y);
            for (int64_t i = 2 * half; apart && i < width; i++) y[i] = x[i];
        }
    }
}

static void rope_bwd(OpCall *k)
{
    const RopeArg *a = k->arg;
    const int64_t N = k->in[0]->dim[0], C = k->in[0]->dim[1], half = a->table.half,
                  width = C / a->n_head;
    const bool apart = k->out->grad != k->in[0]->grad;
    if (!k->in[0]->grad) return;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const int64_t at = a->pos[n] * half;
        real *row = apart ? grad_rows(k->in[0], n, 1) : k->in[0]->grad + n * C;
        for (int64_t h = 0; h < a->n_head; h++) {
            const real *dy = k->out->grad + n * C + h * width;
            real *dx = row + h * width;
            turn_back(half, a->table.cos + at, a->table.sin + at, dy, apart, dx);
            for (int64_t i = 2 * half; apart && i < width; i++) dx[i] += dy[i];
        }
    }
}

/* Positions 0..2, head size 4: angles pos and pos/100. */
static const real rope_case_cos[] = {(real)1,       (real)1,         (real)0.540302,
                                     (real)0.99995, (real)-0.416147, (real)0.9998};
static const real rope_case_sin[] = {(real)0,    (real)0,        (real)0.841471,
                                     (real)0.01, (real)0.909297, (real)0.019999};
static const int32_t rope_case_pos[] = {0, 2, 1, 2};
// clang-format off
static const RopeArg rope_case_arg = { { 3, 2, rope_case_cos, rope_case_sin }, 2, rope_case_pos };
static const OpCase rope_cases[] = {
    { "two_heads", 1, { { 2, { 4, 8 } } }, &rope_case_arg, -2.0, 2.0 },
    { "partial",   1, { { 2, { 4, 14 } } }, &rope_case_arg, -2.0, 2.0 },
};
// clang-format on
const OpDef op_rope = {.name = "rope",
                       .shape = rope_shape,
                       .fwd = rope_fwd,
                       .bwd = rope_bwd,
                       .bwd_reads = op_reads_nothing,
                       .cases = rope_cases,
                       .n_case = N_OF(rope_cases)};
