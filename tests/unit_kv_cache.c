/* unit_kv_cache.c — a text read piece by piece on top of a cache gives the logits of the text read at once. */
#include "data/data.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/models/kv_cache.h"
#include <string.h>

enum { V = 29, N_TEXT = 3, LONGEST = 23 };

typedef struct Toy {
    ParamSet *ps;
    Model *model;
    Tape *tape;
    int32_t text[N_TEXT][LONGEST];
} Toy;

static void toy_init(Toy *toy, const char *model_type)
{
    ModelConfig c;
    Rng r;
    opt_set_defaults(MODEL_OPTS, &c);
    c.model_type = model_type;
    c.vocab_size = V;
    c.hidden_size = 16;
    c.intermediate_size = 24;
    c.num_hidden_layers = 3;
    c.num_attention_heads = 4;
    c.max_position_embeddings = 64;
    if (strcmp(model_type, "gpt2") != 0) c.num_key_value_heads = 2;
    if (strcmp(model_type, "mistral") == 0 || strcmp(model_type, "gemma2") == 0)
        c.sliding_window = 5;
    T_OK(params_create(&toy->ps));
    T_OK(model_create(&c, toy->ps, &toy->model));
    T_OK(params_seal(toy->ps));
    T_OK(tape_create(&toy->tape));
    rng_init(&r, 3, 0);
    for (int64_t i = 0; i < params_count(toy->ps); i++)
        for (int64_t j = 0; j < params_at(toy->ps, i)->n; j++)
            params_at(toy->ps, i)->val[j] = (real)(0.4 * rng_normal(&r));
    for (int i = 0; i < N_TEXT; i++)
        for (int j = 0; j < LONGEST; j++) toy->text[i][j] = (int32_t)rng_below(&r, V);
}

static void toy_fini(Toy *toy)
{
    tape_destroy(toy->tape);
    model_destroy(toy->model);
    params_destroy(toy->ps);
}

/* The logits after the first n tokens of a text, read at once. */
static void read_at_once(Toy *toy, const int32_t *text, int64_t n, real *logits)
{
    Batch *b;
    const int64_t last = n - 1;
    T_OK(batch_create(1, n, &b));
    memcpy(b->tokens, text, (size_t)n * sizeof *text);
    T_OK(model_logits(toy->model, toy->tape, b, 1, &last, logits));
    batch_destroy(b);
}

/* Texts of different lengths side by side, in slots of another order; then single tokens; one text ends early. */
static void check_family(const char *model_type)
{
    static const int64_t first[N_TEXT] = {9, 4, 12}, slot[N_TEXT] = {2, 0, 1};
    Toy toy;
    KvCache *cache;
    Batch *b;
    real got[N_TEXT * V], want[V];
    int64_t n[N_TEXT] = {0}, n_new[N_TEXT];
    toy_init(&toy, model_type);
    T_OK(kv_cache_create(model_config(toy.model), N_TEXT, LONGEST, &cache));
    T_OK(batch_create(N_TEXT, LONGEST, &b));
    for (int step = 0; step < 11; step++) {
        b->B = step < 6 ? N_TEXT : N_TEXT - 1;
        b->T = step == 0 ? 12 : 1;
        for (int64_t i = 0; i < b->B; i++) {
            n_new[i] = step == 0 ? first[i] : 1;
            memset(b->tokens + i * b->T, 0, (size_t)b->T * sizeof *b->tokens);
            memcpy(b->tokens + i * b->T, toy.text[i] + n[i], (size_t)n_new[i] * sizeof *b->tokens);
            n[i] += n_new[i];
        }
        T_OK(model_extend(toy.model, toy.tape, b, &(KvRows){cache, slot, n_new}, got));
        for (int64_t i = 0; i < b->B; i++) {
            read_at_once(&toy, toy.text[i], n[i], want);
            for (int v = 0; v < V; v++) T_NEAR(got[i * V + v], want[v], 2e-4);
        }
    }
    T_EQ_I64(cache->n_past[0], n[1]);
    n_new[0] = LONGEST - n[0] + 1;
    b->B = 1;
    b->T = n_new[0];
    T_FAILS(model_extend(toy.model, toy.tape, b, &(KvRows){cache, slot, n_new}, got), CONFIG,
            "there is room for 23");
    batch_destroy(b);
    kv_cache_destroy(cache);
    toy_fini(&toy);
}

START_TEST(every_family_reads_on_where_it_was)
{
    static const char *const FAMILIES[] = {"llama", "mistral", "qwen2", "qwen3", "gpt2", "gemma2"};
    for (int64_t i = 0; i < N_OF(FAMILIES); i++) check_family(FAMILIES[i]);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_family_reads_on_where_it_was};
    return test_main("unit.kv_cache", tests, N_OF(tests));
}
