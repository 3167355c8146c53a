/* state.h — all that a later step depends on: weights, optimizer slots, counters, the running mean
 * of the main path. */
#ifndef TRAINER_RUN_STATE_H
#define TRAINER_RUN_STATE_H
#include "checkpoints/ckpt.h"
#include "optim/optim.h"
#include "trainer/run/best.h"
#include "trainer/run/network.h"

typedef struct TrainState {
    const RunConfig *cfg;
    Network net;
    Optim *optim;
    int64_t step;        /* next to run, along the line */
    int64_t tokens;      /* inputs consumed by this lineage */
    int64_t skipped;     /* updates left out because something was not finite */
    double lr;           /* of the last step; NaN before the first */
    double core_seconds; /* spent on the present leg, lost work not counted */
    Best best;           /* of the evaluations of a plain run */
    float *average;      /* running mean of the weights; NULL when the config asks for none */
    int64_t n_average;   /* weights in it */
} TrainState;

/* For the ranks of c, which may share out the slots. Rank: local. Owns: borrows c and cfg. */
CHECKED Status state_create(const Comm *c, const RunConfig *cfg, TrainState **s);
void state_destroy(TrainState *s);
/* The weights a run starts from: of init_from, of the stored model, or random from the seed. Step 0.
 * Rank    local
 * Errors  those of network_start and ckpt_read */
CHECKED Status state_start(TrainState *s);

/* What a checkpoint says beside the tensors. */
typedef struct SaveNote {
    const char *kind, *version;
    int64_t samples;        /* of the version's data consumed */
    const json_t *numerics; /* the fingerprint of this program on this machine */
    json_t *held_out;       /* losses by name, of a release; may be NULL */
} SaveNote;

/* Writes the state to dir; a release holds weights alone unless with_optimizer.
 * Rank: collective. Errors: those of ckpt_write_begin and _end. */
CHECKED Status state_save(const Comm *c, TrainState *s, const SaveNote *note, bool with_optimizer,
                          const char *dir);
/* The same in two parts: the state is that at the begin. */
CHECKED Status state_save_begin(const Comm *c, TrainState *s, const SaveNote *note,
                                bool with_optimizer, const char *dir, bool background,
                                CkptWrite **w);
CHECKED Status state_save_end(CkptWrite *w);

/* Most that a checkpoint with the optimizer, and one with the weights alone, take on disk. Nothing
 * is made. Rank: local. */
CHECKED Status state_disk_bytes(const RunConfig *cfg, int64_t *full, int64_t *weights);

/* Reads a whole state back; weights_only leaves optimizer and counters fresh.
 * Rank    collective; every rank reads
 * Errors  ST_DATA a tensor is missing or has another shape: both are named; ST_FORMAT damaged */
CHECKED Status state_load(const Comm *c, TrainState *s, const char *dir, bool weights_only);

/* Are the weights, slots and counters in dir those of s, bit for bit? What dir does not hold (a
 * release has no optimizer) and what other ranks hold is passed over. Rank: local.
 * Errors  ST_DATA naming the first tensor or counter that differs; ST_FORMAT damaged */
CHECKED Status state_compare(const TrainState *s, const char *dir);

/* Adds the present weights to the running mean. Math: mean += (w - mean) / n, element by element.
 * Rank: replicated. */
void state_average(TrainState *s);
void state_average_reset(TrainState *s);
void state_swap_average(TrainState *s); /* the mean becomes the weights, and back */
#endif
