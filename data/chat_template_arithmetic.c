/* chat_template_arithmetic.c — + - * / // % of numbers, + of lists, + * ~ of strings, as in Python. */
#include "data/chat_template_value.h"
#include <math.h>
#include <string.h>

/* Python rounds quotients down, and a remainder has the sign of the divisor. */
static Status divide_integers(Run *r, int64_t x, int64_t y, bool want_quotient, int64_t *out)
{
    Status rc = ST_OK;
    CHECK(y != 0, FORMAT, "%s:%d: division of %lld by 0", AT(r), LL(x));
    CHECK(y != -1 || x != INT64_MIN, FORMAT, "%s:%d: a number beyond 64 bits", AT(r));
    const bool down = x % y != 0 && (x % y < 0) != (y < 0);
    *out = want_quotient ? x / y - down : x % y + (down ? y : 0);
out:
    return rc;
}

static Status integer_arithmetic(Run *r, Piece op, int64_t x, int64_t y, Value *out)
{
    Status rc = ST_OK;
    int64_t z = 0;
    bool over = false;
    if (piece_is(op, "+"))
        over = __builtin_add_overflow(x, y, &z);
    else if (piece_is(op, "-"))
        over = __builtin_sub_overflow(x, y, &z);
    else if (piece_is(op, "*"))
        over = __builtin_mul_overflow(x, y, &z);
    else
        TRY(divide_integers(r, x, y, piece_is(op, "//"), &z));
    CHECK(!over, FORMAT, "%s:%d: a number beyond 64 bits", AT(r));
    *out = INTEGER(z);
out:
    return rc;
}

static Status real_arithmetic(Run *r, Piece op, double x, double y, Value *out)
{
    Status rc = ST_OK;
    double z;
    CHECK(y != 0.0 || (op.s[0] != '/' && op.s[0] != '%'), FORMAT, "%s:%d: division by 0", AT(r));
    if (piece_is(op, "+"))
        z = x + y;
    else if (piece_is(op, "-"))
        z = x - y;
    else if (piece_is(op, "*"))
        z = x * y;
    else if (piece_is(op, "/"))
        z = x / y;
    else if (piece_is(op, "//"))
        z = floor(x / y);
    else
        z = x - y * floor(x / y);
    *out = (Value){.kind = VALUE_FLOAT, .real = z};
out:
    return rc;
}

static Status join_lists(Run *r, const List *a, const List *b, Value *out)
{
    Status rc = ST_OK;
    List *list;
    TRY(list_make(r, a->n + b->n, &list, out));
    if (a->n) memcpy(list->item, a->item, (size_t)a->n * sizeof *a->item);
    if (b->n) memcpy(list->item + a->n, b->item, (size_t)b->n * sizeof *b->item);
out:
    return rc;
}

static Status join_strings(Run *r, Str a, Str b, Value *out)
{
    Status rc = ST_OK;
    Builder text = {0};
    TRY(build_str(r, &text, a));
    TRY(build_str(r, &text, b));
    *out = STRING(built(&text));
out:
    return rc;
}

static Status repeat_string(Run *r, Str s, int64_t n, Value *out)
{
    Status rc = ST_OK;
    Builder text = {0};
    for (int64_t i = 0; i < n; i++) TRY(build_str(r, &text, s));
    *out = STRING(built(&text));
out:
    return rc;
}

Status value_arithmetic(Run *r, Piece op, const Value *a, const Value *b, Value *out)
{
    Status rc = ST_OK;
    int64_t i, j;
    double x, y;
    if (piece_is(op, "~")) {
        Str s, t;
        TRY(value_text(r, a, &s));
        TRY(value_text(r, b, &t));
        TRY(join_strings(r, s, t, out));
    } else if (value_integer(a, &i) && value_integer(b, &j) && !piece_is(op, "/")) {
        TRY(integer_arithmetic(r, op, i, j, out));
    } else if (value_number(a, &x) && value_number(b, &y)) {
        TRY(real_arithmetic(r, op, x, y, out));
    } else if (piece_is(op, "+") && a->kind == VALUE_STRING && b->kind == VALUE_STRING) {
        TRY(join_strings(r, a->str, b->str, out));
    } else if (piece_is(op, "+") && a->kind == VALUE_LIST && b->kind == VALUE_LIST) {
        TRY(join_lists(r, a->list, b->list, out));
    } else if (piece_is(op, "*") && a->kind == VALUE_STRING && value_integer(b, &j)) {
        TRY(repeat_string(r, a->str, j, out));
    } else if (piece_is(op, "*") && b->kind == VALUE_STRING && value_integer(a, &i)) {
        TRY(repeat_string(r, b->str, i, out));
    } else {
        const Value *odd = a->kind == VALUE_UNDEFINED ? a : b;
        CHECK(odd->kind != VALUE_UNDEFINED, FORMAT, "%s:%d: %s %.*s %s, but \"%.*s\" is undefined",
              AT(r), value_kind(a), PIECE_ARG(op), value_kind(b), PIECE_ARG(odd->name));
        CHECK(false, FORMAT, "%s:%d: cannot work out %s %.*s %s", AT(r), value_kind(a),
              PIECE_ARG(op), value_kind(b));
    }
out:
    return rc;
}
