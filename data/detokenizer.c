/* detokenizer.c — the steps before DECODE_FUSE look at one token each, so they are done once, when
 * the tokenizer is opened. */
#include "data/detokenizer.h"
#include "data/byte_level.h"
#include "trainer/base/mem.h"
#include <stdlib.h>
#include <string.h>

typedef struct Piece {
    int64_t at, n; /* in the block */
} Piece;

struct Detokenizer {
    DecodeStep *step;
    int64_t n_step;
    bool fused;
    int64_t strip, metaspace; /* steps that are left for the start of a text; -1: none */
    TextBuf block, buf[2];
    Piece *piece;
    int64_t n_piece, piece_cap;
};

Status detokenizer_create(Detokenizer **d)
{
    Status rc = ST_OK;
    *d = mem_alloc(sizeof **d);
    CHECK(*d, NOMEM, "decoder: %zu bytes", sizeof **d);
    (*d)->strip = (*d)->metaspace = -1;
out:
    return rc;
}

static void step_fini(const DecodeStep *s)
{
    mem_free(s->content);
    pattern_destroy(s->pattern);
}

void detokenizer_destroy(Detokenizer *d)
{
    if (!d) return;
    for (int64_t i = 0; i < d->n_step; i++) step_fini(&d->step[i]);
    mem_free(d->step);
    text_buf_fini(&d->block);
    text_buf_fini(&d->buf[0]);
    text_buf_fini(&d->buf[1]);
    mem_free(d->piece);
    mem_free(d);
}

Status detokenizer_add(Detokenizer *d, const DecodeStep *step)
{
    Status rc = ST_OK;
    const size_t n = (size_t)d->n_step;
    DecodeStep *wider = mem_resize(d->step, n * sizeof *wider, (n + 1) * sizeof *wider);
    if (!wider) step_fini(step);
    CHECK(wider, NOMEM, "decoder: %zu steps", n + 1);
    d->step = wider;
    d->step[d->n_step++] = *step;
    CHECK(!d->fused || (step->kind == DECODE_STRIP && step->stop == 0), FORMAT,
          "behind Fuse only a Strip at the start is supported");
    if (step->kind == DECODE_STRIP && d->fused) d->strip = d->n_step - 1;
    if (step->kind == DECODE_METASPACE && step->drop_first) d->metaspace = d->n_step - 1;
    d->fused = d->fused || step->kind == DECODE_FUSE;
out:
    return rc;
}

/* ---- the pieces ---- */

/* How often `content` stands at the start of the text, at most `most` times. */
static int64_t n_leading(const char *s, int64_t n, const char *content, int64_t most)
{
    const int64_t len = (int64_t)strlen(content);
    int64_t k = 0;
    while (len > 0 && k < most && n >= (k + 1) * len && !memcmp(s + k * len, content, (size_t)len))
        k++;
    return k;
}

static TextView strip_ends(const DecodeStep *step, const TextView *v)
{
    const int64_t len = (int64_t)strlen(step->content);
    TextView w = view_part(v, n_leading(v->s, v->n, step->content, step->start) * len, v->n);
    for (int64_t k = 0; k < step->stop && len > 0 && w.n >= len; k++, w.n -= len)
        if (memcmp(w.s + w.n - len, step->content, (size_t)len) != 0) break;
    return w;
}

static Status replace(const DecodeStep *step, const TextView *v, TextBuf *out)
{
    Status rc = ST_OK;
    PatternScan scan = {.s = v->s, .n = v->n};
    int64_t from = 0;
    for (;; from = scan.end) {
        TRY(pattern_next(step->pattern, &scan));
        if (!scan.found) break;
        TRY(text_buf_copy(out, v, from, scan.begin));
        TRY(text_buf_add(out, step->content, (int64_t)strlen(step->content), 0));
    }
    TRY(text_buf_copy(out, v, from, v->n));
out:
    return rc;
}

