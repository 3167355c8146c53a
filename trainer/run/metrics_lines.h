/* metrics_lines.h — metrics.jsonl read back, line by line. */
#ifndef TRAINER_RUN_METRICS_LINES_H
#define TRAINER_RUN_METRICS_LINES_H
#include "trainer/base/status.h"
#include <jansson.h>

enum { METRICS_MAX_BYTES = INT32_MAX }; /* two GiB: some five million steps */

/* Calls `each` for every line that is a JSON object, in order; stops at its first failure. A
 * missing file has no lines; a torn last line (a run may be writing) and damaged ones are passed over.
 *
 * Rank    local
 * Errors  ST_DATA unreadable, ST_NOMEM, and those of `each` */
CHECKED Status metrics_each(const char *file, Status (*each)(void *self, const json_t *line),
                            void *self);
#endif
