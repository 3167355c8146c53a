/* mapped.h — a file as read-only memory, shared by all processes that map it.
 *
 * A file that is cut while it is mapped makes the reads of the lost pages raise SIGBUS. Inside a
 * file that is mapped here this ends the process with one line naming the file and the exit code of
 * ST_IO; elsewhere SIGBUS does what it did before. */
#ifndef TRAINER_IO_MAPPED_H
#define TRAINER_IO_MAPPED_H
#include "trainer/base/status.h"

typedef struct Mapped Mapped;

/* Maps the whole file.
 *
 * Rank    local; opening and closing is for one thread at a time, reading for all
 * Errors  ST_DATA missing, unreadable, not a regular file, or empty
 * Owns    *m is the caller's (mapped_close) */
CHECKED Status mapped_open(const char *path, Mapped **m);
void mapped_close(Mapped *m); /* accepts NULL */

const void *mapped_data(const Mapped *m); /* begins on a page */
int64_t mapped_bytes(const Mapped *m);
const char *mapped_path(const Mapped *m); /* as it was opened */
#endif
