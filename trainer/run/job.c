/* job.c — from a config to versions, and what marks a run as begun. Older versions of a line are
 * read back from their own config.yaml. */
#include "trainer/run/job.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/run/run_status.h"
#include <stdio.h>
#include <string.h>

bool job_is_line(const Job *job)
{
    return job->line != NULL;
}

const Version *job_own(const Job *job)
{
    return &job->version[job->n_version - 1];
}

char *job_path(const Job *job, const char *relative)
{
    return path_join(job->cfg->output_dir, relative);
}

const Line *job_older_line(const Job *job)
{
    return job->branch ? job->branch->line : job->line;
}

char *job_start_path(const Job *job, const Leg *leg)
{
    return job->branch ? path_join(job->branch->line->dir, leg->start) : job_path(job, leg->start);
}

char *job_version_file(const Job *job, const Version *v, const char *name)
{
    return v->name[0] ? mem_printf("%s/%s/%s", job->cfg->output_dir, v->name, name)
                      : job_path(job, name);
}

static void close_sets(TokenSet **set, int64_t n)
{
    for (int64_t i = 0; set && i < n; i++) token_set_close(set[i]);
    mem_free(set);
}

static void version_fini(Version *v)
{
    sampler_destroy(v->sampler);
    close_sets(v->train, v->n_set);
    close_sets(v->held_out, v->n_set);
    close_sets(v->eval, v->n_eval);
    mem_free(v->old);
    config_destroy(v->owned);
}

void job_close(Job *job)
{
    if (!job) return;
    for (int64_t i = 0; job->version && i < job->n_version; i++) version_fini(&job->version[i]);
    mem_free(job->version);
    tokenizer_close(job->tokenizer);
    branch_from_close(job->branch);
    line_destroy(job->line);
    dir_unlock(job->lock);
    mem_free(job);
}

SampleId version_sample(const Version *v, int64_t i)
{
    return sampler_at(v->sampler, i);
}

static const TokenSet *set_of(const Version *v, SampleId id)
{
    return id.set < v->n_set ? v->train[id.set] : v->old[id.set - v->n_set];
}

int64_t version_row_tokens(const Version *v, SampleId id)
{
    return token_set_row_tokens(set_of(v, id), id.row);
}

void version_row(const Version *v, SampleId id, int64_t b, Batch *batch)
{
    token_set_row(set_of(v, id), id.row, b, batch);
}

/* ---- which versions there are ---- */

static Status count_ancestors(const Line *line, const char *follows, int64_t *n)
{
    Status rc = ST_OK;
    *n = 0;
    for (const char *name = follows; name && name[0]; (*n)++) {
        const LineVersion *v = line_find(line, name);
        CHECK(v, DATA, "%s: follows %s, but there is no %s here: run its config first", line->dir,
              name, name);
        CHECK(v->release.dir[0], DATA,
              "%s: follows %s, but %s is not released yet: let its config finish first", line->dir,
              name, name);
        CHECK(*n < line->n_version, FORMAT, "%s/line.json: %s follows itself", line->dir, name);
        CHECK(!v->branch_from[0], CONFIG,
              "%s: follows %s, which is a branch without a main path: follow %s", line->dir, name,
              v->branch_from);
        name = v->follows;
    }
out:
    return rc;
}

static Status read_ancestor(const Line *line, const char *name, Version *v)
{
    Status rc = ST_OK;
    char *file = mem_printf("%s/%s/config.yaml", line->dir, name);
    CHECK(file, NOMEM, "config of %s", name);
    TRY(config_load(file, 0, NULL, &v->owned));
    v->cfg = v->owned;
    v->name = v->of = v->owned->version;
    v->dataset = v->owned->datasets;
    v->n_set = v->owned->n_dataset;
out:
    mem_free(file);
    return rc;
}

/* May the config's version stand in the line where it wants to? */
static Status check_place(const Job *job, const char *follows)
{
    Status rc = ST_OK;
    const Line *line = job->line;
    const char *name = job->cfg->version;
    const LineVersion *known = line_find(line, name);
    const LineVersion *rival = follows[0] ? line_follower(line, follows) : NULL;
    CHECK(!known || !known->branch_from[0], CONFIG,
          "%s: %s branches from %s there, not in this config", line->dir, name, known->branch_from);
    CHECK(!known || strcmp(known->follows, follows) == 0, CONFIG,
          "%s: %s follows \"%s\" there, \"%s\" in this config", line->dir, name, known->follows,
          follows);
    CHECK(!rival || rival == known, CONFIG,
          "%s: %s is already followed by %s; a line is a chain (to decay again from a saved point, "
          "use branch_from)",
          line->dir, follows, rival->name);
    CHECK(follows[0] || known || line->n_version == 0, CONFIG,
          "%s already holds %s: name the version that %s follows, or another output_dir", line->dir,
          line->version[0].name, name);
out:
    return rc;
}

