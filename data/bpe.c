/* bpe.c — merges in a hash of pairs; words met before are remembered; short words are merged in
 * place, long ones with a heap; and where the text allows it, long pieces are cut first.
 *
 * Two neighbouring characters that stand side by side in no token that a merge makes can never be
 * joined. So the piece may be cut between them without changing a single id: a text without spaces,
 * or one whole document, as Llama 2 has it, falls into short words too. */
#include "data/bpe.h"
#include "data/bpe_merge.h"
#include "data/short_hash.h"
#include "data/unicode.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>

enum { CACHE_BITS = 16, CACHE_KEY = 22, CACHE_IDS = 8, MAX_MERGED = 4096 };

typedef struct CachedWord { /* one line of the processor's cache */
    uint8_t n_key, n_id;    /* n_key 0: free */
    char key[CACHE_KEY];
    int32_t id[CACHE_IDS];
    uint8_t end[CACHE_IDS];
} CachedWord;

struct Bpe {
    const IdTable *vocab;
    BpeOpts o;
    int32_t of_byte[256];  /* symbol of a byte, or of an ASCII character; -1: none */
    int32_t fallback[256]; /* <0x00> .. <0xFF>; -1: none */
    bool has_all;          /* every character has a token or falls back to some */
    MergeTable merges;
    int64_t longest; /* token, in bytes */
    bool can_cut;
    bool merges_odd; /* some merge joins a byte's token, or unk */
    uint8_t *joined; /* a filter of pairs of characters: a bit that is 0 tells they never join */
    uint64_t joined_mask;
    CachedWord *cache;
    MergeRoom *room;
};

/* ---- building ---- */

static void find_symbols(Bpe *b)
{
    b->has_all = true;
    for (int i = 0; i < 256; i++) {
        char code[8];
        const char c = (char)i;
        snprintf(code, sizeof code, "<0x%02X>", (unsigned)i);
        b->of_byte[i] = b->o.of_bytes || i < 128 ? id_table_find(b->vocab, &c, 1) : -1;
        b->fallback[i] = b->o.byte_fallback ? id_table_find(b->vocab, code, 6) : -1;
        b->has_all = b->has_all && (b->o.of_bytes ? b->of_byte[i] : b->fallback[i]) >= 0;
    }
}

Status bpe_create(const IdTable *vocab, const BpeOpts *o, Bpe **out)
{
    Status rc = ST_OK;
    Bpe *b = mem_alloc(sizeof *b);
    *out = NULL;
    CHECK(b, NOMEM, "byte-pair encoding: %zu bytes", sizeof *b);
    b->vocab = vocab;
    b->o = *o;
    b->cache = mem_array(1 << CACHE_BITS, sizeof *b->cache);
    CHECK(b->cache, NOMEM, "byte-pair encoding: %d words", 1 << CACHE_BITS);
    TRY(merge_table_init(&b->merges));
    find_symbols(b);
    *out = b;
    b = NULL;
out:
    bpe_destroy(b);
    return rc;
}

void bpe_destroy(Bpe *b)
{
    if (!b) return;
    merge_table_fini(&b->merges);
    merge_room_destroy(b->room);
    mem_free(b->joined);
    mem_free(b->cache);
    mem_free(b);
}

/* Text that is spelled with these symbols is not the text they name. */
static bool is_odd(const Bpe *b, int32_t id, const char *text, int64_t n)
{
    return id == b->o.unk || (b->o.byte_fallback && n == 6 && memcmp(text, "<0x", 3) == 0);
}

Status bpe_add_merge(Bpe *b, int32_t left, int32_t right, int64_t rank)
{
    Status rc = ST_OK;
    char joined[MAX_MERGED];
    int64_t n_left, n_right;
    const char *l = id_table_text(b->vocab, left, &n_left),
               *r = id_table_text(b->vocab, right, &n_right);
    ASSERT(l && r && rank >= 0 && rank < UINT32_MAX);
    CHECK(n_left + n_right <= MAX_MERGED, FORMAT, "a merge makes a token of %lld bytes",
          LL(n_left + n_right));
    memcpy(joined, l, (size_t)n_left);
    memcpy(joined + n_left, r, (size_t)n_right);
    const int32_t into = id_table_find(b->vocab, joined, n_left + n_right);
    CHECK(into >= 0, FORMAT, "the merge of \"%s\" and \"%s\" makes no token", l, r);
    TRY(merge_table_put(&b->merges, left, right, (uint32_t)rank, into));
    b->merges_odd = b->merges_odd || is_odd(b, left, l, n_left) || is_odd(b, right, r, n_right);
out:
    return rc;
}

