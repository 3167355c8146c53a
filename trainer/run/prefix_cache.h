/* prefix_cache.h — what the blocks below everything that is trained make of a row is computed once and kept on disk: later
 * epochs begin above them.
 *
 * A row is computed alone, whoever needs it first, so its numbers do not depend on ranks, on the batch or on whether it was
 * kept; they may differ in the last bits from those of a run without the cache, and the numerics fingerprint says so.
 * docs/methods.md, "Frozen blocks, once". */
#ifndef TRAINER_RUN_PREFIX_CACHE_H
#define TRAINER_RUN_PREFIX_CACHE_H
#include "trainer/run/network.h"

typedef struct PrefixCache PrefixCache;

int64_t prefix_cache_planned(const RunConfig *cfg, const Model *m); /* blocks to be kept; 0: none */
/* *c is NULL where prefix_cache says off, or auto and there is nothing to gain. Nothing is opened before the first row.
 * Rank    local
 * Errors  ST_CONFIG prefix_cache: on, but a gradient has to reach the first block; ST_NOMEM
 * Owns    borrows cfg and net */
CHECKED Status prefix_cache_create(const RunConfig *cfg, Network *net, PrefixCache **c);
void prefix_cache_destroy(PrefixCache *c);         /* accepts NULL */
int64_t prefix_cache_blocks(const PrefixCache *c); /* that are kept; NULL: 0 */

/* Points batch->hidden to what the blocks make of it, until the next call. A file that cannot be read is computed again,
 * one that cannot be written is left: neither fails.
 * Rank    local
 * Errors  ST_NOMEM, those of the model */
CHECKED Status prefix_cache_fill(PrefixCache *c, Batch *batch);

/* Bytes that a row takes on disk. */
int64_t prefix_cache_row_bytes(const RunConfig *cfg);
#endif
