/* bpe.h — byte-pair encoding: a piece of text to the ids of a vocabulary, by merges in their order. */
#ifndef DATA_BPE_H
#define DATA_BPE_H
#include "data/data.h"
#include "data/id_table.h"
#include "data/text_view.h"

typedef struct BpeOpts {
    bool of_bytes; /* the first symbols are bytes; else characters */
    bool
        byte_fallback; /* a character without a token is <0xE4><0xB8><0xAD>, where these are there */
    bool ignore_merges; /* a piece that is a token is this token, whatever the merges say */
    bool fuse_unk;      /* neighbours without a token make one unk */
    int32_t unk;        /* -1: what has no token is dropped */
} BpeOpts;

typedef struct Bpe Bpe;
/* Owns: borrows the vocabulary until destroy */
CHECKED Status bpe_create(const IdTable *vocab, const BpeOpts *o, Bpe **b);
void bpe_destroy(Bpe *b);
/* Lower ranks are merged first; a pair given again takes the new rank.
 * Errors  ST_FORMAT left and right make no token */
CHECKED Status bpe_add_merge(Bpe *b, int32_t left, int32_t right, int64_t rank);
CHECKED Status bpe_finish(Bpe *b); /* after the last merge */
/* Appends the ids of bytes [begin, end) of the text, one piece, not empty.
 * Math    the merge of lowest rank first, of equal ones the leftmost, until none applies
 * Errors  ST_NOMEM */
CHECKED Status bpe_encode(Bpe *b, const TextView *v, int64_t begin, int64_t end, TokenList *list);
#endif