/* A character, or a byte where these are the first symbols; returns its bytes. */
static int unit_at(const Bpe *b, const char *s, int32_t *c)
{
    if (!b->o.of_bytes) return utf8_read(s, c);
    *c = (unsigned char)*s;
    return 1;
}

static uint64_t joined_bit(const Bpe *b, int32_t left, int32_t right)
{
    if (b->o.of_bytes) return (uint64_t)left << 8 | (uint64_t)right;
    return hash_mix((uint64_t)left << 32 | (uint64_t)right) & b->joined_mask;
}

Status bpe_finish(Bpe *b)
{
    Status rc = ST_OK;
    uint64_t n_bit = 1 << 16;
    while (!b->o.of_bytes && n_bit < 1 << 24 && n_bit < 16 * (uint64_t)b->merges.n) n_bit *= 2;
    b->joined_mask = n_bit - 1;
    b->joined = mem_alloc(n_bit / 8);
    CHECK(b->joined, NOMEM, "%llu bits of pairs", (unsigned long long)n_bit);
    for (int64_t i = 0; i < b->merges.n_slot; i++) {
        int64_t n = 0;
        const Merge *m = &b->merges.slot[i];
        const char *s = m->pair ? id_table_text(b->vocab, m->into, &n) : NULL;
        int32_t left = 0, right;
        for (int64_t at = 0; at < n; left = right) {
            const int bytes = unit_at(b, s + at, &right);
            const uint64_t bit = joined_bit(b, left, right);
            if (at > 0) b->joined[bit >> 3] |= (uint8_t)(1 << (bit & 7));
            at += bytes;
        }
    }
    for (int64_t id = 0, n; id < id_table_size(b->vocab); id++)
        if (id_table_text(b->vocab, id, &n) && n > b->longest) b->longest = n;
    /* What is dropped, or fused, would bring together what stands on both sides of a cut. */
    b->can_cut = !b->merges_odd && (b->has_all || (b->o.unk >= 0 && !b->o.fuse_unk));
out:
    return rc;
}

/* ---- from a piece to its first symbols ---- */

typedef struct Speller {
    Symbol *out;
    int64_t n;
    bool in_unk; /* the last symbol is an unk, which may take in more */
} Speller;

static void spell(Speller *s, int32_t id, int64_t end)
{
    s->out[s->n++] = (Symbol){id, (int32_t)end};
    s->in_unk = false;
}

static void spell_unknown(const Bpe *b, Speller *s, int64_t end)
{
    if (b->o.unk < 0) return;
    if (s->in_unk && b->o.fuse_unk) s->n--;
    spell(s, b->o.unk, end);
    s->in_unk = true;
}

static bool falls_back(const Bpe *b, const char *s, int n)
{
    for (int i = 0; i < n; i++)
        if (b->fallback[(unsigned char)s[i]] < 0) return false;
    return true;
}

/* At most one symbol a byte. */
static int64_t first_symbols(const Bpe *b, const char *s, int64_t n, Symbol *out)
{
    Speller sp = {.out = out};
    int32_t c;
    for (int64_t at = 0; at < n;) {
        const int bytes = unit_at(b, s + at, &c);
        const int32_t id =
            b->o.of_bytes || c < 128 ? b->of_byte[c] : id_table_find(b->vocab, s + at, bytes);
        if (id >= 0) {
            spell(&sp, id, at + bytes);
        } else if (falls_back(b, s + at, bytes)) {
            for (int i = 0; i < bytes; i++)
                spell(&sp, b->fallback[(unsigned char)s[at + i]], at + i + 1);
        } else {
            spell_unknown(b, &sp, at + bytes);
        }
        at += bytes;
    }
    return sp.n;
}

/* ---- pieces ---- */

