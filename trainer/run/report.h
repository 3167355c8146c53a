/* report.h — a run as one self-contained HTML page. */
#ifndef TRAINER_RUN_REPORT_H
#define TRAINER_RUN_REPORT_H
#include "trainer/base/status.h"

/* Reads what lies below `dir` (line.json, metrics.jsonl, status.json, the resolved config) and
 * writes the page to `file` (NULL: dir/report.html), atomically. A line may be unfinished; a plain
 * run has no line.json.
 *
 * Rank    local
 * Errors  ST_DATA no run there, or gnuplot is not installed; ST_FORMAT line.json damaged; ST_IO */
CHECKED Status report_write(const char *dir, const char *file);
#endif
