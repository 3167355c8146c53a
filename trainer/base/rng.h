/* rng.h — random numbers as a pure function of (seed, stream, index): nothing to save but a
 * counter. */
#ifndef TRAINER_BASE_RNG_H
#define TRAINER_BASE_RNG_H
#include <stdint.h>

/* 64 random bits. Source: Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as
 * 1, 2, 3"; key = seed, counter = (index, stream). Rank: replicated. */
uint64_t rng_at(uint64_t seed, uint64_t stream, uint64_t index);

/* x[i] = rng_at(seed, stream, first + i), several at a time. */
void rng_fill(uint64_t seed, uint64_t stream, uint64_t first, uint64_t n, uint64_t *x);

/* A stream with a counter, for code that draws one number after the other. */
typedef struct Rng {
    uint64_t seed, stream, index;
} Rng;
void rng_init(Rng *r, uint64_t seed, uint64_t stream);
uint64_t rng_u64(Rng *r);
uint64_t rng_below(Rng *r, uint64_t n); /* uniform in [0, n), n > 0, without bias */
double rng_uniform(Rng *r);             /* [0, 1), 53 bits */
double rng_normal(Rng *r);              /* mean 0, variance 1 (Box-Muller, one draw per call) */

uint64_t rng_hash_bytes(const void *p, uint64_t n,
                        uint64_t seed); /* stable over machines and versions */
#endif
