/* unit_shard.c — token shards and the folder they share: found, damaged, evicted, built at once. */
#include "tests/data_fixture.h"
#include "trainer/base/log.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static int64_t count_files(const char *dir, const char *part)
{
    char **names;
    int64_t n, count = 0;
    T_OK(dir_list(dir, &names, &n));
    for (int64_t i = 0; i < n; i++) count += strstr(names[i], part) != NULL;
    dir_list_free(names, n);
    return count;
}

START_TEST(wide_and_long_streams_come_back)
{
    static const int WIDTH[] = {1, 2, 4};
    for (int k = 0; k < 3; k++) {
        const int width = WIDTH[k];
        const int64_t n = width == 1 ? (1 << 24) + 12345 : 70000; /* more than one piece, once */
        Shard *shard = mem_alloc(sizeof *shard);
        for (int i = 0; i < N_SPLIT; i++) {
            TokenStream *s = &shard->split[i];
            *s = (TokenStream){.width = width, .n_token = i ? 0 : n, .n_doc = i ? 0 : 2};
            s->tokens = mem_array(s->n_token, (size_t)width);
            s->doc_end = mem_array(2, sizeof *s->doc_end);
            for (int64_t j = 0; j < s->n_token * width; j++)
                ((uint8_t *)s->tokens)[j] = (uint8_t)(rng_at(1, 1, (uint64_t)j / 8) >> j % 8 * 8);
            if (width == 4)
                for (int64_t j = 0; j < s->n_token; j++) ((int32_t *)s->tokens)[j] &= 0x7fffffff;
            s->doc_end[0] = 3;
            s->doc_end[1] = n;
            strcpy(s->fingerprint, tokenizer_hash(bytes));
        }
        shard->n_empty = 17;
        char path[512], digest[SHA256_HEX];
        snprintf(path, sizeof path, "%s/width%d.h5", test_dir(), width);
        T_OK(shard_write(shard, path, digest));
        for (Split i = 0; i < N_SPLIT; i++) {
            TokenStream s;
            int64_t n_empty;
            T_OK(shard_read(path, digest, i, &s, &n_empty));
            T_EQ_I64(n_empty, 17);
            T_EQ_I64(s.n_token, shard->split[i].n_token);
            T_EQ_I64(s.width, width);
            T_TRUE(memcmp(s.tokens, shard->split[i].tokens, (size_t)(s.n_token * width)) == 0);
            T_TRUE(memcmp(s.doc_end, shard->split[i].doc_end, (size_t)s.n_doc * 8) == 0);
            T_EQ_STR(s.fingerprint, tokenizer_hash(bytes));
            stream_fini(&s);
        }
        shard_destroy(shard);
    }
}
END_TEST

START_TEST(a_cached_shard_is_found_by_content)
{
    PackOpts p = pack(8);
    DatasetOpts d = dataset(write_docs()),
                copy = dataset(write_text("copy.jsonl", "{\"text\": \"first version\"}\n"));
    ShardLease a, b;
    T_OK(shard_cache_acquire(&d, &p, bytes, false, &a));
    T_TRUE(a.built);
    T_OK(shard_cache_acquire(&d, &p, bytes, false, &b));
    T_TRUE(!b.built);
    T_EQ_STR(a.name, b.name);
    shard_cache_release(&b);

    T_OK(shard_cache_acquire(&copy, &p, bytes, false, &b)); /* another text */
    T_TRUE(b.built && strcmp(a.name, b.name) != 0);
    shard_cache_release(&b);
    char *text;
    size_t n;
    T_OK(file_read_all(d.path, 1 << 20, &text, &n));
    copy.path = write_n("copy.jsonl", text, n); /* now the same text under another name */
    T_OK(shard_cache_acquire(&copy, &p, bytes, false, &b));
    T_TRUE(!b.built);
    shard_cache_release(&b);
    mem_free(text);

    p.max_seq_length = 16; /* rows are cut when a shard is read */
    T_OK(shard_cache_acquire(&d, &p, bytes, false, &b));
    T_TRUE(!b.built);
    shard_cache_release(&b);
    p.val_size = 0.5;
    T_OK(shard_cache_acquire(&d, &p, bytes, false, &b));
    T_TRUE(b.built);
    shard_cache_release(&b);
    T_EQ_I64(count_files(p.cache_dir, ".h5"), 3);

    /* By key alone, as the other ranks of a node do it; the key is the same in every folder. */
    char key[SHA256_HEX], key_there[SHA256_HEX];
    T_OK(shard_cache_find(&p, shard_name_key(a.name, key), &b));
    T_EQ_STR(a.name, b.name);
    shard_cache_release(&b);
    PackOpts there = p;
    there.val_size = 0.0;
    there.cache_dir = test_dir();
    T_FAILS(shard_cache_find(&there, key, &b), DATA, "is not there");
    T_OK(shard_cache_acquire(&d, &there, bytes, false, &b));
    T_TRUE(b.built);
    T_EQ_STR(shard_name_key(b.name, key_there), key);
    shard_cache_release(&b);
    shard_cache_release(&a);
    T_EQ_I64(count_files(p.cache_dir, "tmp"), 0);
}
END_TEST

