/* opt.c — text to typed fields and back; the messages a user reads when a value does not fit. */
#include "trainer/base/opt.h"
#include "trainer/base/mem.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *field(const OptSpec *s, void *opts)
{
    return (char *)opts + s->offset;
}

void opt_set_defaults(const OptSpec *specs, void *opts)
{
    for (const OptSpec *s = specs; s->type != OPT_END_T; s++) switch (s->type) {
        case OPT_I64_T:
        case OPT_COUNT_T:
            *(int64_t *)field(s, opts) = (int64_t)s->def_num;
            break;
        case OPT_F64_T:
            *(double *)field(s, opts) = s->def_num;
            break;
        case OPT_BOOL_T:
            *(bool *)field(s, opts) = s->def_num != 0;
            break;
        case OPT_STR_T:
        case OPT_ENUM_T:
        case OPT_LIST_T:
            *(const char **)field(s, opts) = s->def_str;
            break;
        case OPT_END_T:
            break;
        }
}

const OptSpec *opt_find(const OptSpec *specs, const char *name)
{
    for (const OptSpec *s = specs; s->type != OPT_END_T; s++)
        if (strcmp(s->name, name) == 0) return s;
    return NULL;
}

bool opt_is_text(const OptSpec *s)
{
    return s->type == OPT_STR_T || s->type == OPT_ENUM_T || s->type == OPT_LIST_T;
}

bool opt_next(const char *list, OptItem *item)
{
    const bool first = !item->text;
    const char *at = first ? list : item->text + item->n;
    if (!at || (!first && *at == '\0')) return false;
    if (!first) at++;
    *item = (OptItem){at, (int64_t)strcspn(at, "\n"), first ? 0 : item->index + 1};
    return true;
}

bool opt_list_has(const char *list, const char *text)
{
    for (OptItem i = {0}; opt_next(list, &i);)
        if ((size_t)i.n == strlen(text) && memcmp(i.text, text, (size_t)i.n) == 0) return true;
    return false;
}

/* Digits with single underscores between them removed; false when the text cannot be a plain
 * number. */
static bool clean_number(const char *text, char *buf, size_t n_buf)
{
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        const bool between =
            c > text && isdigit((unsigned char)c[-1]) && isdigit((unsigned char)c[1]);
        if (*c == '_' && between) continue;
        if (!(isdigit((unsigned char)*c) || strchr("+-.eE", *c)) || n + 1 >= n_buf) return false;
        buf[n++] = *c;
    }
    buf[n] = '\0';
    return n > 0;
}

Status opt_read_number(const char *text, double *value)
{
    Status rc = ST_OK;
    char buf[64], *end = NULL;
    CHECK(clean_number(text, buf, sizeof buf), CONFIG, "\"%s\" is no number", text);
    errno = 0;
    const double x = strtod(buf, &end);
    CHECK(end != buf && *end == '\0', CONFIG, "\"%s\" is no number", text);
    CHECK(isfinite(x), CONFIG, "%s is out of range", text);
    *value = x;
out:
    return rc;
}

Status opt_read_count(const char *text, int64_t *value)
{
    static const struct {
        char suffix;
        double factor;
    } UNITS[] = {{'k', 1e3}, {'K', 1e3}, {'M', 1e6}, {'B', 1e9}, {'G', 1e9}, {'T', 1e12}};
    Status rc = ST_OK;
    char buf[64];
    double factor = 1, x = 0;
    const size_t n = strlen(text);
    CHECK(n > 0 && n < sizeof buf, CONFIG, "\"%s\" is no count", text);
    memcpy(buf, text, n + 1);
    for (int64_t i = 0; i < N_OF(UNITS); i++)
        if (n > 1 && buf[n - 1] == UNITS[i].suffix) factor = UNITS[i].factor;
    if (factor > 1) buf[n - 1] = '\0';
    TRY(opt_read_number(buf, &x));
    const double scaled = x * factor;
    CHECK(fabs(scaled) < 9e15, CONFIG, "%s is out of range", text);
    /* 1.1k is 1100 although 1.1 has no exact form: the nearest whole number counts. */
    CHECK(fabs(scaled - nearbyint(scaled)) <= 1e-6 * fmax(1.0, factor / 1e3), CONFIG,
          "%s is no whole number", text);
    *value = (int64_t)nearbyint(scaled);
out:
    return rc;
}

