/* step.h — one optimizer step: micro-batches forward and backward, the ordered sum, clipping, the
 * update. */
#ifndef TRAINER_RUN_STEP_H
#define TRAINER_RUN_STEP_H
#include "trainer/run/job.h"
#include "trainer/run/state.h"

typedef struct Stepper Stepper; /* tape, batch and gradient buffers, made once per communicator,
                                   * which is that of the state */

typedef struct StepResult {
    double loss;      /* nats per labelled token of the global batch */
    double grad_norm; /* before clipping */
    int64_t n_label;
    bool stop;           /* some rank was asked to stop */
    bool saved;          /* all ranks are through with the checkpoint of stepper_watch */
    bool skipped;        /* not finite, and on_nonfinite: skip */
    char batch_hash[17]; /* of the sample ids in order: the same batch gives the same text */
} StepResult;

CHECKED Status stepper_create(const Comm *c, TrainState *s, Stepper **st);
void stepper_destroy(Stepper *st);
void stepper_rest(Stepper *st); /* gives the gradients' memory back until the next step */
json_t *stepper_numerics(const Stepper *st); /* numerics_fingerprint; a new reference, or NULL */
int stepper_groups(const RunConfig *cfg);    /* that a stepper of this config will use */

/* Trains on samples [first, first + global batch) of v at the given rate.
 * Rank    collective
 * Errors  ST_NONFINITE naming step and micro-batch; the weights are as they were */
CHECKED Status stepper_run(Stepper *st, const Version *v, int64_t first_sample, SchedPoint at,
                           StepResult *out);

/* The steps to come tell whether it is written: with what the ranks exchange anyway. NULL: none.
 * Rank: replicated. Owns: borrows save until the next call. */
void stepper_watch(Stepper *st, const CkptWrite *save);

/* Mean loss of a token set in nats per labelled token, over at most max_tokens inputs (0: all).
 * Rank    collective; rows are shared out, the sum is taken in row order */
CHECKED Status stepper_evaluate(Stepper *st, const TokenSet *set, int64_t max_tokens, double *loss,
                                int64_t *n_label);
#endif
