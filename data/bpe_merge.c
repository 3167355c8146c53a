/* bpe_merge.c — short words by looking at every pair again, long ones with a heap of candidates. */
#include "data/bpe_merge.h"
#include "data/short_hash.h"
#include "trainer/base/mem.h"

typedef struct Link { /* neighbours of a symbol that still stands */
    int32_t prev, next;
} Link;

typedef struct Candidate {
    uint32_t rank;
    int32_t at, left, right; /* the symbol, and the ids its merge joins */
} Candidate;

struct MergeRoom {
    Symbol *symbol;
    Link *link;
    Candidate *heap;
    int64_t cap, n_heap;
};

/* ---- the table ---- */

Status merge_table_init(MergeTable *t)
{
    Status rc = ST_OK;
    t->n = 0;
    t->n_slot = 1024;
    t->slot = mem_array(t->n_slot, sizeof *t->slot);
    CHECK(t->slot, NOMEM, "merges: %lld slots", LL(t->n_slot));
out:
    return rc;
}

void merge_table_fini(MergeTable *t)
{
    mem_free(t->slot);
    t->slot = NULL;
}

static Merge *slot_of(const MergeTable *t, uint64_t pair)
{
    const uint64_t mask = (uint64_t)(t->n_slot - 1);
    uint64_t i = hash_mix(pair) & mask;
    while (t->slot[i].pair && t->slot[i].pair != pair) i = (i + 1) & mask;
    return &t->slot[i];
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(left + 1) << 32 | (uint64_t)(right + 1);
}

/* NULL: they do not merge. */
static const Merge *find(const MergeTable *t, int32_t left, int32_t right)
{
    const Merge *m = slot_of(t, pair_of(left, right));
    return m->pair ? m : NULL;
}

static Status double_slots(MergeTable *t)
{
    Status rc = ST_OK;
    const MergeTable old = *t;
    Merge *slot = mem_array(2 * t->n_slot, sizeof *slot);
    CHECK(slot, NOMEM, "merges: %lld slots", LL(2 * t->n_slot));
    t->slot = slot;
    t->n_slot *= 2;
    for (int64_t i = 0; i < old.n_slot; i++)
        if (old.slot[i].pair) *slot_of(t, old.slot[i].pair) = old.slot[i];
    mem_free(old.slot);
out:
    return rc;
}

Status merge_table_put(MergeTable *t, int32_t left, int32_t right, uint32_t rank, int32_t into)
{
    Status rc = ST_OK;
    if (2 * (t->n + 1) > t->n_slot) TRY(double_slots(t));
    Merge *m = slot_of(t, pair_of(left, right));
    t->n += !m->pair;
    *m = (Merge){pair_of(left, right), rank, into};
out:
    return rc;
}

/* ---- short words ---- */

int64_t merge_short(const MergeTable *t, Symbol *sym, int64_t n)
{
    const Merge *m[SHORT_WORD]; /* of symbol i and the next; the last has none */
    if (n == 0) return 0;
    for (int64_t i = 0; i + 1 < n; i++) m[i] = find(t, sym[i].id, sym[i + 1].id);
    m[n - 1] = NULL;
    for (;;) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (m[i] && (best < 0 || m[i]->rank < m[best]->rank)) best = i;
        if (best < 0) return n;
        sym[best] = (Symbol){m[best]->into, sym[best + 1].end};
        n--;
        for (int64_t i = best + 1; i < n; i++) sym[i] = sym[i + 1];
        for (int64_t i = best; i < n; i++) m[i] = m[i + 1];
        if (best > 0) m[best - 1] = find(t, sym[best - 1].id, sym[best].id);
        if (best + 1 < n) m[best] = find(t, sym[best].id, sym[best + 1].id);
    }
}

/* ---- long words ---- */

void merge_room_destroy(MergeRoom *room)
{
    if (!room) return;
    mem_free(room->symbol);
    mem_free(room->link);
    mem_free(room->heap);
    mem_free(room);
}

/* The heap never holds more than 2n: a merge takes one candidate out and puts in two at most. */
Status merge_room_reserve(MergeRoom **room, int64_t n, Symbol **symbols)
{
    Status rc = ST_OK;
    CHECK(n <= INT32_MAX, DATA, "%lld bytes without a place to cut them", LL(n));
    if (*room && (*room)->cap >= n) goto out;
    merge_room_destroy(*room);
    *room = mem_alloc(sizeof **room);
    CHECK(*room, NOMEM, "a word of %lld bytes", LL(n));
    MergeRoom *const r = *room;
    r->symbol = mem_array(n, sizeof *r->symbol);
    r->link = mem_array(n, sizeof *r->link);
    r->heap = mem_array(2 * n, sizeof *r->heap);
    CHECK(r->symbol && r->link && r->heap, NOMEM, "a word of %lld bytes", LL(n));
    r->cap = n;
out:
    *symbols = rc == ST_OK ? (*room)->symbol : NULL;
    return rc;
}

static bool goes_first(const Candidate *x, const Candidate *y)
{
    return x->rank != y->rank ? x->rank < y->rank : x->at < y->at;
}

static void push(MergeRoom *r, Candidate c)
{
    Candidate *const heap = r->heap;
    int64_t i = r->n_heap++;
    for (; i > 0 && goes_first(&c, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = c;
}

static Candidate pop(MergeRoom *r)
{
    Candidate *const heap = r->heap;
    const Candidate top = heap[0], last = heap[--r->n_heap];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < r->n_heap; i = child) {
        if (child + 1 < r->n_heap && goes_first(&heap[child + 1], &heap[child])) child++;
        if (!goes_first(&heap[child], &last)) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static void consider(const MergeTable *t, MergeRoom *r, int32_t at)
{
    if (at < 0 || r->link[at].next < 0) return;
    const int32_t left = r->symbol[at].id, right = r->symbol[r->link[at].next].id;
    const Merge *m = find(t, left, right);
    if (m) push(r, (Candidate){m->rank, at, left, right});
}

int64_t merge_long(const MergeTable *t, MergeRoom *r, int64_t n)
{
    Symbol *const sym = r->symbol;
    Link *const link = r->link;
    int64_t left = 0;
    r->n_heap = 0;
    for (int64_t i = 0; i < n; i++)
        link[i] = (Link){(int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1};
    for (int64_t i = 0; i < n; i++) consider(t, r, (int32_t)i);
    while (r->n_heap > 0) {
        const Candidate c = pop(r);
        const int32_t next = link[c.at].next;
        if (sym[c.at].id != c.left || next < 0 || sym[next].id != c.right) continue; /* is gone */
        sym[c.at] = (Symbol){find(t, c.left, c.right)->into, sym[next].end};
        sym[next].id = -1;
        link[c.at].next = link[next].next;
        if (link[next].next >= 0) link[link[next].next].prev = c.at;
        consider(t, r, link[c.at].prev);
        consider(t, r, c.at);
    }
    for (int64_t i = 0; i < n; i++)
        if (sym[i].id >= 0) sym[left++] = sym[i];
    return left;
}
