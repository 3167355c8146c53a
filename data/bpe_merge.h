/* bpe_merge.h — the merges of a byte-pair encoding, and their work on the symbols of one word. */
#ifndef DATA_BPE_MERGE_H
#define DATA_BPE_MERGE_H
#include "trainer/base/status.h"

typedef struct Symbol {
    int32_t id;
    int32_t end; /* in the word, in bytes */
} Symbol;

typedef struct Merge {
    uint64_t pair; /* left + 1, right + 1; 0: a free slot */
    uint32_t rank; /* lower ones go first */
    int32_t into;
} Merge;

typedef struct MergeTable { /* an open-addressing hash */
    Merge *slot;
    int64_t n, n_slot;
} MergeTable;
CHECKED Status merge_table_init(MergeTable *t);
void merge_table_fini(MergeTable *t);
/* A pair that is there already takes the new rank. */
CHECKED Status merge_table_put(MergeTable *t, int32_t left, int32_t right, uint32_t rank,
                               int32_t into);

enum { SHORT_WORD = 64 };           /* symbols */
typedef struct MergeRoom MergeRoom; /* where longer words are merged; NULL is an empty one */
void merge_room_destroy(MergeRoom *room);
/* Room for a word of n symbols, to be written there. */
CHECKED Status merge_room_reserve(MergeRoom **room, int64_t n, Symbol **symbols);

/* Merge until none applies: the lowest rank first, of equal ones the leftmost. Both return how many
 * symbols are left, in the same place. */
int64_t merge_short(const MergeTable *t, Symbol *sym, int64_t n); /* n <= SHORT_WORD */
int64_t merge_long(const MergeTable *t, MergeRoom *room, int64_t n);
#endif
