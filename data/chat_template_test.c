/* chat_template_test.c — tests: value is name, value is name(argument). */
#include "data/chat_template_value.h"

typedef enum TestId {
    TEST_KIND,     /* the value is of one of these kinds */
    TEST_CONSTANT, /* it is this boolean */
    TEST_EVEN,
    TEST_EQUAL, /* from here on with an argument */
    TEST_ORDER, /* compares to it with one of these outcomes */
    TEST_IN,
    TEST_DIVISIBLE
} TestId;

enum { IS_LESS = 1, IS_SAME = 2, IS_MORE = 4 };
#define KIND(k) (1u << VALUE_##k)

static const struct {
    const char *name;
    TestId id;
    unsigned what; /* kinds, outcomes or truth */
    bool negated;
} TEST[] = {
    {"defined", TEST_KIND, KIND(UNDEFINED), true},
    {"undefined", TEST_KIND, KIND(UNDEFINED), false},
    {"none", TEST_KIND, KIND(NONE), false},
    {"string", TEST_KIND, KIND(STRING), false},
    {"mapping", TEST_KIND, KIND(DICT), false},
    {"iterable", TEST_KIND, KIND(STRING) | KIND(LIST) | KIND(DICT) | KIND(UNDEFINED), false},
    {"sequence", TEST_KIND, KIND(STRING) | KIND(LIST) | KIND(DICT) | KIND(UNDEFINED), false},
    {"number", TEST_KIND, KIND(INTEGER) | KIND(FLOAT) | KIND(BOOLEAN), false},
    {"integer", TEST_KIND, KIND(INTEGER), false},
    {"float", TEST_KIND, KIND(FLOAT), false},
    {"boolean", TEST_KIND, KIND(BOOLEAN), false},
    {"callable", TEST_KIND, KIND(MACRO) | KIND(FUNCTION) | KIND(UNDEFINED), false},
    {"true", TEST_CONSTANT, true, false},
    {"false", TEST_CONSTANT, false, false},
    {"equalto", TEST_EQUAL, 0, false},
    {"eq", TEST_EQUAL, 0, false},
    {"==", TEST_EQUAL, 0, false},
    {"ne", TEST_EQUAL, 0, true},
    {"!=", TEST_EQUAL, 0, true},
    {"lt", TEST_ORDER, IS_LESS, false},
    {"<", TEST_ORDER, IS_LESS, false},
    {"lessthan", TEST_ORDER, IS_LESS, false},
    {"le", TEST_ORDER, IS_LESS | IS_SAME, false},
    {"<=", TEST_ORDER, IS_LESS | IS_SAME, false},
    {"gt", TEST_ORDER, IS_MORE, false},
    {">", TEST_ORDER, IS_MORE, false},
    {"greaterthan", TEST_ORDER, IS_MORE, false},
    {"ge", TEST_ORDER, IS_MORE | IS_SAME, false},
    {">=", TEST_ORDER, IS_MORE | IS_SAME, false},
    {"in", TEST_IN, 0, false},
    {"even", TEST_EVEN, 0, false},
    {"odd", TEST_EVEN, 0, true},
    {"divisibleby", TEST_DIVISIBLE, 0, false},
};

const char *chat_test_names(void)
{
    return "defined, undefined, none, string, mapping, iterable, sequence, number, integer, float, "
           "boolean, callable, "
           "true, false, equalto, eq, ne, lt, lessthan, le, gt, greaterthan, ge, in, even, odd, "
           "divisibleby";
}

static int64_t test_index(Piece name)
{
    int64_t i = 0;
    while (i < N_OF(TEST) && !piece_is(name, TEST[i].name)) i++;
    return i;
}

bool chat_test_known(Piece name)
{
    return test_index(name) < N_OF(TEST);
}

Status call_test(Run *r, Piece name, const Value *v, const Args *a, bool *holds)
{
    Status rc = ST_OK;
    const int64_t i = test_index(name);
    int order;
    int64_t number, divisor = 2;
    CHECK(i < N_OF(TEST), FORMAT, "%s:%d: the test \"%.*s\" is not understood; known: %s", AT(r),
          PIECE_ARG(name), chat_test_names());
    const int64_t n_argument = TEST[i].id >= TEST_EQUAL;
    TRY(args_check(r, name, a, n_argument, n_argument, ""));
    switch (TEST[i].id) {
    case TEST_KIND:
        *holds = TEST[i].what >> v->kind & 1;
        break;
    case TEST_CONSTANT:
        *holds = v->kind == VALUE_BOOLEAN && v->boolean == (TEST[i].what != 0);
        break;
    case TEST_EQUAL:
        TRY(value_equal(r, v, &a->value[0], holds));
        break;
    case TEST_ORDER:
        TRY(value_order(r, v, &a->value[0], &order));
        *holds = TEST[i].what >> (order + 1) & 1;
        break;
    case TEST_IN:
        TRY(value_contains(r, &a->value[0], v, holds));
        break;
    case TEST_EVEN:
    case TEST_DIVISIBLE:
        CHECK(value_integer(v, &number) && (!n_argument || value_integer(&a->value[0], &divisor)) &&
                  divisor,
              FORMAT, "%s:%d: \"%.*s\" of %s", AT(r), PIECE_ARG(name), value_kind(v));
        *holds = divisor == -1 || number % divisor == 0;
        break;
    }
    *holds ^= TEST[i].negated;
out:
    return rc;
}
