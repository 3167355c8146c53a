/* unit_base.c — status, memory, random numbers, options. */
#include "tests/test_helper.h"
#include "trainer/base/opt.h"
#include "trainer/base/rng.h"
#include "trainer/base/stop.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static Status fails_below(int depth)
{
    Status rc = ST_OK;
    CHECK(depth > 0, FORMAT, "depth is %d", depth);
    TRY(fails_below(depth - 1));
out:
    return rc;
}

START_TEST(first_failure_keeps_message_and_trail)
{
    T_EQ_I64(fails_below(2), ST_FORMAT);
    T_EQ_STR(status_message(), "depth is 0");
    T_TRUE(strstr(status_trail(), " < ") != NULL);
    T_EQ_I64(status_fail(ST_IO, "x.c", 1, "later"), ST_IO);
    T_EQ_STR(status_message(), "depth is 0");
    T_EQ_I64(status_exit_code(ST_FORMAT), 65);
    status_clear();
    T_EQ_STR(status_message(), "");
}
END_TEST

START_TEST(memory_is_zeroed_aligned_and_counted)
{
    const int64_t live = mem_live(), bytes = mem_live_bytes();
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, (size_t)1 << 20, ((size_t)3 << 20) + 7};
    for (int64_t i = 0; i < N_OF(sizes); i++) {
        unsigned char *p = mem_alloc(sizes[i]);
        T_TRUE(p != NULL);
        T_EQ_I64((uintptr_t)p % 64, 0);
        for (size_t j = 0; j < sizes[i]; j += 61)
            if (p[j] != 0) ck_abort_msg("byte %zu of %zu is not zero", j, sizes[i]);
        if (sizes[i]) p[sizes[i] - 1] = 1;
        T_EQ_I64(mem_live(), live + 1);
        mem_free(p);
    }
    T_EQ_I64(mem_live(), live);
    T_EQ_I64(mem_live_bytes(), bytes);
    T_TRUE(mem_array(INT64_MAX / 4, 16) == NULL);
    T_TRUE(mem_array(-1, 16) == NULL);
}
END_TEST

START_TEST(fault_hits_the_nth_call_once_or_for_good)
{
    for (int stays = 0; stays < 2; stays++) {
        fault_arm(2, stays);
        void *a = mem_alloc(1), *b = mem_alloc(1), *c = mem_alloc(1);
        T_TRUE(fault_disarm());
        T_TRUE(a && !b);
        T_TRUE(stays ? !c : c != NULL);
        mem_free(a);
        mem_free(c);
    }
    fault_arm(5, false);
    mem_free(mem_alloc(1));
    T_TRUE(!fault_disarm());
}
END_TEST

/* Threads that pass places at one time must not step over the one to be broken. */
START_TEST(fault_hits_once_among_threads)
{
    enum { N_CALL = 4000 };
    for (int round = 0; round < 200; round++) {
        int n_failed = 0;
        fault_arm(N_CALL / 2, false);
#pragma omp parallel for num_threads(4) reduction(+ : n_failed) schedule(static)
        for (int i = 0; i < N_CALL; i++) n_failed += fault_here();
        T_TRUE(fault_disarm());
        T_EQ_I64(n_failed, 1);
        T_EQ_I64(fault_passed(), N_CALL / 2 - 1);
    }
}
END_TEST

static int64_t busy(void)
{
    int64_t n = 0;
#pragma omp parallel for num_threads(4) reduction(+ : n)
    for (int i = 0; i < 1000000; i++) n += i % 3;
    return n;
}

/* Nothing runs when it comes, in no thread; it is there when somebody asks. */
START_TEST(a_request_to_stop_waits)
{
    busy();
    T_TRUE(!stop_requested());
    T_EQ_I64(raise(SIGUSR1), 0);
    T_EQ_I64(kill(getpid(), SIGTERM), 0);
    busy();
    T_TRUE(stop_requested());
    sigset_t pending;
    T_EQ_I64(sigpending(&pending), 0);
    T_TRUE(!sigismember(&pending, SIGUSR1) && !sigismember(&pending, SIGTERM));
    T_TRUE(stop_requested());
}
END_TEST

