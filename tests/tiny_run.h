/* tiny_run.h — checkpoints of a run too small to be trained: a random model, and one that knows
 * nothing but which byte follows which. */
#ifndef TESTS_TINY_RUN_H
#define TESTS_TINY_RUN_H
#include "tests/test_helper.h"
#include "trainer/run/loaded_model.h"
#include "trainer/run/state.h"
#include <stdio.h>
#include <string.h>

enum { TINY_CONTEXT = 40 };

static inline char *tiny_path(const char *name)
{
    static char path[16][512];
    static int next;
    next = (next + 1) % 16;
    snprintf(path[next], sizeof path[next], "%s/%s", test_dir(), name);
    return path[next];
}

/* more: lines at the end of the config */
static inline RunConfig *tiny_config_with(int64_t width, const char *more)
{
    RunConfig *cfg = NULL;
    char *text = mem_printf(
        "output_dir: out\n"
        "datasets: [{path: none.txt, document: line}]\n"
        "max_seq_length: %d\n"
        "max_steps: 1\n"
        "global_batch_size: 2\n"
        "model: {hidden_size: %lld, intermediate_size: 16, num_hidden_layers: 1,\n"
        "        num_attention_heads: 2, vocab_size: 256, max_position_embeddings: 64}\n%s",
        TINY_CONTEXT, LL(width), more);
    T_OK(config_parse("tiny.yaml", text, strlen(text), 0, NULL, &cfg));
    mem_free(text);
    return cfg;
}

static inline RunConfig *tiny_config(int64_t width)
{
    return tiny_config_with(width, "");
}

static inline void tiny_save(TrainState *s, const char *kind, const char *version, const char *dir)
{
    const SaveNote note = {.kind = kind, .version = version};
    T_OK(state_save(test_world(), s, &note, false, dir));
}

/* Weights far enough from a start that every byte of the prompt matters. */
static inline void tiny_random(TrainState *s, uint64_t seed)
{
    Rng r;
    rng_init(&r, seed, 0);
    T_OK(state_start(s));
    for (int64_t i = 0; i < params_count(s->net.params); i++) {
        const Param *p = params_at(s->net.params, i);
        for (int64_t j = 0; j < p->n; j++) p->val[j] += (real)(0.3 * rng_normal(&r));
    }
}

/* After byte b comes follows[b], whatever stood before: the embedding is one-hot, the block adds
 * nothing, the head is the table. Width 256. */
static inline void tiny_bigram(TrainState *s, const unsigned char follows[256])
{
    for (int64_t i = 0; i < params_count(s->net.params); i++) {
        const Param *p = params_at(s->net.params, i);
        for (int64_t j = 0; j < p->n; j++) p->val[j] = p->kind == PARAM_NORM;
    }
    real *embedding = params_find(s->net.params, "model.embed_tokens.weight")->val,
         *head = params_find(s->net.params, "lm_head.weight")->val;
    for (int b = 0; b < 256; b++) {
        embedding[b * 256 + b] = 1;
        head[follows[b] * 256 + b] = 1;
    }
}

/* Writes a bigram model to dir and opens it. */
static inline LoadedModel *tiny_bigram_model(const char *dir, const unsigned char follows[256])
{
    RunConfig *cfg = tiny_config(256);
    TrainState *s = NULL;
    LoadedModel *m = NULL;
    T_OK(state_create(comm_self(), cfg, &s));
    tiny_bigram(s, follows);
    tiny_save(s, "final", "", dir);
    state_destroy(s);
    config_destroy(cfg);
    T_OK(loaded_model_open(&(ModelChoice){.dir = dir}, &m));
    return m;
}

static inline LoadedModel *tiny_random_model_with(const char *dir, uint64_t seed, const char *more)
{
    RunConfig *cfg = tiny_config_with(24, more);
    TrainState *s = NULL;
    LoadedModel *m = NULL;
    T_OK(state_create(comm_self(), cfg, &s));
    tiny_random(s, seed);
    tiny_save(s, "final", "", dir);
    state_destroy(s);
    config_destroy(cfg);
    T_OK(loaded_model_open(&(ModelChoice){.dir = dir}, &m));
    return m;
}

static inline LoadedModel *tiny_random_model(const char *dir, uint64_t seed)
{
    return tiny_random_model_with(dir, seed, "");
}
#endif
