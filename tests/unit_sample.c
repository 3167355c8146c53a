/* unit_sample.c — the next token: frequencies are probabilities, cuts are where they should be. */
#include "tests/test_helper.h"
#include "trainer/run/sample.h"
#include <math.h>
#include <string.h>

enum { N = 5, N_DRAW = 20000 };
static const real LOGITS[N] = {1.0f, 3.0f, -2.0f, 2.5f, 0.0f};

/* Counts over evenly spaced u: exact up to one draw for each candidate. */
static void draw_all(const SampleOpts *o, const real *logits, int64_t count[N])
{
    SampleCandidate room[N];
    memset(count, 0, N * sizeof *count);
    for (int i = 0; i < N_DRAW; i++) {
        const int32_t id = sample_token(o, logits, N, (i + 0.5) / N_DRAW, room);
        ck_assert_msg(id >= 0 && id < N, "id %d", id);
        count[id]++;
    }
}

/* p: probabilities up to a factor. */
static void expect_shares(const int64_t count[N], const double p[N])
{
    double sum = 0;
    for (int i = 0; i < N; i++) sum += p[i];
    for (int i = 0; i < N; i++) T_NEAR((double)count[i] / N_DRAW, p[i] / sum, 2.0 / N_DRAW);
}

START_TEST(greedy_takes_the_largest_and_the_first_of_equals)
{
    const SampleOpts greedy = {0, 1, 0.5};
    T_EQ_I64(sample_token(&greedy, LOGITS, N, 0.99, NULL), 1);
    const real equal[N] = {-1, 2, 2, 1, 2};
    T_EQ_I64(sample_token(&greedy, equal, N, 0.99, NULL), 1);
    const real low[N] = {-INFINITY, -INFINITY, -1e30f, -INFINITY, -INFINITY};
    T_EQ_I64(sample_token(&greedy, low, N, 0, NULL), 2);
}
END_TEST

START_TEST(frequencies_are_those_of_the_softmax)
{
    for (double temperature = 0.5; temperature < 3; temperature *= 2) {
        const SampleOpts o = {temperature, 0, 1};
        int64_t count[N];
        double p[N];
        for (int i = 0; i < N; i++) p[i] = exp(LOGITS[i] / temperature);
        draw_all(&o, LOGITS, count);
        expect_shares(count, p);
    }
}
END_TEST

START_TEST(top_k_keeps_the_k_largest)
{
    int64_t count[N];
    for (int64_t k = 1; k <= N + 2; k++) {
        const SampleOpts o = {1, k, 1};
        double p[N] = {0};
        const int by_size[N] = {1, 3, 0, 4, 2};
        for (int64_t i = 0; i < (k < N ? k : N); i++) p[by_size[i]] = exp(LOGITS[by_size[i]]);
        draw_all(&o, LOGITS, count);
        expect_shares(count, p);
    }
}
END_TEST

/* Shares of LOGITS in order of size: .564 .342 .076 .028 ...: .6 takes two, .91 three. */
START_TEST(top_p_keeps_the_fewest_that_reach_it)
{
    int64_t count[N];
    const double tiny[N] = {0, 1, 0, 0, 0}, two[N] = {0, exp(3), 0, exp(2.5), 0},
                 three[N] = {exp(1), exp(3), 0, exp(2.5), 0};
    draw_all(&(SampleOpts){1, 0, 1e-9}, LOGITS, count);
    expect_shares(count, tiny);
    draw_all(&(SampleOpts){1, 0, 0.6}, LOGITS, count);
    expect_shares(count, two);
    draw_all(&(SampleOpts){1, 0, 0.91}, LOGITS, count);
    expect_shares(count, three);
    draw_all(&(SampleOpts){1, 2, 0.99}, LOGITS,
             count); /* both cuts: the share is of what top_k left */
    expect_shares(count, two);
    draw_all(&(SampleOpts){1, 2, 0.6}, LOGITS, count); /* .62 of the two: the first is enough */
    expect_shares(count, tiny);
}
END_TEST

START_TEST(what_is_impossible_is_never_drawn)
{
    SampleCandidate room[N];
    const SampleOpts o = {1, 0, 1};
    const real some[N] = {-INFINITY, 0, -INFINITY, 0, -INFINITY};
    for (double u = 0; u < 1; u += 1.0 / 64) T_EQ_I64(sample_token(&o, some, N, u, room) % 2, 1);
    T_EQ_I64(sample_token(&o, some, N, nextafter(1, 0), room), 3);
    const real huge[N] = {3e38f, -3e38f, 3e38f, 0, 1};
    const SampleOpts cold = {1e-6, 0, 1};
    T_EQ_I64(sample_token(&cold, huge, N, 0.25, room), 0);
    T_EQ_I64(sample_token(&cold, huge, N, 0.75, room), 2);
}
END_TEST

START_TEST(broken_logits_give_no_token)
{
    SampleCandidate room[N];
    for (int temperature = 0; temperature < 2; temperature++) {
        const SampleOpts o = {temperature, 0, 1};
        for (int i = 0; i < N; i++) {
            real bad[N];
            memcpy(bad, LOGITS, sizeof bad);
            bad[i] = NAN;
            T_EQ_I64(sample_token(&o, bad, N, 0.5, room), -1);
            bad[i] = INFINITY;
            T_EQ_I64(sample_token(&o, bad, N, 0.5, room), -1);
        }
        const real none[N] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
        T_EQ_I64(sample_token(&o, none, N, 0.5, room), -1);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {greedy_takes_the_largest_and_the_first_of_equals,
                            frequencies_are_those_of_the_softmax,
                            top_k_keeps_the_k_largest,
                            top_p_keeps_the_fewest_that_reach_it,
                            what_is_impossible_is_never_drawn,
                            broken_logits_give_no_token};
    return test_main("unit.sample", tests, N_OF(tests));
}
