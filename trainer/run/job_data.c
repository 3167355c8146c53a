/* job_data.c — the data of a version: its token sets, its sample order, its steps. */
#include "trainer/base/mem.h"
#include "trainer/run/job.h"
#include <string.h>

/* An older version must be what it was when it was trained. */
static Status check_unchanged(const Job *job, const Version *v)
{
    Status rc = ST_OK;
    const LineVersion *then = job->line ? line_find(job_older_line(job), v->of) : NULL;
    if (!then || then->n_data == 0) goto out;
    CHECK(then->n_data == v->n_set, DATA,
          "%s: %s was trained on %lld datasets, its config now has %lld", job->line->dir, v->of,
          LL(then->n_data), LL(v->n_set));
    for (int64_t i = 0; i < v->n_set; i++)
        CHECK(strcmp(then->data[i].fingerprint, token_set_fingerprint(v->train[i])) == 0, DATA,
              "%s: the data of %s has changed since it was trained (%lld rows then, %lld now; "
              "SHA-256 %.12s then, %.12s now)",
              then->data[i].path, v->of, LL(then->data[i].rows), LL(token_set_n_row(v->train[i])),
              then->data[i].fingerprint, token_set_fingerprint(v->train[i]));
out:
    return rc;
}

static Status check_ids(const Job *job, const Version *v)
{
    Status rc = ST_OK;
    const int64_t vocab = job->cfg->model.vocab_size;
    for (int64_t i = 0; i < v->n_set; i++) {
        TRY(token_set_check_ids(v->train[i], job->tokenizer, vocab));
        if (v->held_out) TRY(token_set_check_ids(v->held_out[i], job->tokenizer, vocab));
    }
    for (int64_t i = 0; i < v->n_eval; i++)
        TRY(token_set_check_ids(v->eval[i], job->tokenizer, vocab));
out:
    return rc;
}

static Status open_sets(const Job *job, Version *v)
{
    Status rc = ST_OK;
    const RunConfig *cfg = v->cfg;
    const bool held_out = cfg->pack.val_size > 0;
    v->train = mem_array(v->n_set, sizeof *v->train);
    v->held_out = held_out ? mem_array(v->n_set, sizeof *v->held_out) : NULL;
    v->eval = mem_array(cfg->n_eval_dataset, sizeof *v->eval);
    TRY(comm_agree(job->comm,
                   v->train && v->eval && (v->held_out || !held_out)
                       ? ST_OK
                       : status_fail(ST_NOMEM, __FILE__, __LINE__, "%lld datasets", LL(v->n_set))));
    v->n_eval = cfg->n_eval_dataset;
    for (int64_t i = 0; i < v->n_set; i++) {
        TRY(token_set_open(job->comm, &v->dataset[i], &cfg->pack, job->tokenizer, SPLIT_TRAIN,
                           &v->train[i]));
        if (held_out)
            TRY(token_set_open(job->comm, &v->dataset[i], &cfg->pack, job->tokenizer,
                               SPLIT_HELD_OUT, &v->held_out[i]));
    }
    PackOpts whole = cfg->pack;
    whole.val_size = 0;
    for (int64_t i = 0; i < cfg->n_eval_dataset; i++)
        TRY(token_set_open(job->comm, &cfg->eval_datasets[i], &whole, job->tokenizer, SPLIT_TRAIN,
                           &v->eval[i]));
    TRY(comm_agree(job->comm, check_ids(job, v)));
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
               weighted = bounded && v->n_set > 1;
    int64_t n_older = 0, *n_row = NULL;
    double *weight = NULL;
    for (int64_t j = 0; j < i; j++) n_older += job->version[j].n_set;
    v->old = mem_array(n_older, sizeof(TokenSet *));
    n_row = mem_array(v->n_set + n_older, sizeof *n_row);
    weight = mem_array(v->n_set, sizeof *weight);
    CHECK(v->old && n_row && weight, NOMEM, "%lld datasets", LL(v->n_set + n_older));
    for (int64_t k = 0; k < v->n_set; k++) {
        n_row[k] = token_set_n_row(v->train[k]);
        weight[k] = v->dataset[k].weight;
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
          v->dataset[0].path ? v->dataset[0].path : v->name, LL(T));
    if (cfg->max_steps > 0)
        n_sample = cfg->max_steps * B;
    else if (cfg->max_tokens > 0)
        n_sample = cfg->max_tokens / (B * T) * B;
    else if (!job->line)
        n_sample = (int64_t)(cfg->num_train_epochs * (double)n_sample + 0.5);
    const bool branches_off = job->branch && v->cfg == job->cfg;
    const PathVersion pv = {.n_sample = n_sample,
                            .global_batch = B,
                            .decay_fraction = job->line && !branches_off ? cfg->decay_fraction : 0};
    TRY(path_plan_version(&pv, i > 0 ? job->version[i - 1].steps.end : 0, &v->steps));
    if (branches_off) v->steps.branch = job->branch->step;
out:
    return rc;
}

/* In a line no sample repeats: bounds may shorten a version, never stretch it over its data, nor may weights draw more from
 * a dataset than it has. Epochs of a dataset never fall, so its last draws tell. */
static Status check_no_repeat(const Job *job, const Version *v)
{
    Status rc = ST_OK;
    const int64_t n_sample = v->steps.n_step * v->cfg->global_batch_size;
    const int64_t n_last = n_sample < 65536 ? n_sample : 65536;
    int64_t n_row = 0;
    for (int64_t k = 0; k < v->n_set; k++) n_row += token_set_n_row(v->train[k]);
    if (!job->line) goto out;
    CHECK(n_sample <= n_row, CONFIG,
          "%s: %lld samples are asked for, its data has %lld rows: in a line no sample repeats",
          v->name, LL(n_sample), LL(n_row));
    for (int64_t i = n_sample - n_last; i < n_sample; i++) {
        const SampleId id = sampler_at(v->sampler, i);
        CHECK(id.epoch == 0, CONFIG,
              "%s: its weight asks for more of %s than its %lld rows: in a line no sample repeats",
              v->name, id.set < v->n_set ? token_set_name(v->train[id.set]) : "the older data",
              LL(id.set < v->n_set ? token_set_n_row(v->train[id.set]) : n_row));
    }
out:
    return rc;
}

Status job_open_data(Job *job, int64_t i)
{
    Status rc = ST_OK;
    TRY(open_sets(job, &job->version[i]));
    Status local = plan_steps(job, i);
    if (local == ST_OK) local = make_sampler(job, i);
    if (local == ST_OK) local = check_no_repeat(job, &job->version[i]);
    TRY(comm_agree(job->comm, local));
out:
    return rc;
}
