/* unit_data.c — from files to rows: formats, held-out splits, packing. */
#include "data/data_list.h"
#include "tests/data_fixture.h"
#include "trainer/base/log.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include <math.h>
#include <zlib.h>

/* All documents of a dataset, "|" behind each. */
static Status read_docs(const DatasetOpts *d, char *text, size_t n_text, int64_t *n_empty)
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    Doc doc;
    PackOpts p;
    size_t used = 0;
    text[0] = '\0';
    opt_set_defaults(PACK_OPTS, &p);
    TRY(doc_source_open(d, &p, bytes, &src));
    for (;;) {
        TRY(doc_source_next(src, &doc));
        if (!doc.text) break;
        T_TRUE(doc.n_bytes > 0 && doc.learn_all);
        used += (size_t)snprintf(text + used, n_text - used, "%.*s|", (int)doc.n_bytes, doc.text);
        T_TRUE(used < n_text);
    }
    if (n_empty) *n_empty = doc_source_n_empty(src);
out:
    doc_source_close(src);
    return rc;
}

static Status build(const DatasetOpts *d, double val_size, Shard **shard)
{
    PackOpts p;
    opt_set_defaults(PACK_OPTS, &p);
    p.val_size = val_size;
    return shard_build(d, &p, bytes, shard);
}

/* ---- tokenizer, formats ---- */

START_TEST(bytes_there_and_back)
{
    const char text[] = "caf\xc3\xa9 \x01\xff";
    TokenList list = {0};
    char back[16];
    int64_t n;
    T_EQ_I64(tokenizer_vocab_size(bytes), 256);
    T_OK(tokenizer_encode(bytes, text, 8, TOKENIZER_PLAIN, &list));
    T_EQ_I64(list.n, 8);
    T_EQ_I64(list.ids[3], 0xc3);
    T_EQ_I64(list.ids[7], 0xff);
    T_EQ_I64(list.end[7], 8);
    T_OK(token_list_add(&list, tokenizer_eos(bytes), 8));
    T_OK(token_list_add(&list, 400, 8));
    T_EQ_I64(tokenizer_decode(bytes, list.ids, 10, TOKENIZER_PLAIN, back, 16), 8);
    T_TRUE(memcmp(back, text, 8) == 0);
    back[2] = '!';
    T_EQ_I64(tokenizer_decode(bytes, list.ids, 10, TOKENIZER_PLAIN, back, 2),
             8); /* says what it needs, writes what fits */
    T_TRUE(back[2] == '!');
    T_OK(tokenizer_encode(bytes, "A", 1, TOKENIZER_PLAIN, &list)); /* appends */
    T_EQ_I64(list.n, 11);
    T_EQ_I64(list.ids[10], 'A');
    T_EQ_I64(list.end[10], 1);
    token_list_fini(&list);

    T_EQ_I64(tokenizer_bos(bytes), -1);
    T_EQ_I64(tokenizer_pad(bytes), -1);
    T_EQ_I64(tokenizer_id(bytes, "A"), 'A');
    T_EQ_I64(tokenizer_id(bytes, "AB"), -1);
    T_EQ_STR(tokenizer_token(bytes, 'A'), "A");
    T_TRUE(!tokenizer_token(bytes, 256) && !tokenizer_token(bytes, -1));
    T_TRUE(tokenizer_is_special(bytes, 0) && !tokenizer_is_special(bytes, 1));
    T_TRUE(*tokenizer_piece(bytes, 0xff, &n) == (char)0xff && n == 1);
    tokenizer_piece(bytes, 0, &n);
    T_EQ_I64(n, 0);
    T_EQ_I64(strlen(tokenizer_hash(bytes)), 64);
    Tokenizer *t;
    T_FAILS(tokenizer_open("no/such", &t), CONFIG,
            "tokenizer \"no/such\" is not \"bytes\" and no folder that is there");
}
END_TEST

