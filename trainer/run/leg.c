/* leg.c — start, step, look, save, end. */
#include "trainer/run/leg.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/base/profile.h"
#include "trainer/base/stop.h"
#include "trainer/io/files.h"
#include "trainer/run/events.h"
#include "trainer/run/metrics.h"
#include "trainer/run/run_status.h"
#include "trainer/run/step.h"
#include "trainer/tensor/kernels/kernel.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct LegRun {
    const Comm *comm;
    const Job *job;
    const Leg *leg;
    const Version *v;
    TrainState *state;
    Stepper *stepper;
    Metrics *metrics; /* on the first rank of comm */
    Events *events;
    Progress *progress;
    json_t *numerics;
    CkptWrite *save; /* a periodic checkpoint that is being written; NULL: none */
    int64_t save_step;
    char *saves, *end; /* absolute directories */
    double mark_s;     /* core seconds are counted up to here */
    int64_t steps_lost;
};

static bool speaks(const LegRun *r)
{
    return comm_rank(r->comm) == 0;
}

json_t *numerics_fingerprint(int n_group, int64_t n_prefix_block)
{
    const GemmChoice g = gemm_choice();
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o*}", "program", SWITCHYARD_VERSION, "gemm",
                     g.backend, "kernels", g.kernels, "compute_dtype", g.compute_dtype,
                     "vector_kernels", kernels()->name, "reduction_groups", n_group,
                     "prefix_blocks", n_prefix_block > 0 ? json_integer(n_prefix_block) : NULL);
}

const TokenSet *leg_held_out_at(const Job *job, int64_t i, char name[LINE_NAME * 2 + 2])
{
    for (int64_t k = 0; k < job->n_version; k++) {
        const Version *v = &job->version[k];
        const int64_t n = v->held_out ? v->n_set : 0;
        if (i < n) {
            snprintf(name, LINE_NAME * 2 + 2, "%s%s%s", v->of, v->of[0] ? "/" : "",
                     token_set_name(v->held_out[i]));
            return v->held_out[i];
        }
        i -= n;
    }
    const Version *own = job_own(job);
    if (i >= own->n_eval) return NULL;
    snprintf(name, LINE_NAME * 2 + 2, "%s", token_set_name(own->eval[i]));
    return own->eval[i];
}

/* ---- start ---- */

/* A run goes on with the kernels it began with, as far as they are here and the user names no others. */
static Status adopt_numerics(LegRun *r, const json_t *then)
{
    Status rc = ST_OK;
    const char *gemm_then = json_string_value(json_object_get(then, "gemm")),
               *dtype_then = json_string_value(json_object_get(then, "compute_dtype"));
    const bool free_choice = strcmp(r->v->cfg->gemm_backend, "auto") == 0 &&
                             strcmp(r->v->cfg->compute_dtype, "auto") == 0;
    const GemmChoice now = gemm_choice();
    if (!free_choice || !gemm_then || !dtype_then || !gemm_has_backend(gemm_then)) goto out;
    if (strcmp(now.backend, gemm_then) == 0 && strcmp(now.compute_dtype, dtype_then) == 0) goto out;
    TRY(gemm_init(gemm_then, dtype_then));
    if (speaks(r))
        progress_note(r->progress, "%s goes on with GEMM %s %s %s, as it began", r->leg->title,
                      gemm_choice().backend, gemm_choice().kernels, gemm_choice().compute_dtype);
    json_decref(r->numerics);
    r->numerics = stepper_numerics(r->stepper);
    CHECK(r->numerics, NOMEM, "numerics fingerprint");
out:
    return rc;
}

