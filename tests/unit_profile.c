/* unit_profile.c — the clock of the profile: entries take each other's place, and add up to the whole. */
#include "tests/test_helper.h"
#include "trainer/base/log.h"
#include "trainer/base/profile.h"
#include <string.h>

static void busy(double seconds)
{
    for (const double end = clock_s() + seconds; clock_s() < end;) {
    }
}

/* Two steps with an op in them, then something apart that has the same op inside. */
static void run_two_steps(void)
{
    for (int i = 0; i < 2; i++) {
        const int step = profile_enter(PROFILE_PHASE, "between ops");
        const int op = profile_enter(PROFILE_FORWARD, "linear");
        busy(0.01);
        profile_product(4, 5, 6, 0.01);
        profile_leave(op);
        const int back = profile_enter(PROFILE_BACKWARD, "linear");
        busy(0.005);
        profile_leave(back);
        profile_step_done();
        profile_leave(step);
    }
    const int apart = profile_enter(PROFILE_APART, "evaluation");
    const int op = profile_enter(PROFILE_FORWARD, "linear");
    busy(0.02);
    profile_product(4, 5, 6, 0.02);
    profile_leave(op);
    profile_leave(apart);
}

START_TEST(parts_add_up_to_the_whole)
{
    profile_start();
    const double begin = clock_s();
    run_two_steps();
    profile_stop();
    const double lasted = clock_s() - begin;
    const ProfileSums s = profile_sums();
    T_EQ_I64(s.n_step, 2);
    T_NEAR(s.steps_s + s.apart_s, s.whole_s, 1e-9);
    T_NEAR(s.whole_s, lasted, 0.01);
    T_TRUE(s.steps_s >= 0.03 && s.apart_s >= 0.02);
}
END_TEST

START_TEST(tables_name_ops_phases_and_products)
{
    char text[8192] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    profile_start();
    run_two_steps();
    profile_stop();
    profile_print(out, 100);
    fclose(out);
    T_HAS(text, "profile: 2 steps of");
    T_HAS(text, "linear                         2");
    T_HAS(text, "between ops                    2");
    T_HAS(text, "evaluation                     1");
    T_HAS(text, "4, 5, 6                            2"); /* not the one of the evaluation */
    T_HAS(text, "100.00 %");
}
END_TEST

START_TEST(off_it_measures_nothing)
{
    profile_start();
    profile_stop();
    run_two_steps();
    const ProfileSums s = profile_sums();
    T_TRUE(s.steps_s == 0 && s.whole_s < 0.01);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {parts_add_up_to_the_whole, tables_name_ops_phases_and_products,
                            off_it_measures_nothing};
    return test_main("unit.profile", tests, N_OF(tests));
}
