/* piece.c — see piece.h. */
#include "trainer/models/piece.h"
#include "trainer/base/mem.h"
#include "trainer/models/transformer.h"

static bool shares(const Batch *batch)
{
    for (int64_t n = 0; batch->n_shared && n < batch->B * batch->T; n++)
        if (batch->n_shared[n] > 0) return true;
    return false;
}

static Status follow_document(Piece *p, const Batch *batch, int32_t *pos)
{
    Status rc = ST_OK;
    for (int64_t n = 0; n < p->N; n++) {
        const int64_t in_row = n % batch->T, doc_start = batch->doc_start[n];
        const int64_t n_shared = batch->n_shared ? batch->n_shared[n] : 0;
        CHECK(doc_start >= 0 && doc_start <= in_row, SHAPE,
              "token %lld: its document starts at %lld", LL(in_row), LL(doc_start));
        CHECK(n_shared == 0 || (n_shared > 0 && batch->shared_start[n] >= 0 &&
                                batch->shared_start[n] + n_shared <= doc_start),
              SHAPE, "token %lld: its document starts at %lld and shares %lld tokens from %d on",
              LL(in_row), LL(doc_start), LL(n_shared), batch->shared_start[n]);
        pos[n] = (int32_t)(n_shared + in_row - doc_start);
    }
out:
    return rc;
}

/* The new tokens of a row stand behind what its slot holds; what fills up the row stands with the last. */
static Status follow_cache(Tape *t, Piece *p, const Batch *batch, const KvRows *kv, int32_t *pos)
{
    Status rc = ST_OK;
    const KvCache *c = kv->cache;
    int64_t *cache_row = tape_alloc(t, p->N, sizeof *cache_row);
    CHECK(cache_row, NOMEM, "places of %lld tokens", LL(p->N));
    for (int64_t b = 0; b < batch->B; b++) {
        const int64_t slot = kv->slot[b], past = c->n_past[slot], n_new = kv->n_new[b];
        CHECK(n_new >= 1 && n_new <= batch->T && past + n_new <= c->capacity, CONFIG,
              "%lld tokens behind %lld, there is room for %lld", LL(n_new), LL(past),
              LL(c->capacity));
        for (int64_t i = 0; i < batch->T; i++) {
            const int64_t n = b * batch->T + i, at = past + (i < n_new ? i : n_new - 1);
            pos[n] = (int32_t)at;
            cache_row[n] = i < n_new ? slot * c->capacity + at : -1;
        }
    }
    p->kv = kv;
    p->cache_row = cache_row;
out:
    return rc;
}

/* Keys first .. end of those that token n sees: [0] of what it shares, [1] of its own. */
static void ranges_of_token(const Batch *batch, int64_t n, int64_t n_back, KeyRange range[2])
{
    const int64_t T = batch->T, at = n % T, row = n - at;
    const int64_t n_own = at - batch->doc_start[n], n_shared = batch->n_shared[n];
    const int64_t own_back = n_back < n_own ? n_back : n_own, shared_back = n_back - own_back;
    const int64_t shared_end = row + batch->shared_start[n] + n_shared;
    range[0] = (KeyRange){(int32_t)(shared_end - shared_back), (int32_t)shared_end};
    range[1] = (KeyRange){(int32_t)(n - own_back), (int32_t)(n + 1)};
}

/* Token n sees its document up to itself, at most the last `window` tokens of it. */
static Status see_keys(Tape *t, const Piece *p, const Batch *batch, int n_range, int64_t window,
                       AttentionArg *arg)
{
    Status rc = ST_OK;
    const ModelConfig *c = p->cfg;
    const int32_t *pos = p->all.pos;
    KeyRange *range = tape_alloc(t, p->N * n_range, sizeof *range);
    CHECK(range, NOMEM, "key ranges of %lld tokens", LL(p->N));
    int64_t n_key = p->N, n_group = batch->B;
    if (p->kv) { /* the slots of a batch are in any order */
        n_key = p->kv->cache->n_slot * p->kv->cache->capacity;
        n_group = 1;
    }
    for (int64_t n = 0; n < p->N; n++) {
        const int64_t back = pos[n] < window ? pos[n] : window - 1;
        const int64_t own = p->kv ? kv_first_row(p->kv, n / batch->T) + pos[n] : n;
        if (n_range == 2)
            ranges_of_token(batch, n, back, range + 2 * n);
        else
            range[n] = (KeyRange){(int32_t)(own - back), (int32_t)(own + 1)};
    }
    *arg = (AttentionArg){.keys = {p->N, n_key, n_group, n_range, range},
                          .n_head = c->num_attention_heads,
                          .n_kv_head = c->num_key_value_heads,
                          .head_dim = c->head_dim};
out:
    return rc;
}

