/* chat_template_run.c — statements: what they write, and which message it is written for. */
#include "data/chat_template_value.h"
#include <string.h>

typedef struct Binding Binding;
struct Binding {
    Piece name;
    Value value;
    Binding *next;
};
struct Scope {
    Scope *up;
    Binding *first;
};

static Status run_body(Run *r, const Node *n);

Status scope_push(Run *r)
{
    Status rc = ST_OK;
    Scope *s;
    TRY(run_alloc(r, 1, sizeof *s, &s));
    *s = (Scope){.up = r->scope};
    r->scope = s;
out:
    return rc;
}

void scope_pop(Run *r)
{
    r->scope = r->scope->up;
}

Status scope_set(Run *r, Piece name, const Value *v)
{
    Status rc = ST_OK;
    Binding *b = r->scope->first;
    for (; b && !piece_same(b->name, name); b = b->next) r->n_step++;
    if (!b) {
        TRY(run_alloc(r, 1, sizeof *b, &b));
        *b = (Binding){.name = name, .next = r->scope->first};
        r->scope->first = b;
    }
    b->value = *v;
out:
    return rc;
}

bool scope_find(Run *r, Piece name, Value *out)
{
    for (const Scope *s = r->scope; s; s = s->up)
        for (const Binding *b = s->first; b; b = b->next, r->n_step++)
            if (piece_same(b->name, name)) {
                *out = b->value;
                return true;
            }
    return false;
}

/* ---- set ---- */
static Status assign(Run *r, const Node *target, const Value *v)
{
    Status rc = ST_OK;
    if (target->kind == NODE_NAME) {
        TRY(scope_set(r, target->text, v));
    } else if (target->kind == NODE_ATTRIBUTE) {
        Value ns;
        const Value key = STRING(str_of(target->text));
        CHECK(scope_find(r, target->a->text, &ns) && ns.kind == VALUE_NAMESPACE, FORMAT,
              "%s:%d: set %.*s.%.*s, but \"%.*s\" is no namespace", AT(r),
              PIECE_ARG(target->a->text), PIECE_ARG(target->text), PIECE_ARG(target->a->text));
        TRY(dict_put(r, ns.dict, &key, v));
    } else {
        const List *items;
        int64_t i = 0, n = 0;
        for (const Node *t = target->a; t; t = t->next) n++;
        TRY(value_items(r, v, &items));
        CHECK(items->n == n, FORMAT, "%s:%d: %lld values for %lld names", AT(r), LL(items->n),
              LL(n));
        for (const Node *t = target->a; t; t = t->next)
            TRY(scope_set(r, t->text, &items->item[i++]));
    }
out:
    return rc;
}

/* What a body writes, as a string. */
static Status capture(Run *r, const Node *body, Value *out)
{
    Status rc = ST_OK;
    Builder text = {0}, *before = r->out;
    r->out = &text;
    TRY(run_body(r, body));
    *out = STRING(built(&text));
out:
    r->out = before;
    return rc;
}

static Status run_set(Run *r, const Node *n)
{
    Status rc = ST_OK;
    Value v;
    if (n->b) {
        TRY(eval(r, n->b, &v));
    } else {
        TRY(scope_push(r));
        TRY(capture(r, n->body, &v));
        scope_pop(r);
    }
    r->line = n->line;
    TRY(assign(r, n->a, &v));
out:
    return rc;
}

/* ---- for ---- */
/* The message whose content was written since `begin`, when it was one alone; else -1. */
static int32_t only_message(const Builder *b, int64_t begin, int64_t first_mark)
{
    int32_t message = -1;
    for (int64_t i = first_mark ? first_mark - 1 : 0; i < b->n_mark; i++) {
        const Mark *m = &b->mark[i];
        if (m->kind != MARK_TEXT || (i < first_mark && m->end <= begin))
            continue; /* one from before may have grown */
        if (message >= 0 && message != m->message) return -1;
        message = m->message;
    }
    return message;
}

static Status run_pass(Run *r, const Node *n, const Loop *loop)
{
    Status rc = ST_OK;
    const Value loop_value = {.kind = VALUE_LOOP, .loop = loop}, *item = &loop->item[loop->index0];
    const int32_t outer = r->turn;
    const int64_t begin = r->out->n, n_mark = r->out->n_mark;
    TRY(scope_push(r));
    TRY(scope_set(r, PIECE("loop"), &loop_value));
    r->line = n->line;
    TRY(assign(r, n->a, item));
    if (item->kind == VALUE_DICT && item->dict->message >= 0) r->turn = item->dict->message;
    TRY(run_body(r, n->body));
    if (r->turn == outer && outer < 0) {
        TRY(run_charge(r, (r->out->n_mark - n_mark) * (int64_t)sizeof(Mark)));
        r->turn = only_message(r->out, begin, n_mark);
    }
    if (r->turn != outer && r->out->n > begin)
        TRY(build_mark(r, r->out, (Mark){begin, r->out->n, r->turn, MARK_TURN}));
    r->turn = outer;
    scope_pop(r);
out:
    return rc;
}

/* The elements the loop's own `if` lets through. */
static Status filtered(Run *r, const Node *n, const List **items)
{
    Status rc = ST_OK;
    List *kept;
    Value unused, holds;
    TRY(list_make(r, (*items)->n, &kept, &unused));
    kept->n = 0;
    for (int64_t i = 0; i < (*items)->n; i++) {
        TRY(scope_push(r));
        TRY(assign(r, n->a, &(*items)->item[i]));
        TRY(eval(r, n->c, &holds));
        scope_pop(r);
        if (value_true(&holds)) kept->item[kept->n++] = (*items)->item[i];
    }
    *items = kept;
out:
    return rc;
}

