/* header.c — the facts of a job, one line each. */
#include "trainer/run/header.h"
#include "trainer/run/leg.h"
#include "trainer/tensor/kernels/kernel.h"
#include <omp.h>
#include <stdio.h>
#include <string.h>

static void print_data(const Job *job, Progress *p)
{
    const Version *own = job_own(job);
    const PathSteps *s = &own->steps;
    char tokens[16], dropped[64] = "", branch[48] = "";
    for (int64_t i = 0; i < own->n_set; i++) {
        const TokenSet *ts = own->train[i];
        const TokenCounts *c = token_set_counts(ts);
        progress_header(p, i == 0 ? "data" : "", "%s: %s tokens in %lld rows, SHA-256 %.12s",
                        token_set_name(ts), progress_count((double)token_set_n_token(ts), tokens),
                        LL(token_set_n_row(ts)), token_set_fingerprint(ts));
        if (token_set_is_samples(ts))
            progress_header(p, "", "  %lld samples, %s tokens of them learned",
                            LL(token_set_n_doc(ts)), progress_count((double)c->n_learned, tokens));
        if (c->n_cut > 0)
            progress_header(p, "warning", "%s: %lld tokens of %lld samples are cut off at %lld",
                            token_set_name(ts), LL(c->n_truncated), LL(c->n_cut),
                            LL(job->cfg->pack.max_seq_length));
        if (c->n_left > 0)
            progress_header(p, "warning",
                            "%s: %lld samples are left out: nothing of them is to be learned",
                            token_set_name(ts), LL(c->n_left));
    }
    if (s->n_left > 0)
        snprintf(dropped, sizeof dropped, "; %lld rows fill no batch", LL(s->n_left));
    if (job->line) snprintf(branch, sizeof branch, ", branch point at %lld", LL(s->branch));
    progress_header(p, "steps", "%lld to %lld%s, of %lld x %lld tokens%s", LL(s->first), LL(s->end),
                    branch, LL(job->cfg->global_batch_size), LL(job->cfg->pack.max_seq_length),
                    dropped);
}

static void print_machine(const Plan *plan, Progress *p)
{
    const Job *job = plan->job;
    char text[16], memory[16];
    const GemmChoice g = gemm_choice();
    progress_header(p, "kernels", "GEMM %s %s %s, vectors %s; %d rank%s x %d thread%s", g.backend,
                    g.kernels, g.compute_dtype, kernels()->name, comm_size(job->comm),
                    comm_size(job->comm) > 1 ? "s" : "", omp_get_max_threads(),
                    omp_get_max_threads() > 1 ? "s" : "");
    progress_header(p, "memory", "%s a rank", progress_bytes(plan->memory.total, memory));
    if (strcmp(g.backend, "reference") == 0) return; /* nobody expects speed of it */
    const GemmRate rate = gemm_rate(omp_get_max_threads());
    if (rate.expected_gflops > 0 && rate.gflops < 0.5 * rate.expected_gflops)
        progress_header(
            p, "warning",
            "products run at %.0f GFLOP/s, this CPU usually gives %.0f: is the machine busy?",
            rate.gflops, rate.expected_gflops);
    if (plan->steps_left == 0) return;
    const double usual_share = 0.5; /* of the products' rate, that whole steps reach */
    const double seconds = (double)plan->steps_left * plan->flops_per_step /
                           (1e9 * usual_share * rate.gflops * comm_size(job->comm));
    progress_header(p, "time", "about %s for %lld steps, if steps reach half of the products' rate",
                    progress_duration(seconds, text), LL(plan->steps_left));
}

static void print_trained(const Plan *plan, Progress *p)
{
    const RunConfig *cfg = plan->job->cfg;
    const ParamSet *ps = plan->net.params;
    char trained[16], rest[16], frozen[32] = "(all)", text[256] = "";
    if (params_n_frozen(ps) > 0)
        snprintf(frozen, sizeof frozen, "of %s",
                 progress_count((double)(params_n_elem(ps) + params_n_frozen_elem(ps)), rest));
    progress_header(p, "trains", "%s parameters %s, %s optimizer, %s rate up to %g",
                    progress_count((double)params_n_elem(ps), trained), frozen, cfg->optim,
                    cfg->lr_scheduler_type, ((const SchedCommon *)cfg->sched_opts)->learning_rate);
    for (int64_t i = 0; i < plan->net.hooks->n; i++) {
        const Hook *h = &plan->net.hooks->at[i];
        if (h->def->describe) h->def->describe(h->self, text, sizeof text);
        if (h->def->describe) progress_header(p, "", "%s: %s", h->def->name, text);
    }
}

Status header_print(const Plan *plan, Progress **progress)
{
    Status rc = ST_OK;
    const Job *job = plan->job;
    const RunConfig *cfg = job->cfg;
    const ProgressOpts opts = {.out = stderr,
                               .mode = PROGRESS_AUTO,
                               .logging_steps = cfg->logging_steps,
                               .total_steps = plan->steps_left};
    TRY(progress_create(&opts, progress));
    progress_header(*progress, "switchyard", "%s  %s%s%s%s%s", SWITCHYARD_VERSION, cfg->output_dir,
                    cfg->version ? "  " : "", cfg->version ? cfg->version : "",
                    cfg->run_name ? "  " : "", cfg->run_name ? cfg->run_name : "");
    print_trained(plan, *progress);
    print_data(job, *progress);
    print_machine(plan, *progress);
    for (int64_t i = 0; i < job->n_leg; i++)
        progress_header(*progress, i == 0 ? "legs" : "", "%s: steps %lld to %lld -> %s",
                        job->leg[i].title, LL(job->leg[i].from), LL(job->leg[i].to),
                        job->leg[i].end);
out:
    return rc;
}
