/* added_tokens.h — tokens that are found in a text as they are written, before anything is split. */
#ifndef DATA_ADDED_TOKENS_H
#define DATA_ADDED_TOKENS_H
#include "data/normalizer.h"

typedef struct AddedToken {
    int32_t id;
    const char *content;
    int64_t n;
    bool special;
    bool normalized;     /* looked for, itself normalised, in the normalised text */
    bool single_word;    /* not inside a word */
    bool lstrip, rstrip; /* takes the white space before, after it along */
} AddedToken;

typedef struct AddedTokens AddedTokens;
CHECKED Status added_tokens_create(AddedTokens **a);
void added_tokens_destroy(AddedTokens *a);
/* A token of the same content is replaced. Owns: copies the content */
CHECKED Status added_tokens_put(AddedTokens *a, const AddedToken *token);
int64_t added_tokens_count(const AddedTokens *a);
const AddedToken *added_tokens_at(const AddedTokens *a, int64_t i);
/* After the last put: gets ready for matching. */
CHECKED Status added_tokens_finish(AddedTokens *a, Normalizer *z);

/* The first token at or behind `from` in the text, the longest where several begin, of those that
 * are looked for in the normalised or in the unchanged text. False: there is none. */
typedef struct AddedMatch {
    const AddedToken *token;
    int64_t begin, end;
} AddedMatch;
bool added_tokens_next(const AddedTokens *a, bool normalized, bool parse_special, const TextView *v,
                       int64_t from, AddedMatch *match);
#endif
