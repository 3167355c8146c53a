/* mpi_data.c — datasets opened by all ranks together: one answer for all, whatever one of them meets. */
#include "data/data.h"
#include "tests/test_helper.h"
#include "trainer/base/log.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Tokenizer *bytes;
static int n_dir;

/* Rank 0 writes, the others wait. */
static const char *shared_file(const char *name, const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    if (comm_rank(test_world()) == 0) T_OK(file_write_atomic(path, text, strlen(text)));
    comm_barrier(test_world());
    return path;
}

static const char *numbered_file(const char *name, int n)
{
    static char text[1 << 16];
    size_t used = 0;
    for (int i = 0; i < n; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "{\"text\": \"document %d\"}\n", i);
    return shared_file(name, text);
}

static DatasetOpts dataset(const char *path)
{
    DatasetOpts d;
    opt_set_defaults(DATASET_OPTS, &d);
    d.path = path;
    return d;
}

static PackOpts pack(int64_t T)
{
    static char dir[512];
    PackOpts p;
    snprintf(dir, sizeof dir, "%s/cache%d", test_dir(), n_dir++);
    opt_set_defaults(PACK_OPTS, &p);
    p.max_seq_length = T;
    p.cache_dir = dir;
    return p;
}

START_TEST(each_row_is_seen_once_over_all_ranks)
{
    enum { T = 16, MAX_ROW = 1024 };
    const Comm *c = test_world();
    const DatasetOpts d = dataset(numbered_file("all.jsonl", 500));
    const PackOpts p = pack(T);
    TokenSet *ts;
    Sampler *s;
    Batch *b;
    int64_t seen[MAX_ROW] = {0}, token_sum = 0, stream_sum = 0;
    T_OK(token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts));
    T_OK(batch_create(1, T, &b));
    const int64_t n_row = token_set_n_row(ts);
    T_TRUE(n_row > 300 && n_row <= MAX_ROW);
    T_OK(sampler_create(&(SamplerSpec){.seed = 1, .stream = 1, .n_set = 1, .n_row = &n_row}, &s));
    for (int64_t i = comm_rank(c); i < n_row; i += comm_size(c)) {
        const SampleId id = sampler_at(s, i);
        seen[id.row]++;
        token_set_row(ts, id.row, 0, b);
        for (int64_t t = 0; t < T; t++) token_sum += b->tokens[t] * (id.row * T + t + 1);
    }
    for (int64_t row = 0; row < n_row; row++) {
        token_set_row(ts, row, 0, b);
        for (int64_t t = 0; t < T; t++) stream_sum += b->tokens[t] * (row * T + t + 1);
    }
    comm_sum_i64(c, seen, MAX_ROW);
    comm_sum_i64(c, &token_sum, 1);
    for (int64_t row = 0; row < MAX_ROW; row++) T_EQ_I64(seen[row], row < n_row);
    T_EQ_I64(token_sum, stream_sum);
    T_TRUE(comm_same(c, rng_hash_bytes(token_set_fingerprint(ts), 64, 0) ^ (uint64_t)stream_sum));
    batch_destroy(b);
    sampler_destroy(s);
    token_set_close(ts);
}
END_TEST

START_TEST(one_rank_without_the_file_stops_all)
{
    const Comm *c = test_world();
    const char *path = numbered_file("there.jsonl", 50);
    const int64_t live = mem_live();
    for (int bad = 0; bad < comm_size(c); bad++) {
        const DatasetOpts d = dataset(comm_rank(c) == bad ? "/not/mounted/there.jsonl" : path);
        const PackOpts p = pack(16);
        TokenSet *ts;
        char who[32] = "";
        if (comm_size(c) > 1) snprintf(who, sizeof who, "rank %d: ", bad);
        const Status rc = token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts);
        T_HAS(status_message(), who);
        T_FAILS(rc, DATA, "/not/mounted/there.jsonl");
        T_TRUE(!ts);
    }
    T_EQ_I64(mem_live(), live);
}
END_TEST

START_TEST(bad_content_and_bad_cache_stop_all)
{
    const Comm *c = test_world();
    TokenSet *ts;
    DatasetOpts d = dataset(shared_file("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}\n"));
    PackOpts p = pack(4);
    T_FAILS(token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts), FORMAT,
            "bad.jsonl:2: \"text\" is a number");
    d = dataset(numbered_file("good.jsonl", 20));
    p.cache_dir = d.path; /* a file */
    T_FAILS(token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts), IO, "good.jsonl");
    p = pack(1000);
    T_FAILS(token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
            "do not fill one row of max_seq_length 1000");
    p.max_seq_length = 10;
    T_OK(
        token_set_open(c, &d, &p, bytes, SPLIT_HELD_OUT, &ts)); /* nothing held out is no failure */
    T_EQ_I64(token_set_n_row(ts), 0);
    token_set_close(ts);
}
END_TEST

START_TEST(a_damaged_shard_is_built_again_for_all)
{
    const Comm *c = test_world();
    const DatasetOpts d = dataset(numbered_file("damaged.jsonl", 100));
    const PackOpts p = pack(16);
    TokenSet *ts;
    char **names;
    int64_t n;
    for (int round = 0; round < 3; round++) {
        T_OK(token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts));
        T_EQ_I64(token_set_n_doc(ts), 100);
        token_set_close(ts);
        T_OK(dir_list(p.cache_dir, &names, &n));
        T_EQ_I64(n, 1);
        comm_barrier(c);
        if (comm_rank(c) == 0) {
            char path[1024];
            snprintf(path, sizeof path, "%s/%s", p.cache_dir, names[0]);
            T_TRUE(truncate(path, round == 0 ? 100 : 3000) == 0);
        }
        dir_list_free(names, n);
        comm_barrier(c);
    }
}
END_TEST

START_TEST(a_failure_on_any_rank_is_everybodys)
{
    const Comm *c = test_world();
    const DatasetOpts d = dataset(numbered_file("faults.jsonl", 30));
    for (int bad = 0; bad < comm_size(c); bad++)
        for (int n = 1, n_missed = 0; n_missed == 0; n += 3) {
            const PackOpts p = pack(16);
            const int64_t live = mem_live();
            TokenSet *ts;
            if (comm_rank(c) == bad) fault_arm(n, false);
            const Status rc = token_set_open(c, &d, &p, bytes, SPLIT_TRAIN, &ts);
            int64_t outcome[3] = {fault_disarm(), rc,
                                  -(int64_t)rc}; /* hit anywhere, the same code everywhere */
            comm_max_i64(c, outcome, 3);
            T_EQ_I64(outcome[1], -outcome[2]);
            T_TRUE((outcome[0] > 0) == (rc != ST_OK));
            status_clear();
            token_set_close(ts);
            T_EQ_I64(mem_live(), live);
            n_missed = outcome[0] == 0;
        }
}
END_TEST

int main(int argc, char **argv)
{
    log_set_level(LOG_ERROR);
    if (tokenizer_open("bytes", &bytes) != ST_OK) return EXIT_FAILURE;
    const TTest *t[] = {each_row_is_seen_once_over_all_ranks, one_rank_without_the_file_stops_all,
                        bad_content_and_bad_cache_stop_all, a_damaged_shard_is_built_again_for_all,
                        a_failure_on_any_rank_is_everybodys};
    const int code = test_main_mpi("mpi.data", argc, argv, t, N_OF(t));
    tokenizer_close(bytes);
    return code;
}
