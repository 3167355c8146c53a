/* shard_build.c — documents to token streams: one pass, both splits. */
#include "data/buffer.h"
#include "data/shard.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include <math.h>
#include <string.h>

enum { BLOCK_BYTES = 2048 }; /* of a stream: a unit of the held-out split is no smaller */
static const uint64_t SPLIT_SEED = 0x73706c69; /* another seed is another split of every dataset */

/* What a TokenStream is made from. */
typedef struct Growing {
    int64_t n_token, n_doc;
    Buffer tokens, doc_end, learned, number;
} Growing;

typedef struct Builder {
    const Tokenizer *tok;
    uint64_t held_out_below;
    int width;
    bool is_samples;
    Growing split[N_SPLIT];
    TokenList list; /* of one unit */
    Buffer block;   /* lines of a stream not yet given to a split */
} Builder;

static Status append_tokens(Builder *b, Growing *g, const int32_t *ids, int64_t n)
{
    Status rc = ST_OK;
    TRY(buffer_reserve(&g->tokens, (size_t)(n * b->width)));
    void *to = g->tokens.s + g->tokens.n;
    switch (b->width) {
    case 1:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)to)[i] = (uint8_t)ids[i];
        break;
    case 2:
        for (int64_t i = 0; i < n; i++) ((uint16_t *)to)[i] = (uint16_t)ids[i];
        break;
    default:
        memcpy(to, ids, (size_t)n * sizeof *ids);
    }
    g->tokens.n += (size_t)(n * b->width);
    g->n_token += n;
out:
    return rc;
}

/* The bits of the tokens in b->list, which are the last of the stream. Tokens and spans both are in
 * order, so one walk meets them all. */
static Status append_mask(Builder *b, Growing *g, const Doc *d)
{
    Status rc = ST_OK;
    const int64_t n_byte = (g->n_token + 7) / 8, first = g->n_token - b->list.n;
    TRY(buffer_reserve(&g->learned, (size_t)n_byte - g->learned.n)); /* zeroed */
    g->learned.n = (size_t)n_byte;
    int64_t from = 0, span = 0;
    for (int64_t i = 0; i < b->list.n; i++) {
        const int64_t to = b->list.end[i];
        if (from == to) from = to - 1;
        while (span < d->n_learned && d->learned[span].to <= from) span++;
        const bool learned = d->learn_all || (span < d->n_learned && d->learned[span].from < to);
        g->learned.s[(first + i) / 8] |= (char)(learned << (first + i) % 8);
        from = to;
    }
out:
    return rc;
}

static Status end_document(Growing *g)
{
    Status rc = ST_OK;
    TRY(buffer_add(&g->doc_end, &g->n_token, sizeof g->n_token));
    g->n_doc++;
out:
    return rc;
}

/* A unit is what goes to one split as a whole; its own text alone decides to which. */
static Growing *split_of(Builder *b, const char *text, int64_t n_bytes)
{
    const bool held_out = rng_hash_bytes(text, (uint64_t)n_bytes, SPLIT_SEED) < b->held_out_below;
    return &b->split[held_out ? SPLIT_HELD_OUT : SPLIT_TRAIN];
}

/* Special tokens that stand in a document are text: it does not end by quoting the end token. In a
 * sample they are tokens: templates, also those that users write by hand, are made of them. */
static Status add_document(Builder *b, const Doc *d)
{
    Status rc = ST_OK;
    Growing *g = split_of(b, d->text, d->n_bytes);
    TokenList *list = &b->list;
    const int32_t eos = tokenizer_eos(b->tok);
    list->n = 0;
    TRY(tokenizer_encode(b->tok, d->text, d->n_bytes,
                         (d->is_rendered ? 0 : TOKENIZER_ADD_SPECIAL) |
                             (b->is_samples ? TOKENIZER_PARSE_SPECIAL : 0),
                         list));
    const bool has_end = d->is_rendered || (list->n > 0 && list->ids[list->n - 1] == eos);
    if (!has_end) TRY(token_list_add(list, eos, d->n_bytes));
    TRY(append_tokens(b, g, list->ids, list->n));
    if (b->is_samples) {
        TRY(append_mask(b, g, d));
        TRY(buffer_add(&g->number, &d->number, sizeof d->number));
    }
    TRY(end_document(g));
out:
    return rc;
}

static Status flush_block(Builder *b)
{
    Status rc = ST_OK;
    if (b->block.n == 0) goto out;
    Growing *g = split_of(b, b->block.s, (int64_t)b->block.n);
    b->list.n = 0;
    TRY(tokenizer_encode(b->tok, b->block.s, (int64_t)b->block.n, TOKENIZER_PLAIN, &b->list));
    TRY(append_tokens(b, g, b->list.ids, b->list.n));
    b->block.n = 0;
out:
    return rc;
}