static Status check_numerics(LegRun *r, const char *dir)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TRY(ckpt_open(dir, &k));
    const json_t *then = ckpt_info(k)->fingerprint;
    TRY(adopt_numerics(r, then));
    if (then && !json_equal(then, r->numerics)) {
        char *a = json_dumps(then, JSON_SORT_KEYS | JSON_COMPACT),
             *b = json_dumps(r->numerics, JSON_SORT_KEYS | JSON_COMPACT);
        LOG_W("%s was computed with %s, this run computes with %s: bits may differ from here on",
              dir, a ? a : "?", b ? b : "?");
        free(a);
        free(b);
        CHECK(!r->v->cfg->strict, DATA, "%s was computed with other kernels, and strict: true",
              dir);
    }
out:
    ckpt_close(k);
    return rc;
}

/* The newest own checkpoint of this leg, or the one it starts from; *dir NULL: fresh weights. Rank:
 * local. */
static Status find_start(const LegRun *r, char **dir)
{
    Status rc = ST_OK;
    TRY(ckpt_newest_between(r->saves, r->leg->from + 1, r->leg->to, dir));
    if (*dir || !r->leg->start[0]) goto out;
    *dir = job_start_path(r->job, r->leg);
    CHECK(*dir, NOMEM, "path of %s", r->leg->start);
    CHECK(path_is_dir(*dir), DATA, "%s: %s starts from there, but there is no checkpoint", *dir,
          r->leg->title);
out:
    return rc;
}

static Status load_start(LegRun *r)
{
    Status rc = ST_OK;
    char *dir = NULL;
    TRY(comm_agree(r->comm, find_start(r, &dir)));
    if (!dir) {
        TRY(comm_agree(r->comm, state_start(r->state)));
        goto out;
    }
    TRY(comm_agree(r->comm, check_numerics(r, dir)));
    TRY(state_load(r->comm, r->state, dir, false));
    CHECK(r->leg->from <= r->state->step && r->state->step <= r->leg->to, DATA,
          "%s is at step %lld, %s runs from %lld to %lld", dir, LL(r->state->step), r->leg->title,
          LL(r->leg->from), LL(r->leg->to));
    if (r->state->step == r->leg->from) r->state->core_seconds = 0;
    if (r->state->step > r->leg->from && speaks(r))
        progress_note(r->progress, "%s goes on at step %lld", r->leg->title, LL(r->state->step));
out:
    mem_free(dir);
    return rc;
}

/* Half-written checkpoints of killed jobs, which would take up the room that a whole one needs. */
static Status remove_leftovers(const LegRun *r)
{
    Status rc = ST_OK;
    char *ends = path_parent(r->end);
    CHECK(ends, NOMEM, "path of %s", r->leg->end);
    TRY(ckpt_prune(r->saves, 0));
    TRY(ckpt_prune(ends, 0));
out:
    mem_free(ends);
    return rc;
}

/* What killed jobs wrote past the checkpoint is cut off, and counted as lost work. */
static Status open_metrics(LegRun *r)
{
    Status rc = ST_OK;
    char *file = job_version_file(r->job, r->v, "metrics.jsonl"),
         *dir = job_version_file(r->job, r->v, "");
    CHECK(file && dir, NOMEM, "metrics of %s", r->leg->title);
    TRY(metrics_cut(file, r->leg->path, r->state->step, &r->steps_lost));
    TRY(metrics_open(file, &r->metrics));
    if (config_reports_to(r->v->cfg, "tensorboard"))
        TRY(events_open_from_metrics(dir, r->leg->path, file, &r->events));
out:
    mem_free(file);
    mem_free(dir);
    return rc;
}

static Status status_running(const LegRun *r)
{
    const RunStatus s = {
        .state = RUN_RUNNING, .version = r->v->name, .path = r->leg->path, .step = r->state->step};
    return run_status_write(r->job->cfg->output_dir, &s);
}

static Status leg_start(LegRun *r)
{
    Status rc = ST_OK;
    r->saves = job_path(r->job, r->leg->saves);
    r->end = job_path(r->job, r->leg->end);
    TRY(comm_agree(r->comm, r->saves && r->end ? state_create(r->comm, r->v->cfg, &r->state)
                                               : status_fail(ST_NOMEM, __FILE__, __LINE__,
                                                             "directories of the leg")));
    TRY(stepper_create(r->comm, r->state, &r->stepper));
    r->numerics = stepper_numerics(r->stepper);
    TRY(comm_agree(
        r->comm,
        r->numerics ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "numerics fingerprint")));
    TRY(load_start(r));
