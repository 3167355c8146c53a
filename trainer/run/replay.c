/* replay.c — find the run, load the state, step, compare. */
#include "trainer/run/replay.h"
#include "trainer/base/mem.h"
#include "trainer/run/metrics_lines.h"
#include "trainer/run/text.h"
#include "trainer/tensor/gemm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void replay_close(Replay *r)
{
    if (!r) return;
    job_close(r->job);
    config_destroy(r->cfg);
    json_decref(r->numerics);
    json_decref(r->equal);
    mem_free(r->unlike);
    mem_free(r->dir);
    mem_free(r);
}

/* ---- the run around a checkpoint ---- */

/* The nearest directory above with a line.json, or the config.yaml of a plain run. */
static Status find_run(const char *dir, char **run)
{
    Status rc = ST_OK;
    enum { HIGHEST = 3 }; /* branches/v2/step-000900 */
    char *whole = realpath(dir, NULL);
    CHECK(whole, DATA, "%s: there is no such directory", dir);
    CHECK(*run = mem_strdup(whole), NOMEM, "path of %s", dir);
    for (int i = 0; i < HIGHEST; i++) {
        char *above = path_parent(*run);
        mem_free(*run);
        CHECK(*run = above, NOMEM, "path of %s", dir);
        if (path_has(*run, "line.json") || path_has(*run, "config.yaml")) goto out;
    }
    CHECK(false, DATA, "%s: there is no run around it (line.json, or config.yaml)", dir);
out:
    free(whole);
    return rc;
}

/* Whose data the next step trains on: the main path passes from version to version. */
static Status find_version(const char *run, const CkptInfo *info, char name[LINE_NAME])
{
    Status rc = ST_OK;
    Line *line = NULL;
    snprintf(name, LINE_NAME, "%s", info->version);
    if (!*name || strcmp(info->kind, "main") != 0) goto out;
    TRY(line_load(run, &line));
    const LineVersion *next = NULL;
    for (int64_t i = 0; i < line->n_version; i++) {
        const LineVersion *v = &line->version[i];
        if (!v->branch_from[0] && v->first_step <= info->step && info->step < v->end_step) next = v;
    }
    CHECK(next, DATA, "%s: no version trains from step %lld on", run, LL(info->step));
    snprintf(name, LINE_NAME, "%s", next->name);
out:
    line_destroy(line);
    return rc;
}

/* The config beside the run, with the kernels the checkpoint was computed with where they are to be had. */
static Status load_config(Replay *r, const char *run, const char *version)
{
    Status rc = ST_OK;
    const char *backend = json_string_value(json_object_get(r->numerics, "gemm")),
               *dtype = json_string_value(json_object_get(r->numerics, "compute_dtype"));
    char *file = mem_printf("%s%s%s/config.yaml", run, *version ? "/" : "", version);
    char *set[] = {mem_printf("output_dir=%s", run), mem_printf("gemm_backend=%s", backend),
                   mem_printf("compute_dtype=%s", dtype)};
    CHECK(file && set[0] && set[1] && set[2], NOMEM, "config of %s", run);
    const bool known = backend && dtype && gemm_has_backend(backend);
    TRY(config_load(file, known ? N_OF(set) : 1, (const char *const *)set, &r->cfg));
out:
    for (int64_t i = 0; i < N_OF(set); i++) mem_free(set[i]);
    mem_free(file);
    return rc;
}

/* A checkpoint knows the config it was computed with. */
static Status check_config(const Replay *r, const CkptInfo *info)
{
    Status rc = ST_OK;
    json_t *now = NULL;
    char *differ = NULL;
    if (strcmp(info->version, r->cfg->version ? r->cfg->version : "") != 0) goto out;
    TRY(config_to_json(r->cfg, &now));
    TRY(config_diff(info->config, now, &differ));
    CHECK(!differ, DATA, "%s was computed with another config than the one beside the run: %s",
          r->dir, differ);
out:
    mem_free(differ);
    json_decref(now);
    return rc;
}

