/* verb_plan.c — trainer plan x.yaml [--lr] [--json] [--no-calibrate] [key=value ...] */
#include "trainer/run/plan.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <stdio.h>

static Status print(const Text *out)
{
    Status rc = ST_OK;
    CHECK(fputs(out->s, stdout) >= 0 && fflush(stdout) == 0, IO, "plan: standard output");
out:
    return rc;
}

Status verb_plan(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK, local = ST_OK;
    bool lr = false, json = false, quick = false;
    const VerbFlag flags[] = {{.name = "--lr", .on = &lr},
                              {.name = "--json", .on = &json},
                              {.name = "--no-calibrate", .on = &quick}};
    RunConfig *cfg = NULL;
    Job *job = NULL;
    Plan *plan = NULL;
    Text out = {0};
    TRY(setup_config(world, argc, argv, flags, N_OF(flags), &cfg));
    CHECK(!lr || !json, USAGE, "plan: --lr and --json are two different outputs");
    TRY(setup_machine(world, cfg->gemm_backend, cfg->compute_dtype, (int)cfg->threads));
    TRY(job_open(world, cfg, JOB_LOOK, &job));
    if (!lr) TRY(plan_create(job, !quick, &plan));
    if (comm_rank(world) == 0) {
        local = lr ? plan_lr(job, &out) : json ? plan_json(plan, &out) : plan_text(plan, &out);
        if (local == ST_OK) local = print(&out);
    }
    TRY(comm_agree(world, local));
out:
    text_fini(&out);
    plan_destroy(plan);
    job_close(job);
    config_destroy(cfg);
    return rc;
}