static Status pick_keys(Tape *t, const Queries *q, const AttentionArg *of_all, AttentionArg *arg)
{
    Status rc = ST_OK;
    const KeyRanges *all = &of_all->keys;
    const int n_range = all->n_range;
    KeyRange *range = tape_alloc(t, q->n * n_range, sizeof *range);
    CHECK(range, NOMEM, "key ranges of %lld tokens", LL(q->n));
    for (int64_t i = 0; i < q->n; i++)
        memcpy(range + i * n_range, all->range + q->row[i] * n_range,
               (size_t)n_range * sizeof *range);
    *arg = *of_all;
    arg->keys = (KeyRanges){q->n, all->n_key, 1, n_range, range};
out:
    return rc;
}

static Status pick_queries(Tape *t, Piece *p, AskedRows asked)
{
    Status rc = ST_OK;
    Queries *q = &p->last;
    *q = p->all;
    if (asked.n == 0) goto out;
    int32_t *pos = tape_alloc(t, asked.n, sizeof *pos);
    CHECK(pos, NOMEM, "positions of %lld tokens", LL(asked.n));
    for (int64_t i = 0; i < asked.n; i++) pos[i] = p->all.pos[asked.row[i]];
    *q = (Queries){.n = asked.n, .row = asked.row, .pos = pos};
    TRY(pick_keys(t, q, &p->all.attention, &q->attention));
    if (p->all.window.keys.range) TRY(pick_keys(t, q, &p->all.window, &q->window));
out:
    return rc;
}

static int64_t longest_document(const Queries *all)
{
    int32_t last = 0;
    for (int64_t n = 0; n < all->n; n++)
        if (all->pos[n] > last) last = all->pos[n];
    return last + 1;
}

Status piece_make(Tape *t, const ModelConfig *cfg, const ModelDef *def, RopeCache *rope,
                  const Batch *batch, const KvRows *kv, AskedRows asked, Piece **piece)
{
    Status rc = ST_OK;
    const int64_t T = batch->T, N = batch->B * T;
    CHECK(T <= model_max_positions(cfg), CONFIG,
          "a row has %lld tokens, max_position_embeddings is %lld", LL(T),
          LL(cfg->max_position_embeddings));
    const int n_range = shares(batch) ? 2 : 1;
    Piece *p = tape_alloc(t, 1, sizeof *p);
    int32_t *pos = tape_alloc(t, N, sizeof *pos);
    CHECK(p && pos, NOMEM, "positions of %lld tokens", LL(N));
    *p = (Piece){.cfg = cfg, .N = N, .tokens = batch->tokens, .noise = batch->noise};
    p->all = (Queries){.n = N, .pos = pos};
    TRY(kv ? follow_cache(t, p, batch, kv, pos) : follow_document(p, batch, pos));
    TRY(see_keys(t, p, batch, n_range, INT64_MAX, &p->all.attention));
    if (def->windowed && cfg->sliding_window > 0)
        TRY(see_keys(t, p, batch, n_range, cfg->sliding_window, &p->all.window));
    if (def->rotary) TRY(rope_cache_get(rope, cfg, longest_document(&p->all), &p->rope));
    TRY(pick_queries(t, p, asked));
    *piece = p;
out:
    return rc;
}

const Queries *piece_queries(const Piece *p, int64_t layer)
{
    return layer == p->cfg->num_hidden_layers - 1 ? &p->last : &p->all;
}

Status queries_pick(Tape *t, const Queries *q, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    *y = x;
    if (q->row) TRY(tape_embedding(t, x, q->row, q->n, -1, y));
out:
    return rc;
}