out:
    return rc;
}

static Status begin_output(LegRun *r)
{
    Status rc = ST_OK;
    TRY(remove_leftovers(r));
    TRY(open_metrics(r));
    progress_begin(r->progress, r->leg->title, r->leg->to);
    if (r->progress) TRY(status_running(r));
out:
    return rc;
}

Status leg_begin(LegRun *r)
{
    Status rc = ST_OK;
    r->mark_s = clock_s();
    TRY(comm_agree(r->comm, speaks(r) ? begin_output(r) : ST_OK));
out:
    return rc;
}

/* ---- look ---- */

static void count_time(LegRun *r)
{
    const double now = clock_s();
    r->state->core_seconds += (now - r->mark_s) * comm_size(r->comm) * omp_get_max_threads();
    r->mark_s = now;
}

static Status report_step(LegRun *r, const StepResult *s, double seconds)
{
    Status rc = ST_OK;
    const RunConfig *cfg = r->v->cfg;
    const int64_t tokens = cfg->global_batch_size * cfg->pack.max_seq_length,
                  step = r->state->step - 1;
    const MetricsField skipped = {"skipped", (double)r->state->skipped};
    const MetricsStep m = {.path = r->leg->path,
                           .version = r->v->name[0] ? r->v->name : NULL,
                           .step = step,
                           .loss = s->loss,
                           .lr = r->state->lr,
                           .tokens = r->state->tokens,
                           .grad_norm = s->grad_norm,
                           .tokens_per_s = (double)tokens / seconds,
                           .seconds = seconds,
                           .batch_hash = s->batch_hash,
                           .extra = &skipped,
                           .n_extra = s->skipped};
    TRY(metrics_step(r->metrics, &m));
    if (r->events) TRY(events_step(r->events, &m));
    progress_step(r->progress, step, s->loss, r->state->lr, tokens);
out:
    return rc;
}

/* Losses on every held-out set: into metrics, into an object by name, or both. */
static Status evaluate(LegRun *r, bool into_metrics, json_t *held_out)
{
    Status rc = ST_OK, local = ST_OK;
    char name[LINE_NAME * 2 + 2];
    const TokenSet *set;
    for (int64_t i = 0; (set = leg_held_out_at(r->job, i, name)); i++) {
        if (token_set_n_row(set) == 0) continue;
        const double begin = clock_s();
        watchdog_enter(WATCH_STEP, r->state->step);
        const int before = profile_enter(PROFILE_APART, "evaluation");
        MetricsEval e = {.path = r->leg->path,
                         .version = r->v->name[0] ? r->v->name : NULL,
                         .step = r->state->step - 1,
                         .eval = name};
        rc = stepper_evaluate(r->stepper, set, r->v->cfg->eval_max_tokens, &e.loss, &e.tokens);
        profile_leave(before);
        TRY(rc);
        e.seconds = clock_s() - begin;
        if (held_out) json_object_set_new(held_out, name, json_real(e.loss));
        if (!into_metrics || !speaks(r)) continue;
        if (local == ST_OK) local = metrics_eval(r->metrics, &e);
        if (local == ST_OK && r->events) local = events_eval(r->events, &e);
        progress_note(r->progress, "step %lld  held-out %-20s loss %.4f", LL(r->state->step), name,
                      e.loss);
    }
    TRY(comm_agree(r->comm, local));
out:
    return rc;
}

/* ---- save ---- */

static SaveNote save_note(const LegRun *r, const char *kind)
{
    const int64_t steps = r->state->step - r->leg->sample_step;
    return (SaveNote){.kind = kind,
                      .version = r->v->name,
                      .samples = steps * r->v->cfg->global_batch_size,
                      .numerics = r->numerics};
}

