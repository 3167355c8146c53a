/* best.h — the best of a plain run's evaluations: which weights it ends with, and when it has seen enough. */
#ifndef TRAINER_RUN_BEST_H
#define TRAINER_RUN_BEST_H
#include "trainer/run/config.h"

typedef struct Best {
    int64_t step; /* steps done when it was evaluated; 0: no evaluation yet */
    double loss;
    int64_t n_worse; /* evaluations since then, none of them better by early_stopping_threshold */
} Best;

bool best_is_wanted(const RunConfig *cfg); /* an option asks for it */

/* The number evaluations are compared by: the loss of metric_for_best_model, else the mean over all sets.
 * held_out: { dataset: nats per token }
 * Errors  ST_CONFIG there is no held-out data, or none of that name */
CHECKED Status best_metric(const RunConfig *cfg, const json_t *held_out, double *loss);

/* Takes an evaluation in; true when it is the best so far. Rank: replicated. */
bool best_take(const RunConfig *cfg, Best *b, int64_t step, double loss);
bool best_is_over(const RunConfig *cfg, const Best *b); /* patience has run out */

json_t *best_to_json(const Best *b); /* NULL before the first evaluation; new reference */
Best best_from_json(const json_t *j);
#endif
