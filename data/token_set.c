/* token_set.c — opens a dataset on all ranks, and cuts its token stream into rows. */
#include "data/token_set.h"
#include "data/shard_cache.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <string.h>

// clang-format off
const OptSpec PACK_OPTS[] = {
    OPT_COUNT(PackOpts, max_seq_length, 512, 1, 16e6, "tokens in a row"),
    OPT_BOOL(PackOpts, packing, true, "several documents in one row; false: one document a row, cut or filled"),
    OPT_ENUM(PackOpts, packing_attention, "document", "document|full", "full: documents packed into one row see each other"),
    OPT_BOOL(PackOpts, prefix_sharing, true, "packed samples whose prompts begin with the same tokens have them once in a row (not with kind: memory_gate)"),
    OPT_STR(PackOpts, chat_template, "tokenizer_default", "type messages: tokenizer_default, the name of a known template, or FILE.jinja"),
    OPT_WORDS(PackOpts, roles_to_train, "assistant", "system|developer|user|assistant|tool", "type messages: whose messages are learned"),
    OPT_BOOL(PackOpts, train_on_inputs, false, "samples (types completion, alpaca, messages): learn prompts, too"),
    OPT_ENUM(PackOpts, on_empty_sample, "stop", "stop|drop", "what a sample does of which nothing is to be learned, as it is or cut to max_seq_length"),
    OPT_F64(PackOpts, val_size, 0.0, 0.0, 0.5, "share of every dataset held out for evaluation, chosen by hash of the text"),
    OPT_STR(PackOpts, cache_dir, NULL, "folder of token shards; default: switchyard below $XDG_CACHE_HOME or ~/.cache"),
    OPT_COUNT(PackOpts, cache_limit_bytes, 20e9, 1e6, 1e15, "size of that folder; the oldest used shards go first"),
    OPT_END
};
// clang-format on

/* ---- opening ---- */

/* Every rank looks, also those that will only read the shard: a mount that is missing shows at
 * once. */
static Status can_read_source(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok)
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    if (d->path) TRY(doc_source_open(d, p, tok, &src));
out:
    doc_source_close(src);
    return rc;
}

static Status read_shard(const PackOpts *p, const char *name, Split split, TokenSet *ts)
{
    Status rc = ST_OK;
    char digest[SHA256_HEX], *dir = NULL, *path = NULL;
    TRY(shard_cache_dir(p, &dir));
    path = path_join(dir, name);
    CHECK(path, NOMEM, "%s: no memory for a name", dir);
    TRY(shard_read(path, shard_name_digest(name, digest), split, &ts->stream, &ts->counts.n_empty));
out:
    mem_free(path);
    mem_free(dir);
    return rc;
}

/* Rank: local. */
static Status check_same_key(const DatasetOpts *d, const char *own, const char *first)
{
    Status rc = ST_OK;
    CHECK(strcmp(own, first) == 0, DATA, "%s: is not the same file as on rank 0's node",
          d->path ? d->path : d->type);
out:
    return rc;
}

/* The first rank of each node provides the file, then all read it. A cached file that turns out to
 * be damaged is built again, once. */
static Status read_on_all(const Comm *c, const DatasetOpts *d, const PackOpts *p,
                          const Tokenizer *tok, Split split, TokenSet *ts)
{
    Status rc = ST_OK;
    ShardLease lease = {.fd = -1};
    const bool provides = comm_node_rank(c) == 0;
    for (bool rebuild = false;; rebuild = true) {
        char own[SHA256_HEX], first[SHA256_HEX];
        TRY(comm_agree(c, provides ? shard_cache_acquire(d, p, tok, rebuild, &lease) : ST_OK));
        memcpy(first, shard_name_key(lease.name, own), sizeof first);
        comm_bcast(c, first, sizeof first, 0);
        TRY(comm_agree(c, provides ? check_same_key(d, own, first)
                                   : shard_cache_find(p, first, &lease)));
        rc = read_shard(p, lease.name, split, ts);
        shard_cache_release(&lease); /* before others know: a damaged file must be free to go */
        rc = comm_agree(c, rc);
        if (rc != ST_FORMAT || rebuild) break;
        LOG_W("%s; it is built again", status_message());
        status_clear();
        stream_fini(&ts->stream); /* of the ranks that could read it */
    }
out:
    shard_cache_release(&lease);
    return rc;
}

