/* unit_generate.c — continuations against the plain way: one prompt, no filling, one pass a token. */
#include "tests/tiny_run.h"
#include "trainer/run/generate.h"
#include <math.h>

enum { N_PROMPT = 5, N_NEW = 12 };

/* Shorter and longer than the 16 that rows are filled up to, and than the 40 in sight. */
static const char *const TEXTS[N_PROMPT] = {
    "a", "Where does Ann Weaver live? ", "0123456789abcde", "0123456789abcdef",
    "a text with more bytes than the model has ever seen in one row"};

static Prompt prompt_of(const char *text)
{
    return (Prompt){text, (int64_t)strlen(text)};
}

static GenerateOpts options(int64_t max_new_tokens)
{
    GenerateOpts o;
    opt_set_defaults(GENERATE_OPTS, &o);
    o.max_new_tokens = max_new_tokens;
    return o;
}

/* What the most probable byte is, again and again; so many tokens are in sight. */
static void judge(const LoadedModel *m, const char *prompt, int64_t context, char *text)
{
    int32_t ids[128], doc_start[128] = {0}, labels[128] = {0};
    real logits[256];
    int64_t n = (int64_t)strlen(prompt), n_text = 0;
    Tape *tape = NULL;
    T_OK(tape_create(&tape));
    for (int64_t i = 0; i < n; i++) ids[i] = (unsigned char)prompt[i];
    while (n_text < N_NEW) {
        const int64_t T = n < context ? n : context, last = T - 1;
        Batch b = {.B = 1, .T = T, .tokens = ids + n - T, .labels = labels, .doc_start = doc_start};
        int32_t best = 0;
        T_OK(model_logits(m->net.model, tape, &b, 1, &last, logits));
        for (int32_t i = 1; i < 256; i++)
            if (logits[i] > logits[best]) best = i;
        if (best == 0) break;
        ids[n++] = best;
        text[n_text++] = (char)best;
    }
    text[n_text] = 0;
    tape_destroy(tape);
}