START_TEST(lists_and_options_agree)
{
    const char *choices = opt_find(DATASET_OPTS, "type")->choices;
    char wanted[128] = "auto";
#define ADD(name) strcat(strcat(wanted, "|"), #name);
    DATA_LIST(ADD)
#undef ADD
    T_EQ_STR(choices, wanted);
    const PackOpts p = pack(8);
    T_TRUE(p.packing && p.val_size == 0.0 && p.cache_limit_bytes >= 1000000000);
    T_EQ_STR(p.packing_attention, "document");
}
END_TEST

START_TEST(text_by_file_line_and_paragraph)
{
    char text[256];
    int64_t n_empty;
    DatasetOpts d = dataset(write_text("t.txt", "\n\none\ntwo\n\n\n\nthree\r\n\nfour"));
    T_OK(read_docs(&d, text, sizeof text, &n_empty));
    T_EQ_STR(text, "\n|\n|one\n|two\n|\n|\n|\n|three\n|\n|four|"); /* pieces of one text */
    d.document = "line";
    T_OK(read_docs(&d, text, sizeof text, &n_empty));
    T_EQ_STR(text, "one|two|three|four|");
    T_EQ_I64(n_empty, 6);
    d.document = "paragraph";
    T_OK(read_docs(&d, text, sizeof text, &n_empty));
    T_EQ_STR(text, "one\ntwo|three|four|");
}
END_TEST

START_TEST(jsonl_takes_the_text)
{
    char text[256], name[64];
    int64_t n_empty;
    DatasetOpts d = dataset(write_text(
        "j.jsonl", "{\"text\": \"a\\u00e9\\ud83d\\ude00\\n\", \"n\": 123456789012345678901}\n"
                   "\n{\"text\": \"\"}\n{\"x\": [1], \"text\": \"b\"}"));
    T_OK(read_docs(&d, text, sizeof text, &n_empty));
    T_EQ_STR(text, "a\xc3\xa9\xf0\x9f\x98\x80\n|b|");
    T_EQ_I64(n_empty, 1);
    T_EQ_STR(dataset_name(&d, name, sizeof name), "j");
    d.name = "news";
    T_EQ_STR(dataset_name(&d, name, sizeof name), "news");
    d = dataset(write_text("k.jsonl", "{\"body\": \"b\"}"));
    d.text_field = "body";
    T_OK(read_docs(&d, text, sizeof text, NULL));
    T_EQ_STR(text, "b|");
}
END_TEST

START_TEST(bad_jsonl_names_file_and_line)
{
    static const struct {
        const char *line, *message;
    } BAD[] = {
        {"{\"text\": \"a\"", "bad.jsonl:2: bad JSON at byte"},
        {"{\"text\": \"a\"} x", "bad.jsonl:2: bad JSON"},
        {"{\"text\": \"a\", \"text\": \"b\"}", "bad.jsonl:2: bad JSON"},
        {"{\"txt\": \"a\"}", "bad.jsonl:2: key \"text\" is missing"},
        {"{\"text\": 5}", "bad.jsonl:2: \"text\" is a number, not a string"},
        {"{\"text\": null}", "bad.jsonl:2: \"text\" is null, not a string"},
        {"{\"text\": [\"a\"]}", "bad.jsonl:2: \"text\" is an array, not a string"},
        {"[\"text\"]", "bad.jsonl:2: the line is an array, not an object"},
        {"7", "bad.jsonl:2: the line is a number, not an object"},
        {"{\"text\": \"\\ud800\"}", "bad.jsonl:2: bad JSON"},
        {"{\"text\": \"\\udc00\\ud800\"}", "bad.jsonl:2: bad JSON"},
        {"{\"text\": \"a\\u0000b\"}", "bad.jsonl:2: bad JSON"},
        {"{\"text\": \"\xff\"}", "bad.jsonl:2: invalid UTF-8 at byte 11 of the line"},
        {"{\"text\": \"\xed\xa0\x80\"}", "bad.jsonl:2: invalid UTF-8 at byte 11"},
        {"{\"text\": \"a\tb\"}", "bad.jsonl:2: bad JSON"},
        {"   ", "bad.jsonl:2: bad JSON"},
    };
    char text[256];
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        char content[256];
        snprintf(content, sizeof content, "{\"text\": \"good\"}\n%s\n{\"text\": \"more\"}\n",
                 BAD[i].line);
        const DatasetOpts d = dataset(write_text("bad.jsonl", content));
        const int64_t live = mem_live();
        T_FAILS(read_docs(&d, text, sizeof text, NULL), FORMAT, BAD[i].message);
        T_EQ_I64(mem_live(), live);
    }
    char deep[8192] = "{\"text\": ";
    memset(deep + 9, '[', 8000);
    const DatasetOpts d = dataset(write_text("deep.jsonl", deep));
    T_FAILS(read_docs(&d, text, sizeof text, NULL), FORMAT, "deep.jsonl:1: bad JSON");
}
END_TEST

