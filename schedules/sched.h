/* sched.h — learning rate (and beta2) as a pure function of the step. */
#ifndef SCHEDULES_SCHED_H
#define SCHEDULES_SCHED_H
#include "trainer/base/opt.h"

/* lr: the rate of the update that ends this step. beta2 < 0: the optimizer keeps its own. */
typedef struct SchedPoint {
    double lr, beta2;
} SchedPoint;

typedef enum SchedPath { SCHED_MAIN, SCHED_BRANCH } SchedPath;

/* Where in a run a step lies. For a plain run: path SCHED_MAIN, first = 0, branch = end = n_step.
 */
typedef struct SchedSpan {
    SchedPath path;
    int64_t step;   /* 0-based, along the line */
    int64_t first;  /* first step of the version being trained */
    int64_t branch; /* b_k: its branch point */
    int64_t end;    /* first step after the version */
} SchedSpan;

typedef struct SchedDef {
    const char *name;    /* the word of lr_scheduler_type */
    const OptSpec *opts; /* its own options, beside SCHED_COMMON_OPTS */
    size_t opts_size;
    SchedPoint (*at)(const void *opts, const SchedSpan *s); /* pure, finite, lr >= 0 */
    Status (*check)(const void *opts,
                    const SchedSpan *s); /* (optional) refuses spans it cannot serve */
} SchedDef;

const SchedDef *sched_find(const char *name); /* NULL: unknown */
const SchedDef *const *sched_all(int64_t *n);

/* Refuses options and spans that no rate can be given for; called once before the run.
 * Rank    replicated
 * Errors  ST_CONFIG min_lr above learning_rate, a shape that needs min_lr > 0 */
CHECKED Status sched_check(const SchedDef *def, const void *opts, const SchedSpan *s);

/* Options every schedule has; the struct of each schedule starts with them, its own table follows
 * after them. Units: rates per step. */
typedef struct SchedCommon {
    double learning_rate; /* the maximal rate */
    double min_lr;        /* absolute; < 0: from min_lr_ratio */
    double min_lr_ratio;  /* of learning_rate */
    double
        warmup_steps; /* >= 1: steps; < 1: fraction of the run (of the first version in a line) */
} SchedCommon;
extern const OptSpec SCHED_COMMON_OPTS[];
#endif
