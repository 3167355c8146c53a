/* plan_json.c — the plan for programs. */
#include "trainer/run/data_facts.h"
#include "trainer/run/plan.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef json_int_t Int;

static json_t *set_json(const char *version, const char *use, const TokenSet *ts,
                        const TokenSet *held_out)
{
    json_t *o = data_facts_json(ts);
    json_object_set_new(o, "version", json_string(version));
    json_object_set_new(o, "use", json_string(use));
    json_object_set_new(o, "held_out_rows", json_integer(held_out ? token_set_n_row(held_out) : 0));
    json_object_set_new(o, "held_out_documents",
                        json_integer(held_out ? token_set_n_doc(held_out) : 0));
    return o;
}

static json_t *data_json(const Job *job)
{
    json_t *list = json_array();
    const Version *own = job_own(job);
    for (int64_t i = 0; i < job->n_version; i++) {
        const Version *v = &job->version[i];
        for (int64_t k = 0; k < v->n_set; k++)
            json_array_append_new(
                list, set_json(v->of, "train", v->train[k], v->held_out ? v->held_out[k] : NULL));
    }
    for (int64_t k = 0; k < own->n_eval; k++)
        json_array_append_new(list, set_json("", "eval", own->eval[k], NULL));
    return list;
}

static json_t *legs_json(const Plan *p)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < p->job->n_leg; i++) {
        const Leg *leg = &p->job->leg[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "title", leg->title,
                            "version", p->job->version[leg->version].name, "path", leg->path,
                            "from", (Int)leg->from, "to", (Int)leg->to, "reached",
                            (Int)p->reached[i], "start", leg->start, "end", leg->end));
    }
    return list;
}

static json_t *steps_json(const Plan *p, int64_t steps)
{
    json_t *o =
        json_pack("{s:I, s:I, s:f}", "steps", (Int)steps, "tokens",
                  (Int)(steps * p->tokens_per_step), "flop", (double)steps * p->flops_per_step);
    json_object_set_new(o, "core_hours",
                        p->time.known ? json_real(plan_core_hours(p, steps)) : json_null());
    return o;
}

static json_t *cost_json(const Plan *p)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < p->n_cost; i++) {
        const PlanCost *c = &p->cost[i];
        json_array_append_new(
            list, json_pack("{s:I, s:b, s:o, s:o, s:o, s:f, s:f}", "versions", (Int)c->n_version,
                            "so_far", c->so_far, "path_switching", steps_json(p, c->path_switching),
                            "from_scratch", steps_json(p, c->steps.from_scratch), "continual",
                            steps_json(p, c->steps.continual), "path_switching_ratio",
                            (double)c->path_switching / (double)c->steps.from_scratch,
                            "continual_ratio", c->steps.continual_ratio));
    }
    return list;
}

static json_t *memory_json(const PlanMemory *m)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "program",
                     (Int)m->program, "weights", (Int)m->weights, "frozen", (Int)m->frozen,
                     "mapped", (Int)m->mapped, "gradients", (Int)m->gradients, "optimizer",
                     (Int)m->optimizer, "average", (Int)m->average, "activations",
                     (Int)m->activations, "data", (Int)m->data, "saving", (Int)m->saving, "total",
                     (Int)m->total, "node", (Int)m->node);
}

static json_t *disk_json(const PlanDisk *d)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "full_checkpoint", (Int)d->full, "weights_alone",
                     (Int)d->weights, "periodic", (Int)d->periodic, "kept", (Int)d->kept, "free",
                     (Int)d->free);
}

static json_t *time_json(const Plan *p)
{
    const PlanTime *t = &p->time;
    if (!t->known) return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "micro_batch_s", t->micro_s, "sum_s",
                     t->sum_s, "update_s", t->update_s, "step_s", t->step_s, "job_s",
                     (double)p->steps_left * t->step_s, "gflops", t->gflops, "gemm_gflops",
                     t->gemm_gflops);
}

Status plan_json(const Plan *p, Text *out)
{
    Status rc = ST_OK;
    const Job *job = p->job;
    const PathSteps *s = &job_own(job)->steps;
    char *text = NULL;
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I, "
        "s:i, s:o, "
        "s:o, "
        "s:o, s:o, s:o, s:o}",
        "format", 1, "output_dir", job->cfg->output_dir, "version", job_own(job)->name, "paradigm",
        job->cfg->paradigm, "trainable_params", (Int)params_n_elem(p->net.params), "frozen_params",
        (Int)params_n_frozen_elem(p->net.params), "methods", plan_methods_json(p), "trained",
        plan_params_json(p->net.params, false), "frozen", plan_params_json(p->net.params, true),
        "data", data_json(job), "steps", "first", (Int)s->first, "branch", (Int)s->branch, "end",
        (Int)s->end, "rows_left", (Int)s->n_left, "global_batch_size",
        (Int)job->cfg->global_batch_size, "max_seq_length", (Int)job->cfg->pack.max_seq_length,
        "tokens_per_step", (Int)p->tokens_per_step, "cores", p->n_core, "legs", legs_json(p), "job",
        steps_json(p, p->steps_left), "cost", cost_json(p), "memory", memory_json(&p->memory),
        "disk", disk_json(&p->disk), "time", time_json(p));
    CHECK(root, NOMEM, "plan: no memory for JSON");
    text = json_dumps(root, JSON_INDENT(1));
    CHECK(text, NOMEM, "plan: no memory for JSON");
    text_add(out, text);
    text_add(out, "\n");
    TRY(text_check(out));
out:
    free(text);
    json_decref(root);
    return rc;
}
