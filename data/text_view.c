/* text_view.c — buffers of text with the origin of every byte. */
#include "data/text_view.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <string.h>

void text_buf_fini(TextBuf *b)
{
    mem_free(b->s);
    mem_free(b->origin);
    *b = (TextBuf){0};
}

Status text_buf_reserve(TextBuf *b, int64_t more)
{
    Status rc = ST_OK;
    if (b->s && b->n + more <= b->cap) goto out;
    const size_t n = (size_t)b->n, cap = n + (size_t)more + n / 2 + 256;
    char *s = mem_resize(b->s, n, cap);
    CHECK(s, NOMEM, "a text of %zu bytes", cap);
    b->s = s;
    int64_t *origin = mem_resize(b->origin, n * sizeof *origin, cap * sizeof *origin);
    CHECK(origin, NOMEM, "a text of %zu bytes", cap);
    b->origin = origin;
    b->cap = (int64_t)cap;
out:
    return rc;
}

Status text_buf_add(TextBuf *b, const char *s, int64_t n, int64_t origin)
{
    Status rc = ST_OK;
    TRY(text_buf_reserve(b, n));
    memcpy(b->s + b->n, s, (size_t)n);
    for (int64_t i = 0; i < n; i++) b->origin[b->n + i] = origin;
    b->n += n;
out:
    return rc;
}

Status text_buf_copy(TextBuf *b, const TextView *v, int64_t from, int64_t to)
{
    Status rc = ST_OK;
    TRY(text_buf_reserve(b, to - from));
    memcpy(b->s + b->n, v->s + from, (size_t)(to - from));
    for (int64_t i = from; i < to; i++) b->origin[b->n++] = view_end(v, i + 1);
out:
    return rc;
}

/* Bytes of the longest start of a character at s, where none is complete; 1 when nothing is one. */
static int64_t broken_bytes(const unsigned char *s, int64_t n)
{
    const unsigned lo = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned hi = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[0] < 0xe0 || s[0] > 0xf4 || n < 2 || s[1] < lo || s[1] > hi) return 1;
    return s[0] >= 0xf0 && n > 2 && (s[2] & 0xc0) == 0x80 ? 3 : 2;
}

Status view_repair(const TextView *v, TextBuf *b, TextView *repaired)
{
    Status rc = ST_OK;
    int64_t at = utf8_check(v->s, v->n), from = 0;
    *repaired = *v;
    if (at == v->n) goto out;
    b->n = 0;
    while (at < v->n) {
        TRY(text_buf_copy(b, v, from, at));
        from = at + broken_bytes((const unsigned char *)v->s + at, v->n - at);
        TRY(text_buf_add(b, "\xef\xbf\xbd", 3, view_end(v, from)));
        at = from + utf8_check(v->s + from, v->n - from);
    }
    TRY(text_buf_copy(b, v, from, at));
    *repaired = text_buf_view(b, v->start);
out:
    return rc;
}
