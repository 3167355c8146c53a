/* normalizer.h — what a tokenizer does to a text before it is split: a list of steps. */
#ifndef DATA_NORMALIZER_H
#define DATA_NORMALIZER_H
#include "data/pattern.h"

typedef enum NormalKind {
    NORMAL_NFC,
    NORMAL_NFD,
    NORMAL_NFKC,
    NORMAL_NFKD,
    NORMAL_LOWERCASE,
    NORMAL_STRIP_ACCENTS, /* drops marks */
    NORMAL_STRIP,         /* white space, at the ends `left` and `right` tell */
    NORMAL_PREPEND,       /* `content`, unless the text is empty */
    NORMAL_REPLACE,       /* each match of `pattern` by `content` */
} NormalKind;

typedef struct NormalStep {
    NormalKind kind;
    bool left, right;
    char *content;
    Pattern *pattern;
} NormalStep;

typedef struct Normalizer Normalizer;
CHECKED Status normalizer_create(Normalizer **z);
void normalizer_destroy(Normalizer *z);
/* Owns: takes content and pattern over, also when it fails */
CHECKED Status normalizer_add(Normalizer *z, const NormalStep *step);
bool normalizer_is_empty(const Normalizer *z);
/* *out is valid until the next run, or is `in` where nothing changes. */
CHECKED Status normalizer_run(Normalizer *z, const TextView *in, TextView *out);
#endif
