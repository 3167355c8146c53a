/* chat_template_member.c — lists and mappings: elements, keys, attributes, slices, as Python has them. */
#include "data/chat_template_value.h"
#include <string.h>

Status list_make(Run *r, int64_t n, List **list, Value *out)
{
    Status rc = ST_OK;
    TRY(run_charge(r, n * (int64_t)sizeof(Value)));
    TRY(run_alloc(r, 1, sizeof **list, list));
    **list = (List){.n = n};
    TRY(run_alloc(r, n, sizeof(Value), &(*list)->item));
    *out = (Value){.kind = VALUE_LIST, .list = *list};
out:
    return rc;
}

Status dict_make(Run *r, int64_t cap, Dict **dict, Value *out)
{
    Status rc = ST_OK;
    TRY(run_alloc(r, 1, sizeof **dict, dict));
    **dict = (Dict){.cap = cap, .message = -1};
    TRY(run_alloc(r, cap, sizeof(Value), &(*dict)->key));
    TRY(run_alloc(r, cap, sizeof(Value), &(*dict)->value));
    *out = (Value){.kind = VALUE_DICT, .dict = *dict};
out:
    return rc;
}

Status dict_find(Run *r, const Dict *d, const Value *key, const Value **value)
{
    Status rc = ST_OK;
    bool same = false;
    *value = NULL;
    TRY(run_charge(r, 0));
    for (int64_t i = 0; i < d->n && !same; i++) {
        TRY(value_equal(r, &d->key[i], key, &same));
        if (same) *value = &d->value[i];
    }
out:
    return rc;
}

Status dict_put(Run *r, Dict *d, const Value *key, const Value *value)
{
    Status rc = ST_OK;
    const Value *old;
    CHECK(key->kind != VALUE_LIST && key->kind != VALUE_DICT, FORMAT, "%s:%d: %s cannot be a key",
          AT(r), value_kind(key));
    TRY(dict_find(r, d, key, &old));
    if (old) {
        d->value[old - d->value] = *value;
        goto out;
    }
    if (d->n == d->cap) {
        Value *keys, *values;
        const int64_t cap = 2 * d->cap + 4;
        TRY(run_alloc(r, cap, sizeof *keys, &keys));
        TRY(run_alloc(r, cap, sizeof *values, &values));
        memcpy(keys, d->key, (size_t)d->n * sizeof *keys);
        memcpy(values, d->value, (size_t)d->n * sizeof *values);
        d->key = keys;
        d->value = values;
        d->cap = cap;
    }
    d->key[d->n] = *key;
    d->value[d->n++] = *value;
out:
    return rc;
}

Status value_contains(Run *r, const Value *in, const Value *v, bool *found)
{
    Status rc = ST_OK;
    const Value *value;
    *found = false;
    if (in->kind == VALUE_STRING) {
        CHECK(v->kind == VALUE_STRING, FORMAT, "%s:%d: looking for %s in a string", AT(r),
              value_kind(v));
        TRY(run_charge(r, in->str.n));
        *found = str_find(in->str, 0, v->str) >= 0;
    } else if (in->kind == VALUE_DICT) {
        TRY(dict_find(r, in->dict, v, &value));
        *found = value;
    } else {
        CHECK(in->kind == VALUE_LIST || in->kind == VALUE_UNDEFINED, FORMAT,
              "%s:%d: looking into %s; known: strings, lists, mappings", AT(r), value_kind(in));
        for (int64_t i = 0; in->kind == VALUE_LIST && i < in->list->n && !*found; i++)
            TRY(value_equal(r, &in->list->item[i], v, found));
    }
out:
    return rc;
}

Status value_length(Run *r, const Value *v, int64_t *n)
{
    Status rc = ST_OK;
    *n = 0;
    switch (v->kind) {
    case VALUE_UNDEFINED:
        break;
    case VALUE_STRING:
        TRY(run_charge(r, v->str.n));
        *n = str_length(v->str);
        break;
    case VALUE_LIST:
        *n = v->list->n;
        break;
    case VALUE_DICT:
        *n = v->dict->n;
        break;
    case VALUE_LOOP:
        *n = v->loop->n;
        break;
    default:
        CHECK(false, FORMAT, "%s:%d: %s has no length", AT(r), value_kind(v));
    }
out:
    return rc;
}

