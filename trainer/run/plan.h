/* plan.h — all that is known of a job before a core-hour is spent: what is trained, on what, and what
 * it takes. */
#ifndef TRAINER_RUN_PLAN_H
#define TRAINER_RUN_PLAN_H
#include "trainer/run/job.h"
#include "trainer/run/network.h"
#include "trainer/run/text.h"
#include <jansson.h>

/* Of one rank, while it trains. Units: bytes. */
typedef struct PlanMemory {
    int64_t program;        /* what the process held before the model: libraries, MPI */
    int64_t weights;        /* that are trained */
    int64_t frozen, mapped; /* the others: copies of this rank; in files, one copy for a node */
    int64_t gradients, optimizer, average, activations, data;
    int64_t saving; /* beside the rest while a checkpoint is written: a part, what checks it, a copy
                     * of the state; slots that are shared out or packed, once whole, less the gradients */
    int64_t total;  /* the sum */
    int64_t node;   /* of all ranks of this node; what is mapped once */
} PlanMemory;

typedef struct PlanDisk {   /* Units: bytes */
    int64_t full, weights;  /* one checkpoint with the optimizer, one without */
    int64_t periodic, kept; /* what the job will add: rotated ones, those that stay */
    int64_t free;           /* where output_dir is */
} PlanDisk;

/* Steps until a number of versions is released, under each paradigm. */
typedef struct PlanCost {
    int64_t n_version;
    bool so_far; /* the versions of this line; else as many of this one's size */
    PathCost steps;
    int64_t path_switching; /* lazy or eager, as the config has it */
} PlanCost;

/* From a few micro-batches of the real model. Units: seconds; GFLOP/s of one rank. */
typedef struct PlanTime {
    bool known;
    const char *unknown_why;
    double micro_s, sum_s,
        update_s; /* forward and backward of one micro-batch; ordered sum; update */
    double step_s;
    double gflops, gemm_gflops; /* of forward and backward; of a big product alone */
} PlanTime;

enum { PLAN_MAX_COST = 4 };

typedef struct Plan {
    const Job *job;
    Network net;                  /* names and shapes only */
    int64_t reached[JOB_MAX_LEG]; /* the step at which each leg goes on */
    int64_t steps_left;
    int64_t tokens_per_step;
    double flops_per_step;
    int n_core; /* ranks x threads */
    int64_t n_cost;
    PlanCost cost[PLAN_MAX_COST];
    PlanMemory memory;
    PlanDisk disk;
    PlanTime time;
} Plan;

/* Writes nothing. With `calibrate` a few seconds are spent on timing, unless memory is short.
 * Rank    collective
 * Errors  those of leg_reached; ST_NOMEM
 * Owns    borrows job */
CHECKED Status plan_create(const Job *job, bool calibrate, Plan **plan);
void plan_destroy(Plan *p);

double plan_core_hours(const Plan *p, int64_t steps); /* NaN: unknown */

/* Fills p->time. Rank: collective. */
CHECKED Status plan_calibrate(Plan *p);

/* What is trained and what is frozen, with one line for those that are alike in all blocks. */
void plan_add_params(const Plan *p, Text *out);
json_t *plan_params_json(const ParamSet *ps, bool frozen); /* NULL: no memory */
json_t *plan_methods_json(const Plan *p);

/* All of these add to `out`. Rank: local. Errors: ST_NOMEM. Source: docs/formats.md */
CHECKED Status plan_text(const Plan *p, Text *out);
CHECKED Status plan_json(const Plan *p, Text *out);
/* "version,path,step,lr": every step of the line up to the job's end, in the order of the runs. */
CHECKED Status plan_lr(const Job *job, Text *out);

/* Is there room for what the job will write? Rank: local (rank 0). Errors: ST_IO with both numbers */
CHECKED Status plan_check_disk(const Job *job);
#endif
