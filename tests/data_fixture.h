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

/* A folder with a byte-level tokenizer: letters, "ab" and the two bytes of U+00E9 as tokens, <s> put in front, <e> as its end;
 * and a chat template, given as the text of a JSON string. */
static inline Tokenizer *tiny_tokenizer(const char *chat_template)
{
    static const char JSON[] =
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"c\": 2, \"ab\": 3, "
        "\"\u00c3\": 4, "
        "\"\u00a9\": 5, \":\": 6}, \"merges\": [\"a b\"]}, \"pre_tokenizer\": {\"type\": "
        "\"ByteLevel\", "
        "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}, \"decoder\": "
        "{\"type\": "
        "\"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}, "
        "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
        "{\"id\": \"<s>\", "
        "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [], "
        "\"special_tokens\": "
        "{\"<s>\": {\"id\": \"<s>\", \"ids\": [7], \"tokens\": [\"<s>\"]}}}, \"added_tokens\": "
        "[{\"id\": 7, "
        "\"content\": \"<s>\", \"special\": true}, {\"id\": 8, \"content\": \"<e>\", \"special\": "
        "true}]}";
    char config[1024], *dir = fresh_dir(), path[512];
    Tokenizer *tok;
    snprintf(config, sizeof config,
             "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"<e>\"}, \"chat_template\": "
             "\"%s\"}",
             chat_template);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir + strlen(test_dir()) + 1);
    write_text(path, JSON);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir + strlen(test_dir()) + 1);
    write_text(path, config);
    T_OK(tokenizer_open(dir, &tok));
    return tok;
}

/* Tokens of all samples: those that are learned in brackets, eos of "bytes" as $, a space between
 * the tokens of others, "|" behind each sample. */
static inline Status show_with(const Tokenizer *tok, const DatasetOpts *d, const PackOpts *p,
                               char *out, size_t n_out)
{
    Status rc = ST_OK;
    Shard *shard = NULL;
    size_t n = 0;
    out[0] = '\0';
    TRY(shard_build(d, p, tok, &shard));
    const TokenStream *s = &shard->split[SPLIT_TRAIN];
    T_TRUE(s->learned && s->number);
    for (int64_t i = 0, doc = 0; i < s->n_token; i++) {
        const int32_t id = stream_token_at(s, i);
        const bool learned = stream_is_learned(s, i), ends = i + 1 == s->doc_end[doc];
        const bool begins = i == (doc ? s->doc_end[doc - 1] : 0),
                   before = !begins && stream_is_learned(s, i - 1),
                   after = !ends && stream_is_learned(s, i + 1);
        n += (size_t)snprintf(out + n, n_out - n, "%s%s%s%s%s", begins || tok == bytes ? "" : " ",
                              learned && !before ? "[" : "",
                              tok == bytes && id == 0 ? "$" : tokenizer_token(tok, id),
                              learned && !after ? "]" : "", ends ? "|" : "");
        T_TRUE(n < n_out);
        doc += ends;
    }
out:
    shard_destroy(shard);
    return rc;
}

static inline Status show_samples(const DatasetOpts *d, const PackOpts *p, char *out, size_t n_out)
{
    return show_with(bytes, d, p, out, n_out);
}
#endif
