/* generate.c — one batch of the rows that are still open: first their prompts, then a token of each on top of the cache.
 * A row longer than the model's sight is read again for each token, for all its positions move. Rows read in segments go
 * one by one, each with a cache of its own. */
#include "trainer/run/generate.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/models/kv_cache.h"
#include "trainer/models/segments.h"
#include <string.h>

// clang-format off
const OptSpec GENERATE_OPTS[] = {
    OPT_COUNT(GenerateOpts, max_new_tokens, 200, 1, 1e6, "tokens to add at most"),
    OPT_I64(GenerateOpts, seed, 1, 0, 9e15, "of the random numbers"),
    OPT_F64(GenerateOpts, temperature, 0, 0, 1e3, "logits are divided by it; 0: always the most probable token"),
    OPT_I64(GenerateOpts, top_k, 0, 0, 1e9, "draw from so many most probable tokens; 0: all"),
    OPT_F64(GenerateOpts, top_p, 1, 1e-9, 1, "draw from the fewest tokens that have this share together"),
    OPT_STR(GenerateOpts, stop, NULL, "text that ends the continuation"),
    OPT_END
};
// clang-format on

typedef struct Row {
    int32_t *ids; /* prompt and continuation */
    int64_t n, n_prompt;
    Rng rng;
    bool closed;
    SegmentCache *segments; /* NULL: it is a row of the batch */
} Row;

typedef struct Generator {
    const LoadedModel *m;
    const GenerateOpts *o;
    int64_t n_row, n_open, context;
    int64_t vocab; /* width of the logits */
    int64_t n_id;  /* ids that stand for a text */
    Row *row;
    int64_t *open;  /* (n_open) rows of the present batch, and their slots in the cache */
    int64_t *n_new; /* (n_open) tokens of each that the cache has not seen */
    KvCache *cache; /* NULL: every row is read in segments */
    Batch *batch;   /* memory for all rows; B and T are those of the present pass */
    Tape *tape;
    real *logits; /* (n_open, vocab) */
    SampleCandidate *room;
    double begun; /* seconds */
} Generator;

const char *generate_end_name(GenerateEnd end)
{
    static const char *const NAMES[] = {"eos", "stop", "length"};
    return NAMES[end];
}

void continuation_fini(Continuation *c)
{
    mem_free(c->text);
    *c = (Continuation){0};
}

static void generator_fini(Generator *g)
{
    for (int64_t i = 0; g->row && i < g->n_row; i++) {
        mem_free(g->row[i].ids);
        segment_cache_destroy(g->row[i].segments);
    }
    mem_free(g->row);
    mem_free(g->open);
    mem_free(g->n_new);
    kv_cache_destroy(g->cache);
    batch_destroy(g->batch);
    tape_destroy(g->tape);
    mem_free(g->logits);
    mem_free(g->room);
}

static Status row_init(const Generator *g, int64_t i, const Prompt *p)
{
    Status rc = ST_OK;
    Row *r = &g->row[i];
    TokenList prompt = {0};
    CHECK(!p->n_bytes || !memchr(p->text, 0, (size_t)p->n_bytes), DATA,
          "the prompt has a NUL at byte %lld",
          LL((const char *)memchr(p->text, 0, (size_t)p->n_bytes) - p->text));
    TRY(loaded_model_encode(g->m, p->text, p->n_bytes,
                            TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL, &prompt));
    CHECK(prompt.n > 0, DATA,
          "an empty prompt: at least one token must go before the first new one, and this "
          "tokenizer puts none there");
    r->n = r->n_prompt = prompt.n;
    r->ids = mem_array(r->n + g->o->max_new_tokens, sizeof *r->ids);
    CHECK(r->ids, NOMEM, "a text of %lld tokens", LL(r->n + g->o->max_new_tokens));
    memcpy(r->ids, prompt.ids, (size_t)prompt.n * sizeof *r->ids);
    rng_init(&r->rng, (uint64_t)g->o->seed, (uint64_t)i);
    if (segments_for(g->m->net.model, r->n, false))
        TRY(segment_cache_create(g->m->net.model, 1, &r->segments));
out:
    token_list_fini(&prompt);
    return rc;
}