/* Characters of a string, keys of a mapping, elements of a list. */
Status value_items(Run *r, const Value *v, const List **items)
{
    Status rc = ST_OK;
    List *list;
    Value unused;
    int64_t n;
    if (v->kind == VALUE_LIST) {
        *items = v->list;
        goto out;
    }
    CHECK(v->kind == VALUE_STRING || v->kind == VALUE_DICT || v->kind == VALUE_UNDEFINED, FORMAT,
          "%s:%d: %s has no elements to go through", AT(r), value_kind(v));
    TRY(value_length(r, v, &n));
    TRY(list_make(r, n, &list, &unused));
    for (int64_t i = 0, at = 0; i < n; i++) {
        if (v->kind == VALUE_DICT) {
            list->item[i] = v->dict->key[i];
            continue;
        }
        Str part;
        const int64_t end = at + utf8_bytes(v->str.s[at]);
        TRY(str_slice(r, v->str, at, end, &part));
        list->item[i] = STRING(part);
        at = end;
    }
    *items = list;
out:
    return rc;
}

static Value loop_attribute(const Loop *l, Piece name)
{
    if (piece_is(name, "index")) return INTEGER(l->index0 + 1);
    if (piece_is(name, "index0")) return INTEGER(l->index0);
    if (piece_is(name, "revindex")) return INTEGER(l->n - l->index0);
    if (piece_is(name, "revindex0")) return INTEGER(l->n - l->index0 - 1);
    if (piece_is(name, "first")) return BOOLEAN(l->index0 == 0);
    if (piece_is(name, "last")) return BOOLEAN(l->index0 == l->n - 1);
    if (piece_is(name, "length")) return INTEGER(l->n);
    if (piece_is(name, "previtem") && l->index0 > 0) return l->item[l->index0 - 1];
    if (piece_is(name, "nextitem") && l->index0 + 1 < l->n) return l->item[l->index0 + 1];
    return UNDEFINED(name);
}

Status value_attribute(Run *r, const Value *v, Piece name, Value *out)
{
    Status rc = ST_OK;
    static const char *const DICT_METHODS[] = {"get",   "items",      "keys",    "values",
                                               "pop",   "popitem",    "update",  "copy",
                                               "clear", "setdefault", "fromkeys"};
    static const char *const LOOP_LACKS[] = {"cycle", "changed", "depth", "depth0"};
    const Value *member = NULL;
    CHECK(v->kind != VALUE_UNDEFINED, FORMAT, "%s:%d: \"%.*s\" is undefined, so it has no \"%.*s\"",
          AT(r), PIECE_ARG(v->name), PIECE_ARG(name));
    if (v->kind == VALUE_DICT || v->kind == VALUE_NAMESPACE) {
        const Value key = STRING(str_of(name));
        TRY(dict_find(r, v->dict, &key, &member));
    }
    for (int64_t i = 0; v->kind == VALUE_DICT && i < N_OF(DICT_METHODS); i++)
        CHECK(!piece_is(name, DICT_METHODS[i]), FORMAT,
              "%s:%d: .%.*s of a mapping is its method, and not understood here; known: the calls "
              "get, items, keys, values; "
              "[\"%.*s\"] for a member of that name",
              AT(r), PIECE_ARG(name), PIECE_ARG(name));
    for (int64_t i = 0; v->kind == VALUE_LOOP && i < N_OF(LOOP_LACKS); i++)
        CHECK(!piece_is(name, LOOP_LACKS[i]), FORMAT,
              "%s:%d: loop.%.*s is not understood; known: index, index0, revindex, revindex0, "
              "first, last, length, "
              "previtem, nextitem",
              AT(r), PIECE_ARG(name));
    *out = member                  ? *member
           : v->kind == VALUE_LOOP ? loop_attribute(v->loop, name)
                                   : UNDEFINED(name);
out:
    return rc;
}

