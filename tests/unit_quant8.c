/* unit_quant8.c — numbers in a byte each: near what they were, and the same bytes when packed again.
 */
#include "optim/quant8.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include <math.h>
#include <string.h>

enum { N = 5 * QUANT8_BLOCK + 77, N_BLOCK = 6 };

typedef struct Packed {
    uint8_t code[N];
    float scale[N_BLOCK];
} Packed;

/* Block b has magnitudes spread over the decades below 10^(3 - 8 b), down to denormal numbers. */
static void draw(bool has_sign, uint64_t seed, float *x)
{
    Rng r;
    rng_init(&r, seed, 0);
    for (int i = 0; i < N; i++) {
        const double e = 3.0 - 8.0 * (i / QUANT8_BLOCK) - 9.0 * rng_uniform(&r);
        const double sign = has_sign && rng_uniform(&r) < 0.5 ? -1.0 : 1.0;
        x[i] = (float)(sign * pow(10.0, e));
    }
}

static float largest(const float *x, int from, int end)
{
    float most = 0.0f;
    for (int i = from; i < end; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* The codes of a byte are ordered, cover [0, 1] and, with a sign, [-1, 1]. */
START_TEST(tables_are_ordered)
{
    for (int has_sign = 0; has_sign < 2; has_sign++) {
        Quant8 q;
        quant8_init(&q, has_sign);
        const int n = has_sign ? 128 : 256;
        T_TRUE(q.value[0] == 0.0f && q.value[n - 1] == 1.0f);
        for (int i = 1; i < n; i++) T_TRUE(q.value[i] > q.value[i - 1]);
        for (int i = 0; i < 128 && has_sign; i++) T_TRUE(q.value[128 + i] == -q.value[i]);
    }
}
END_TEST

/* Nearest: no other code is closer. Of magnitudes without a sign none becomes 0. */
START_TEST(every_number_gets_the_nearest_code)
{
    for (int has_sign = 0; has_sign < 2; has_sign++) {
        Quant8 q;
        Packed p;
        float x[N], y[N];
        quant8_init(&q, has_sign);
        draw(has_sign, 1, x);
        quant8_pack(&q, N, x, 0, p.code, p.scale);
        quant8_unpack(&q, N, p.code, p.scale, y);
        for (int i = 0; i < N; i++) {
            const int begin = i / QUANT8_BLOCK * QUANT8_BLOCK,
                      end = begin + QUANT8_BLOCK < N ? begin + QUANT8_BLOCK : N;
            const float scale = largest(x, begin, end);
            if (scale < 0x1p-100f) {
                T_TRUE(y[i] == 0.0f);
                continue;
            }
            T_TRUE(p.scale[i / QUANT8_BLOCK] == scale);
            T_TRUE(has_sign || y[i] > 0.0f);
            float least = INFINITY;
            for (int k = 0; k < 256; k++) {
                const bool allowed = has_sign || k > 0;
                if (allowed) least = fminf(least, fabsf(q.value[k] - x[i] / scale));
            }
            T_NEAR(fabsf(y[i] - x[i]) / scale, least, 1e-6);
            if (fabsf(x[i]) == scale) T_TRUE(y[i] == x[i]);
        }
    }
}
END_TEST

START_TEST(what_was_unpacked_packs_to_the_same_bytes)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        const bool has_sign = seed % 2;
        Quant8 q;
        Packed first, again;
        float x[N], y[N], z[N];
        quant8_init(&q, has_sign);
        draw(has_sign, seed, x);
        quant8_pack(&q, N, x, 0, first.code, first.scale);
        quant8_unpack(&q, N, first.code, first.scale, y);
        quant8_pack(&q, N, y, 0, again.code, again.scale);
        quant8_unpack(&q, N, again.code, again.scale, z);
        T_TRUE(memcmp(first.code, again.code, sizeof first.code) == 0);
        T_TRUE(memcmp(first.scale, again.scale, sizeof first.scale) == 0);
        T_TRUE(memcmp(y, z, sizeof y) == 0);
    }
}
END_TEST

/* All codes under scales from the least to the largest. */
START_TEST(every_code_packs_to_itself)
{
    const float scales[] = {0x1p-100f, 0x1.fffffep-100f, 0x1.234566p-50f, 0x1.fffffep-1f, 1.0f,
                            3.0f,      0x1.abcdeep60f,   0x1.fffffep127f};
    for (int has_sign = 0; has_sign < 2; has_sign++)
        for (int64_t s = 0; s < N_OF(scales); s++) {
            Quant8 q;
            uint8_t code[QUANT8_BLOCK], again[QUANT8_BLOCK];
            float x[QUANT8_BLOCK], scale;
            quant8_init(&q, has_sign);
            for (int i = 0; i < QUANT8_BLOCK; i++) code[i] = (uint8_t)i;
            if (has_sign) code[128] = 0; /* -0 is no code */
            quant8_unpack(&q, QUANT8_BLOCK, code, &scales[s], x);
            quant8_pack(&q, QUANT8_BLOCK, x, 0, again, &scale);
            T_TRUE(memcmp(code, again, sizeof code) == 0);
            T_TRUE(scale == scales[s]);
        }
}
END_TEST

/* Rounded up or down by chance the mean is the number; the largest and 0 stay as they are. */
START_TEST(noise_is_fair)
{
    enum { N_TRY = 20000 };
    for (int has_sign = 0; has_sign < 2; has_sign++) {
        Quant8 q;
        const float x[] = {1.0f, 0.7f, 0.123f, 0.0456f, 3.21e-3f, 2.5e-5f, 0.0f};
        double mean[N_OF(x)] = {0};
        quant8_init(&q, has_sign);
        for (uint64_t noise = 1; noise <= N_TRY; noise++) {
            uint8_t code[N_OF(x)];
            float y[N_OF(x)], scale;
            quant8_pack(&q, N_OF(x), x, rng_at(1, 2, noise), code, &scale);
            quant8_unpack(&q, N_OF(x), code, &scale, y);
            for (int64_t i = 0; i < N_OF(x); i++) mean[i] += (double)y[i] / N_TRY;
            T_TRUE(y[0] == 1.0f && y[6] == 0.0f);
        }
        for (int64_t i = 0; i < N_OF(x); i++) T_NEAR(mean[i], x[i], 4e-3 * x[i] + 1e-12);
    }
}
END_TEST

/* What a step that diverged may leave: no code reads outside the table. */
START_TEST(numbers_that_are_not_finite_do_no_harm)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 0x1p-149f, -0x1p-149f, -0.0f, 0x1.fffffep127f};
    for (int has_sign = 0; has_sign < 2; has_sign++)
        for (int64_t b = 0; b < 2 * N_OF(bad); b++) {
            const uint64_t noise = b % 2 ? 77 : 0;
            const float odd = bad[b / 2];
            Quant8 q;
            uint8_t code[3];
            float x[3] = {1.0f, odd, 0.5f}, scale;
            quant8_init(&q, has_sign);
            quant8_pack(&q, 3, x, noise, code, &scale);
            quant8_unpack(&q, 3, code, &scale, x);
            T_TRUE(isfinite(odd) == isfinite(scale) || isnan(odd));
        }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {tables_are_ordered,
                            every_number_gets_the_nearest_code,
                            what_was_unpacked_packs_to_the_same_bytes,
                            every_code_packs_to_itself,
                            noise_is_fair,
                            numbers_that_are_not_finite_do_no_harm};
    return test_main("unit.quant8", tests, N_OF(tests));
}
