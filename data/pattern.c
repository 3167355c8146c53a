/* pattern.c — Oniguruma's dialect put into PCRE2's, compiled once with its just-in-time compiler. */
#include "data/pattern.h"
#include "data/pattern_known.h"
#include "data/unicode.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MAX_PATTERN = 1 << 16, MAX_CLASS = 2048, JIT_STACK_MIN = 1 << 15, JIT_STACK_MAX = 1 << 20 };

struct Pattern {
    PatternFn *known;
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *jit_stack;
};

/* ---- the dialect ---- */

/* What stands for a class of Oniguruma inside [...]. Its white space lacks U+180E, its words have
 * marks, and its letters and numbers are of a newer Unicode than PCRE2's. */
static const char SPACES[] =
    "\\t-\\r \\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
static const char HEX_DIGITS[] = "0-9a-fA-F";

static const char *with_newer(const char *class, const CharRange *newer, char buf[MAX_CLASS])
{
    int n = snprintf(buf, MAX_CLASS, "%s", class);
    for (; newer->last; newer++)
        n += snprintf(buf + n, MAX_CLASS - (size_t)n, "\\x{%x}-\\x{%x}", (unsigned)newer->first,
                      (unsigned)newer->last);
    return buf;
}

/* The escape at s that means another class here: its bytes, its class, and whether it is negated. */
static int64_t class_escape(const char *s, int64_t n, const char **class, bool *negated,
                            char buf[MAX_CLASS])
{
    *negated = n > 1 && s[1] >= 'A' && s[1] <= 'Z';
    switch (n > 1 ? s[1] | 0x20 : 0) {
    case 's':
        *class = SPACES;
        return 2;
    case 'h':
        *class = HEX_DIGITS;
        return 2;
    case 'w':
        *class = with_newer("\\p{L}\\p{M}\\p{Nd}\\p{Pc}", NEWER_LETTERS, buf);
        return 2;
    case 'p':
        if (n < 5 || s[2] != '{' || s[4] != '}' || (s[3] != 'L' && s[3] != 'N')) return 0;
        *class = s[3] == 'L' ? with_newer("\\p{L}", NEWER_LETTERS, buf)
                             : with_newer("\\p{N}", NEWER_NUMBERS, buf);
        return 5;
    default:
        return 0;
    }
}

typedef struct Translation {
    const char *s; /* what is left of the pattern */
    int64_t n;
    char *out;
    int64_t n_out, cap;
} Translation;

static Status put(Translation *t, const char *s, int64_t n)
{
    Status rc = ST_OK;
    if (t->n_out + n > t->cap) {
        const size_t cap = (size_t)(t->n_out + n) * 2 + 256;
        char *wider = mem_resize(t->out, (size_t)t->n_out, cap);
        CHECK(wider, NOMEM, "a pattern of %zu bytes", cap);
        t->out = wider;
        t->cap = (int64_t)cap;
    }
    memcpy(t->out + t->n_out, s, (size_t)n);
    t->n_out += n;
out:
    return rc;
}

static Status pass(Translation *t, int64_t n)
{
    const Status rc = put(t, t->s, n < t->n ? n : t->n);
    t->s += n < t->n ? n : t->n;
    t->n -= n < t->n ? n : t->n;
    return rc;
}

static Status escape(Translation *t, bool in_class)
{
    Status rc = ST_OK;
    char buf[MAX_CLASS];
    const char *class;
    bool negated;
    const int64_t n = class_escape(t->s, t->n, &class, &negated, buf);
    if (n == 0 || (in_class && negated)) { /* a negated class inside another one stays PCRE2's */
        TRY(pass(t, 2));
        goto out;
    }
    if (!in_class) TRY(put(t, negated ? "[^" : "[", negated ? 2 : 1));
    TRY(put(t, class, (int64_t)strlen(class)));
    if (!in_class) TRY(put(t, "]", 1));
    t->s += n;
    t->n -= n;
out:
    return rc;
}

static bool starts(const Translation *t, const char *text)
{
    const int64_t n = (int64_t)strlen(text);
    return t->n >= n && memcmp(t->s, text, (size_t)n) == 0;
}

static Status bracket_class(Translation *t)
{
    Status rc = ST_OK;
    TRY(pass(t, starts(t, "[^") ? 2 : 1));
    if (starts(t, "]")) TRY(pass(t, 1));
    while (t->n > 0 && *t->s != ']') {
        CHECK(!starts(t, "&&"), FORMAT, "an intersection of character classes is not supported");
        if (starts(t, "[:")) {
            const char *end = memmem(t->s, (size_t)t->n, ":]", 2);
            TRY(pass(t, end ? end + 2 - t->s : t->n));
        } else if (*t->s == '\\') {
            TRY(escape(t, true));
        } else {
            CHECK(*t->s != '[', FORMAT, "a character class inside another one is not supported");
            TRY(pass(t, 1));
        }
    }
    TRY(pass(t, 1));
out:
    return rc;
}

static Status translate(Translation *t)
{
    Status rc = ST_OK;
    while (t->n > 0) {
        CHECK(!starts(t, "}+") || t->n_out == 0 || t->out[t->n_out - 1] < '0' ||
                  t->out[t->n_out - 1] > '9',
              FORMAT, "an interval with + behind it is not supported");
        if (*t->s == '\\')
            TRY(escape(t, false));
        else if (*t->s == '[')
            TRY(bracket_class(t));
        else
            TRY(pass(t, 1));
    }
out:
    return rc;
}