static void cached_path(const PackOpts *p, const DatasetOpts *d, char *path)
{
    ShardLease lease;
    T_OK(shard_cache_acquire(d, p, bytes, false, &lease));
    snprintf(path, 512, "%s/%s", p->cache_dir, lease.name);
    shard_cache_release(&lease);
}

START_TEST(a_damaged_shard_is_built_again)
{
    const PackOpts p = pack(8);
    const DatasetOpts d = dataset(write_docs());
    char path[512], *good, fingerprint[SHA256_HEX] = "", now[SHA256_HEX], digest[SHA256_HEX];
    size_t n;
    int64_t n_now;
    cached_path(&p, &d, path);
    T_OK(file_read_all(path, 1 << 24, &good, &n));
    enum { FLIP = 40, SHORT, EMPTY, GARBAGE, SIBLING, N_DAMAGE };
    for (int k = 0; k < N_DAMAGE; k++) {
        char *bad = malloc(n + 1), other[512];
        memcpy(bad, good, n);
        if (k < FLIP) bad[(n - 1) * (size_t)k / (FLIP - 1)] ^= 0x10;
        if (k == GARBAGE) memset(bad, 'x', n);
        FILE *f;
        if (k == SIBLING) { /* a whole file of the same key that is not what its name says */
            strcpy(other, path);
            memset(other + strlen(other) - 3 - 64, '0', 64);
            f = fopen(other, "wb");
        } else {
            f = fopen(path, "wb");
        }
        const size_t n_bad = k == SHORT ? n - 1 : k == EMPTY ? 0 : n;
        T_TRUE(f && fwrite(bad, 1, n_bad, f) == n_bad && fclose(f) == 0);
        free(bad);

        TokenSet *ts;
        T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
        T_EQ_I64(token_set_n_doc(ts), N_OF(DOCS));
        T_TRUE(!fingerprint[0] || strcmp(fingerprint, token_set_fingerprint(ts)) == 0);
        strcpy(fingerprint, token_set_fingerprint(ts));
        token_set_close(ts);
        ShardLease lease; /* one file is left, and it is good */
        T_EQ_I64(count_files(p.cache_dir, ".h5"), 1);
        T_OK(shard_cache_acquire(&d, &p, bytes, false, &lease));
        T_TRUE(!lease.built);
        snprintf(path, sizeof path, "%s/%s", p.cache_dir, lease.name);
        shard_cache_release(&lease);
        T_OK(sha256_file(path, now, &n_now));
        T_EQ_STR(now, shard_name_digest(lease.name, digest));
    }
    mem_free(good);
}
END_TEST

