/* chat_template_postfix.c — what may follow a value: .name [subscript] (arguments) | filter, is test. */
#include "data/chat_template_syntax.h"

static Status parse_arguments(Parser *p, Node **first)
{
    Status rc = ST_OK;
    bool has_keyword = false;
    p->token++;
    while (!parse_at(p, ")")) {
        CHECK(!parse_at(p, "*") && !parse_at(p, "**"), FORMAT,
              "%s:%d: *arguments and **arguments are not understood", p->name, p->token->line);
        if (p->token->kind == TOK_NAME && p->token[1].kind == TOK_PUNCTUATION &&
            piece_is(p->token[1].text, "=")) {
            has_keyword = true;
            TRY(parse_node(p, NODE_KEYWORD, first));
            (*first)->text = p->token->text;
            p->token += 2;
            TRY(parse_expression(p, &(*first)->a));
        } else {
            CHECK(!has_keyword, FORMAT, "%s:%d: an argument without a name follows one with a name",
                  p->name, p->token->line);
            TRY(parse_expression(p, first));
        }
        first = &(*first)->next;
        if (!parse_accept(p, ",")) break;
    }
    TRY(parse_expect(p, ")"));
out:
    return rc;
}

static Status parse_subscript(Parser *p, Node **value)
{
    Status rc = ST_OK;
    Node *n, *part[3] = {NULL};
    int n_colon = 0;
    TRY(parse_around(p, NODE_ITEM, value));
    n = *value;
    p->token++;
    while (!parse_at(p, "]")) {
        CHECK(!parse_at(p, ","), FORMAT,
              "%s:%d: several subscripts [a, b] are not understood; known: [a], [a:b], [a:b:c]",
              p->name, p->token->line);
        if (n_colon < 2 && parse_accept(p, ":"))
            n_colon++;
        else if (!part[n_colon])
            TRY(parse_expression(p, &part[n_colon]));
        else
            break;
    }
    CHECK(n_colon || part[0], FORMAT, "%s:%d: a subscript [] is empty", p->name, p->token->line);
    TRY(parse_expect(p, "]"));
    n->kind = n_colon ? NODE_SLICE : NODE_ITEM;
    n->b = part[0];
    n->c = part[1];
    n->d = part[2];
out:
    return rc;
}

Status parse_filter(Parser *p, Node **value)
{
    Status rc = ST_OK;
    TRY(parse_around(p, NODE_FILTER, value));
    p->token++;
    TRY(parse_name(p, "the name of a filter", &(*value)->text));
    const Piece name = (*value)->text;
    CHECK(chat_filter_known(name), FORMAT,
          "%s:%d: the filter \"%.*s\" is not understood; known: %s", p->name, (*value)->line,
          PIECE_ARG(name), chat_filter_names());
    if (parse_at(p, "(")) TRY(parse_arguments(p, &(*value)->b));
out:
    return rc;
}

/* `is name`, `is not name`, `is name(argument)`, `is name argument`. */
Status parse_test(Parser *p, Node **value)
{
    Status rc = ST_OK;
    p->token++;
    const bool negated = parse_accept(p, "not");
    TRY(parse_around(p, NODE_TEST, value));
    Node *test = *value;
    const Token *t = p->token;
    test->text = token_words(t);
    const bool is_name =
        t->kind == TOK_NAME || (t->kind == TOK_PUNCTUATION && chat_test_known(t->text));
    CHECK(is_name && chat_test_known(t->text), FORMAT,
          "%s:%d: the test \"%.*s\" is not understood; known: %s", p->name, t->line,
          PIECE_ARG(test->text), chat_test_names());
    p->token++;
    const TokenKind kind = p->token->kind;
    const bool is_word = kind == TOK_NAME && !parse_at(p, "and") && !parse_at(p, "or") &&
                         !parse_at(p, "else") && !parse_at(p, "if") && !parse_at(p, "in") &&
                         !parse_at(p, "not") && !parse_at(p, "is");
    if (parse_at(p, "(")) {
        TRY(parse_arguments(p, &test->b));
    } else if (is_word || kind == TOK_STRING || kind == TOK_INTEGER || kind == TOK_FLOAT ||
               parse_at(p, "[") || parse_at(p, "{")) {
        TRY(parse_primary(p, &test->b));
        TRY(parse_postfix(p, &test->b));
    }
    if (negated) TRY(parse_around(p, NODE_NOT, value));
out:
    return rc;
}

/* . [] and () */
Status parse_postfix(Parser *p, Node **value)
{
    Status rc = ST_OK;
    for (;;) {
        if (parse_at(p, ".")) {
            TRY(parse_around(p, NODE_ATTRIBUTE, value));
            p->token++;
            TRY(parse_name(p, "a name behind \".\"", &(*value)->text));
        } else if (parse_at(p, "[")) {
            TRY(parse_subscript(p, value));
        } else if (parse_at(p, "(")) {
            TRY(parse_around(p, NODE_CALL, value));
            TRY(parse_arguments(p, &(*value)->b));
        } else {
            goto out;
        }
    }
out:
    return rc;
}
