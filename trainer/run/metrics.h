/* metrics.h — metrics.jsonl: one JSON object a line for each optimizer step and each evaluation. */
#ifndef TRAINER_RUN_METRICS_H
#define TRAINER_RUN_METRICS_H
#include "trainer/base/status.h"

typedef struct Metrics Metrics; /* opaque: an open metrics.jsonl */

typedef struct MetricsField { /* any further number under a name of its own */
    const char *name;
    double value;
} MetricsField;

typedef struct MetricsStep {
    const char *path;    /* main | branch */
    const char *version; /* whose data is trained; NULL in a plain run */
    int64_t step;        /* 0-based, along the line */
    double loss;         /* nats per labelled token */
    double lr;
    int64_t tokens; /* inputs consumed by this lineage, this step included */
    double grad_norm;
    double tokens_per_s;
    double seconds;         /* of this step */
    const char *batch_hash; /* NULL: left out */
    const MetricsField *extra;
    int64_t n_extra;
} MetricsStep;

typedef struct MetricsEval {
    const char *path, *version;
    int64_t step;     /* the last step done; first step - 1 before any */
    const char *eval; /* name of the dataset */
    double loss;      /* nats per labelled token */
    int64_t tokens;   /* labelled tokens scored */
    double seconds;
    const MetricsField *extra;
    int64_t n_extra;
} MetricsEval;

/* Removes what a run that goes on at `step` writes again: lines of `path` with a step >= `step`,
 * a torn last line, and (with a warning) lines that are no JSON object. All other bytes stay.
 * A missing file is fine.
 * *n_steps (NULL: not asked) is the number of optimizer steps among them: work that was lost.
 *
 * Rank    local; safe while another process of this node appends to the same file for its own path
 * Errors  ST_IO, ST_DATA unreadable, ST_NOMEM */
CHECKED Status metrics_cut(const char *file, const char *path, int64_t step, int64_t *n_steps);

/* Opens for appending, one write a line. Rank: local (rank 0 of whoever trains). */
CHECKED Status metrics_open(const char *file, Metrics **m);
/* Each line also gets `time`, in seconds since 1970. Numbers that are not finite become null. */
CHECKED Status metrics_step(Metrics *m, const MetricsStep *s);
CHECKED Status metrics_eval(Metrics *m, const MetricsEval *e);
CHECKED Status metrics_sync(Metrics *m);   /* before the checkpoint that claims these steps */
CHECKED Status metrics_close(Metrics **m); /* NULL inside is fine; *m is NULL afterwards */
#endif
