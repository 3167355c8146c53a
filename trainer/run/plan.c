/* plan.c — memory, disk and cost, from sizes alone. */
#include "trainer/run/plan.h"
#include "trainer/base/mem.h"
#include "trainer/base/tree_sum.h"
#include "trainer/run/leg.h"
#include "trainer/run/progress.h"
#include "trainer/run/step.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

void plan_destroy(Plan *p)
{
    if (!p) return;
    network_fini(&p->net);
    mem_free(p);
}

double plan_core_hours(const Plan *p, int64_t steps)
{
    return p->time.known ? (double)steps * p->time.step_s * p->n_core / 3600.0 : NAN;
}

/* ---- memory ---- */

static int64_t data_bytes(const Job *job)
{
    int64_t n = 0;
    for (int64_t i = 0; i < job->n_version; i++) {
        const Version *v = &job->version[i];
        for (int64_t k = 0; k < v->n_set; k++) {
            n += token_set_bytes(v->train[k]);
            if (v->held_out) n += token_set_bytes(v->held_out[k]);
        }
        for (int64_t k = 0; k < v->n_eval; k++) n += token_set_bytes(v->eval[k]);
    }
    return n;
}

/* Of the process, now: what others share counts in part. 0: the system does not say. */
static int64_t held_bytes(void)
{
    char line[128];
    long long kb = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    while (f && kb == 0 && fgets(line, sizeof line, f)) (void)sscanf(line, "Pss: %lld", &kb);
    if (f) fclose(f);
    return kb * 1024;
}

/* Periodic checkpoints that leg i has yet to write. */
static int64_t saves_left(const Job *job, const int64_t *reached, int64_t i)
{
    const Leg *leg = &job->leg[i];
    const int64_t every = job->version[leg->version].cfg->save_steps;
    return every > 0 && reached[i] < leg->to ? (leg->to - 1) / every - reached[i] / every : 0;
}

/* Is a copy of the state written while the run goes on? */
static bool copies_state(const Plan *p)
{
    const Job *job = p->job;
    for (int64_t i = 0; i < job->n_leg; i++)
        if (job->version[job->leg[i].version].cfg->save_in_background &&
            saves_left(job, p->reached, i) > 0)
            return true;
    return false;
}

static int64_t slot_bytes(const Plan *p)
{
    return p->job->cfg->optim_def->n_slot * p->memory.weights;
}

/* What a checkpoint holds. */
static int64_t state_bytes(const Plan *p)
{
    return p->memory.weights + slot_bytes(p) + p->memory.average;
}

/* Beside the rest, by the account of one moment: slots that are shared out or packed stand whole where the gradients were,
 * then copied with the rest of the state, whose copy outlives them. */
static int64_t saving_bytes(const Plan *p)
{
    const PlanMemory *m = &p->memory;
    const int64_t slots = slot_bytes(p), state = state_bytes(p),
                  write = ckpt_write_bytes(state) + (copies_state(p) ? state : 0),
                  gathered = m->optimizer == slots ? 0 : slots - m->gradients;
    return write + (gathered > 0 ? gathered : 0);
}

/* Ranks of a node that write no part of a checkpoint have none in memory. */
static int64_t unwritten_bytes(const Plan *p)
{
    const int64_t state = state_bytes(p),
                  idle = comm_node_size(p->job->comm) - ckpt_n_writer(state);
    return idle > 0 ? idle * (ckpt_write_bytes(state) - ckpt_write_bytes(0)) : 0;
}

