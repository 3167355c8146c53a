/* verb_train.c — trainer [train] x.yaml [key=value ...] */
#include "trainer/base/cpu.h"
#include "trainer/base/mem.h"
#include "trainer/base/stop.h"
#include "trainer/run/train.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"

Status verb_train(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    RunConfig *cfg = NULL;
    stop_install();
    TRY(setup_config(world, argc, argv, NULL, 0, &cfg));
    TRY(setup_machine(world, cfg->gemm_backend, cfg->compute_dtype, (int)cfg->threads));
    TRY(comm_agree(
        world, watchdog_start(cfg->watchdog_setup_s, cfg->watchdog_step_s, cfg->watchdog_save_s)));
    TRY(train(world, cfg));
out:
    config_destroy(cfg);
    return rc;
}
