/* unit_samples.c — samples for fine-tuning: what becomes of their text, and what of it is learned. */
#include "tests/data_fixture.h"
#include "trainer/base/log.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include <zlib.h>

#define INSTRUCTION "### Instruction:\n"
static const char PREAMBLE[] =
    "Below is an instruction that describes a task. Write a response that "
    "appropriately completes the request.\n\n" INSTRUCTION;
static const char PREAMBLE_INPUT[] =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n" INSTRUCTION;

START_TEST(a_completion_is_learned_to_its_end)
{
    char text[1024];
    PackOpts p = pack(64);
    DatasetOpts d = samples("completion",
                            write_text("c.jsonl", "{\"prompt\": \"2+2=\", \"completion\": \"4\"}\n"
                                                  "{\"prompt\": \"\", \"completion\": \"all\"}\n"
                                                  "{\"completion\": \"\", \"prompt\": \"\"}\n\n"
                                                  "{\"prompt\": \"q\\n\", \"completion\": \" a\", "
                                                  "\"id\": 7}\n"));
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, "2+2=[4$]|[all$]|q\n[ a$]|");
    p.train_on_inputs = true;
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, "[2+2=4$]|[all$]|[q\n a$]|");
    d = samples("completion", write_text("r.jsonl", "{\"question\": \"q\", \"response\": \"r\"}"));
    d.prompt_field = "question";
    d.completion_field = "response";
    p.train_on_inputs = false;
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, "q[r$]|");
}
END_TEST

START_TEST(alpaca_has_its_two_prompts)
{
    char text[2048], wanted[2048];
    const PackOpts p = pack(64);
    const DatasetOpts d =
        samples("alpaca",
                write_text("a.json",
                           "[{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"},\n"
                           " {\"instruction\": \"Hi\", \"input\": \"\", \"output\": \"Hello\"},\n"
                           " {\"instruction\": \"Yes?\", \"output\": \"No\", \"history\": [], "
                           "\"system\": \"\"}]"));
    T_OK(show_samples(&d, &p, text, sizeof text));
    snprintf(
        wanted, sizeof wanted,
        "%sAdd.\n\n### Input:\n1 2\n\n### Response:\n[3$]|%sHi\n\n### Response:\n[Hello$]|%sYes?"
        "\n\n### Response:\n[No$]|",
        PREAMBLE_INPUT, PREAMBLE, PREAMBLE);
    T_EQ_STR(text, wanted);
}
END_TEST

START_TEST(a_token_on_the_border_is_learned)
{
    char text[256];
    PackOpts p = pack(64);
    Tokenizer *tok = tiny_tokenizer("");
    const DatasetOpts d =
        samples("completion",
                write_text("border.jsonl", "{\"prompt\": \"ca\", \"completion\": \"bc\"}\n"
                                           "{\"prompt\": \"cab\", \"completion\": \"c\"}\n"
                                           "{\"prompt\": \"c\", \"completion\": \"\\u00e9\"}\n"
                                           "{\"prompt\": \"\\u00e9\", \"completion\": \"a\"}\n"
                                           "{\"prompt\": \"a<e>c\", \"completion\": \"b<e>\"}\n"
                                           "{\"prompt\": \"c\", \"completion\": \"\"}\n"));
    T_OK(show_with(tok, &d, &p, text, sizeof text));
    T_EQ_STR(
        text,
        "<s> c [ab c <e>]|<s> c ab [c <e>]|<s> c [\u00c3 \u00a9 <e>]|<s> \u00c3 \u00a9 [a <e>]|"
        "<s> a <e> c [b <e>]|<s> c <e>|");
    p.train_on_inputs = true;
    T_OK(show_with(tok, &d, &p, text, sizeof text));
    T_HAS(text, "[<s> c ab c <e>]|[<s> c ab c <e>]|");
    tokenizer_close(tok);
}
END_TEST

/* ---- files ---- */

