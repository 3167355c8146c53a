/* events.h — what metrics.jsonl says about one path, for TensorBoard, kept up as it grows. */
#ifndef TRAINER_RUN_EVENTS_H
#define TRAINER_RUN_EVENTS_H
#include "trainer/run/metrics.h"

typedef struct Events Events;

/* Starts an event file from what `metrics_file` holds of `path`, in place of the event files that
 * are there: after a resume, which cut metrics.jsonl back, both say the same. TensorBoard shows each
 * directory as one curve, so the main path's file lies in `dir` and a branch's in dir/branch.
 *
 * Rank    local
 * Errors  ST_IO, ST_DATA metrics_file unreadable, ST_NOMEM */
CHECKED Status events_open_from_metrics(const char *dir, const char *path, const char *metrics_file,
                                        Events **e);
CHECKED Status events_step(Events *e, const MetricsStep *s); /* train/loss, train/lr, ... */
CHECKED Status events_eval(Events *e, const MetricsEval *v); /* eval/DATASET */
CHECKED Status events_close(Events **e); /* NULL inside is fine; *e is NULL afterwards */
#endif
