/* unit_dtype.c — two-byte numbers widened and rounded. */
#include "tests/test_helper.h"
#include "trainer/tensor/dtype.h"
#include <math.h>
#include <string.h>

enum { N_HALF = 1 << 16 };

START_TEST(every_number_of_two_bytes_comes_back)
{
    static uint16_t half[N_HALF], again[N_HALF];
    static real wide[N_HALF];
    const Dtype type[] = {DT_BF16, DT_F16};
    for (int i = 0; i < N_HALF; i++) half[i] = (uint16_t)i;
    for (int64_t t = 0; t < N_OF(type); t++) {
        dtype_widen(type[t], half, N_HALF, wide);
        T_TRUE(dtype_narrow(wide, N_HALF, type[t], again));
        for (int i = 0; i < N_HALF; i++) {
            real back;
            dtype_widen(type[t], &again[i], 1, &back);
            T_TRUE(isnan(wide[i]) ? isnan(back) : again[i] == half[i]);
        }
    }
}
END_TEST

static real rounded(real x, Dtype t)
{
    uint16_t half;
    real back;
    T_TRUE(dtype_narrow(&x, 1, t, &half));
    dtype_widen(t, &half, 1, &back);
    return back;
}

START_TEST(the_nearest_is_taken_and_of_two_the_even_one)
{
    const real b = (real)ldexp(1, -7), f = (real)ldexp(1, -10); /* steps after 1 */
    const struct {
        Dtype t;
        real step;
    } row[] = {{DT_BF16, b}, {DT_F16, f}};
    for (int64_t i = 0; i < N_OF(row); i++) {
        const real s = row[i].step;
        T_TRUE(rounded(1 + (real)0.5 * s, row[i].t) == 1);
        T_TRUE(rounded(1 + (real)1.5 * s, row[i].t) == 1 + 2 * s);
        T_TRUE(rounded(1 + (real)0.501 * s, row[i].t) == 1 + s);
        T_TRUE(rounded(-1 - (real)0.499 * s, row[i].t) == -1);
    }
}
END_TEST

START_TEST(what_is_too_large_is_told)
{
    uint16_t y[2];
    float z[2];
    const real large[] = {1, 65520}, last[] = {65519, -65504}, infinite[] = {INFINITY, NAN},
               huge[] = {1, (real)3.4e38};
    T_TRUE(!dtype_narrow(large, 2, DT_F16, y));
    T_TRUE(dtype_narrow(last, 2, DT_F16, y));
    T_TRUE(dtype_narrow(infinite, 2, DT_F16, y)); /* they were before */
    T_TRUE(!dtype_narrow(huge, 2, DT_BF16, y));
    T_TRUE(dtype_narrow(huge, 2, DT_F32, z));
    T_TRUE(z[1] == (float)3.4e38);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_number_of_two_bytes_comes_back,
                            the_nearest_is_taken_and_of_two_the_even_one,
                            what_is_too_large_is_told};
    return test_main("unit.dtype", tests, N_OF(tests));
}