START_TEST(philox_gives_the_published_numbers)
{
    /* Random123, kat_vectors, philox4x32 10: all zero, all ones, digits of pi. */
    T_TRUE(rng_at(0, 0, 0) == 0xe169c58d6627e8d5u);
    T_TRUE(rng_at(UINT64_MAX, UINT64_MAX, UINT64_MAX) == 0x41c83b0e408f276du);
    T_TRUE(rng_at(0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u) ==
           0x94fdccebd16cfe09u);
    uint64_t x[40];
    for (uint64_t n = 0; n <= N_OF(x); n += 13) {
        rng_fill(7, 1, UINT32_MAX - 20, n, x);
        for (uint64_t i = 0; i < n; i++) T_TRUE(x[i] == rng_at(7, 1, UINT32_MAX - 20 + i));
    }
}
END_TEST

START_TEST(random_numbers_have_the_right_moments)
{
    Rng r;
    rng_init(&r, 7, 1);
    double sum = 0, squares = 0, uniform = 0;
    int64_t hits[7] = {0};
    enum { N = 100000 };
    for (int i = 0; i < N; i++) {
        const double x = rng_normal(&r);
        sum += x;
        squares += x * x;
        uniform += rng_uniform(&r);
        hits[rng_below(&r, 7)]++;
    }
    T_NEAR(sum / N, 0, 0.02);
    T_NEAR(squares / N, 1, 0.03);
    T_NEAR(uniform / N, 0.5, 0.005);
    for (int i = 0; i < 7; i++) T_NEAR((double)hits[i] / N, 1.0 / 7, 0.005);
}
END_TEST

START_TEST(byte_hash_sees_every_byte_and_the_length)
{
    char text[40] = "the quick brown fox jumps over the dog";
    const uint64_t h = rng_hash_bytes(text, 38, 1);
    for (int i = 0; i < 38; i++) {
        text[i] ^= 1;
        T_TRUE(rng_hash_bytes(text, 38, 1) != h);
        text[i] ^= 1;
    }
    T_TRUE(rng_hash_bytes(text, 37, 1) != h);
    T_TRUE(rng_hash_bytes(text, 39, 1) != h);
    T_TRUE(rng_hash_bytes(text, 38, 2) != h);
}
END_TEST

typedef struct Sample {
    int64_t steps, tokens;
    double rate;
    bool on;
    const char *path, *shape, *names, *sinks;
} Sample;
// clang-format off
static const OptSpec SAMPLE_OPTS[] = {
    OPT_I64(Sample, steps, 3, 1, 10, "steps"),
    OPT_COUNT(Sample, tokens, 1000, 0, 1e12, "tokens"),
    OPT_F64(Sample, rate, 0.5, 0, 1, "rate"),
    OPT_BOOL(Sample, on, true, "on"),
    OPT_STR(Sample, path, NULL, "path"),
    OPT_ENUM(Sample, shape, "cosine", "cosine|linear|sqrt", "shape"),
    OPT_LIST(Sample, names, NULL, "names"),
    OPT_WORDS(Sample, sinks, "file\nscreen", "file|screen|none", "sinks"),
    OPT_END
};
// clang-format on

START_TEST(options_read_and_print_their_values)
{
    static const struct {
        const char *key, *text, *printed;
    } GOOD[] = {{"steps", "10", "10"},
                {"steps", "1e1", "10"},
                {"tokens", "4k", "4000"},
                {"tokens", "2M", "2000000"},
                {"tokens", "1.5B", "1500000000"},
                {"tokens", "1_000", "1000"},
                {"tokens", "1.1k", "1100"},
                {"rate", "1e-5", "1e-05"},
                {"rate", "0.1", "0.1"},
                {"on", "false", "false"},
                {"path", "no", "no"},
                {"shape", "sqrt", "sqrt"},
                {"names", "a|b,c", "a|b,c"},
                {"sinks", "none", "none"}};
    Sample s;
    char buf[64];
    opt_set_defaults(SAMPLE_OPTS, &s);
    T_EQ_I64(s.steps, 3);
    T_TRUE(s.on && !s.path && !strcmp(s.shape, "cosine"));
    for (int64_t i = 0; i < N_OF(GOOD); i++) {
        const OptSpec *o = opt_find(SAMPLE_OPTS, GOOD[i].key);
        T_OK(opt_set(o, &s, GOOD[i].text, false));
        opt_print(o, &s, buf, sizeof buf);
        T_EQ_STR(buf, GOOD[i].printed);
    }
    T_TRUE(opt_find(SAMPLE_OPTS, "stepz") == NULL);
}
END_TEST

