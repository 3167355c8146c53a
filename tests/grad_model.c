/* grad_model.c — gradients of whole models against central differences, in double. */
#include "tests/toy_model.h"
#include <math.h>
#include <omp.h>

static const double LIMIT = 1e-6, STEP = 1e-5;

/* All elements of a vector, a spread of a matrix's. */
static void check_param(ToyModel *toy, const Param *p)
{
    const int64_t stride = p->n_dim == 1 ? 1 : 5;
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

static void check_model(const ModelConfig *cfg)
{
    ToyModel toy;
    toy_model_init(&toy, cfg);
    T_NEAR(toy_backward(&toy), toy_loss(&toy), 1e-12);
    for (int64_t i = 0; i < params_count(toy.ps); i++) {
        const Param *p = params_at(toy.ps, i);
        double size = 0;
        for (int64_t j = 0; j < p->n; j++) size += fabs(p->grad[j]);
        ck_assert_msg(size > 1e-6, "%s has no gradient", p->name);
        check_param(&toy, p);
    }
    toy_model_fini(&toy);
}

START_TEST(grouped_queries)
{
    const ModelConfig c = toy_config();
    check_model(&c);
}
END_TEST

START_TEST(tied_with_biases)
{
    ModelConfig c = toy_config();
    c.tie_word_embeddings = c.attention_bias = c.mlp_bias = true;
    check_model(&c);
}
END_TEST

START_TEST(one_head_per_key)
{
    ModelConfig c = toy_config();
    c.num_key_value_heads = c.num_attention_heads;
    c.num_hidden_layers = 1;
    check_model(&c);
}
END_TEST

START_TEST(every_family)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        check_model(&c);
    }
}
END_TEST

START_TEST(gemma2_tied_with_biases)
{
    ModelConfig c = toy_family_config("gemma2");
    c.tie_word_embeddings = c.attention_bias = true;
    check_model(&c);
}
END_TEST

static void check_each_alone(const ModelConfig *cfg)
{
    ToyModel toy;
    toy_model_init(&toy, cfg);
    toy_backward(&toy);
    real *all = mem_array(toy.n, sizeof(real));
    T_TRUE(all);
    memcpy(all, toy.grad, (size_t)toy.n * sizeof(real));
    for (int64_t i = 0; i < params_count(toy.ps); i++) {
        Param *p = params_at(toy.ps, i);
        tape_checkpointing(toy.tape, i % 2 == 0);
        params_bind_grad(toy.ps, NULL);
        p->grad = toy.grad + p->offset;
        toy_backward(&toy);
        for (int64_t j = 0; j < toy.n; j++) {
            const bool own = j >= p->offset && j < p->offset + p->n;
            ck_assert_msg(toy.grad[j] == (own ? all[j] : 0), "%s alone: element %lld is %.9g",
                          p->name, LL(j - p->offset), (double)toy.grad[j]);
        }
    }
    mem_free(all);
    toy_model_fini(&toy);
}

/* What is trained alone gets the gradient that it gets among all. */
START_TEST(each_parameter_trained_alone)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        c.attention_bias = strcmp(c.model_type, "llama") == 0;
        check_each_alone(&c);
    }
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {grouped_queries, tied_with_biases,        one_head_per_key,
                        every_family,    gemma2_tied_with_biases, each_parameter_trained_alone};
    return test_main("grad.model", t, N_OF(t));
}
