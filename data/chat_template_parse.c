/* chat_template_parse.c — statements, and a whole template from its text. */
#include "data/chat_template_syntax.h"
#include "data/chat_template_value.h"
#include "trainer/base/mem.h"
#include <string.h>

/* The words that may end a body, e.g. {"elif", "else", "endif"}; NULL stands at the end. */
typedef const char *const *Words;

static Status parse_body(Parser *p, Words ends, Node **first);

/* Inside {% ... : is the tag's first word one of these? */
static bool at_word(const Parser *p, Words words)
{
    for (; words && *words; words++)
        if (p->token->kind == TOK_BLOCK && p->token[1].kind == TOK_NAME &&
            piece_is(p->token[1].text, *words))
            return true;
    return false;
}

static Status expect_kind(Parser *p, TokenKind kind)
{
    Status rc = ST_OK;
    const Piece found = token_words(p->token), wanted = token_words(&(Token){.kind = kind});
    CHECK(p->token->kind == kind, FORMAT, "%s:%d: expected \"%.*s\", found \"%.*s\"", p->name,
          p->token->line, PIECE_ARG(wanted), PIECE_ARG(found));
    p->token++;
out:
    return rc;
}

/* %} body {% end %}, up to behind the last word. */
static Status parse_block(Parser *p, const char *end, Node **body)
{
    Status rc = ST_OK;
    const int line = p->token->line;
    TRY(expect_kind(p, TOK_BLOCK_END));
    TRY(parse_body(p, (const char *const[]){end, NULL}, body));
    CHECK(p->token->kind == TOK_BLOCK, FORMAT, "%s:%d: {%% %s %%} is missing", p->name, line, end);
    p->token += 2;
out:
    return rc;
}

/* A name; names with commas between them, maybe in parentheses; or, for set, name.attribute. */
static Status parse_target(Parser *p, bool may_be_attribute, Node **out)
{
    Status rc = ST_OK;
    const bool in_parentheses = parse_accept(p, "(");
    Node *first, **end = &first;
    int n = 0;
    do {
        TRY(parse_node(p, NODE_NAME, end));
        TRY(parse_name(p, "the name of a variable", &(*end)->text));
        end = &(*end)->next;
        n++;
    } while (parse_accept(p, ","));
    if (in_parentheses) TRY(parse_expect(p, ")"));
    *out = first;
    if (n > 1) {
        TRY(parse_node(p, NODE_TUPLE, out));
        (*out)->a = first;
    } else if (may_be_attribute && parse_accept(p, ".")) {
        TRY(parse_node(p, NODE_ATTRIBUTE, out));
        (*out)->a = first;
        TRY(parse_name(p, "a name behind \".\"", &(*out)->text));
    }
out:
    return rc;
}

static Status parse_for(Parser *p, Node *n)
{
    Status rc = ST_OK;
    static const char *const ENDS[] = {"else", "endfor", NULL};
    TRY(parse_target(p, false, &n->a));
    TRY(parse_expect(p, "in"));
    TRY(parse_or(p, &n->b));
    if (parse_accept(p, "if")) TRY(parse_expression(p, &n->c));
    CHECK(!parse_at(p, "recursive"), FORMAT, "%s:%d: for ... recursive is not understood", p->name,
          p->token->line);
    TRY(expect_kind(p, TOK_BLOCK_END));
    p->n_loop++;
    TRY(parse_body(p, ENDS, &n->body));
    p->n_loop--;
    CHECK(p->token->kind == TOK_BLOCK, FORMAT, "%s:%d: {%% endfor %%} is missing", p->name,
          n->line);
    const bool has_else = piece_is(p->token[1].text, "else");
    p->token += 2;
    if (has_else) TRY(parse_block(p, "endfor", &n->otherwise));
out:
    return rc;
}

/* Branches hang on `otherwise`, one behind the other. */
static Status parse_if(Parser *p, Node *n)
{
    Status rc = ST_OK;
    static const char *const ENDS[] = {"elif", "else", "endif", NULL};
    const int line = n->line;
    TRY(parse_expression(p, &n->a));
    for (;;) {
        TRY(expect_kind(p, TOK_BLOCK_END));
        TRY(parse_body(p, n->a ? ENDS : ENDS + 2, &n->body));
        CHECK(p->token->kind == TOK_BLOCK, FORMAT, "%s:%d: {%% endif %%} is missing", p->name,
              line);
        const Piece word = p->token[1].text;
        p->token += 2;
        if (piece_is(word, "endif")) goto out;
        TRY(parse_node(p, NODE_IF, &n->otherwise));
        n = n->otherwise;
        if (piece_is(word, "elif")) TRY(parse_expression(p, &n->a));
    }
out:
    return rc;
}

static Status parse_set(Parser *p, Node *n)
{
    Status rc = ST_OK;
    TRY(parse_target(p, true, &n->a));
    if (parse_accept(p, "=")) {
        TRY(parse_expression_list(p, &n->b));
        goto out;
    }
    CHECK(!parse_at(p, "|"), FORMAT,
          "%s:%d: a filter on {%% set %%} ... {%% endset %%} is not understood", p->name,
          p->token->line);
    TRY(parse_block(p, "endset", &n->body));
out:
    return rc;
}

