/* job.c — from a config to versions with data. Older versions of a line are read back from their
 * own config.yaml. */
#include "trainer/run/job.h"
#include "trainer/base/mem.h"
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
    line_destroy(job->line);
    dir_unlock(job->lock);
    mem_free(job);
}

SampleId version_sample(const Version *v, int64_t i)
{
    return sampler_at(v->sampler, i);
}

void version_row(const Version *v, SampleId id, int64_t b, Batch *batch)
{
    token_set_row(id.set < v->n_set ? v->train[id.set] : v->old[id.set - v->n_set], id.row, b,
                  batch);
}

/* ---- which versions there are ---- */

/* Names from the first version to `last`, by following `follows` backwards through the line. */
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
        name = v->follows;
    }
out:
    return rc;
}

static Status read_ancestor(Job *job, const char *name, Version *v)
{
    Status rc = ST_OK;
    char *file = mem_printf("%s/%s/config.yaml", job->cfg->output_dir, name);
    CHECK(file, NOMEM, "config of %s", name);
    TRY(config_load(file, 0, NULL, &v->owned));
    v->cfg = v->owned;
    v->name = v->owned->version;
out:
    mem_free(file);
    return rc;
}

static Status list_versions(Job *job)
{
    Status rc = ST_OK;
    int64_t n_older = 0;
    if (job->line) {
        const LineVersion *known = line_find(job->line, job->cfg->version);
        const char *follows = job->cfg->follows ? job->cfg->follows : "";
        const LineVersion *rival = follows[0] ? line_follower(job->line, follows) : NULL;
        CHECK(!known || strcmp(known->follows, follows) == 0, CONFIG,
              "%s: %s follows \"%s\" there, \"%s\" in this config", job->line->dir,
              job->cfg->version, known->follows, follows);
        CHECK(!rival || rival == known, CONFIG,
              "%s: %s is already followed by %s; a line is a chain (to decay again from a saved "
              "point, use branch_from)",
              job->line->dir, follows, rival->name);
        CHECK(follows[0] || known || job->line->n_version == 0, CONFIG,
              "%s already holds %s: name the version that %s follows, or another output_dir",
              job->line->dir, job->line->version[0].name, job->cfg->version);
        TRY(count_ancestors(job->line, follows, &n_older));
    }
    job->version = mem_array(n_older + 1, sizeof *job->version);
    CHECK(job->version, NOMEM, "%lld versions", LL(n_older + 1));
    job->n_version = n_older + 1;
    job->version[n_older].cfg = job->cfg;
    job->version[n_older].name = job->line ? job->cfg->version : "";
    for (int64_t i = n_older; i > 0; i--) {
        const Version *newer = &job->version[i];
        TRY(read_ancestor(job, newer->cfg->follows, &job->version[i - 1]));
    }
    for (int64_t i = 0; i < job->n_version; i++) job->version[i].ordinal = i;
out:
    return rc;
}

/* ---- their data ---- */

/* An older version must be what it was when it was trained. */
static Status check_unchanged(const Job *job, const Version *v)
{
    Status rc = ST_OK;
    const LineVersion *then = job->line ? line_find(job->line, v->name) : NULL;
    if (!then || then->n_data == 0) goto out;
    CHECK(then->n_data == v->n_set, DATA,
          "%s: %s was trained on %lld datasets, its config now has %lld", job->line->dir, v->name,
          LL(then->n_data), LL(v->n_set));
    for (int64_t i = 0; i < v->n_set; i++)
        CHECK(strcmp(then->data[i].fingerprint, token_set_fingerprint(v->train[i])) == 0, DATA,
              "%s: the data of %s has changed since it was trained (%lld rows then, %lld now; "
              "SHA-256 %.12s then, %.12s now)",
              then->data[i].path, v->name, LL(then->data[i].rows), LL(token_set_n_row(v->train[i])),
              then->data[i].fingerprint, token_set_fingerprint(v->train[i]));
out:
    return rc;
}