Status value_item(Run *r, const Value *v, const Value *key, Value *out)
{
    Status rc = ST_OK;
    int64_t i, n;
    if ((v->kind == VALUE_LIST || v->kind == VALUE_STRING) && value_integer(key, &i)) {
        TRY(value_length(r, v, &n));
        if (i < 0) i += n;
        *out = UNDEFINED(PIECE("that element"));
        if (i < 0 || i >= n) goto out;
        if (v->kind == VALUE_LIST) {
            *out = v->list->item[i];
            goto out;
        }
        Str part;
        const int64_t at = str_at(v->str, i);
        TRY(str_slice(r, v->str, at, at + utf8_bytes(v->str.s[at]), &part));
        *out = STRING(part);
        goto out;
    }
    const Value *member = NULL;
    if (v->kind == VALUE_DICT) TRY(dict_find(r, v->dict, key, &member));
    if (member) {
        *out = *member;
    } else {
        const Piece name =
            key->kind == VALUE_STRING ? (Piece){key->str.s, key->str.n} : PIECE("that element");
        TRY(value_attribute(r, v, name, out));
    }
out:
    return rc;
}

/* As Python's slice.indices(): where to begin, in which steps, how many. */
static Status slice_range(Run *r, const Value *begin, const Value *end, const Value *step,
                          int64_t length, int64_t *from, int64_t *by, int64_t *n)
{
    Status rc = ST_OK;
    const Value *bound[2] = {begin, end};
    int64_t at[2];
    *by = 1;
    CHECK(!step || step->kind == VALUE_NONE || value_integer(step, by), FORMAT,
          "%s:%d: the step of a slice is %s", AT(r), value_kind(step));
    CHECK(*by != 0 && *by > -INT32_MAX && *by < INT32_MAX, FORMAT,
          "%s:%d: the step of a slice is %lld", AT(r), LL(*by));
    const int64_t lowest = *by < 0 ? -1 : 0, highest = *by < 0 ? length - 1 : length;
    for (int k = 0; k < 2; k++) {
        at[k] = (k == 0) == (*by > 0) ? lowest : highest;
        if (!bound[k] || bound[k]->kind == VALUE_NONE) continue;
        CHECK(value_integer(bound[k], &at[k]), FORMAT, "%s:%d: the bound of a slice is %s", AT(r),
              value_kind(bound[k]));
        if (at[k] < 0) at[k] = at[k] < -length ? lowest : at[k] + length;
        if (at[k] < lowest) at[k] = lowest;
        if (at[k] > highest) at[k] = highest;
    }
    *from = at[0];
    const int64_t span = *by > 0 ? at[1] - at[0] : at[0] - at[1], stride = *by > 0 ? *by : -*by;
    *n = span > 0 ? (span + stride - 1) / stride : 0;
out:
    return rc;
}

Status value_slice(Run *r, const Value *v, const Value *begin, const Value *end, const Value *step,
                   Value *out)
{
    Status rc = ST_OK;
    int64_t length, from = 0, by = 1, n = 0;
    Builder b = {0};
    CHECK(v->kind == VALUE_LIST || v->kind == VALUE_STRING, FORMAT, "%s:%d: a slice of %s", AT(r),
          value_kind(v));
    TRY(value_length(r, v, &length));
    TRY(slice_range(r, begin, end, step, length, &from, &by, &n));
    if (v->kind == VALUE_LIST) {
        List *list;
        TRY(list_make(r, n, &list, out));
        list->is_tuple = v->list->is_tuple;
        for (int64_t i = 0; i < n; i++) list->item[i] = v->list->item[from + i * by];
        goto out;
    }
    Str s = v->str;
    if (by == 1) {
        TRY(str_slice(r, s, str_at(s, from), str_at(s, from + n), &s));
    } else {
        const List *letters;
        TRY(value_items(r, v, &letters));
        for (int64_t i = 0; i < n; i++) TRY(build_str(r, &b, letters->item[from + i * by].str));
        s = built(&b);
    }
    *out = STRING(s);
out:
    return rc;
}
