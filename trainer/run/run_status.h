/* run_status.h — status.json: how the job stands, for schedulers and people. */
#ifndef TRAINER_RUN_RUN_STATUS_H
#define TRAINER_RUN_RUN_STATUS_H
#include "trainer/base/status.h"

typedef enum RunState { RUN_RUNNING, RUN_DONE, RUN_STOPPED, RUN_FAILED } RunState;

/* done, stopped or failed: what a job that ends with `rc` was. */
RunState run_state_of(Status rc);

typedef struct RunStatus {
    RunState state;
    Status code;         /* ST_OK while running */
    const char *message; /* one line for people; NULL: the text of `code` */
    const char *version; /* NULL in a plain run */
    const char *path;    /* main | branch; NULL: none yet */
    int64_t step;        /* steps done along the line */
} RunStatus;

/* Writes dir/status.json, replacing the old one atomically. Rank: local (rank 0 alone). */
CHECKED Status run_status_write(const char *dir, const RunStatus *s);
#endif
