/* buffer.h — bytes that grow. */
#ifndef DATA_BUFFER_H
#define DATA_BUFFER_H
#include "trainer/base/status.h"

typedef struct Buffer { /* {0} is empty */
    char *s;            /* a NUL stands behind the bytes once there are any */
    size_t n, cap;
} Buffer;

void buffer_fini(Buffer *b); /* leaves it empty */
/* Room for `more` bytes behind the n that are there; grows by half, so a big one is not held twice
 * over. Errors: ST_NOMEM */
CHECKED Status buffer_reserve(Buffer *b, size_t more);
CHECKED Status buffer_add(Buffer *b, const void *bytes, size_t n);
#endif
