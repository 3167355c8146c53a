/* chat_template_literal.c — strings with Python's escapes, and numbers. */
#include "data/chat_template_syntax.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* Up to `most` digits of this base; returns how many there were. */
static int64_t digits(const char *s, const char *end, int base, int64_t most, uint32_t *value)
{
    int64_t n = 0;
    for (*value = 0; n < most && s + n < end && digit_of(s[n]) < base; n++)
        *value = *value * (uint32_t)base + (uint32_t)digit_of(s[n]);
    return n;
}

/* Python's escapes. No result is longer than what it is written with. */
static Status unescape(Parser *p, Piece in, char **to)
{
    Status rc = ST_OK;
    static const char NAMED[] = "n\nt\tr\r\\\\'\'\"\"a\ab\bf\fv\v";
    const char *s = in.s, *end = in.s + in.n;
    while (s < end) {
        if (*s != '\\' || s + 1 == end) {
            *(*to)++ = *s++;
            continue;
        }
        const char c = s[1];
        const char *named = NULL;
        for (const char *k = NAMED; *k; k += 2)
            if (*k == c) named = k + 1;
        const int64_t n_hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        uint32_t code = 0;
        if (named) {
            *(*to)++ = *named;
            s += 2;
        } else if (c == '\n') {
            s += 2;
        } else if (n_hex || (c >= '0' && c <= '7')) {
            const int64_t n =
                n_hex ? digits(s + 2, end, 16, n_hex, &code) : digits(s + 1, end, 8, 3, &code);
            CHECK((!n_hex || n == n_hex) && code > 0 && code < 0x110000 && code - 0xD800 >= 0x800,
                  FORMAT, "%s:%d: the escape \\%c is not followed by the number of a character",
                  p->name, p->token->line, c);
            *to += utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)*to);
            s += (n_hex ? 2 : 1) + n;
        } else {
            CHECK(
                c != 'N', FORMAT,
                "%s:%d: the escape \\N{...} is not understood; known: \\xXX, \\uXXXX, \\UXXXXXXXX",
                p->name, p->token->line);
            *(*to)++ = *s++;
        }
    }
out:
    return rc;
}

Status parse_string(Parser *p, Node **out)
{
    Status rc = ST_OK;
    size_t n = 0;
    for (const Token *t = p->token; t->kind == TOK_STRING; t++) n += (size_t)t->text.n;
    char *s = arena_alloc(p->arena, (int64_t)n + 1, 1), *to = s;
    CHECK(s, NOMEM, "%s: no memory for the template", p->name);
    TRY(parse_node(p, NODE_STRING, out));
    for (; p->token->kind == TOK_STRING; p->token++) TRY(unescape(p, p->token->text, &to));
    (*out)->text = (Piece){s, to - s};
out:
    return rc;
}

Status parse_number(Parser *p, Node **out)
{
    Status rc = ST_OK;
    const Token *t = p->token;
    char digit[64];
    CHECK(t->text.n < (int64_t)sizeof digit, FORMAT, "%s:%d: a number of %lld digits", p->name,
          t->line, LL(t->text.n));
    memcpy(digit, t->text.s, (size_t)t->text.n);
    digit[t->text.n] = '\0';
    TRY(parse_node(p, t->kind == TOK_INTEGER ? NODE_INTEGER : NODE_FLOAT, out));
    errno = 0;
    (*out)->integer = strtoll(digit, NULL, 10);
    CHECK(t->kind == TOK_FLOAT || errno == 0, FORMAT, "%s:%d: the number %s does not fit 64 bits",
          p->name, t->line, digit);
    (*out)->real = strtod(digit, NULL);
    p->token++;
out:
    return rc;
}
