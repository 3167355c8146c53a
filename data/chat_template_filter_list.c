/* chat_template_filter_list.c — filters that take lists apart and put them together. */
#include "data/chat_template_filter.h"
#include <string.h>

Status filter_list(const Call *c)
{
    Status rc = ST_OK;
    const List *items;
    List *copy;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    TRY(value_items(c->r, c->v, &items));
    TRY(list_make(c->r, items->n, &copy, c->out));
    if (items->n) memcpy(copy->item, items->item, (size_t)items->n * sizeof *copy->item);
out:
    return rc;
}

static Status one_element(const Call *c, bool first)
{
    Status rc = ST_OK;
    const List *items;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    TRY(value_items(c->r, c->v, &items));
    *c->out = items->n ? items->item[first ? 0 : items->n - 1] : UNDEFINED(PIECE("that element"));
out:
    return rc;
}

Status filter_first(const Call *c)
{
    return one_element(c, true);
}

Status filter_last(const Call *c)
{
    return one_element(c, false);
}

Status filter_reverse(const Call *c)
{
    Status rc = ST_OK;
    const Value backwards = INTEGER(-1);
    const List *items;
    Value list = *c->v;
    TRY(args_check(c->r, c->name, c->a, 0, 0, ""));
    if (c->v->kind != VALUE_STRING) {
        TRY(value_items(c->r, c->v, &items));
        list = (Value){.kind = VALUE_LIST, .list = items};
    }
    TRY(value_slice(c->r, &list, NULL, NULL, &backwards, c->out));
out:
    return rc;
}

/* "a.b" of a mapping, number parts being indices */
static Status by_path(Run *r, const Value *v, const Value *path, Value *out)
{
    Status rc = ST_OK;
    int64_t index;
    *out = *v;
    if (value_integer(path, &index)) {
        TRY(value_item(r, v, path, out));
        goto out;
    }
    CHECK(path->kind == VALUE_STRING, FORMAT, "%s:%d: the name of an attribute is %s", AT(r),
          value_kind(path));
    TRY(run_charge(r, path->str.n));
    for (int64_t at = 0; at <= path->str.n;) {
        int64_t end = str_find(path->str, at, str_of(PIECE(".")));
        if (end < 0) end = path->str.n;
        Value key = STRING(((Str){.s = path->str.s + at, .n = end - at})), member;
        int64_t number = 0, i = at;
        while (i < end && i < at + 9 && path->str.s[i] >= '0' && path->str.s[i] <= '9')
            number = 10 * number + path->str.s[i++] - '0';
        if (i == end && i > at) key = INTEGER(number);
        TRY(value_item(r, out, &key, &member));
        *out = member;
        at = end + 1;
    }
out:
    return rc;
}

/* The arguments behind the first n positional ones. */
static Args rest(const Args *a, int64_t n)
{
    return (Args){a->value + n, a->name, a->n_positional - n, a->n - n};
}

/* What select, reject and map go through: nothing of a value that is false, as in jinja2. */
static Status elements(const Call *c, const List **items)
{
    Status rc = ST_OK;
    static const List NOTHING;
    *items = &NOTHING;
    if (value_true(c->v)) TRY(value_items(c->r, c->v, items));
out:
    return rc;
}

/* Keeps the elements that pass a test (the first argument, truth when there is none); by_attribute: an
 * attribute of them, named before the test. */
static Status keep(const Call *c, bool by_attribute, bool wanted)
{
    Status rc = ST_OK;
    const List *items;
    List *kept;
    TRY(args_check(c->r, c->name, c->a, by_attribute, 9, ""));
    Args a = rest(c->a, by_attribute);
    const Value *test = a.n ? a.value : NULL;
    CHECK(!test || test->kind == VALUE_STRING, FORMAT, "%s:%d: the name of a test is %s", AT(c->r),
          value_kind(test));
    if (test) a = rest(&a, 1);
    TRY(elements(c, &items));
    TRY(list_make(c->r, items->n, &kept, c->out));
    kept->n = 0;
    for (int64_t i = 0; i < items->n; i++) {
        Value v = items->item[i];
        if (by_attribute) TRY(by_path(c->r, &items->item[i], &c->a->value[0], &v));
        bool holds = value_true(&v);
        if (test) TRY(call_test(c->r, (Piece){test->str.s, test->str.n}, &v, &a, &holds));
        if (holds == wanted) kept->item[kept->n++] = items->item[i];
    }
out:
    return rc;
}

Status filter_select(const Call *c)
{
    return keep(c, false, true);
}

Status filter_reject(const Call *c)
{
    return keep(c, false, false);
}

Status filter_selectattr(const Call *c)
{
    return keep(c, true, true);
}

Status filter_rejectattr(const Call *c)
{
    return keep(c, true, false);
}

/* map(attribute="name", default=value), or map("filter", its arguments) */
Status filter_map(const Call *c)
{
    Status rc = ST_OK;
    const List *items;
    List *made;
    const Value *path = args_get(c->a, -1, "attribute"), *instead = args_get(c->a, -1, "default");
    TRY(args_check(c->r, c->name, c->a, 1, path ? 0 : 9, path ? "attribute default" : ""));
    CHECK(path || c->a->value[0].kind == VALUE_STRING, FORMAT,
          "%s:%d: map wants attribute=name or the name of a filter", AT(c->r));
    TRY(elements(c, &items));
    TRY(list_make(c->r, items->n, &made, c->out));
    for (int64_t i = 0; i < items->n; i++) {
        if (path) {
            TRY(by_path(c->r, &items->item[i], path, &made->item[i]));
            if (instead && made->item[i].kind == VALUE_UNDEFINED) made->item[i] = *instead;
        } else {
            const Args a = rest(c->a, 1);
            const Piece name = {c->a->value[0].str.s, c->a->value[0].str.n};
            TRY(call_filter(c->r, name, &items->item[i], &a, &made->item[i]));
        }
    }
out:
    return rc;
}

Status filter_join(const Call *c)
{
    Status rc = ST_OK;
    const List *items;
    Builder b = {0};
    Str between = {.s = ""};
    TRY(args_check(c->r, c->name, c->a, 0, 2, "d attribute"));
    const Value *d = args_get(c->a, 0, "d"), *path = args_get(c->a, 1, "attribute");
    if (d) TRY(value_text(c->r, d, &between));
    TRY(value_items(c->r, c->v, &items));
    for (int64_t i = 0; i < items->n; i++) {
        Value v = items->item[i];
        if (path) TRY(by_path(c->r, &items->item[i], path, &v));
        if (i) TRY(build_str(c->r, &b, between));
        TRY(show_value(c->r, &b, &v));
    }
    *c->out = STRING(built(&b));
out:
    return rc;
}
