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
    for (int64_t i = 0; i < half; i++) {
        for (int64_t p = 0; p < n_pos; p++) {
            cos_out[p * half + i] = (real)(factor * cos((double)p * freq[i]));
            sin_out[p * half + i] = (real)(factor * sin((double)p * freq[i]));
        }
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

static void rope_fwd(OpCall *k)
{
    const RopeArg *a = k->arg;
    const int64_t N = k->in[0]->dim[0], C = k->in[0]->dim[1], half = a->table.half,
                  width = C / a->n_head;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const real *restrict co = a->table.cos + a->pos[n] * half;
        const real *restrict si = a->table.sin + a->pos[n] * half;
        for (int64_t h = 0; h < a->n_head; h++) {
            const real *restrict x = k->in[0]->val + n * C + h * width;
            real *restrict y = k->out->val + n * C + h * width;
            for (int64_t i = 0; i < half; i++) {
                y[i] = x[i] * co[i] - x[i + half] * si[i];
                y[i + half] = x[i + half] * co[i] + x[i] * si[i];
            }
            for (int64_t i = 2 * half; i < width; i++) y[i] = x[i];
        }
    }
}

static void rope_bwd(OpCall *k)
{
    const RopeArg *a = k->arg;
    const int64_t N = k->in[0]->dim[0], C = k->in[0]->dim[1], half = a->table.half,
                  width = C / a->n_head;
    if (!k->in[0]->grad) return;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; n++) {
        const real *restrict co = a->table.cos + a->pos[n] * half;
        const real *restrict si = a->table.sin + a->pos[n] * half;
        real *row = grad_rows(k->in[0], n, 1);
        for (int64_t h = 0; h < a->n_head; h++) {
            const real *restrict dy = k->out->grad + n * C + h * width;
            real *restrict dx = row + h * width;
            for (int64_t i = 0; i < half; i++) {
                dx[i] += dy[i] * co[i] + dy[i + half] * si[i];
                dx[i + half] += dy[i + half] * co[i] - dy[i] * si[i];
            }
            for (int64_t i = 2 * half; i < width; i++) dx[i] += dy[i];
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
                       .cases = rope_cases,
                       .n_case = N_OF(rope_cases)};