START_TEST(mutated_jsonl_is_read_or_refused)
{
    static const char SEED_TEXT[] = "{\"text\": \"caf\\u00e9 \\ud83d\\ude00 \\\"q\\\"\", \"id\": "
                                    "[1, 2.5e3, true, null, {\"a\": {}}]}\n"
                                    "{\"id\": -0, \"text\": \"line \xc3\xa9\\n two\"}\n";
    static const char *const TOKEN[] = {"{",    "}",  "[", "]", "\"",    "\\u",  "\\ud800",
                                        "\xc3", "\n", ",", ":", "1e999", "null", "\xf0\x9f"};
    enum { N = 4000 };
    char text[4096];
    int n_read = 0, n_refused = 0;
    Rng r;
    rng_init(&r, 1, 1);
    const int64_t live = mem_live();
    for (int k = 0; k < N; k++) {
        char content[512];
        size_t n = sizeof SEED_TEXT - 1;
        memcpy(content, SEED_TEXT, n);
        for (uint64_t edits = 1 + rng_below(&r, 3); edits > 0; edits--) {
            const size_t at = (size_t)rng_below(&r, n);
            const char *token = TOKEN[rng_below(&r, (uint64_t)N_OF(TOKEN))];
            switch (rng_below(&r, 4)) {
            case 0:
                content[at] = (char)rng_u64(&r);
                break;
            case 1:
                memmove(content + at, content + at + 1, n - at - 1);
                n -= n > 1;
                break;
            case 2:
                n = at + 1;
                break;
            default:
                memmove(content + at + strlen(token), content + at, n - at);
                memcpy(content + at, token, strlen(token));
                n += strlen(token);
            }
        }
        const DatasetOpts d = dataset(write_n("mutant.jsonl", content, n));
        const Status rc = read_docs(&d, text, sizeof text, NULL);
        T_TRUE(rc == ST_OK || rc == ST_FORMAT);
        if (rc == ST_FORMAT) T_HAS(status_message(), "mutant.jsonl:");
        n_read += rc == ST_OK;
        n_refused += rc == ST_FORMAT;
        status_clear();
    }
    T_TRUE(n_read > N / 20 && n_refused > N / 4);
    T_EQ_I64(mem_live(), live);
}
END_TEST

START_TEST(truncated_gz_dataset_is_refused_at_every_byte)
{
    char path[512];
    snprintf(path, sizeof path, "%s/whole.jsonl.gz", test_dir());
    gzFile f = gzopen(path, "wb");
    for (int i = 0; i < 30; i++) T_TRUE(gzprintf(f, "{\"text\": \"document %d\"}\n", i * i) > 0);
    T_TRUE(gzclose(f) == Z_OK);
    char *whole;
    size_t n;
    Shard *shard;
    T_OK(file_read_all(path, 1 << 20, &whole, &n));
    const DatasetOpts good = dataset(path);
    T_OK(build(&good, 0.0, &shard));
    T_EQ_I64(shard->split[SPLIT_TRAIN].n_doc, 30);
    shard_destroy(shard);
    for (size_t cut = 2; cut < n; cut++) {
        char message[96];
        const DatasetOpts d = dataset(write_n("cut.jsonl.gz", whole, cut));
        snprintf(message, sizeof message, "cut.jsonl.gz: the gzip stream is cut off at byte %zu",
                 cut);
        T_FAILS(build(&d, 0.0, &shard), FORMAT, message);
    }
    mem_free(whole);
}
END_TEST

