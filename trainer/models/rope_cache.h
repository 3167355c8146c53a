/* rope_cache.h — the rotary tables of a model, made when rows are long enough to need them. */
#ifndef TRAINER_MODELS_ROPE_CACHE_H
#define TRAINER_MODELS_ROPE_CACHE_H
#include "trainer/models/model.h"

typedef struct RopeCache {
    RopeTable table;
    int64_t n_freq; /* length the frequencies are for */
    real *numbers;
} RopeCache;

/* A table of at least n_pos positions; cfg is the same in every call.
 * Math    with rope_type dynamic the frequencies depend on the longest document of the micro-batch, n_pos
 * Errors  ST_NOMEM
 * Owns    the cache, until the next call or rope_cache_fini */
CHECKED Status rope_cache_get(RopeCache *c, const ModelConfig *cfg, int64_t n_pos,
                              RopeTable *table);
void rope_cache_fini(RopeCache *c);
#endif
