/* chat_template_string.c — strings that keep, through slices and concatenation, which bytes came from
 * which message. */
#include "data/chat_template_value.h"
#include <string.h>

/* ---- UTF-8 ---- */
/* Bytes of the character that begins here, 0 when it is malformed. */
static int64_t utf8_at(const unsigned char *p, int64_t left)
{
    if (p[0] < 0x80) return 1;
    const int64_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n > left) return 0;
    for (int64_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
        return 0; /* long forms, surrogates */
    if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) return 0;
    return n;
}

bool is_utf8(const char *s, int64_t n)
{
    for (int64_t i = 0, step; i < n; i += step) {
        step = utf8_at((const unsigned char *)s + i, n - i);
        if (step == 0 || s[i] == '\0') return false;
    }
    return true;
}

/* What Python's str.isspace() holds for white space. */
int64_t space_at(const char *p, const char *end)
{
    static const char *const WIDE[] = {"\u00A0", "\u1680", "\u2000", "\u2001",  "\u2002",
                                       "\u2003", "\u2004", "\u2005", "\u2006",  "\u2007",
                                       "\u2008", "\u2009", "\u200A", "\u2028",  "\u2029",
                                       "\u202F", "\u205F", "\u3000", "\xC2\x85"};
    if (p >= end) return 0;
    const unsigned char c = (unsigned char)*p;
    if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
    for (int64_t i = 0; i < N_OF(WIDE); i++) {
        const size_t n = strlen(WIDE[i]);
        if ((size_t)(end - p) >= n && memcmp(p, WIDE[i], n) == 0) return (int64_t)n;
    }
    return 0;
}

int64_t space_before(const char *begin, const char *p)
{
    const char *at = p;
    while (at > begin && p - at < 3 && (*--at & 0xC0) == 0x80) {
    }
    return at < p && space_at(at, p) == p - at ? p - at : 0;
}

static bool begins_character(char c)
{
    return (c & 0xC0) != 0x80;
}

int64_t str_length(Str s)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s.n; i++) n += begins_character(s.s[i]);
    return n;
}

int64_t str_at(Str s, int64_t i)
{
    int64_t at = 0;
    for (; at < s.n; at++)
        if (begins_character(s.s[at]) && i-- == 0) break;
    return at;
}

int64_t utf8_bytes(char first)
{
    const unsigned char c = (unsigned char)first;
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* ---- strings ---- */
Str str_of(Piece p)
{
    return (Str){.s = p.s, .n = p.n};
}

int64_t str_find(Str s, int64_t from, Str part)
{
    if (part.n > s.n - from) return -1;
    if (part.n == 0) return from;
    const char *at = memmem(s.s + from, (size_t)(s.n - from), part.s, (size_t)part.n);
    return at ? at - s.s : -1;
}

int str_compare(Str a, Str b)
{
    const int c = memcmp(a.s, b.s, (size_t)(a.n < b.n ? a.n : b.n));
    return c ? (c > 0) - (c < 0) : (a.n > b.n) - (a.n < b.n);
}

/* A mark that is cut to nothing goes, but not when nothing is left of the string either, nor when it
 * was empty before: it says where empty content stands. */
static bool clip(Mark *m, int64_t begin, int64_t end)
{
    if (m->begin > end || m->end < begin) return false;
    const bool may_be_empty = m->kind == MARK_TEXT && (begin == end || m->begin == m->end);
    m->begin = m->begin > begin ? m->begin - begin : 0;
    m->end = (m->end < end ? m->end : end) - begin;
    return m->begin < m->end || may_be_empty;
}

Status str_slice(Run *r, Str s, int64_t begin, int64_t end, Str *out)
{
    Status rc = ST_OK;
    Mark *mark = NULL;
    int64_t n = 0;
    TRY(run_charge(r, s.n_mark * (int64_t)sizeof *mark));
    if (s.n_mark) TRY(run_alloc(r, s.n_mark, sizeof *mark, &mark));
    for (int64_t i = 0; i < s.n_mark; i++) {
        mark[n] = s.mark[i];
        n += clip(&mark[n], begin, end);
    }
    *out = (Str){s.s + begin, end - begin, mark, n};
out:
    return rc;
}

/* ---- building ---- */
static Status grow(Run *r, void *pp, int64_t n, int64_t *cap, int64_t wanted, size_t elem_bytes)
{
    Status rc = ST_OK;
    void *old, *grown;
    if (wanted <= *cap) goto out;
    int64_t more = *cap ? 2 * *cap : 64;
    if (more < wanted) more = wanted;
    TRY(run_alloc(r, more, elem_bytes, &grown));
    memcpy(&old, pp, sizeof old);
    if (n) memcpy(grown, old, (size_t)n * elem_bytes);
    memcpy(pp, &grown, sizeof grown);
    *cap = more;
out:
    return rc;
}

Status build_bytes(Run *r, Builder *b, const char *s, int64_t n)
{
    Status rc = ST_OK;
    TRY(run_charge(r, n));
    CHECK(n <= TEXT_MAX_BYTES - b->n, FORMAT, "%s:%d: a text of more than %d bytes", AT(r),
          TEXT_MAX_BYTES);
    TRY(grow(r, &b->s, b->n, &b->cap, b->n + n, 1));
    if (n) memcpy(b->s + b->n, s, (size_t)n);
    b->n += n;
out:
    return rc;
}

Status build_text(Run *r, Builder *b, const char *s)
{
    return build_bytes(r, b, s, (int64_t)strlen(s));
}

/* A mark that goes on where one of the last ended makes that one longer. */
Status build_mark(Run *r, Builder *b, Mark m)
{
    Status rc = ST_OK;
    for (int64_t i = b->n_mark - 1; i >= 0 && i >= b->n_mark - N_MARK_KIND; i--) {
        Mark *old = &b->mark[i];
        if (old->kind == m.kind && old->message == m.message && old->end == m.begin) {
            old->end = m.end;
            goto out;
        }
    }
    TRY(grow(r, &b->mark, b->n_mark, &b->cap_mark, b->n_mark + 1, sizeof *b->mark));
    b->mark[b->n_mark++] = m;
out:
    return rc;
}

Status build_str(Run *r, Builder *b, Str s)
{
    Status rc = ST_OK;
    const int64_t at = b->n;
    TRY(build_bytes(r, b, s.s, s.n));
    TRY(run_charge(r, s.n_mark * (int64_t)sizeof(Mark)));
    for (int64_t i = 0; i < s.n_mark; i++) {
        const Mark m = s.mark[i];
        TRY(build_mark(r, b, (Mark){at + m.begin, at + m.end, m.message, m.kind}));
    }
out:
    return rc;
}

Status build_part(Run *r, Builder *b, Str s, int64_t begin, int64_t end)
{
    Status rc = ST_OK;
    Str part;
    TRY(str_slice(r, s, begin, end, &part));
    TRY(build_str(r, b, part));
out:
    return rc;
}

Status build_instead(Run *r, Builder *b, Str s, int64_t begin, int64_t end, Str now)
{
    Status rc = ST_OK;
    const int64_t at = b->n;
    TRY(build_str(r, b, now));
    TRY(run_charge(r, s.n_mark * (int64_t)sizeof(Mark)));
    for (int64_t i = 0; i < s.n_mark; i++) {
        const Mark *m = &s.mark[i];
        if (m->begin <= begin && m->end >= end && m->begin < m->end)
            TRY(build_mark(r, b, (Mark){at, b->n, m->message, m->kind}));
    }
out:
    return rc;
}

Str built(const Builder *b)
{
    return (Str){b->s ? b->s : "", b->n, b->mark, b->n_mark};
}
