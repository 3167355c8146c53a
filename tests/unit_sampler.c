/* unit_sampler.c — the order of samples: nothing twice, nothing left out, shares as declared. */
#include "data/data.h"
#include "tests/test_helper.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static Sampler *make(const SamplerSpec *spec)
{
    Sampler *s;
    T_OK(sampler_create(spec, &s));
    return s;
}

static Sampler *make_plain(uint64_t seed, uint64_t stream, int64_t n_row)
{
    return make(&(SamplerSpec){.seed = seed, .stream = stream, .n_set = 1, .n_row = &n_row});
}

START_TEST(every_row_once_an_epoch)
{
    for (int64_t n = 1; n <= 300; n++) {
        Sampler *s = make_plain(7, 1, n);
        char seen[3][300] = {{0}};
        T_EQ_I64(sampler_n_epoch_sample(s), n);
        for (int64_t i = 0; i < 3 * n; i++) {
            const SampleId id = sampler_at(s, i);
            T_EQ_I64(id.set, 0);
            T_EQ_I64(id.epoch, i / n);
            T_TRUE(id.row >= 0 && id.row < n && !seen[id.epoch][id.row]);
            seen[id.epoch][id.row] = 1;
        }
        sampler_destroy(s);
    }
}
END_TEST

START_TEST(sets_are_mixed_and_whole)
{
    const int64_t n_row[] = {70, 1, 0, 129}, n = 200;
    Sampler *s = make(&(SamplerSpec){.seed = 3, .stream = 2, .n_set = 4, .n_row = n_row});
    char seen[4][129] = {{0}};
    int64_t n_first_half = 0;
    for (int64_t i = 0; i < n; i++) {
        const SampleId id = sampler_at(s, i);
        T_TRUE(id.set >= 0 && id.set < 4 && id.row < n_row[id.set] && !seen[id.set][id.row]++);
        n_first_half += i < n / 2 && id.set == 0;
    }
    T_TRUE(n_first_half > 20 && n_first_half < 50); /* 35 expected, standard deviation 3.4 */
    sampler_destroy(s);
}
END_TEST

static int64_t n_same(const Sampler *a, const Sampler *b, int64_t from_a, int64_t from_b, int64_t n)
{
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++)
        same += sampler_at(a, from_a + i).row == sampler_at(b, from_b + i).row;
    return same;
}

START_TEST(order_depends_on_seed_stream_and_epoch_alone)
{
    const int64_t n = 1000;
    Sampler *a = make_plain(1, 1, n), *b = make_plain(1, 1, n), *seed = make_plain(2, 1, n);
    Sampler *stream = make_plain(1, 2, n);
    for (int64_t i = n - 1; i >= 0; i--) (void)sampler_at(b, 3 * i); /* whatever was asked before */
    T_EQ_I64(n_same(a, b, 0, 0, n), n);
    T_TRUE(n_same(a, seed, 0, 0, n) < 12); /* one in a thousand by chance */
    T_TRUE(n_same(a, stream, 0, 0, n) < 12);
    T_TRUE(n_same(a, a, 0, n, n) < 12);
    sampler_destroy(a);
    sampler_destroy(b);
    sampler_destroy(seed);
    sampler_destroy(stream);
}
END_TEST

/* The order is part of what a run is: another one here, and no saved run goes on as it began. */
START_TEST(order_stays_what_it_was)
{
    static const int64_t WANTED[] = {5, 79, 613, 923, 477, 307, 782, 303};
    Sampler *s = make_plain(42, 1, 1000);
    for (int64_t i = 0; i < N_OF(WANTED); i++) T_EQ_I64(sampler_at(s, i).row, WANTED[i]);
    sampler_destroy(s);
}
END_TEST

/* chi^2 of counts that should be equal, over its degrees of freedom. */
static double chi2_per_freedom(const int64_t *count, int64_t n, double expected)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += pow((double)count[i] - expected, 2) / expected;
    return sum / (double)(n - 1);
}

