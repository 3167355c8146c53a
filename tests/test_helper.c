/* test_helper.c — runs Check tests in this process and speaks CTest's exit codes. */
#include "tests/test_helper.h"
#include "trainer/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CTEST_SKIPPED = 77 };
static int n_skipped;
static Comm *world;
static char scratch[64];

void test_skip(const char *why)
{
    n_skipped++;
    printf("skipped: %s\n", why);
}

const Comm *test_world(void)
{
    return world ? world : comm_self();
}

Status test_agreed(Status rc)
{
    int64_t lowest = rc, highest = rc;
    comm_min_i64(test_world(), &lowest, 1);
    comm_max_i64(test_world(), &highest, 1);
    ck_assert_msg(lowest == highest, "one rank ends with %s, another with %s",
                  status_name((Status)lowest), status_name((Status)highest));
    return rc;
}

static void remove_scratch(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", scratch);
    if (system(cmd) != 0) fprintf(stderr, "cannot remove %s\n", scratch);
}

const char *test_dir(void)
{
    if (!scratch[0] && comm_rank(test_world()) == 0) {
        snprintf(scratch, sizeof scratch, "/tmp/switchyard-test-XXXXXX");
        if (!mkdtemp(scratch)) abort();
        atexit(remove_scratch);
    }
    if (world) comm_bcast(world, scratch, sizeof scratch, 0);
    return scratch;
}

const char *test_shared_data(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/../shared/data/%s", SWITCHYARD_SOURCE_DIR, name);
    return access(path, R_OK) == 0 ? path : NULL;
}

int test_main(const char *module, const TTest *const *tests, int64_t n)
{
    Suite *suite = suite_create(module);
    for (int64_t i = 0; i < n; i++) {
        TCase *one = tcase_create(module);
        tcase_add_test(one, tests[i]);
        suite_add_tcase(suite, one);
    }
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, getenv("VERBOSE") ? CK_VERBOSE : CK_NORMAL);
    const int n_failed = srunner_ntests_failed(runner), n_run = srunner_ntests_run(runner);
    srunner_free(runner);
    if (n_run != n) {
        printf("%s: %d of %lld tests ran\n", module, n_run, LL(n));
        return EXIT_FAILURE;
    }
    if (n_failed > 0) return EXIT_FAILURE;
    return n_skipped == n ? CTEST_SKIPPED : EXIT_SUCCESS;
}

int test_main_mpi(const char *module, int argc, char **argv, const TTest *const *tests, int64_t n)
{
    if (comm_start(&argc, &argv, &world) != ST_OK) return EXIT_FAILURE;
    int64_t code = test_main(module, tests, n);
    comm_max_i64(world, &code, 1);
    comm_finish(world);
    world = NULL;
    return (int)code;
}
