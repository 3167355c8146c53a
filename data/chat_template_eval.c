/* chat_template_eval.c — the value of an expression. */
#include "data/chat_template_value.h"
#include <string.h>

static Status eval_name(Run *r, const Node *n, Value *out)
{
    if (!scope_find(r, n->text, out))
        *out = chat_function_known(n->text) ? (Value){.kind = VALUE_FUNCTION, .name = n->text}
                                            : UNDEFINED(n->text);
    return ST_OK;
}

static int64_t count(const Node *first)
{
    int64_t n = 0;
    for (; first; first = first->next) n++;
    return n;
}

static Status eval_list(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    List *list;
    TRY(list_make(r, count(n->a), &list, out));
    list->is_tuple = n->kind == NODE_TUPLE;
    Value *item = list->item;
    for (const Node *e = n->a; e; e = e->next) TRY(eval(r, e, item++));
out:
    return rc;
}

static Status eval_dict(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Dict *d;
    TRY(dict_make(r, count(n->a) / 2, &d, out));
    for (const Node *e = n->a; e; e = e->next->next) {
        Value key, value;
        TRY(eval(r, e, &key));
        TRY(eval(r, e->next, &value));
        TRY(dict_put(r, d, &key, &value));
    }
out:
    return rc;
}

static Status eval_slice(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value v, bound[3];
    const Node *part[3] = {n->b, n->c, n->d};
    TRY(eval(r, n->a, &v));
    for (int i = 0; i < 3; i++)
        if (part[i]) TRY(eval(r, part[i], &bound[i]));
    TRY(value_slice(r, &v, part[0] ? &bound[0] : NULL, part[1] ? &bound[1] : NULL,
                    part[2] ? &bound[2] : NULL, out));
out:
    return rc;
}

static Status eval_arguments(Run *r, const Node *first, Args *a)
{
    Status rc = ST_OK;
    Value *value;
    Piece *name;
    const int64_t n = count(first);
    *a = (Args){0};
    TRY(run_alloc(r, n, sizeof *value, &value));
    TRY(run_alloc(r, n, sizeof *name, &name));
    for (; first; first = first->next, a->n++) {
        const bool keyword = first->kind == NODE_KEYWORD;
        TRY(eval(r, keyword ? first->a : first, &value[a->n]));
        if (keyword)
            name[a->n - a->n_positional] = first->text;
        else
            a->n_positional++;
    }
    a->value = value;
    a->name = name;
out:
    return rc;
}

/* Methods are known only where they are called: self.name(arguments). */
static Status eval_call(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value self, callee = {.kind = VALUE_UNDEFINED};
    Args a;
    bool known = false;
    TRY(eval_arguments(r, n->b, &a));
    if (n->a->kind == NODE_ATTRIBUTE) {
        TRY(eval(r, n->a->a, &self));
        r->line = n->line;
        TRY(call_method(r, &self, n->a->text, &a, &known, out));
        if (known) goto out;
        TRY(value_attribute(r, &self, n->a->text, &callee));
        CHECK(callee.kind == VALUE_MACRO, FORMAT,
              "%s:%d: the method \"%.*s\" of %s is not understood; known: of strings strip, "
              "lstrip, rstrip, split, replace, "
              "startswith, endswith, upper, lower, title, capitalize; of mappings get, items, "
              "keys, values",
              AT(r), PIECE_ARG(n->a->text), value_kind(&self));
    } else {
        TRY(eval(r, n->a, &callee));
    }
    r->line = n->line;
    if (callee.kind == VALUE_FUNCTION) {
        TRY(call_function(r, callee.name, &a, out));
        goto out;
    }
    CHECK(callee.kind == VALUE_MACRO, FORMAT,
          "%s:%d: calling %s%s%.*s%s; known: macros, range, namespace, dict, raise_exception, "
          "strftime_now",
          AT(r), callee.kind == VALUE_UNDEFINED ? "\"" : "",
          callee.kind == VALUE_UNDEFINED ? "" : value_kind(&callee),
          callee.kind == VALUE_UNDEFINED ? (int)callee.name.n : 0,
          callee.kind == VALUE_UNDEFINED ? callee.name.s : "",
          callee.kind == VALUE_UNDEFINED ? "\", which is undefined" : "");
    TRY(run_macro(r, callee.macro, &a, out));
out:
    return rc;
}

/* ---- operators ---- */
static Status eval_arithmetic(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value a, b;
    TRY(eval(r, n->a, &a));
    TRY(eval(r, n->b, &b));
    r->line = n->line;
    TRY(value_arithmetic(r, n->text, &a, &b, out));
out:
    return rc;
}