START_TEST(rows_fall_evenly)
{
    enum { N = 10, N_SEED = 20000 };
    int64_t at[N * N] = {0}, after[N * N] = {0};
    for (uint64_t seed = 0; seed < N_SEED; seed++) {
        Sampler *s = make_plain(seed, 1, N);
        int64_t row[N];
        for (int64_t i = 0; i < N; i++) at[i * N + (row[i] = sampler_at(s, i).row)]++;
        for (int64_t i = 1; i < N; i++) after[row[i - 1] * N + row[i]]++;
        sampler_destroy(s);
    }
    T_NEAR(chi2_per_freedom(at, N * N, N_SEED / (double)N), 0.81,
           0.5); /* rows and columns sum up: 81 of 99 free */
    int64_t pairs[N * (N - 1)], n = 0;
    for (int i = 0; i < N * N; i++)
        if (i % (N + 1) == 0)
            T_EQ_I64(after[i], 0);
        else
            pairs[n++] = after[i];
    T_NEAR(chi2_per_freedom(pairs, n, N_SEED * (N - 1.0) / (double)n), 1.0, 0.6);
}
END_TEST

START_TEST(weights_are_kept_at_any_length)
{
    const int64_t n_row[] = {50, 400, 90};
    const double weight[] = {3.0, 1.0, 0.7}, sum = 4.7;
    Sampler *s =
        make(&(SamplerSpec){.seed = 5, .stream = 1, .n_set = 3, .n_row = n_row, .weight = weight});
    int64_t count[3] = {0};
    char *seen = calloc(3 * 400 * 400, 1);
    for (int64_t i = 0; i < 10000; i++) {
        const SampleId id = sampler_at(s, i);
        T_TRUE(id.set >= 0 && id.set < 3 && id.row >= 0 && id.row < n_row[id.set]);
        T_EQ_I64(id.epoch, count[id.set]++ / n_row[id.set]);
        T_TRUE(!seen[(id.set * 400 + id.epoch) * 400 +
                     id.row]++); /* no row twice in an epoch of its set */
        T_EQ_I64(count[0], floor((double)(i + 1) * 3.0 / sum + 0.5));
        for (int k = 0; k < 3; k++)
            T_NEAR((double)count[k], (double)(i + 1) * weight[k] / sum, 1.0);
    }
    free(seen);
    sampler_destroy(s);
}
END_TEST

START_TEST(replay_takes_its_share_and_repeats_nothing)
{
    const int64_t n_row[] = {640, 360}, n_old_row[] = {0, 100, 150, 0};
    for (uint64_t seed = 0; seed < 20; seed++) {
        Sampler *s = make(&(SamplerSpec){.seed = seed,
                                         .stream = 3,
                                         .n_set = 2,
                                         .n_row = n_row,
                                         .n_old = 4,
                                         .n_old_row = n_old_row,
                                         .replay = 0.25});
        char seen[6][640] = {{0}};
        int64_t n_old = 0;
        T_EQ_I64(sampler_n_epoch_sample(s), 1000);
        for (int64_t i = 0; i < 1000; i++) {
            const SampleId id = sampler_at(s, i);
            T_TRUE(id.set >= 0 && id.set < 6 && !seen[id.set][id.row]++);
            T_TRUE(id.row < (id.set < 2 ? n_row[id.set] : n_old_row[id.set - 2]));
            T_EQ_I64(id.epoch, 0);
            n_old += id.set >= 2;
            T_EQ_I64(n_old, (i + 3) / 4);
        }
        T_EQ_I64(n_old, 250);
        sampler_destroy(s);
    }
    /* Without replay the older sets change nothing. */
    Sampler *with =
        make(&(SamplerSpec){.n_set = 2, .n_row = n_row, .n_old = 4, .n_old_row = n_old_row});
    Sampler *without = make(&(SamplerSpec){.n_set = 2, .n_row = n_row});
    T_EQ_I64(n_same(with, without, 0, 0, 1000), 1000);
    sampler_destroy(with);
    sampler_destroy(without);
}
END_TEST

