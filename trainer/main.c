/* main.c — finds the verb, runs it on every rank, turns its Status into an exit code and one line
 * for people. */
#include "trainer/base/log.h"
#include "trainer/base/stop.h"
#include "trainer/tensor/gemm.h"
#include "trainer/verb.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *args, *help;
    Status (*run)(const Comm *world, int argc, char **argv);
} VERBS[] = {
#define VERB_ROW(name, args, help) {#name, args, help, verb_##name},
    VERB_LIST(VERB_ROW)
#undef VERB_ROW
};

static int64_t find_verb(const char *name) /* -1: no such verb */
{
    for (int64_t i = 0; i < N_OF(VERBS); i++)
        if (strcmp(VERBS[i].name, name) == 0) return i;
    return -1;
}

static void print_verb(int64_t i)
{
    printf("trainer %-10s %s\n%20s%s\n", VERBS[i].name, VERBS[i].args, "", VERBS[i].help);
}

static void print_usage(void)
{
    printf("trainer [train] x.yaml [--profile] [key=value ...]\n");
    for (int64_t i = 1; i < N_OF(VERBS); i++) print_verb(i);
    printf("trainer --version\n");
}

static bool is_config(const char *arg)
{
    const size_t n = strlen(arg);
    return (n > 5 && strcmp(arg + n - 5, ".yaml") == 0) ||
           (n > 4 && strcmp(arg + n - 4, ".yml") == 0);
}

static Status run_verb(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    const int64_t verb = argc > 1 ? find_verb(argv[1]) : -1;
    if (verb >= 0) {
        if (VERBS[verb].run != verb_train) stop_let_go();
        return VERBS[verb].run(world, argc - 1, argv + 1);
    }
    if (argc > 1 && is_config(argv[1])) return verb_train(world, argc, argv);
    CHECK(argc > 1, USAGE, "a config or a verb is expected; trainer --help lists them");
    CHECK(false, USAGE, "\"%s\" is no verb and no .yaml file; trainer --help lists the verbs",
          argv[1]);
out:
    return rc;
}

static bool asks_for_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* What needs no ranks and no kernels is answered at once. */
static bool answer_at_once(int argc, char **argv)
{
    const int64_t verb = argc == 3 && asks_for_help(argv[2]) ? find_verb(argv[1]) : -1;
    if (verb >= 0)
        print_verb(verb);
    else if (argc == 2 && strcmp(argv[1], "--version") == 0)
        printf("trainer (Switchyard) %s\n", SWITCHYARD_VERSION);
    else if (argc == 2 && (asks_for_help(argv[1]) || strcmp(argv[1], "help") == 0))
        print_usage();
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    Comm *world = NULL;
    if (answer_at_once(argc, argv)) return fflush(stdout) == 0 ? 0 : status_exit_code(ST_IO);
    stop_hold();
    gemm_fix_environment(argv);
    Status rc = comm_start(&argc, &argv, &world);
    if (rc == ST_OK) rc = comm_agree(world, run_verb(world, argc, argv));
    if (rc == ST_OK && fflush(stdout) != 0)
        rc = status_fail(ST_IO, __FILE__, __LINE__, "standard output: cannot write");
    if (rc == ST_STOPPED)
        LOG_I("%s", status_message());
    else if (rc != ST_OK)
        LOG_E("%s%s", rc == ST_NOMEM ? "out of memory: " : "", status_message());
    LOG_D("%s", status_trail());
    watchdog_stop();
    comm_finish(world);
    return status_exit_code(rc);
}
