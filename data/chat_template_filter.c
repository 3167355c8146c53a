/* chat_template_filter.c — filters: value | name(arguments). To add one: a function and a line in
 * FILTERS. */
#include "data/chat_template_filter.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static Status text_of(const Call *c, Str *s)
{
    return value_text(c->r, c->v, s);
}

/* ---- texts ---- */
static Status filter_trim(const Call *c)
{
    Status rc = ST_OK;
    Str s;
    TRY(args_check(c->r, c->name, c->a, 0, 1, "chars"));
    TRY(text_of(c, &s));
    TRY(str_trim(c->r, s, args_get(c->a, 0, "chars"), TRIM_BOTH, &s));
    *c->out = STRING(s);
out:
    return rc;
}

static Status letters(const Call *c, LetterCase kind)
{
    Status rc = ST_OK;
    Str s;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    TRY(text_of(c, &s));
    TRY(str_case(c->r, c->name, s, kind, &s));
    *c->out = STRING(s);
out:
    return rc;
}

static Status filter_upper(const Call *c)
{
    return letters(c, CASE_UPPER);
}

static Status filter_lower(const Call *c)
{
    return letters(c, CASE_LOWER);
}

static Status filter_title(const Call *c)
{
    return letters(c, CASE_WORDS);
}

static Status filter_capitalize(const Call *c)
{
    return letters(c, CASE_CAPITAL);
}

static Status filter_string(const Call *c)
{
    Status rc = ST_OK;
    Str s;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    TRY(text_of(c, &s));
    *c->out = STRING(s);
out:
    return rc;
}

static Status filter_safe(const Call *c) /* nothing is escaped, so everything is safe */
{
    return filter_string(c);
}

static Status filter_replace(const Call *c)
{
    Status rc = ST_OK;
    Str s, old, now;
    int64_t most = -1;
    TRY(args_check(c->r, c->name, c->a, 2, 3, "old new count"));
    const Value *from = args_get(c->a, 0, "old"), *to = args_get(c->a, 1, "new"),
                *count = args_get(c->a, 2, "count");
    CHECK(from && to && (!count || count->kind == VALUE_NONE || value_integer(count, &most)),
          FORMAT, "%s:%d: replace wants the old text, the new one, and maybe a count", AT(c->r));
    TRY(text_of(c, &s));
    TRY(value_text(c->r, from, &old));
    TRY(value_text(c->r, to, &now));
    TRY(str_replace(c->r, s, old, now, most, &s));
    *c->out = STRING(s);
out:
    return rc;
}

/* As transformers sets it: json.dumps with ensure_ascii=False, and no escapes for HTML. */
static Status filter_tojson(const Call *c)
{
    Status rc = ST_OK;
    Builder b = {0};
    JsonStyle style = {.indent = -1};
    TRY(args_check(c->r, c->name, c->a, 0, 2, "ensure_ascii indent sort_keys"));
    const Value *ascii = args_get(c->a, 0, "ensure_ascii"), *indent = args_get(c->a, 1, "indent"),
                *sorted = args_get(c->a, -1, "sort_keys");
    CHECK(!indent || indent->kind == VALUE_NONE || value_integer(indent, &style.indent), FORMAT,
          "%s:%d: the indent of tojson is %s, not an integer", AT(c->r), value_kind(indent));
    CHECK(style.indent >= -1 && style.indent < 100, FORMAT, "%s:%d: the indent of tojson is %lld",
          AT(c->r), LL(style.indent));
    style.ensure_ascii = ascii && value_true(ascii);
    style.sort_keys = sorted && value_true(sorted);
    TRY(show_json(c->r, &b, c->v, style));
    *c->out = STRING(built(&b));
out:
    return rc;
}

/* ---- numbers ---- */
/* A number from what text or value says, else the default. */
static Status number(const Call *c, double *x, bool *is_whole, int64_t *whole, bool *found)
{
    Status rc = ST_OK;
    char digits[64], *end;
    Str s;
    *is_whole = value_integer(c->v, whole);
    *found = value_number(c->v, x);
    if (*found || c->v->kind != VALUE_STRING) goto out;
    TRY(str_trim(c->r, c->v->str, NULL, TRIM_BOTH, &s));
    if (s.n == 0 || s.n >= (int64_t)sizeof digits || memchr(s.s, '\0', (size_t)s.n)) goto out;
    for (int64_t i = 0; i < s.n; i++)
        if (!strchr("0123456789+-.eE", s.s[i])) goto out; /* strtod knows more than Python */
    memcpy(digits, s.s, (size_t)s.n);
    digits[s.n] = '\0';
    *x = strtod(digits, &end);
    *found = *end == '\0';
    *whole = strtoll(digits, &end, 10);
    *is_whole = *end == '\0';
out:
    return rc;
}

