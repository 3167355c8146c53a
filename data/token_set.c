/* token_set.c — opens a dataset on all ranks, and cuts its token stream into rows. */
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

struct TokenSet {
    char name[256];
    TokenStream stream;
    int64_t T, n_row;
    bool streams;     /* rows are cut from the stream; else they are made of whole documents: */
    int64_t *doc;     /* those in rows, in order (all, or without the samples left out) */
    int64_t *row_end; /* (n_row) first index into doc behind row i */
    bool own_document_only; /* how far tokens see */
    int32_t eos;
    TokenCounts counts;
};

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

/* ---- cutting rows ---- */

static int64_t doc_begin(const TokenStream *s, int64_t doc)
{
    return doc == 0 ? 0 : s->doc_end[doc - 1];
}

static int64_t doc_tokens(const TokenStream *s, int64_t doc)
{
    return s->doc_end[doc] - doc_begin(s, doc);
}

/* The label of token i, whose document ends at `end`. */
static int32_t label_at(const TokenStream *s, int64_t i, int64_t end)
{
    return i + 1 < end && stream_is_learned(s, i + 1) ? stream_token_at(s, i + 1) : -1;
}

static int64_t count_labels(const TokenStream *s, int64_t doc, int64_t n)
{
    const int64_t from = doc_begin(s, doc);
    int64_t n_label = 0;
    for (int64_t i = from; i < from + n; i++) n_label += label_at(s, i, s->doc_end[doc]) >= 0;
    return n_label;
}

/* Names the first sample nothing is to be learned of, and why that is. */
static Status refuse_sample(const TokenSet *ts, const char *path, int64_t doc)
{
    Status rc = ST_OK;
    const TokenStream *s = &ts->stream;
    const int64_t from = doc_begin(s, doc), n = doc_tokens(s, doc);
    int64_t first = 1;
    while (first < n && label_at(s, from + first - 1, from + n) < 0) first++;
    CHECK(first < n, DATA,
          "%s: sample %lld: none of its %lld tokens is to be learned: its completion is empty, or "
          "no message is of roles_to_train (on_empty_sample: drop leaves such samples out)",
          path, LL(s->number[doc]), LL(n));
    CHECK(
        false, DATA,
        "%s: sample %lld: what is to be learned begins at its token %lld of %lld, behind "
        "max_seq_length: %lld: raise it, or shorten the sample (on_empty_sample: drop leaves such "
        "samples out)",
        path, LL(s->number[doc]), LL(first + 1), LL(n), LL(ts->T));
out:
    return rc;
}

/* Which row each document goes into, -1 for none: the first of the rows still open that has room. Only
 * the last few stay open, so documents of one row stand near each other in the file. */
static Status place_documents(TokenSet *ts, const char *path, const PackOpts *p, int64_t *row_of,
                              int64_t *used)
{
    Status rc = ST_OK;
    enum { N_OPEN = 64 };
    const TokenStream *s = &ts->stream;
    const bool drops = strcmp(p->on_empty_sample, "drop") == 0;
    TokenCounts *c = &ts->counts;
    int64_t first = 0;
    for (int64_t i = 0; i < s->n_doc; i++) {
        const int64_t n_whole = doc_tokens(s, i), n = n_whole < ts->T ? n_whole : ts->T,
                      n_label = count_labels(s, i, n);
        row_of[i] = -1;
        if (s->learned && n_label == 0) {
            if (!drops) TRY(refuse_sample(ts, path, i));
            c->n_left++;
            continue;
        }
        int64_t row = first;
        while (row < ts->n_row && used[row] + n > ts->T) row++;
        if (row == ts->n_row) ts->n_row++;
        if (ts->n_row - first > (p->packing ? N_OPEN : 0)) first++;
        row_of[i] = row;
        used[row] += n;
        c->n_learned += n_label;
        c->n_used += n;
        c->n_truncated += n_whole - n;
        c->n_cut += n_whole > n;
    }
    c->n_fill = ts->n_row * ts->T - c->n_used;
out:
    return rc;
}

