/* unit_sched.c — learning-rate schedules: end points, shapes, and what the two paths share. */
#include "schedules/path_plan.h"
#include "schedules/sched.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include <math.h>
#include <string.h>

static const char *const SHAPES[] = {"cosine", "linear", "sqrt", "exponential", "step"};
static const double MAX_LR = 2e-3, MIN_LR = 2e-4;

typedef union AnyOpts { /* room for the options of any schedule */
    SchedCommon common;
    double room[32];
} AnyOpts;

static const SchedDef *with_defaults(const char *name, AnyOpts *o)
{
    const SchedDef *def = sched_find(name);
    ck_assert_ptr_nonnull(def);
    ck_assert(def->opts_size <= sizeof *o);
    memset(o, 0, sizeof *o);
    opt_set_defaults(SCHED_COMMON_OPTS, o);
    opt_set_defaults(def->opts, o);
    o->common.learning_rate = MAX_LR;
    o->common.min_lr = MIN_LR;
    return def;
}

static void set(const SchedDef *def, AnyOpts *o, const char *key, const char *text)
{
    const OptSpec *spec = opt_find(def->opts, key);
    ck_assert_ptr_nonnull(spec);
    T_OK(opt_set(spec, o, text, false));
}

static SchedSpan at_step(SchedSpan s, SchedPath path, int64_t step)
{
    s.path = path;
    s.step = step;
    return s;
}

static double rate(const SchedDef *def, const AnyOpts *o, SchedSpan s, SchedPath path, int64_t step)
{
    s = at_step(s, path, step);
    return def->at(o, &s).lr;
}

START_TEST(names_find_their_schedule)
{
    int64_t n;
    const SchedDef *const *all = sched_all(&n);
    T_EQ_I64(n, 6);
    for (int64_t i = 0; i < n; i++) {
        ck_assert_ptr_eq(sched_find(all[i]->name), all[i]);
        ck_assert_ptr_nonnull(all[i]->opts);
        for (const OptSpec *s = all[i]->opts; s->type != OPT_END_T; s++)
            ck_assert_ptr_null(opt_find(SCHED_COMMON_OPTS, s->name));
    }
    ck_assert_ptr_null(sched_find("cosin"));
}
END_TEST

START_TEST(rates_are_finite_and_bounded_for_any_span)
{
    Rng r;
    rng_init(&r, 7, 0);
    int64_t n;
    const SchedDef *const *all = sched_all(&n);
    for (int trial = 0; trial < 20000; trial++) {
        AnyOpts o;
        const SchedDef *def = with_defaults(all[rng_below(&r, (uint64_t)n)]->name, &o);
        const char *shape = SHAPES[rng_below(&r, N_OF(SHAPES))];
        if (opt_find(def->opts, "decay_shape")) set(def, &o, "decay_shape", shape);
        if (opt_find(def->opts, "wsd_decay_shape")) set(def, &o, "wsd_decay_shape", shape);
        o.common.warmup_steps = rng_below(&r, 2) ? rng_uniform(&r) : (double)rng_below(&r, 3000);
        o.common.min_lr =
            rng_below(&r, 2) ? 0.0 : MIN_LR; /* 0 must not make a rate of NaN either */
        SchedSpan s = {.first = (int64_t)rng_below(&r, 2000)};
        s.branch = s.first + (int64_t)rng_below(&r, 500);
        s.end = s.branch + (int64_t)rng_below(&r, 500);
        s.step = s.first + (int64_t)rng_below(&r, (uint64_t)(s.end - s.first) + 2);
        s.path = rng_below(&r, 2) ? SCHED_BRANCH : SCHED_MAIN;
        const SchedPoint p = def->at(&o, &s);
        ck_assert_msg(p.lr >= 0.0 && p.lr <= MAX_LR, "%s at step %lld: %g", def->name, LL(s.step),
                      p.lr);
        ck_assert(p.beta2 == -1.0);
        const SchedPoint again = def->at(&o, &s);
        ck_assert(memcmp(&again, &p, sizeof p) == 0);
    }
}
END_TEST

START_TEST(warmup_is_linear_and_reaches_the_maximum)
{
    int64_t n;
    const SchedDef *const *all = sched_all(&n);
    for (int64_t i = 0; i < n; i++) {
        AnyOpts o;
        const SchedDef *def = with_defaults(all[i]->name, &o);
        const SchedSpan s = {.branch = 400, .end = 1000};
        const double forms[] = {50.0, 0.05};
        for (int f = 0; f < 2; f++) {
            o.common.warmup_steps = forms[f];
            for (int64_t t = 0; t < 50; t++)
                T_NEAR(rate(def, &o, s, SCHED_MAIN, t), MAX_LR * (double)(t + 1) / 50.0, 1e-15);
        }
        o.common.warmup_steps = 0.0;
        T_NEAR(rate(def, &o, s, SCHED_MAIN, 0), MAX_LR, 1e-6);
    }
}
END_TEST