START_TEST(an_array_is_read_in_any_shape)
{
    static const char *const SHAPE[] = {
        "[{\"prompt\":\"[a\",\"completion\":\"b]\"},{\"prompt\":\"c\",\"completion\":\"\\\"}{\"}]",
        "[\n  {\n    \"prompt\": \"[a\",\n    \"completion\": \"b]\"\n  },\n  {\n    \"prompt\": "
        "\"c\",\n    \"completion\": \"\\\"}{\"\n  }\n]\n",
        "\n\t [ { \"completion\" : \"b]\" , \"prompt\" : \"[a\" , \"x\": [[{}], {\"y\": []}] "
        "}\r\n\r\n"
        ",{\"prompt\":\"c\",\r\n\"completion\":\"\\\"}{\"} \n ] \n\n",
        "{\"prompt\":\"[a\",\"completion\":\"b]\"}\n{\"prompt\":\"c\",\"completion\":\"\\\"}{\"}\n",
    };
    char text[256], path[512];
    const PackOpts p = pack(64);
    for (int64_t i = 0; i < N_OF(SHAPE); i++) {
        DatasetOpts d = samples("completion", write_text("shape.json", SHAPE[i]));
        T_OK(show_samples(&d, &p, text, sizeof text));
        T_EQ_STR(text, "[a[b]$]|c[\"}{$]|");
        snprintf(path, sizeof path, "%s/shape%d.json.gz", test_dir(), (int)i);
        gzFile f = gzopen(path, "wb");
        T_TRUE(gzputs(f, SHAPE[i]) > 0 && gzclose(f) == Z_OK);
        d = samples("completion", path);
        T_OK(show_samples(&d, &p, text, sizeof text));
        T_EQ_STR(text, "[a[b]$]|c[\"}{$]|");
    }
    Shard *shard;
    const DatasetOpts d = samples("completion", write_text("none.json", " [ ] "));
    T_FAILS(shard_build(&d, &p, bytes, &shard), DATA, "no document in");
}
END_TEST

START_TEST(bad_samples_name_their_place)
{
    static const struct {
        const char *type, *content, *message;
    } BAD[] = {
        {"completion", "{\"prompt\": \"a\"}", "bad.json:1: key \"completion\" is missing"},
        {"completion",
         "{\"prompt\": \"a\", \"completion\": \"b\"}\n\n{\"prompt\": 5, \"completion\": \"b\"}",
         "bad.json:3: \"prompt\" is a number, not a string"},
        {"completion", "{\"prompt\": [{}], \"completion\": \"b\"}", "\"prompt\" is an array"},
        {"completion", "{\"messages\": []}",
         "bad.json:1: key \"prompt\" is missing; its keys are those of type: messages"},
        {"completion", "{\"instruction\": \"\", \"output\": \"\"}", "those of type: alpaca"},
        {"jsonl", "{\"prompt\": \"\", \"completion\": \"\"}", "those of type: completion"},
        {"jsonl", "{\"conversations\": \"\"}", "those of type: messages"},
        {"alpaca", "{\"text\": \"\"}",
         "key \"instruction\" is missing; its keys are those of type: jsonl"},
        {"alpaca", "{\"instruction\": \"a\", \"input\": 1, \"output\": \"b\"}",
         "\"input\" is a number"},
        {"alpaca", "{\"instruction\": \"a\", \"output\": null}", "\"output\" is null"},
        {"alpaca", "{\"instruction\": \"a\", \"output\": \"b\", \"history\": [[\"x\", \"y\"]]}",
         "\"history\" has no place in the prompt of type: alpaca; use type: messages"},
        {"alpaca", "[{\"instruction\": \"a\", \"output\": \"b\"},\n{\"instruction\": \"a\"}]",
         "bad.json:2: element 2: key \"output\" is missing"},
        {"jsonl", "[{\"text\": \"a\"},\n {\"text\": \"b\"\n}\n",
         "bad.json:3: expected , or ] behind element 2"},
        {"jsonl", "[{\"text\": \"a\"} {\"text\": \"b\"}]",
         "bad.json:1: expected , or ] behind element 1"},
        {"jsonl", "[{\"text\": \"a\"},]", "bad.json:1: element 2: expected an object"},
        {"jsonl", "[{\"text\": \"a\"}, 7]", "bad.json:1: element 2: expected an object"},
        {"jsonl", "[", "bad.json:1: element 1: expected an object"},
        {"jsonl", "[{\"text\": \"a\"}]\n\n{}", "bad.json:3: '{' behind the end of the array"},
        {"jsonl", "[{\"text\": \"a\"},\n{\"text\": \"]}]}", "bad.json:2: element 2 is not closed"},
        {"jsonl", "[{\"text\": \"a]}]", "bad.json:1: element 1 is not closed"},
        {"jsonl", "[\n{\"text\": \"a\", \"text\": \"b\"}]",
         "bad.json:2: element 1: bad JSON at byte"},
        {"jsonl", "[{\"text\": \"a\"], {}}]", "bad.json:1: element 1: bad JSON at byte"},
        {"jsonl", "[{\"text\": \"a\\u0000\"}]", "bad.json:1: element 1: bad JSON at byte"},
        {"jsonl", "[{\"text\": \"a\nb\"}]", "bad.json:1: element 1: bad JSON at byte"},
        {"jsonl", "[\n\n{\"text\": \"\xff\"}]", "bad.json:3: invalid UTF-8 at byte 11"},
    };
    const PackOpts p = pack(64);
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        Shard *shard;
        const DatasetOpts d = samples(BAD[i].type, write_text("bad.json", BAD[i].content));
        const int64_t live = mem_live();
        T_FAILS(shard_build(&d, &p, bytes, &shard), FORMAT, BAD[i].message);
        T_EQ_I64(mem_live(), live);
    }
}
END_TEST

