/* added_tokens.c — a bitmap of first two bytes passes over most of a text; where it says yes, the
 * lengths there are, longest first, are looked up in a table of contents. */
#include "data/added_tokens.h"
#include "data/id_table.h"
#include "data/unicode.h"
#include "trainer/base/mem.h"
#include <stdlib.h>
#include <string.h>

typedef struct Finder {    /* of one kind: in the unchanged or in the normalised text */
    IdTable *content;      /* what is looked for -> index of the token */
    uint8_t pair[1 << 13]; /* bit of the first byte and the second (0 for a token of one byte) */
    bool first[256], one_byte[256]; /* some token begins with this byte; is only this byte */
    int64_t *length;                /* longest first, none twice */
    int64_t n_length;
} Finder;

struct AddedTokens {
    AddedToken *token;
    int64_t n, cap;
    IdTable *by_content; /* index of each */
    Finder finder[2];
};

Status added_tokens_create(AddedTokens **out)
{
    Status rc = ST_OK;
    AddedTokens *a = mem_alloc(sizeof *a);
    *out = NULL;
    CHECK(a, NOMEM, "added tokens: %zu bytes", sizeof *a);
    TRY(id_table_create(&a->by_content));
    *out = a;
    a = NULL;
out:
    added_tokens_destroy(a);
    return rc;
}

void added_tokens_destroy(AddedTokens *a)
{
    if (!a) return;
    for (int64_t i = 0; i < a->n; i++) mem_free((void *)a->token[i].content);
    for (int k = 0; k < 2; k++) {
        id_table_destroy(a->finder[k].content);
        mem_free(a->finder[k].length);
    }
    id_table_destroy(a->by_content);
    mem_free(a->token);
    mem_free(a);
}

static Status append(AddedTokens *a, const AddedToken *token)
{
    Status rc = ST_OK;
    char *content = NULL;
    if (a->n == a->cap) {
        const size_t n = (size_t)a->n, cap = 2 * n + 64;
        AddedToken *wider = mem_resize(a->token, n * sizeof *wider, cap * sizeof *wider);
        CHECK(wider, NOMEM, "%zu added tokens", cap);
        a->token = wider;
        a->cap = (int64_t)cap;
    }
    content = mem_alloc((size_t)token->n + 1);
    CHECK(content, NOMEM, "an added token of %lld bytes", LL(token->n));
    memcpy(content, token->content, (size_t)token->n);
    TRY(id_table_put(a->by_content, a->n, content, token->n));
    a->token[a->n] = *token;
    a->token[a->n++].content = content;
    content = NULL;
out:
    mem_free(content);
    return rc;
}

Status added_tokens_put(AddedTokens *a, const AddedToken *token)
{
    Status rc = ST_OK;
    const int32_t known = id_table_find(a->by_content, token->content, token->n);
    if (known < 0) {
        TRY(append(a, token));
    } else {
        const char *const content = a->token[known].content;
        a->token[known] = *token;
        a->token[known].content = content;
    }
out:
    return rc;
}

int64_t added_tokens_count(const AddedTokens *a)
{
    return a->n;
}

const AddedToken *added_tokens_at(const AddedTokens *a, int64_t i)
{
    return &a->token[i];
}

/* ---- getting ready ---- */

static Status finder_add(Finder *f, int64_t index, const char *s, int64_t n)
{
    Status rc = ST_OK;
    const unsigned char *u = (const unsigned char *)s;
    if (n == 0 || id_table_find(f->content, s, n) >= 0) goto out;
    TRY(id_table_put(f->content, index, s, n));
    const unsigned pair = n > 1 ? u[0] << 8 | u[1] : 0;
    if (n > 1)
        f->pair[pair >> 3] |= (uint8_t)(1 << (pair & 7));
    else
        f->one_byte[u[0]] = true;
    f->first[u[0]] = true;
    int64_t at = 0;
    while (at < f->n_length && f->length[at] > n) at++;
    if (at < f->n_length && f->length[at] == n) goto out;
    memmove(f->length + at + 1, f->length + at, (size_t)(f->n_length - at) * sizeof *f->length);
    f->length[at] = n;
    f->n_length++;
out:
    return rc;
}

Status added_tokens_finish(AddedTokens *a, Normalizer *z)
{
    Status rc = ST_OK;
    for (int k = 0; k < 2; k++) {
        TRY(id_table_create(&a->finder[k].content));
        a->finder[k].length = mem_array(a->n, sizeof *a->finder[k].length);
        CHECK(a->finder[k].length, NOMEM, "%lld added tokens", LL(a->n));
    }
    for (int64_t i = 0; i < a->n; i++) {
        const AddedToken *t = &a->token[i];
        TextView v = {t->content, t->n, NULL, 0};
        if (t->normalized) TRY(normalizer_run(z, &v, &v));
        TRY(finder_add(&a->finder[t->normalized], i, v.s, v.n));
    }
out:
    return rc;
}

/* ---- finding ---- */

static int32_t find_at(const Finder *f, const TextView *v, int64_t at, int64_t *n)
{
    const unsigned char *u = (const unsigned char *)v->s + at;
    const unsigned pair = at + 1 < v->n ? u[0] << 8 | u[1] : 0;
    const bool may_be = at + 1 < v->n && (f->pair[pair >> 3] >> (pair & 7) & 1);
    if (!may_be && !f->one_byte[u[0]]) return -1;
    for (int64_t i = 0; i < f->n_length; i++) {
        *n = f->length[i];
        if (*n > v->n - at) continue;
        const int32_t index = id_table_find(f->content, v->s + at, *n);
        if (index >= 0) return index;
    }
    return -1;
}

static bool in_word(const TextView *v, int64_t begin, int64_t end)
{
    int32_t before = ' ', after = ' ';
    if (begin > 0) utf8_read(v->s + utf8_back(v->s, begin), &before);
    if (end < v->n) utf8_read(v->s + end, &after);
    return char_is_word(before) || char_is_word(after);
}

static void take_spaces(const TextView *v, int64_t floor, AddedMatch *m)
{
    int32_t c;
    while (m->token->lstrip && m->begin > floor) {
        const int64_t at = utf8_back(v->s, m->begin);
        utf8_read(v->s + at, &c);
        if (!char_is_space(c)) break;
        m->begin = at;
    }
    while (m->token->rstrip && m->end < v->n) {
        const int n = utf8_read(v->s + m->end, &c);
        if (!char_is_space(c)) break;
        m->end += n;
    }
}

bool added_tokens_next(const AddedTokens *a, bool normalized, bool parse_special, const TextView *v,
                       int64_t from, AddedMatch *match)
{
    const Finder *f = &a->finder[normalized];
    for (int64_t at = from, n; f->n_length > 0 && at < v->n; at++) {
        const int32_t index = f->first[(unsigned char)v->s[at]] ? find_at(f, v, at, &n) : -1;
        if (index < 0) continue;
        const AddedToken *t = &a->token[index];
        if ((t->special && !parse_special) || (t->single_word && in_word(v, at, at + n))) {
            at += n - 1; /* what was passed over is text, all of it */
            continue;
        }
        *match = (AddedMatch){t, at, at + n};
        take_spaces(v, from, match);
        return true;
    }
    return false;
}
