/* normalizer.c — each step copies the text into the other of two buffers, with the origin of every
 * byte; what it leaves as it is keeps its origin. */
#include "data/normalizer.h"
#include "data/unicode.h"
#include "trainer/base/mem.h"
#include <string.h>
#include <utf8proc.h>

struct Normalizer {
    NormalStep *step;
    int64_t n_step;
    TextBuf buf[2];
    int32_t *cluster; /* of NFC and its kin */
    int64_t cluster_cap;
};

Status normalizer_create(Normalizer **z)
{
    Status rc = ST_OK;
    *z = mem_alloc(sizeof **z);
    CHECK(*z, NOMEM, "normalizer: %zu bytes", sizeof **z);
out:
    return rc;
}

static void step_fini(const NormalStep *s)
{
    mem_free(s->content);
    pattern_destroy(s->pattern);
}

void normalizer_destroy(Normalizer *z)
{
    if (!z) return;
    for (int64_t i = 0; i < z->n_step; i++) step_fini(&z->step[i]);
    text_buf_fini(&z->buf[0]);
    text_buf_fini(&z->buf[1]);
    mem_free(z->cluster);
    mem_free(z->step);
    mem_free(z);
}

Status normalizer_add(Normalizer *z, const NormalStep *step)
{
    Status rc = ST_OK;
    const size_t n = (size_t)z->n_step;
    NormalStep *wider = mem_resize(z->step, n * sizeof *wider, (n + 1) * sizeof *wider);
    if (!wider) step_fini(step);
    CHECK(wider, NOMEM, "normalizer: %zu steps", n + 1);
    z->step = wider;
    z->step[z->n_step++] = *step;
out:
    return rc;
}

bool normalizer_is_empty(const Normalizer *z)
{
    return z->n_step == 0;
}

/* ---- normal forms ---- */

static bool is_hangul_part(int32_t c) /* a vowel or final that joins the character before it */
{
    return (c >= 0x1160 && c <= 0x11ff) || (c >= 0xd7b0 && c <= 0xd7ff);
}

/* Behind the cluster at s[at]: a character and the marks that may join or reorder with it; an inert
 * one stands alone. Normal
 * forms never look across the border of two clusters. Sorting marks takes the square of their
 * number, so thousands of them are taken in parts. */
static int64_t cluster_end(const TextView *v, int64_t at)
{
    enum { MAX_CLUSTER = 4096 };
    const int64_t limit = v->n - at < MAX_CLUSTER ? v->n : at + MAX_CLUSTER;
    int32_t c;
    at += utf8_read(v->s + at, &c);
    if (char_is_inert(c)) return at;
    while (at < limit && (unsigned char)v->s[at] >= 0x80) {
        const int n = utf8_read(v->s + at, &c);
        if ((!char_is_mark(c) && !is_hangul_part(c)) || char_is_inert(c)) break;
        at += n;
    }
    return at;
}

/* True where this one character can only be itself in this normal form. */
static bool is_fixed(int32_t c)
{
    const bool is_hangul = c >= 0xac00 && c <= 0xd7a3;
    return c < 0x80 || (!is_hangul && utf8proc_get_property(c)->decomp_seqindex == UINT16_MAX) ||
           char_is_inert(c);
}

static Status add_cluster(Normalizer *z, const TextView *v, int64_t from, int64_t to,
                          utf8proc_option_t form, TextBuf *out)
{
    Status rc = ST_OK;
    const int64_t origin = view_end(v, to);
    utf8proc_ssize_t n;
    for (;;) {
        n = utf8proc_decompose((const utf8proc_uint8_t *)v->s + from, to - from, z->cluster,
                               z->cluster_cap, form);
        CHECK(n >= 0, BUG, "utf8proc: %s", utf8proc_errmsg(n));
        if (n <= z->cluster_cap && n > 0) break;
        mem_free(z->cluster);
        z->cluster_cap = 0;
        z->cluster = mem_array(n + 64, sizeof *z->cluster);
        CHECK(z->cluster, NOMEM, "a character with %lld marks", LL(n));
        z->cluster_cap = n + 64;
    }
    n = utf8proc_normalize_utf32(z->cluster, n, form);
    const int64_t begin = out->n;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char s[4];
        TRY(text_buf_add(out, s, utf8_write(z->cluster[i], s), origin));
    }
    if (out->n - begin != to - from || memcmp(out->s + begin, v->s + from, (size_t)(to - from)))
        goto out;
    out->n = begin; /* unchanged: each byte keeps its own origin */
    TRY(text_buf_copy(out, v, from, to));
out:
    return rc;
}

