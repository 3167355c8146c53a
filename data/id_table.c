/* id_table.c — texts one after the other in one block; an open-addressing hash finds ids. */
#include "data/id_table.h"
#include "data/short_hash.h"
#include "trainer/base/mem.h"
#include <string.h>

typedef struct Place {
    int64_t at; /* in the block; -1: no such id */
    int64_t n;
} Place;

struct IdTable {
    char *block;
    size_t block_n, block_cap;
    Place *place; /* by id */
    int64_t n_id, id_cap;
    int32_t *slot; /* id + 1; 0 is free */
    int64_t n_text, n_slot;
};

Status id_table_create(IdTable **out)
{
    Status rc = ST_OK;
    IdTable *t = mem_alloc(sizeof *t);
    *out = NULL;
    CHECK(t, NOMEM, "vocabulary: %zu bytes", sizeof *t);
    t->n_slot = 1024;
    t->slot = mem_array(t->n_slot, sizeof *t->slot);
    CHECK(t->slot, NOMEM, "vocabulary: %lld slots", LL(t->n_slot));
    *out = t;
    t = NULL;
out:
    id_table_destroy(t);
    return rc;
}

void id_table_destroy(IdTable *t)
{
    if (!t) return;
    mem_free(t->slot);
    mem_free(t->place);
    mem_free(t->block);
    mem_free(t);
}

/* The slot that holds the text, or the free one where it belongs. */
static int64_t slot_of(const IdTable *t, const char *text, int64_t n)
{
    int64_t i = (int64_t)(short_hash(text, n) & (uint64_t)(t->n_slot - 1));
    for (; t->slot[i]; i = (i + 1) & (t->n_slot - 1)) {
        const Place *p = &t->place[t->slot[i] - 1];
        if (p->n == n && memcmp(t->block + p->at, text, (size_t)n) == 0) break;
    }
    return i;
}

static Status double_slots(IdTable *t)
{
    Status rc = ST_OK;
    int32_t *slot = mem_array(2 * t->n_slot, sizeof *slot);
    CHECK(slot, NOMEM, "vocabulary: %lld slots", LL(2 * t->n_slot));
    mem_free(t->slot);
    t->slot = slot;
    t->n_slot *= 2;
    for (int64_t id = 0; id < t->n_id; id++) {
        const Place *p = &t->place[id];
        if (p->at >= 0) t->slot[slot_of(t, t->block + p->at, p->n)] = (int32_t)id + 1;
    }
out:
    return rc;
}

static Status reserve(IdTable *t, int64_t id, int64_t n)
{
    Status rc = ST_OK;
    if (2 * (t->n_text + 1) > t->n_slot) TRY(double_slots(t));
    if (id >= t->id_cap) {
        const int64_t cap = id + id / 2 + 256;
        Place *wider =
            mem_resize(t->place, (size_t)t->id_cap * sizeof *wider, (size_t)cap * sizeof *wider);
        CHECK(wider, NOMEM, "vocabulary: %lld ids", LL(cap));
        t->place = wider;
        t->id_cap = cap;
    }
    const size_t used = t->block_n + (size_t)n + 1;
    if (used > t->block_cap) {
        char *wider = mem_resize(t->block, t->block_n, used + used / 2);
        CHECK(wider, NOMEM, "vocabulary: %zu bytes", used + used / 2);
        t->block = wider;
        t->block_cap = used + used / 2;
    }
out:
    return rc;
}

Status id_table_put(IdTable *t, int64_t id, const char *text, int64_t n)
{
    Status rc = ST_OK;
    CHECK(id >= 0 && id <= ID_TABLE_MAX_ID, FORMAT, "token \"%.*s\" has the id %lld, not 0 .. %d",
          (int)n, text, LL(id), ID_TABLE_MAX_ID);
    const int32_t known = id_table_find(t, text, n);
    if (known == id) goto out;
    CHECK(known < 0, FORMAT, "token \"%.*s\" has two ids, %d and %lld", (int)n, text, known,
          LL(id));
    const char *other = id_table_text(t, id, NULL);
    CHECK(!other, FORMAT, "id %lld belongs to two tokens, \"%s\" and \"%.*s\"", LL(id), other,
          (int)n, text);
    TRY(reserve(t, id, n));
    while (t->n_id <= id) t->place[t->n_id++].at = -1;
    t->place[id] = (Place){(int64_t)t->block_n, n};
    memcpy(t->block + t->block_n, text, (size_t)n);
    t->block[t->block_n + (size_t)n] = '\0';
    t->block_n += (size_t)n + 1;
    t->slot[slot_of(t, text, n)] = (int32_t)id + 1;
    t->n_text++;
out:
    return rc;
}

int32_t id_table_find(const IdTable *t, const char *text, int64_t n)
{
    return t->slot[slot_of(t, text, n)] - 1;
}

const char *id_table_text(const IdTable *t, int64_t id, int64_t *n)
{
    const bool there = id >= 0 && id < t->n_id && t->place[id].at >= 0;
    if (n) *n = there ? t->place[id].n : 0;
    return there ? t->block + t->place[id].at : NULL;
}

int64_t id_table_size(const IdTable *t)
{
    return t->n_id;
}
