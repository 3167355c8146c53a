/* unit_path_plan.c — steps and costs of a line, against the formulas of the paper and hand-made
 * cases. */
#include "schedules/path_plan.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include <string.h>

START_TEST(four_equal_versions_cost_58_percent)
{
    enum { T = 1000, BATCH = 8 };
    PathVersion v[4];
    PathSteps s[4];
    for (int k = 0; k < 4; k++) v[k] = (PathVersion){T * BATCH, BATCH, 0.6};
    T_OK(path_plan_line(v, 4, s));
    const PathCost c = path_plan_cost(s, 4);
    T_EQ_I64(c.from_scratch, 10 * T);
    T_EQ_I64(c.continual, 4 * T);
    T_EQ_I64(c.lazy, 5800);
    T_EQ_I64(c.eager, 6400);
    T_NEAR(c.lazy_ratio, 0.580, 1e-12);
    T_NEAR(c.eager_ratio, 0.640, 1e-12);
    T_NEAR(c.continual_ratio, 0.400, 1e-12);
}
END_TEST

/* R = 2 (N + alpha (N-1)) / (N (N+1)), rounded to three digits. */
START_TEST(cost_ratios_follow_the_closed_form)
{
    const int64_t n_version[] = {1, 2, 3, 5, 8, 10};
    const double alphas[] = {0.6, 0.4, 0.2, 0.1};
    for (int i = 0; i < N_OF(n_version); i++)
        for (int j = 0; j < N_OF(alphas); j++) {
            const int64_t n = n_version[i];
            const double a = alphas[j], N = (double)n;
            PathVersion v[10];
            PathSteps s[10];
            for (int64_t k = 0; k < n; k++) v[k] = (PathVersion){1000, 1, a};
            T_OK(path_plan_line(v, n, s));
            T_NEAR(path_plan_cost(s, n).lazy_ratio, 2 * (N + a * (N - 1)) / (N * (N + 1)), 1e-12);
        }
}
END_TEST

START_TEST(unequal_versions_lie_end_to_end)
{
    const PathVersion v[] = {{103, 10, 0.6}, {59, 10, 0.5}, {80, 4, 0.0}, {7, 1, 1.0}};
    const PathSteps expected[] = {{10, 3, 0, 4, 10},
                                  {5, 9, 10, 12, 15}, /* 0.5 * 5 rounds up to 3 */
                                  {20, 0, 15, 35, 35},
                                  {7, 0, 35, 35, 42}};
    PathSteps s[4];
    T_OK(path_plan_line(v, 4, s));
    ck_assert(memcmp(s, expected, sizeof s) == 0);
    const PathCost c = path_plan_cost(s, 4);
    T_EQ_I64(c.from_scratch, 10 + 15 + 35 + 42);
    T_EQ_I64(c.continual, 42);
    T_EQ_I64(c.lazy, 42 + 6 + 3 + 0);
    T_EQ_I64(c.eager, 42 + 6 + 3 + 0 + 7);
}
END_TEST

/* What a trainer would execute, counted step by step, is what the plan says. */
START_TEST(counted_steps_equal_the_plan)
{
    Rng r;
    rng_init(&r, 3, 0);
    for (int trial = 0; trial < 200; trial++) {
        PathVersion v[6];
        PathSteps s[6];
        const int64_t n = 1 + (int64_t)rng_below(&r, 6);
        for (int64_t k = 0; k < n; k++)
            v[k] = (PathVersion){50 + (int64_t)rng_below(&r, 900), 1 + (int64_t)rng_below(&r, 9),
                                 0.1 * (double)(1 + rng_below(&r, 10))};
        T_OK(path_plan_line(v, n, s));
        int64_t executed = 0, from_scratch = 0;
        for (int64_t k = 0; k < n; k++) {
            if (k > 0)
                for (int64_t t = s[k - 1].branch; t < s[k - 1].end; t++) executed++; /* main tail */
            for (int64_t t = s[k].first; t < s[k].branch; t++) executed++;
            for (int64_t t = s[k].branch; t < s[k].end; t++) executed++;
            for (int64_t t = 0; t < s[k].end; t++) from_scratch++;
            T_TRUE(s[k].n_step * v[k].global_batch + s[k].n_left == v[k].n_sample);
            T_TRUE(s[k].n_left < v[k].global_batch);
        }
        T_EQ_I64(path_plan_cost(s, n).lazy, executed);
        T_EQ_I64(path_plan_cost(s, n).from_scratch, from_scratch);
    }
}
END_TEST

START_TEST(edge_fractions_mean_what_they_say)
{
    PathSteps s;
    T_OK(path_plan_version(&(PathVersion){100, 1, 0.0}, 7, &s));
    T_EQ_I64(s.branch, s.end);
    T_OK(path_plan_version(&(PathVersion){100, 1, 1.0}, 7, &s));
    T_EQ_I64(s.branch, 7);
    T_OK(path_plan_version(&(PathVersion){100, 1, 0.005}, 7, &s));
    T_EQ_I64(s.branch, s.end - 1);
    T_FAILS(path_plan_version(&(PathVersion){100, 1, 0.0049}, 7, &s), CONFIG,
            "decay_fraction 0.0049 of 100 steps is no step at all");
    const double none = 0.0;
    T_FAILS(path_plan_version(&(PathVersion){100, 1, -0.1}, 0, &s), CONFIG, "not in [0, 1]");
    T_FAILS(path_plan_version(&(PathVersion){100, 1, 1.01}, 0, &s), CONFIG, "not in [0, 1]");
    T_FAILS(path_plan_version(&(PathVersion){100, 1, none / none}, 0, &s), CONFIG, "not in [0, 1]");
    T_FAILS(path_plan_version(&(PathVersion){7, 8, 0.6}, 0, &s), DATA,
            "has 7 sequences, one global batch takes 8");
    T_FAILS(path_plan_version(&(PathVersion){7, 0, 0.6}, 0, &s), CONFIG, "global_batch_size is 0");
}
END_TEST

START_TEST(an_empty_line_costs_nothing)
{
    const PathCost c = path_plan_cost(NULL, 0);
    T_EQ_I64(c.lazy + c.eager + c.continual + c.from_scratch, 0);
    T_TRUE(c.lazy_ratio == 0.0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {four_equal_versions_cost_58_percent, cost_ratios_follow_the_closed_form,
                            unequal_versions_lie_end_to_end,     counted_steps_equal_the_plan,
                            edge_fractions_mean_what_they_say,   an_empty_line_costs_nothing};
    return test_main("unit.path_plan", tests, N_OF(tests));
}