/* The same for a version that branches from a saved point, of this line or another one. */
static Status check_branch(const Job *job)
{
    Status rc = ST_OK;
    const BranchFrom *b = job->branch;
    const char *name = job->cfg->version;
    const LineVersion *known = line_find(job->line, name);
    CHECK(!known || (strcmp(known->branch_from, b->of->name) == 0 && known->branch_step == b->step),
          CONFIG, "%s: there is a %s already, and it does not branch from %s at step %lld",
          job->line->dir, name, b->of->name, LL(b->step));
    CHECK(known || job->line->n_version == 0 || line_find(job->line, b->of->name), CONFIG,
          "%s holds another line than %s: use another output_dir", job->line->dir, b->line->dir);
    TRY(branch_from_check(b, job->cfg));
out:
    return rc;
}

/* The chain of versions, of which the last is the config's own. A branch stands where the version
 * stands that it branches from, with the same data. */
static Status list_versions(Job *job)
{
    Status rc = ST_OK;
    const BranchFrom *branch = job->branch;
    const char *follows = branch ? branch->of->follows : job->cfg->follows ? job->cfg->follows : "";
    int64_t n_older = 0;
    if (job->line) TRY(branch ? check_branch(job) : check_place(job, follows));
    if (job->line) TRY(count_ancestors(job_older_line(job), follows, &n_older));
    job->version = mem_array(n_older + 1, sizeof *job->version);
    CHECK(job->version, NOMEM, "%lld versions", LL(n_older + 1));
    job->n_version = n_older + 1;
    const RunConfig *data = branch && job->cfg->n_dataset == 0 ? branch->cfg : job->cfg;
    job->version[n_older] = (Version){.cfg = job->cfg,
                                      .name = job->line ? job->cfg->version : "",
                                      .n_set = data->n_dataset,
                                      .dataset = data->datasets};
    job->version[n_older].of = branch ? branch->of->name : job->version[n_older].name;
    for (int64_t i = n_older; i > 0; i--) {
        TRY(read_ancestor(job_older_line(job), follows, &job->version[i - 1]));
        follows = job->version[i - 1].cfg->follows;
    }
    for (int64_t i = 0; i < job->n_version; i++) job->version[i].ordinal = i;
out:
    return rc;
}

static Status check_same_line(const Job *job)
{
    Status rc = ST_OK;
    const Version *own = job_own(job);
    if (!job->line) goto out;
    CHECK(!job->line->paradigm[0] || strcmp(job->line->paradigm, job->cfg->paradigm) == 0, CONFIG,
          "%s holds a line of paradigm %s, this config says %s", job->line->dir,
          job->line->paradigm, job->cfg->paradigm);
    for (int64_t i = 0; i + 1 < job->n_version; i++) {
        const RunConfig *old = job->version[i].cfg;
        CHECK(old->optim_def == own->cfg->optim_def, CONFIG,
              "%s has optim: %s, %s has %s: a line keeps its optimizer", job->version[i].name,
              old->optim, own->name, own->cfg->optim);
    }
out:
    return rc;
}

static Status take_lock(Job *job)
{
    Status rc = ST_OK;
    enum { WAIT_S = 10 }; /* for a job that is just dying */
    if (comm_rank(job->comm) != 0) goto out;
    TRY(dir_make(job->cfg->output_dir));
    TRY(dir_lock(job->cfg->output_dir, WAIT_S, &job->lock));
out:
    return rc;
}

static void note_refusal(const RunConfig *cfg, Status how)
{
    const RunStatus s = {.state = run_state_of(how),
                         .code = how,
                         .message = status_message(),
                         .version = cfg->version};
    if (run_status_write(cfg->output_dir, &s) != ST_OK)
        LOG_W("status.json of %s could not be written", cfg->output_dir);
}

