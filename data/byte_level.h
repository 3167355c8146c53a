/* byte_level.h — the letters that byte-level vocabularies write bytes as: each byte is one printable
 * character, U+0120 for a space. */
#ifndef DATA_BYTE_LEVEL_H
#define DATA_BYTE_LEVEL_H
#include "trainer/base/status.h"

/* From the letters to bytes; returns how many, -1 when a character is none of the 256. `bytes` has
 * room for n and may be `text`. */
int64_t byte_level_decode(const char *text, int64_t n, char *bytes);
int64_t byte_level_encode(const char *bytes, int64_t n, char *text); /* room for 2n */
#endif