static Status filter_int(const Call *c)
{
    Status rc = ST_OK;
    double x;
    int64_t whole;
    bool is_whole, found;
    TRY(args_check(c->r, c->name, c->a, 0, 1, "default"));
    const Value *instead = args_get(c->a, 0, "default");
    TRY(number(c, &x, &is_whole, &whole, &found));
    if (found && !is_whole && fabs(x) < 9e18) {
        whole = (int64_t)x;
        is_whole = true;
    }
    *c->out = is_whole ? INTEGER(whole) : instead ? *instead : INTEGER(0);
out:
    return rc;
}

static Status filter_float(const Call *c)
{
    Status rc = ST_OK;
    double x;
    int64_t whole;
    bool is_whole, found;
    TRY(args_check(c->r, c->name, c->a, 0, 1, "default"));
    const Value *instead = args_get(c->a, 0, "default");
    TRY(number(c, &x, &is_whole, &whole, &found));
    *c->out = found || !instead ? (Value){.kind = VALUE_FLOAT, .real = found ? x : 0.0} : *instead;
out:
    return rc;
}

static Status filter_length(const Call *c)
{
    Status rc = ST_OK;
    int64_t n;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    TRY(value_length(c->r, c->v, &n));
    *c->out = INTEGER(n);
out:
    return rc;
}

/* ---- any value ---- */
static Status filter_default(const Call *c)
{
    Status rc = ST_OK;
    TRY(args_check(c->r, c->name, c->a, 0, 2, "default_value boolean"));
    const Value *instead = args_get(c->a, 0, "default_value"),
                *boolean = args_get(c->a, 1, "boolean");
    const bool absent =
        c->v->kind == VALUE_UNDEFINED || (boolean && value_true(boolean) && !value_true(c->v));
    *c->out = !absent ? *c->v : instead ? *instead : STRING(str_of(PIECE("")));
out:
    return rc;
}

static Status filter_items(const Call *c)
{
    Status rc = ST_OK;
    List *none;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    CHECK(c->v->kind == VALUE_DICT || c->v->kind == VALUE_UNDEFINED, FORMAT,
          "%s:%d: items of %s, not a mapping", AT(c->r), value_kind(c->v));
    if (c->v->kind == VALUE_DICT)
        TRY(dict_pairs(c->r, c->v->dict, c->out));
    else
        TRY(list_make(c->r, 0, &none, c->out));
out:
    return rc;
}

// clang-format off
#define FILTERS(X)                                                                                    \
    X(trim) X(length) X(upper) X(lower) X(title) X(capitalize) X(tojson) X(default) X(first) X(last)  \
    X(join) X(list) X(select) X(reject) X(selectattr) X(rejectattr) X(map) X(string) X(int) X(float)  \
    X(safe) X(replace) X(items) X(reverse)
// clang-format on

static const struct {
    const char *name;
    Status (*call)(const Call *c);
} FILTER[] = {
#define FILTER_ROW(name) {#name, filter_##name},
    FILTERS(FILTER_ROW)
#undef FILTER_ROW
        {"count", filter_length},
    {"d", filter_default},
};

const char *chat_filter_names(void)
{
#define FILTER_NAME(name) #name ", "
    return FILTERS(FILTER_NAME) "count, d";
#undef FILTER_NAME
}

bool chat_filter_known(Piece name)
{
    for (int64_t i = 0; i < N_OF(FILTER); i++)
        if (piece_is(name, FILTER[i].name)) return true;
    return false;
}

Status call_filter(Run *r, Piece name, const Value *v, const Args *a, Value *out)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < N_OF(FILTER); i++)
        if (piece_is(name, FILTER[i].name)) {
            TRY(FILTER[i].call(&(Call){r, name, v, a, out}));
            goto out;
        }
    CHECK(false, FORMAT, "%s:%d: the filter \"%.*s\" is not understood; known: %s", AT(r),
          PIECE_ARG(name), chat_filter_names());
out:
    return rc;
}
