/* chat_template_value.h — what a template computes with: values, strings that know which message
 * they came from, and the run that owns and counts them. */
#ifndef DATA_CHAT_TEMPLATE_VALUE_H
#define DATA_CHAT_TEMPLATE_VALUE_H
#include "data/chat_template.h"
#include "data/chat_template_syntax.h"

/* ---- strings ---- */
typedef enum MarkKind {
    MARK_TEXT,      /* came from the message's content */
    MARK_TURN,      /* written in the message's pass of a loop */
    MARK_GENERATED, /* written inside {% generation %} */
    N_MARK_KIND
} MarkKind;

typedef struct Mark { /* bytes [begin, end) of a string and the message they belong to */
    int64_t begin, end;
    int32_t message;
    MarkKind kind;
} Mark;

typedef struct Str {
    const char *s;
    int64_t n;
    const Mark *mark;
    int64_t n_mark;
} Str;

typedef struct Builder { /* a string that grows; {0} is an empty one */
    char *s;
    int64_t n, cap;
    Mark *mark;
    int64_t n_mark, cap_mark;
} Builder;

/* ---- values ---- */
typedef enum ValueKind {
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOLEAN,
    VALUE_INTEGER,
    VALUE_FLOAT,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION
} ValueKind;

typedef struct List List;
typedef struct Dict Dict;
typedef struct Loop Loop;

typedef struct Value {
    ValueKind kind;
    union {
        Piece name; /* undefined: what was looked for; function: its name */
        bool boolean;
        int64_t integer;
        double real;
        Str str;
        const List *list;
        Dict *dict; /* of a namespace too */
        const Loop *loop;
        const Node *macro;
    };
} Value;

struct List {
    Value *item;
    int64_t n;
    bool is_tuple; /* printed with parentheses */
};

struct Dict { /* in the order of insertion */
    Value *key, *value;
    int64_t n, cap;
    int32_t message; /* the message this is, or -1 */
};

struct Loop {
    const Value *item;
    int64_t n, index0;
};

#define NONE ((Value){.kind = VALUE_NONE})
#define BOOLEAN(x) ((Value){.kind = VALUE_BOOLEAN, .boolean = (x)})
#define INTEGER(x) ((Value){.kind = VALUE_INTEGER, .integer = (x)})
#define STRING(x) ((Value){.kind = VALUE_STRING, .str = (x)})
#define UNDEFINED(what) ((Value){.kind = VALUE_UNDEFINED, .name = (what)})

/* ---- one rendering ---- */
typedef struct Scope Scope;
typedef enum Flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } Flow;

typedef struct Run {
    const ChatTemplate *t;
    Arena *arena;
    int64_t n_step, now;
    int depth, line; /* of the node being run */
    Scope *scope;
    Builder *out;
    Flow flow;
    int32_t turn; /* the message whose turn is being written, or -1 */
} Run;
#define AT(r) (r)->t->name, (r)->line /* "%s:%d: " */

/* Room for n elements from the run's arena, through *(T **)pp. Errors: ST_FORMAT too much for one rendering. */
CHECKED Status run_alloc(Run *r, int64_t n, size_t elem_bytes, void *pp);
CHECKED Status run_enter(Run *r); /* one level down; the caller steps up: depth-- */
CHECKED Status run_charge(Run *r, int64_t n_bytes); /* one step, and the bytes it looks at */

/* chat_template_string.c */
int64_t space_at(const char *p,
                 const char *end); /* bytes of the white space character here, 0: none */
int64_t space_before(const char *begin, const char *p); /* the same, ending here */
int64_t utf8_bytes(char first);         /* of the character that begins with this byte */
bool is_utf8(const char *s, int64_t n); /* and without NUL */
Str str_of(Piece p);
CHECKED Status str_slice(Run *r, Str s, int64_t begin, int64_t end, Str *out); /* in bytes */
int64_t str_length(Str s);                                                     /* in characters */
int64_t str_at(Str s, int64_t i); /* byte where character i begins; s.n behind the last */
int64_t str_find(Str s, int64_t from, Str part); /* byte, or -1 */
int str_compare(Str a, Str b);
CHECKED Status build_str(Run *r, Builder *b, Str s);
CHECKED Status build_bytes(Run *r, Builder *b, const char *s, int64_t n);
CHECKED Status build_part(Run *r, Builder *b, Str s, int64_t begin, int64_t end);
/* `now` in the place of bytes [begin, end) of s: it belongs to whom they belonged. */
CHECKED Status build_instead(Run *r, Builder *b, Str s, int64_t begin, int64_t end, Str now);
CHECKED Status build_text(Run *r, Builder *b, const char *s);
CHECKED Status build_mark(Run *r, Builder *b, Mark m);
Str built(const Builder *b);