Status token_set_open(const Comm *c, const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok,
                      Split split, TokenSet **out_ts)
{
    Status rc = ST_OK;
    TokenSet *ts = mem_alloc(sizeof *ts);
    *out_ts = NULL;
    TRY(comm_agree(
        c, ts ? can_read_source(d, p, tok)
              : status_fail(ST_NOMEM, __FILE__, __LINE__, "token set: %zu bytes", sizeof *ts)));
    dataset_name(d, ts->name, sizeof ts->name);
    ts->T = p->max_seq_length;
    ts->own_document_only = strcmp(p->packing_attention, "document") == 0;
    ts->eos = tokenizer_eos(tok);
    TRY(read_on_all(c, d, p, tok, split, ts));
    TRY(comm_agree(c, token_set_cut(ts, d, p, split)));
    *out_ts = ts;
    ts = NULL;
out:
    token_set_close(ts);
    return rc;
}

void token_set_close(TokenSet *ts)
{
    if (!ts) return;
    stream_fini(&ts->stream);
    mem_free(ts->doc);
    mem_free(ts->beginning);
    mem_free(ts->row_end);
    mem_free(ts);
}

const char *token_set_name(const TokenSet *ts)
{
    return ts->name;
}

const char *token_set_fingerprint(const TokenSet *ts)
{
    return ts->stream.fingerprint;
}

int64_t token_set_n_row(const TokenSet *ts)
{
    return ts->n_row;
}

int64_t token_set_n_token(const TokenSet *ts)
{
    return ts->stream.n_token;
}

int64_t token_set_n_doc(const TokenSet *ts)
{
    return ts->stream.n_doc;
}

int64_t token_set_bytes(const TokenSet *ts)
{
    const TokenStream *s = &ts->stream;
    const int64_t per_doc =
        1 + (s->number != NULL) + 2 * (ts->doc != NULL) + (ts->beginning != NULL); /* two halves */
    return s->n_token * s->width + (s->learned ? s->n_token / 8 : 0) +
           s->n_doc * per_doc * (int64_t)sizeof(int64_t);
}

const TokenCounts *token_set_counts(const TokenSet *ts)
{
    return &ts->counts;
}

bool token_set_is_samples(const TokenSet *ts)
{
    return ts->stream.learned != NULL;
}

int64_t token_set_sample(const TokenSet *ts, int64_t row, int64_t *n)
{
    const TokenStream *s = &ts->stream;
    ASSERT(!ts->streams && row >= 0 && row < ts->n_row);
    const int64_t doc = ts->doc[row];
    *n = doc_tokens_in_row(ts, doc);
    return s->number ? s->number[doc] : doc + 1;
}

int64_t token_set_row_tokens(const TokenSet *ts, int64_t row)
{
    int64_t n = 0;
    ASSERT(row >= 0 && row < ts->n_row);
    if (ts->streams) return ts->T;
    for (int64_t k = row == 0 ? 0 : ts->row_end[row - 1]; k < ts->row_end[row]; k++) {
        n += doc_tokens_in_row(ts, ts->doc[k]) - (ts->beginning ? ts->beginning[k].n : 0);
    }
    return n;
}

