/* plan_time.c — a few micro-batches, one ordered sum and one update of the real model, timed. */
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/base/tree_sum.h"
#include "trainer/run/plan.h"
#include "trainer/run/step.h"
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

static const double ENOUGH_S = 1.5, MOST_S = 3.0; /* of passes together; of one pass, by estimate */

typedef struct Bench {
    TrainState *state;
    Tape *tape;
    Batch *batch;
    TreeSum *sum;
} Bench;

static void bench_fini(Bench *b)
{
    tree_sum_destroy(b->sum);
    batch_destroy(b->batch);
    tape_destroy(b->tape);
    state_destroy(b->state);
}

static Status bench_init(const Job *job, int64_t n_row, Bench *b)
{
    Status rc = ST_OK;
    const RunConfig *cfg = job->cfg;
    TRY(state_create(job->comm, cfg, &b->state));
    TRY(state_start(b->state));
    TRY(tape_create(&b->tape));
    tape_checkpointing(b->tape, cfg->gradient_checkpointing);
    TRY(batch_create(n_row, cfg->pack.max_seq_length, &b->batch));
    b->batch->noise = 1; /* as in training */
    TRY(tree_sum_create(job->comm, stepper_groups(cfg), params_flat_n(b->state->net.params),
                        optim_cut(b->state->optim), &b->sum));
out:
    return rc;
}

static int by_size(const void *x, const void *y)
{
    const double *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

/* The median of as many micro-batches as fit into ENOUGH_S, two at least, behind one that warms up. Rank: local. */
static Status time_micro(const Job *job, Bench *b, double *micro_s)
{
    Status rc = ST_OK;
    const Version *v = job_own(job);
    enum { LEAST = 3, MOST = 65 };
    double pass_s[MOST], all_s = 0;
    int64_t n = 0;
    float *grad = tree_sum_alone(b->sum);
    CHECK(grad, NOMEM, "gradient: %lld floats", LL(params_flat_n(b->state->net.params)));
    params_bind_grad(b->state->net.params, grad);
    for (; n < LEAST || (n < MOST && all_s < ENOUGH_S); n++) {
        double loss;
        const double begin_s = clock_s();
        for (int64_t row = 0; row < b->batch->B; row++)
            version_row(v, version_sample(v, n * b->batch->B + row), row, b->batch);
        TRY(model_loss(b->state->net.model, b->tape, b->batch, true, &loss, NULL));
        all_s += pass_s[n] = clock_s() - begin_s;
    }
    qsort(pass_s + 1, (size_t)n - 1, sizeof *pass_s, by_size);
    *micro_s = pass_s[1 + (n - 2) / 2];
out:
    params_bind_grad(b->state->net.params, NULL);
    return rc;
}

/* Rank: collective. */
static Status time_sum(const Job *job, Bench *b, double *sum_s)
{
    Status rc = ST_OK;
    int first, end;
    tree_sum_leaves(b->sum, &first, &end);
    for (int round = 0; round < 2; round++) { /* the first one gets the memory */
        TRY(comm_agree(job->comm, tree_sum_begin(b->sum)));
        const double begin_s = clock_s();
        for (int g = first; g < end; g++) {
            tree_sum_leaf(b->sum);
            tree_sum_leaf_done(b->sum);
        }
        tree_sum_finish(b->sum);
        *sum_s = clock_s() - begin_s;
    }
out:
    return rc;
}

/* Rank: collective. */
static Status time_update(const Job *job, Bench *b, double *update_s)
{
    Status rc = ST_OK;
    TrainState *s = b->state;
    const float *grad = tree_sum_alone(b->sum);
    TRY(comm_agree(job->comm,
                   grad ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "gradient")));
    for (int round = 0; round < 2; round++) {
        const double begin_s = clock_s();
        optim_step(s->optim, s->net.params, grad, 1.0, optim_grad_norm(s->optim, grad, 1.0), 0.0,
                   -1.0);
        *update_s = clock_s() - begin_s;
    }
out:
    return rc;
}

/* A whole micro-batch, or as many of its rows as a few seconds allow at half the rate of products. */
static int64_t rows_to_time(const Plan *p)
{
    const RunConfig *cfg = p->job->cfg;
    const double row_s =
        p->flops_per_step / (double)cfg->global_batch_size / (0.5e9 * p->time.gemm_gflops);
    int64_t n = MOST_S < row_s * (double)cfg->micro_batch_size ? (int64_t)(MOST_S / row_s)
                                                               : cfg->micro_batch_size;
    comm_min_i64(p->job->comm, &n, 1);
    return n > 1 ? n : 1;
}

/* The slowest rank decides. */
static double slowest(const Comm *c, double seconds)
{
    int64_t ns = (int64_t)(seconds * 1e9);
    comm_max_i64(c, &ns, 1);
    return (double)ns * 1e-9;
}

static int64_t most_micro(const RunConfig *cfg, int n_rank)
{
    const int64_t groups = stepper_groups(cfg), per_rank = (groups + n_rank - 1) / n_rank;
    const int64_t n_micro = cfg->global_batch_size / cfg->micro_batch_size;
    return (n_micro * per_rank + groups - 1) / groups;
}

/* With less memory than training takes, timing would measure the swap space. */
static bool fits(const Plan *p)
{
    const double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    int64_t fit = (double)p->memory.node < 0.9 * have;
    comm_min_i64(p->job->comm, &fit, 1);
    return fit;
}

Status plan_calibrate(Plan *p)
{
    Status rc = ST_OK;
    const Job *job = p->job;
    const RunConfig *cfg = job->cfg;
    const int n_rank = comm_size(job->comm);
    PlanTime *t = &p->time;
    Bench b = {0};
    p->time.unknown_why = "a node has less memory than training takes";
    if (!fits(p)) goto out;
    t->gemm_gflops = gemm_rate(omp_get_max_threads()).gflops;
    const int64_t n_row = rows_to_time(p);
    TRY(comm_agree(job->comm, bench_init(job, n_row, &b)));
    TRY(comm_agree(job->comm, time_micro(job, &b, &t->micro_s)));
    TRY(time_sum(job, &b, &t->sum_s));
    TRY(time_update(job, &b, &t->update_s));
    t->micro_s = slowest(job->comm, t->micro_s) * (double)cfg->micro_batch_size / (double)n_row;
    t->sum_s = slowest(job->comm, t->sum_s);
    t->update_s = slowest(job->comm, t->update_s);
    t->step_s = (double)most_micro(cfg, n_rank) * t->micro_s + t->sum_s + t->update_s;
    t->gflops = p->flops_per_step * (double)cfg->micro_batch_size / (double)cfg->global_batch_size /
                t->micro_s * 1e-9;
    t->known = true;
out:
    bench_fini(&b);
    return rc;
}