static Status run_for(Run *r, const Node *n)
{
    Status rc = ST_OK;
    Value v;
    const List *items;
    Loop *loop;
    TRY(eval(r, n->b, &v));
    r->line = n->line;
    TRY(value_items(r, &v, &items));
    if (n->c) TRY(filtered(r, n, &items));
    bool through = false; /* jinja2 takes a loop that only broke or continued for an empty one */
    for (int64_t i = 0; i < items->n && r->flow != FLOW_BREAK; i++) {
        TRY(run_alloc(r, 1, sizeof *loop, &loop)); /* its own, for a template may keep it */
        *loop = (Loop){items->item, items->n, i};
        TRY(run_pass(r, n, loop));
        through |= r->flow == FLOW_ON;
        if (r->flow == FLOW_CONTINUE) r->flow = FLOW_ON;
    }
    r->flow = FLOW_ON;
    if (!through) {
        TRY(scope_push(r));
        TRY(run_body(r, n->otherwise));
        scope_pop(r);
    }
out:
    return rc;
}

/* ---- macro ---- */
/* Sees what stands at the top of the template, and its arguments. */
Status run_macro(Run *r, const Node *macro, const Args *a, Value *out)
{
    Status rc = ST_OK;
    Scope *caller = r->scope, *top = caller;
    int64_t place = 0;
    bool given[256] = {false};
    TRY(run_enter(r));
    while (top->up) top = top->up;
    r->scope = top;
    TRY(scope_push(r));
    for (const Node *p = macro->a; p; p = p->next, place++) {
        Value v = UNDEFINED(p->text);
        CHECK(place < N_OF(given), FORMAT, "%s:%d: a macro of more than %lld parameters", AT(r),
              LL(N_OF(given)));
        const Value *argument = place < a->n_positional ? &a->value[place] : NULL;
        for (int64_t i = a->n_positional; i < a->n && !argument; i++)
            if (piece_same(a->name[i - a->n_positional], p->text)) argument = &a->value[i];
        given[place] = argument;
        if (argument)
            v = *argument;
        else if (p->b)
            TRY(eval(r, p->b, &v));
        TRY(scope_set(r, p->text, &v));
    }
    int64_t n_given = 0;
    for (int64_t i = 0; i < place; i++) n_given += given[i];
    CHECK(n_given == a->n, FORMAT,
          "%s:%d: the macro \"%.*s\" does not have all of the %lld arguments it is given", AT(r),
          PIECE_ARG(macro->text), LL(a->n));
    TRY(capture(r, macro->body, out));
    r->scope = caller;
    r->depth--;
out:
    return rc;
}

/* ---- the rest ---- */
static Status run_if(Run *r, const Node *n)
{
    Status rc = ST_OK;
    for (; n; n = n->otherwise) {
        Value holds = BOOLEAN(true);
        if (n->a) TRY(eval(r, n->a, &holds));
        if (value_true(&holds)) {
            TRY(run_body(r, n->body));
            goto out;
        }
    }
out:
    return rc;
}

static Status run_generation(Run *r, const Node *n)
{
    Status rc = ST_OK;
    Builder *b = r->out;
    const int64_t begin = b->n, n_mark = b->n_mark;
    TRY(scope_push(r));
    TRY(run_body(r, n->body));
    scope_pop(r);
    const int32_t message = r->turn >= 0 ? r->turn : only_message(b, begin, n_mark);
    CHECK(message >= 0, FORMAT, "%s:%d: {%% generation %%} outside of a loop over the messages",
          r->t->name, n->line);
    TRY(build_mark(r, b, (Mark){begin, b->n, message, MARK_GENERATED}));
out:
    return rc;
}

static Status run_statement(Run *r, const Node *n)
{
    Status rc = ST_OK;
    Value v;
    r->line = n->line;
    switch (n->kind) {
    case NODE_TEXT:
        TRY(build_bytes(r, r->out, n->text.s, n->text.n));
        break;
    case NODE_PRINT:
        TRY(eval(r, n->a, &v));
        r->line = n->line;
        TRY(show_value(r, r->out, &v));
        break;
    case NODE_FOR:
        TRY(run_for(r, n));
        break;
    case NODE_IF:
        TRY(run_if(r, n));
        break;
    case NODE_SET:
        TRY(run_set(r, n));
        break;
    case NODE_MACRO:
        v = (Value){.kind = VALUE_MACRO, .macro = n};
        TRY(scope_set(r, n->text, &v));
        break;
    case NODE_GENERATION:
        TRY(run_generation(r, n));
        break;
    case NODE_BREAK:
        r->flow = FLOW_BREAK;
        break;
    case NODE_CONTINUE:
        r->flow = FLOW_CONTINUE;
        break;
    default:
        CHECK(false, BUG, "%s:%d: node %d is no statement", AT(r), n->kind);
    }
out:
    return rc;
}

static Status run_body(Run *r, const Node *n)
{
    Status rc = ST_OK;
    TRY(run_enter(r));
    for (; n && r->flow == FLOW_ON; n = n->next) {
        TRY(run_charge(r, 0));
        TRY(run_statement(r, n));
    }
    r->depth--;
out:
    return rc;
}

Status run_template(Run *r)
{
    return run_body(r, r->t->body);
}
