/* plan_text.c — the plan for people. */
#include "trainer/run/data_facts.h"
#include "trainer/run/plan.h"
#include "trainer/run/progress.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The start of a line: its key, or room for one. */
static void lead(Text *out, const char *key)
{
    text_printf(out, "  %-12s ", key);
}

/* ---- data ---- */

static void add_set(const char *key, const char *of, const TokenSet *ts, const TokenSet *held_out,
                    Text *out)
{
    lead(out, key);
    text_printf(out, "%s%s%s: ", of, *of ? "/" : "", token_set_name(ts));
    data_size_text(ts, out);
    if (held_out)
        text_printf(out, "; held out: %lld documents, %lld rows", LL(token_set_n_doc(held_out)),
                    LL(token_set_n_row(held_out)));
    text_add(out, "\n");
    lead(out, "");
    text_add(out, "  ");
    data_counts_text(ts, out);
    text_add(out, "\n");
}

static void add_data(const Plan *p, Text *out)
{
    const Job *job = p->job;
    const Version *own = job_own(job);
    for (int64_t i = 0; i < job->n_version; i++) {
        const Version *v = &job->version[i];
        for (int64_t k = 0; k < v->n_set; k++)
            add_set(i + k == 0 ? "data" : "", v->of, v->train[k],
                    v->held_out ? v->held_out[k] : NULL, out);
    }
    for (int64_t k = 0; k < own->n_eval; k++) add_set("eval", "", own->eval[k], NULL, out);
}

/* ---- legs ---- */

static void add_legs(const Plan *p, Text *out)
{
    const Job *job = p->job;
    const Version *own = job_own(job);
    lead(out, "steps");
    text_printf(out, "%lld to %lld", LL(own->steps.first), LL(own->steps.end));
    if (job->line) text_printf(out, ", branch point at %lld", LL(own->steps.branch));
    text_printf(out, ", of %lld x %lld tokens; %lld rows fill no batch\n",
                LL(job->cfg->global_batch_size), LL(job->cfg->pack.max_seq_length),
                LL(own->steps.n_left));
    for (int64_t i = 0; i < job->n_leg; i++) {
        const Leg *leg = &job->leg[i];
        lead(out, i == 0 ? "legs" : "");
        text_printf(out, "%s: steps %lld to %lld -> %s", leg->title, LL(leg->from), LL(leg->to),
                    leg->end);
        if (p->reached[i] == leg->to)
            text_add(out, " (done)\n");
        else if (p->reached[i] > leg->from)
            text_printf(out, " (goes on at %lld)\n", LL(p->reached[i]));
        else
            text_add(out, "\n");
    }
}

/* ---- cost ---- */

static void cost_row(const Plan *p, const char *key, const char *what, int64_t steps, double ratio,
                     Text *out)
{
    char tokens[16], hours_text[16] = "?", ratio_text[16] = "";
    const double hours = plan_core_hours(p, steps);
    if (p->time.known) snprintf(hours_text, sizeof hours_text, "%.3g", hours);
    if (!isnan(ratio)) snprintf(ratio_text, sizeof ratio_text, "%.3f", ratio);
    lead(out, key);
    text_printf(out, "%-15s %12lld %10s %10.3g %11s %11s\n", what, LL(steps),
                progress_count((double)(steps * p->tokens_per_step), tokens),
                (double)steps * p->flops_per_step, hours_text, ratio_text);
}

static void add_cost(const Plan *p, Text *out)
{
    char key[32];
    lead(out, "cost");
    text_printf(out, "%-15s %12s %10s %10s %11s %11s\n", "", "steps", "tokens", "FLOP",
                "core-hours", p->n_cost ? "of scratch" : "");
    cost_row(p, "", "this job", p->steps_left, NAN, out);
    for (int64_t i = 0; i < p->n_cost; i++) {
        const PlanCost *c = &p->cost[i];
        const double scratch = (double)c->steps.from_scratch;
        snprintf(key, sizeof key, c->so_far ? "so far, %lld" : "N = %lld", LL(c->n_version));
        cost_row(p, key, "path switching", c->path_switching, (double)c->path_switching / scratch,
                 out);
        cost_row(p, "", "from scratch", c->steps.from_scratch, 1.0, out);
        cost_row(p, "", "continual", c->steps.continual, c->steps.continual_ratio, out);
    }
}

/* ---- memory, disk, time ---- */

static void add_bytes(const char *what, int64_t n, const char *after, Text *out)
{
    char bytes[16];
    text_printf(out, "%s %s%s", what, progress_bytes(n, bytes), after);
}

static void add_memory(const Plan *p, Text *out)
{
    const PlanMemory *m = &p->memory;
    lead(out, "memory");
    add_bytes("a rank holds", m->total, ": ", out);
    add_bytes("program", m->program, ", ", out);
    add_bytes("weights", m->weights, ", ", out);
    if (m->frozen) add_bytes("frozen ones", m->frozen, ", ", out);
    if (m->mapped) add_bytes("frozen ones in files (one copy a node)", m->mapped, ", ", out);
    add_bytes("gradients", m->gradients, ", ", out);
    add_bytes("optimizer", m->optimizer, ", ", out);
    if (m->average) add_bytes("average", m->average, ", ", out);
    add_bytes("activations", m->activations, ", ", out);
    add_bytes("data", m->data, ", ", out);
    add_bytes("saving", m->saving, "\n", out);
    lead(out, "disk");
    add_bytes("writes", p->disk.periodic + p->disk.kept, ", of which ", out);
    add_bytes("stays", p->disk.kept, "; ", out);
    add_bytes("a checkpoint takes", p->disk.full, ", ", out);
    add_bytes("weights alone", p->disk.weights, "; ", out);
    add_bytes("free", p->disk.free, "", out);
    text_add(out, p->disk.free < p->disk.periodic + p->disk.kept ? ": too little\n" : "\n");
}

static void add_time(const Plan *p, Text *out)
{
    char left[16], step[16];
    const PlanTime *t = &p->time;
    lead(out, "time");
    if (!t->known) {
        text_printf(out, "%s\n", t->unknown_why);
        return;
    }
    if (t->step_s < 1.0)
        snprintf(step, sizeof step, "%.3g ms", 1e3 * t->step_s);
    else
        snprintf(step, sizeof step, "%.3g s", t->step_s);
    text_printf(out, "%s for %lld steps of %s on %d core%s, without saves and evaluations\n",
                progress_duration((double)p->steps_left * t->step_s, left), LL(p->steps_left), step,
                p->n_core, p->n_core > 1 ? "s" : "");
    lead(out, "");
    text_printf(out, "%.3g GFLOP/s, %.0f %% of the %.3g of a big product alone\n", t->gflops,
                100.0 * t->gflops / t->gemm_gflops, t->gemm_gflops);
}

Status plan_text(const Plan *p, Text *out)
{
    const RunConfig *cfg = p->job->cfg;
    const char *name = job_own(p->job)->name;
    lead(out, "plan");
    text_printf(out, "%s%s%s, %s\n", cfg->output_dir, *name ? "  " : "", name, cfg->paradigm);
    plan_add_params(p, out);
    add_data(p, out);
    add_legs(p, out);
    add_cost(p, out);
    add_memory(p, out);
    add_time(p, out);
    return text_check(out);
}
