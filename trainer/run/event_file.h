/* event_file.h — TensorBoard's file format: records with checksums, each an event with scalars. */
#ifndef TRAINER_RUN_EVENT_FILE_H
#define TRAINER_RUN_EVENT_FILE_H
#include "trainer/base/status.h"

typedef struct EventFile EventFile; /* opaque: being written */

/* Creates `path` (which must not exist) and declares the start of a session at `step`: readers
 * forget what earlier files of the directory say about steps from there on.
 *
 * Rank    local
 * Errors  ST_IO, ST_NOMEM
 * Source  docs/formats.md, "Event files" */
CHECKED Status event_file_create(const char *path, int64_t step, EventFile **f);

/* Adds the scalar "group/name", stored as float, to the event that event_file_put writes. */
void event_file_scalar(EventFile *f, const char *group, const char *name, double value);
CHECKED Status event_file_put(EventFile *f, int64_t step,
                              double time_s);   /* nothing was added: nothing is written */
CHECKED Status event_file_close(EventFile **f); /* NULL inside is fine; *f is NULL afterwards */

double event_time_s(void);                            /* now, in seconds since 1970 */
uint32_t event_crc32c(const void *p, size_t n_bytes); /* Castagnoli; for readers and tests */
#endif
