/* chat_template_lex.c — template text to tokens, as jinja2 cuts it with trim_blocks and
 * lstrip_blocks: the newline behind a block or comment goes, and the blanks before it on its line. */
#include "data/chat_template_syntax.h"
#include "data/chat_template_value.h"
#include "trainer/base/mem.h"
#include <string.h>

typedef struct Lexer {
    const char *name, *p, *end;
    int line;
    bool at_line_start; /* the last tag or token ended with a newline */
    Token *token;
    int64_t n, cap;
} Lexer;

bool piece_is(Piece p, const char *s)
{
    return (int64_t)strlen(s) == p.n && memcmp(p.s, s, (size_t)p.n) == 0;
}

bool piece_same(Piece a, Piece b)
{
    return a.n == b.n && memcmp(a.s, b.s, (size_t)a.n) == 0;
}

static bool starts(const Lexer *l, const char *s)
{
    const size_t n = strlen(s);
    return (size_t)(l->end - l->p) >= n && memcmp(l->p, s, n) == 0;
}

static void advance(Lexer *l, const char *to)
{
    for (; l->p < to; l->p++) l->line += *l->p == '\n';
    l->at_line_start = to[-1] == '\n';
}

static Status lex_add(Lexer *l, TokenKind kind, const char *s, int64_t n)
{
    Status rc = ST_OK;
    if (l->n == l->cap) {
        const int64_t cap = l->cap ? 2 * l->cap : 256;
        Token *grown =
            mem_resize(l->token, (size_t)l->n * sizeof *grown, (size_t)cap * sizeof *grown);
        CHECK(grown, NOMEM, "%s: no memory for %lld tokens", l->name, LL(cap));
        l->token = grown;
        l->cap = cap;
    }
    l->token[l->n++] = (Token){kind, l->line, {s, n}};
out:
    return rc;
}

static const char *past_space(const char *p, const char *end)
{
    int64_t n;
    while ((n = space_at(p, end)) > 0) p += n;
    return p;
}

/* Text up to the next tag; `tag` is NULL at the end of the template. */
static Status lex_text(Lexer *l, const char *tag)
{
    Status rc = ST_OK;
    const char *begin = l->p, *end = tag ? tag : l->end;
    const char sign = tag && tag + 2 < l->end ? tag[2] : ' ';
    if (sign == '-') {
        while (end > begin && space_before(begin, end) > 0) end -= space_before(begin, end);
    } else if (tag && sign != '+' && tag[1] != '{') {
        const char *p = end;
        while (p > begin && (p[-1] == ' ' || p[-1] == '\t')) p--;
        if (p > begin ? p[-1] == '\n' : l->at_line_start) end = p;
    }
    if (end > begin) TRY(lex_add(l, TOK_TEXT, begin, end - begin));
    const char *next = tag ? tag + 2 + (sign == '-' || sign == '+') : l->end;
    if (next > l->p) advance(l, next);
out:
    return rc;
}

/* Steps over the end of a tag that may have a sign: "-%}" takes the white space behind it,
 * "%}" one newline when `trims`, "+%}" nothing. */
static void lex_close(Lexer *l, const char *closing, char sign, bool trims)
{
    const char *p = closing + 2;
    if (sign == '-')
        p = past_space(p, l->end);
    else if (sign != '+' && trims && p < l->end && *p == '\n')
        p++;
    advance(l, p);
}

