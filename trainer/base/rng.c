/* rng.c — Philox4x32-10 (Salmon et al. 2011, table 2 and section 3.3) and what is derived from it.
 */
#include "trainer/base/rng.h"
#include <math.h>

static void philox_round(uint32_t c[4], const uint32_t k[2])
{
    const uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k[0];
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k[1];
    c[3] = (uint32_t)p0;
}

uint64_t rng_at(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t c[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                     (uint32_t)(stream >> 32)};
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; round++) {
        philox_round(c, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    return (uint64_t)c[1] << 32 | c[0];
}

/* The words of FILL_LANES counters side by side, which the compiler makes vectors of. */
enum { FILL_LANES = 16 };

static void philox_lanes(uint64_t seed, uint64_t stream, uint64_t first, uint64_t x[FILL_LANES])
{
    uint32_t c[4][FILL_LANES], k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int i = 0; i < FILL_LANES; i++) {
        c[0][i] = (uint32_t)(first + (uint64_t)i);
        c[1][i] = (uint32_t)((first + (uint64_t)i) >> 32);
        c[2][i] = (uint32_t)stream;
        c[3][i] = (uint32_t)(stream >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < FILL_LANES; i++) {
            uint32_t one[4] = {c[0][i], c[1][i], c[2][i], c[3][i]};
            philox_round(one, k);
            for (int w = 0; w < 4; w++) c[w][i] = one[w];
        }
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    for (int i = 0; i < FILL_LANES; i++) x[i] = (uint64_t)c[1][i] << 32 | c[0][i];
}

void rng_fill(uint64_t seed, uint64_t stream, uint64_t first, uint64_t n, uint64_t *x)
{
    uint64_t i = 0;
    for (; i + FILL_LANES <= n; i += FILL_LANES) philox_lanes(seed, stream, first + i, x + i);
    for (; i < n; i++) x[i] = rng_at(seed, stream, first + i);
}

void rng_init(Rng *r, uint64_t seed, uint64_t stream)
{
    *r = (Rng){seed, stream, 0};
}

uint64_t rng_u64(Rng *r)
{
    return rng_at(r->seed, r->stream, r->index++);
}

uint64_t rng_below(Rng *r, uint64_t n)
{
    const uint64_t reject_below =
        -n % n; /* 2^64 mod n: the draws that would favour small results */
    uint64_t x;
    do x = rng_u64(r);
    while (x < reject_below);
    return x % n;
}

double rng_uniform(Rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_normal(Rng *r)
{
    const uint64_t x = rng_u64(r);
    const double u = ((double)(x >> 32) + 1.0) * 0x1p-32; /* (0, 1] */
    const double v = (double)(uint32_t)x * 0x1p-32;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

uint64_t rng_hash_bytes(const void *p, uint64_t n, uint64_t seed)
{
    const unsigned char *b = p;
    uint64_t h = rng_at(seed, n, 0);
    for (uint64_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        for (uint64_t j = i; j < n && j < i + 8; j++) word |= (uint64_t)b[j] << (8 * (j - i));
        h = (h ^ word) * 0x9FB21C651E98DF25u; /* multiply and fold, as in Evensen's rrxmrrxmsx */
        h ^= h >> 28;
    }
    return rng_at(seed, h, n);
}
