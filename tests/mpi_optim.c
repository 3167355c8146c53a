/* mpi_optim.c — an optimizer whose state the ranks share out piece by piece updates as one that has all of it. */
#include "optim/optim.h"
#include "tests/test_helper.h"
#include "trainer/base/tree_sum.h"
#include <string.h>

enum { N_STEP = 3, N_LEAF = 4 };
/* More than one region for three ranks; small ones between the large; the last one ends in a stretch of one number. */
static const int64_t SIZES[] = {700000, 5, 1, 900001, 16384, 100, 1300001};

typedef union AnyOpts {
    double room[16];
} AnyOpts;

static float number(uint64_t stream, int64_t i)
{
    return (float)((double)(rng_at(3, stream, (uint64_t)i) >> 40) / (1 << 23) - 1.0);
}

static ParamSet *make_params(void)
{
    ParamSet *ps = NULL;
    T_OK(params_create(&ps));
    for (int64_t k = 0; k < N_OF(SIZES); k++) {
        char *name = mem_printf("p%lld", LL(k));
        T_OK(params_add(ps, name, k % 2 ? PARAM_NORM : PARAM_MATRIX, 2, (int64_t[]){1, SIZES[k]}));
        mem_free(name);
    }
    T_OK(params_seal(ps));
    for (int64_t k = 0; k < params_count(ps); k++)
        for (int64_t i = 0; i < params_at(ps, k)->n; i++)
            params_at(ps, k)->val[i] = number(1, params_at(ps, k)->offset + i);
    return ps;
}

/* A gradient that only where this rank needs it is one. */
static float *make_gradient(const ParamSet *ps, const Optim *o, uint64_t step)
{
    const int64_t n = params_flat_n(ps);
    const Cut *cut = optim_cut(o);
    const Comm *c = test_world();
    float *g = mem_array(n, sizeof *g);
    T_TRUE(g);
    if (cut) memset(g, 0xff, (size_t)n * sizeof *g); /* NaN */
    for (int64_t k = 0, piece = 0; k < params_count(ps); k++)
        for (int64_t i = params_at(ps, k)->offset;
             i < params_at(ps, k)->offset + params_at(ps, k)->n; i++) {
            while (cut && cut->at[piece + 1] <= i) piece++;
            if (!cut || piece % comm_size(c) == comm_rank(c)) g[i] = number(10 + step, i);
        }
    return g;
}

typedef struct Trained {
    ParamSet *ps;
    Optim *o;
    double norm[N_STEP];
} Trained;

static void train(const char *name, bool shared, Trained *t)
{
    const OptimDef *def = optim_find(name);
    AnyOpts opts = {{0}};
    OptimCommon common;
    opt_set_defaults(OPTIM_COMMON_OPTS, &common);
    common.shard_optimizer = shared;
    opt_set_defaults(def->opts, &opts);
    t->ps = make_params();
    const int64_t before = mem_live_bytes();
    T_OK(optim_create(def, &opts, &common, t->ps, test_world(), &t->o));
    int64_t held = mem_live_bytes() - before,
            foretold = optim_bytes(def, &common, t->ps, test_world());
    comm_max_i64(test_world(), &held, 1); /* the slots, and lists that are small beside them */
    T_TRUE(foretold <= held && held < foretold + foretold / 20 + (1 << 16));
    for (int step = 0; step < N_STEP; step++) {
        float *g = make_gradient(t->ps, t->o, (uint64_t)step);
        t->norm[step] = optim_grad_norm(t->o, g, 0.5);
        optim_step(t->o, t->ps, g, 0.5, t->norm[step], 1e-2, -1.0);
        mem_free(g);
    }
}

static void trained_fini(Trained *t)
{
    optim_destroy(t->o);
    params_destroy(t->ps);
}

static void expect_same_slots(const Trained *all, const Trained *mine)
{
    const int64_t n = params_flat_n(all->ps);
    float *a = mem_array(n, sizeof *a), *b = mem_array(n, sizeof *b);
    T_TRUE(a && b);
    for (int i = 0; i < optim_n_slot(all->o); i++) {
        memset(a, 0, (size_t)n * sizeof *a);
        memset(b, 0, (size_t)n * sizeof *b);
        optim_slot_get(all->o, i, 0, n, a);
        optim_slot_get(mine->o, i, 0, n, b);
        if (optim_cut(mine->o)) comm_share_pieces(test_world(), b, optim_cut(mine->o));
        T_TRUE(memcmp(a, b, (size_t)n * sizeof *a) == 0);
        optim_slot_put(mine->o, i, 0, n, b);
    }
    mem_free(a);
    mem_free(b);
}

START_TEST(shared_out_it_updates_as_whole)
{
    int64_t n_def;
    const OptimDef *const *def = optim_all(&n_def);
    const int64_t live = mem_live();
    for (int64_t d = 0; d < n_def; d++) {
        Trained all, mine;
        train(def[d]->name, false, &all);
        train(def[d]->name, true, &mine);
        const size_t bytes = (size_t)params_flat_n(all.ps) * sizeof(float);
        const Cut *cut = optim_cut(mine.o);
        T_TRUE(!optim_cut(all.o) && (comm_size(test_world()) > 1) == (cut != NULL));
        T_TRUE(!cut || cut->n_piece >= 2 * comm_size(test_world())); /* or it would show little */
        T_TRUE(memcmp(all.norm, mine.norm, sizeof all.norm) == 0 && all.norm[0] > 0);
        T_TRUE(memcmp(params_flat(all.ps), params_flat(mine.ps), bytes) == 0);
        expect_same_slots(&all, &mine);
        expect_same_slots(&all, &mine); /* and after they were put back */
        trained_fini(&all);
        trained_fini(&mine);
    }
    T_EQ_I64(mem_live(), live);
}
END_TEST

/* The memory of a sum with the cut of an optimizer. */
START_TEST(the_sum_takes_no_more_than_foretold)
{
    Trained t;
    TreeSum *ts = NULL;
    train("sgd", true, &t);
    const int64_t n = params_flat_n(t.ps), before = mem_live_bytes();
    T_OK(tree_sum_create(test_world(), N_LEAF, n, optim_cut(t.o), &ts));
    T_OK(tree_sum_begin(ts));
    int64_t held = mem_live_bytes() - before;
    comm_max_i64(test_world(), &held, 1);
    const int64_t foretold = tree_sum_bytes(test_world(), N_LEAF, n);
    ck_assert_msg(held < foretold + 4096 && held > foretold - foretold / 10,
                  "%lld bytes are held, %lld foretold", LL(held), LL(foretold));
    (void)tree_sum_finish(ts);
    tree_sum_destroy(ts);
    trained_fini(&t);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *t[] = {shared_out_it_updates_as_whole, the_sum_takes_no_more_than_foretold};
    return test_main_mpi("mpi.optim", argc, argv, t, N_OF(t));
}