static Status lex_comment(Lexer *l)
{
    Status rc = ST_OK;
    const char *close = memmem(l->p, (size_t)(l->end - l->p), "#}", 2);
    CHECK(close, FORMAT, "%s:%d: a comment {# is not closed by #}", l->name, l->line);
    lex_close(l, close, close > l->p ? close[-1] : ' ', true);
out:
    return rc;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static Status lex_string(Lexer *l)
{
    Status rc = ST_OK;
    const char quote = *l->p, *p = l->p + 1;
    while (p < l->end && *p != quote) p += *p == '\\' && p + 1 < l->end ? 2 : 1;
    CHECK(p < l->end, FORMAT, "%s:%d: a string %c is not closed", l->name, l->line, quote);
    TRY(lex_add(l, TOK_STRING, l->p + 1, p - l->p - 1));
    advance(l, p + 1);
out:
    return rc;
}

static Status lex_word(Lexer *l)
{
    Status rc = ST_OK;
    const char *p = l->p;
    TokenKind kind = TOK_NAME;
    if (is_letter(*p)) {
        while (p < l->end && (is_letter(*p) || is_digit(*p))) p++;
    } else {
        kind = TOK_INTEGER;
        while (p < l->end && is_digit(*p)) p++;
        if (p + 1 < l->end && *p == '.' && is_digit(p[1])) {
            kind = TOK_FLOAT;
            for (p++; p < l->end && is_digit(*p);) p++;
        }
        if (p < l->end && (*p == 'e' || *p == 'E')) {
            const char *e = p + 1;
            if (e < l->end && (*e == '+' || *e == '-')) e++;
            if (e < l->end && is_digit(*e)) {
                kind = TOK_FLOAT;
                for (p = e; p < l->end && is_digit(*p);) p++;
            }
        }
        CHECK(p == l->end || !is_letter(*p), FORMAT, "%s:%d: \"%.*s\" is no number", l->name,
              l->line, (int)(p + 1 - l->p), l->p);
    }
    const bool is_raw = p - l->p == 3 && memcmp(l->p, "raw", 3) == 0;
    CHECK(!is_raw || l->token[l->n - 1].kind != TOK_BLOCK, FORMAT,
          "%s:%d: the statement {%% raw %%} is not understood; known: %s", l->name, l->line,
          STATEMENT_NAMES);
    TRY(lex_add(l, kind, l->p, p - l->p));
    advance(l, p);
out:
    return rc;
}

static Status lex_punctuation(Lexer *l, char *open, int *n_open)
{
    Status rc = ST_OK;
    static const char *const TWO[] = {"==", "!=", "<=", ">=", "//", "**"};
    const char c = *l->p;
    int64_t n = 1;
    for (int64_t i = 0; i < N_OF(TWO); i++)
        if (starts(l, TWO[i])) n = 2;
    CHECK(c && strchr("+-*/%~()[]{}<>=.:|,;!", c) && (c != '!' || n == 2), FORMAT,
          "%s:%d: unexpected character 0x%02x in a tag", l->name, l->line, (unsigned char)c);
    if (strchr("([{", c)) {
        CHECK(*n_open < NESTING_MAX, FORMAT, "%s:%d: more than %d brackets inside each other",
              l->name, l->line, NESTING_MAX);
        open[(*n_open)++] = c == '(' ? ')' : (char)(c + 2);
    } else if (strchr(")]}", c)) {
        CHECK(*n_open > 0, FORMAT, "%s:%d: unexpected \"%c\"", l->name, l->line, c);
        CHECK(open[*n_open - 1] == c, FORMAT, "%s:%d: unexpected \"%c\", expected \"%c\"", l->name,
              l->line, c, open[*n_open - 1]);
        (*n_open)--;
    }
    TRY(lex_add(l, TOK_PUNCTUATION, l->p, n));
    advance(l, l->p + n);
out:
    return rc;
}

/* What stands between {% and %}, or {{ and }}. Inside brackets "}}" closes dictionaries. */
static Status lex_tag(Lexer *l, bool is_block)
{
    Status rc = ST_OK;
    const char *close = is_block ? "%}" : "}}";
    const int opened_at = l->line;
    char open[NESTING_MAX];
    int n_open = 0;
    TRY(lex_add(l, is_block ? TOK_BLOCK : TOK_PRINT, l->p, 0));
    for (;;) {
        const char *p = past_space(l->p, l->end);
        if (p > l->p) advance(l, p);
        CHECK(l->p < l->end, FORMAT, "%s:%d: a tag %s is not closed by %s", l->name, opened_at,
              is_block ? "{%" : "{{", close);
        const bool has_sign = (*l->p == '-' || (is_block && *l->p == '+')) && l->end - l->p > 2;
        if (n_open == 0 && (starts(l, close) || (has_sign && memcmp(l->p + 1, close, 2) == 0))) {
            const char sign = has_sign ? *l->p : ' ';
            TRY(lex_add(l, is_block ? TOK_BLOCK_END : TOK_PRINT_END, l->p, 0));
            lex_close(l, l->p + (starts(l, close) ? 0 : 1), sign, is_block);
            goto out;
        }
        if (*l->p == '"' || *l->p == '\'')
            TRY(lex_string(l));
        else if (is_letter(*l->p) || is_digit(*l->p))
            TRY(lex_word(l));
        else
            TRY(lex_punctuation(l, open, &n_open));
    }
out:
    return rc;
}

static const char *next_tag(const char *p, const char *end)
{
    for (; p && p + 1 < end; p++) {
        p = memchr(p, '{', (size_t)(end - p - 1));
        if (!p) return NULL;
        if (p[1] == '{' || p[1] == '%' || p[1] == '#') return p;
    }
    return NULL;
}

Status chat_lex(const char *name, Piece source, Token **tokens)
{
    Status rc = ST_OK;
    Lexer l = {
        .name = name, .p = source.s, .end = source.s + source.n, .line = 1, .at_line_start = true};
    const char *tag;
    do {
        tag = next_tag(l.p, l.end);
        TRY(lex_text(&l, tag));
        if (tag && tag[1] == '#')
            TRY(lex_comment(&l));
        else if (tag)
            TRY(lex_tag(&l, tag[1] == '%'));
    } while (tag);
    TRY(lex_add(&l, TOK_END, l.end, 0));
    *tokens = l.token;
    l.token = NULL;
out:
    mem_free(l.token);
    return rc;
}
