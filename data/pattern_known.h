/* pattern_known.h — the splitting patterns of GPT-2, Llama 3 and Qwen2 as code. */
#ifndef DATA_PATTERN_KNOWN_H
#define DATA_PATTERN_KNOWN_H
#include <stdint.h>

/* The end of the match that begins at s[at], at < n. These patterns match everywhere. */
typedef int64_t PatternFn(const char *s, int64_t n, int64_t at);
PatternFn *pattern_known(const char *text, int64_t n); /* NULL: another pattern */
#endif
