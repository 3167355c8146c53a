/* kv_cache.c — see kv_cache.h. */
#include "trainer/models/kv_cache.h"
#include "trainer/base/mem.h"

void kv_cache_destroy(KvCache *c)
{
    if (!c) return;
    mem_free(c->k);
    mem_free(c->v);
    mem_free(c->n_past);
    mem_free(c);
}

int64_t kv_bytes(const ModelConfig *cfg, int64_t n_token)
{
    return 2 * cfg->num_hidden_layers * n_token * cfg->num_key_value_heads * cfg->head_dim *
           (int64_t)sizeof(real);
}

Status kv_cache_create(const ModelConfig *cfg, int64_t n_slot, int64_t capacity, KvCache **out)
{
    Status rc = ST_OK;
    KvCache *c = mem_alloc(sizeof *c);
    CHECK(c, NOMEM, "cache of keys: %zu bytes", sizeof *c);
    c->n_layer = cfg->num_hidden_layers;
    c->n_slot = n_slot;
    c->capacity = capacity;
    c->width = cfg->num_key_value_heads * cfg->head_dim;
    const int64_t n = c->n_layer * n_slot * capacity * c->width;
    c->k = mem_array(n, sizeof *c->k);
    c->v = mem_array(n, sizeof *c->v);
    c->n_past = mem_array(n_slot, sizeof *c->n_past);
    CHECK(c->k && c->v && c->n_past, NOMEM, "keys and values of %lld tokens",
          LL(n_slot * capacity));
    *out = c;
    c = NULL;
out:
    kv_cache_destroy(c);
    return rc;
}
