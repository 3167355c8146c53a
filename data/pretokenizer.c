/* pretokenizer.c — every split of a tokenizer file is a pattern and a behaviour; each step turns a
 * list of pieces into another one. */
#include "data/pretokenizer.h"
#include "trainer/base/mem.h"
#include <string.h>

typedef struct SpanList {
    Span *span;
    int64_t n, cap;
} SpanList;

struct Pretokenizer {
    PieceStep *step;
    int64_t n_step;
    SpanList list[2];
    TextBuf buf[2];
};

Status pretokenizer_create(Pretokenizer **p)
{
    Status rc = ST_OK;
    *p = mem_alloc(sizeof **p);
    CHECK(*p, NOMEM, "pre-tokenizer: %zu bytes", sizeof **p);
out:
    return rc;
}

void pretokenizer_destroy(Pretokenizer *p)
{
    if (!p) return;
    for (int64_t i = 0; i < p->n_step; i++) pattern_destroy(p->step[i].pattern);
    for (int i = 0; i < 2; i++) {
        mem_free(p->list[i].span);
        text_buf_fini(&p->buf[i]);
    }
    mem_free(p->step);
    mem_free(p);
}

Status pretokenizer_add(Pretokenizer *p, const PieceStep *step)
{
    Status rc = ST_OK;
    const size_t n = (size_t)p->n_step;
    PieceStep *wider = mem_resize(p->step, n * sizeof *wider, (n + 1) * sizeof *wider);
    if (!wider) pattern_destroy(step->pattern);
    CHECK(wider, NOMEM, "pre-tokenizer: %zu steps", n + 1);
    p->step = wider;
    p->step[p->n_step++] = *step;
out:
    return rc;
}

static Status add(SpanList *list, int64_t begin, int64_t end)
{
    Status rc = ST_OK;
    if (list->n == list->cap) {
        const size_t n = (size_t)list->n, cap = 2 * n + 64;
        Span *wider = mem_resize(list->span, n * sizeof *wider, cap * sizeof *wider);
        CHECK(wider, NOMEM, "%zu pieces of a text", cap);
        list->span = wider;
        list->cap = (int64_t)cap;
    }
    list->span[list->n++] = (Span){begin, end};
out:
    return rc;
}

/* ---- splitting ---- */

typedef struct Splitter {
    const PieceStep *step;
    SpanList *out;
    int64_t first; /* of the pieces that came from the same piece: only those may be merged */
    bool after_match;
} Splitter;

static Status take(Splitter *t, int64_t begin, int64_t end, bool is_match)
{
    Status rc = ST_OK;
    bool merge = false;
    switch (t->step->behavior) {
    case SPLIT_ISOLATED:
        break;
    case SPLIT_REMOVED:
        if (is_match) goto out;
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        merge = is_match && !t->after_match;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        merge = !is_match && t->after_match;
        break;
    case SPLIT_CONTIGUOUS:
        merge = is_match == t->after_match;
        break;
    }
    t->after_match = is_match;
    if (merge && t->out->n > t->first)
        t->out->span[t->out->n - 1].end = end;
    else
        TRY(add(t->out, begin, end));
out:
    return rc;
}

static void drop_empty(SpanList *list, int64_t from)
{
    int64_t kept = from;
    for (int64_t i = from; i < list->n; i++)
        if (list->span[i].end > list->span[i].begin) list->span[kept++] = list->span[i];
    list->n = kept;
}

static Status split_piece(const PieceStep *step, const TextView *v, Span piece, SpanList *out)
{
    Status rc = ST_OK;
    Splitter t = {.step = step, .out = out, .first = out->n};
    PatternScan scan = {.s = v->s + piece.begin, .n = piece.end - piece.begin};
    int64_t from = piece.begin;
    for (;;) {
        TRY(pattern_next(step->pattern, &scan));
        if (!scan.found) break;
        const int64_t begin = piece.begin + scan.begin, end = piece.begin + scan.end;
        if (from < begin) TRY(take(&t, from, begin, step->invert));
        TRY(take(&t, begin, end, !step->invert));
        from = end;
    }
    if (from < piece.end) TRY(take(&t, from, piece.end, step->invert));
    drop_empty(out, t.first);
out:
    return rc;
}

/* ---- changing the text ---- */

static bool wants_mark(const PieceStep *step, const TextView *v, Span piece)
{
    const int64_t n = (int64_t)strlen(step->mark);
    if (step->kind == PIECE_PREPEND_FIRST && view_end(v, piece.begin) > 0) return false;
    return piece.end - piece.begin < n || memcmp(v->s + piece.begin, step->mark, (size_t)n) != 0;
}

static Status mark_spaces(const PieceStep *step, const TextView *v, Span piece, TextBuf *buf)
{
    Status rc = ST_OK;
    const int64_t n = (int64_t)strlen(step->mark);
    while (piece.begin < piece.end) {
        const char *space = memchr(v->s + piece.begin, ' ', (size_t)(piece.end - piece.begin));
        const int64_t at = space ? space - v->s : piece.end;
        TRY(text_buf_copy(buf, v, piece.begin, at));
        if (space) TRY(text_buf_add(buf, step->mark, n, view_end(v, at + 1)));
        piece.begin = at + (space != NULL);
    }
out:
    return rc;
}

/* The pieces stand one after the other in the buffer. */
static Status change_piece(const PieceStep *step, const TextView *v, Span piece, TextBuf *buf,
                           SpanList *out)
{
    Status rc = ST_OK;
    const int64_t begin = buf->n;
    if (step->kind == PIECE_MARK) {
        TRY(mark_spaces(step, v, piece, buf));
    } else {
        if (wants_mark(step, v, piece))
            TRY(text_buf_add(buf, step->mark, (int64_t)strlen(step->mark),
                             view_end(v, piece.begin)));
        TRY(text_buf_copy(buf, v, piece.begin, piece.end));
    }
    TRY(add(out, begin, buf->n));
out:
    return rc;
}

Status pretokenizer_run(Pretokenizer *p, const TextView *in, TextView *out, const Span **spans,
                        int64_t *n_span)
{
    Status rc = ST_OK;
    SpanList *from = &p->list[0], *to = &p->list[1];
    *out = *in;
    from->n = 0;
    if (in->n > 0) TRY(add(from, 0, in->n));
    for (int64_t i = 0; i < p->n_step; i++) {
        const PieceStep *step = &p->step[i];
        const TextView v = *out;
        TextBuf *buf = v.s == p->buf[0].s ? &p->buf[1] : &p->buf[0];
        to->n = buf->n = 0;
        for (int64_t k = 0; k < from->n; k++) {
            if (step->kind == PIECE_SPLIT)
                TRY(split_piece(step, &v, from->span[k], to));
            else
                TRY(change_piece(step, &v, from->span[k], buf, to));
        }
        if (step->kind != PIECE_SPLIT) *out = text_buf_view(buf, v.start);
        SpanList *const swap = from;
        from = to;
        to = swap;
    }
    *spans = from->span;
    *n_span = from->n;
out:
    return rc;
}