/* ---- rows ---- */

enum { N_SAMPLE = 300, MAX_TOKENS = 40 };

/* Sample i: a prompt of p letters and a completion of c letters, both told by i, and eos. */
static int sample_tokens(int i, char *out, int *n_prompt)
{
    Rng r;
    rng_init(&r, 7, (uint64_t)i);
    *n_prompt = (int)rng_below(&r, 20);
    const int n = *n_prompt + 1 + (int)rng_below(&r, 15);
    for (int k = 0; k < n; k++) out[k] = (char)('a' + (i / (k < 3 ? 1 : 26) + 7 * k) % 26);
    out[n] = '\0';
    return n + 1;
}

typedef int (*SampleTokens)(int i, char *out, int *n_prompt);

static const char *write_samples(SampleTokens make)
{
    static char content[N_SAMPLE * 128];
    size_t n = 0;
    for (int i = 0; i < N_SAMPLE; i++) {
        char text[64];
        int n_prompt;
        make(i, text, &n_prompt);
        n += (size_t)snprintf(content + n, sizeof content - n,
                              "{\"prompt\": \"%.*s\", \"completion\": \"%s\"}\n", n_prompt, text,
                              text + n_prompt);
    }
    return write_text("samples.jsonl", content);
}

/* Does sample i stand at position t of the row, cut to T, labels included? Tells how long it is. */
static bool stands_at(const Batch *b, int64_t t, int i, int64_t start, int64_t *n)
{
    char text[MAX_TOKENS];
    int n_prompt;
    const int n_whole = sample_tokens(i, text, &n_prompt);
    *n = n_whole < b->T ? n_whole : b->T;
    bool same = t + *n <= b->T;
    for (int64_t k = 0; same && k < *n; k++) {
        const bool learned = k + 1 < n_whole && k + 1 >= n_prompt;
        same = b->tokens[t + k] == text[k] && b->doc_start[t + k] == start &&
               b->labels[t + k] == (learned ? text[k + 1] : -1);
    }
    return same;
}

