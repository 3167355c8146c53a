/* branch_from.h — another decay from a saved point of a main path: which point, whose data. */
#ifndef TRAINER_RUN_BRANCH_FROM_H
#define TRAINER_RUN_BRANCH_FROM_H
#include "checkpoints/line.h"
#include "trainer/run/config.h"

typedef struct BranchFrom {
    Line *line; /* that holds the point */
    const LineVersion
        *of;        /* the version whose data the branch decays over, from `step` to its end */
    RunConfig *cfg; /* the one that version was trained with */
    int64_t step;
    char point[LINE_DIR]; /* the checkpoint, below the line */
} BranchFrom;

/* Finds LINE@POINT. POINT is the name of a version, of which it means the branch point, or a step
 * at which the main path has a checkpoint.
 *
 * Rank    local (all ranks may read)
 * Errors  ST_DATA no such line, version or checkpoint; ST_CONFIG a line of another paradigm */
CHECKED Status branch_from_open(const char *where, BranchFrom **b);
void branch_from_close(BranchFrom *b);

/* A further branch may differ from its version in how it decays, and in nothing else that matters.
 * Without datasets it has those of the version. Rank: local. Errors: ST_CONFIG naming what differs */
CHECKED Status branch_from_check(const BranchFrom *b, const RunConfig *cfg);
#endif
