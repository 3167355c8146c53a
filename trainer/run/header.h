/* header.h — what a run says before it spends time: what is trained, on what, for how long, with
 * which kernels. */
#ifndef TRAINER_RUN_HEADER_H
#define TRAINER_RUN_HEADER_H
#include "trainer/run/plan.h"
#include "trainer/run/progress.h"

/* Prints the header and gives the progress line of the job. Rank: local (rank 0). */
CHECKED Status header_print(const Plan *plan, Progress **progress);
#endif
