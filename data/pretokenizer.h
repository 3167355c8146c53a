/* pretokenizer.h — cuts a text into the pieces that are encoded one by one: a list of steps. */
#ifndef DATA_PRETOKENIZER_H
#define DATA_PRETOKENIZER_H
#include "data/pattern.h"

typedef enum SplitBehavior {                 /* what becomes of the matches of a split's pattern */
                             SPLIT_ISOLATED, /* pieces of their own */
                             SPLIT_REMOVED,
                             SPLIT_MERGED_WITH_PREVIOUS,
                             SPLIT_MERGED_WITH_NEXT,
                             SPLIT_CONTIGUOUS, /* neighbouring matches make one piece */
} SplitBehavior;

typedef enum PieceKind { PIECE_SPLIT, PIECE_PREPEND, PIECE_PREPEND_FIRST, PIECE_MARK } PieceKind;

typedef struct PieceStep {
    PieceKind kind;
    /* PIECE_SPLIT; invert: what lies between the matches counts as matched, and they do not */
    Pattern *pattern;
    SplitBehavior behavior;
    bool invert;
    /* PIECE_PREPEND puts the mark before a piece that does not begin with it, _FIRST only where the
     * text begins; PIECE_MARK puts the mark in the place of each space. */
    char mark[5];
} PieceStep;

typedef struct Span {
    int64_t begin, end;
} Span;

typedef struct Pretokenizer Pretokenizer;
CHECKED Status pretokenizer_create(Pretokenizer **p);
void pretokenizer_destroy(Pretokenizer *p);
/* Owns: takes the pattern over, also when it fails */
CHECKED Status pretokenizer_add(Pretokenizer *p, const PieceStep *step);
/* The pieces, none empty, as stretches of *out. Both are valid until the next run. */
CHECKED Status pretokenizer_run(Pretokenizer *p, const TextView *in, TextView *out,
                                const Span **spans, int64_t *n_span);
#endif