START_TEST(replay_and_weights_go_together)
{
    const int64_t n_row[] = {500, 500}, n_old_row[] = {2000};
    const double weight[] = {1.0, 3.0};
    Sampler *s = make(&(SamplerSpec){.seed = 9,
                                     .stream = 3,
                                     .n_set = 2,
                                     .n_row = n_row,
                                     .weight = weight,
                                     .n_old = 1,
                                     .n_old_row = n_old_row,
                                     .replay = 0.5});
    int64_t count[3] = {0};
    for (int64_t i = 0; i < 6400; i++) count[sampler_at(s, i).set]++;
    T_EQ_I64(count[2], 3200);
    T_EQ_I64(count[0], 800);
    T_EQ_I64(count[1], 2400);
    sampler_destroy(s);
}
END_TEST

START_TEST(far_samples_cost_no_more)
{
    const int64_t n = (int64_t)1 << 40;
    Sampler *s = make_plain(1, 1, n);
    int64_t last = -1;
    for (int64_t i = 0; i < 1000; i++) {
        const SampleId id = sampler_at(s, n / 3 + i * 12345);
        T_TRUE(id.row >= 0 && id.row < n && id.row != last);
        last = id.row;
    }
    T_EQ_I64(sampler_at(s, 5 * n + 3).epoch, 5);
    sampler_destroy(s);
}
END_TEST

START_TEST(refuses_what_cannot_be_drawn)
{
    const int64_t none[] = {0, 0}, some[] = {100, 50}, minus[] = {5, -1},
                  huge[] = {INT64_MAX / 5, INT64_MAX / 5};
    const double bad[] = {1.0, 0.0}, nan_weight[] = {NAN, 1.0}, good[] = {1.0, 1.0};
    Sampler *s;
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 0}, &s), CONFIG, "no dataset");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = none}, &s), CONFIG,
            "no row in 2 datasets");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = minus}, &s), CONFIG,
            "set 1 has -1 rows");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = huge}, &s), CONFIG, "set 1 has");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = some, .weight = bad}, &s), CONFIG,
            "set 1 has weight 0");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = some, .weight = nan_weight}, &s),
            CONFIG, "set 0 has weight nan");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = none, .weight = good}, &s), CONFIG,
            "no row");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = some, .replay = 1.0}, &s), CONFIG,
            "replay 1");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = some, .replay = -0.1}, &s), CONFIG,
            "replay -0.1");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = some, .replay = (double)NAN}, &s),
            CONFIG, "replay nan");
    T_FAILS(sampler_create(&(SamplerSpec){.n_set = 2, .n_row = some, .replay = 0.5}, &s), CONFIG,
            "there are 0");
    const int64_t few[] = {70};
    T_FAILS(
        sampler_create(
            &(SamplerSpec){.n_set = 2, .n_row = some, .n_old = 1, .n_old_row = few, .replay = 0.64},
            &s),
        CONFIG, "replay 0.64 of 150 samples takes 96 older rows, there are 70");
}
END_TEST

START_TEST(failed_allocations_leave_nothing)
{
    const int64_t n_row[] = {100, 50}, n_old_row[] = {80};
    const double weight[] = {1.0, 2.0};
    const SamplerSpec spec = {.n_set = 2,
                              .n_row = n_row,
                              .weight = weight,
                              .n_old = 1,
                              .n_old_row = n_old_row,
                              .replay = 0.1};
    for (int n = 1;; n++) {
        const int64_t live = mem_live();
        Sampler *s;
        fault_arm(n, false);
        const Status rc = sampler_create(&spec, &s);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc == ST_NOMEM) && hit == !s);
        status_clear();
        sampler_destroy(s);
        T_EQ_I64(mem_live(), live);
        T_TRUE(hit || n == 5);
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {every_row_once_an_epoch,
                        sets_are_mixed_and_whole,
                        order_depends_on_seed_stream_and_epoch_alone,
                        order_stays_what_it_was,
                        rows_fall_evenly,
                        weights_are_kept_at_any_length,
                        replay_takes_its_share_and_repeats_nothing,
                        replay_and_weights_go_together,
                        far_samples_cost_no_more,
                        refuses_what_cannot_be_drawn,
                        failed_allocations_leave_nothing};
    return test_main("unit.sampler", t, N_OF(t));
}
