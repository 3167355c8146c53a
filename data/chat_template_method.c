/* chat_template_method.c — methods of strings and mappings, and functions: text.strip(),
 * message.get("name"), range(3), namespace(found=false). */
#include "data/chat_template_value.h"
#include <string.h>
#include <time.h>

enum { RANGE_MAX = 100000 }; /* jinja2's sandbox has the same */

/* ---- arguments ---- */
const Value *args_get(const Args *a, int64_t place, const char *name)
{
    if (place >= 0 && place < a->n_positional) return &a->value[place];
    for (int64_t i = a->n_positional; i < a->n; i++)
        if (piece_is(a->name[i - a->n_positional], name)) return &a->value[i];
    return NULL;
}

/* Is `name` one of the words of "a b c"? */
static bool is_word(Piece name, const char *words)
{
    const size_t n = (size_t)name.n;
    for (const char *w = words; *w; w += strcspn(w, " "), w += *w == ' ')
        if (strcspn(w, " ") == n && memcmp(w, name.s, n) == 0) return true;
    return false;
}

Status args_check(Run *r, Piece what, const Args *a, int64_t min, int64_t max, const char *names)
{
    Status rc = ST_OK;
    CHECK(a->n >= min && a->n_positional <= max, FORMAT,
          "%s:%d: \"%.*s\" has %lld arguments, expected %lld to %lld", AT(r), PIECE_ARG(what),
          LL(a->n), LL(min), LL(max));
    for (int64_t i = 0; i < a->n - a->n_positional; i++)
        CHECK(is_word(a->name[i], names), FORMAT,
              "%s:%d: \"%.*s\" has no argument \"%.*s\"; known: %s", AT(r), PIECE_ARG(what),
              PIECE_ARG(a->name[i]), *names ? names : "none by name");
out:
    return rc;
}

static Status string_argument(Run *r, Piece what, const Value *v, Str *out)
{
    Status rc = ST_OK;
    CHECK(v->kind == VALUE_STRING, FORMAT, "%s:%d: \"%.*s\" wants a string, not %s", AT(r),
          PIECE_ARG(what), value_kind(v));
    *out = v->str;
out:
    return rc;
}

/* ---- strings ---- */
/* s.startswith(prefix), s.endswith(suffix): of one string or any of a tuple */
static Status has_affix(Run *r, Piece name, Str s, const Value *affix, bool *has)
{
    Status rc = ST_OK;
    const List one = {.item = (Value *)affix, .n = 1},
               *all = affix->kind == VALUE_LIST ? affix->list : &one;
    *has = false;
    for (int64_t i = 0; i < all->n && !*has; i++) {
        Str part = {0};
        TRY(string_argument(r, name, &all->item[i], &part));
        TRY(run_charge(r, part.n));
        const int64_t at = piece_is(name, "startswith") ? 0 : s.n - part.n;
        *has = part.n <= s.n && memcmp(s.s + at, part.s, (size_t)part.n) == 0;
    }
out:
    return rc;
}

static Status optional_count(Run *r, Piece name, const Value *v, int64_t *count)
{
    Status rc = ST_OK;
    *count = -1;
    CHECK(!v || value_integer(v, count), FORMAT, "%s:%d: \"%.*s\" wants a count, not %s", AT(r),
          PIECE_ARG(name), value_kind(v));
out:
    return rc;
}

static Status string_method(Run *r, Str s, Piece name, const Args *a, bool *known, Value *out)
{
    Status rc = ST_OK;
    static const struct {
        const char *name;
        TrimSide side;
    } TRIMS[] = {{"strip", TRIM_BOTH}, {"lstrip", TRIM_LEFT}, {"rstrip", TRIM_RIGHT}};
    static const struct {
        const char *name;
        LetterCase c;
    } CASES[] = {{"upper", CASE_UPPER},
                 {"lower", CASE_LOWER},
                 {"title", CASE_TITLE},
                 {"capitalize", CASE_CAPITAL}};
    Str text = s;
    for (int64_t i = 0; i < N_OF(TRIMS); i++)
        if (piece_is(name, TRIMS[i].name)) {
            TRY(args_check(r, name, a, 0, 1, ""));
            TRY(str_trim(r, s, args_get(a, 0, ""), TRIMS[i].side, &text));
            *out = STRING(text);
            goto out;
        }
    for (int64_t i = 0; i < N_OF(CASES); i++)
        if (piece_is(name, CASES[i].name)) {
            TRY(args_check(r, name, a, 0, 0, ""));
            TRY(str_case(r, name, s, CASES[i].c, &text));
            *out = STRING(text);
            goto out;
        }
    int64_t count;
    if (piece_is(name, "split")) {
        TRY(args_check(r, name, a, 0, 2, "sep maxsplit"));
        TRY(optional_count(r, name, args_get(a, 1, "maxsplit"), &count));
        TRY(str_split(r, s, args_get(a, 0, "sep"), count, out));
    } else if (piece_is(name, "replace")) {
        Str old, now;
        TRY(args_check(r, name, a, 2, 3, "count"));
        CHECK(a->n_positional >= 2, FORMAT, "%s:%d: replace(old, new) has %lld arguments", AT(r),
              LL(a->n_positional));
        TRY(string_argument(r, name, &a->value[0], &old));
        TRY(string_argument(r, name, &a->value[1], &now));
        TRY(optional_count(r, name, args_get(a, 2, "count"), &count));
        TRY(str_replace(r, s, old, now, count, &text));
        *out = STRING(text);
    } else if (piece_is(name, "startswith") || piece_is(name, "endswith")) {
        bool has;
        TRY(args_check(r, name, a, 1, 1, ""));
        TRY(has_affix(r, name, s, &a->value[0], &has));
        *out = BOOLEAN(has);
    } else {
        *known = false;
    }
out:
    return rc;
}

