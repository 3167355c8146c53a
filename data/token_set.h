/* token_set.h — inside a token set: its stream, and which part of it each row shows. */
#ifndef DATA_TOKEN_SET_H
#define DATA_TOKEN_SET_H
#include "data/shard.h"

/* What a document has in common with one before it in its row, and so is left out: n tokens that stand
 * there from position `start` on. */
typedef struct Beginning {
    int32_t start, n;
} Beginning;

struct TokenSet {
    char name[256];
    TokenStream stream;
    int64_t T, n_row;
    bool streams;         /* rows are cut from the stream; else they are made of whole documents: */
    int64_t *doc;         /* their numbers, row by row; samples left out are not among them */
    Beginning *beginning; /* of each of them; NULL: they share nothing */
    int64_t *row_end;     /* (n_row) first index into doc behind row i */
    bool own_document_only; /* how far tokens see */
    int32_t eos;
    TokenCounts counts;
};

static inline int64_t doc_begin(const TokenStream *s, int64_t doc)
{
    return doc == 0 ? 0 : s->doc_end[doc - 1];
}

static inline int64_t doc_tokens(const TokenStream *s, int64_t doc)
{
    return s->doc_end[doc] - doc_begin(s, doc);
}

/* Tokens of a document that a row of its own would hold. */
static inline int64_t doc_tokens_in_row(const TokenSet *ts, int64_t doc)
{
    const int64_t n = doc_tokens(&ts->stream, doc);
    return n < ts->T ? n : ts->T;
}

/* The label of token i, whose document ends at `end`. */
static inline int32_t label_at(const TokenStream *s, int64_t i, int64_t end)
{
    return i + 1 < end && stream_is_learned(s, i + 1) ? stream_token_at(s, i + 1) : -1;
}

/* Cuts the stream that has been read into rows, and counts.
 *
 * Rank    local
 * Errors  ST_DATA no row, nothing to be learned of a sample */
CHECKED Status token_set_cut(TokenSet *ts, const DatasetOpts *d, const PackOpts *p, Split split);
#endif
