/* arena.h — memory handed out in order and taken back all at once, or down to a mark. */
#ifndef TRAINER_TENSOR_ARENA_H
#define TRAINER_TENSOR_ARENA_H
#include "trainer/base/status.h"

/* A zeroed Arena is an empty one. After a reset the memory is joined into one block, so that pieces
 * of equal size allocate nothing from the second on. */
typedef struct Arena {
    struct ArenaBlock *block;
    int64_t n_block, in_use; /* blocks before in_use are full, in_use is being filled */
    size_t offset;           /* in block in_use */
    size_t used, peak;       /* bytes handed out, and the most at a time since the last reset */
    size_t next_bytes;       /* least size of the next block */
} Arena;

typedef struct ArenaMark {
    int64_t in_use;
    size_t offset, used;
} ArenaMark;

void arena_fini(Arena *a);
void *arena_alloc(Arena *a, int64_t n,
                  size_t elem_bytes); /* 64-byte aligned, contents undefined; NULL: no memory */
ArenaMark arena_mark(const Arena *a);
void arena_release(
    Arena *a,
    ArenaMark m); /* drops what was handed out since; the numbers stay until overwritten */
void arena_reset(Arena *a);
size_t arena_bytes(const Arena *a);
#endif
