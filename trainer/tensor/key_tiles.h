/* key_tiles.h — key ranges cut into tiles: which keys the queries of a tile see. No numbers yet. */
#ifndef TRAINER_TENSOR_KEY_TILES_H
#define TRAINER_TENSOR_KEY_TILES_H
#include "trainer/tensor/op.h"

enum { TILE_Q = 32, TILE_K = 64 };

/* Every range in order within its group, every query with a key. Errors: ST_SHAPE */
CHECKED Status key_ranges_check(const KeyRanges *keys);

/* At most TILE_Q queries of a group. Key positions are within the group; range holds rows of k. */
typedef struct QueryTile {
    int64_t first, n;           /* rows of q and y */
    int64_t key_first, key_end; /* outside of it no query of the tile sees a key */
    int64_t key_base, n_key;    /* of the group: row of its key 0, number of keys */
    int n_range;
    const KeyRange *range; /* (n, n_range) */
} QueryTile;

QueryTile query_tile(const KeyRanges *keys, int64_t group, int64_t at);

/* The keys of a tile that some query sees, in whole kernel rows; none: n = 0. */
typedef struct KeyTile {
    int64_t first, n; /* within the group */
    bool whole;       /* every query sees all of them */
} KeyTile;

KeyTile key_tile(const QueryTile *q, int64_t at); /* among keys at .. at + TILE_K */

/* s[key,c] = -inf where query c % q->n does not see the key. Shapes: s (t->n, n_col) */
void key_tile_mask(const QueryTile *q, const KeyTile *t, int64_t n_col, real *s);
#endif