static Status read_checkpoint(Replay *r)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    char *run = NULL, version[LINE_NAME];
    CHECK(path_has(r->dir, "manifest.json"), DATA,
          "%s: is no checkpoint; steps are run again from a branch point or a periodic one",
          r->dir);
    TRY(ckpt_open(r->dir, &k));
    const CkptInfo *info = ckpt_info(k);
    const bool main_path = strcmp(info->kind, "main") == 0;
    const bool ended = word_in("release|final|adapter", info->kind);
    CHECK(!ended, DATA,
          "%s: is a %s, no step follows it; steps are run again from a branch point or a periodic "
          "checkpoint",
          r->dir, info->kind);
    r->numerics = json_incref(info->fingerprint);
    r->leg.from = info->step;
    r->leg.path = main_path ? "main" : "branch";
    TRY(find_run(r->dir, &run));
    TRY(find_version(run, info, version));
    TRY(load_config(r, run, version));
    TRY(check_config(r, info));
out:
    ckpt_close(k);
    mem_free(run);
    return rc;
}

/* The stretch from the checkpoint to the end of the version's data. */
static Status find_leg(Replay *r)
{
    Status rc = ST_OK;
    const int64_t own = r->job->n_version - 1, step = r->leg.from;
    const char *path = r->leg.path;
    const Leg *found = NULL;
    for (int64_t i = 0; i < r->job->n_leg && !found; i++) {
        const Leg *leg = &r->job->leg[i];
        if (leg->version == own && strcmp(leg->path, path) == 0) found = leg;
    }
    CHECK(found && found->from <= step && step < r->job->version[own].steps.end, DATA,
          "%s: %s has no step %lld on its %s path", r->dir, r->job->version[own].name, LL(step),
          path);
    r->leg = *found;
    r->leg.from = step;
    r->leg.to = r->job->version[own].steps.end;
out:
    return rc;
}

Status replay_open(const Comm *comm, const char *dir, Replay **out)
{
    Status rc = ST_OK, local = ST_OK;
    Replay *r = mem_alloc(sizeof *r);
    *out = NULL;
    if (!r || !(r->dir = mem_strdup(dir)) || !(r->equal = json_array()))
        local = status_fail(ST_NOMEM, __FILE__, __LINE__, "replay of %s", dir);
    TRY(comm_agree(comm, local == ST_OK ? read_checkpoint(r) : local));
    TRY(job_open(comm, r->cfg, JOB_LOOK, &r->job));
    TRY(find_leg(r));
    *out = r;
    r = NULL;
out:
    replay_close(r);
    return rc;
}

/* ---- what the run wrote down ---- */

typedef struct Recorded {
    bool there;
    double loss, grad_norm, lr;
    char batch_hash[17];
} Recorded;

typedef struct Record {
    const char *path;
    int64_t first, n, n_there;
    Recorded *step; /* n of them, from step `first` */
} Record;

static double number(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

static Status take_line(void *self, const json_t *line)
{
    Record *record = self;
    const char *path = json_string_value(json_object_get(line, "path")),
               *hash = json_string_value(json_object_get(line, "batch_hash"));
    const json_t *step = json_object_get(line, "step");
    const int64_t i = json_integer_value(step) - record->first;
    if (!path || strcmp(path, record->path) != 0 || !json_is_integer(step)) return ST_OK;
    if (json_object_get(line, "eval") || i < 0 || i >= record->n) return ST_OK;
    Recorded *to = &record->step[i];
    *to = (Recorded){true, number(line, "loss"), number(line, "grad_norm"), number(line, "lr"), ""};
    snprintf(to->batch_hash, sizeof to->batch_hash, "%s", hash ? hash : "");
    return ST_OK;
}

/* Shortens the leg to the steps that are written down; a gap among them shows when it is reached. */
static Status read_record(Replay *r, int64_t n_step, Record *record)
{
    Status rc = ST_OK;
    char *file = job_version_file(r->job, job_own(r->job), "metrics.jsonl");
    const int64_t n_left = r->leg.to - r->leg.from, n = n_step < n_left ? n_step : n_left;
    *record = (Record){.path = r->leg.path, .first = r->leg.from, .n = n};
    record->step = mem_array(n, sizeof *record->step);
    CHECK(file && record->step, NOMEM, "record of %lld steps", LL(n));
    TRY(metrics_each(file, take_line, record));
    while (record->n > 0 && !record->step[record->n - 1].there) record->n--;
    CHECK(record->n > 0, DATA, "%s: no step of %s from %lld on is written down", file, r->leg.title,
          LL(r->leg.from));
out:
    mem_free(file);
    return rc;
}

/* ---- comparing ---- */

static Status compare_step(const Replay *r, const Record *record, int64_t i, const TrainState *s,
                           const StepResult *now)
{
    Status rc = ST_OK;
    const Recorded *then = &record->step[i];
    const int64_t step = record->first + i;
    const struct {
        const char *name;
        double then, now;
    } fields[] = {{"loss", then->loss, now->loss},
                  {"grad_norm", then->grad_norm, now->grad_norm},
                  {"lr", then->lr, s->lr}};
    CHECK(then->there, DATA, "%s, step %lld: metrics.jsonl has no line of it", r->leg.title,
          LL(step));
    CHECK(strcmp(then->batch_hash, now->batch_hash) == 0, DATA,
          "%s, step %lld is the first that differs: its batch was %s, is %s", r->leg.title,
          LL(step), then->batch_hash, now->batch_hash);
    for (int64_t k = 0; k < N_OF(fields); k++)
        CHECK(fields[k].then == fields[k].now, DATA,
              "%s, step %lld is the first that differs: %s was %.17g, is %.17g%s%s", r->leg.title,
              LL(step), fields[k].name, fields[k].then, fields[k].now,
              r->unlike ? "; numerics: " : "", r->unlike ? r->unlike : "");
out:
    return rc;
}

static Status compare_checkpoint(Replay *r, const TrainState *s, const char *relative)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    char *dir = job_path(r->job, relative);
    CHECK(dir, NOMEM, "path of %s", relative);
    if (!ckpt_is(dir)) goto out;
    TRY(state_compare(s, dir));
    TRY(ckpt_open(dir, &k));
    json_t *one = json_pack("{s:s, s:I, s:s}", "dir", relative, "step", (json_int_t)s->step,
                            "payload_sha256", ckpt_payload_sha256(k));
    CHECK(json_array_append_new(r->equal, one) == 0, NOMEM, "list of checkpoints");
out:
    ckpt_close(k);
    mem_free(dir);
    return rc;
}