/* The run's last step lies one step of the decay above the end point. */
START_TEST(decays_end_at_the_minimum)
{
    const char *const names[] = {"linear", "cosine", "wsd"};
    for (int i = 0; i < 3; i++) {
        AnyOpts o;
        const SchedDef *def = with_defaults(names[i], &o);
        const SchedSpan s = {.branch = 1000, .end = 1000};
        double last = MAX_LR;
        for (int64_t t = 10; t < 1000; t++) {
            const double lr = rate(def, &o, s, SCHED_MAIN, t);
            ck_assert_msg(lr <= last, "%s rises at step %lld", names[i], LL(t));
            last = lr;
        }
        T_NEAR(last, MIN_LR, (MAX_LR - MIN_LR) / 99.0);
        T_NEAR(rate(def, &o, s, SCHED_MAIN, 1000), MIN_LR, 1e-15);
    }
    AnyOpts o;
    const SchedDef *wsd = with_defaults("wsd", &o);
    const SchedSpan s = {.branch = 1000, .end = 1000};
    set(wsd, &o, "wsd_decay_fraction", "0.25");
    T_TRUE(rate(wsd, &o, s, SCHED_MAIN, 750) == MAX_LR);
    T_TRUE(rate(wsd, &o, s, SCHED_MAIN, 751) < MAX_LR);
}
END_TEST

START_TEST(inverse_sqrt_halves_after_four_warmups)
{
    AnyOpts o;
    const SchedDef *def = with_defaults("inverse_sqrt", &o);
    const SchedSpan s = {.branch = 1000000, .end = 1000000};
    o.common.warmup_steps = 100.0;
    T_NEAR(rate(def, &o, s, SCHED_MAIN, 399), MAX_LR / 2.0, 1e-15);
    T_NEAR(rate(def, &o, s, SCHED_MAIN, 999999), MIN_LR, 1e-15);
}
END_TEST

/* Main: eta_max after one warm-up, for ever. Branch: leaves without a jump, never re-warms, falls
 * to eta_min. */
START_TEST(path_switches_on_its_step)
{
    const PathVersion versions[] = {{1000, 1, 0.6}, {700, 1, 0.25}, {333, 1, 1.0}, {500, 1, 0.0}};
    PathSteps line[4];
    T_OK(path_plan_line(versions, 4, line));
    for (int i = 0; i < N_OF(SHAPES); i++) {
        AnyOpts o;
        const SchedDef *def = with_defaults("path_switching", &o);
        set(def, &o, "decay_shape", SHAPES[i]);
        o.common.warmup_steps = 0.03;
        for (int k = 0; k < 4; k++) {
            const SchedSpan s = {
                .first = line[k].first, .branch = line[k].branch, .end = line[k].end};
            T_OK(sched_check(def, &o, &s));
            for (int64_t t = s.first; t < s.end; t++)
                T_TRUE(rate(def, &o, s, SCHED_MAIN, t) ==
                       (t < 30 ? MAX_LR * ((double)(t + 1) / 30.0) : MAX_LR));
            if (s.branch == s.end) continue;
            T_TRUE(rate(def, &o, s, SCHED_BRANCH, s.branch) == MAX_LR);
            double last = MAX_LR;
            for (int64_t t = s.branch; t < s.end; t++) {
                const double lr = rate(def, &o, s, SCHED_BRANCH, t);
                ck_assert_msg(lr <= last && lr >= MIN_LR * (1 - 1e-12),
                              "%s: %g after %g at step %lld", SHAPES[i], lr, last, LL(t));
                last = lr;
            }
            const double one = 1.0 / (double)(s.end - s.branch);
            T_NEAR(last, MIN_LR, 1.01 * (MAX_LR - MIN_LR) * one); /* no slope at 1 exceeds 1 */
            T_NEAR(rate(def, &o, s, SCHED_BRANCH, s.end), MIN_LR, 1e-15);
        }
    }
}
END_TEST

