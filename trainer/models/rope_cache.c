/* rope_cache.c — see rope_cache.h. */
#include "trainer/models/rope_cache.h"
#include "trainer/base/mem.h"
#include "trainer/models/rope_freq.h"
#include <string.h>

static int64_t freq_length(const ModelConfig *cfg, int64_t n_pos)
{
    const bool dynamic = cfg->rope_type && strcmp(cfg->rope_type, "dynamic") == 0;
    return dynamic && n_pos > cfg->max_position_embeddings ? n_pos : cfg->max_position_embeddings;
}

Status rope_cache_get(RopeCache *c, const ModelConfig *cfg, int64_t n_pos, RopeTable *table)
{
    Status rc = ST_OK;
    const int64_t half = cfg->head_dim / 2, n_freq = freq_length(cfg, n_pos);
    if (n_pos <= c->table.n_pos && n_freq == c->n_freq) goto out;
    int64_t room = 64; /* rows of growing length make few tables */
    while (room < n_pos) room *= 2;
    const int64_t n = room * half;
    real *numbers = mem_array(2 * n, sizeof(real));
    CHECK(numbers, NOMEM, "rotary table of %lld positions", LL(room));
    rope_cache_fini(c);
    c->numbers = numbers;
    double freq[MAX_HEAD_DIM / 2];
    const double factor = rope_freq(cfg, n_freq, freq);
    rope_fill(freq, factor, room, half, c->numbers, c->numbers + n);
    c->table = (RopeTable){room, half, c->numbers, c->numbers + n};
    c->n_freq = n_freq;
out:
    *table = c->table;
    return rc;
}

void rope_cache_fini(RopeCache *c)
{
    mem_free(c->numbers);
    *c = (RopeCache){0};
}