/* For the rows that are read whole. */
static Status cache_create(Generator *g)
{
    Status rc = ST_OK;
    int64_t longest = 0;
    for (int64_t i = 0; i < g->n_row; i++)
        if (!g->row[i].segments && g->row[i].n > longest) longest = g->row[i].n;
    if (longest == 0) goto out;
    const int64_t whole = longest + g->o->max_new_tokens,
                  in_sight = whole < g->context ? whole : g->context;
    TRY(batch_create(g->n_row, whole <= g->context ? longest : in_sight, &g->batch));
    TRY(kv_cache_create(model_config(g->m->net.model), g->n_row, in_sight, &g->cache));
out:
    return rc;
}

static Status generator_init(Generator *g, const Prompt *prompt)
{
    Status rc = ST_OK;
    const int64_t n = g->n_row, known = tokenizer_vocab_size(g->m->tokenizer);
    g->begun = clock_s();
    g->vocab = model_config(g->m->net.model)->vocab_size;
    g->n_id = known < g->vocab ? known : g->vocab;
    g->context = loaded_model_context(g->m);
    g->row = mem_array(n, sizeof *g->row);
    g->open = mem_array(n, sizeof *g->open);
    g->n_new = mem_array(n, sizeof *g->n_new);
    g->room = mem_array(g->n_id, sizeof *g->room);
    g->logits = mem_alloc((size_t)(n * g->vocab) * sizeof *g->logits);
    CHECK(g->row && g->open && g->n_new && g->room && g->logits, NOMEM, "%lld texts", LL(n));
    for (int64_t i = 0; i < n; i++) TRY(row_init(g, i, &prompt[i]));
    TRY(cache_create(g));
    TRY(tape_create(&g->tape));
out:
    return rc;
}

/* What the cache has not seen of each open row. */
static void fill_batch(Generator *g, Continuation *out)
{
    Batch *b = g->batch;
    g->n_open = 0;
    if (!g->cache) return;
    b->T = 0;
    for (int64_t i = 0; i < g->n_row; i++) {
        const Row *r = &g->row[i];
        if (r->closed || r->segments) continue;
        const int64_t seen = r->n < g->context ? r->n : g->context;
        if (seen < r->n) g->cache->n_past[i] = 0;
        g->n_new[g->n_open] = seen - g->cache->n_past[i];
        if (g->n_new[g->n_open] > b->T) b->T = g->n_new[g->n_open];
        g->open[g->n_open++] = i;
        out[i].n_unseen = r->n - seen;
    }
    b->B = g->n_open;
    for (int64_t k = 0; k < g->n_open; k++) {
        const Row *r = &g->row[g->open[k]];
        int32_t *tokens = b->tokens + k * b->T;
        memcpy(tokens, r->ids + r->n - g->n_new[k], (size_t)g->n_new[k] * sizeof *tokens);
        for (int64_t t = g->n_new[k]; t < b->T; t++) tokens[t] = 0; /* filling */
    }
}

/* What n tokens from ids on stand for. Owns: *text is the caller's (mem_free) */
static Status text_of(const Generator *g, const int32_t *ids, int64_t n, char **text,
                      int64_t *n_text)
{
    Status rc = ST_OK;
    *n_text = tokenizer_decode(g->m->tokenizer, ids, n, TOKENIZER_SKIP_SPECIAL, NULL, 0);
    *text = mem_alloc((size_t)*n_text + 1);
    CHECK(*text, NOMEM, "a text of %lld bytes", LL(*n_text));
    tokenizer_decode(g->m->tokenizer, ids, n, TOKENIZER_SKIP_SPECIAL, *text, *n_text);
out:
    return rc;
}

/* The new tokens as they read behind the last one of the prompt: alone, some tokenizers drop the space in front of them. */
static Status decode(const Generator *g, const Row *r, Continuation *c)
{
    Status rc = ST_OK;
    char *last = NULL, *both = NULL;
    const int32_t *ids = r->ids + r->n_prompt;
    int64_t n_last = 0, n_both = 0;
    const bool has_last = r->n_prompt > 0;
    mem_free(c->text);
    c->text = NULL;
    TRY(text_of(g, ids, c->n_token, &c->text, &c->n_bytes));
    TRY(text_of(g, ids - has_last, has_last, &last, &n_last));
    TRY(text_of(g, ids - has_last, has_last + c->n_token, &both, &n_both));
    if (n_both - n_last < c->n_bytes || memcmp(both, last, (size_t)n_last) != 0) goto out;
    memmove(both, both + n_last, (size_t)(n_both - n_last) + 1);
    mem_free(c->text);
    c->text = both;
    c->n_bytes = n_both - n_last;
    both = NULL;
out:
    mem_free(both);
    mem_free(last);
    return rc;
}