Status token_set_check_ids(const TokenSet *ts, const Tokenizer *tok, int64_t vocab_size)
{
    Status rc = ST_OK;
    int32_t highest = ts->streams || ts->n_row == 0 ? 0 : ts->eos;
    const char *folder = tokenizer_folder(tok);
    if (tokenizer_vocab_size(tok) <= vocab_size) goto out;
    for (int64_t i = 0; i < ts->stream.n_token; i++) {
        const int32_t id = stream_token_at(&ts->stream, i);
        if (id > highest) highest = id;
    }
    CHECK(
        highest < vocab_size, DATA,
        "%s: holds the token %d, the model has the ids 0 .. %lld (vocab_size): tokenizer %s, which "
        "has %lld, is not the model's",
        ts->name, highest, LL(vocab_size - 1), folder ? folder : "bytes",
        LL(tokenizer_vocab_size(tok)));
out:
    return rc;
}

/* ---- rows ---- */

/* The document that token i of the stream belongs to: the first that ends behind it. */
static int64_t doc_of(const TokenStream *s, int64_t i)
{
    int64_t lo = 0, hi = s->n_doc - 1;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (s->doc_end[mid] > i)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* What a row is being filled with. */
typedef struct Row {
    const TokenSet *ts;
    int64_t t; /* filled so far */
    int32_t *tokens, *labels, *doc_start, *shared_start, *n_shared;
    int64_t n_label;
} Row;

/* Tokens [from, to) of the stream, all of the document that ends at doc_end; start: from where on
 * they see, beside what they share. */
static void put_tokens(Row *r, int64_t from, int64_t to, int64_t doc_end, int64_t start,
                       Beginning shared)
{
    const TokenStream *s = &r->ts->stream;
    for (int64_t i = from; i < to; i++, r->t++) {
        r->tokens[r->t] = stream_token_at(s, i);
        r->labels[r->t] = label_at(s, i, doc_end);
        r->doc_start[r->t] = (int32_t)start;
        r->shared_start[r->t] = shared.start;
        r->n_shared[r->t] = shared.n;
        r->n_label += r->labels[r->t] >= 0;
    }
}

static void put_from_stream(Row *r, int64_t row)
{
    const TokenStream *s = &r->ts->stream;
    const int64_t T = r->ts->T, to = (row + 1) * T;
    int64_t at = row * T, start = 0;
    for (int64_t doc = doc_of(s, at); at < to; doc++) {
        const int64_t end = s->doc_end[doc], until = end < to ? end : to;
        put_tokens(r, at, until, end, start, (Beginning){0});
        at = until;
        if (r->ts->own_document_only) start = r->t;
    }
}

static void put_documents(Row *r, int64_t row)
{
    const TokenSet *ts = r->ts;
    const TokenStream *s = &ts->stream;
    for (int64_t k = row == 0 ? 0 : ts->row_end[row - 1]; k < ts->row_end[row]; k++) {
        const int64_t doc = ts->doc[k], from = doc_begin(s, doc);
        const Beginning shared = ts->beginning ? ts->beginning[k] : (Beginning){0};
        put_tokens(r, from + shared.n, from + doc_tokens_in_row(ts, doc), s->doc_end[doc],
                   ts->own_document_only ? r->t : 0, shared);
    }
}

void token_set_row(const TokenSet *ts, int64_t row, int64_t b, Batch *out)
{
    const int64_t T = ts->T;
    ASSERT(out->T == T && row >= 0 && row < ts->n_row && b >= 0 && b < out->B);
    Row r = {.ts = ts,
             .tokens = out->tokens + b * T,
             .labels = out->labels + b * T,
             .doc_start = out->doc_start + b * T,
             .shared_start = out->shared_start + b * T,
             .n_shared = out->n_shared + b * T};
    for (int64_t t = 0; t < T; t++) out->n_label -= r.labels[t] >= 0;
    if (ts->streams)
        put_from_stream(&r, row);
    else
        put_documents(&r, row);
    for (; r.t < T; r.t++) { /* filling sees itself only: the cheapest there is */
        r.tokens[r.t] = ts->eos;
        r.labels[r.t] = -1;
        r.doc_start[r.t] = (int32_t)r.t;
        r.n_shared[r.t] = r.shared_start[r.t] = 0;
    }
    out->n_label += r.n_label;
}