static Status parse_macro(Parser *p, Node *n)
{
    Status rc = ST_OK;
    const int n_loop = p->n_loop;
    Node **end = &n->a;
    bool has_default = false;
    TRY(parse_name(p, "the name of the macro", &n->text));
    TRY(parse_expect(p, "("));
    while (!parse_at(p, ")")) {
        TRY(parse_node(p, NODE_NAME, end));
        TRY(parse_name(p, "the name of a parameter", &(*end)->text));
        if (parse_accept(p, "=")) {
            TRY(parse_expression(p, &(*end)->b));
            has_default = true;
        }
        CHECK((*end)->b || !has_default, FORMAT,
              "%s:%d: a parameter without a default follows one with a default", p->name,
              p->token->line);
        end = &(*end)->next;
        if (!parse_accept(p, ",")) break;
    }
    TRY(parse_expect(p, ")"));
    p->n_loop = 0; /* a macro cannot leave the loop it is called in */
    TRY(parse_block(p, "endmacro", &n->body));
    p->n_loop = n_loop;
out:
    return rc;
}

/* Behind {% */
static Status parse_statement(Parser *p, Node **out)
{
    Status rc = ST_OK;
    Node *n;
    Piece word;
    const int line = p->token->line;
    TRY(parse_enter(p));
    TRY(parse_name(p, "the name of a statement", &word));
    TRY(parse_node(p, NODE_IF, out));
    n = *out;
    n->line = line;
    if (piece_is(word, "if")) {
        TRY(parse_if(p, n));
    } else if (piece_is(word, "for")) {
        n->kind = NODE_FOR;
        TRY(parse_for(p, n));
    } else if (piece_is(word, "set")) {
        n->kind = NODE_SET;
        TRY(parse_set(p, n));
    } else if (piece_is(word, "macro")) {
        n->kind = NODE_MACRO;
        TRY(parse_macro(p, n));
    } else if (piece_is(word, "generation")) {
        n->kind = NODE_GENERATION;
        p->has_generation = true;
        TRY(parse_block(p, "endgeneration", &n->body));
    } else {
        const bool is_break = piece_is(word, "break");
        CHECK(is_break || piece_is(word, "continue"), FORMAT,
              "%s:%d: the statement {%% %.*s %%} is not understood%s; known: %s", p->name, line,
              PIECE_ARG(word), word.n > 3 && memcmp(word.s, "end", 3) == 0 ? " here" : "",
              STATEMENT_NAMES);
        CHECK(p->n_loop > 0, FORMAT, "%s:%d: {%% %.*s %%} stands outside of a loop", p->name, line,
              PIECE_ARG(word));
        n->kind = is_break ? NODE_BREAK : NODE_CONTINUE;
    }
    TRY(expect_kind(p, TOK_BLOCK_END));
    p->nesting--;
out:
    return rc;
}

/* Up to a tag that begins with one of `ends` (left for the caller), or to the end of the template. */
static Status parse_body(Parser *p, Words ends, Node **first)
{
    Status rc = ST_OK;
    for (Node **end = first; p->token->kind != TOK_END && !at_word(p, ends); end = &(*end)->next) {
        if (p->token->kind == TOK_TEXT) {
            TRY(parse_node(p, NODE_TEXT, end));
            (*end)->text = p->token->text;
            p->token++;
        } else if (p->token->kind == TOK_PRINT) {
            TRY(parse_node(p, NODE_PRINT, end));
            p->token++;
            TRY(parse_expression(p, &(*end)->a));
            TRY(expect_kind(p, TOK_PRINT_END));
        } else {
            TRY(expect_kind(p, TOK_BLOCK));
            TRY(parse_statement(p, end));
        }
    }
out:
    return rc;
}

/* As jinja2 reads a file: every line end is '\n', and the last one goes. */
static int64_t plain_line_ends(char *to, const char *source, size_t n)
{
    char *begin = to;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r' && i + 1 < n && source[i + 1] == '\n') continue;
        *to++ = source[i] == '\r' ? '\n' : source[i];
    }
    if (to > begin && to[-1] == '\n') to--;
    return to - begin;
}

Status chat_template_parse(const char *name, const char *source, size_t n, ChatTemplate **t)
{
    Status rc = ST_OK;
    Token *token = NULL;
    ChatTemplate *made = mem_alloc(sizeof *made);
    CHECK(made, NOMEM, "%s: no memory for the template", name);
    CHECK(n <= SOURCE_MAX_BYTES, FORMAT, "%s: the template has %zu bytes, more than %d", name, n,
          SOURCE_MAX_BYTES);
    CHECK(is_utf8(source, (int64_t)n), FORMAT, "%s: the template is not UTF-8, or holds a NUL",
          name);
    made->name = mem_strdup(name);
    made->source = mem_alloc(n + 1);
    made->text = mem_alloc(n + 1);
    CHECK(made->name && made->source && made->text, NOMEM, "%s: no memory for the template", name);
    memcpy(made->source, source, n);
    const Piece text = {made->text, plain_line_ends(made->text, source, n)};
    TRY(chat_lex(made->name, text, &token));
    Parser p = {.name = made->name, .token = token, .arena = &made->arena};
    TRY(parse_body(&p, NULL, &made->body));
    made->has_generation = p.has_generation;
    *t = made;
    made = NULL;
out:
    mem_free(token);
    chat_template_destroy(made);
    return rc;
}

void chat_template_destroy(ChatTemplate *t)
{
    if (!t) return;
    arena_fini(&t->arena);
    mem_free(t->name);
    mem_free(t->source);
    mem_free(t->text);
    mem_free(t);
}

const char *chat_template_name(const ChatTemplate *t)
{
    return t->name;
}

const char *chat_template_source(const ChatTemplate *t)
{
    return t->source;
}