/* Cuts the text behind the first `stop`; false when it has none. */
static bool cut_at_stop(Continuation *c, const char *stop)
{
    const size_t n_stop = strlen(stop);
    const char *at = memmem(c->text, (size_t)c->n_bytes, stop, n_stop);
    if (!at) return false;
    c->n_bytes = at - c->text + (int64_t)n_stop;
    c->text[c->n_bytes] = 0;
    return true;
}

static void take_stats(const Generator *g, const Row *r, Continuation *c)
{
    GenerateStats *s = &c->stats;
    s->seconds = clock_s() - g->begun;
    if (c->n_token > 0) return;
    s->first_token_s = s->seconds;
    s->in_segments = r->segments != NULL;
    s->n_prompt = r->n_prompt;
    s->state_bytes = r->segments ? segment_cache_bytes(g->m->net.model, 1)
                                 : kv_bytes(model_config(g->m->net.model), g->cache->capacity);
}

const char *route_name(bool in_segments)
{
    return in_segments ? "memory" : "attention";
}

static Status take_token(Generator *g, Row *r, const real *logits, Continuation *c)
{
    Status rc = ST_OK;
    const GenerateOpts *o = g->o;
    const SampleOpts sample = {o->temperature, o->top_k, o->top_p};
    const int32_t id = sample_token(&sample, logits, g->n_id, rng_uniform(&r->rng), g->room);
    CHECK(id >= 0, NONFINITE, "token %lld: its logits are not finite", LL(r->n));
    take_stats(g, r, c);
    r->closed = true;
    if (tokenizer_is_end(g->m->tokenizer, id)) {
        c->end = END_EOS;
        TRY(decode(g, r, c));
        goto out;
    }
    r->ids[r->n++] = id;
    c->n_token++;
    c->end = END_LENGTH;
    r->closed = c->n_token == o->max_new_tokens;
    if (!r->closed && !o->stop) goto out;
    TRY(decode(g, r, c));
    if (!o->stop || !cut_at_stop(c, o->stop)) goto out;
    c->end = END_STOP;
    r->closed = true;
out:
    return rc;
}

/* One more token for each open row of the batch. */
static Status extend_batch(Generator *g, Continuation *out)
{
    Status rc = ST_OK;
    const KvRows rows = {g->cache, g->open, g->n_new};
    fill_batch(g, out);
    if (g->n_open == 0) goto out;
    TRY(model_extend(g->m->net.model, g->tape, g->batch, &rows, g->logits));
    for (int64_t k = 0; k < g->n_open; k++)
        TRY(take_token(g, &g->row[g->open[k]], g->logits + k * g->vocab, &out[g->open[k]]));
out:
    return rc;
}

/* All tokens of a row that is read in segments. */
static Status extend_row(Generator *g, Row *r, Continuation *c)
{
    Status rc = ST_OK;
    while (!r->closed) {
        const int64_t seen = segment_cache_n_past(r->segments);
        TRY(model_extend_segments(g->m->net.model, g->tape, r->segments, r->n - seen, r->ids + seen,
                                  g->logits));
        TRY(take_token(g, r, g->logits, c));
    }
out:
    return rc;
}

Status generate(const LoadedModel *m, const GenerateOpts *o, int64_t n, const Prompt *prompt,
                Continuation *out)
{
    Status rc = ST_OK;
    Generator g = {.m = m, .o = o, .n_row = n};
    if (n == 0) goto out;
    memset(out, 0, (size_t)n * sizeof *out);
    TRY(generator_init(&g, prompt));
    do TRY(extend_batch(&g, out));
    while (g.n_open > 0);
    for (int64_t i = 0; i < n; i++)
        if (g.row[i].segments) TRY(extend_row(&g, &g.row[i], &out[i]));
out:
    generator_fini(&g);
    return rc;
}