/* Slots that the ranks share out, or that are packed, stand whole in every rank while they are
 * saved, in the place of the gradients. */
static Status begin_save(LegRun *r, const SaveNote *note, bool with_optimizer, const char *dir,
                         bool background, CkptWrite **save)
{
    if (with_optimizer && !optim_slot(r->state->optim, 0)) stepper_rest(r->stepper);
    return state_save_begin(r->comm, r->state, note, with_optimizer, dir, background, save);
}

/* Publishes what save_periodic began; ranks that still write are waited for. */
static Status finish_save(LegRun *r)
{
    Status rc = ST_OK;
    CkptWrite *save = r->save;
    if (!save) goto out;
    watchdog_enter(WATCH_SAVE, r->save_step);
    stepper_watch(r->stepper, NULL);
    TRY(comm_agree(r->comm, speaks(r) ? metrics_sync(r->metrics) : ST_OK));
    r->save = NULL;
    TRY(state_save_end(save));
    TRY(comm_agree(r->comm, speaks(r) ? ckpt_prune(r->saves, r->v->cfg->save_total_limit) : ST_OK));
    if (speaks(r))
        progress_note(r->progress, "checkpoint %s/step-%06lld saved", r->leg->saves,
                      LL(r->save_step));
out:
    return rc;
}

/* In the background it is begun, and published by the first step after which all ranks are through. One is
 * written at a time: pruning would take another's temporary directory for a dead job's. */
static Status save_periodic(LegRun *r, bool background)
{
    Status rc = ST_OK;
    const SaveNote note = save_note(r, r->job->line ? r->leg->path : "main");
    char *dir = NULL;
    TRY(finish_save(r));
    watchdog_enter(WATCH_SAVE, r->state->step);
    count_time(r);
    dir = mem_printf("%s/step-%06lld", r->saves, LL(r->state->step));
    TRY(comm_agree(
        r->comm, dir ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "path of a checkpoint")));
    TRY(comm_agree(r->comm, speaks(r) ? dir_remove(dir) : ST_OK)); /* damaged: it was passed over */
    TRY(begin_save(r, &note, true, dir, background, &r->save));
    r->save_step = r->state->step;
    stepper_watch(r->stepper, r->save);
    if (!background) TRY(finish_save(r));
out:
    mem_free(dir);
    return rc;
}

/* The run has failed with `why`, and that is what is told; the state before is worth having all the same, unless
 * it was the disk that refused. Rank: collective. */
static void save_after_failure(LegRun *r, Status why)
{
    char message[1024];
    if (!r->save) return;
    snprintf(message, sizeof message, "%s", status_message());
    status_clear();
    if (why != ST_IO && finish_save(r) != ST_OK) LOG_W("%s", status_message());
    ckpt_write_drop(r->save);
    r->save = NULL;
    (void)status_adopt(why, message);
}

/* ---- the best evaluation of a plain run ---- */

static char *best_dir(const LegRun *r)
{
    return mem_printf("%s/best/step-%06lld", r->job->cfg->output_dir, LL(r->state->best.step));
}

/* Weights that may be wanted at the end, in the place of those kept before. */
static Status save_best(LegRun *r)
{
    Status rc = ST_OK;
    const SaveNote note = save_note(r, run_end_kind(r->v->cfg));
    char *dir = best_dir(r), *best = job_path(r->job, "best");
    TRY(finish_save(r));
    watchdog_enter(WATCH_SAVE, r->state->step);
    TRY(comm_agree(r->comm, dir && best ? ST_OK
                                        : status_fail(ST_NOMEM, __FILE__, __LINE__,
                                                      "path of the best weights")));
    TRY(comm_agree(r->comm, speaks(r) ? dir_make(best) : ST_OK));
    TRY(comm_agree(r->comm, speaks(r) ? dir_remove(dir) : ST_OK)); /* a killed job's */
    TRY(state_save(r->comm, r->state, &note, false, dir));
    TRY(comm_agree(r->comm, speaks(r) ? ckpt_prune(best, 1) : ST_OK));
out:
    mem_free(best);
    mem_free(dir);
    return rc;
}

