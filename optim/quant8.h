/* quant8.h — numbers in a byte each: a block has the largest magnitude in it as its scale, and every
 * number the code of its share of that, from a fixed table.
 *
 * The table is the dynamic map of Dettmers et al. 2022, arXiv:2110.02861, section 2.1: seven
 * decades, each with half as many values as the one above it, at equal distances. In two places
 * ours differs: the largest value is 1 with either sign, so that a block gives back its largest
 * number to the bit and packs to the same bytes again; and a positive number never becomes 0 where
 * there is no sign, because the root of such numbers is divided by. */
#ifndef OPTIM_QUANT8_H
#define OPTIM_QUANT8_H
#include "trainer/base/status.h"

enum {
    QUANT8_BLOCK = 256,
    QUANT8_KEY_BITS = 7, /* of a mantissa, so that a key has two codes at most */
    QUANT8_KEYS = (24 << QUANT8_KEY_BITS) + 1 /* 24 octaves hold seven decades */
};

typedef struct Quant8 {
    bool has_sign;              /* in the highest bit of the code, 1: negative */
    float value[256];           /* of a code; without the sign ascending from 0 to 1 */
    uint8_t first[QUANT8_KEYS]; /* the code below the least magnitude with this key */
} Quant8;

void quant8_init(Quant8 *q, bool has_sign);

/* code: n bytes; scale: one for each QUANT8_BLOCK numbers or part of it. Blocks whose magnitudes are
 * all below 2^-100 become 0. noise 0: to the nearest value, and what was unpacked packs to the same
 * bytes; else to the one above or below, so that the mean over all noise is the number itself: a
 * change of less than half the distance of two values would be lost at each step otherwise.
 * Rank: local. */
void quant8_pack(const Quant8 *q, int64_t n, const float *x, uint64_t noise, uint8_t *code,
                 float *scale);
void quant8_unpack(const Quant8 *q, int64_t n, const uint8_t *code, const float *scale, float *x);
#endif