static Status merge_piece(Bpe *b, const char *s, int64_t n, Symbol *room, Symbol **sym,
                          int64_t *n_sym)
{
    Status rc = ST_OK;
    *sym = room;
    if (n <= SHORT_WORD) {
        *n_sym = merge_short(&b->merges, room, first_symbols(b, s, n, room));
        goto out;
    }
    TRY(merge_room_reserve(&b->room, n, sym));
    *n_sym = merge_long(&b->merges, b->room, first_symbols(b, s, n, *sym));
out:
    return rc;
}

static Status add_merged(Bpe *b, const TextView *v, int64_t begin, int64_t end, TokenList *list)
{
    Status rc = ST_OK;
    Symbol room[SHORT_WORD], *sym;
    int64_t n;
    TRY(merge_piece(b, v->s + begin, end - begin, room, &sym, &n));
    for (int64_t i = 0; i < n; i++)
        TRY(token_list_add(list, sym[i].id, view_end(v, begin + sym[i].end)));
out:
    return rc;
}

static CachedWord *cache_slot(const Bpe *b, const char *s, int64_t n)
{
    return &b->cache[short_hash(s, n) >> (64 - CACHE_BITS)];
}

static void remember(CachedWord *w, const char *s, int64_t n, const Symbol *sym, int64_t n_sym)
{
    if (n_sym > CACHE_IDS) return;
    w->n_key = (uint8_t)n;
    w->n_id = (uint8_t)n_sym;
    memcpy(w->key, s, (size_t)n);
    for (int i = 0; i < CACHE_IDS && i < n_sym; i++) {
        w->id[i] = sym[i].id;
        w->end[i] = (uint8_t)sym[i].end;
    }
}

/* A word of at most CACHE_KEY bytes, a whole piece if this matters. */
static Status add_word(Bpe *b, const TextView *v, int64_t begin, int64_t end, TokenList *list)
{
    Status rc = ST_OK;
    const char *const s = v->s + begin;
    const int64_t n = end - begin;
    CachedWord *w = cache_slot(b, s, n);
    if (w->n_key != n || memcmp(w->key, s, (size_t)n) != 0) {
        Symbol room[SHORT_WORD], *sym = room;
        const int32_t whole = b->o.ignore_merges ? id_table_find(b->vocab, s, n) : -1;
        int64_t n_sym = 1;
        room[0] = (Symbol){whole, (int32_t)n};
        if (whole < 0) TRY(merge_piece(b, s, n, room, &sym, &n_sym));
        remember(w, s, n, sym, n_sym);
        for (int64_t i = 0; i < n_sym; i++)
            TRY(token_list_add(list, sym[i].id, view_end(v, begin + sym[i].end)));
        goto out;
    }
    for (int i = 0; i < w->n_id; i++)
        TRY(token_list_add(list, w->id[i], view_end(v, begin + w->end[i])));
out:
    return rc;
}

/* Behind the first characters of [begin, end) that may join one another. */
static int64_t cut(const Bpe *b, const char *s, int64_t begin, int64_t end)
{
    int32_t left, right;
    int64_t at = begin + unit_at(b, s + begin, &left);
    while (at < end) {
        const int bytes = unit_at(b, s + at, &right);
        const uint64_t bit = joined_bit(b, left, right);
        if (!(b->joined[bit >> 3] >> (bit & 7) & 1)) break;
        left = right;
        at += bytes;
    }
    return at;
}

Status bpe_encode(Bpe *b, const TextView *v, int64_t begin, int64_t end, TokenList *list)
{
    Status rc = ST_OK;
    const int64_t n = end - begin;
    if (n <= CACHE_KEY) return add_word(b, v, begin, end, list);
    const int32_t whole =
        b->o.ignore_merges && n <= b->longest ? id_table_find(b->vocab, v->s + begin, n) : -1;
    if (whole >= 0) return token_list_add(list, whole, view_end(v, end));
    if (!b->can_cut) return add_merged(b, v, begin, end, list);
    for (int64_t to; begin < end; begin = to) {
        to = cut(b, v->s, begin, end);
        if (to - begin <= CACHE_KEY && !b->o.ignore_merges)
            TRY(add_word(b, v, begin, to, list));
        else
            TRY(add_merged(b, v, begin, to, list));
    }
out:
    return rc;
}