START_TEST(packed_samples_stay_whole)
{
    const DatasetOpts d = samples("completion", write_samples(sample_tokens));
    PackOpts p = pack(0);
    const int64_t live = mem_live();
    for (int64_t T = 20; T <= 120; T += 25)
        for (int k = 0; k < 3; k++) {
            static const char *const SIGHT[] = {"document", "full", "document"};
            TokenSet *ts;
            Batch *b;
            int n_seen[N_SAMPLE] = {0};
            int64_t n_label = 0, n_used = 0, n_cut = 0;
            p.max_seq_length = T;
            p.packing_attention = SIGHT[k];
            p.packing = k < 2;
            T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
            T_TRUE(token_set_is_samples(ts));
            T_OK(batch_create(1, T, &b));
            for (int64_t row = 0; row < token_set_n_row(ts); row++) {
                int64_t t = 0, n = 0;
                int n_in_row = 0;
                token_set_row(ts, row, 0, b);
                n_label += b->n_label;
                for (int i = 0; t < T && i < N_SAMPLE; i++) {
                    if (n_seen[i] || !stands_at(b, t, i, k == 1 ? 0 : t, &n)) continue;
                    n_seen[i]++;
                    n_in_row++;
                    t += n;
                }
                T_TRUE(n_in_row > 0 && (p.packing || n_in_row == 1));
                n_used += t;
                for (; t < T; t++) T_TRUE(b->labels[t] == -1 && b->doc_start[t] == t);
            }
            for (int i = 0; i < N_SAMPLE; i++) {
                char text[MAX_TOKENS];
                int n_prompt;
                T_EQ_I64(n_seen[i], 1);
                n_cut += sample_tokens(i, text, &n_prompt) > T;
            }
            const TokenCounts *c = token_set_counts(ts);
            T_EQ_I64(c->n_learned, n_label);
            T_EQ_I64(c->n_used, n_used);
            T_EQ_I64(c->n_used + c->n_fill, token_set_n_row(ts) * T);
            T_EQ_I64(c->n_used + c->n_truncated, token_set_n_token(ts));
            T_EQ_I64(c->n_cut, n_cut);
            T_TRUE(!p.packing || T < 45 || c->n_fill < token_set_n_row(ts) * T / 10);
            batch_destroy(b);
            token_set_close(ts);
        }
    T_EQ_I64(mem_live(), live);
}
END_TEST

/* Sample i begins with one of two templates, of 25 and 18 letters, or with none. */
static int templated_sample(int i, char *out, int *n_prompt)
{
    static const char *const TEMPLATE[] = {"abcdefghijklmnopqrstuvwxy", "zyxwvutsrqponmlkji", ""};
    const int n = sprintf(out, "%s%d:", TEMPLATE[i % 3], 1000 + i);
    *n_prompt = n;
    return n + sprintf(out + n, "%d", i % 2 ? i : i % 10) + 1; /* and eos */
}

/* Which sample it is whose own tokens stand at t, by all of its tokens and labels; -1: none. n: its own ones. */
static int sample_at(const Batch *b, int64_t t, int64_t *n)
{
    const int64_t n_shared = b->n_shared[t], from = b->shared_start[t];
    for (int i = 0; i < N_SAMPLE; i++) {
        char text[64];
        int n_prompt;
        const int64_t n_all = templated_sample(i, text, &n_prompt);
        bool same = n_shared < n_all && t + n_all - n_shared <= b->T && from + n_shared <= t;
        for (int64_t k = 0; same && k < n_all; k++) {
            const int64_t at = k < n_shared ? from + k : t + k - n_shared;
            const int32_t label = k + 1 < n_all && k + 1 >= n_prompt ? text[k + 1] : -1;
            same = b->tokens[at] == text[k];
            if (k < n_shared)
                same = same && label == -1;
            else
                same = same && b->labels[at] == label && b->doc_start[at] == t &&
                       b->n_shared[at] == n_shared && b->shared_start[at] == from;
        }
        *n = n_all - n_shared;
        if (same) return i;
    }
    return -1;
}

