/* chat_template_syntax.h — a template as tokens and as a tree: what lexer, parser and interpreter of
 * chat templates share. */
#ifndef DATA_CHAT_TEMPLATE_SYNTAX_H
#define DATA_CHAT_TEMPLATE_SYNTAX_H
#include "trainer/tensor/arena.h"

/* What a template may ask for; everything beyond is a hostile one. */
enum {
    SOURCE_MAX_BYTES = 1 << 18,
    NESTING_MAX = 100,          /* brackets and blocks, while parsing */
    DEPTH_MAX = 400,            /* of the tree being run, macro calls included */
    STEP_MAX = 5 * 1000 * 1000, /* nodes run, and every 64 bytes looked at */
    MEMORY_MAX_BYTES = 1 << 29, /* of all values one rendering makes */
    TEXT_MAX_BYTES = 1 << 26,   /* of one string, so of the output */
};

typedef struct Piece { /* bytes that somebody else owns */
    const char *s;
    int64_t n;
} Piece;
bool piece_is(Piece p, const char *s);
bool piece_same(Piece a, Piece b);
#define PIECE(literal) ((Piece){literal, sizeof(literal) - 1})
#define PIECE_ARG(p) (int)((p).n < 60 ? (p).n : 60), (p).s /* for %.*s */

typedef enum TokenKind {
    TOK_TEXT,      /* between tags, white space control applied */
    TOK_BLOCK,     /* {% */
    TOK_BLOCK_END, /* %} */
    TOK_PRINT,     /* {{ */
    TOK_PRINT_END, /* }} */
    TOK_NAME,
    TOK_INTEGER,
    TOK_FLOAT,
    TOK_STRING,      /* without its quotes, escapes not yet resolved */
    TOK_PUNCTUATION, /* operators and brackets */
    TOK_END
} TokenKind;

typedef struct Token {
    TokenKind kind;
    int line;
    Piece text; /* points into the source */
} Token;

/* The tokens of a template, comments left out, with trim_blocks and lstrip_blocks. `source` has '\n'
 * line ends only. Owns: *tokens is the caller's (mem_free); the last one is TOK_END. */
CHECKED Status chat_lex(const char *name, Piece source, Token **tokens);

// clang-format off
typedef enum NodeKind {
    /* expressions      a, b, c; lists run along next */
    NODE_STRING,     /* text: the value */
    NODE_INTEGER,    /* integer */
    NODE_FLOAT,      /* real */
    NODE_CONSTANT,   /* integer: -1 none, 0 false, 1 true */
    NODE_NAME,       /* text */
    NODE_LIST,       /* a: elements */
    NODE_TUPLE,      /* a: elements */
    NODE_DICT,       /* a: key, value, key, value, ... */
    NODE_ATTRIBUTE,  /* a . text */
    NODE_ITEM,       /* a [b] */
    NODE_SLICE,      /* a [b:c:d], each NULL where left out */
    NODE_CALL,       /* a (b: arguments) */
    NODE_KEYWORD,    /* in a list of arguments: text = a */
    NODE_FILTER,     /* a | text(b: arguments) */
    NODE_TEST,       /* a is text(b: arguments) */
    NODE_NOT,        /* not a */
    NODE_NEGATIVE,   /* -a */
    NODE_POSITIVE,   /* +a */
    NODE_ARITHMETIC, /* a text b: + - * / // % ~ */
    NODE_COMPARE,    /* a, then b: NODE_OPERAND, ... */
    NODE_OPERAND,    /* text: == != < <= > >= in "not in"; a */
    NODE_AND,        /* a and b */
    NODE_OR,         /* a or b */
    NODE_CHOICE,     /* a if b else c (NULL: undefined) */
    /* statements */
    NODE_TEXT,       /* text */
    NODE_PRINT,      /* a */
    NODE_FOR,        /* a: target, b: iterable, c: condition or NULL; body, otherwise */
    NODE_IF,         /* a: condition, NULL in {% else %}; body; otherwise: the next branch */
    NODE_SET,        /* a: target, b: value, or NULL: what the body writes */
    NODE_MACRO,      /* text: name; a: parameters (NODE_NAME, b: default or NULL); body */
    NODE_GENERATION, /* body */
    NODE_BREAK,
    NODE_CONTINUE
} NodeKind;
// clang-format on

typedef struct Node Node;
struct Node {
    NodeKind kind;
    int line;
    Node *next;
    Piece text;
    int64_t integer;
    double real;
    Node *a, *b, *c, *d;
    Node *body, *otherwise;
};

struct ChatTemplate {
    char *name, *source; /* as given */
    char *text;          /* the source with '\n' line ends: tokens and nodes point into it */
    Arena arena;         /* nodes, resolved strings */
    Node *body;
    bool has_generation; /* {% generation %} is used */
};

typedef struct Parser {
    const char *name;
    const Token *token; /* the current one */
    Arena *arena;
    int nesting, n_loop; /* loops around the current place */
    bool has_generation;
} Parser;

/* chat_template_expression.c */
CHECKED Status parse_expression(Parser *p, Node **out);
CHECKED Status parse_or(Parser *p, Node **out);              /* without `x if y else z` */
CHECKED Status parse_expression_list(Parser *p, Node **out); /* a, b: a tuple */
CHECKED Status parse_node(Parser *p, NodeKind kind,
                          Node **out); /* a new one, at the current line */
CHECKED Status parse_name(Parser *p, const char *what, Piece *out);
CHECKED Status parse_expect(Parser *p, const char *punctuation);
bool parse_at(const Parser *p, const char *word); /* is the current token this word or operator? */
bool parse_accept(Parser *p, const char *word);   /* if so, steps over it */
CHECKED Status parse_enter(Parser *p); /* one level down; the caller steps up: nesting-- */

CHECKED Status parse_around(Parser *p, NodeKind kind, Node **inner); /* *inner becomes its `a` */
CHECKED Status parse_primary(Parser *p, Node **out); /* a literal, a name, brackets */

/* chat_template_postfix.c: each takes *value into a node around it */
CHECKED Status parse_postfix(Parser *p, Node **value); /* . [] () */
CHECKED Status parse_filter(Parser *p, Node **value);  /* at | */
CHECKED Status parse_test(Parser *p, Node **value);    /* at is */

/* chat_template_literal.c */
CHECKED Status parse_string(Parser *p, Node **out); /* strings next to each other are one */
CHECKED Status parse_number(Parser *p, Node **out);

/* What a message calls the current token, e.g. "the end of the tag". */
Piece token_words(const Token *t);

/* Names that templates may use; checked while parsing. */
#define STATEMENT_NAMES "for, if, set, macro, generation, break, continue"
const char *chat_filter_names(void);
const char *chat_test_names(void);
bool chat_filter_known(Piece name);
bool chat_test_known(Piece name);
#endif