static Status normal_form(Normalizer *z, NormalKind kind, const TextView *v, TextBuf *out)
{
    Status rc = ST_OK;
    static const utf8proc_option_t FORM[] = {
        [NORMAL_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [NORMAL_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [NORMAL_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [NORMAL_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    int64_t from = 0; /* of the stretch that is fixed and not yet copied */
    for (int64_t at = 0, end; at < v->n; at = end) {
        int32_t c;
        const int64_t first = at + utf8_read(v->s + at, &c);
        end = first < v->n && (unsigned char)v->s[first] >= 0x80 ? cluster_end(v, at) : first;
        if (end == first && is_fixed(c)) continue;
        TRY(text_buf_copy(out, v, from, at));
        TRY(add_cluster(z, v, at, end, FORM[kind], out));
        from = end;
    }
    TRY(text_buf_copy(out, v, from, v->n));
out:
    return rc;
}

static bool is_ascii(const TextView *v)
{
    for (int64_t i = 0; i < v->n; i++)
        if ((unsigned char)v->s[i] >= 0x80) return false;
    return true;
}

/* ---- the other steps ---- */

static Status map_characters(const NormalStep *step, const TextView *v, TextBuf *out)
{
    Status rc = ST_OK;
    for (int64_t at = 0, n; at < v->n; at += n) {
        int32_t c;
        char s[4];
        n = utf8_read(v->s + at, &c);
        const int64_t origin = view_end(v, at + n);
        if (step->kind == NORMAL_LOWERCASE) {
            TRY(text_buf_add(out, s, utf8_write(char_lower(c), s), origin));
            if (c == 0x130) TRY(text_buf_add(out, "\xcc\x87", 2, origin)); /* i with dot above */
        } else if (!char_is_mark(c)) {
            TRY(text_buf_copy(out, v, at, at + n));
        }
    }
out:
    return rc;
}

static TextView stripped(const NormalStep *step, const TextView *v)
{
    int64_t from = 0, to = v->n;
    int32_t c;
    for (int n; step->left && from < to; from += n) {
        n = utf8_read(v->s + from, &c);
        if (!char_is_space(c)) break;
    }
    for (int64_t last; step->right && to > from; to = last) {
        last = utf8_back(v->s, to);
        utf8_read(v->s + last, &c);
        if (!char_is_space(c)) break;
    }
    return view_part(v, from, to);
}

static Status replace(const NormalStep *step, const TextView *v, TextBuf *out)
{
    Status rc = ST_OK;
    PatternScan scan = {.s = v->s, .n = v->n};
    const int64_t n = (int64_t)strlen(step->content);
    int64_t from = 0;
    for (;;) {
        TRY(pattern_next(step->pattern, &scan));
        if (!scan.found) break;
        TRY(text_buf_copy(out, v, from, scan.begin));
        TRY(text_buf_add(out, step->content, n, view_end(v, scan.end)));
        from = scan.end;
    }
    TRY(text_buf_copy(out, v, from, v->n));
out:
    return rc;
}

static Status run_step(Normalizer *z, const NormalStep *step, const TextView *in, TextBuf *buf,
                       TextView *out)
{
    Status rc = ST_OK;
    buf->n = 0;
    switch (step->kind) {
    case NORMAL_NFC:
    case NORMAL_NFD:
    case NORMAL_NFKC:
    case NORMAL_NFKD:
        if (is_ascii(in)) goto out;
        TRY(normal_form(z, step->kind, in, buf));
        break;
    case NORMAL_LOWERCASE:
    case NORMAL_STRIP_ACCENTS:
        TRY(map_characters(step, in, buf));
        break;
    case NORMAL_STRIP:
        *out = stripped(step, in);
        goto out;
    case NORMAL_PREPEND:
        if (in->n == 0) goto out;
        TRY(text_buf_add(buf, step->content, (int64_t)strlen(step->content), in->start));
        TRY(text_buf_copy(buf, in, 0, in->n));
        break;
    case NORMAL_REPLACE:
        TRY(replace(step, in, buf));
        break;
    }
    *out = text_buf_view(buf, in->start);
out:
    return rc;
}

Status normalizer_run(Normalizer *z, const TextView *in, TextView *out)
{
    Status rc = ST_OK;
    int free_one = 0;
    *out = *in;
    for (int64_t i = 0; i < z->n_step; i++) {
        const TextView v = *out;
        TRY(run_step(z, &z->step[i], &v, &z->buf[free_one], out));
        if (z->buf[free_one].n > 0) free_one = !free_one; /* it holds the text now */
    }
out:
    return rc;
}