START_TEST(packed_samples_share_the_beginning_of_their_prompts)
{
    const DatasetOpts d = samples("completion", write_samples(templated_sample));
    const int64_t live = mem_live();
    PackOpts p = pack(200);
    for (int k = 0; k < 3; k++) { /* shared, not asked for, everything is learned */
        TokenSet *ts;
        Batch *b;
        bool seen[N_SAMPLE] = {false};
        int64_t n_seen = 0, n_shared = 0, n_used = 0;
        p.prefix_sharing = k != 1;
        p.train_on_inputs = k == 2;
        T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
        T_OK(batch_create(1, 200, &b));
        const TokenCounts *c = token_set_counts(ts);
        for (int64_t row = 0; k < 2 && row < token_set_n_row(ts); row++) {
            token_set_row(ts, row, 0, b);
            for (int64_t t = 0, n = 0; t < b->T; t += n) {
                const int i = sample_at(b, t, &n);
                if (i < 0) { /* filling, up to the end */
                    T_TRUE(b->tokens[t] == 0 && b->labels[t] == -1 && b->doc_start[t] == t);
                    n = 1;
                    continue;
                }
                T_TRUE(!seen[i]);
                seen[i] = true;
                n_seen++;
                n_used += n;
                n_shared += b->n_shared[t];
            }
        }
        T_TRUE(k == 2 || n_seen == N_SAMPLE);
        T_EQ_I64(c->n_shared, n_shared);
        T_TRUE((k == 0) == (n_shared > 4 * N_SAMPLE)); /* a third has 25, a third 18 */
        T_TRUE(k == 2 || c->n_used == n_used);
        T_EQ_I64(c->n_used + c->n_shared, token_set_n_token(ts));
        T_EQ_I64(c->n_used + c->n_fill, token_set_n_row(ts) * 200);
        batch_destroy(b);
        token_set_close(ts);
    }
    T_EQ_I64(mem_live(), live);
}
END_TEST

START_TEST(a_sample_without_a_label_is_named_or_dropped)
{
    TokenSet *ts;
    PackOpts p = pack(64);
    DatasetOpts d = samples("completion", write_text("empty.jsonl",
                                                     "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                                                     "{\"prompt\": \"abc\", \"completion\": \"\"}\n"
                                                     "{\"prompt\": \"0123456789\", \"completion\": "
                                                     "\"xyz\"}\n"));
    for (int split = 0; split < 2; split++) { /* from the cache, too */
        T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
                "empty.jsonl: sample 2: none of its 4 tokens is to be learned");
        T_TRUE(!ts);
    }
    p.on_empty_sample = "drop";
    for (int64_t T = 9; T <= 11; T++)
        for (int packing = 0; packing < 2; packing++) {
            p.max_seq_length = T;
            p.packing = packing;
            T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
            const TokenCounts *c = token_set_counts(ts);
            T_EQ_I64(c->n_left, T < 10 ? 2 : 1);
            T_EQ_I64(c->n_learned, 2 + (T < 10 ? 0 : T == 10 ? 1 : 2));
            T_EQ_I64(c->n_truncated, T < 10 ? 0 : 14 - T);
            T_EQ_I64(token_set_n_row(ts), T < 10 ? 1 : 2);
            int64_t n = 0;
            if (!packing)
                T_EQ_I64(token_set_sample(ts, token_set_n_row(ts) - 1, &n), T < 10 ? 1 : 3);
            if (!packing) T_EQ_I64(n, T < 10 ? 3 : T);
            token_set_close(ts);
        }
    d = samples("completion",
                write_text("late.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                                         "{\"prompt\": \"0123456789\", \"completion\": "
                                         "\"xyz\"}\n"));
    p.on_empty_sample = "stop";
    p.max_seq_length = 9;
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
            "late.jsonl: sample 2: what is to be learned begins at its token 11 of 14, behind "
            "max_seq_length: 9");
    p.on_empty_sample = "drop";
    d = samples("completion",
                write_text("hollow.jsonl", "{\"prompt\": \"a\", \"completion\": \"\"}"));
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
            "nothing is to be learned of any of its 1 samples");
}
END_TEST