START_TEST(shapes_pass_through_known_points)
{
    AnyOpts o;
    const SchedDef *def = with_defaults("path_switching", &o);
    const SchedSpan s = {.branch = 100, .end = 500};
    const double mid = (MAX_LR + MIN_LR) / 2.0, geo = sqrt(MAX_LR * MIN_LR);
    const struct {
        const char *shape;
        int64_t step;
        double lr;
    } points[] = {{"cosine", 300, mid},      {"linear", 300, mid},  {"sqrt", 200, mid},
                  {"exponential", 300, geo}, {"step", 233, MAX_LR}, {"step", 234, geo},
                  {"step", 366, geo},        {"step", 367, MIN_LR}};
    for (int i = 0; i < N_OF(points); i++) {
        set(def, &o, "decay_shape", points[i].shape);
        T_NEAR(rate(def, &o, s, SCHED_BRANCH, points[i].step), points[i].lr, 1e-15);
    }
}
END_TEST

START_TEST(alpha_one_in_the_first_version_warms_up_once)
{
    AnyOpts o;
    const SchedDef *def = with_defaults("path_switching", &o);
    const SchedSpan s = {.branch = 0, .end = 200};
    o.common.warmup_steps = 20.0;
    T_NEAR(rate(def, &o, s, SCHED_BRANCH, 0), MAX_LR / 20.0, 1e-15);
    T_TRUE(rate(def, &o, s, SCHED_BRANCH, 19) > 0.97 * MAX_LR);
    for (int64_t t = 20; t < 200; t++)
        T_TRUE(rate(def, &o, s, SCHED_BRANCH, t) < rate(def, &o, s, SCHED_BRANCH, t - 1));
}
END_TEST

START_TEST(a_fractional_warmup_ends_with_the_first_version)
{
    AnyOpts o;
    const SchedDef *def = with_defaults("path_switching", &o);
    const SchedSpan small = {.branch = 40, .end = 100};
    const SchedSpan large = {.first = 100, .branch = 40000, .end = 100000};
    o.common.warmup_steps = 0.5;
    T_NEAR(rate(def, &o, small, SCHED_MAIN, 24), MAX_LR / 2.0, 1e-15);
    for (int64_t t = 100; t < 1000; t++) T_TRUE(rate(def, &o, large, SCHED_MAIN, t) == MAX_LR);
}
END_TEST

START_TEST(beta2_changes_in_the_branch_only)
{
    AnyOpts o;
    const SchedDef *def = with_defaults("path_switching", &o);
    SchedSpan s = {.branch = 40, .end = 100};
    set(def, &o, "branch_beta2", "0.999");
    s = at_step(s, SCHED_MAIN, 50);
    T_TRUE(def->at(&o, &s).beta2 == -1.0);
    s = at_step(s, SCHED_BRANCH, 50);
    T_TRUE(def->at(&o, &s).beta2 == 0.999);
}
END_TEST

START_TEST(impossible_options_are_refused)
{
    AnyOpts o;
    const SchedSpan s = {.branch = 40, .end = 100}, crossed = {.branch = 120, .end = 100};
    const SchedDef *def = with_defaults("path_switching", &o);
    T_OK(sched_check(def, &o, &s));
    T_FAILS(sched_check(def, &o, &crossed), CONFIG, "branch point 120, end 100");
    o.common.min_lr = 0.0;
    T_OK(sched_check(def, &o, &s));
    set(def, &o, "decay_shape", "exponential");
    T_FAILS(sched_check(def, &o, &s), CONFIG, "exponential never reaches 0");
    o.common.min_lr = 0.5;
    T_FAILS(sched_check(def, &o, &s), CONFIG, "min_lr is 0.5, above learning_rate 0.002");
    def = with_defaults("wsd", &o);
    o.common.min_lr = 0.0;
    set(def, &o, "wsd_decay_shape", "step");
    T_FAILS(sched_check(def, &o, &s), CONFIG, "step never reaches 0");
    o.common.min_lr = -1.0;
    o.common.min_lr_ratio = 0.1;
    T_OK(sched_check(def, &o, &s));
    T_NEAR(rate(def, &o, s, SCHED_MAIN, 100), 0.1 * MAX_LR, 1e-15);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {names_find_their_schedule,
                            rates_are_finite_and_bounded_for_any_span,
                            warmup_is_linear_and_reaches_the_maximum,
                            decays_end_at_the_minimum,
                            inverse_sqrt_halves_after_four_warmups,
                            path_switches_on_its_step,
                            shapes_pass_through_known_points,
                            alpha_one_in_the_first_version_warms_up_once,
                            a_fractional_warmup_ends_with_the_first_version,
                            beta2_changes_in_the_branch_only,
                            impossible_options_are_refused};
    return test_main("unit.sched", tests, N_OF(tests));
}
