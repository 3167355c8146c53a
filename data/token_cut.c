/* token_cut.c — which documents each row holds. */
#include "data/token_set.h"
#include "trainer/base/mem.h"
#include <string.h>

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

/* ---- rows that are open ---- */

enum {
    N_OPEN = 64,    /* rows; so documents of one row stand near each other in the file */
    N_HEAD = 8,     /* samples of a row whose beginning may serve others */
    MIN_SHARED = 16 /* tokens; fewer are not worth a second range of keys */
};

typedef struct OpenRow {
    int64_t used;
    int n_head;
    int64_t head[N_HEAD]; /* document */
    int32_t head_at[N_HEAD];
} OpenRow;

typedef struct Placing {
    TokenSet *ts;
    bool packs, shares;
    int64_t first; /* open row; up to ts->n_row, of which each has its place in `open` */
    OpenRow open[N_OPEN + 1];
} Placing;

static OpenRow *open_row(Placing *p, int64_t row)
{
    return &p->open[row % (N_OPEN + 1)];
}

/* How many of the first n tokens of two documents are the same. */
static int64_t common_tokens(const TokenStream *s, int64_t a, int64_t b, int64_t n)
{
    const int64_t at_a = doc_begin(s, a), at_b = doc_begin(s, b), n_b = doc_tokens(s, b);
    int64_t i = 0;
    while (i < n && i < n_b && stream_token_at(s, at_a + i) == stream_token_at(s, at_b + i)) i++;
    return i;
}

/* The most that a document, n_free tokens of which may be left out, has in common with one of the row. */
static Beginning find_beginning(const Placing *p, const OpenRow *row, int64_t doc, int64_t n_free)
{
    Beginning best = {0};
    for (int i = 0; i < row->n_head; i++) {
        const int64_t n = common_tokens(&p->ts->stream, doc, row->head[i], n_free);
        if (n >= MIN_SHARED && n > best.n) best = (Beginning){row->head_at[i], (int32_t)n};
    }
    return best;
}

/* Puts n tokens of a document into the first open row that has room for what it does not share there. */
static int64_t place_document(Placing *p, int64_t doc, int64_t n, int64_t n_free,
                              Beginning *beginning)
{
    TokenSet *ts = p->ts;
    int64_t row = p->first;
    OpenRow *open = NULL;
    for (; row < ts->n_row; row++) {
        open = open_row(p, row);
        if (open->used + n - n_free > ts->T) continue;
        *beginning = find_beginning(p, open, doc, n_free);
        if (open->used + n - beginning->n <= ts->T) break;
    }
    if (row == ts->n_row) {
        open = open_row(p, ts->n_row++);
        *open = (OpenRow){0};
        *beginning = (Beginning){0};
    }
    if (p->shares && beginning->n == 0 && open->n_head < N_HEAD) {
        open->head[open->n_head] = doc;
        open->head_at[open->n_head++] = (int32_t)open->used;
    }
    open->used += n - beginning->n;
    if (ts->n_row - p->first > (p->packs ? N_OPEN : 0)) p->first++;
    return row;
}

/* Tokens in front of the first label, at least one left. */
static int64_t tokens_without_label(const TokenStream *s, int64_t doc, int64_t n)
{
    const int64_t from = doc_begin(s, doc);
    int64_t i = 0;
    while (i < n - 1 && label_at(s, from + i, s->doc_end[doc]) < 0) i++;
    return i;
}

/* Which row each document goes into, -1 for none, and what it shares there. */
static Status place_documents(Placing *p, const char *path, bool drops, int64_t *row_of,
                              Beginning *beginning)
{
    Status rc = ST_OK;
    TokenSet *ts = p->ts;
    const TokenStream *s = &ts->stream;
    TokenCounts *c = &ts->counts;
    for (int64_t i = 0; i < s->n_doc; i++) {
        const int64_t n_whole = doc_tokens(s, i), n = doc_tokens_in_row(ts, i),
                      n_label = count_labels(s, i, n);
        row_of[i] = -1;
        if (s->learned && n_label == 0) {
            if (!drops) TRY(refuse_sample(ts, path, i));
            c->n_left++;
            continue;
        }
        row_of[i] =
            place_document(p, i, n, p->shares ? tokens_without_label(s, i, n) : 0, &beginning[i]);
        c->n_learned += n_label;
        c->n_used += n - beginning[i].n;
        c->n_shared += beginning[i].n;
        c->n_truncated += n_whole - n;
        c->n_cut += n_whole > n;
    }
    c->n_fill = ts->n_row * ts->T - c->n_used;
out:
    return rc;
}

/* Sorts documents by row, in their order. */
static void list_documents(TokenSet *ts, const int64_t *row_of, const Beginning *beginning,
                           int64_t *next)
{
    const int64_t n_doc = ts->stream.n_doc;
    for (int64_t i = 0; i < n_doc; i++)
        if (row_of[i] >= 0) ts->row_end[row_of[i]]++;
    for (int64_t row = 0, end = 0; row < ts->n_row; row++) {
        next[row] = end;
        end = ts->row_end[row] += end;
    }
    for (int64_t i = 0; i < n_doc; i++) {
        if (row_of[i] < 0) continue;
        const int64_t k = next[row_of[i]]++;
        ts->doc[k] = i;
        if (ts->beginning) ts->beginning[k] = beginning[i];
    }
}

/* Rows of whole documents, each cut to T. */
static Status cut_by_document(TokenSet *ts, const char *path, const PackOpts *p)
{
    Status rc = ST_OK;
    const int64_t n_doc = ts->stream.n_doc;
    int64_t *row_of = mem_array(n_doc, sizeof *row_of), *next = mem_array(n_doc, sizeof *next);
    Beginning *beginning = mem_array(n_doc, sizeof *beginning);
    Placing *placing = mem_alloc(sizeof *placing);
    ts->doc = mem_array(n_doc, sizeof *ts->doc);
    ts->row_end = mem_array(n_doc, sizeof *ts->row_end);
    CHECK(row_of && next && beginning && placing && ts->doc && ts->row_end, NOMEM,
          "%s: %lld documents", ts->name, LL(n_doc));
    placing->ts = ts;
    placing->packs = p->packing;
    placing->shares = p->packing && p->prefix_sharing && ts->own_document_only;
    TRY(place_documents(placing, path, strcmp(p->on_empty_sample, "drop") == 0, row_of, beginning));
    if (ts->counts.n_shared > 0) {
        ts->beginning = mem_array(n_doc, sizeof *ts->beginning);
        CHECK(ts->beginning, NOMEM, "%s: %lld documents", ts->name, LL(n_doc));
    }
    list_documents(ts, row_of, beginning, next);
out:
    mem_free(row_of);
    mem_free(next);
    mem_free(beginning);
    mem_free(placing);
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

Status token_set_cut(TokenSet *ts, const DatasetOpts *d, const PackOpts *p, Split split)
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
