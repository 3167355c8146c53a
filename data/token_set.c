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
    OPT_F64(PackOpts, val_size, 0.0, 0.0, 0.5, "share of every dataset held out for evaluation, chosen by hash of the text"),
    OPT_STR(PackOpts, cache_dir, NULL, "folder of token shards; default: switchyard below $XDG_CACHE_HOME or ~/.cache"),
    OPT_COUNT(PackOpts, cache_limit_bytes, 20e9, 1e6, 1e15, "size of that folder; the oldest used shards go first"),
    OPT_END
};
// clang-format on

struct TokenSet {
    char name[256];
    TokenStream stream;
    int64_t T, n_row, n_dropped, n_truncated, n_empty;
    bool packing, own_document_only;
    int32_t eos;
};

/* ---- opening ---- */

/* Every rank looks, also those that will only read the shard: a mount that is missing shows at
 * once. */
static Status can_read_source(const DatasetOpts *d)
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    if (d->path) TRY(doc_source_open(d, &src));
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
    TRY(shard_read(path, shard_name_digest(name, digest), split, &ts->stream, &ts->n_empty));
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

/* Rank: replicated */
static Status cut_rows(TokenSet *ts, Split split)
{
    Status rc = ST_OK;
    const TokenStream *s = &ts->stream;
    if (ts->packing) {
        ts->n_row = s->n_token / ts->T;
        ts->n_dropped = s->n_token % ts->T;
    } else {
        ts->n_row = s->n_doc;
        for (int64_t i = 0, from = 0; i < s->n_doc; from = s->doc_end[i++])
            if (s->doc_end[i] - from > ts->T) ts->n_truncated += s->doc_end[i] - from - ts->T;
    }
    CHECK(ts->n_row > 0 || split == SPLIT_HELD_OUT, DATA,
          "%s: its %lld tokens for training do not fill one row of max_seq_length %lld", ts->name,
          LL(s->n_token), LL(ts->T));
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
        c, ts ? can_read_source(d)
              : status_fail(ST_NOMEM, __FILE__, __LINE__, "token set: %zu bytes", sizeof *ts)));
    dataset_name(d, ts->name, sizeof ts->name);
    ts->T = p->max_seq_length;
    ts->packing = p->packing;
    ts->own_document_only = strcmp(p->packing_attention, "document") == 0;
    ts->eos = tokenizer_eos(tok);
    TRY(read_on_all(c, d, p, tok, split, ts));
    TRY(cut_rows(ts, split));
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

int64_t token_set_n_dropped(const TokenSet *ts)
{
    return ts->n_dropped;
}

int64_t token_set_n_truncated(const TokenSet *ts)
{
    return ts->n_truncated;
}

int64_t token_set_bytes(const TokenSet *ts)
{
    return ts->stream.n_token * ts->stream.width +
           ts->stream.n_doc * (int64_t)sizeof *ts->stream.doc_end;
}

int64_t token_set_n_empty(const TokenSet *ts)
{
    return ts->n_empty;
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

void token_set_row(const TokenSet *ts, int64_t row, int64_t b, Batch *out)
{
    const TokenStream *s = &ts->stream;
    const int64_t T = ts->T;
    ASSERT(out->T == T && row >= 0 && row < ts->n_row && b >= 0 && b < out->B);
    int32_t *tokens = out->tokens + b * T, *labels = out->labels + b * T,
            *doc_start = out->doc_start + b * T;
    for (int64_t t = 0; t < T; t++) out->n_label -= labels[t] >= 0;

    int64_t doc, from, n = T; /* the row shows tokens [from, from + n) of the stream */
    if (ts->packing) {
        from = row * T;
        doc = doc_of(s, from);
    } else {
        doc = row;
        from = row == 0 ? 0 : s->doc_end[row - 1];
        if (s->doc_end[row] - from < T) n = s->doc_end[row] - from;
    }
    int32_t start = 0;
    for (int64_t t = 0; t < n; t++) {
        const bool ends_doc = from + t + 1 == s->doc_end[doc];
        tokens[t] = stream_token_at(s, from + t);
        labels[t] = ends_doc ? -1 : stream_token_at(s, from + t + 1);
        doc_start[t] = start;
        out->n_label += !ends_doc;
        if (!ends_doc) continue;
        doc++;
        if (ts->own_document_only) start = (int32_t)(t + 1);
    }
    for (int64_t t = n; t < T; t++) { /* filling sees itself only: the cheapest there is */
        tokens[t] = ts->eos;
        labels[t] = -1;
        doc_start[t] = (int32_t)t;
    }
}