START_TEST(the_cache_stays_in_its_bounds)
{
    PackOpts p = pack(8);
    enum { N = 6 };
    char path[N][512];
    struct stat st;
    int64_t n_bytes = 0;
    for (int i = 0; i < N; i++) {
        char text[64], name[64];
        snprintf(text, sizeof text, "text number %d", i);
        snprintf(name, sizeof name, "evict%d.txt", i);
        const DatasetOpts d = dataset(write_text(name, text));
        cached_path(&p, &d, path[i]);
        const struct timespec used[2] = {{1000 + (i + 3) % N, 0},
                                         {1000 + (i + 3) % N, 0}}; /* 3 is the oldest */
        T_TRUE(utimensat(AT_FDCWD, path[i], used, 0) == 0);
        T_TRUE(stat(path[i], &st) == 0);
        n_bytes = st.st_size;
    }
    char young[512], old[512], foreign[512];
    snprintf(young, sizeof young, "%s/tmp-host-1-1.h5", p.cache_dir);
    snprintf(old, sizeof old, "%s/tmp-host-2-2.h5", p.cache_dir);
    snprintf(foreign, sizeof foreign, "%s/notes.h5", p.cache_dir);
    T_TRUE(mknod(young, S_IFREG | 0600, 0) == 0 && mknod(old, S_IFREG | 0600, 0) == 0 &&
           mknod(foreign, S_IFREG | 0600, 0) == 0);
    const struct timespec long_ago[2] = {{1000, 0}, {1000, 0}};
    T_TRUE(utimensat(AT_FDCWD, old, long_ago, 0) == 0);

    /* The oldest is in use; so the next two go when two are too many. */
    const DatasetOpts held = dataset(write_text("evict3.txt", "text number 3"));
    ShardLease lease;
    T_OK(shard_cache_acquire(&held, &p, bytes, false, &lease));
    T_TRUE(!lease.built);
    T_TRUE(utimensat(AT_FDCWD, path[3], long_ago, 0) == 0);
    T_OK(shard_cache_evict(p.cache_dir, 4 * n_bytes + 1));
    for (int i = 0; i < N; i++) T_TRUE(path_exists(path[i]) == (i != 4 && i != 5));
    T_TRUE(path_exists(young) && !path_exists(old) && path_exists(foreign));
    shard_cache_release(&lease);
    T_OK(shard_cache_evict(p.cache_dir, 4 * n_bytes));
    T_TRUE(path_exists(path[3]));
    T_OK(shard_cache_evict(p.cache_dir, 4 * n_bytes - 1));
    T_TRUE(!path_exists(path[3]));

    /* A new shard makes room by itself, and use makes young. */
    p.cache_limit_bytes = 3 * n_bytes;
    const DatasetOpts again = dataset(write_text("evict0.txt", "text number 0")),
                      fresh = dataset(write_text("evict9.txt", "text number 9"));
    cached_path(&p, &again, path[0]); /* was the oldest */
    cached_path(&p, &fresh, path[4]);
    for (int i = 0; i < 5; i++) T_TRUE(path_exists(path[i]) == (i != 1 && i != 3));
    p.cache_limit_bytes = 1; /* what is needed stays */
    const DatasetOpts last = dataset(write_text("evict8.txt", "text number 8"));
    cached_path(&p, &last, path[5]);
    T_TRUE(path_exists(path[5]));
    T_EQ_I64(count_files(p.cache_dir, "-"), 2); /* it, and the young temporary file */
}
END_TEST

START_TEST(concurrent_jobs_share_the_cache)
{
    enum { N_JOB = 6 };
    PackOpts p = pack(64);
    p.cache_limit_bytes = 1; /* each also evicts whatever it may */
    char path[2][512];
    write_numbers("job0.jsonl", 2000, path[0]);
    write_numbers("job1.jsonl", 2100, path[1]);
    pid_t pid[N_JOB];
    for (int k = 0; k < N_JOB; k++) {
        if ((pid[k] = fork()) != 0) continue;
        for (int i = 0; i < 10; i++) {
            const DatasetOpts d = dataset(path[(k + i) % 2]);
            TokenSet *ts;
            if (token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts) != ST_OK) {
                fprintf(stderr, "%s\n", status_message());
                _Exit(1);
            }
            if (token_set_n_doc(ts) != ((k + i) % 2 ? 2100 : 2000)) _Exit(2);
            token_set_close(ts);
        }
        _Exit(0);
    }
    for (int k = 0; k < N_JOB; k++) {
        int status = -1;
        T_TRUE(waitpid(pid[k], &status, 0) == pid[k]);
        T_EQ_I64(status, 0);
    }
    T_EQ_I64(count_files(p.cache_dir, "tmp"), 0);
    T_TRUE(count_files(p.cache_dir, ".h5") <= 2);
}
END_TEST

