/* train_step.c — the speed of whole optimizer steps beside the speed of one big product, in the same run.
 *
 *   [mpirun -n N] build/release/bench/train_step x.yaml [key=value ...]
 *
 * Steps and products take turns, so that a machine that is busy for a while slows both; medians are compared. FLOPs of a
 * step: 6 per parameter without the input embedding and per token, and attention over the keys that a causal mask
 * leaves. Prints the share of the product's rate last. */
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/run/step.h"
#include "trainer/verb_setup.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_ROUND = 7, N_PRODUCT = 2048 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x)
{
    qsort(x, N_ROUND, sizeof *x, by_value);
    return x[N_ROUND / 2];
}

/* One product on all ranks at once, as a step uses them. Returns the rate of all ranks together. */
static double product_gflops(const Comm *c, float *x)
{
    const int64_t n = N_PRODUCT;
    const Mat a = {x, n, DT_F32, false}, b = {x + n * n, n, DT_F32, true};
    comm_barrier(c);
    const double begin = clock_s();
    gemm(n, n, n, a, b, 0, x + 2 * n * n, n);
    comm_barrier(c);
    return 2e-9 * (double)(n * n * n) * comm_size(c) / (clock_s() - begin);
}

static Status measure(const Comm *c, const Job *job, TrainState *s, Stepper *st, float *x)
{
    Status rc = ST_OK;
    const RunConfig *cfg = job->cfg;
    const int64_t T = cfg->pack.max_seq_length, tokens = cfg->global_batch_size * T;
    const double flops = (double)tokens * (model_flops_per_token(s->net.model, T) -
                                           model_attention_flops_per_token(s->net.model, T));
    double step[N_ROUND], product[N_ROUND];
    StepResult r;
    product_gflops(c, x); /* both warm up once */
    TRY(stepper_run(st, job_own(job), 0, (SchedPoint){1e-4, -1}, &r));
    for (int i = 0; i < N_ROUND; i++) {
        product[i] = product_gflops(c, x);
        const double begin = clock_s();
        TRY(stepper_run(st, job_own(job), (i + 1) * cfg->global_batch_size, (SchedPoint){1e-4, -1},
                        &r));
        comm_barrier(c);
        step[i] = 1e-9 * flops / (clock_s() - begin);
    }
    if (comm_rank(c) != 0) goto out;
    const double rate = median(step), peak = median(product);
    printf("%lld parameters, %lld tokens a step, micro-batches of %lld x %lld, %d ranks x %d "
           "threads\n",
           LL(params_n_elem(s->net.params)), LL(tokens), LL(cfg->micro_batch_size), LL(T),
           comm_size(c), omp_get_max_threads());
    printf("training   %8.1f GFLOP/s  %8.0f tokens/s\nproduct    %8.1f GFLOP/s  (%d x %d x %d)\n",
           rate, 1e9 * rate / (flops / (double)tokens), peak, N_PRODUCT, N_PRODUCT, N_PRODUCT);
    printf("%.3f\n", rate / peak);
out:
    return rc;
}

static Status run(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    RunConfig *cfg = NULL;
    Job *job = NULL;
    TrainState *s = NULL;
    Stepper *st = NULL;
    float *x = mem_array(3 * N_PRODUCT * N_PRODUCT, sizeof *x);
    TRY(comm_agree(world, x ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "matrices")));
    for (int64_t i = 0; i < 2 * N_PRODUCT * N_PRODUCT; i++) x[i] = (float)(i % 7 - 3);
    TRY(setup_config(world, argc, argv, NULL, 0, &cfg));
    TRY(setup_machine(world, cfg->gemm_backend, cfg->compute_dtype, cfg->threads));
    TRY(job_open(world, cfg, JOB_LOOK, &job));
    TRY(comm_agree(world, state_create(world, cfg, &s)));
    TRY(comm_agree(world, state_start(s)));
    TRY(stepper_create(world, s, &st));
    TRY(measure(world, job, s, st, x));
out:
    stepper_destroy(st);
    state_destroy(s);
    job_close(job);
    config_destroy(cfg);
    mem_free(x);
    return rc;
}

int main(int argc, char **argv)
{
    Comm *world = NULL;
    gemm_fix_environment(argv);
    Status rc = comm_start(&argc, &argv, &world);
    if (rc == ST_OK) rc = comm_agree(world, run(world, argc, argv));
    if (rc != ST_OK) LOG_E("%s", status_message());
    comm_finish(world);
    return status_exit_code(rc);
}