START_TEST(a_dataset_that_cannot_be_read_says_why)
{
    TokenSet *ts;
    const PackOpts p = pack(8);
    DatasetOpts d = dataset("/no/such/file.txt");
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
            "/no/such/file.txt");
    d = dataset(write_text("what.csv", "a,b"));
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), CONFIG,
            "does not tell its format");
    d.type = "parquet";
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), CONFIG,
            "type \"parquet\" is unknown");
    d = dataset(NULL);
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), CONFIG,
            "path is missing");
    d.type = "jsonl";
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), CONFIG,
            "path is missing");
    d = dataset(write_text("empty.txt", ""));
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA, "no document in");
    d = dataset(write_text("hollow.jsonl", "{\"text\": \"\"}\n{\"text\": \"\"}\n"));
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA, "(2 empty texts)");
    d = dataset(write_text("short.txt", "short"));
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
            "short: its 6 tokens for training do not fill one row of max_seq_length 8");
    d = dataset(write_n("latin.txt", "ok\ncaf\xe9\n", 8));
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), FORMAT,
            "latin.txt:2: invalid UTF-8");
    T_TRUE(!ts);
}
END_TEST

/* ---- rows ---- */

enum { MAX_STREAM = 4096 };

/* The stream as the definition has it: documents, each closed by eos. -1 in next where nothing is to be learned. */
typedef struct Expected {
    int64_t n;
    int32_t token[MAX_STREAM], next[MAX_STREAM];
    int64_t doc_begin[MAX_STREAM];
} Expected;

static void expect_stream(const char *const *doc, int64_t n_doc, Expected *e)
{
    e->n = 0;
    for (int64_t i = 0; i < n_doc; i++) {
        const int64_t begin = e->n, n = (int64_t)strlen(doc[i]);
        for (int64_t k = 0; k <= n; k++, e->n++) {
            e->token[e->n] = (unsigned char)doc[i][k];
            e->next[e->n] = k == n ? -1 : (unsigned char)doc[i][k + 1];
            e->doc_begin[e->n] = begin;
        }
    }
}

START_TEST(a_token_that_the_model_does_not_know_is_told)
{
    const DatasetOpts d = dataset(write_docs());
    const PackOpts p = pack(8);
    TokenSet *ts;
    T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
    T_OK(token_set_check_ids(ts, bytes, 'z' + 1));
    T_FAILS(token_set_check_ids(ts, bytes, 'z'), DATA,
            "docs: holds the token 122, the model has the ids 0 .. 121 (vocab_size)");
    token_set_close(ts);
}
END_TEST

START_TEST(packed_rows_follow_the_stream)
{
    static Expected e;
    expect_stream(DOCS, N_OF(DOCS), &e);
    const DatasetOpts d = dataset(write_docs());
    PackOpts p = pack(1);
    const int64_t live = mem_live();
    for (int64_t T = 1; T <= e.n; T++)
        for (int full = 0; full < 2; full++) {
            p.max_seq_length = T;
            p.packing_attention = full ? "full" : "document";
            TokenSet *ts;
            Batch *b;
            T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
            T_OK(batch_create(2, T, &b));
            T_EQ_I64(token_set_n_token(ts), e.n);
            T_EQ_I64(token_set_n_doc(ts), N_OF(DOCS));
            T_EQ_I64(token_set_n_row(ts), e.n / T);
            T_EQ_I64(token_set_counts(ts)->n_dropped, e.n % T);
            for (int64_t row = 0; row < e.n / T; row++) {
                token_set_row(ts, row, 0,
                              b); /* both rows filled again and again: the count must follow */
                token_set_row(ts, row, 1, b);
                int64_t n_label = 0;
                for (int64_t t = 0; t < T; t++) {
                    const int64_t at = row * T + t, begin = e.doc_begin[at] - row * T;
                    T_EQ_I64(b->tokens[T + t], e.token[at]);
                    T_EQ_I64(b->labels[T + t], e.next[at]);
                    T_EQ_I64(b->doc_start[T + t], full || begin < 0 ? 0 : begin);
                    n_label += e.next[at] >= 0;
                }
                T_EQ_I64(b->n_label, 2 * n_label);
            }
            batch_destroy(b);
            token_set_close(ts);
        }
    T_EQ_I64(mem_live(), live);
}
END_TEST