static Status do_step(const DecodeStep *step, const TextView *v, TextBuf *buf, TextView *out)
{
    Status rc = ST_OK;
    *out = *v;
    buf->n = 0;
    TRY(text_buf_reserve(buf, v->n + 1));
    switch (step->kind) {
    case DECODE_BYTE_LEVEL:
        buf->n = byte_level_decode(v->s, v->n, buf->s);
        if (buf->n >= 0) *out = text_buf_view(buf, 0);
        break;
    case DECODE_BYTE_FALLBACK:
        if (v->n != 6 || memcmp(v->s, "<0x", 3) != 0 || v->s[5] != '>') break;
        buf->s[0] = (char)strtol(v->s + 3, NULL, 16);
        buf->n = 1;
        *out = text_buf_view(buf, 0);
        break;
    case DECODE_REPLACE:
    case DECODE_METASPACE:
        TRY(replace(step, v, buf));
        *out = text_buf_view(buf, 0);
        break;
    case DECODE_STRIP:
        *out = strip_ends(step, v);
        break;
    case DECODE_FUSE:
        break;
    }
out:
    return rc;
}

static Status reserve_pieces(Detokenizer *d, int64_t n)
{
    Status rc = ST_OK;
    if (n > d->piece_cap) {
        const size_t cap = (size_t)n + (size_t)n / 2 + 256, used = (size_t)d->n_piece;
        Piece *wider = mem_resize(d->piece, used * sizeof *wider, cap * sizeof *wider);
        CHECK(wider, NOMEM, "decoder: %zu tokens", cap);
        d->piece = wider;
        d->piece_cap = (int64_t)cap;
    }
    if (n > d->n_piece) d->n_piece = n;
out:
    return rc;
}

Status detokenizer_put(Detokenizer *d, int32_t id, const char *text, int64_t n)
{
    Status rc = ST_OK;
    TextView v = {text, n, NULL, 0};
    int free_one = 0;
    for (int64_t i = 0; i < d->n_step && d->step[i].kind != DECODE_FUSE; i++) {
        const TextView in = v;
        TRY(do_step(&d->step[i], &in, &d->buf[free_one], &v));
        if (v.s == d->buf[free_one].s) free_one = !free_one; /* it holds the text now */
    }
    TRY(reserve_pieces(d, id + 1));
    d->piece[id] = (Piece){d->block.n, v.n};
    TRY(text_buf_add(&d->block, v.s, v.n, 0));
    TRY(text_buf_add(&d->block, "", 1, 0)); /* a NUL behind each */
out:
    return rc;
}

const char *detokenizer_piece(const Detokenizer *d, int32_t id, int64_t *n_bytes)
{
    const bool known = id >= 0 && id < d->n_piece;
    *n_bytes = known ? d->piece[id].n : 0;
    return *n_bytes > 0 ? d->block.s + d->piece[id].at : "";
}

/* ---- texts ---- */

typedef struct Output {
    char *text;
    int64_t n, max;
} Output;

static void write_bytes(Output *o, const char *s, int64_t n)
{
    const int64_t room = o->max - o->n;
    if (room > 0) memcpy(o->text + o->n, s, (size_t)(n < room ? n : room));
    o->n += n;
}

/* The first token without the marks that became spaces. */
static void write_first(Output *o, const char *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (s[i] != ' ') write_bytes(o, s + i, 1);
}

int64_t detokenizer_run(const Detokenizer *d, const int32_t *ids, int64_t n, const bool *skip,
                        char *text, int64_t max)
{
    Output o = {text, 0, max};
    const DecodeStep *const strip = d->strip >= 0 ? &d->step[d->strip] : NULL;
    int64_t to_strip = strip ? strip->start : 0;
    bool first = true;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_piece;
        const char *s = detokenizer_piece(d, ids[i], &n_piece);
        if (ids[i] < 0 || ids[i] >= d->n_piece || (skip && skip[ids[i]])) continue;
        if (d->n_step == 0 && !first) write_bytes(&o, " ", 1);
        if (first && d->metaspace >= 0) {
            write_first(&o, s, n_piece);
        } else {
            const int64_t k = to_strip > 0 ? n_leading(s, n_piece, strip->content, to_strip) : 0;
            const int64_t n_strip = k > 0 ? k * (int64_t)strlen(strip->content) : 0;
            write_bytes(&o, s + n_strip, n_piece - n_strip);
            to_strip = n_strip < n_piece ? 0 : to_strip - k;
        }
        first = false;
    }
    return o.n;
}