/* Cuts a piece of a stream at its line ends; a block is closed by the line that fills it. */
static Status add_piece(Builder *b, const Doc *d)
{
    Status rc = ST_OK;
    const char *text = d->text, *const end = text + d->n_bytes;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline ? newline + 1 : end) - text);
        TRY(buffer_add(&b->block, text, n));
        text += n;
        if (newline && b->block.n >= BLOCK_BYTES) TRY(flush_block(b));
    }
out:
    return rc;
}

static Status end_streams(Builder *b)
{
    Status rc = ST_OK;
    const int32_t eos = tokenizer_eos(b->tok);
    TRY(flush_block(b));
    for (int i = 0; i < N_SPLIT; i++) {
        if (b->split[i].n_token == 0) continue;
        TRY(append_tokens(b, &b->split[i], &eos, 1));
        TRY(end_document(&b->split[i]));
    }
out:
    return rc;
}

static Status add_all(Builder *b, DocSource *src)
{
    Status rc = ST_OK;
    const bool is_stream = doc_source_is_stream(src);
    Doc d;
    for (;;) {
        TRY(doc_source_next(src, &d));
        if (!d.text) break;
        TRY(is_stream ? add_piece(b, &d) : add_document(b, &d));
    }
    if (is_stream) TRY(end_streams(b));
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
    if (s->learned) sha256_add(sha, s->learned, (size_t)(s->n_token + 7) / 8);
    sha256_end(sha, s->fingerprint);
out:
    return rc;
}

/* Hands the bytes over to the stream, never as NULL. */
static Status take(Buffer *from, void **to)
{
    Status rc = ST_OK;
    TRY(buffer_reserve(from, 0));
    *to = from->s;
    *from = (Buffer){0};
out:
    return rc;
}

static Status take_stream(Builder *b, Growing *g, TokenStream *s)
{
    Status rc = ST_OK;
    void *doc_end, *learned, *number;
    *s = (TokenStream){.width = b->width, .n_token = g->n_token, .n_doc = g->n_doc};
    TRY(take(&g->tokens, &s->tokens));
    TRY(take(&g->doc_end, &doc_end));
    s->doc_end = doc_end;
    if (b->is_samples) {
        TRY(take(&g->learned, &learned));
        s->learned = learned;
        TRY(take(&g->number, &number));
        s->number = number;
    }
    TRY(take_fingerprint(s));
out:
    return rc;
}

static void builder_fini(Builder *b)
{
    for (int i = 0; i < N_SPLIT; i++) {
        Growing *g = &b->split[i];
        buffer_fini(&g->tokens);
        buffer_fini(&g->doc_end);
        buffer_fini(&g->learned);
        buffer_fini(&g->number);
    }
    token_list_fini(&b->list);
    buffer_fini(&b->block);
}

Status shard_build(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok, Shard **out_shard)
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    const int64_t vocab = tokenizer_vocab_size(tok);
    Builder b = {.tok = tok,
                 .held_out_below = (uint64_t)ldexp(p->val_size, 64),
                 .width = vocab <= 256     ? 1
                          : vocab <= 65536 ? 2
                                           : 4};
    Shard *shard = mem_alloc(sizeof *shard);
    *out_shard = NULL;
    CHECK(shard, NOMEM, "shard: %zu bytes", sizeof *shard);
    const char *folder = tokenizer_folder(tok);
    CHECK(
        tokenizer_eos(tok) >= 0, CONFIG,
        "%s%sthe tokenizer has no end-of-text token (eos_token), so documents cannot be told apart",
        folder ? folder : "", folder ? ": " : "");
    TRY(doc_source_open(d, p, tok, &src));
    b.is_samples = doc_source_def(src)->is_samples;
    TRY(add_all(&b, src));
    shard->n_empty = doc_source_n_empty(src);
    CHECK(b.split[SPLIT_TRAIN].n_doc + b.split[SPLIT_HELD_OUT].n_doc > 0, DATA,
          "no document in %s (%lld empty texts)", d->path ? d->path : d->type, LL(shard->n_empty));
    for (int i = 0; i < N_SPLIT; i++) TRY(take_stream(&b, &b.split[i], &shard->split[i]));
    *out_shard = shard;
    shard = NULL;
out:
    doc_source_close(src);
    builder_fini(&b);
    shard_destroy(shard);
    return rc;
}
