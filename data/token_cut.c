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