START_TEST(the_cache_knows_what_is_learned)
{
    PackOpts p = pack(64);
    DatasetOpts d =
        samples("completion", write_text("k.jsonl", "{\"prompt\": \"a\", \"completion\": "
                                                    "\"b\", \"text\": \"t\"}"));
    ShardLease lease;
    T_OK(shard_cache_acquire(&d, &p, bytes, false, &lease));
    T_TRUE(lease.built);
    shard_cache_release(&lease);
    const PackOpts q = p;
    const DatasetOpts e = d;
    for (int k = 0; k < 6; k++) {
        p = q;
        d = e;
        if (k == 1) p.train_on_inputs = true;
        if (k == 2) d.prompt_field = "text";
        if (k == 3) d.completion_field = "text";
        if (k == 4) d.type = "jsonl";
        if (k == 5) p.on_empty_sample = "drop"; /* is looked at when rows are cut */
        T_OK(shard_cache_acquire(&d, &p, bytes, false, &lease));
        T_TRUE(lease.built == (k >= 1 && k <= 4));
        shard_cache_release(&lease);
    }
    TokenSet *masked, *whole;
    p = q;
    T_OK(token_set_open(comm_self(), &e, &p, bytes, SPLIT_TRAIN, &masked));
    p.train_on_inputs = true;
    T_OK(token_set_open(comm_self(), &e, &p, bytes, SPLIT_TRAIN, &whole));
    T_TRUE(strcmp(token_set_fingerprint(masked), token_set_fingerprint(whole)) != 0);
    token_set_close(masked);
    token_set_close(whole);
}
END_TEST

START_TEST(failures_leave_nothing_behind)
{
    const DatasetOpts d = samples(
        "alpaca",
        write_text("f.json", "[{\"instruction\": \"i\", \"input\": \"n\", \"output\": \"o\"}]"));
    for (int n = 1, hit = 1; hit; n++) {
        PackOpts p = pack(512);
        TokenSet *ts;
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts);
        hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        token_set_close(ts);
        T_EQ_I64(mem_live(), live);
    }
}
END_TEST

START_TEST(real_instructions_are_read_whole)
{
    static const struct {
        const char *name, *type;
        int64_t n;
    } FILES[] = {{"instruct/alpaca_en_demo.json", "alpaca", 999},
                 {"instruct/alpaca_zh_demo.json", "alpaca", 1000},
                 {"instruct/identity.json", "alpaca", 91},
                 {"instruct/c4_demo.jsonl", "auto", 300}};
    const PackOpts p = pack(8192);
    for (int64_t i = 0; i < N_OF(FILES); i++) {
        const char *path = test_shared_data(FILES[i].name);
        if (!path) T_SKIP("the instruction data are not there");
        const DatasetOpts d = samples(FILES[i].type, path);
        TokenSet *ts;
        T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
        T_EQ_I64(token_set_n_doc(ts), FILES[i].n);
        T_EQ_I64(token_set_counts(ts)->n_cut, 0);
        T_TRUE(token_set_is_samples(ts) == (strcmp(FILES[i].type, "auto") != 0));
        token_set_close(ts);
    }
}
END_TEST

int main(void)
{
    log_set_level(LOG_ERROR);
    if (tokenizer_open("bytes", &bytes) != ST_OK) return EXIT_FAILURE;
    const TTest *t[] = {a_completion_is_learned_to_its_end,
                        alpaca_has_its_two_prompts,
                        a_token_on_the_border_is_learned,
                        an_array_is_read_in_any_shape,
                        bad_samples_name_their_place,
                        packed_samples_stay_whole,
                        packed_samples_share_the_beginning_of_their_prompts,
                        a_sample_without_a_label_is_named_or_dropped,
                        the_cache_knows_what_is_learned,
                        failures_leave_nothing_behind,
                        real_instructions_are_read_whole};
    const int code = test_main("unit.samples", t, N_OF(t));
    tokenizer_close(bytes);
    return code;
}
