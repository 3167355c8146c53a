/* sys.h — system calls that tests can break, for the sources of this folder. */
#ifndef TRAINER_IO_SYS_H
#define TRAINER_IO_SYS_H
#include "trainer/base/mem.h"
#include "trainer/base/status.h"
#include <errno.h>
#include <string.h>

/* The call's value, or -1 with errno EIO when it is this call's turn to fail. */
#define SYS(call) (fault_here() ? (errno = EIO, -1) : (call))

/* Opens a regular file for reading and tells its length; *fd is -1 or the caller's to close, also
 * when it fails (ST_DATA). */
CHECKED Status sys_open_regular(const char *path, int *fd, int64_t *n_bytes);
#endif
