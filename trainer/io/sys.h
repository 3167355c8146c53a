/* sys.h — system calls that tests can break, for the sources of this folder. */
#ifndef TRAINER_IO_SYS_H
#define TRAINER_IO_SYS_H
#include "trainer/base/mem.h"
#include <errno.h>
#include <string.h>

/* The call's value, or -1 with errno EIO when it is this call's turn to fail. */
#define SYS(call) (fault_here() ? (errno = EIO, -1) : (call))
#endif
