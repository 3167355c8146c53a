/* buffer.c — bytes that grow by half. */
#include "data/buffer.h"
#include "trainer/base/mem.h"
#include <string.h>

void buffer_fini(Buffer *b)
{
    mem_free(b->s);
    *b = (Buffer){0};
}

Status buffer_reserve(Buffer *b, size_t more)
{
    Status rc = ST_OK;
    if (b->n + more < b->cap) goto out;
    const size_t cap = b->n + more + b->n / 2 + 4096;
    char *wider = mem_resize(b->s, b->n, cap);
    CHECK(wider, NOMEM, "text and tokens: %zu bytes", cap);
    b->s = wider;
    b->cap = cap;
out:
    return rc;
}

Status buffer_add(Buffer *b, const void *bytes, size_t n)
{
    Status rc = ST_OK;
    TRY(buffer_reserve(b, n));
    memcpy(b->s + b->n, bytes, n);
    b->n += n;
    b->s[b->n] = '\0';
out:
    return rc;
}
