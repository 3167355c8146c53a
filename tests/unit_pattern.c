/* unit_pattern.c — patterns of tokenizer files: the three written as code judged by PCRE2, the
 * dialect, what is refused. */
#include "data/pattern.h"
#include "data/unicode.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include <stdio.h>
#include <string.h>

static Pattern *make(const char *text, PatternKind kind)
{
    Pattern *p;
    T_OK(pattern_create(text, (int64_t)strlen(text), kind, &p));
    return p;
}

/* "begin-end" of every match. */
static const char *matches(const char *pattern, const char *text)
{
    static char out[512];
    Pattern *p = make(pattern, PATTERN_REGEX);
    PatternScan scan = {.s = text, .n = (int64_t)strlen(text)};
    int n = 0;
    out[0] = '\0';
    for (;;) {
        T_OK(pattern_next(p, &scan));
        if (!scan.found) break;
        n += snprintf(out + n, sizeof out - (size_t)n, "%lld-%lld ", LL(scan.begin), LL(scan.end));
    }
    pattern_destroy(p);
    return out;
}

/* One check a text: Check writes each of them to a file. */
static void agree(const Pattern *code, const Pattern *judge, const char *text, int64_t n)
{
    PatternScan a = {.s = text, .n = n}, b = a;
    bool same;
    do {
        const Status rc = pattern_next(code, &a);
        same = rc == ST_OK && pattern_next(judge, &b) == ST_OK && a.found == b.found &&
               (!a.found || (a.begin == b.begin && a.end == b.end));
    } while (same && a.found);
    if (!same)
        ck_abort_msg("code %lld-%lld, PCRE2 %lld-%lld in \"%.*s\"", LL(a.begin), LL(a.end),
                     LL(b.begin), LL(b.end), (int)n, text);
}

static const char *const KNOWN[] = {PATTERN_GPT2, PATTERN_LLAMA3, PATTERN_QWEN2};

/* Any character between things that the patterns tell apart. */
START_TEST(code_agrees_with_pcre2_on_all_of_unicode)
{
    enum { STEP = 64 };
    for (int64_t k = 0; k < N_OF(KNOWN); k++) {
        Pattern *code = make(KNOWN[k], PATTERN_REGEX), *judge = make(KNOWN[k], PATTERN_PCRE2);
        for (int32_t c = 0; c < 0x110000; c += STEP) {
            static const char *const BESIDE[] = {"a", " ", "1", ".", "\n", "'"};
            char text[STEP * 8];
            int64_t n = 0;
            if (c >= 0xd800 && c < 0xe000) continue;
            for (int32_t i = c; i < c + STEP; i++) {
                n += utf8_write(i, text + n);
                text[n++] = *BESIDE[(i * 7 + i / 6) % N_OF(BESIDE)];
            }
            agree(code, judge, text, n);
        }
        pattern_destroy(code);
        pattern_destroy(judge);
    }
}
END_TEST

START_TEST(code_agrees_with_pcre2_on_random_texts)
{
    static const char *const PART[] = {
        "a",   "Z",           "\xc3\xa9", "\xe4\xb8\xad", "1",
        "23",  "\xd9\xa3",    " ",        "  ",           "\t",
        "\n",  "\r\n",        "\xc2\xa0", "\xe3\x80\x80", ".",
        "!?",  "'",           "'s",       "'S",           "'re",
        "'LL", "'\xc5\xbf",   "'v",       "\xcc\x81",     "\xf0\x9f\x98\x80",
        "_",   "\xe1\xa0\x8e"};
    Rng rng;
    rng_init(&rng, 7, 0);
    for (int64_t k = 0; k < N_OF(KNOWN); k++) {
        Pattern *code = make(KNOWN[k], PATTERN_REGEX), *judge = make(KNOWN[k], PATTERN_PCRE2);
        for (int i = 0; i < 20000; i++) {
            char text[128];
            int64_t n = 0;
            for (int parts = 1 + i % 12; parts > 0; parts--) {
                const char *part = PART[(int64_t)(rng_uniform(&rng) * (double)N_OF(PART))];
                memcpy(text + n, part, strlen(part));
                n += (int64_t)strlen(part);
            }
            agree(code, judge, text, n);
        }
        pattern_destroy(code);
        pattern_destroy(judge);
    }
}
END_TEST

