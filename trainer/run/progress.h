/* progress.h — the console of a run: a header, then one live line, or plain lines in a log. */
#ifndef TRAINER_RUN_PROGRESS_H
#define TRAINER_RUN_PROGRESS_H
#include "trainer/base/status.h"
#include <stdio.h>

typedef struct Progress Progress;

typedef enum ProgressMode {
    PROGRESS_AUTO,
    PROGRESS_LIVE,
    PROGRESS_PLAIN,
    PROGRESS_QUIET
} ProgressMode;

typedef struct ProgressOpts {
    FILE *out;         /* borrowed; stderr in a run */
    ProgressMode mode; /* AUTO: live when `out`, or the mpirun that forwards it, is on a terminal */
    int64_t logging_steps; /* plain lines: one each so many steps, and one at the end of a part */
    int64_t total_steps;   /* this job will run, all parts together; for the time left */
} ProgressOpts;

/* Rank: local, for the rank that speaks; the others may pass NULL, which says nothing. */
CHECKED Status progress_create(const ProgressOpts *opts, Progress **p);
void progress_destroy(Progress *p); /* leaves the last line standing */

/* "  key          text", before or between the parts. */
void progress_header(Progress *p, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A part is one path of one version, say "v2 branch", up to step `end` of the line. */
void progress_begin(Progress *p, const char *part, int64_t end);

/* After each step. Units: loss in nats, tokens of this step. Time is taken here, so saves and
 * evaluations count. */
void progress_step(Progress *p, int64_t step, double loss, double lr, int64_t tokens);
void progress_end(Progress *p);

/* A line that stays: "checkpoint step-000400 saved". The live line moves below it. */
void progress_note(Progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(Progress *p); /* before somebody else writes to the terminal */

/* "42s", "3m07s", "1h05m", "2d03h"; "?" for NaN and negative times. */
const char *progress_duration(double seconds, char buf[16]);
/* "17", "4.2k", "1.30M", "2.50B" */
const char *progress_count(double x, char buf[16]);
const char *progress_bytes(int64_t n, char buf[16]); /* "17 B", "4.2 kB", "1.30 GB" */
#endif