static Status open_sets(const Job *job, Version *v)
{
    Status rc = ST_OK;
    const RunConfig *cfg = v->cfg;
    const bool held_out = cfg->pack.val_size > 0;
    v->train = mem_array(cfg->n_dataset, sizeof *v->train);
    v->held_out = held_out ? mem_array(cfg->n_dataset, sizeof *v->held_out) : NULL;
    v->eval = mem_array(cfg->n_eval_dataset, sizeof *v->eval);
    TRY(comm_agree(job->comm, v->train && v->eval && (v->held_out || !held_out)
                                  ? ST_OK
                                  : status_fail(ST_NOMEM, __FILE__, __LINE__, "%lld datasets",
                                                LL(cfg->n_dataset))));
    v->n_set = cfg->n_dataset;
    v->n_eval = cfg->n_eval_dataset;
    for (int64_t i = 0; i < cfg->n_dataset; i++) {
        TRY(token_set_open(job->comm, &cfg->datasets[i], &cfg->pack, job->tokenizer, SPLIT_TRAIN,
                           &v->train[i]));
        if (held_out)
            TRY(token_set_open(job->comm, &cfg->datasets[i], &cfg->pack, job->tokenizer,
                               SPLIT_HELD_OUT, &v->held_out[i]));
    }
    PackOpts whole = cfg->pack;
    whole.val_size = 0;
    for (int64_t i = 0; i < cfg->n_eval_dataset; i++)
        TRY(token_set_open(job->comm, &cfg->eval_datasets[i], &whole, job->tokenizer, SPLIT_TRAIN,
                           &v->eval[i]));
    TRY(comm_agree(job->comm, check_unchanged(job, v)));
out:
    return rc;
}

/* The sample order of version i: its own rows, with older ones mixed in where replay or
 * from_scratch asks for them. */
static Status make_sampler(Job *job, int64_t i)
{
    Status rc = ST_OK;
    Version *v = &job->version[i];
    const RunConfig *cfg = v->cfg;
    const bool bounded = cfg->max_steps > 0 || cfg->max_tokens > 0,
               weighted = bounded && cfg->n_dataset > 1;
    int64_t n_older = 0, *n_row = NULL;
    double *weight = NULL;
    for (int64_t j = 0; j < i; j++) n_older += job->version[j].n_set;
    v->old = mem_array(n_older, sizeof(TokenSet *));
    n_row = mem_array(v->n_set + n_older, sizeof *n_row);
    weight = mem_array(v->n_set, sizeof *weight);
    CHECK(v->old && n_row && weight, NOMEM, "%lld datasets", LL(v->n_set + n_older));
    for (int64_t k = 0; k < v->n_set; k++) {
        n_row[k] = token_set_n_row(v->train[k]);
        weight[k] = cfg->datasets[k].weight;
    }
    for (int64_t j = 0; j < i; j++)
        for (int64_t k = 0; k < job->version[j].n_set; k++) {
            n_row[v->n_set + v->n_old] = token_set_n_row(job->version[j].train[k]);
            v->old[v->n_old++] = job->version[j].train[k];
        }
    const bool all =
        strcmp(cfg->paradigm, "from_scratch") == 0; /* old and new rows alike, each once */
    const SamplerSpec spec = {.seed = (uint64_t)(cfg->data_seed >= 0 ? cfg->data_seed : cfg->seed),
                              .stream = (uint64_t)v->ordinal,
                              .n_set = v->n_set + (all ? v->n_old : 0),
                              .n_row = n_row,
                              .weight = weighted ? weight : NULL,
                              .n_old = all ? 0 : v->n_old,
                              .n_old_row = n_row + v->n_set,
                              .replay = all ? 0 : cfg->replay};
    TRY(sampler_create(&spec, &v->sampler));
out:
    mem_free(n_row);
    mem_free(weight);
    return rc;
}

/* Steps of version i, from its rows or from the bound the config gives. */
static Status plan_steps(Job *job, int64_t i)
{
    Status rc = ST_OK;
    Version *v = &job->version[i];
    const RunConfig *cfg = v->cfg;
    const int64_t B = cfg->global_batch_size, T = cfg->pack.max_seq_length;
    int64_t n_sample = 0;
    for (int64_t k = 0; k < v->n_set; k++) n_sample += token_set_n_row(v->train[k]);
    CHECK(n_sample > 0, DATA, "%s: the data is shorter than one row of %lld tokens",
          cfg->datasets[0].path ? cfg->datasets[0].path : v->name, LL(T));
    if (cfg->max_steps > 0)
        n_sample = cfg->max_steps * B;
    else if (cfg->max_tokens > 0)
        n_sample = cfg->max_tokens / (B * T) * B;
    else if (!job->line)
        n_sample = (int64_t)(cfg->num_train_epochs * (double)n_sample + 0.5);
    const PathVersion pv = {.n_sample = n_sample,
                            .global_batch = B,
                            .decay_fraction = job->line ? cfg->decay_fraction : 0};
    TRY(path_plan_version(&pv, i > 0 ? job->version[i - 1].steps.end : 0, &v->steps));
out:
    return rc;
}

