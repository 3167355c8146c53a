/* arena.c — a list of blocks, filled one after the other. */
#include "trainer/tensor/arena.h"
#include "trainer/base/mem.h"

enum { ARENA_ALIGN = 64, ARENA_LEAST_BLOCK = 1 << 18 };

struct ArenaBlock {
    char *p;
    size_t n_bytes;
};

static void arena_drop_blocks(Arena *a)
{
    for (int64_t i = 0; i < a->n_block; i++) mem_free(a->block[i].p);
    a->n_block = 0;
}

void arena_fini(Arena *a)
{
    arena_drop_blocks(a);
    mem_free(a->block);
    *a = (Arena){0};
}

static bool arena_grow(Arena *a, size_t n_bytes)
{
    if (n_bytes < ARENA_LEAST_BLOCK) n_bytes = ARENA_LEAST_BLOCK;
    if (n_bytes < arena_bytes(a) / 4) n_bytes = arena_bytes(a) / 4;
    if (n_bytes < a->next_bytes) n_bytes = a->next_bytes;
    const size_t n = (size_t)a->n_block;
    struct ArenaBlock *block = mem_resize(a->block, n * sizeof *block, (n + 1) * sizeof *block);
    if (!block) return false;
    a->block = block;
    a->block[n] = (struct ArenaBlock){mem_alloc(n_bytes), n_bytes};
    if (!a->block[n].p) return false;
    a->n_block++;
    a->next_bytes = 0;
    return true;
}

void *arena_alloc(Arena *a, int64_t n, size_t elem_bytes)
{
    if (n < 0 || (uint64_t)n > (SIZE_MAX / 2) / elem_bytes) return NULL;
    const size_t n_bytes = ((size_t)n * elem_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    while (a->in_use >= a->n_block || a->block[a->in_use].n_bytes - a->offset < n_bytes) {
        if (a->in_use < a->n_block) {
            a->in_use++;
            a->offset = 0;
        } else if (!arena_grow(a, n_bytes)) {
            return NULL;
        }
    }
    void *p = a->block[a->in_use].p + a->offset;
    a->offset += n_bytes;
    a->used += n_bytes;
    if (a->peak < a->used) a->peak = a->used;
    return p;
}

ArenaMark arena_mark(const Arena *a)
{
    return (ArenaMark){a->in_use, a->offset, a->used};
}

void arena_release(Arena *a, ArenaMark m)
{
    a->in_use = m.in_use;
    a->offset = m.offset;
    a->used = m.used;
}

void arena_reset(Arena *a)
{
    if (a->n_block > 1) {
        a->next_bytes = a->peak;
        arena_drop_blocks(a);
        mem_trim();
    }
    a->in_use = 0;
    a->offset = 0;
    a->used = 0;
    a->peak = 0;
}

size_t arena_bytes(const Arena *a)
{
    size_t n = 0;
    for (int64_t i = 0; i < a->n_block; i++) n += a->block[i].n_bytes;
    return n;
}