static bool is_choice(const char *words, const char *word, size_t n)
{
    if (memchr(word, '|', n)) return false;
    for (const char *w = words; w && n > 0; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
        if (strncmp(w, word, n) == 0 && (w[n] == '|' || w[n] == '\0')) return true;
    return false;
}

bool word_in(const char *words, const char *word)
{
    return is_choice(words, word, strlen(word));
}

static Status set_number(const OptSpec *s, void *opts, const char *text)
{
    Status rc = ST_OK;
    double x = 0;
    int64_t n = 0;
    if (s->type == OPT_F64_T) {
        TRY(opt_read_number(text, &x));
    } else if (s->type == OPT_COUNT_T) {
        TRY(opt_read_count(text, &n));
        x = (double)n;
    } else {
        TRY(opt_read_number(text, &x));
        CHECK(x == nearbyint(x) && fabs(x) < 9e15, CONFIG, "%s is no whole number", text);
        n = (int64_t)x;
    }
    CHECK(x >= s->lo && x <= s->hi, CONFIG, "%s lies outside %.10g .. %.10g", text, s->lo, s->hi);
    if (s->type == OPT_F64_T)
        *(double *)field(s, opts) = x;
    else
        *(int64_t *)field(s, opts) = n;
out:
    return rc;
}

static Status check_items(const OptSpec *s, const char *list)
{
    Status rc = ST_OK;
    for (OptItem i = {0}; opt_next(list, &i);) {
        CHECK(i.n > 0, CONFIG, "found an empty text in the list");
        CHECK(!s->choices || is_choice(s->choices, i.text, (size_t)i.n), CONFIG,
              "found %.*s, expected a list of %s", (int)i.n, i.text, s->choices);
        for (OptItem j = {0}; opt_next(list, &j) && j.index < i.index;)
            CHECK(i.n != j.n || memcmp(i.text, j.text, (size_t)i.n) != 0, CONFIG,
                  "found %.*s a second time, expected once", (int)i.n, i.text);
    }
out:
    return rc;
}

Status opt_set(const OptSpec *s, void *opts, const char *text, bool quoted)
{
    Status rc = ST_OK;
    switch (s->type) {
    case OPT_I64_T:
    case OPT_COUNT_T:
    case OPT_F64_T:
        CHECK(!quoted, CONFIG, "quoted \"%s\" is a text, a number is expected: remove the quotes",
              text);
        TRY(set_number(s, opts, text));
        break;
    case OPT_BOOL_T:
        CHECK(!quoted && (!strcmp(text, "true") || !strcmp(text, "false")), CONFIG,
              "found %s%s%s, expected true or false", quoted ? "\"" : "", text, quoted ? "\"" : "");
        *(bool *)field(s, opts) = strcmp(text, "true") == 0;
        break;
    case OPT_STR_T:
        *(const char **)field(s, opts) = text;
        break;
    case OPT_ENUM_T:
        CHECK(word_in(s->choices, text), CONFIG, "found \"%s\", expected one of %s", text,
              s->choices);
        *(const char **)field(s, opts) = text;
        break;
    case OPT_LIST_T:
        TRY(check_items(s, text));
        *(const char **)field(s, opts) = text;
        break;
    case OPT_END_T:
        ASSERT(s->type != OPT_END_T);
    }
out:
    return rc;
}

void opt_print(const OptSpec *s, const void *opts, char *buf, size_t n_buf)
{
    const void *at = (const char *)opts + s->offset;
    const char *str = NULL;
    switch (s->type) {
    case OPT_I64_T:
    case OPT_COUNT_T:
        snprintf(buf, n_buf, "%lld", LL(*(const int64_t *)at));
        break;
    case OPT_F64_T: /* the shortest form that reads back to the same bits */
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(buf, n_buf, "%.*g", digits, *(const double *)at);
            if (strtod(buf, NULL) == *(const double *)at) break;
        }
        break;
    case OPT_BOOL_T:
        snprintf(buf, n_buf, "%s", *(const bool *)at ? "true" : "false");
        break;
    case OPT_STR_T:
    case OPT_ENUM_T:
    case OPT_LIST_T:
        str = *(const char *const *)at;
        snprintf(buf, n_buf, "%s", str ? str : "");
        break;
    case OPT_END_T:
        ASSERT(s->type != OPT_END_T);
    }
}

int opt_edit_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    int row[MAX + 1];
    const size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > MAX || n_b > MAX) return MAX;
    for (size_t j = 0; j <= n_b; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            const int replace = diagonal + (a[i - 1] != b[j - 1]);
            const int insert_or_delete = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = replace < insert_or_delete ? replace : insert_or_delete;
        }
    }
    return row[n_b];
}
