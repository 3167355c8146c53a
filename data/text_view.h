/* text_view.h — texts that were changed on the way, and where each of their bytes came from. */
#ifndef DATA_TEXT_VIEW_H
#define DATA_TEXT_VIEW_H
#include "trainer/base/status.h"

/* A stretch of valid UTF-8. Byte i came from what ends at origin[i] in the text the user gave;
 * origin NULL: nothing was changed, and it ends at start + i + 1. */
typedef struct TextView {
    const char *s;
    int64_t n;
    const int64_t *origin;
    int64_t start; /* where the stretch begins in the user's text */
} TextView;

/* Where the first i bytes of the view end in the user's text. */
static inline int64_t view_end(const TextView *v, int64_t i)
{
    return i == 0 ? v->start : v->origin ? v->origin[i - 1] : v->start + i;
}

static inline TextView view_part(const TextView *v, int64_t from, int64_t to)
{
    return (TextView){v->s + from, to - from, v->origin ? v->origin + from : NULL,
                      view_end(v, from)};
}

typedef struct TextBuf { /* {0} is an empty buffer */
    char *s;
    int64_t *origin;
    int64_t n, cap;
} TextBuf;

void text_buf_fini(TextBuf *b);
CHECKED Status text_buf_reserve(TextBuf *b, int64_t more);
/* Appends n bytes that all came from what ends at `origin`. */
CHECKED Status text_buf_add(TextBuf *b, const char *s, int64_t n, int64_t origin);
/* Appends bytes [from, to) of the view, each with its own origin. */
CHECKED Status text_buf_copy(TextBuf *b, const TextView *v, int64_t from, int64_t to);
static inline TextView text_buf_view(const TextBuf *b, int64_t start)
{
    return (TextView){b->s, b->n, b->origin, start};
}

/* The view with what is no UTF-8 replaced: U+FFFD for each longest start of a well-formed character
 * and each other byte, as Unicode recommends (3.9, table 3-8). It stands in b, or is v itself. */
CHECKED Status view_repair(const TextView *v, TextBuf *b, TextView *repaired);
#endif
