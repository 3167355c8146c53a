/* kv_cache.h — keys and values of the tokens a model has seen, so that a further token costs one row. */
#ifndef TRAINER_MODELS_KV_CACHE_H
#define TRAINER_MODELS_KV_CACHE_H
#include "trainer/models/model.h"

/* Slots are texts side by side; each holds the keys, after their turning, and values of its first n_past
 * tokens, in every layer. Frequencies that depend on the length (rope_type dynamic) are those of the
 * moment at which a token came. */
typedef struct KvCache {
    int64_t n_layer, n_slot, capacity, width; /* width: num_key_value_heads * head_dim */
    real *k, *v;                              /* (n_layer, n_slot * capacity, width) */
    int64_t *n_past;                          /* (n_slot) */
} KvCache;

CHECKED Status kv_cache_create(const ModelConfig *cfg, int64_t n_slot, int64_t capacity,
                               KvCache **c);
void kv_cache_destroy(KvCache *c);
int64_t kv_bytes(const ModelConfig *cfg,
                 int64_t n_token); /* of their keys and values in all layers */

/* Tokens that follow what the cache holds. Row b continues slot[b] by its first n_new[b] tokens; the rest of
 * the row is filling. */
typedef struct KvRows {
    KvCache *cache;
    const int64_t *slot, *n_new; /* (B), no slot twice */
} KvRows;

static inline int64_t kv_first_row(const KvRows *r, int64_t b)
{
    return r->slot[b] * r->cache->capacity;
}

/* Reads the batch on top of the cache, keeps its keys and values there, and gives the logits after the last
 * new token of each row; resets the tape first. Labels and document starts are not read.
 *
 * Shapes  logits: (B, vocab_size)
 * Errors  ST_CONFIG more tokens than the cache or the model has room for; ST_SHAPE, ST_NOMEM */
CHECKED Status model_extend(const Model *m, Tape *t, const Batch *batch, const KvRows *rows,
                            real *logits);
#endif