static void plan_memory(Plan *p)
{
    const RunConfig *cfg = p->job->cfg;
    const int64_t n = params_flat_n(p->net.params), vector = n * (int64_t)sizeof(float);
    PlanMemory *m = &p->memory;
    m->weights = vector;
    for (int64_t i = 0; i < params_n_frozen(p->net.params); i++) {
        const Param *f = params_frozen_at(p->net.params, i);
        const bool lent = p->net.base && (f->kind == PARAM_MATRIX || f->kind == PARAM_EMBEDDING);
        *(lent ? &m->mapped : &m->frozen) +=
            f->n * (int64_t)(lent ? dtype_bytes(f->dtype) : sizeof(real));
    }
    m->gradients = tree_sum_bytes(p->job->comm, stepper_groups(cfg), n);
    m->optimizer = optim_bytes(cfg->optim_def, &cfg->optim_common, p->net.params, p->job->comm);
    m->average = cfg->average_main ? vector : 0;
    m->activations = model_activation_bytes(p->net.model, cfg->micro_batch_size,
                                            cfg->pack.max_seq_length, cfg->gradient_checkpointing);
    m->data = data_bytes(p->job);
    const int64_t program = held_bytes() - mem_live_bytes();
    m->program = program > 0 ? program : 0;
    m->saving = saving_bytes(p);
    m->total = m->program + m->weights + m->frozen + m->mapped + m->gradients + m->optimizer +
               m->average + m->activations + m->data + m->saving;
    m->node =
        (m->total - m->mapped) * comm_node_size(p->job->comm) + m->mapped - unwritten_bytes(p);
}

/* ---- disk ---- */

/* Checkpoints that lie in a directory already: they make room for the new ones. */
static Status count_saves(const Job *job, const char *saves, int64_t *n)
{
    Status rc = ST_OK;
    char *dir = job_path(job, saves), **names = NULL;
    int64_t n_name = 0;
    *n = 0;
    CHECK(dir, NOMEM, "path of %s", saves);
    if (path_is_dir(dir)) TRY(dir_list(dir, &names, &n_name));
    for (int64_t i = 0; i < n_name; i++) *n += strncmp(names[i], "step-", strlen("step-")) == 0;
out:
    dir_list_free(names, n_name);
    mem_free(dir);
    return rc;
}

/* Periodic checkpoints of all legs that share the directory of leg i; 0 if an earlier leg has
 * counted them. One more than is kept exists while the newest is written. */
static Status periodic_saves(const Job *job, const int64_t *reached, int64_t i, int64_t *n)
{
    Status rc = ST_OK;
    const RunConfig *cfg = job->version[job->leg[i].version].cfg;
    const int64_t every = cfg->save_steps, most = cfg->save_total_limit + 1;
    int64_t n_there;
    *n = 0;
    for (int64_t k = 0; k < job->n_leg && every > 0; k++) {
        if (strcmp(job->leg[k].saves, job->leg[i].saves) != 0) continue;
        if (k < i) goto out;
        *n += saves_left(job, reached, k);
    }
    TRY(count_saves(job, job->leg[i].saves, &n_there));
    if (*n > most - n_there) *n = n_there < most ? most - n_there : 0;
out:
    if (rc != ST_OK || every == 0) *n = 0;
    return rc;
}

static Status plan_disk(const Job *job, const int64_t *reached, PlanDisk *d)
{
    Status rc = ST_OK;
    const RunConfig *cfg = job->cfg;
    *d = (PlanDisk){0};
    TRY(state_disk_bytes(cfg, &d->full, &d->weights));
    for (int64_t i = 0; i < job->n_leg; i++) {
        const Leg *leg = &job->leg[i];
        const Version *v = &job->version[leg->version];
        int64_t n_save;
        TRY(periodic_saves(job, reached, i, &n_save));
        d->periodic += n_save * d->full;
        if (reached[i] == leg->to) continue;
        d->kept += leg_end_has_optimizer(job, leg) ? d->full : d->weights;
        if (leg->averages && leg->to == v->steps.end) d->kept += d->weights;
    }
    TRY(disk_free_bytes(cfg->output_dir, &d->free));
out:
    return rc;
}

