/* text.c — a growing string. Doubling keeps the cost linear. */
#include "trainer/run/text.h"
#include "trainer/base/mem.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_fini(Text *t)
{
    mem_free(t->s);
    *t = (Text){0};
}

static bool text_room(Text *t, size_t n)
{
    if (t->failed) return false;
    if (t->n + n < t->cap) return true;
    size_t cap = t->cap ? t->cap : 256;
    while (cap <= t->n + n) cap *= 2;
    char *s = t->s ? mem_resize(t->s, t->cap, cap) : mem_alloc(cap);
    if (!s) {
        t->failed = true;
        return false;
    }
    t->s = s;
    t->cap = cap;
    return true;
}

void text_bytes(Text *t, const char *s, size_t n)
{
    if (!text_room(t, n)) return;
    if (n > 0) memcpy(t->s + t->n, s, n); /* s may be NULL for nothing */
    t->n += n;
    t->s[t->n] = 0;
}

void text_add(Text *t, const char *s)
{
    text_bytes(t, s, strlen(s));
}

void text_printf(Text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !text_room(t, (size_t)n)) {
        t->failed = true;
        return;
    }
    va_start(args, fmt);
    vsnprintf(t->s + t->n, (size_t)n + 1, fmt, args);
    va_end(args);
    t->n += (size_t)n;
}

/* Bytes of the well-formed UTF-8 character at s, 0 when there is none (RFC 3629: shortest form, no
 * surrogates). */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    const size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

typedef const char *(*Escape)(unsigned char c,
                              char buf[8]); /* NULL: the character stands for itself */

static void text_escaped(Text *t, const char *s, Escape escape)
{
    char buf[8];
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        const size_t n = utf8_length(p);
        const char *instead = n == 0 ? "\xef\xbf\xbd" : n == 1 ? escape(*p, buf) : NULL;
        if (instead)
            text_add(t, instead);
        else
            text_bytes(t, (const char *)p, n);
        p += n ? n : 1;
    }
}

static const char *html_escape(unsigned char c, char buf[8])
{
    (void)buf;
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
        return NULL;
    default:
        return c < 0x20 || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

static const char *json_escape(unsigned char c, char buf[8])
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\t':
        return "\\t";
    default:
        if (c >= 0x20 && c != 0x7f) return NULL;
        snprintf(buf, 8, "\\u%04x", c);
        return buf;
    }
}

void text_html(Text *t, const char *s)
{
    if (s) text_escaped(t, s, html_escape);
}

void text_json_string(Text *t, const char *s)
{
    if (!s) {
        text_add(t, "null");
        return;
    }
    text_add(t, "\"");
    text_escaped(t, s, json_escape);
    text_add(t, "\"");
}

void text_json_number(Text *t, double x)
{
    char buf[40] = "null";
    if (isfinite(x)) {
        for (int digits = 6; digits <= 17; digits++) {
            snprintf(buf, sizeof buf, "%.*g", digits, x);
            if (strtod(buf, NULL) == x) break;
        }
    }
    text_add(t, buf);
}

Status text_check(const Text *t)
{
    Status rc = ST_OK;
    CHECK(!t->failed, NOMEM, "text: no memory beyond %zu bytes", t->n);
out:
    return rc;
}
