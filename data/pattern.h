/* pattern.h — the regular expressions of tokenizer files: where a text matches, one after the other. */
#ifndef DATA_PATTERN_H
#define DATA_PATTERN_H
#include "data/text_view.h"

/* Where tokenizer files say no more than "byte-level", this is meant. */
extern const char PATTERN_GPT2[], PATTERN_LLAMA3[], PATTERN_QWEN2[];

typedef enum PatternKind {
    PATTERN_REGEX,   /* in the dialect of Oniguruma, as the files have it */
    PATTERN_LITERAL, /* a text that stands for itself */
    PATTERN_PCRE2,   /* as PATTERN_REGEX, never by hand: the judge of the patterns we know */
} PatternKind;

/* The three patterns above are matched by code written for them, all others by PCRE2. One thread at
 * a time may match.
 * Errors  ST_FORMAT the text is no pattern, or says what cannot be translated; the message has it */
typedef struct Pattern Pattern;
CHECKED Status pattern_create(const char *text, int64_t n, PatternKind kind, Pattern **p);
void pattern_destroy(Pattern *p);

/* Walks over a text: {s, n} and zeros to begin with. */
typedef struct PatternScan {
    const char *s; /* valid UTF-8 */
    int64_t n;
    int64_t from;       /* the search goes on here */
    int64_t begin, end; /* of the match found */
    bool found, any;    /* found: by the last call; any: there was a match before */
} PatternScan;
/* The next match, leftmost first, without overlap; an empty one is not taken where the last match
 * ended.
 * Errors  ST_DATA the pattern takes too long on this text */
CHECKED Status pattern_next(const Pattern *p, PatternScan *scan);
#endif