START_TEST(unpacked_rows_hold_one_document)
{
    enum { T = 9 };
    const DatasetOpts d = dataset(write_docs());
    PackOpts p = pack(T);
    p.packing = false;
    TokenSet *ts;
    Batch *b;
    T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
    T_OK(batch_create(1, T, &b));
    T_EQ_I64(token_set_n_row(ts), N_OF(DOCS));
    int64_t n_cut = 0;
    for (int64_t i = 0; i < N_OF(DOCS); i++) {
        const int64_t n = (int64_t)strlen(DOCS[i]);
        n_cut += n + 1 > T ? n + 1 - T : 0;
        token_set_row(ts, i, 0, b);
        for (int64_t t = 0; t < T; t++) {
            T_EQ_I64(b->tokens[t], t < n ? (unsigned char)DOCS[i][t] : 0);
            T_EQ_I64(b->labels[t], t < n ? (unsigned char)DOCS[i][t + 1] : -1);
            T_EQ_I64(b->doc_start[t], t <= n ? 0 : t);
        }
        T_EQ_I64(b->n_label, n < T ? n : T);
    }
    T_EQ_I64(token_set_counts(ts)->n_truncated, n_cut);
    T_EQ_I64(token_set_counts(ts)->n_dropped, 0);
    batch_destroy(b);
    token_set_close(ts);
}
END_TEST

/* ---- held-out split ---- */

static char *all_tokens(const TokenStream *s)
{
    char *text = malloc((size_t)s->n_token + 1);
    for (int64_t i = 0; i < s->n_token; i++) text[i] = (char)stream_token_at(s, i);
    text[s->n_token] = '\0';
    return text;
}

START_TEST(held_out_documents_are_chosen_by_content)
{
    char few_path[512], many_path[512];
    write_numbers("few.jsonl", 3000, few_path);
    write_numbers("many.jsonl", 5000, many_path); /* the same, 1000 more, and 1000 twice */
    const DatasetOpts few = dataset(few_path), many = dataset(many_path);
    Shard *a, *b, *none;
    T_OK(build(&few, 0.1, &a));
    T_OK(build(&many, 0.1, &b));
    T_OK(build(&few, 0.0, &none));
    T_EQ_I64(none->split[SPLIT_HELD_OUT].n_token, 0);
    T_EQ_I64(a->split[SPLIT_TRAIN].n_doc + a->split[SPLIT_HELD_OUT].n_doc, 3000);
    T_NEAR((double)a->split[SPLIT_HELD_OUT].n_doc, 300.0, 4 * sqrt(3000 * 0.1 * 0.9));
    /* What stood there before is parted as before. */
    for (int i = 0; i < N_SPLIT; i++) {
        const TokenStream *x = &a->split[i], *y = &b->split[i];
        T_TRUE(x->n_token < y->n_token && memcmp(x->tokens, y->tokens, (size_t)x->n_token) == 0);
        T_TRUE(memcmp(x->doc_end, y->doc_end, (size_t)x->n_doc * sizeof *x->doc_end) == 0);
        T_TRUE(strcmp(x->fingerprint, y->fingerprint) != 0);
    }
    /* No text stands on both sides. */
    const TokenStream *train = &b->split[SPLIT_TRAIN], *held_out = &b->split[SPLIT_HELD_OUT];
    char side[4000] = {0};
    for (int k = 0; k < N_SPLIT; k++)
        for (int64_t i = 0; i < b->split[k].n_doc; i++) {
            const char *doc =
                (const char *)b->split[k].tokens + (i ? b->split[k].doc_end[i - 1] : 0);
            int number;
            T_TRUE(sscanf(doc, "document number %d", &number) == 1); /* eos ends it */
            side[number] |= (char)(1 << k);
        }
    for (int i = 0; i < 4000; i++) T_TRUE(side[i] == 1 || side[i] == 2);
    T_TRUE(train->n_doc + held_out->n_doc == 5000);
    shard_destroy(a);
    shard_destroy(b);
    shard_destroy(none);
}
END_TEST

