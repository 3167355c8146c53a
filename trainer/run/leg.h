/* leg.h — runs one leg: from its newest checkpoint to its end, which is published. */
#ifndef TRAINER_RUN_LEG_H
#define TRAINER_RUN_LEG_H
#include "trainer/run/job.h"
#include "trainer/run/progress.h"
#include "trainer/run/step.h"
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

/* The step at which a leg would go on: `from` while nothing of it is on disk, `to` when nothing is
 * left to do. Rank: local. Errors: those of leg_look, ST_FORMAT all its checkpoints are damaged */
CHECKED Status leg_reached(const Job *job, const Leg *leg, int64_t *step);

/* The step s->step of a leg: its samples, its rate, its share in the running mean.
 * Rank    collective
 * Errors  those of stepper_run */
CHECKED Status leg_compute(const Job *job, const Leg *leg, TrainState *s, Stepper *st,
                           StepResult *out);

typedef struct LegRun LegRun; /* opaque: a leg that is being run */

/* Loads the state the leg goes on from; nothing is written. progress: on the rank that speaks for
 * the job; NULL on all others.
 * Rank    collective over comm (the world, or the part that runs this leg)
 * Errors  ST_DATA or ST_FORMAT there is nothing to start from, or it is damaged; ST_CONFIG; ST_NOMEM
 * Owns    *run is the caller's (leg_close), also after a failure; it borrows all that is given */
CHECKED Status leg_open(const Comm *comm, const Job *job, const Leg *leg, Progress *progress,
                        LegRun **run);
/* Clears away what killed jobs left: half checkpoints, metrics past the state. Rank: as leg_open. */
CHECKED Status leg_begin(LegRun *run);
/* Steps to the end of the leg. Rank: as leg_open.
 * Errors  ST_STOPPED after a checkpoint, when a signal asked for it; ST_NONFINITE; ST_IO with the
 * last checkpoint intact */
CHECKED Status leg_run(LegRun *run);
void leg_close(LegRun *run);

int64_t leg_step_at(const LegRun *run); /* steps done along the line */
/* Steps that killed jobs had executed past their last checkpoint; known to the first rank. */
int64_t leg_steps_lost(const LegRun *run);

/* The held-out sets a version is judged by: those of all versions up to it, then its eval_datasets.
 * NULL past the end. */
const TokenSet *leg_held_out_at(const Job *job, int64_t i, char name[LINE_NAME * 2 + 2]);

/* Program, GEMM backend and kernels, compute dtype, reduction groups, and the blocks a prefix cache keeps where there is
 * one. A new reference, or NULL. */
json_t *numerics_fingerprint(int n_group, int64_t n_prefix_block);
#endif