Status job_open(const Comm *comm, const RunConfig *cfg, JobUse use, Job **out)
{
    Status rc = ST_OK, local = ST_OK;
    Job *job = mem_alloc(sizeof *job);
    TRY(comm_agree(comm,
                   job ? ST_OK
                       : status_fail(ST_NOMEM, __FILE__, __LINE__, "job: %zu bytes", sizeof *job)));
    job->comm = comm;
    job->cfg = cfg;
    if (use == JOB_TRAIN) TRY(comm_agree(comm, take_lock(job)));
    if (cfg->version) local = line_load(cfg->output_dir, &job->line);
    if (local == ST_OK && cfg->branch_from)
        local = branch_from_open(cfg->branch_from, &job->branch);
    if (local == ST_OK) local = tokenizer_open(cfg->tokenizer, &job->tokenizer);
    if (local == ST_OK) local = list_versions(job);
    if (local == ST_OK) local = check_same_line(job);
    TRY(comm_agree(comm, local));
    for (int64_t i = 0; i < job->n_version; i++) TRY(job_open_data(job, i));
    TRY(comm_agree(comm, legs_plan(job)));
    *out = job;
    job = NULL;
out:
    if (job && job->lock) note_refusal(cfg, rc);
    job_close(job);
    return rc;
}

/* ---- the marks of a run that has begun ---- */

static Status record_version(Job *job)
{
    Status rc = ST_OK;
    const Version *own = job_own(job);
    LineVersion *v = line_find(job->line, own->name);
    if (!v) TRY(line_add(job->line, own->name, &v));
    snprintf(job->line->paradigm, sizeof job->line->paradigm, "%s", job->cfg->paradigm);
    snprintf(v->follows, sizeof v->follows, "%s", job->cfg->follows ? job->cfg->follows : "");
    snprintf(v->branch_from, sizeof v->branch_from, "%s", job->branch ? own->of : "");
    v->first_step = own->steps.first;
    v->branch_step = own->steps.branch;
    v->end_step = own->steps.end;
    v->decay_fraction = job->branch
                            ? (double)(own->steps.end - own->steps.branch) / own->steps.n_step
                            : job->cfg->decay_fraction;
    v->replay = job->cfg->replay;
    v->global_batch_size = job->cfg->global_batch_size;
    v->max_seq_length = job->cfg->pack.max_seq_length;
    for (int64_t i = v->n_data; i < own->n_set; i++) {
        LineData d = {.path = (char *)(own->dataset[i].path ? own->dataset[i].path : ""),
                      .rows = token_set_n_row(own->train[i]),
                      .tokens = token_set_n_token(own->train[i]),
                      .documents = token_set_n_doc(own->train[i])};
        snprintf(d.name, sizeof d.name, "%s", token_set_name(own->train[i]));
        snprintf(d.fingerprint, sizeof d.fingerprint, "%s", token_set_fingerprint(own->train[i]));
        TRY(line_add_data(v, &d));
    }
out:
    return rc;
}

/* The config of a run that goes on must lead to the same trajectory as the one it began with. */
static Status keep_config(Job *job)
{
    Status rc = ST_OK;
    RunConfig *before = NULL;
    json_t *then = NULL, *now = NULL;
    char *file = job_version_file(job, job_own(job), "config.yaml"), *differ = NULL;
    CHECK(file, NOMEM, "config of the run");
    if (!path_exists(file)) goto out;
    TRY(config_load(file, 0, NULL, &before));
    TRY(config_to_json(before, &then));
    TRY(config_to_json(job->cfg, &now));
    TRY(config_diff(then, now, &differ));
    CHECK(!differ, CONFIG,
          "%s has begun with other options: %s. The same config goes on; to begin anew use another "
          "output_dir, to branch use branch_from",
          file, differ);
out:
    config_destroy(before);
    json_decref(then);
    json_decref(now);
    mem_free(differ);
    mem_free(file);
    return rc;
}

static Status write_marks(const Job *job)
{
    Status rc = ST_OK;
    char *file = job_version_file(job, job_own(job), "config.yaml"),
         *dir = job_version_file(job, job_own(job), ".");
    CHECK(file && dir, NOMEM, "config of the run");
    TRY(dir_make(dir));
    if (!path_exists(file)) TRY(config_write(job->cfg, file));
    if (job->line) TRY(line_save(job->line));
out:
    mem_free(file);
    mem_free(dir);
    return rc;
}

Status job_mark(const Job *job)
{
    return comm_agree(job->comm, comm_rank(job->comm) == 0 ? write_marks(job) : ST_OK);
}

Status job_begin(Job *job)
{
    Status rc = ST_OK;
    TRY(comm_agree(job->comm, keep_config(job)));
    if (job->line) TRY(comm_agree(job->comm, record_version(job)));
out:
    return rc;
}
