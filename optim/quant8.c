/* quant8.c — the table, and codes by the leading bits of a number: they leave two candidates for the
 * value below it. */
#include "optim/quant8.h"
#include <math.h>
#include <string.h>

static const float LEAST_SCALE = 0x1p-100f; /* times the least value it is a normal number still */

/* The place of a magnitude's leading bits among the keys. */
static int key_of(float y)
{
    uint32_t bits;
    memcpy(&bits, &y, sizeof bits);
    const int64_t key =
        (int64_t)(bits >> (23 - QUANT8_KEY_BITS)) - ((int64_t)(127 - 24) << QUANT8_KEY_BITS);
    return key < 0 ? 0 : key < QUANT8_KEYS ? (int)key : QUANT8_KEYS - 1;
}

static float least_of_key(int key)
{
    const uint32_t bits = (uint32_t)(key + ((127 - 24) << QUANT8_KEY_BITS))
                          << (23 - QUANT8_KEY_BITS);
    float y;
    memcpy(&y, &bits, sizeof y);
    return key == 0 ? 0.0f : y;
}

void quant8_init(Quant8 *q, bool has_sign)
{
    const int n = has_sign ? 128 : 256;
    int at = 0, code = 0;
    *q = (Quant8){.has_sign = has_sign};
    q->value[at++] = 0.0f;
    for (int decade = 6, n_value = has_sign ? 1 : 2; decade >= 0; decade--, n_value *= 2)
        for (int i = 0; i < n_value && at < n; i++)
            q->value[at++] =
                (float)(pow(10.0, -decade) * (0.1 + 0.9 * (i + 0.5) / (double)n_value));
    q->value[n - 1] = 1.0f;
    for (int i = 0; has_sign && i < n; i++) q->value[n + i] = -q->value[i];
    for (int key = 0; key < QUANT8_KEYS; key++) {
        while (code + 2 < n && least_of_key(key) >= q->value[code + 1]) code++;
        q->first[key] = (uint8_t)code;
    }
}

/* Magnitudes are ordered as their bits are, and whole numbers the compiler takes several at a time. */
static float largest(const float *x, int64_t n)
{
    uint32_t most = 0;
    float magnitude;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    memcpy(&magnitude, &most, sizeof magnitude);
    return magnitude;
}

/* Between the values around y: the upper one, when y is more than the share u of the way to it. */
static int round_at(const Quant8 *q, int last, float y, float u)
{
    int code = q->first[key_of(y)];
    code += code < last && y >= q->value[code + 1];
    const float low = q->value[code], step = q->value[code + 1] - low;
    return code + (y - low > u * step);
}

/* Evenly in (0, 1): the finalizer of MurmurHash3 over the noise and the place. */
static float uniform_at(uint64_t noise, int64_t i)
{
    uint32_t h = (uint32_t)noise ^ (uint32_t)(noise >> 32) ^ (uint32_t)i * 0x9e3779b1u;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return ((float)((h ^ h >> 16) >> 9) + 0.5f) * 0x1p-23f;
}

static void pack_block(const Quant8 *q, int64_t n, const float *x, uint64_t noise, int64_t first,
                       uint8_t *code, float *scale)
{
    float y[QUANT8_BLOCK], u[QUANT8_BLOCK];
    const int last = q->has_sign ? 126 : 254; /* but one: the lower of two */
    *scale = largest(x, n);
    if (!(*scale >= LEAST_SCALE)) {
        *scale = 0.0f;
        memset(code, 0, (size_t)n);
        return;
    }
    for (int64_t i = 0; i < n; i++) y[i] = fabsf(x[i]) / *scale;
    for (int64_t i = 0; i < n; i++) u[i] = noise ? uniform_at(noise, first + i) : 0.5f;
    for (int64_t i = 0; i < n; i++) {
        const int magnitude = round_at(q, last, y[i], u[i]);
        code[i] = (uint8_t)(q->has_sign ? magnitude | (x[i] < 0.0f && magnitude) << 7
                                        : magnitude | (y[i] > 0.0f && !magnitude));
    }
}

static int64_t block_n(int64_t n, int64_t at)
{
    return n - at < QUANT8_BLOCK ? n - at : QUANT8_BLOCK;
}

void quant8_pack(const Quant8 *q, int64_t n, const float *x, uint64_t noise, uint8_t *code,
                 float *scale)
{
    for (int64_t at = 0; at < n; at += QUANT8_BLOCK)
        pack_block(q, block_n(n, at), x + at, noise, at, code + at, &scale[at / QUANT8_BLOCK]);
}

void quant8_unpack(const Quant8 *q, int64_t n, const uint8_t *code, const float *scale, float *x)
{
    for (int64_t i = 0; i < n; i++) x[i] = q->value[code[i]] * scale[i / QUANT8_BLOCK];
}