static Status quote(Translation *t)
{
    Status rc = ST_OK;
    for (; t->n > 0;) {
        const unsigned char c = (unsigned char)*t->s;
        const bool is_plain = c >= 0x80 || c <= ' ' || (c >= '0' && c <= '9') ||
                              ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_plain) TRY(put(t, "\\", 1));
        TRY(pass(t, 1));
    }
out:
    return rc;
}

/* ---- compiling ---- */

static void *pcre_alloc(size_t n, void *unused)
{
    (void)unused;
    return mem_alloc(n);
}

static void pcre_free(void *p, void *unused)
{
    (void)unused;
    mem_free(p);
}

static Status compile(Pattern *p, const char *text, int64_t n)
{
    Status rc = ST_OK;
    enum { OPTIONS = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C };
    int code = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR why[128] = "";
    pcre2_compile_context *context = NULL;
    p->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    context = p->memory ? pcre2_compile_context_create(p->memory) : NULL;
    CHECK(context, NOMEM, "a pattern of %lld bytes", LL(n));
    p->code = pcre2_compile((PCRE2_SPTR)text, (PCRE2_SIZE)n, OPTIONS, &code, &at, context);
    if (!p->code) pcre2_get_error_message(code, why, sizeof why);
    CHECK(p->code || code != PCRE2_ERROR_HEAP_FAILED, NOMEM, "a pattern of %lld bytes", LL(n));
    CHECK(p->code, FORMAT, "%s", (const char *)why);
    p->match = pcre2_match_data_create(1, p->memory);
    p->limits = pcre2_match_context_create(p->memory);
    CHECK(p->match && p->limits, NOMEM, "a pattern of %lld bytes", LL(n));
    /* Without a just-in-time compiler PCRE2 interprets: the same matches, slower. */
    if (pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) != 0) goto out;
    p->jit_stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, p->memory);
    CHECK(p->jit_stack, NOMEM, "a pattern's stack");
    pcre2_jit_stack_assign(p->limits, NULL, p->jit_stack);
out:
    pcre2_compile_context_free(context);
    return rc;
}

Status pattern_create(const char *text, int64_t n, PatternKind kind, Pattern **out)
{
    Status rc = ST_OK;
    Translation t = {.s = text, .n = n};
    Pattern *p = mem_alloc(sizeof *p);
    *out = NULL;
    CHECK(p, NOMEM, "a pattern");
    CHECK(n < MAX_PATTERN, FORMAT, "a pattern of %lld bytes; the longest is %d", LL(n),
          MAX_PATTERN - 1);
    p->known = kind == PATTERN_REGEX ? pattern_known(text, n) : NULL;
    if (!p->known) {
        TRY(kind == PATTERN_LITERAL ? quote(&t) : translate(&t));
        TRY(compile(p, t.out ? t.out : "", t.n_out));
    }
    *out = p;
    p = NULL;
out:
    mem_free(t.out);
    pattern_destroy(p);
    return rc;
}

void pattern_destroy(Pattern *p)
{
    if (!p) return;
    pcre2_jit_stack_free(p->jit_stack);
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    pcre2_general_context_free(p->memory);
    mem_free(p);
}

/* ---- matching ---- */

static Status search(const Pattern *p, PatternScan *scan)
{
    Status rc = ST_OK;
    int found = PCRE2_ERROR_JIT_STACKLIMIT;
    for (uint32_t option = 0; found == PCRE2_ERROR_JIT_STACKLIMIT; option = PCRE2_NO_JIT)
        found =
            pcre2_match(p->code, (PCRE2_SPTR)scan->s, (PCRE2_SIZE)scan->n, (PCRE2_SIZE)scan->from,
                        PCRE2_NO_UTF_CHECK | option, p->match, p->limits);
    CHECK(found != PCRE2_ERROR_NOMEMORY, NOMEM, "a match in a text of %lld bytes", LL(scan->n));
    CHECK(found >= 0 || found == PCRE2_ERROR_NOMATCH, DATA,
          "a pattern of the tokenizer gives up on a text of %lld bytes, at byte %lld (PCRE2 %d)",
          LL(scan->n), LL(scan->from), found);
    scan->found = found >= 0;
    if (!scan->found) goto out;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->match);
    CHECK(at[0] >= (PCRE2_SIZE)scan->from && at[1] >= at[0], DATA,
          "a pattern of the tokenizer matches backwards");
    scan->begin = (int64_t)at[0];
    scan->end = (int64_t)at[1];
out:
    return rc;
}

Status pattern_next(const Pattern *p, PatternScan *scan)
{
    Status rc = ST_OK;
    if (p->known) {
        scan->found = scan->from < scan->n;
        if (!scan->found) goto out;
        scan->begin = scan->from;
        scan->from = scan->end = p->known(scan->s, scan->n, scan->from);
        goto out;
    }
    const int64_t last_end = scan->any ? scan->end : -1;
    for (scan->found = false; scan->from <= scan->n;) {
        TRY(search(p, scan));
        if (!scan->found) goto out;
        if (scan->begin < scan->end || scan->begin != last_end) break;
        int32_t c;
        scan->from += scan->from < scan->n ? utf8_read(scan->s + scan->from, &c) : 1;
        scan->found = false;
    }
    scan->any = scan->found;
    scan->from = scan->end;
out:
    return rc;
}
