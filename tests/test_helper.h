/* test_helper.h — checks that print both values, and one main for every Check program. */
#ifndef TESTS_TEST_HELPER_H
#define TESTS_TEST_HELPER_H
#include "trainer/base/comm.h"
#include "trainer/base/mem.h"
#include <check.h>

#define T_TRUE(c) ck_assert_msg(c, "%s does not hold", #c)
#define T_EQ_I64(a, b) ck_assert_int_eq((int64_t)(a), (int64_t)(b))
#define T_EQ_STR(a, b) ck_assert_str_eq(a, b)
#define T_HAS(text, part) ck_assert_msg(strstr(text, part), "\"%s\" lacks \"%s\"", text, part)
#define T_NEAR(a, b, tol) ck_assert_double_eq_tol(a, b, tol) /* NaN fails */
#define T_OK(call)                                                                                 \
    do {                                                                                           \
        const Status rc_ = (call);                                                                 \
        ck_assert_msg(rc_ == ST_OK, "%s: %s", #call, status_message());                            \
    } while (0)
/* The call fails with this code, and its message has this part; clears the failure. */
#define T_FAILS(call, code, part)                                                                  \
    do {                                                                                           \
        const Status rc_ = (call);                                                                 \
        ck_assert_msg(rc_ == ST_##code, "%s gave %s (%s), not " #code, #call, status_name(rc_),    \
                      status_message());                                                           \
        T_HAS(status_message(), part);                                                             \
        status_clear();                                                                            \
    } while (0)

/* Runs the tests in this process, one after the other; `module` is "unit.sched". Inside main:
 *     const TTest *t[] = {path_switches_on_its_step, ...};
 *     return test_main("unit.sched", t, N_OF(t));
 * Names in the output are module.test. Ends with CTest's code for skipped (77) when every test was
 * skipped. */
int test_main(const char *module, const TTest *const *tests, int64_t n);
/* The same under mpirun: starts comm first, a failure on one rank fails the program on all. */
int test_main_mpi(const char *module, int argc, char **argv, const TTest *const *tests, int64_t n);
const Comm *test_world(void);
/* The answer of every rank is the same, or the test fails; gives it. Rank: collective. */
Status test_agreed(Status rc);

/* Ends a test that cannot run here; the reason is printed and counted, never passed over. */
#define T_SKIP(why)                                                                                \
    do {                                                                                           \
        test_skip(why);                                                                            \
        return;                                                                                    \
    } while (0)
void test_skip(const char *why);

/* A fresh empty directory for this test run, removed at exit. */
const char *test_dir(void);
/* ../shared/data/NAME next to the checkout, or NULL where it is not present (then T_SKIP). */
const char *test_shared_data(const char *name);
#endif
