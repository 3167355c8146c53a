/* unit_ce_head.c — head and loss against logits and softmax in double, one row at a time. */
#include "tests/op_run.h"
#include <math.h>

/* Sums of up to 3000 terms of order one, relative to max(1, |b|). */
static const double LIMIT = 1e-5;

typedef struct Scene {
    int64_t N, C, V;
    int32_t *labels;
    CeHeadArg arg;
    OpRun run;
    double *want[3]; /* y, dx, dw */
} Scene;

static void scene_init(Scene *s, int64_t N, int64_t C, int64_t V, double labelled, double softcap,
                       Rng *rng)
{
    *s = (Scene){.N = N, .C = C, .V = V, .labels = mem_array(N, sizeof(int32_t))};
    T_TRUE(s->labels);
    for (int64_t n = 0; n < N; n++)
        s->labels[n] = rng_uniform(rng) < labelled ? (int32_t)rng_below(rng, (uint64_t)V) : -1;
    s->arg = (CeHeadArg){s->labels, softcap};
    op_run_init(&s->run, &op_ce_head, 2, (const int64_t[][2]){{N, C}, {V, C}}, &s->arg, rng);
    s->want[0] = mem_array(N, sizeof(double));
    s->want[1] = mem_array(N * C, sizeof(double));
    s->want[2] = mem_array(V * C, sizeof(double));
    T_TRUE(s->want[0] && s->want[1] && s->want[2]);
}

static void scene_fini(Scene *s)
{
    op_run_fini(&s->run);
    mem_free(s->labels);
    for (int i = 0; i < 3; i++) mem_free(s->want[i]);
}

static void naive_row(const Scene *s, int64_t n, double *z, double *slope)
{
    const int64_t C = s->C, V = s->V;
    const real *x = s->run.in[0].val + n * C, *w = s->run.in[1].val;
    const double dy = (double)s->run.out.grad[n], cap = s->arg.softcap;
    double sum = 0;
    for (int64_t v = 0; v < V; v++) {
        z[v] = 0;
        for (int64_t c = 0; c < C; c++) z[v] += (double)x[c] * (double)w[v * C + c];
        slope[v] = cap != 0 ? 1 - pow(tanh(z[v] / cap), 2) : 1;
        if (cap != 0) z[v] = cap * tanh(z[v] / cap);
        if (v == s->labels[n]) s->want[0][n] = -z[v];
        sum += z[v] = exp(z[v]);
    }
    s->want[0][n] += log(sum);
    for (int64_t v = 0; v < V; v++) {
        const double dz = dy * (z[v] / sum - (v == s->labels[n])) * slope[v];
        for (int64_t c = 0; c < C; c++) {
            s->want[1][n * C + c] += dz * (double)w[v * C + c];
            s->want[2][v * C + c] += dz * (double)x[c];
        }
    }
}

static void naive_run(const Scene *s)
{
    double *z = mem_array(s->V, sizeof *z), *slope = mem_array(s->V, sizeof *slope);
    T_TRUE(z && slope);
    for (int64_t n = 0; n < s->N; n++)
        if (s->labels[n] >= 0) naive_row(s, n, z, slope);
    mem_free(z);
    mem_free(slope);
}

/* Few and many labels, one chunk and several, a last chunk of one row. */
START_TEST(agrees_with_one_row_at_a_time_in_double)
{
    static const struct {
        int64_t N, C, V;
        double labelled, softcap;
    } scenes[] = {{1, 3, 2, 1, 0},        {70, 24, 256, 0.3, 0}, {1025, 5, 11, 1, 0},
                  {2300, 4, 17, 0.95, 0}, {260, 2, 3000, 1, 0},  {40, 16, 64, 0, 0},
                  {70, 24, 256, 0.3, 30}, {300, 40, 19, 0.9, 2}};
    Rng rng;
    rng_init(&rng, 1, 0);
    for (int64_t i = 0; i < N_OF(scenes); i++) {
        Scene s;
        scene_init(&s, scenes[i].N, scenes[i].C, scenes[i].V, scenes[i].labelled, scenes[i].softcap,
                   &rng);
        naive_run(&s);
        for (int64_t j = 0; j < s.run.in[0].n; j++) s.run.in[0].grad[j] = (real)NAN; /* blank */
        for (int64_t j = 0; j < s.run.in[1].n; j++) s.run.in[1].grad[j] = (real)NAN;
        op_ce_head.bwd(&s.run.call);
        T_NEAR(op_run_error(s.run.out.val, s.want[0], s.N), 0, LIMIT);
        for (int j = 0; j < 2; j++)
            T_NEAR(op_run_error(s.run.in[j].grad, s.want[1 + j], s.run.in[j].n), 0, LIMIT);
        scene_fini(&s);
    }
}
END_TEST