START_TEST(a_batch_gives_what_one_by_one_gives)
{
    LoadedModel *m = tiny_random_model(tiny_path("judged"), 3);
    const GenerateOpts o = options(N_NEW);
    Prompt prompt[N_PROMPT];
    Continuation c[N_PROMPT];
    int64_t n_different = 0;
    for (int i = 0; i < N_PROMPT; i++) prompt[i] = prompt_of(TEXTS[i]);
    T_OK(generate(m, &o, N_PROMPT, prompt, c));
    for (int i = 0; i < N_PROMPT; i++) {
        char expected[N_NEW + 1];
        judge(m, TEXTS[i], TINY_CONTEXT, expected);
        T_EQ_STR(c[i].text, expected);
        T_EQ_I64(c[i].n_bytes, strlen(expected));
        T_TRUE(c[i].end == (c[i].n_token < N_NEW ? END_EOS : END_LENGTH));
        n_different += strcmp(c[i].text, c[0].text) != 0;
        const int64_t seen_last = prompt[i].n_bytes + c[i].n_token - (c[i].end == END_LENGTH);
        T_EQ_I64(c[i].n_unseen, seen_last > TINY_CONTEXT ? seen_last - TINY_CONTEXT : 0);
    }
    T_TRUE(n_different >= 3); /* prompts matter, so the comparison means something */
    for (int i = 0; i < N_PROMPT; i++) continuation_fini(&c[i]);
    loaded_model_close(m);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* Prompts above the threshold are read in segments, whole, beyond every context; those below as by the base. */
START_TEST(long_prompts_go_by_the_memory)
{
    LoadedModel *m = tiny_random_model_with(
        tiny_path("memory"), 3,
        "trainable: [{kind: memory_gate, segment_len: 8, n_sink: 2, n_window: 3}]\n");
    const GenerateOpts o = options(N_NEW);
    Prompt prompt[N_PROMPT];
    Continuation c[N_PROMPT], blind;
    int64_t n_long = 0, bytes = 0;
    for (int i = 0; i < N_PROMPT; i++) prompt[i] = prompt_of(TEXTS[i]);
    T_OK(generate(m, &o, N_PROMPT, prompt, c));
    for (int i = 0; i < N_PROMPT; i++) {
        char expected[N_NEW + 1];
        T_EQ_I64(c[i].stats.n_prompt, prompt[i].n_bytes);
        T_TRUE(c[i].stats.in_segments == (prompt[i].n_bytes > 8 + 2 + 3));
        T_TRUE(c[i].stats.first_token_s > 0 && c[i].stats.seconds >= c[i].stats.first_token_s);
        T_TRUE(c[i].stats.state_bytes > 0);
        if (!c[i].stats.in_segments) continue;
        judge(m, TEXTS[i], INT64_MAX, expected);
        T_EQ_STR(c[i].text, expected);
        T_EQ_I64(c[i].n_unseen, 0);
        T_TRUE(n_long++ == 0 || c[i].stats.state_bytes == bytes);
        bytes = c[i].stats.state_bytes;
    }
    T_TRUE(n_long >= 3);
    model_blind(m->net.model, true);
    T_OK(generate(m, &o, 1, &prompt[N_PROMPT - 1], &blind));
    T_TRUE(strcmp(blind.text, c[N_PROMPT - 1].text) != 0);
    continuation_fini(&blind);
    for (int i = 0; i < N_PROMPT; i++) continuation_fini(&c[i]);
    loaded_model_close(m);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(it_ends_at_eos_stop_and_length)
{
    unsigned char follows[256] = {0};
    follows[' '] = 'A';
    follows['A'] = 'b';
    follows['b'] = '.';
    follows['.'] = 'x';
    follows['x'] = 'x';
    follows['e'] = 'f'; /* then eos */
    LoadedModel *m = tiny_bigram_model(tiny_path("ends"), follows);
    const Prompt prompt[3] = {prompt_of("live? "), prompt_of("e"), prompt_of("a longer one: ..x")};
    Continuation c[3];
    GenerateOpts o = options(6);
    o.stop = "b.";
    T_OK(generate(m, &o, 3, prompt, c));
    T_EQ_STR(c[0].text, "Ab.");
    T_TRUE(c[0].end == END_STOP && c[0].n_token == 3 && c[0].n_bytes == 3);
    T_EQ_STR(c[1].text, "f");
    T_TRUE(c[1].end == END_EOS && c[1].n_token == 1);
    T_EQ_STR(c[2].text, "xxxxxx");
    T_TRUE(c[2].end == END_LENGTH && c[2].n_token == 6);
    for (int i = 0; i < 3; i++) continuation_fini(&c[i]);
    o.stop = NULL;
    T_OK(generate(m, &o, 1, prompt, c));
    T_EQ_STR(c[0].text, "Ab.xxx");
    continuation_fini(&c[0]);
    T_OK(generate(m, &o, 0, NULL, NULL));
    loaded_model_close(m);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* A drawn text depends on the seed and the place of its prompt, not on what else is in the batch. */
START_TEST(drawing_is_seeded)
{
    LoadedModel *m = tiny_random_model(tiny_path("drawn"), 4);
    const Prompt prompt[2] = {prompt_of("same"), prompt_of("same")};
    GenerateOpts o = options(N_NEW);
    o.temperature = 2;
    Continuation both[2], alone, other;
    T_OK(generate(m, &o, 2, prompt, both));
    T_OK(generate(m, &o, 1, prompt, &alone));
    o.seed++;
    T_OK(generate(m, &o, 1, prompt, &other));
    T_EQ_STR(both[0].text, alone.text);
    T_TRUE(strcmp(both[0].text, both[1].text) != 0);
    T_TRUE(strcmp(alone.text, other.text) != 0);
    continuation_fini(&both[0]);
    continuation_fini(&both[1]);
    continuation_fini(&alone);
    continuation_fini(&other);
    loaded_model_close(m);
}
END_TEST

START_TEST(hopeless_prompts_and_weights_are_refused)
{
    LoadedModel *m = tiny_random_model(tiny_path("refused"), 5);
    const GenerateOpts o = options(2);
    Continuation c;
    T_FAILS(generate(m, &o, 1, &(Prompt){"", 0}, &c), DATA, "empty prompt");
    T_FAILS(generate(m, &o, 1, &(Prompt){"ab\0c", 4}, &c), DATA, "NUL at byte 2");
    params_find(m->net.params, "model.norm.weight")->val[0] = NAN;
    T_FAILS(generate(m, &o, 1, &(Prompt){"ab", 2}, &c), NONFINITE, "token 2: its logits");
    continuation_fini(&c);
    loaded_model_close(m);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    unsigned char follows[256] = {0};
    follows[' '] = 'A';
    follows['A'] = '.';
    LoadedModel *m = tiny_bigram_model(tiny_path("faults"), follows);
    GenerateOpts o = options(4);
    o.stop = ".";
    const Prompt prompt[2] = {prompt_of("one "), prompt_of("the other ")};
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        Continuation c[2];
        fault_arm(n, false);
        const Status rc = generate(m, &o, 2, prompt, c);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc == ST_NOMEM));
        status_clear();
        continuation_fini(&c[0]);
        continuation_fini(&c[1]);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    loaded_model_close(m);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_batch_gives_what_one_by_one_gives,      long_prompts_go_by_the_memory,
        it_ends_at_eos_stop_and_length,           drawing_is_seeded,
        hopeless_prompts_and_weights_are_refused, no_memory_is_survived_everywhere};
    return test_main("unit.generate", tests, N_OF(tests));
}
