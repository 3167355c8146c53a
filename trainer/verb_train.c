/* verb_train.c — trainer [train] x.yaml [--profile] [key=value ...] */
#include "trainer/base/cpu.h"
#include "trainer/base/mem.h"
#include "trainer/base/profile.h"
#include "trainer/base/stop.h"
#include "trainer/run/train.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <omp.h>

/* What ran before the end is worth a table, too. */
static void print_profile(const Comm *world)
{
    profile_stop();
    if (comm_rank(world) != 0 || profile_sums().n_step == 0) return;
    double best = 0;
    for (int i = 0; i < 10; i++) {
        const double gflops = gemm_rate(omp_get_max_threads()).gflops;
        if (gflops > best) best = gflops;
    }
    fflush(stderr);
    profile_print(stdout, best);
}

Status verb_train(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    RunConfig *cfg = NULL;
    bool profile = false;
    const VerbFlag flags[] = {{.name = "--profile", .on = &profile}};
    TRY(setup_config(world, argc, argv, flags, N_OF(flags), &cfg));
    if (profile) profile_start();
    TRY(setup_machine(world, cfg->gemm_backend, cfg->compute_dtype, (int)cfg->threads));
    TRY(comm_agree(
        world, watchdog_start(cfg->watchdog_setup_s, cfg->watchdog_step_s, cfg->watchdog_save_s)));
    TRY(train(world, cfg));
out:
    if (profile) print_profile(world);
    config_destroy(cfg);
    return rc;
}
