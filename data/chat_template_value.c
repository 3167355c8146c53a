/* chat_template_value.c — values as Python has them: truth, equality, order; and what they cost. */
#include "data/chat_template_value.h"
#include "trainer/tensor/arena.h"
#include <string.h>

Status run_alloc(Run *r, int64_t n, size_t elem_bytes, void *pp)
{
    Status rc = ST_OK;
    CHECK(n <= MEMORY_MAX_BYTES / (int64_t)elem_bytes &&
              r->arena->used + (size_t)n * elem_bytes <= MEMORY_MAX_BYTES,
          FORMAT, "%s:%d: one rendering needs more than %d MiB", AT(r), MEMORY_MAX_BYTES >> 20);
    void *p = arena_alloc(r->arena, n, elem_bytes);
    CHECK(p, NOMEM, "%s:%d: no memory for %lld x %zu bytes", AT(r), LL(n), elem_bytes);
    memcpy(pp, &p, sizeof p);
out:
    return rc;
}

Status run_charge(Run *r, int64_t n_bytes)
{
    Status rc = ST_OK;
    r->n_step += 1 + n_bytes / 64;
    CHECK(r->n_step <= STEP_MAX, FORMAT, "%s:%d: one rendering takes more than %d steps", AT(r),
          STEP_MAX);
out:
    return rc;
}

const char *value_kind(const Value *v)
{
    static const char *const NAMES[] = {
        [VALUE_UNDEFINED] = "undefined",   [VALUE_NONE] = "none",
        [VALUE_BOOLEAN] = "a boolean",     [VALUE_INTEGER] = "an integer",
        [VALUE_FLOAT] = "a float",         [VALUE_STRING] = "a string",
        [VALUE_LIST] = "a list",           [VALUE_DICT] = "a mapping",
        [VALUE_NAMESPACE] = "a namespace", [VALUE_LOOP] = "a loop",
        [VALUE_MACRO] = "a macro",         [VALUE_FUNCTION] = "a function",
    };
    return NAMES[v->kind];
}

Status run_enter(Run *r)
{
    Status rc = ST_OK;
    CHECK(++r->depth <= DEPTH_MAX, FORMAT, "%s:%d: nested deeper than %d", AT(r), DEPTH_MAX);
out:
    return rc;
}

/* ---- truth, equality, order ---- */
bool value_true(const Value *v)
{
    switch (v->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOLEAN:
        return v->boolean;
    case VALUE_INTEGER:
        return v->integer != 0;
    case VALUE_FLOAT:
        return v->real != 0.0;
    case VALUE_STRING:
        return v->str.n > 0;
    case VALUE_LIST:
        return v->list->n > 0;
    case VALUE_DICT:
        return v->dict->n > 0;
    default:
        return true;
    }
}

bool value_integer(const Value *v, int64_t *i)
{
    *i = v->kind == VALUE_BOOLEAN ? v->boolean : v->integer;
    return v->kind == VALUE_INTEGER || v->kind == VALUE_BOOLEAN;
}

bool value_number(const Value *v, double *x)
{
    int64_t i;
    const bool whole = value_integer(v, &i);
    *x = whole ? (double)i : v->real;
    return whole || v->kind == VALUE_FLOAT;
}

Status value_equal(Run *r, const Value *a, const Value *b, bool *equal)
{
    Status rc = ST_OK;
    double x, y;
    int64_t i, j;
    TRY(run_enter(r));
    TRY(run_charge(r, 0));
    *equal = false;
    if (value_integer(a, &i) && value_integer(b, &j)) {
        *equal = i == j;
    } else if (value_number(a, &x) && value_number(b, &y)) {
        *equal = x == y;
    } else if (a->kind != b->kind) {
        *equal = false;
    } else if (a->kind == VALUE_STRING) {
        TRY(run_charge(r, a->str.n));
        *equal = str_compare(a->str, b->str) == 0;
    } else if (a->kind == VALUE_LIST) {
        *equal = a->list->n == b->list->n && a->list->is_tuple == b->list->is_tuple;
        for (int64_t k = 0; *equal && k < a->list->n; k++)
            TRY(value_equal(r, &a->list->item[k], &b->list->item[k], equal));
    } else if (a->kind == VALUE_DICT) {
        *equal = a->dict->n == b->dict->n;
        for (int64_t k = 0; *equal && a->dict != b->dict && k < a->dict->n; k++) {
            const Value *other;
            TRY(dict_find(r, b->dict, &a->dict->key[k], &other));
            *equal = other;
            if (other) TRY(value_equal(r, &a->dict->value[k], other, equal));
        }
    } else if (a->kind == VALUE_NAMESPACE) {
        *equal = a->dict == b->dict;
    } else {
        *equal = a->kind == VALUE_UNDEFINED || a->kind == VALUE_NONE;
    }
    r->depth--;
out:
    return rc;
}

Status value_order(Run *r, const Value *a, const Value *b, int *order)
{
    Status rc = ST_OK;
    double x, y;
    int64_t i, j;
    if (value_integer(a, &i) && value_integer(b, &j)) {
        *order = (i > j) - (i < j);
    } else if (value_number(a, &x) && value_number(b, &y)) {
        *order = (x > y) - (x < y);
    } else {
        CHECK(a->kind == VALUE_STRING && b->kind == VALUE_STRING, FORMAT,
              "%s:%d: cannot compare %s with %s; known: numbers, strings", AT(r), value_kind(a),
              value_kind(b));
        TRY(run_charge(r, a->str.n));
        *order = str_compare(a->str, b->str);
    }
out:
    return rc;
}
