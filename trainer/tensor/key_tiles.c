/* key_tiles.c — see key_tiles.h. */
#include "trainer/tensor/key_tiles.h"
#include "trainer/tensor/kernels/kernel.h"
#include <math.h>

Status key_ranges_check(const KeyRanges *keys)
{
    Status rc = ST_OK;
    const int64_t n_query = keys->n_query / keys->n_group, n_key = keys->n_key / keys->n_group;
    for (int64_t q = 0; q < keys->n_query; q++) {
        const int64_t low = q / n_query * n_key, high = low + n_key;
        int64_t at = low, n_seen = 0;
        for (int i = 0; i < keys->n_range; i++) {
            const KeyRange *r = &keys->range[q * keys->n_range + i];
            if (r->end <= r->first) continue;
            CHECK(r->first >= at && r->end <= high, SHAPE,
                  "attention: query %lld sees keys %d..%d, which must lie in order in %lld..%lld",
                  LL(q), r->first, r->end, LL(at), LL(high));
            at = r->end;
            n_seen += r->end - r->first;
        }
        CHECK(n_seen > 0, SHAPE, "attention: query %lld sees no key", LL(q));
    }
out:
    return rc;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

QueryTile query_tile(const KeyRanges *keys, int64_t group, int64_t at)
{
    const int64_t n_query = keys->n_query / keys->n_group, n_key = keys->n_key / keys->n_group;
    QueryTile t = {.first = group * n_query + at,
                   .n = least(TILE_Q, n_query - at),
                   .key_first = n_key,
                   .key_base = group * n_key,
                   .n_key = n_key,
                   .n_range = keys->n_range};
    t.range = keys->range + t.first * t.n_range;
    for (int64_t i = 0; i < t.n * t.n_range; i++) {
        if (t.range[i].end <= t.range[i].first) continue;
        t.key_first = least(t.key_first, t.range[i].first - t.key_base);
        t.key_end = most(t.key_end, t.range[i].end - t.key_base);
    }
    return t;
}

KeyTile key_tile(const QueryTile *q, int64_t at)
{
    KeyTile t = {.first = at + TILE_K};
    int64_t end = at;
    const int64_t limit = least(at + TILE_K, q->n_key);
    for (int64_t i = 0; i < q->n * q->n_range; i++) {
        const int64_t from = most(q->range[i].first - q->key_base, at);
        const int64_t to = least(q->range[i].end - q->key_base, limit);
        if (to <= from) continue;
        t.first = least(t.first, from);
        end = most(end, to);
    }
    if (end <= t.first) return t;
    t.first -= t.first % KERNEL_MM_ROWS;
    t.n = (end - t.first + KERNEL_MM_ROWS - 1) / KERNEL_MM_ROWS * KERNEL_MM_ROWS;
    t.whole = true;
    for (int64_t i = 0; i < q->n && t.whole; i++) {
        bool sees_all = false;
        for (const KeyRange *r = q->range + i * q->n_range, *last = r + q->n_range; r < last; r++)
            sees_all |= r->first - q->key_base <= t.first && r->end - q->key_base >= t.first + t.n;
        t.whole = sees_all;
    }
    return t;
}

/* Column c = i, i + n, i + 2 n, ... of one query i. */
static void mask_rows(int64_t first, int64_t end, int64_t column, int64_t step, int64_t n_col,
                      real *s)
{
    for (int64_t row = first; row < end; row++)
        for (int64_t c = column; c < n_col; c += step) s[row * n_col + c] = -(real)INFINITY;
}

void key_tile_mask(const QueryTile *q, const KeyTile *t, int64_t n_col, real *s)
{
    const int64_t base = q->key_base + t->first;
    for (int64_t i = 0; i < q->n; i++) {
        int64_t at = 0;
        for (const KeyRange *r = q->range + i * q->n_range, *last = r + q->n_range; r < last; r++) {
            if (r->end <= r->first) continue;
            mask_rows(at, least(r->first - base, t->n), i, q->n, n_col, s);
            at = most(at, r->end - base);
        }
        mask_rows(at, t->n, i, q->n, n_col, s);
    }
}
