/* history.h — metrics.jsonl read back into arrays, for plots: what each path did at each step. */
#ifndef TRAINER_RUN_HISTORY_H
#define TRAINER_RUN_HISTORY_H
#include "trainer/base/status.h"

typedef enum HistoryPath { HISTORY_MAIN, HISTORY_BRANCH, N_HISTORY_PATH } HistoryPath;

typedef struct HistoryStep {
    int64_t step, tokens;
    double loss, lr, seconds; /* NaN where the file says null or nothing */
} HistoryStep;

typedef struct HistoryEval {
    int64_t step;
    int64_t set; /* index into History.set */
    double loss;
} HistoryEval;

/* One metrics.jsonl: of one version of a line, or of a plain run (all main). Steps and evaluations
 * in file order. */
typedef struct History {
    HistoryStep *steps[N_HISTORY_PATH];
    int64_t n_step[N_HISTORY_PATH], cap_step[N_HISTORY_PATH];
    HistoryEval *evals[N_HISTORY_PATH];
    int64_t n_eval[N_HISTORY_PATH], cap_eval[N_HISTORY_PATH];
} History;

typedef struct HistorySets { /* names of held-out sets, in order of appearance */
    char **name;
    int64_t n, cap;
} HistorySets;

/* The index of a name, added when it is new. Errors: ST_FORMAT more than 256 sets, ST_NOMEM. */
CHECKED Status history_set_index(HistorySets *sets, const char *name, int64_t *index);

/* Adds what `file` holds; a missing file is an empty history, lines that are no JSON object (a run
 * may be writing) are passed over. Owns: history_fini, history_sets_fini. Errors: ST_DATA
 * unreadable, ST_NOMEM. */
CHECKED Status history_read(const char *file, HistorySets *sets, History *h);
void history_fini(History *h);
void history_sets_fini(HistorySets *sets);
#endif
