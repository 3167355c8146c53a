/* unit_frozen.c — matrices that keep the bf16 or f16 of their file, against the same numbers in f32. */
#include "tests/op_run.h"
#include "trainer/tensor/bf16.h"
#include "trainer/tensor/dtype.h"
#include <immintrin.h>
#include <math.h>

static const double LIMIT = 2e-6; /* sums of up to 100 terms of order one, in another order */

/* The input `at` of b holds the numbers of a's, stored as `type`; a's are rounded to it first. */
static void store_frozen(OpRun *a, OpRun *b, int at, Dtype type)
{
    Tensor *w = &a->in[at], *frozen = &b->in[at];
    uint16_t *bits = mem_array(w->n, sizeof *bits);
    T_TRUE(bits);
    for (int64_t i = 0; i < w->n; i++)
        bits[i] = type == DT_BF16 ? bf16_from_float(w->val[i]) : _cvtss_sh(w->val[i], 0);
    dtype_widen(type, bits, w->n, w->val);
    mem_free(frozen->val);
    mem_free(frozen->grad);
    *frozen =
        (Tensor){.n_dim = 2, .dim = {w->dim[0], w->dim[1]}, .n = w->n, .dtype = type, .raw = bits};
}

static void check_frozen(const OpDef *op, int n_in, const int64_t (*dim)[2], int at,
                         const void *arg, Dtype type)
{
    OpRun a, b;
    Rng rng;
    rng_init(&rng, 1, 0);
    op_run_init(&a, op, n_in, dim, arg, &rng);
    rng_init(&rng, 1, 0);
    op_run_init(&b, op, n_in, dim, arg, &rng);
    store_frozen(&a, &b, at, type);
    (void)op_run_hash(&a, 2);
    const uint64_t bits = op_run_hash(&b, 2);
    T_TRUE(op_run_hash(&b, 1) == bits && op_run_hash(&b, 3) == bits);
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < a.out.n; i++)
        n_wrong += !(fabsf(a.out.val[i] - b.out.val[i]) <= LIMIT * (1 + fabsf(a.out.val[i])));
    for (int j = 0; j < n_in; j++)
        for (int64_t i = 0; j != at && i < a.in[j].n; i++)
            n_wrong +=
                !(fabsf(a.in[j].grad[i] - b.in[j].grad[i]) <= LIMIT * (1 + fabsf(a.in[j].grad[i])));
    ck_assert_msg(n_wrong == 0, "%s, %s: %lld numbers are wrong", op->name, dtype_name(type),
                  LL(n_wrong));
    mem_free((void *)(uintptr_t)b.in[at].raw);
    b.in[at].raw = NULL;
    op_run_fini(&a);
    op_run_fini(&b);
}

static const char *const BACKENDS[] = {"reference", "openblas", "onednn"};
static const Dtype TYPES[] = {DT_BF16, DT_F16};

START_TEST(frozen_matrices_act_as_their_numbers)
{
    static const int32_t ids[] = {7, 0, 7, 28}, labels[] = {-1, 3, 28, 0};
    static const int64_t rows[] = {4, 40}; /* few, which go without a panel, and more */
    static int32_t many_labels[40];
    for (int i = 0; i < 40; i++) many_labels[i] = i % 30 - 1;
    for (int64_t n = 0; n < N_OF(BACKENDS) * N_OF(TYPES); n++) {
        const Dtype type = TYPES[n % N_OF(TYPES)];
        if (!gemm_has_backend(BACKENDS[n / N_OF(TYPES)])) continue;
        T_OK(gemm_init(BACKENDS[n / N_OF(TYPES)], "fp32"));
        for (int64_t r = 0; r < N_OF(rows); r++) {
            const int64_t N = rows[r];
            check_frozen(&op_linear, 2, (const int64_t[][2]){{N, 35}, {29, 35}}, 1,
                         &(const LinearArg){false}, type);
            check_frozen(&op_linear, 2, (const int64_t[][2]){{N, 35}, {35, 29}}, 1,
                         &(const LinearArg){true}, type);
            check_frozen(&op_ce_head, 2, (const int64_t[][2]){{N, 35}, {29, 35}}, 1,
                         &(const CeHeadArg){N == 4 ? labels : many_labels, 0}, type);
        }
        check_frozen(&op_embedding, 1, (const int64_t[][2]){{29, 35}}, 0,
                     &(const EmbeddingArg){N_OF(ids), ids, -1}, type);
        gemm_fini();
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {frozen_matrices_act_as_their_numbers};
    return test_main("unit.frozen", tests, N_OF(tests));
}
