/* pattern_known.c — PCRE2 spends most of the time of a byte-level tokenizer in these three patterns;
 * written out they cost a tenth of it. The alternatives are tried in the order of the pattern. */
#include "data/pattern_known.h"
#include "data/pattern.h"
#include "data/unicode.h"
#include <string.h>

const char PATTERN_GPT2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char PATTERN_LLAMA3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char PATTERN_QWEN2[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                             " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

typedef struct Char {
    CharKind kind;
    int32_t c;
    int bytes;
} Char;

static Char char_at(const char *s, int64_t at)
{
    Char ch;
    ch.bytes = utf8_read(s + at, &ch.c);
    ch.kind = char_kind(ch.c);
    return ch;
}

/* Behind the characters of this kind that follow one another at s[at]. */
static int64_t run(const char *s, int64_t n, int64_t at, CharKind kind)
{
    while (at < n) {
        const Char ch = char_at(s, at);
        if (ch.kind != kind) break;
        at += ch.bytes;
    }
    return at;
}

static bool is_newline(char c)
{
    return c == '\n' || c == '\r';
}

static int64_t newlines(const char *s, int64_t n, int64_t at)
{
    while (at < n && is_newline(s[at])) at++;
    return at;
}

/* 's|'t|'re|'ve|'m|'ll|'d behind the apostrophe at s[at]; 0: none. U+017F is an s to (?i). */
static int64_t contraction(const char *s, int64_t n, int64_t at, bool any_case)
{
    const char fold = any_case ? 0x20 : 0;
    if (at + 1 >= n) return 0;
    const char a = s[at + 1] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
    if (at + 2 >= n) return 0;
    const char b = s[at + 2] | fold;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return at + 3;
    return any_case && memcmp(s + at + 1, "\xc5\xbf", 2) == 0 ? at + 3 : 0;
}

/* \s+(?!\S)|\s+ : white space, without its last character where something else follows. */
static int64_t spaces(const char *s, int64_t n, int64_t at)
{
    const int64_t end = run(s, n, at, CHAR_SPACE);
    if (end == n) return end;
    const int64_t last = utf8_back(s, end);
    return last > at ? last : end;
}

static int64_t gpt2(const char *s, int64_t n, int64_t at)
{
    const int64_t short_form = s[at] == '\'' ? contraction(s, n, at, false) : 0;
    if (short_form) return short_form;
    const Char first = char_at(s, at);
    if (first.kind != CHAR_SPACE) return run(s, n, at + first.bytes, first.kind);
    if (first.c == ' ' && at + 1 < n) {
        const Char next = char_at(s, at + 1);
        if (next.kind != CHAR_SPACE) return run(s, n, at + 1 + next.bytes, next.kind);
    }
    return spaces(s, n, at);
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : white space up to its last line end, where it has one. */
static int64_t spaces_by_line(const char *s, int64_t n, int64_t at)
{
    for (int64_t end = run(s, n, at, CHAR_SPACE); end > at; end--)
        if (is_newline(s[end - 1])) return end;
    return spaces(s, n, at);
}

static int64_t llama3(const char *s, int64_t n, int64_t at, int max_digits)
{
    const int64_t short_form = s[at] == '\'' ? contraction(s, n, at, true) : 0;
    if (short_form) return short_form;
    const Char first = char_at(s, at);
    int64_t end = at + first.bytes;
    if (first.kind == CHAR_LETTER) return run(s, n, end, CHAR_LETTER);
    if (first.kind == CHAR_NUMBER) {
        for (int digits = 1; digits < max_digits && end < n; digits++) {
            const Char digit = char_at(s, end);
            if (digit.kind != CHAR_NUMBER) break;
            end += digit.bytes;
        }
        return end;
    }
    const Char next = end < n ? char_at(s, end) : (Char){CHAR_SPACE, 0, 0};
    if (next.kind == CHAR_LETTER && !is_newline(s[at])) return run(s, n, end, CHAR_LETTER);
    if (first.kind == CHAR_OTHER || (first.c == ' ' && next.kind == CHAR_OTHER))
        return newlines(s, n, run(s, n, end, CHAR_OTHER));
    return spaces_by_line(s, n, at);
}

static int64_t llama3_of_3(const char *s, int64_t n, int64_t at)
{
    return llama3(s, n, at, 3);
}

static int64_t llama3_of_1(const char *s, int64_t n, int64_t at)
{
    return llama3(s, n, at, 1);
}

PatternFn *pattern_known(const char *text, int64_t n)
{
    static const struct {
        const char *text;
        PatternFn *fn;
    } KNOWN[] = {{PATTERN_GPT2, gpt2}, {PATTERN_LLAMA3, llama3_of_3}, {PATTERN_QWEN2, llama3_of_1}};
    for (int64_t i = 0; i < N_OF(KNOWN); i++)
        if ((int64_t)strlen(KNOWN[i].text) == n && memcmp(KNOWN[i].text, text, (size_t)n) == 0)
            return KNOWN[i].fn;
    return NULL;
}