static Status legs_reached(const Job *job, int64_t reached[JOB_MAX_LEG])
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < job->n_leg; i++) TRY(leg_reached(job, &job->leg[i], &reached[i]));
out:
    return rc;
}

Status plan_check_disk(const Job *job)
{
    Status rc = ST_OK;
    int64_t reached[JOB_MAX_LEG];
    PlanDisk d;
    char need[16], full[16], free_bytes[16];
    TRY(legs_reached(job, reached));
    TRY(plan_disk(job, reached, &d));
    CHECK(
        d.free >= d.periodic + d.kept, IO,
        "%s: %s of disk are free, this run writes %s (a full checkpoint is %s); nothing was begun",
        job->cfg->output_dir, progress_bytes(d.free, free_bytes),
        progress_bytes(d.periodic + d.kept, need), progress_bytes(d.full, full));
out:
    return rc;
}

/* ---- cost ---- */

static bool runs_tail_at_once(const RunConfig *cfg)
{
    return cfg->average_main || cfg->concurrent_branches;
}

static void add_cost(Plan *p, bool so_far, const PathSteps *steps, int64_t n)
{
    PlanCost *c = &p->cost[p->n_cost++];
    *c = (PlanCost){.n_version = n, .so_far = so_far, .steps = path_plan_cost(steps, n)};
    c->path_switching = runs_tail_at_once(p->job->cfg) ? c->steps.eager : c->steps.lazy;
}

/* A plain run has no rivals; a further branch is one decay more. */
static Status plan_cost(Plan *p)
{
    Status rc = ST_OK;
    enum { MOST = 8 };
    const Job *job = p->job;
    PathSteps *so_far = mem_array(job->n_version, sizeof *so_far), same_size[MOST];
    PathVersion version[MOST];
    CHECK(so_far, NOMEM, "cost of %lld versions", LL(job->n_version));
    if (!job->line || job->branch) goto out;
    for (int64_t i = 0; i < job->n_version; i++) so_far[i] = job->version[i].steps;
    for (int64_t i = 0; i < MOST; i++)
        version[i] = (PathVersion){.n_sample = job_own(job)->steps.n_step,
                                   .global_batch = 1,
                                   .decay_fraction = job->cfg->decay_fraction};
    add_cost(p, true, so_far, job->n_version);
    TRY(path_plan_line(version, MOST, same_size));
    for (int64_t n = 2; n <= MOST; n *= 2) add_cost(p, false, same_size, n);
out:
    mem_free(so_far);
    return rc;
}

/* ---- all of it ---- */

static Status create(const Job *job, Plan **out)
{
    Status rc = ST_OK;
    const RunConfig *cfg = job->cfg;
    Plan *p = mem_alloc(sizeof *p);
    CHECK(p, NOMEM, "plan: %zu bytes", sizeof *p);
    p->job = job;
    p->tokens_per_step = cfg->global_batch_size * cfg->pack.max_seq_length;
    p->n_core = comm_size(job->comm) * omp_get_max_threads();
    TRY(network_look(cfg, &p->net));
    p->flops_per_step =
        (double)p->tokens_per_step * model_flops_per_token(p->net.model, cfg->pack.max_seq_length);
    TRY(legs_reached(job, p->reached));
    for (int64_t i = 0; i < job->n_leg; i++) p->steps_left += job->leg[i].to - p->reached[i];
    TRY(plan_cost(p));
    plan_memory(p);
    TRY(plan_disk(job, p->reached, &p->disk));
    *out = p;
    p = NULL;
out:
    plan_destroy(p);
    return rc;
}

Status plan_create(const Job *job, bool calibrate, Plan **out)
{
    Status rc = ST_OK;
    Plan *p = NULL;
    TRY(comm_agree(job->comm, create(job, &p)));
    p->time.unknown_why = "not measured";
    if (calibrate) TRY(plan_calibrate(p));
    *out = p;
    p = NULL;
out:
    plan_destroy(p);
    return rc;
}