START_TEST(the_cache_folder_is_where_the_user_has_it)
{
    char *dir, *home = mem_strdup(getenv("HOME") ? getenv("HOME") : "/");
    PackOpts p = pack(8);
    p.cache_dir = NULL;
    T_TRUE(setenv("XDG_CACHE_HOME", "/x/cache", 1) == 0 && setenv("HOME", "/h", 1) == 0);
    T_OK(shard_cache_dir(&p, &dir));
    T_EQ_STR(dir, "/x/cache/switchyard");
    mem_free(dir);
    T_TRUE(unsetenv("XDG_CACHE_HOME") == 0);
    T_OK(shard_cache_dir(&p, &dir));
    T_EQ_STR(dir, "/h/.cache/switchyard");
    mem_free(dir);
    T_TRUE(unsetenv("HOME") == 0);
    T_FAILS(shard_cache_dir(&p, &dir), CONFIG, "cache_dir: not set");
    T_TRUE(setenv("HOME", home, 1) == 0);
    mem_free(home);

    const DatasetOpts d = dataset(write_docs());
    ShardLease lease;
    p.cache_dir = "/proc/nothing/here";
    T_FAILS(shard_cache_acquire(&d, &p, bytes, false, &lease), IO, "/proc");
}
END_TEST

START_TEST(every_failure_is_reported_and_leaks_nothing)
{
    char path[512];
    snprintf(path, sizeof path, "%s/faults.jsonl.gz", test_dir());
    gzFile f = gzopen(path, "wb");
    for (int i = 0; i < 20; i++) T_TRUE(gzprintf(f, "{\"text\": \"document %d\"}\n", i * i) > 0);
    T_TRUE(gzclose(f) == Z_OK);
    const DatasetOpts d = dataset(path);
    for (int cached = 0; cached < 2; cached++) {
        PackOpts p = pack(8);
        char shard[512];
        int n_hit = 0;
        p.val_size = 0.3;
        for (int n = 1;; n++) {
            const int64_t live = mem_live();
            TokenSet *ts;
            if (cached)
                cached_path(&p, &d, shard);
            else
                T_OK(dir_remove(p.cache_dir));
            fault_arm(n, n % 2 == 0);
            const Status rc = token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts);
            const bool hit = fault_disarm();
            ck_assert_msg(hit == (rc != ST_OK), "fault %d hit: %d, status %s: %s", n, hit,
                          status_name(rc), status_message());
            T_TRUE(rc == ST_OK || (!ts && status_message()[0]));
            status_clear();
            token_set_close(ts);
            T_EQ_I64(mem_live(), live);
            if (path_exists(p.cache_dir)) T_EQ_I64(count_files(p.cache_dir, "tmp-"), 0);
            n_hit += hit;
            if (!hit) break;
        }
        T_TRUE(n_hit > (cached ? 20 : 50));
        TokenSet *ts;
        T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_HELD_OUT,
                            &ts)); /* nothing was spoilt */
        token_set_close(ts);
    }
}
END_TEST

int main(void)
{
    log_set_level(LOG_ERROR);
    if (tokenizer_open("bytes", &bytes) != ST_OK) return EXIT_FAILURE;
    const TTest *t[] = {wide_and_long_streams_come_back,
                        a_cached_shard_is_found_by_content,
                        a_damaged_shard_is_built_again,
                        the_cache_stays_in_its_bounds,
                        concurrent_jobs_share_the_cache,
                        the_cache_folder_is_where_the_user_has_it,
                        every_failure_is_reported_and_leaks_nothing};
    const int code = test_main("unit.shard", t, N_OF(t));
    tokenizer_close(bytes);
    return code;
}
