/* leg.h — runs one leg: from its newest checkpoint to its end, which is published. */
#ifndef TRAINER_RUN_LEG_H
#define TRAINER_RUN_LEG_H
#include "trainer/run/job.h"
#include "trainer/run/progress.h"
#include <jansson.h>

/* What is known of a finished leg, read from the checkpoint at its end. */
typedef struct LegEnd {
    bool done;
    LinePoint point;
    double core_seconds;
    json_t *held_out; /* losses by name, of a release; new reference or NULL */
} LegEnd;

/* done is false when the leg's end is not on disk yet. Rank: local (all ranks may read).
 * Errors  ST_DATA something else lies where the leg should end */
CHECKED Status leg_look(const Job *job, const Leg *leg, LegEnd *end);

/* True when a later leg has taken over from this one, so that its end is no longer needed. Rank:
 * local. */
CHECKED Status leg_is_superseded(const Job *job, const Leg *leg, bool *superseded);

/* progress: on the rank that speaks for the job; NULL on all others. steps_lost: steps that killed jobs had executed past their last checkpoint.
 * Rank    collective over comm (the world, or the part that runs this leg)
 * Errors  ST_STOPPED after a checkpoint, when a signal asked for it; ST_NONFINITE; ST_IO with the
 * last checkpoint intact */
CHECKED Status leg_run(const Comm *comm, const Job *job, const Leg *leg, Progress *progress,
                       int64_t *steps_lost);

/* The held-out sets a version is judged by: those of all versions up to it, then its eval_datasets.
 * NULL past the end. */
const TokenSet *leg_held_out_at(const Job *job, int64_t i, char name[LINE_NAME * 2 + 2]);

json_t *numerics_fingerprint(
    int n_group); /* program, GEMM backend and kernels, compute dtype, groups; new reference */
#endif
