/* train.h — the story of a run, from a config to a release. */
#ifndef TRAINER_RUN_TRAIN_H
#define TRAINER_RUN_TRAIN_H
#include "trainer/run/config.h"

/* Rank    collective
 * Errors  every failure of a run, agreed by all ranks; ST_STOPPED after a checkpoint on request */
CHECKED Status train(const Comm *world, const RunConfig *cfg);
#endif
