/* grad_methods.c — gradients through two blocks with each method, against central differences, in
 * double. */
#include "tests/toy_methods.h"
#include <math.h>
#include <omp.h>

static const double LIMIT = 1e-6, STEP = 3e-6;

/* A spread of the elements. */
static void check_param(ToyModel *toy, const Param *p)
{
    const int64_t stride = p->n_dim == 1 ? 5 : 13;
    double size = 0;
    for (int64_t j = 0; j < p->n; j++) size += fabs(p->grad[j]);
    ck_assert_msg(size > 1e-6, "%s has no gradient", p->name);
    for (int64_t i = 0; i < p->n; i += stride) {
        const real at = p->val[i];
        p->val[i] = at + STEP;
        const double above = toy_loss(toy);
        p->val[i] = at - STEP;
        const double below = toy_loss(toy);
        p->val[i] = at;
        const double a = toy->grad[p->offset + i], b = (above - below) / (2 * STEP);
        const double error = fabs(a - b) / fmax(1, fmax(fabs(a), fabs(b)));
        ck_assert_msg(error <= LIMIT, "%s[%lld]: gradient %.9g, difference quotient %.9g", p->name,
                      LL(i), a, b);
    }
}

/* Away from the start, where what begins at zero would hide half of the derivative. */
static void check_example(const ToyEntry *e, uint64_t noise, bool checkpointing)
{
    const ModelConfig c = toy_config();
    ToyMethods m;
    Rng r;
    toy_methods_init(&m, &c, e);
    rng_init(&r, 8, 0);
    for (int64_t i = 0; i < params_count(m.toy.ps); i++) toy_shake(&r, params_at(m.toy.ps, i));
    m.toy.batch.noise = noise;
    tape_checkpointing(m.toy.tape, checkpointing);
    T_NEAR(toy_backward(&m.toy), toy_loss(&m.toy), 1e-12);
    for (int64_t i = 0; i < params_count(m.toy.ps); i++)
        check_param(&m.toy, params_at(m.toy.ps, i));
    toy_methods_fini(&m);
}

START_TEST(every_method)
{
    for (int64_t i = 0; i < N_OF(TOY_EXAMPLES); i++)
        check_example(&TOY_EXAMPLES[i], i % 2 ? 11 : 0, i % 3 == 0);
}
END_TEST

START_TEST(dropout_with_and_without_recomputation)
{
    const ToyEntry e = {"lora", {"lora_r", "3", "lora_alpha", "3", "lora_dropout", "0.4"}};
    check_example(&e, 12, false);
    check_example(&e, 12, true);
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {every_method, dropout_with_and_without_recomputation};
    return test_main("grad.methods", t, N_OF(t));
}
