/* replay.h — steps run a second time from a checkpoint, into nowhere, and compared with what the run
 * wrote down. */
#ifndef TRAINER_RUN_REPLAY_H
#define TRAINER_RUN_REPLAY_H
#include "trainer/run/leg.h"

typedef struct Replay {
    char *dir; /* of the checkpoint */
    /* That lies beside the run, of the version whose data comes next; with the checkpoint's kernels. */
    RunConfig *cfg;
    Job *job;
    Leg leg;          /* from the checkpoint on */
    json_t *numerics; /* the fingerprint in the checkpoint */

    int64_t n_step; /* run again, all of them compared */
    json_t *equal;  /* checkpoints met on the way, all the same: {dir, step, payload_sha256} */
    char *unlike;   /* NULL, or what of the fingerprint is not as it was */
} Replay;

/* Finds the run around a checkpoint, the config and the data that come next. From a branch point
 * that is the branch.
 *
 * Rank    collective
 * Errors  ST_DATA no checkpoint with an optimizer, no run around it, config or data edited since */
CHECKED Status replay_open(const Comm *comm, const char *dir, Replay **r);
void replay_close(Replay *r);

/* Runs up to n_step steps, as many as are written down. Kernels are set up (setup_machine).
 * Losses, gradient norms, rates and batches must equal those in metrics.jsonl, tensors and counters
 * those of each checkpoint on the way, bit for bit.
 *
 * Rank    collective
 * Errors  ST_DATA naming the first step or tensor that differs; nothing is written down */
CHECKED Status replay_run(Replay *r, int64_t n_step);
#endif