/* chat_template_text.c; "white space" is Python's */
typedef enum TrimSide { TRIM_LEFT = 1, TRIM_RIGHT = 2, TRIM_BOTH = 3 } TrimSide;
CHECKED Status str_trim(Run *r, Str s, const Value *chars, TrimSide side,
                        Str *out); /* chars NULL: white space */
typedef enum LetterCase { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_WORDS, CASE_CAPITAL } LetterCase;
CHECKED Status str_case(Run *r, Piece what, Str s, LetterCase c, Str *out); /* `what` asks for it */
CHECKED Status str_replace(Run *r, Str s, Str old, Str now, int64_t most,
                           Str *out); /* most -1: all */
CHECKED Status str_split(Run *r, Str s, const Value *separator, int64_t most, Value *out);

/* chat_template_value.c, _member.c, _json.c */
const char *value_kind(const Value *v);
CHECKED Status value_from_json(Run *r, const json_t *j, int32_t message, int depth, Value *out);
CHECKED Status value_from_messages(Run *r, const json_t *messages, Value *out);
bool value_true(const Value *v);
CHECKED Status value_equal(Run *r, const Value *a, const Value *b, bool *equal);
CHECKED Status value_order(Run *r, const Value *a, const Value *b, int *order); /* -1, 0, 1 */
CHECKED Status value_contains(Run *r, const Value *in, const Value *v, bool *found);
CHECKED Status value_items(Run *r, const Value *v, const List **items); /* what a loop sees */
CHECKED Status value_length(Run *r, const Value *v, int64_t *n);
bool value_number(const Value *v, double *x); /* booleans count, as in Python */
bool value_integer(const Value *v, int64_t *i);
CHECKED Status list_make(Run *r, int64_t n, List **list, Value *out);
CHECKED Status dict_make(Run *r, int64_t cap, Dict **dict, Value *out);
CHECKED Status dict_put(Run *r, Dict *d, const Value *key, const Value *value);
CHECKED Status dict_find(Run *r, const Dict *d, const Value *key,
                         const Value **value); /* NULL: absent */
CHECKED Status value_attribute(Run *r, const Value *v, Piece name, Value *out);
CHECKED Status value_item(Run *r, const Value *v, const Value *key, Value *out);
CHECKED Status value_slice(Run *r, const Value *v, const Value *begin, const Value *end,
                           const Value *step, Value *out);

/* chat_template_arithmetic.c */
CHECKED Status value_arithmetic(Run *r, Piece op, const Value *a, const Value *b, Value *out);

/* chat_template_show.c */
CHECKED Status show_value(Run *r, Builder *b, const Value *v); /* as Python's str() */
CHECKED Status value_text(Run *r, const Value *v, Str *out);
typedef struct JsonStyle {
    int64_t indent; /* -1: on one line */
    bool ensure_ascii, sort_keys;
} JsonStyle;
CHECKED Status show_json(Run *r, Builder *b, const Value *v, JsonStyle style);

/* ---- calls ---- */
typedef struct Args { /* positional first; by keyword with their names */
    const Value *value;
    const Piece *name; /* of value[n_positional + i] */
    int64_t n_positional, n;
} Args;
/* The argument at this place or of this name, or NULL. Marks nothing: args_check refuses the rest. */
const Value *args_get(const Args *a, int64_t place, const char *name);
/* Errors: ST_FORMAT more than max positional ones, or a keyword not in `names` ("a b c"). */
CHECKED Status args_check(Run *r, Piece what, const Args *a, int64_t min, int64_t max,
                          const char *names);

/* chat_template_filter.c, _test.c, _method.c */
CHECKED Status call_filter(Run *r, Piece name, const Value *v, const Args *a, Value *out);
CHECKED Status call_test(Run *r, Piece name, const Value *v, const Args *a, bool *holds);
CHECKED Status dict_pairs(Run *r, const Dict *d, Value *out); /* list of (key, value) */
CHECKED Status call_method(Run *r, const Value *self, Piece name, const Args *a, bool *known,
                           Value *out);
CHECKED Status call_function(Run *r, Piece name, const Args *a, Value *out);
bool chat_function_known(Piece name);

/* chat_template_eval.c, chat_template_run.c */
CHECKED Status eval(Run *r, const Node *n, Value *out);
CHECKED Status scope_push(Run *r);
void scope_pop(Run *r);
CHECKED Status scope_set(Run *r, Piece name, const Value *v);
bool scope_find(Run *r, Piece name, Value *out);
CHECKED Status run_macro(Run *r, const Node *macro, const Args *a, Value *out);
CHECKED Status run_template(Run *r); /* into r->out */
#endif
