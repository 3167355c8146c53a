/* legs.c — which stretches of steps a job runs, in order. */
#include "trainer/run/job.h"
#include <stdio.h>
#include <string.h>

static Leg *add_leg(Job *job, int64_t version, const char *path, int64_t from, int64_t to)
{
    ASSERT(job->n_leg < JOB_MAX_LEG);
    Leg *leg = &job->leg[job->n_leg++];
    const PathSteps *s = &job->version[version].steps;
    *leg = (Leg){.version = version, .path = path, .from = from, .to = to, .sample_step = s->first};
    const bool branch = strcmp(path, "branch") == 0;
    leg->span = (SchedSpan){.path = branch ? SCHED_BRANCH : SCHED_MAIN,
                            .first = s->first,
                            .branch = s->branch,
                            .end = s->end};
    snprintf(leg->title, sizeof leg->title, "%s%s%s", job->version[version].name,
             job->version[version].name[0] ? " " : "", path);
    snprintf(leg->saves, sizeof leg->saves, branch ? "branches/%s" : "main",
             job->version[version].name);
    return leg;
}

/* The main path goes on from where the branch left it, to the end of the version's data. */
static void add_tail(Job *job, int64_t version)
{
    const Version *v = &job->version[version];
    Leg *tail = add_leg(job, version, "main", v->steps.branch, v->steps.end);
    snprintf(tail->title, sizeof tail->title, "%s main tail", v->name);
    snprintf(tail->start, sizeof tail->start, "branch-points/%s", v->name);
    snprintf(tail->end, sizeof tail->end, "main/step-%06lld", LL(v->steps.end));
    tail->end_kind = "main";
    tail->averages = v->cfg->average_main;
}

static void add_branch(Job *job, int64_t version, const char *point)
{
    const Version *v = &job->version[version];
    Leg *branch = add_leg(job, version, "branch", v->steps.branch, v->steps.end);
    snprintf(branch->start, sizeof branch->start, "%s", point);
    snprintf(branch->end, sizeof branch->end, "releases/%s", v->name);
    branch->end_kind = "release";
}

/* Another decay from a saved point: one branch, and no main path of its own. */
static void plan_branch_from(Job *job)
{
    add_branch(job, job->n_version - 1, job->branch->point);
}

static void plan_path_switching(Job *job)
{
    const int64_t own = job->n_version - 1;
    const Version *v = &job->version[own];
    char point[LINE_DIR];
    if (own > 0) add_tail(job, own - 1);
    Leg *main_leg = add_leg(job, own, "main", v->steps.first, v->steps.branch);
    if (own > 0)
        snprintf(main_leg->start, sizeof main_leg->start, "main/step-%06lld", LL(v->steps.first));
    snprintf(main_leg->end, sizeof main_leg->end, "branch-points/%s", v->name);
    main_leg->end_kind = "branch_point";
    main_leg->averages = v->cfg->average_main;
    snprintf(point, sizeof point, "%s", main_leg->end);
    add_branch(job, own, point);
    if (v->cfg->average_main || v->cfg->concurrent_branches) {
        job->leg[job->n_leg - 1].beside_next = v->cfg->concurrent_branches;
        add_tail(job, own);
    }
}

/* One schedule over the whole run; with a decay share (lr_scheduler_type: path_switching) its last
 * part is a branch that nobody leaves. */
static void plan_rival(Job *job, bool from_scratch)
{
    const int64_t own = job->n_version - 1;
    const Version *v = &job->version[own];
    const int64_t from = from_scratch ? 0 : v->steps.first;
    const double alpha = v->cfg->decay_fraction;
    const int64_t n = v->steps.end - from;
    Leg *leg = add_leg(job, own, "branch", from, v->steps.end);
    leg->sample_step = from;
    leg->sched_shift = from;
    leg->span = (SchedSpan){.path = SCHED_BRANCH,
                            .first = 0,
                            .branch = n - (int64_t)(alpha * (double)n + 0.5),
                            .end = n};
    leg->at_min_lr = !from_scratch && own > 0 && strcmp(v->cfg->continual_lr, "min") == 0;
    if (!from_scratch && own > 0)
        snprintf(leg->start, sizeof leg->start, "releases/%s", job->version[own - 1].name);
    snprintf(leg->end, sizeof leg->end, "releases/%s", v->name);
    leg->end_kind = "release";
}

const char *run_end_kind(const RunConfig *cfg)
{
    return cfg->n_method > 0 ? "adapter" : "final";
}

static void plan_plain(Job *job)
{
    const PathSteps *s = &job->version[0].steps;
    Leg *leg = add_leg(job, 0, "main", 0, s->end);
    leg->span = (SchedSpan){.path = SCHED_MAIN, .first = 0, .branch = s->end, .end = s->end};
    snprintf(leg->title, sizeof leg->title, "train");
    snprintf(leg->saves, sizeof leg->saves, "checkpoints");
    snprintf(leg->end, sizeof leg->end, "final");
    leg->end_kind = run_end_kind(job->version[0].cfg);
}

Status legs_plan(Job *job)
{
    Status rc = ST_OK;
    job->n_leg = 0;
    if (!job->line)
        plan_plain(job);
    else if (job->branch)
        plan_branch_from(job);
    else if (strcmp(job->cfg->paradigm, "path_switching") == 0)
        plan_path_switching(job);
    else
        plan_rival(job, strcmp(job->cfg->paradigm, "from_scratch") == 0);
    for (int64_t i = 0; i < job->n_leg; i++) {
        const RunConfig *cfg = job->version[job->leg[i].version].cfg;
        TRY(sched_check(cfg->sched_def, cfg->sched_opts, &job->leg[i].span));
    }
out:
    return rc;
}

SchedPoint leg_rate_at(const Job *job, const Leg *leg, int64_t step)
{
    const RunConfig *cfg = job->version[leg->version].cfg;
    SchedSpan at = leg->span;
    at.step = leg->at_min_lr ? at.end : step - leg->sched_shift;
    return cfg->sched_def->at(cfg->sched_opts, &at);
}

/* Every average_every steps over the last part of the version, counted back from its end. */
bool leg_averages_at(const Job *job, const Leg *leg, int64_t step)
{
    const Version *v = &job->version[leg->version];
    const int64_t window = (int64_t)(v->cfg->average_fraction * (double)v->steps.n_step),
                  left = v->steps.end - (step + 1);
    return leg->averages && left < window && left % v->cfg->average_every == 0;
}

/* A release holds weights alone, but a continual line goes on from its release. */
bool leg_end_has_optimizer(const Job *job, const Leg *leg)
{
    const char *paradigm = job->version[leg->version].cfg->paradigm;
    return strcmp(leg->end_kind, "release") != 0 || strcmp(paradigm, "continual") == 0;
}
