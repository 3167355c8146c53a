/* train.c — the story of a run: read the line, plan the legs, say what will happen, run them one
 * after the other, write down what they made and what they cost. */
#include "trainer/run/train.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/base/stop.h"
#include "trainer/run/export.h"
#include "trainer/run/header.h"
#include "trainer/run/leg.h"
#include "trainer/run/plan.h"
#include "trainer/run/run_status.h"
#include <stdio.h>
#include <string.h>

static bool is_root(const Job *job)
{
    return comm_rank(job->comm) == 0;
}

/* ---- what the line knows of a finished leg ---- */

static Status record_average(const Job *job, const Leg *leg, LineVersion *v)
{
    Status rc = ST_OK;
    Leg average = *leg;
    LegEnd end = {0};
    if (!leg->averages || leg->to != v->end_step) goto out;
    snprintf(average.end, sizeof average.end, "releases/%s-averaged", v->name);
    TRY(leg_look(job, &average, &end));
    v->averaged = end.point;
    json_decref(v->averaged_heldout);
    v->averaged_heldout = json_incref(end.held_out);
out:
    json_decref(end.held_out);
    return rc;
}

/* Every rank keeps the line in memory; rank 0 writes it. Recording twice changes nothing. */
static Status record_leg(Job *job, const Leg *leg, const LegEnd *end)
{
    Status rc = ST_OK;
    const Version *trained = &job->version[leg->version];
    if (!job->line) goto out;
    LineVersion *v = line_find(job->line, trained->name);
    const bool branch = strcmp(leg->path, "branch") == 0,
               release = strcmp(leg->end_kind, "release") == 0;
    LinePoint *point = release                                      ? &v->release
                       : strcmp(leg->end_kind, "branch_point") == 0 ? &v->branch_point
                                                                    : &v->main_end;
    if (point->dir[0]) goto out;
    *point = end->point;
    if (release) {
        json_decref(v->heldout);
        v->heldout = json_incref(end->held_out);
    }
    const int64_t steps = leg->to - leg->from;
    *(branch ? &v->ledger.steps_branch : &v->ledger.steps_main) += steps;
    v->ledger.tokens += steps * trained->cfg->global_batch_size * trained->cfg->pack.max_seq_length;
    v->ledger.core_seconds += end->core_seconds;
    TRY(record_average(job, leg, v));
    if (is_root(job)) TRY(line_save(job->line));
out:
    return rc;
}

static Status record_lost(Job *job, const Leg *leg, int64_t steps_lost)
{
    Status rc = ST_OK;
    if (!job->line || steps_lost == 0) goto out;
    line_find(job->line, job->version[leg->version].name)->ledger.steps_lost += steps_lost;
    if (is_root(job)) TRY(line_save(job->line));
out:
    return rc;
}

/* ---- the legs ---- */

/* Is there nothing left to do for a leg? If its end is there it is written down. */
static Status settle_leg(Job *job, const Leg *leg, bool *done)
{
    Status rc = ST_OK;
    LegEnd end = {0};
    TRY(leg_look(job, leg, &end));
    if (end.done) TRY(record_leg(job, leg, &end));
    *done = end.done;
    if (!end.done) TRY(leg_is_superseded(job, leg, done));
out:
    json_decref(end.held_out);
    return rc;
}

/* One leg on all ranks, or two that start from the same point, each on a part of the ranks. */
static Status run_leg(Job *job, const Leg *leg, bool both, Progress *progress)
{
    Status rc = ST_OK;
    Comm *part = NULL;
    LegRun *run = NULL;
    int64_t lost[2] = {0};
    const int mine = both && comm_rank(job->comm) >= (comm_size(job->comm) + 1) / 2;
    if (both) TRY(comm_split(job->comm, mine, &part));
    const Status opened =
        leg_open(both ? part : job->comm, job, &leg[mine], mine == 0 ? progress : NULL, &run);
    TRY(comm_agree(job->comm, opened));
    TRY(job_mark(job));
    const Status begun = leg_begin(run);
    TRY(comm_agree(job->comm, begun));
    lost[mine] = leg_steps_lost(run);
    comm_max_i64(job->comm, lost, 2);
    for (int k = 0; k <= both; k++) TRY(comm_agree(job->comm, record_lost(job, leg + k, lost[k])));
    const Status ran = leg_run(run);
    job->reached = leg_step_at(run);
    TRY(comm_agree(job->comm, ran));
out:
    leg_close(run);
    comm_destroy(part);
    return rc;
}

static Status run_legs(Job *job, Progress *progress)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < job->n_leg; i++) {
        const Leg *leg = &job->leg[i];
        bool done = false, next_done = true;
        TRY(comm_agree(job->comm, settle_leg(job, leg, &done)));
        if (leg->beside_next) TRY(comm_agree(job->comm, settle_leg(job, leg + 1, &next_done)));
        job->reached = done ? leg->to : leg->from;
        if (done) continue;
        watchdog_enter(WATCH_SETUP, leg->from);
        const bool both = leg->beside_next && !next_done && comm_size(job->comm) > 1;
        TRY(run_leg(job, leg, both, progress));
        for (int k = 0; k <= both; k++) TRY(comm_agree(job->comm, settle_leg(job, leg + k, &done)));
    }
out:
    return rc;
}

/* ---- the end ---- */

static Status write_status(const Job *job, Status how)
{
    const Version *own = job_own(job);
    const RunStatus s = {.state = run_state_of(how),
                         .code = how,
                         .message = how == ST_OK ? NULL : status_message(),
                         .version = own->name[0] ? own->name : NULL,
                         .step = job->reached};
    return run_status_write(job->cfg->output_dir, &s);
}

Status train(const Comm *world, const RunConfig *cfg)
{
    Status rc = ST_OK;
    Job *job = NULL;
    Plan *plan = NULL;
    Progress *progress = NULL;
    TRY(job_open(world, cfg, JOB_TRAIN, &job));
    TRY(comm_agree(world, is_root(job) ? plan_check_disk(job) : ST_OK));
    TRY(job_begin(job));
    TRY(plan_create(job, false, &plan));
    TRY(comm_agree(world, is_root(job) ? header_print(plan, &progress) : ST_OK));
    TRY(run_legs(job, progress));
    const char *end = job->leg[job->n_leg - 1].end;
    if (cfg->export_to) watchdog_enter(WATCH_SAVE, job->reached);
    TRY(comm_agree(world, is_root(job) ? export_end(cfg, end) : ST_OK));
    LOG_I("%s is finished: %s", job_own(job)->name[0] ? job_own(job)->name : "the run", end);
out:
    progress_destroy(progress);
    plan_destroy(plan);
    if (job && job->lock && write_status(job, rc) != ST_OK)
        LOG_W("status.json of %s could not be written", cfg->output_dir);
    job_close(job);
    return rc;
}