/* Rows of whole documents, each cut to T. */
static Status cut_by_document(TokenSet *ts, const char *path, const PackOpts *p)
{
    Status rc = ST_OK;
    const int64_t n_doc = ts->stream.n_doc;
    int64_t *row_of = mem_array(n_doc, sizeof *row_of), *next = mem_array(n_doc, sizeof *next);
    ts->doc = mem_array(n_doc, sizeof *ts->doc);
    ts->row_end = mem_array(n_doc, sizeof *ts->row_end);
    CHECK(row_of && next && ts->doc && ts->row_end, NOMEM, "%s: %lld documents", ts->name,
          LL(n_doc));
    TRY(place_documents(ts, path, p, row_of, next));
    for (int64_t i = 0; i < n_doc; i++)
        if (row_of[i] >= 0) ts->row_end[row_of[i]]++;
    for (int64_t row = 0, end = 0; row < ts->n_row; row++) {
        next[row] = end;
        end = ts->row_end[row] += end;
    }
    for (int64_t i = 0; i < n_doc; i++)
        if (row_of[i] >= 0) ts->doc[next[row_of[i]]++] = i;
out:
    mem_free(row_of);
    mem_free(next);
    return rc;
}

static void cut_stream(TokenSet *ts)
{
    const TokenStream *s = &ts->stream;
    TokenCounts *c = &ts->counts;
    ts->n_row = s->n_token / ts->T;
    c->n_dropped = s->n_token % ts->T;
    c->n_learned = c->n_used = s->n_token - c->n_dropped;
    for (int64_t i = 0; i < s->n_doc; i++) /* an end has no label */
        c->n_learned -= s->doc_end[i] <= c->n_used;
}

static Status cut_rows(TokenSet *ts, const DatasetOpts *d, const PackOpts *p, Split split)
{
    Status rc = ST_OK;
    ts->streams = p->packing && !ts->stream.learned;
    if (ts->streams)
        cut_stream(ts);
    else
        TRY(cut_by_document(ts, d->path, p));
    CHECK(ts->n_row > 0 || split == SPLIT_HELD_OUT || ts->counts.n_left == 0, DATA,
          "%s: nothing is to be learned of any of its %lld samples", d->path,
          LL(ts->counts.n_left));
    CHECK(ts->n_row > 0 || split == SPLIT_HELD_OUT, DATA,
          "%s: its %lld tokens for training do not fill one row of max_seq_length %lld", ts->name,
          LL(ts->stream.n_token), LL(ts->T));
out:
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
    TRY(comm_agree(c, cut_rows(ts, d, p, split)));
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
    const int64_t per_doc = 1 + (s->number != NULL) + 2 * (ts->doc != NULL);
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
    const int64_t doc = ts->doc[row], n_whole = doc_tokens(s, doc);
    *n = n_whole < ts->T ? n_whole : ts->T;
    return s->number ? s->number[doc] : doc + 1;
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
    int32_t *tokens, *labels, *doc_start;
    int64_t n_label;
} Row;

/* Tokens [from, to) of the stream, all of the document that ends at doc_end; start: from where on
 * they see. */
static void put_tokens(Row *r, int64_t from, int64_t to, int64_t doc_end, int64_t start)
{
    const TokenStream *s = &r->ts->stream;
    for (int64_t i = from; i < to; i++, r->t++) {
        r->tokens[r->t] = stream_token_at(s, i);
        r->labels[r->t] = label_at(s, i, doc_end);
        r->doc_start[r->t] = (int32_t)start;
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
        put_tokens(r, at, until, end, start);
        at = until;
        if (r->ts->own_document_only) start = r->t;
    }
}

static void put_documents(Row *r, int64_t row)
{
    const TokenSet *ts = r->ts;
    const TokenStream *s = &ts->stream;
    for (int64_t k = row == 0 ? 0 : ts->row_end[row - 1]; k < ts->row_end[row]; k++) {
        const int64_t from = doc_begin(s, ts->doc[k]), end = s->doc_end[ts->doc[k]];
        put_tokens(r, from, end - from < ts->T ? end : from + ts->T, end,
                   ts->own_document_only ? r->t : 0);
    }
}

void token_set_row(const TokenSet *ts, int64_t row, int64_t b, Batch *out)
{
    const int64_t T = ts->T;
    ASSERT(out->T == T && row >= 0 && row < ts->n_row && b >= 0 && b < out->B);
    Row r = {.ts = ts,
             .tokens = out->tokens + b * T,
             .labels = out->labels + b * T,
             .doc_start = out->doc_start + b * T};
    for (int64_t t = 0; t < T; t++) out->n_label -= r.labels[t] >= 0;
    if (ts->streams)
        put_from_stream(&r, row);
    else
        put_documents(&r, row);
    for (; r.t < T; r.t++) { /* filling sees itself only: the cheapest there is */
        r.tokens[r.t] = ts->eos;
        r.labels[r.t] = -1;
        r.doc_start[r.t] = (int32_t)r.t;
    }
    out->n_label += r.n_label;
}