/* In a line no sample repeats: bounds may shorten a version, never stretch it over its data. */
static Status check_no_repeat(const Job *job, const Version *v)
{
    Status rc = ST_OK;
    const int64_t n_sample = v->steps.n_step * v->cfg->global_batch_size;
    int64_t n_row = 0;
    for (int64_t k = 0; k < v->n_set; k++) n_row += token_set_n_row(v->train[k]);
    CHECK(!job->line || n_sample <= n_row, CONFIG,
          "%s: %lld samples are asked for, its data has %lld rows: in a line no sample repeats",
          v->name, LL(n_sample), LL(n_row));
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
    if (local == ST_OK) local = tokenizer_open(cfg->tokenizer, &job->tokenizer);
    if (local == ST_OK) local = list_versions(job);
    if (local == ST_OK) local = check_same_line(job);
    TRY(comm_agree(comm, local));
    for (int64_t i = 0; i < job->n_version; i++) {
        TRY(open_sets(job, &job->version[i]));
        local = plan_steps(job, i);
        if (local == ST_OK) local = check_no_repeat(job, &job->version[i]);
        if (local == ST_OK) local = make_sampler(job, i);
        TRY(comm_agree(comm, local));
    }
    TRY(comm_agree(comm, legs_plan(job)));
    *out = job;
    job = NULL;
out:
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
    v->first_step = own->steps.first;
    v->branch_step = own->steps.branch;
    v->end_step = own->steps.end;
    v->decay_fraction = job->cfg->decay_fraction;
    v->replay = job->cfg->replay;
    v->global_batch_size = job->cfg->global_batch_size;
    v->max_seq_length = job->cfg->pack.max_seq_length;
    for (int64_t i = v->n_data; i < own->n_set; i++) {
        LineData d = {.path =
                          (char *)(job->cfg->datasets[i].path ? job->cfg->datasets[i].path : ""),
                      .rows = token_set_n_row(own->train[i]),
                      .tokens = token_set_n_token(own->train[i]),
                      .documents = token_set_n_doc(own->train[i])};
        snprintf(d.name, sizeof d.name, "%s", token_set_name(own->train[i]));
        snprintf(d.fingerprint, sizeof d.fingerprint, "%s", token_set_fingerprint(own->train[i]));
        TRY(line_add_data(v, &d));
    }
    if (comm_rank(job->comm) == 0) TRY(line_save(job->line));
out:
    return rc;
}

/* The config of a run that goes on must lead to the same trajectory as the one it began with. */
static Status keep_config(Job *job)
{
    Status rc = ST_OK;
    RunConfig *before = NULL;
    json_t *then = NULL, *now = NULL;
    char *file = job_version_file(job, job_own(job), "config.yaml"),
         *dir = job_version_file(job, job_own(job), "."), *differ = NULL;
    CHECK(file && dir, NOMEM, "config of the run");
    if (path_exists(file)) {
        TRY(config_load(file, 0, NULL, &before));
        TRY(config_to_json(before, &then));
        TRY(config_to_json(job->cfg, &now));
        TRY(config_diff(then, now, &differ));
        CHECK(!differ, CONFIG,
              "%s has begun with other options: %s. The same config goes on; to begin anew use "
              "another output_dir, to branch use branch_from",
              file, differ);
    } else if (comm_rank(job->comm) == 0) {
        TRY(dir_make(dir));
        TRY(config_write(job->cfg, file));
    }
out:
    config_destroy(before);
    json_decref(then);
    json_decref(now);
    mem_free(differ);
    mem_free(file);
    mem_free(dir);
    return rc;
}

Status job_begin(Job *job)
{
    Status rc = ST_OK;
    TRY(comm_agree(job->comm, keep_config(job)));
    if (job->line) TRY(comm_agree(job->comm, record_version(job)));
out:
    return rc;
}
