/* detokenizer.h — ids to text: what each token stands for, and what happens where a text begins. */
#ifndef DATA_DETOKENIZER_H
#define DATA_DETOKENIZER_H
#include "data/pattern.h"

typedef enum DecodeKind {
    DECODE_BYTE_LEVEL,    /* letters to bytes; a token with another character stays as it is */
    DECODE_BYTE_FALLBACK, /* <0xE4> is a byte */
    DECODE_REPLACE,       /* each match of `pattern` by `content` */
    DECODE_STRIP,         /* up to `start` and `stop` times the text `content` at the ends */
    DECODE_METASPACE,     /* `content` is a space, in the first token nothing where drop_first */
    DECODE_FUSE,          /* what follows is done once to the whole text */
} DecodeKind;

typedef struct DecodeStep {
    DecodeKind kind;
    Pattern *pattern;
    char *content;
    int64_t start, stop;
    bool drop_first;
} DecodeStep;

typedef struct Detokenizer Detokenizer;
CHECKED Status detokenizer_create(Detokenizer **d);
void detokenizer_destroy(Detokenizer *d);
/* Errors  ST_FORMAT behind DECODE_FUSE only a strip at the start is supported
 * Owns    takes pattern and content over, also when it fails */
CHECKED Status detokenizer_add(Detokenizer *d, const DecodeStep *step);
/* After the last step: what stands for a token; for an id again, another text. Without any step
 * tokens are joined by spaces. */
CHECKED Status detokenizer_put(Detokenizer *d, int32_t id, const char *text, int64_t n);
const char *detokenizer_piece(const Detokenizer *d, int32_t id, int64_t *n_bytes);
/* Skips ids that are marked (NULL: none). Returns the bytes of the text, writes at most max. */
int64_t detokenizer_run(const Detokenizer *d, const int32_t *ids, int64_t n, const bool *skip,
                        char *text, int64_t max);
#endif