/* ---- mappings ---- */
Status dict_pairs(Run *r, const Dict *d, Value *out)
{
    Status rc = ST_OK;
    List *list, *pair;
    TRY(list_make(r, d->n, &list, out));
    for (int64_t i = 0; i < d->n; i++) {
        TRY(list_make(r, 2, &pair, &list->item[i]));
        pair->is_tuple = true;
        pair->item[0] = d->key[i];
        pair->item[1] = d->value[i];
    }
out:
    return rc;
}

static Status dict_method(Run *r, const Dict *d, Piece name, const Args *a, bool *known, Value *out)
{
    Status rc = ST_OK;
    if (piece_is(name, "get")) {
        const Value *found;
        TRY(args_check(r, name, a, 1, 2, ""));
        TRY(dict_find(r, d, &a->value[0], &found));
        *out = found ? *found : a->n > 1 ? a->value[1] : NONE;
    } else if (piece_is(name, "items")) {
        TRY(args_check(r, name, a, 0, 0, ""));
        TRY(dict_pairs(r, d, out));
    } else if (piece_is(name, "keys") || piece_is(name, "values")) {
        List *list;
        TRY(args_check(r, name, a, 0, 0, ""));
        TRY(list_make(r, d->n, &list, out));
        if (d->n)
            memcpy(list->item, piece_is(name, "keys") ? d->key : d->value,
                   (size_t)d->n * sizeof(Value));
    } else {
        *known = false;
    }
out:
    return rc;
}

Status call_method(Run *r, const Value *self, Piece name, const Args *a, bool *known, Value *out)
{
    Status rc = ST_OK;
    *known = self->kind == VALUE_STRING || self->kind == VALUE_DICT;
    if (self->kind == VALUE_STRING) TRY(string_method(r, self->str, name, a, known, out));
    if (self->kind == VALUE_DICT) TRY(dict_method(r, self->dict, name, a, known, out));
out:
    return rc;
}

/* ---- functions ---- */
static Status call_range(Run *r, Piece name, const Args *a, Value *out)
{
    Status rc = ST_OK;
    int64_t bound[3] = {0, 0, 1};
    List *list;
    TRY(args_check(r, name, a, 1, 3, ""));
    for (int64_t i = 0; i < a->n; i++)
        CHECK(value_integer(&a->value[i], &bound[a->n == 1 ? 1 : i]), FORMAT, "%s:%d: range of %s",
              AT(r), value_kind(&a->value[i]));
    const int64_t step = bound[2];
    CHECK(step != 0, FORMAT, "%s:%d: range with a step of 0", AT(r));
    int64_t n = 0;
    for (int64_t i = bound[0]; step > 0 ? i < bound[1] : i > bound[1];) {
        CHECK(++n <= RANGE_MAX, FORMAT, "%s:%d: range of more than %d numbers", AT(r), RANGE_MAX);
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    TRY(list_make(r, n, &list, out));
    for (int64_t i = 0; i < list->n; i++) list->item[i] = INTEGER(bound[0] + i * step);
out:
    return rc;
}

static Status call_namespace(Run *r, Piece name, const Args *a, Value *out)
{
    Status rc = ST_OK;
    Dict *d;
    CHECK(a->n_positional == 0, FORMAT,
          "%s:%d: %.*s(mapping) is not understood; known: %.*s(name=value, ...)", AT(r),
          PIECE_ARG(name), PIECE_ARG(name));
    TRY(dict_make(r, a->n, &d, out));
    for (int64_t i = 0; i < a->n; i++) {
        const Value key = STRING(str_of(a->name[i]));
        TRY(dict_put(r, d, &key, &a->value[i]));
    }
    if (piece_is(name, "namespace")) out->kind = VALUE_NAMESPACE;
out:
    return rc;
}

static Status call_strftime(Run *r, Piece name, const Args *a, Value *out)
{
    Status rc = ST_OK;
    Str format = {0};
    Builder b = {0};
    char text[256], plain[128];
    struct tm tm;
    const time_t now = (time_t)r->now;
    TRY(args_check(r, name, a, 1, 1, ""));
    TRY(string_argument(r, name, &a->value[0], &format));
    CHECK(format.n < (int64_t)sizeof plain && gmtime_r(&now, &tm), FORMAT,
          "%s:%d: a time format of %lld bytes", AT(r), LL(format.n));
    memcpy(plain, format.s, (size_t)format.n);
    plain[format.n] = '\0';
    TRY(build_bytes(r, &b, text, (int64_t)strftime(text, sizeof text, plain, &tm)));
    *out = STRING(built(&b));
out:
    return rc;
}

bool chat_function_known(Piece name)
{
    return is_word(name, "range namespace dict raise_exception strftime_now");
}

Status call_function(Run *r, Piece name, const Args *a, Value *out)
{
    Status rc = ST_OK;
    if (piece_is(name, "range")) {
        TRY(call_range(r, name, a, out));
    } else if (piece_is(name, "strftime_now")) {
        TRY(call_strftime(r, name, a, out));
    } else if (piece_is(name, "raise_exception")) {
        Str why;
        TRY(args_check(r, name, a, 1, 1, ""));
        TRY(value_text(r, &a->value[0], &why));
        CHECK(false, DATA, "%s:%d: %.*s", AT(r), why.n < 500 ? (int)why.n : 500, why.s);
    } else {
        TRY(call_namespace(r, name, a, out));
    }
out:
    return rc;
}