START_TEST(dialect_is_that_of_tokenizer_files)
{
    T_EQ_STR(matches("\\s", "a \xe1\xa0\x8e\xc2\x85"), "1-2 5-7 "); /* U+180E is no space */
    T_EQ_STR(matches("[\\s.]+", ". a"), "0-2 ");
    T_EQ_STR(matches("\\S+", "ab \xe1\xa0\x8e"), "0-2 3-6 ");
    T_EQ_STR(matches("\\w+", "a\xcc\x81_1-"), "0-5 ");
    T_EQ_STR(matches("\\W", "a-"), "1-2 ");
    T_EQ_STR(matches("[^\\w]", "a\xcc\x81-"), "3-4 ");
    T_EQ_STR(matches("\\h", "gf"), "1-2 ");
    T_EQ_STR(matches("\\H", "gf"), "0-1 ");
    T_EQ_STR(matches("\\p{L}+|[\\p{N}]", "\xf0\xae\xaf\xb0\xf0\x9e\x97\xb1"), "0-4 4-8 "); /* new */
    T_EQ_STR(matches("\\P{L}", "a1"), "1-2 ");
    T_EQ_STR(matches("^b", "a\nb"), "2-3 "); /* at every line */
    T_EQ_STR(matches("a.", "a\na!"), "2-4 ");
    T_EQ_STR(matches("[]a]+|[[:digit:]]", "]a7"), "0-2 2-3 ");
    T_EQ_STR(matches("x*", "axxb"), "0-0 1-3 4-4 "); /* no empty match where one ended */
    T_EQ_STR(matches("", "\xc3\xa9"), "0-0 2-2 ");
    T_EQ_STR(matches("a", ""), "");
}
END_TEST

START_TEST(literals_stand_for_themselves)
{
    char text[128];
    for (int c = 1; c < 128; c++) text[c - 1] = (char)c;
    for (int i = 0; i + 3 <= 127; i++) {
        Pattern *p;
        PatternScan scan = {.s = text, .n = 127};
        T_OK(pattern_create(text + i, 3, PATTERN_LITERAL, &p));
        T_OK(pattern_next(p, &scan));
        T_TRUE(scan.found && scan.begin == i && scan.end == i + 3);
        T_OK(pattern_next(p, &scan));
        T_TRUE(!scan.found);
        pattern_destroy(p);
    }
}
END_TEST

START_TEST(what_cannot_be_translated_is_refused)
{
    static const struct {
        const char *pattern, *why;
    } CASES[] = {
        {"(", "parenthesis"},
        {"[a", "terminating ]"},
        {"[a&&[^b]]", "intersection"},
        {"[a[b]]", "inside another"},
        {"a{1,3}+", "interval"},
        {"\\", "\\ at end"},
        {"\\p{Nonsense}", "property"},
        {"\\C", "\\C"},
        {"(a{1,60000}){1,60000}", "too large"},
    };
    for (int64_t i = 0; i < N_OF(CASES); i++) {
        Pattern *p;
        T_FAILS(
            pattern_create(CASES[i].pattern, (int64_t)strlen(CASES[i].pattern), PATTERN_REGEX, &p),
            FORMAT, CASES[i].why);
        T_TRUE(!p);
    }
    Pattern *p;
    char *huge = mem_alloc(1 << 16);
    memset(huge, 'a', 1 << 16);
    T_FAILS(pattern_create(huge, 1 << 16, PATTERN_REGEX, &p), FORMAT, "65536 bytes");
    mem_free(huge);
}
END_TEST

/* A pattern that backtracks without end is stopped; one that only needs room gets it. */
START_TEST(hard_patterns_end)
{
    enum { N = 1 << 20 };
    char *text = mem_alloc(N);
    memset(text, 'a', N);
    Pattern *p = make("(a|b)*", PATTERN_REGEX);
    PatternScan scan = {.s = text, .n = N};
    const Status rc = pattern_next(p, &scan);
    T_TRUE((rc == ST_OK && scan.found && scan.end == N) || rc == ST_DATA);
    status_clear();
    pattern_destroy(p);
    p = make("(a+)+$", PATTERN_REGEX);
    text[40] = 'b';
    scan = (PatternScan){.s = text, .n = 41};
    T_FAILS(pattern_next(p, &scan), DATA, "gives up on a text of 41 bytes, at byte 0");
    pattern_destroy(p);
    p = make(PATTERN_LLAMA3, PATTERN_REGEX);
    memset(text, ' ', N);
    scan = (PatternScan){.s = text, .n = N};
    T_OK(pattern_next(p, &scan));
    T_EQ_I64(scan.end, N);
    pattern_destroy(p);
    mem_free(text);
}
END_TEST

int main(void)
{
    const TTest *t[] = {
        code_agrees_with_pcre2_on_all_of_unicode, code_agrees_with_pcre2_on_random_texts,
        dialect_is_that_of_tokenizer_files,       literals_stand_for_themselves,
        what_cannot_be_translated_is_refused,     hard_patterns_end};
    return test_main("unit.pattern", t, N_OF(t));
}
