/* short_hash.h — a quick hash of short texts, for tables in memory. */
#ifndef DATA_SHORT_HASH_H
#define DATA_SHORT_HASH_H
#include <stdint.h>
#include <string.h>

/* Multiply and fold: high bits and low bits are both fit for use. */
static inline uint64_t hash_mix(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 32;
}

/* Words of 8 bytes; the last one, or two halves of a shorter text, may overlap what was read. */
static inline uint64_t short_hash(const char *s, int64_t n)
{
    uint64_t h = (uint64_t)n, word = 0;
    uint32_t low, high;
    if (n >= 8) {
        for (int64_t i = 0; i + 8 < n; i += 8) {
            memcpy(&word, s + i, 8);
            h = hash_mix(h ^ word);
        }
        memcpy(&word, s + n - 8, 8);
    } else if (n >= 4) {
        memcpy(&low, s, 4);
        memcpy(&high, s + n - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else {
        for (int64_t i = 0; i < n; i++) word = word << 8 | (unsigned char)s[i];
    }
    return hash_mix(hash_mix(h) ^ word);
}
#endif