START_TEST(lists_are_walked_item_by_item)
{
    static const char *const ITEM[] = {"q_proj", ".*\\.up", "x"};
    Sample s;
    int64_t n = 0;
    opt_set_defaults(SAMPLE_OPTS, &s);
    for (OptItem i = {0}; opt_next(s.names, &i);) n++;
    T_EQ_I64(n, 0);
    T_TRUE(opt_list_has(s.sinks, "screen") && !opt_list_has(s.sinks, "scree"));
    T_TRUE(!opt_list_has(s.sinks, "none") && !opt_list_has(s.names, "q_proj"));
    T_OK(opt_set(opt_find(SAMPLE_OPTS, "names"), &s, "q_proj\n.*\\.up\nx", true));
    for (OptItem i = {0}; opt_next(s.names, &i); n++) {
        T_EQ_I64(i.index, n);
        T_EQ_I64(i.n, strlen(ITEM[n]));
        T_TRUE(strncmp(i.text, ITEM[n], (size_t)i.n) == 0);
    }
    T_EQ_I64(n, N_OF(ITEM));
}
END_TEST

START_TEST(options_refuse_what_does_not_fit)
{
    static const struct {
        const char *key, *text;
        bool quoted;
        const char *part;
    } BAD[] = {{"steps", "11", false, "outside 1 .. 10"},
               {"steps", "1.5", false, "no whole number"},
               {"steps", "ten", false, "no number"},
               {"steps", "", false, "no number"},
               {"steps", "0x4", false, "no number"},
               {"steps", "1__0", false, "no number"},
               {"steps", "_1", false, "no number"},
               {"rate", "nan", false, "no number"},
               {"rate", "inf", false, "no number"},
               {"rate", "1e999", false, "out of range"},
               {"rate", "1e-5", true, "remove the quotes"},
               {"tokens", "4q", false, "no number"},
               {"tokens", "1.0005k", false, "no whole"},
               {"tokens", "k", false, "no number"},
               {"on", "yes", false, "expected true or false"},
               {"on", "True", false, "expected true"},
               {"shape", "cos", false, "one of"},
               {"shape", "cosine|linear", false, "one of"},
               {"shape", "", false, "one of"},
               {"names", "a\n\nb", false, "empty text"},
               {"names", "", false, "empty text"},
               {"names", "ab\na\nab", false, "ab a second time"},
               {"sinks", "file\nfil", false, "found fil, expected a list of file|screen|none"},
               {"sinks", "file|screen", false, "found file|screen, expected"}};
    Sample s;
    opt_set_defaults(SAMPLE_OPTS, &s);
    for (int64_t i = 0; i < N_OF(BAD); i++)
        T_FAILS(opt_set(opt_find(SAMPLE_OPTS, BAD[i].key), &s, BAD[i].text, BAD[i].quoted), CONFIG,
                BAD[i].part);
    T_EQ_I64(s.steps, 3);
}
END_TEST

START_TEST(edit_distance_counts_edits)
{
    T_EQ_I64(opt_edit_distance("kitten", "sitting"), 3);
    T_EQ_I64(opt_edit_distance("", "abc"), 3);
    T_EQ_I64(opt_edit_distance("seed", "seed"), 0);
}
END_TEST

int main(void)
{
    const TTest *t[] = {first_failure_keeps_message_and_trail,
                        memory_is_zeroed_aligned_and_counted,
                        fault_hits_the_nth_call_once_or_for_good,
                        fault_hits_once_among_threads,
                        a_request_to_stop_waits,
                        philox_gives_the_published_numbers,
                        random_numbers_have_the_right_moments,
                        byte_hash_sees_every_byte_and_the_length,
                        options_read_and_print_their_values,
                        options_refuse_what_does_not_fit,
                        lists_are_walked_item_by_item,
                        edit_distance_counts_edits};
    stop_hold(); /* before there are threads */
    return test_main("unit.base", t, N_OF(t));
}
