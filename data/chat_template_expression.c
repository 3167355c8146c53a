/* chat_template_expression.c — expressions, in jinja2's order of precedence:
 *   x if y else z < or < and < not < comparisons, in < + - < ~ < * / // % < unary + - < . [] () | is */
#include "data/chat_template_syntax.h"
#include "data/chat_template_value.h"
#include <string.h>

Piece token_words(const Token *t)
{
    switch (t->kind) {
    case TOK_TEXT:
        return PIECE("text");
    case TOK_BLOCK:
        return PIECE("{%");
    case TOK_PRINT:
        return PIECE("{{");
    case TOK_BLOCK_END:
        return PIECE("%}");
    case TOK_PRINT_END:
        return PIECE("}}");
    case TOK_END:
        return PIECE("the end of the template");
    default:
        return t->text;
    }
}

bool parse_at(const Parser *p, const char *word)
{
    const TokenKind kind = p->token->kind;
    return (kind == TOK_NAME || kind == TOK_PUNCTUATION) && piece_is(p->token->text, word);
}

bool parse_accept(Parser *p, const char *word)
{
    const bool at = parse_at(p, word);
    p->token += at;
    return at;
}

Status parse_expect(Parser *p, const char *punctuation)
{
    Status rc = ST_OK;
    const Piece found = token_words(p->token);
    CHECK(parse_accept(p, punctuation), FORMAT, "%s:%d: expected \"%s\", found \"%.*s\"", p->name,
          p->token->line, punctuation, PIECE_ARG(found));
out:
    return rc;
}

Status parse_name(Parser *p, const char *what, Piece *out)
{
    Status rc = ST_OK;
    const Piece found = token_words(p->token);
    CHECK(p->token->kind == TOK_NAME, FORMAT, "%s:%d: expected %s, found \"%.*s\"", p->name,
          p->token->line, what, PIECE_ARG(found));
    *out = found;
    p->token++;
out:
    return rc;
}

Status parse_enter(Parser *p)
{
    Status rc = ST_OK;
    CHECK(++p->nesting <= NESTING_MAX, FORMAT, "%s:%d: nested deeper than %d", p->name,
          p->token->line, NESTING_MAX);
out:
    return rc;
}

Status parse_node(Parser *p, NodeKind kind, Node **out)
{
    Status rc = ST_OK;
    Node *n = arena_alloc(p->arena, 1, sizeof *n);
    *out = n;
    CHECK(n, NOMEM, "%s: no memory for the template", p->name);
    *n = (Node){.kind = kind, .line = p->token->line};
out:
    return rc;
}

Status parse_around(Parser *p, NodeKind kind, Node **inner)
{
    Status rc = ST_OK;
    Node *n = NULL;
    TRY(parse_node(p, kind, &n));
    n->a = *inner;
    *inner = n;
out:
    return rc;
}

/* ---- values ---- */
/* Elements up to the closing bracket; a dictionary's keys and values take turns. */
static Status parse_elements(Parser *p, const char *close, bool is_dict, Node **first)
{
    Status rc = ST_OK;
    Node **end = first;
    while (!parse_at(p, close)) {
        TRY(parse_expression(p, end));
        end = &(*end)->next;
        if (is_dict) {
            TRY(parse_expect(p, ":"));
            TRY(parse_expression(p, end));
            end = &(*end)->next;
        }
        if (!parse_accept(p, ",")) break;
    }
    TRY(parse_expect(p, close));
out:
    return rc;
}

/* (a) is a; (), (a,) and (a, b) are tuples. */
static Status parse_parentheses(Parser *p, Node **out)
{
    Status rc = ST_OK;
    Node *first = NULL, *tuple;
    p->token++;
    if (!parse_at(p, ")")) TRY(parse_expression(p, &first));
    if (first && parse_accept(p, ")")) {
        *out = first;
        goto out;
    }
    TRY(parse_node(p, NODE_TUPLE, &tuple));
    tuple->a = first;
    if (first) {
        TRY(parse_expect(p, ","));
        TRY(parse_elements(p, ")", false, &first->next));
    } else {
        p->token++;
    }
    *out = tuple;
out:
    return rc;
}

static Status parse_word(Parser *p, Node **out)
{
    Status rc = ST_OK;
    static const struct {
        const char *word;
        int64_t value;
    } CONSTANT[] = {{"true", 1},  {"True", 1},  {"false", 0},
                    {"False", 0}, {"none", -1}, {"None", -1}};
    static const char *const RESERVED[] = {"and", "or",   "not", "in",  "is",
                                           "if",  "else", "for", "elif"};
    for (int64_t i = 0; i < N_OF(RESERVED); i++)
        CHECK(!parse_at(p, RESERVED[i]), FORMAT, "%s:%d: expected a value, found \"%s\"", p->name,
              p->token->line, RESERVED[i]);
    TRY(parse_node(p, NODE_NAME, out));
    (*out)->text = p->token->text;
    for (int64_t i = 0; i < N_OF(CONSTANT); i++)
        if (parse_at(p, CONSTANT[i].word)) {
            (*out)->kind = NODE_CONSTANT;
            (*out)->integer = CONSTANT[i].value;
        }
    p->token++;
out:
    return rc;
}