static Status judge_evaluation(LegRun *r, const json_t *held_out)
{
    Status rc = ST_OK;
    const RunConfig *cfg = r->v->cfg;
    double loss = 0;
    if (!best_is_wanted(cfg)) goto out;
    TRY(best_metric(cfg, held_out, &loss));
    const bool best = best_take(cfg, &r->state->best, r->state->step, loss);
    if (best && cfg->load_best_model_at_end) TRY(save_best(r));
    if (best_is_over(cfg, &r->state->best) && speaks(r))
        progress_note(r->progress,
                      "step %lld  the loss of step %lld was not bettered %lld times: done",
                      LL(r->state->step), LL(r->state->best.step), LL(r->state->best.n_worse));
out:
    return rc;
}

static Status evaluate_step(LegRun *r)
{
    Status rc = ST_OK;
    json_t *held_out = json_object();
    TRY(evaluate(r, true, held_out));
    TRY(judge_evaluation(r, held_out));
out:
    json_decref(held_out);
    return rc;
}

/* Goes back to the best weights, and says in *held_out how good they were. */
static Status take_best(LegRun *r, json_t **held_out)
{
    Status rc = ST_OK;
    char *dir = NULL;
    if (!r->v->cfg->load_best_model_at_end || r->state->best.step == r->state->step) goto out;
    dir = best_dir(r);
    TRY(comm_agree(r->comm,
                   dir ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "the best weights")));
    TRY(state_load(r->comm, r->state, dir, true));
    json_decref(*held_out);
    *held_out = json_object();
    TRY(evaluate(r, false, *held_out));
    if (speaks(r))
        progress_note(r->progress, "the weights of step %lld are taken: their loss was %.4f",
                      LL(r->state->best.step), r->state->best.loss);
out:
    mem_free(dir);
    return rc;
}

/* The path to stop at leaves its state behind; the end of a leg is published instead. */
static Status stop_here(LegRun *r)
{
    Status rc = ST_OK;
    TRY(save_periodic(r, false));
    CHECK(false, STOPPED, "stopped on request at step %lld of %s; the same command goes on",
          LL(r->state->step), r->leg->title);
out:
    return rc;
}

/* ---- step ---- */

Status leg_compute(const Job *job, const Leg *leg, TrainState *s, Stepper *st, StepResult *out)
{
    Status rc = ST_OK;
    const Version *v = &job->version[leg->version];
    const int64_t step = s->step,
                  first_sample = (step - leg->sample_step) * v->cfg->global_batch_size;
    if (leg->averages && step == v->steps.first) state_average_reset(s);
    TRY(stepper_run(st, v, first_sample, leg_rate_at(job, leg, step), out));
    if (leg_averages_at(job, leg, step)) state_average(s);
out:
    return rc;
}

static Status leg_step(LegRun *r)
{
    Status rc = ST_OK;
    const RunConfig *cfg = r->v->cfg;
    TrainState *s = r->state;
    StepResult result;
    const double begin = clock_s();
    const int before = profile_enter(PROFILE_PHASE, "between ops");
    watchdog_enter(WATCH_STEP, s->step);
    rc = leg_compute(r->job, r->leg, s, r->stepper, &result);
    if (rc == ST_OK)
        rc = comm_agree(r->comm, speaks(r) ? report_step(r, &result, clock_s() - begin) : ST_OK);
    profile_step_done();
    profile_leave(before);
    TRY(rc);
    if (result.saved) TRY(finish_save(r));
    if (s->step == r->leg->to) goto out;
    if (cfg->eval_steps > 0 && s->step % cfg->eval_steps == 0) TRY(evaluate_step(r));
    if (result.stop) TRY(stop_here(r));
    if (cfg->save_steps > 0 && s->step % cfg->save_steps == 0)
        TRY(save_periodic(r, cfg->save_in_background));
out:
    return rc;
}

