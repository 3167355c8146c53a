/* data_fixture.h — small files and options for the tests of data/. */
#ifndef TESTS_DATA_FIXTURE_H
#define TESTS_DATA_FIXTURE_H
#include "data/shard_cache.h"
#include "tests/test_helper.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static Tokenizer *bytes;
static int n_dir;

static char *fresh_dir(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/d%d", test_dir(), n_dir++);
    T_TRUE(mkdir(path, 0700) == 0);
    return path;
}

static const char *write_n(const char *name, const void *data, size_t n)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", test_dir(), name);
    FILE *f = fopen(p, "wb");
    T_TRUE(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
    return p;
}

static const char *write_text(const char *name, const char *text)
{
    return write_n(name, text, strlen(text));
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
    PackOpts p;
    opt_set_defaults(PACK_OPTS, &p);
    p.max_seq_length = T;
    p.cache_dir = fresh_dir();
    return p;
}

static const char *const DOCS[] = {
    "alpha", "b", "gamma delta epsilon", "zeta\neta", "theta iota kappa lambda", "m"};

static inline const char *write_docs(void)
{
    char content[1024] = "";
    for (int64_t i = 0; i < N_OF(DOCS); i++) {
        char line[128];
        snprintf(line, sizeof line, "{\"text\": \"%s\"}\n",
                 strcmp(DOCS[i], "zeta\neta") ? DOCS[i] : "zeta\\neta");
        strcat(content, line);
    }
    return write_text("docs.jsonl", content);
}

static inline void write_numbers(const char *name, int n, char *path)
{
    snprintf(path, 512, "%s/%s", test_dir(), name);
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < n; i++) fprintf(f, "{\"text\": \"document number %d\"}\n", i % 4000);
    T_TRUE(fclose(f) == 0);
}

static inline DatasetOpts samples(const char *type, const char *path)
{
    DatasetOpts d = dataset(path);
    d.type = type;
    return d;
}

/* Tokens of all samples by "bytes": those that are learned in brackets, eos as $, "|" behind each
 * sample. */
static inline Status show_samples(const DatasetOpts *d, const PackOpts *p, char *out, size_t n_out)
{
    Status rc = ST_OK;
    Shard *shard = NULL;
    size_t n = 0;
    out[0] = '\0';
    TRY(shard_build(d, p, bytes, &shard));
    const TokenStream *s = &shard->split[SPLIT_TRAIN];
    T_TRUE(s->learned && s->number);
    for (int64_t i = 0, doc = 0; i < s->n_token; i++) {
        const int32_t id = stream_token_at(s, i);
        const bool learned = stream_is_learned(s, i), ends = i + 1 == s->doc_end[doc];
        const bool before = i > (doc ? s->doc_end[doc - 1] : 0) && stream_is_learned(s, i - 1),
                   after = !ends && stream_is_learned(s, i + 1);
        n += (size_t)snprintf(out + n, n_out - n, "%s%c%s%s", learned && !before ? "[" : "",
                              id ? id : '$', learned && !after ? "]" : "", ends ? "|" : "");
        T_TRUE(n < n_out);
        doc += ends;
    }
out:
    shard_destroy(shard);
    return rc;
}
#endif