START_TEST(held_out_blocks_of_a_stream_are_whole_lines)
{
    char content[200000];
    size_t n = 0, n_short = 0;
    for (int i = 0; n + 64 < sizeof content; i++) {
        n += (size_t)snprintf(content + n, sizeof content - n,
                              "line %d of some play, and %d more\n", i, i * i % 97);
        if (n < 150000) n_short = n;
    }
    const DatasetOpts longer = dataset(write_n("longer.txt", content, n));
    const DatasetOpts shorter = dataset(write_n("shorter.txt", content, n_short));
    Shard *a, *b;
    T_OK(build(&longer, 0.2, &a));
    T_OK(build(&shorter, 0.2, &b));
    const TokenStream *train = &a->split[SPLIT_TRAIN], *held_out = &a->split[SPLIT_HELD_OUT];
    T_EQ_I64(train->n_doc, 1); /* one text each, closed once */
    T_EQ_I64(held_out->n_doc, 1);
    T_EQ_I64(train->n_token + held_out->n_token, n + 2);
    T_NEAR((double)held_out->n_token / (double)n, 0.2, 0.2);
    T_TRUE(held_out->n_token > 2048);
    char *text[N_SPLIT] = {all_tokens(train), all_tokens(held_out)},
         *at[N_SPLIT] = {text[0], text[1]};
    /* Reading the file block by block, each block comes next in one of the two. */
    for (size_t from = 0; from < n;) {
        size_t to = from;
        do to = (size_t)(strchr(content + to, '\n') - content) + 1;
        while (to - from < 2048 && to < n);
        const int k = strncmp(at[0], content + from, to - from) == 0 ? 0 : 1;
        T_TRUE(strncmp(at[k], content + from, to - from) == 0);
        at[k] += to - from;
        from = to;
    }
    T_TRUE(!*at[0] && !*at[1]);
    /* Appending moved no block but the last, which was short. */
    for (int k = 0; k < N_SPLIT; k++) {
        char *before = all_tokens(&b->split[k]);
        const size_t n_before = strlen(before), n_kept = n_before > 2100 ? n_before - 2100 : 0;
        T_TRUE(strncmp(before, text[k], n_kept) == 0);
        free(before);
        free(text[k]);
    }
    shard_destroy(a);
    shard_destroy(b);
}
END_TEST

START_TEST(real_news_are_read_whole)
{
    const char *path = test_shared_data("lm/reuters21578/v1.jsonl.gz");
    if (!path) T_SKIP("the Reuters news are not there");
    DatasetOpts d = dataset(path);
    PackOpts p = pack(512);
    p.val_size = 0.05;
    TokenSet *train, *held_out;
    T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &train));
    T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_HELD_OUT, &held_out));
    T_EQ_STR(token_set_name(train), "v1");
    T_EQ_I64(token_set_n_doc(train) + token_set_n_doc(held_out) + token_set_counts(train)->n_empty,
             5139);
    T_NEAR((double)token_set_n_doc(held_out), 5139 * 0.05, 4 * sqrt(5139 * 0.05 * 0.95));
    token_set_close(train);
    token_set_close(held_out);
}
END_TEST

int main(void)
{
    log_set_level(LOG_ERROR);
    if (tokenizer_open("bytes", &bytes) != ST_OK) return EXIT_FAILURE;
    const TTest *t[] = {bytes_there_and_back,
                        lists_and_options_agree,
                        text_by_file_line_and_paragraph,
                        jsonl_takes_the_text,
                        bad_jsonl_names_file_and_line,
                        mutated_jsonl_is_read_or_refused,
                        truncated_gz_dataset_is_refused_at_every_byte,
                        a_dataset_that_cannot_be_read_says_why,
                        a_token_that_the_model_does_not_know_is_told,
                        packed_rows_follow_the_stream,
                        unpacked_rows_hold_one_document,
                        held_out_documents_are_chosen_by_content,
                        held_out_blocks_of_a_stream_are_whole_lines,
                        real_news_are_read_whole};
    const int code = test_main("unit.data", t, N_OF(t));
    tokenizer_close(bytes);
    return code;
}
