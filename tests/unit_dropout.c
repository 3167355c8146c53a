/* unit_dropout.c — how much is dropped, what the mask depends on, and what it does not depend on. */
#include "tests/op_run.h"
#include "trainer/tensor/tape.h"

enum { R = 190, C = 61 }; /* an odd number of elements, more than one part for each thread */

static void run_init(OpRun *r, const DropoutArg *arg)
{
    Rng rng;
    rng_init(&rng, 1, 0);
    op_run_init(r, &op_dropout, 1, (const int64_t[][2]){{R, C}}, arg, &rng);
}

static double dropped_frac(OpRun *r)
{
    int64_t n = 0;
    (void)op_run_hash(r, 1);
    for (int64_t i = 0; i < r->out.n; i++) n += r->out.val[i] == 0;
    return (double)n / (double)r->out.n;
}

START_TEST(drops_a_share_of_p)
{
    static const double shares[] = {0.05, 0.5, 0.9};
    for (int64_t i = 0; i < N_OF(shares); i++) {
        OpRun r;
        run_init(&r, &(const DropoutArg){shares[i], 3, 4});
        T_NEAR(dropped_frac(&r), shares[i], 0.02); /* 4 standard deviations */
        for (int64_t j = 0; j < r.out.n; j++) {
            const double kept = r.out.val[j] != 0 ? 1 / (1 - shares[i]) : 0;
            T_NEAR((double)r.out.val[j], kept * (double)r.in[0].val[j], 1e-6);
            T_NEAR((double)r.in[0].grad[j], kept * (double)r.out.grad[j], 1e-6);
        }
        op_run_fini(&r);
    }
}
END_TEST

/* Element i is dropped when the half i % 2 of rng_at(seed, stream, i / 2) says so, whatever its
 * place in a part or thread. */
START_TEST(the_mask_is_a_function_of_seed_stream_and_element)
{
    OpRun r;
    run_init(&r, &(const DropoutArg){0.25, 3, 4});
    const uint64_t alone = op_run_hash(&r, 1);
    for (int n = 2; n <= OP_RUN_MAX_THREADS; n++) T_TRUE(op_run_hash(&r, n) == alone);
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < r.out.n; i++) {
        const uint32_t word = (uint32_t)(rng_at(3, 4, (uint64_t)i / 2) >> 32 * (i % 2));
        n_wrong += (word < 0x40000000u) != (r.out.val[i] == 0);
    }
    T_EQ_I64(n_wrong, 0);
    r.call.arg = &(const DropoutArg){0.25, 3, 5};
    T_TRUE(op_run_hash(&r, 1) != alone);
    r.call.arg = &(const DropoutArg){0.25, 2, 4};
    T_TRUE(op_run_hash(&r, 1) != alone);
    op_run_fini(&r);
}
END_TEST

START_TEST(p_is_checked_and_zero_is_no_op)
{
    Tape *t;
    Tensor *x, *y;
    const real one[2] = {1, 1};
    T_OK(tape_create(&t));
    T_OK(tape_const(t, DT_REAL, one, 2, (int64_t[]){1, 2}, &x));
    T_OK(tape_dropout(t, x, &(const DropoutArg){0, 1, 1}, &y));
    T_TRUE(x == y);
    T_FAILS(tape_dropout(t, x, &(const DropoutArg){1, 1, 1}, &y), SHAPE, "p is 1, not in [0, 1)");
    T_FAILS(tape_dropout(t, x, &(const DropoutArg){-0.1, 1, 1}, &y), SHAPE, "p is -0.1");
    tape_destroy(t);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {drops_a_share_of_p, the_mask_is_a_function_of_seed_stream_and_element,
                            p_is_checked_and_zero_is_no_op};
    return test_main("unit.dropout", tests, N_OF(tests));
}
