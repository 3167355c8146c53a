/* unicode.h — the characters of a text that is valid UTF-8, and what kind they are. */
#ifndef DATA_UNICODE_H
#define DATA_UNICODE_H
#include "trainer/base/status.h"

typedef enum CharKind { CHAR_OTHER, CHAR_LETTER, CHAR_NUMBER, CHAR_SPACE } CharKind;

/* Letters (\p{L}), numbers (\p{N}) and white space (\p{White_Space}) of Unicode 16. */
CharKind char_kind_beyond_ascii(int32_t c);
extern const uint8_t ASCII_KIND[128];
static inline CharKind char_kind(int32_t c)
{
    return c < 128 ? (CharKind)ASCII_KIND[c] : char_kind_beyond_ascii(c);
}
bool char_is_space(int32_t c);
bool char_is_mark(int32_t c); /* \p{M} */
bool char_is_word(int32_t c); /* letters, marks, decimal numbers, connector punctuation */
/* Characters that normal forms leave as they are, since the tables of the tokenizers package, with
 * which models were made, do not know them: marks and compatibility characters since Unicode 10. */
bool char_is_inert(int32_t c);
int32_t char_lower(int32_t c); /* the one character it becomes */

/* Letters and numbers that Unicode 14 (of PCRE2 10.42; utf8proc 2.8 has 15) did not have yet. */
typedef struct CharRange {
    int32_t first, last;
} CharRange;
extern const CharRange NEWER_LETTERS[], NEWER_NUMBERS[]; /* both end with {0, 0} */

int utf8_read_beyond_ascii(const char *s, int32_t *c);
/* The character at s; returns its bytes. */
static inline int utf8_read(const char *s, int32_t *c)
{
    *c = (unsigned char)*s;
    return *c < 0x80 ? 1 : utf8_read_beyond_ascii(s, c);
}
int utf8_write(int32_t c, char s[4]);         /* returns the bytes written */
int64_t utf8_back(const char *s, int64_t at); /* start of the character that ends at `at` > 0 */
#endif