START_TEST(bits_do_not_depend_on_threads)
{
    Rng rng;
    rng_init(&rng, 2, 0);
    Scene s;
    scene_init(&s, 1200, 5, 70, 0.95, 1.5, &rng);
    const uint64_t alone = op_run_hash(&s.run, 1);
    for (int n = 2; n <= OP_RUN_MAX_THREADS; n++) T_TRUE(op_run_hash(&s.run, n) == alone);
    scene_fini(&s);
}
END_TEST

START_TEST(evaluation_gives_the_same_losses)
{
    Rng rng;
    rng_init(&rng, 3, 0);
    Scene s;
    scene_init(&s, 300, 16, 90, 0.5, 3, &rng);
    real *y = op_run_reals(s.N);
    op_ce_head.bwd(&s.run.call);
    memcpy(y, s.run.out.val, (size_t)s.N * sizeof *y);
    op_ce_head.fwd(&s.run.call);
    T_TRUE(memcmp(y, s.run.out.val, (size_t)s.N * sizeof *y) == 0);
    mem_free(y);
    scene_fini(&s);
}
END_TEST

/* The table of a tied embedding already holds a gradient: the head adds to it. */
START_TEST(gradients_add_to_what_is_there)
{
    Rng rng;
    rng_init(&rng, 4, 0);
    Scene s;
    scene_init(&s, 50, 6, 20, 0.7, 0, &rng);
    naive_run(&s);
    for (int i = 0; i < 2; i++) {
        Tensor *x = &s.run.in[i];
        x->grad_blank = false;
        for (int64_t j = 0; j < x->n; j++) x->grad[j] = 3;
    }
    op_ce_head.bwd(&s.run.call);
    for (int i = 0; i < 2; i++) {
        Tensor *x = &s.run.in[i];
        for (int64_t j = 0; j < x->n; j++) s.want[1 + i][j] += 3;
        T_NEAR(op_run_error(x->grad, s.want[1 + i], x->n), 0, LIMIT);
    }
    scene_fini(&s);
}
END_TEST

START_TEST(what_is_not_finite_comes_through)
{
    Rng rng;
    rng_init(&rng, 5, 0);
    Scene s;
    scene_init(&s, 4, 8, 30, 1, 0, &rng);
    s.run.in[0].val[0] = (real)NAN;
    s.run.in[0].val[8] = (real)INFINITY;
    op_ce_head.fwd(&s.run.call);
    T_TRUE(!isfinite(s.run.out.val[0]) && !isfinite(s.run.out.val[1]));
    T_TRUE(isfinite(s.run.out.val[2]) && isfinite(s.run.out.val[3]));
    scene_fini(&s);
}
END_TEST

START_TEST(wrong_shapes_and_labels_are_named)
{
    Tensor x = {.n_dim = 2, .dim = {2, 3}, .n = 6, .dtype = DT_REAL},
           w = {.n_dim = 2, .dim = {5, 3}, .n = 15, .dtype = DT_REAL}, y = {0};
    OpCall k = {.in = {&x, &w}, .n_in = 2, .out = &y};
    k.arg = &(const CeHeadArg){(const int32_t[]){0, 5}, 0};
    T_FAILS(op_ce_head.shape(&k), SHAPE, "label 5 of row 1, 5 classes");
    k.arg = &(const CeHeadArg){(const int32_t[]){-2, 0}, 0};
    T_FAILS(op_ce_head.shape(&k), SHAPE, "label -2 of row 0");
    w.dim[1] = 4;
    T_FAILS(op_ce_head.shape(&k), SHAPE, "x has 3 columns, w has 4");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        agrees_with_one_row_at_a_time_in_double, bits_do_not_depend_on_threads,
        evaluation_gives_the_same_losses,        gradients_add_to_what_is_there,
        what_is_not_finite_comes_through,        wrong_shapes_and_labels_are_named};
    return test_main("unit.ce_head", tests, N_OF(tests));
}