Status parse_primary(Parser *p, Node **out)
{
    Status rc = ST_OK;
    const Piece found = token_words(p->token);
    switch (p->token->kind) {
    case TOK_NAME:
        TRY(parse_word(p, out));
        goto out;
    case TOK_STRING:
        TRY(parse_string(p, out));
        goto out;
    case TOK_INTEGER:
    case TOK_FLOAT:
        TRY(parse_number(p, out));
        goto out;
    default:
        break;
    }
    if (parse_at(p, "(")) {
        TRY(parse_parentheses(p, out));
        goto out;
    }
    const bool is_dict = parse_at(p, "{");
    CHECK(is_dict || parse_at(p, "["), FORMAT, "%s:%d: expected a value, found \"%.*s\"", p->name,
          p->token->line, PIECE_ARG(found));
    TRY(parse_node(p, is_dict ? NODE_DICT : NODE_LIST, out));
    p->token++;
    TRY(parse_elements(p, is_dict ? "}" : "]", is_dict, &(*out)->a));
out:
    return rc;
}

/* ---- operators ---- */
static Status parse_unary(Parser *p, bool with_filters, Node **out)
{
    Status rc = ST_OK;
    TRY(parse_enter(p));
    if (parse_at(p, "-") || parse_at(p, "+")) {
        TRY(parse_node(p, parse_at(p, "-") ? NODE_NEGATIVE : NODE_POSITIVE, out));
        p->token++;
        TRY(parse_unary(p, false, &(*out)->a));
    } else {
        TRY(parse_primary(p, out));
    }
    TRY(parse_postfix(p, out));
    while (with_filters) {
        if (parse_at(p, "|"))
            TRY(parse_filter(p, out));
        else if (parse_at(p, "is"))
            TRY(parse_test(p, out));
        else
            break;
    }
    p->nesting--;
out:
    return rc;
}

/* a op b op c, from the left, for the operators of one level */
static Status parse_arithmetic(Parser *p, int level, Node **out)
{
    Status rc = ST_OK;
    static const char *const OPERATORS[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}};
    if (level == N_OF(OPERATORS)) {
        TRY(parse_unary(p, true, out));
        CHECK(!parse_at(p, "**"), FORMAT,
              "%s:%d: the operator ** is not understood; known: + - * / // %% ~", p->name,
              p->token->line);
        goto out;
    }
    TRY(parse_arithmetic(p, level + 1, out));
    for (const char *const *op = OPERATORS[level]; *op;) {
        if (!parse_at(p, *op)) {
            op++;
            continue;
        }
        TRY(parse_around(p, NODE_ARITHMETIC, out));
        (*out)->text = p->token->text;
        p->token++;
        TRY(parse_arithmetic(p, level + 1, &(*out)->b));
        op = OPERATORS[level];
    }
out:
    return rc;
}

/* The comparison operator here, or an empty piece. */
static Piece comparison_at(const Parser *p)
{
    static const char *const OPERATORS[] = {"==", "!=", "<=", ">=", "<", ">", "in"};
    for (int64_t i = 0; i < N_OF(OPERATORS); i++)
        if (parse_at(p, OPERATORS[i])) return p->token->text;
    const bool not_in =
        parse_at(p, "not") && p->token[1].kind == TOK_NAME && piece_is(p->token[1].text, "in");
    return not_in ? PIECE("not in") : (Piece){0};
}

static Status parse_comparison(Parser *p, Node **out)
{
    Status rc = ST_OK;
    Node **operand = NULL;
    TRY(parse_arithmetic(p, 0, out));
    for (Piece op; (op = comparison_at(p)).n;) {
        if (!operand) {
            TRY(parse_around(p, NODE_COMPARE, out));
            operand = &(*out)->b;
        }
        TRY(parse_node(p, NODE_OPERAND, operand));
        (*operand)->text = op;
        p->token += piece_is(op, "not in") ? 2 : 1;
        TRY(parse_arithmetic(p, 0, &(*operand)->a));
        operand = &(*operand)->next;
    }
out:
    return rc;
}

static Status parse_not(Parser *p, Node **out)
{
    Status rc = ST_OK;
    TRY(parse_enter(p));
    if (parse_at(p, "not")) {
        TRY(parse_node(p, NODE_NOT, out));
        p->token++;
        TRY(parse_not(p, &(*out)->a));
    } else {
        TRY(parse_comparison(p, out));
    }
    p->nesting--;
out:
    return rc;
}

static Status parse_and(Parser *p, Node **out)
{
    Status rc = ST_OK;
    TRY(parse_not(p, out));
    while (parse_at(p, "and")) {
        TRY(parse_around(p, NODE_AND, out));
        p->token++;
        TRY(parse_not(p, &(*out)->b));
    }
out:
    return rc;
}

Status parse_or(Parser *p, Node **out)
{
    Status rc = ST_OK;
    TRY(parse_and(p, out));
    while (parse_at(p, "or")) {
        TRY(parse_around(p, NODE_OR, out));
        p->token++;
        TRY(parse_and(p, &(*out)->b));
    }
out:
    return rc;
}

Status parse_expression(Parser *p, Node **out)
{
    Status rc = ST_OK;
    TRY(parse_enter(p));
    TRY(parse_or(p, out));
    while (parse_at(p, "if")) {
        Node *choice;
        TRY(parse_node(p, NODE_CHOICE, &choice));
        choice->b = *out;
        p->token++;
        TRY(parse_or(p, &choice->a));
        if (parse_accept(p, "else")) TRY(parse_expression(p, &choice->c));
        *out = choice;
    }
    p->nesting--;
out:
    return rc;
}

Status parse_expression_list(Parser *p, Node **out)
{
    Status rc = ST_OK;
    TRY(parse_expression(p, out));
    if (!parse_at(p, ",")) goto out;
    TRY(parse_around(p, NODE_TUPLE, out));
    Node **end = &(*out)->a->next;
    while (parse_accept(p, ",") && p->token->kind != TOK_BLOCK_END) {
        TRY(parse_expression(p, end));
        end = &(*end)->next;
    }
out:
    return rc;
}