/* ---- end ---- */

/* The mean of the main path is complete where the version's data ends. */
static Status publish_average(LegRun *r)
{
    Status rc = ST_OK;
    SaveNote note = save_note(r, "release");
    char *dir = mem_printf("%s/releases/%s-averaged", r->job->cfg->output_dir, r->v->name);
    TRY(comm_agree(r->comm,
                   dir ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "path of the average")));
    if (ckpt_is(dir)) goto out;
    note.held_out = json_object();
    state_swap_average(r->state);
    TRY(evaluate(r, false, note.held_out));
    TRY(state_save(r->comm, r->state, &note, false, dir));
    state_swap_average(r->state);
out:
    json_decref(note.held_out);
    mem_free(dir);
    return rc;
}

static Status leg_end(LegRun *r)
{
    Status rc = ST_OK;
    const bool release = strcmp(r->leg->end_kind, "release") == 0;
    SaveNote note = save_note(r, r->leg->end_kind);
    CkptWrite *save = NULL;
    if (release || !r->job->line) {
        note.held_out = json_object();
        const bool judged =
            best_is_over(r->v->cfg, &r->state->best); /* just now: that is why it ends */
        TRY(evaluate(r, !judged, note.held_out));
        if (!judged) TRY(judge_evaluation(r, note.held_out));
        TRY(take_best(r, &note.held_out));
    }
    TRY(finish_save(r));
    watchdog_enter(WATCH_SAVE, r->state->step);
    count_time(r);
    TRY(comm_agree(r->comm, speaks(r) ? metrics_sync(r->metrics) : ST_OK));
    if (r->leg->averages && r->state->step == r->v->steps.end) TRY(publish_average(r));
    TRY(begin_save(r, &note, leg_end_has_optimizer(r->job, r->leg), r->end, false, &save));
    TRY(state_save_end(save));
    if (speaks(r)) progress_note(r->progress, "%s is complete: %s", r->leg->title, r->leg->end);
out:
    json_decref(note.held_out);
    return rc;
}

static Status close_output(LegRun *r)
{
    const Status rc = metrics_close(&r->metrics), also = events_close(&r->events);
    progress_end(r->progress);
    r->progress = NULL;
    return rc == ST_OK ? also : rc;
}

int64_t leg_step_at(const LegRun *r)
{
    return r->state ? r->state->step : r->leg->from;
}

int64_t leg_steps_lost(const LegRun *r)
{
    return r->steps_lost;
}

void leg_close(LegRun *r)
{
    if (!r) return;
    if (close_output(r) != ST_OK) LOG_W("%s: its metrics could not be closed", r->leg->title);
    stepper_destroy(r->stepper);
    state_destroy(r->state);
    json_decref(r->numerics);
    mem_free(r->saves);
    mem_free(r->end);
    mem_free(r);
}

Status leg_open(const Comm *comm, const Job *job, const Leg *leg, Progress *progress, LegRun **run)
{
    Status rc = ST_OK;
    LegRun *r = mem_alloc(sizeof *r);
    *run = r;
    TRY(comm_agree(comm, r ? ST_OK
                           : status_fail(ST_NOMEM, __FILE__, __LINE__, "%s: %zu bytes", leg->title,
                                         sizeof *r)));
    *r = (LegRun){.comm = comm,
                  .job = job,
                  .leg = leg,
                  .v = &job->version[leg->version],
                  .progress = progress};
    TRY(leg_start(r));
out:
    return rc;
}

Status leg_run(LegRun *r)
{
    Status rc = ST_OK;
    while (r->state->step < r->leg->to && !best_is_over(r->v->cfg, &r->state->best))
        TRY(leg_step(r));
    TRY(leg_end(r));
    TRY(comm_agree(r->comm, close_output(r)));
out:
    if (rc != ST_OK) save_after_failure(r, rc);
    return rc;
}
