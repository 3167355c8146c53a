/* path_plan.h — the arithmetic of path switching: which steps a version has, and what a line costs.
 *
 * Pure integers, shared by plan, training and ledger, so that they round alike. Units: optimizer
 * steps, counted along the line from 0. Rank: replicated. Source: docs/path-switching.md. */
#ifndef SCHEDULES_PATH_PLAN_H
#define SCHEDULES_PATH_PLAN_H
#include "trainer/base/status.h"

typedef struct PathVersion { /* what is known of a version before it is planned */
    int64_t n_sample;        /* sequences of new data (with max_steps: those it takes) */
    int64_t global_batch;    /* sequences per step */
    double decay_fraction;   /* alpha, in [0,1]; 0: the release is the main path itself */
} PathVersion;

typedef struct PathSteps { /* where it lies on the line */
    int64_t n_step;        /* T_k = floor(n_sample / global_batch) */
    int64_t n_left;        /* samples that fill no batch and are not seen */
    int64_t first;         /* the end of the version before */
    int64_t branch;        /* b_k = first + T_k - floor(alpha T_k + 0.5) */
    int64_t end;           /* first + T_k */
} PathSteps;

/* Plans the version that starts at step `first`.
 * Errors  ST_CONFIG alpha not in [0,1], or so small that no step of the version would decay;
 *         ST_DATA less than one batch */
CHECKED Status path_plan_version(const PathVersion *v, int64_t first, PathSteps *steps);

/* Plans versions 0 .. n-1, one after the other; `steps` has room for n. Errors: as above. */
CHECKED Status path_plan_line(const PathVersion *v, int64_t n, PathSteps *steps);

/* Steps executed until all n versions are released.
 *
 * Math    from_scratch   sum_k sum_{j<=k} T_j: version k trains on the steps 0 .. end_k
 *         continual      sum_k T_k
 *         lazy           sum_k T_k + sum_{k<n} (end_k - b_k): a version's main tail is run by its successor
 *         eager          sum_k T_k + sum_k (end_k - b_k): the tail is run at once (concurrent, averaged) */
typedef struct PathCost {
    int64_t from_scratch, continual, lazy, eager;
    double continual_ratio, lazy_ratio, eager_ratio; /* to from_scratch; 0 when n = 0 */
} PathCost;
PathCost path_plan_cost(const PathSteps *steps, int64_t n);
#endif