/* A periodic checkpoint of this step, and the ends of legs on this path. */
static Status compare_checkpoints(Replay *r, const TrainState *s)
{
    Status rc = ST_OK;
    char periodic[2 * LINE_DIR];
    snprintf(periodic, sizeof periodic, "%s/step-%06lld", r->leg.saves, LL(s->step));
    TRY(compare_checkpoint(r, s, periodic));
    for (int64_t i = 0; i < r->job->n_leg; i++) {
        const Leg *leg = &r->job->leg[i];
        const bool ends = leg->version == r->leg.version && strcmp(leg->path, r->leg.path) == 0 &&
                          leg->to == s->step && strcmp(leg->end, periodic) != 0;
        if (ends) TRY(compare_checkpoint(r, s, leg->end));
    }
out:
    return rc;
}

/* ---- running ---- */

static Status compare_numerics(Replay *r, const Stepper *st)
{
    Status rc = ST_OK;
    Text t = {0};
    const char *key;
    json_t *now = stepper_numerics(st), *value;
    CHECK(now, NOMEM, "numerics fingerprint");
    json_object_foreach(now, key, value)
    {
        const json_t *then = json_object_get(r->numerics, key);
        if (json_equal(then, value)) continue;
        char *a = json_dumps(then, JSON_ENCODE_ANY), *b = json_dumps(value, JSON_ENCODE_ANY);
        text_printf(&t, "%s%s was %s, is %s", t.n ? ", " : "", key, a ? a : "unknown", b ? b : "?");
        free(a);
        free(b);
    }
    TRY(text_check(&t));
    r->unlike = t.s;
    t.s = NULL;
out:
    text_fini(&t);
    json_decref(now);
    return rc;
}

Status replay_run(Replay *r, int64_t n_step)
{
    Status rc = ST_OK;
    const Comm *comm = r->job->comm;
    const bool first_rank = comm_rank(comm) == 0;
    TrainState *s = NULL;
    Stepper *st = NULL;
    Record record = {0};
    StepResult now;
    TRY(comm_agree(comm, read_record(r, n_step, &record)));
    TRY(comm_agree(comm, state_create(comm, r->cfg, &s)));
    TRY(stepper_create(comm, s, &st));
    TRY(comm_agree(comm, compare_numerics(r, st)));
    TRY(state_load(comm, s, r->dir, false));
    for (int64_t i = 0; i < record.n; i++) {
        TRY(leg_compute(r->job, &r->leg, s, st, &now));
        TRY(comm_agree(comm, first_rank ? compare_step(r, &record, i, s, &now) : ST_OK));
        TRY(comm_agree(comm, compare_checkpoints(r, s)));
        r->n_step++;
    }
out:
    mem_free(record.step);
    stepper_destroy(st);
    state_destroy(s);
    return rc;
}
