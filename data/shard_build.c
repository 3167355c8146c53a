/* shard_build.c — documents to token streams: one pass, both splits. */
#include "data/shard.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include <math.h>
#include <string.h>

enum { BLOCK_BYTES = 2048 }; /* of a stream: a unit of the held-out split is no smaller */
static const uint64_t SPLIT_SEED = 0x73706c69; /* another seed is another split of every dataset */

typedef struct Builder {
    const Tokenizer *tok;
    uint64_t held_out_below;
    Shard *shard;
    size_t tokens_cap[N_SPLIT], doc_cap[N_SPLIT]; /* in bytes */
    TokenList list;                               /* of one unit */
    char *block;                                  /* lines of a stream not yet given to a split */
    size_t block_cap, block_n;
} Builder;

/* Room for `more` bytes behind `used`; grows by half, so a big stream is not held twice over. */
static Status reserve(void **p, size_t *cap, size_t used, size_t more)
{
    Status rc = ST_OK;
    if (used + more <= *cap) goto out;
    const size_t wanted = used + more + used / 2 + 4096;
    void *wider = mem_resize(*p, used, wanted);
    CHECK(wider, NOMEM, "tokens: %zu bytes", wanted);
    *p = wider;
    *cap = wanted;
out:
    return rc;
}

static Status append_tokens(Builder *b, Split split, const int32_t *ids, int64_t n)
{
    Status rc = ST_OK;
    TokenStream *s = &b->shard->split[split];
    TRY(reserve(&s->tokens, &b->tokens_cap[split], (size_t)(s->n_token * s->width),
                (size_t)(n * s->width)));
    switch (s->width) {
    case 1:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)s->tokens)[s->n_token + i] = (uint8_t)ids[i];
        break;
    case 2:
        for (int64_t i = 0; i < n; i++) ((uint16_t *)s->tokens)[s->n_token + i] = (uint16_t)ids[i];
        break;
    default:
        memcpy((int32_t *)s->tokens + s->n_token, ids, (size_t)n * sizeof *ids);
    }
    s->n_token += n;
out:
    return rc;
}

static Status end_document(Builder *b, Split split)
{
    Status rc = ST_OK;
    TokenStream *s = &b->shard->split[split];
    const int32_t eos = tokenizer_eos(b->tok);
    const int64_t from = s->n_doc > 0 ? s->doc_end[s->n_doc - 1] : 0;
    const bool has_eos = s->n_token > from && stream_token_at(s, s->n_token - 1) == eos;
    if (!has_eos) TRY(append_tokens(b, split, &eos, 1)); /* the tokenizer may have put it there */
    void *ends = s->doc_end;
    TRY(reserve(&ends, &b->doc_cap[split], (size_t)s->n_doc * sizeof *s->doc_end,
                sizeof *s->doc_end));
    s->doc_end = ends;
    s->doc_end[s->n_doc++] = s->n_token;
out:
    return rc;
}

/* A unit is what goes to one split as a whole; its own text alone decides to which. Special tokens
 * that stand in it are text: data does not end a document by quoting the end token. */
static Status add_unit(Builder *b, const char *text, int64_t n_bytes, TokenizerFlags flags,
                       Split *split)
{
    Status rc = ST_OK;
    *split = rng_hash_bytes(text, (uint64_t)n_bytes, SPLIT_SEED) < b->held_out_below
                 ? SPLIT_HELD_OUT
                 : SPLIT_TRAIN;
    b->list.n = 0;
    TRY(tokenizer_encode(b->tok, text, n_bytes, flags, &b->list));
    TRY(append_tokens(b, *split, b->list.ids, b->list.n));
out:
    return rc;
}

static Status flush_block(Builder *b)
{
    Status rc = ST_OK;
    Split split;
    if (b->block_n > 0) TRY(add_unit(b, b->block, (int64_t)b->block_n, TOKENIZER_PLAIN, &split));
    b->block_n = 0;
out:
    return rc;
}

/* Cuts a piece of a stream at its line ends; a block is closed by the line that fills it. */
static Status add_piece(Builder *b, const char *text, int64_t n_bytes)
{
    Status rc = ST_OK;
    const char *const end = text + n_bytes;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline ? newline + 1 : end) - text);
        void *block = b->block;
        TRY(reserve(&block, &b->block_cap, b->block_n, n));
        b->block = block;
        memcpy(b->block + b->block_n, text, n);
        b->block_n += n;
        text += n;
        if (newline && b->block_n >= BLOCK_BYTES) TRY(flush_block(b));
    }
out:
    return rc;
}

static Status add_all(Builder *b, DocSource *src)
{
    Status rc = ST_OK;
    const bool is_stream = doc_source_is_stream(src);
    const char *text;
    int64_t n_bytes;
    for (;;) {
        Split split;
        TRY(doc_source_next(src, &text, &n_bytes));
        if (!text) break;
        if (is_stream) {
            TRY(add_piece(b, text, n_bytes));
        } else {
            TRY(add_unit(b, text, n_bytes, TOKENIZER_ADD_SPECIAL, &split));
            TRY(end_document(b, split));
        }
    }
    TRY(flush_block(b));
    for (Split split = 0; split < N_SPLIT && is_stream; split++)
        if (b->shard->split[split].n_token > 0) TRY(end_document(b, split));
    b->shard->n_empty = doc_source_n_empty(src);
out:
    return rc;
}

static Status take_fingerprint(TokenStream *s)
{
    Status rc = ST_OK;
    Sha256 *sha = NULL;
    TRY(sha256_begin(&sha));
    sha256_add(sha, &s->n_token, sizeof s->n_token);
    sha256_add(sha, s->tokens, (size_t)(s->n_token * s->width));
    sha256_add(sha, s->doc_end, (size_t)s->n_doc * sizeof *s->doc_end);
    sha256_end(sha, s->fingerprint);
out:
    return rc;
}

Status shard_build(const DatasetOpts *d, double val_size, const Tokenizer *tok, Shard **shard)
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    Builder b = {.tok = tok, .held_out_below = (uint64_t)ldexp(val_size, 64)};
    const int64_t vocab = tokenizer_vocab_size(tok);
    *shard = NULL;
    CHECK(tokenizer_eos(tok) >= 0, CONFIG,
          "the tokenizer has no end-of-text token (eos_token), so documents cannot be told apart");
    b.shard = mem_alloc(sizeof *b.shard);
    CHECK(b.shard, NOMEM, "shard: %zu bytes", sizeof *b.shard);
    for (int i = 0; i < N_SPLIT; i++)
        b.shard->split[i].width = vocab <= 256 ? 1 : vocab <= 65536 ? 2 : 4;
    TRY(doc_source_open(d, &src));
    TRY(add_all(&b, src));
    const int64_t n_doc = b.shard->split[SPLIT_TRAIN].n_doc + b.shard->split[SPLIT_HELD_OUT].n_doc;
    CHECK(n_doc > 0, DATA, "no document in %s (%lld empty texts)", d->path ? d->path : d->type,
          LL(b.shard->n_empty));
    for (int i = 0; i < N_SPLIT; i++) TRY(take_fingerprint(&b.shard->split[i]));
    *shard = b.shard;
    b.shard = NULL;
out:
    doc_source_close(src);
    token_list_fini(&b.list);
    mem_free(b.block);
    shard_destroy(b.shard);
    return rc;
}