static Status eval_sign(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value v;
    int64_t i;
    TRY(eval(r, n->a, &v));
    r->line = n->line;
    const double sign = n->kind == NODE_NEGATIVE ? -1.0 : 1.0;
    if (value_integer(&v, &i)) {
        const Value factor = INTEGER((int64_t)sign);
        TRY(value_arithmetic(r, PIECE("*"), &v, &factor, out));
    } else {
        CHECK(v.kind == VALUE_FLOAT, FORMAT, "%s:%d: a sign before %s", AT(r), value_kind(&v));
        *out = (Value){.kind = VALUE_FLOAT, .real = sign * v.real};
    }
out:
    return rc;
}

static Status compare(Run *r, Piece op, const Value *a, const Value *b, bool *holds)
{
    Status rc = ST_OK;
    int order;
    if (piece_is(op, "in") || piece_is(op, "not in")) {
        TRY(value_contains(r, b, a, holds));
        *holds ^= op.n > 2;
    } else if (op.s[0] == '=' || op.s[0] == '!') {
        TRY(value_equal(r, a, b, holds));
        *holds ^= op.s[0] == '!';
    } else {
        TRY(value_order(r, a, b, &order));
        *holds = (op.s[0] == '<' ? order < 0 : order > 0) || (op.n == 2 && order == 0);
    }
out:
    return rc;
}

/* a < b < c holds when both do. */
static Status eval_compare(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value a, b;
    bool holds = true;
    TRY(eval(r, n->a, &a));
    for (const Node *o = n->b; o && holds; o = o->next) {
        TRY(eval(r, o->a, &b));
        r->line = n->line;
        TRY(compare(r, o->text, &a, &b, &holds));
        a = b;
    }
    *out = BOOLEAN(holds);
out:
    return rc;
}

static Status eval_filter_or_test(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value v;
    Args a;
    bool holds;
    TRY(eval(r, n->a, &v));
    TRY(eval_arguments(r, n->b, &a));
    r->line = n->line;
    if (n->kind == NODE_FILTER) {
        TRY(call_filter(r, n->text, &v, &a, out));
        goto out;
    }
    TRY(call_test(r, n->text, &v, &a, &holds));
    *out = BOOLEAN(holds);
out:
    return rc;
}

static Status eval_logic(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    TRY(eval(r, n->a, out));
    const bool truth = value_true(out);
    if (n->kind == NODE_NOT)
        *out = BOOLEAN(!truth);
    else if (n->kind == NODE_CHOICE) {
        *out = UNDEFINED(PIECE("the other value of an if"));
        if (truth || n->c) TRY(eval(r, truth ? n->b : n->c, out));
    } else if (truth == (n->kind == NODE_AND)) {
        TRY(eval(r, n->b, out));
    }
out:
    return rc;
}

static Status eval_member(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    Value v, key;
    TRY(eval(r, n->a, &v));
    if (n->kind == NODE_ITEM) TRY(eval(r, n->b, &key));
    r->line = n->line;
    if (n->kind == NODE_ITEM)
        TRY(value_item(r, &v, &key, out));
    else
        TRY(value_attribute(r, &v, n->text, out));
out:
    return rc;
}

Status eval(Run *r, const Node *n, Value *out)
{
    Status rc = ST_OK;
    r->line = n->line;
    TRY(run_charge(r, 0));
    TRY(run_enter(r));
    switch (n->kind) {
    case NODE_STRING:
        *out = STRING(str_of(n->text));
        break;
    case NODE_INTEGER:
        *out = INTEGER(n->integer);
        break;
    case NODE_FLOAT:
        *out = (Value){.kind = VALUE_FLOAT, .real = n->real};
        break;
    case NODE_CONSTANT:
        *out = n->integer < 0 ? NONE : BOOLEAN(n->integer != 0);
        break;
    case NODE_NAME:
        TRY(eval_name(r, n, out));
        break;
    case NODE_LIST:
    case NODE_TUPLE:
        TRY(eval_list(r, n, out));
        break;
    case NODE_DICT:
        TRY(eval_dict(r, n, out));
        break;
    case NODE_ATTRIBUTE:
    case NODE_ITEM:
        TRY(eval_member(r, n, out));
        break;
    case NODE_SLICE:
        TRY(eval_slice(r, n, out));
        break;
    case NODE_CALL:
        TRY(eval_call(r, n, out));
        break;
    case NODE_FILTER:
    case NODE_TEST:
        TRY(eval_filter_or_test(r, n, out));
        break;
    case NODE_NEGATIVE:
    case NODE_POSITIVE:
        TRY(eval_sign(r, n, out));
        break;
    case NODE_ARITHMETIC:
        TRY(eval_arithmetic(r, n, out));
        break;
    case NODE_COMPARE:
        TRY(eval_compare(r, n, out));
        break;
    case NODE_NOT:
    case NODE_AND:
    case NODE_OR:
    case NODE_CHOICE:
        TRY(eval_logic(r, n, out));
        break;
    default:
        CHECK(false, BUG, "%s:%d: node %d is no expression", AT(r), n->kind);
    }
    r->depth--;
out:
    return rc;
}
