/* carry.c — see carry.h. */
#include "trainer/models/carry.h"
#include "trainer/models/piece.h"
#include "trainer/models/rope_freq.h"
#include "trainer/models/transformer.h"

/* ---- what the tokens see ---- */

/* A token of a segment, in columns of its row. */
typedef struct Place {
    int64_t at, doc;  /* its own, and the first of its document */
    int64_t begin;    /* of the segment */
    int64_t n_back;   /* tokens of the document before the segment */
    int64_t n_sink;   /* of those, in sinks */
    int64_t n_window; /* and in the window: the last ones that are no sinks */
} Place;

static Place place_of(const Segments *plan, int64_t begin, int64_t at, int64_t doc)
{
    Place p = {.at = at, .doc = doc, .begin = begin, .n_back = begin > doc ? begin - doc : 0};
    p.n_sink = p.n_back < plan->n_sink ? p.n_back : plan->n_sink;
    p.n_window = p.n_back - p.n_sink < plan->n_window ? p.n_back - p.n_sink : plan->n_window;
    return p;
}

static int64_t at_least(int64_t x, int64_t least)
{
    return x > least ? x : least;
}

/* Where the token stands, for its turning. */
static int64_t position(const Segments *plan, const Place *p)
{
    if (plan->whole_positions || p->n_back == 0) return p->at - p->doc;
    return p->n_sink + p->n_window + p->at - p->begin;
}

/* Rows of keys in sight, of a row of the batch whose keys begin at 0: sinks, then window and segment. */
static void in_sight(const Place *p, int64_t n_slot, int64_t attention_window, KeyRange range[2])
{
    const int64_t in_doc = p->at - p->doc, oldest = at_least(in_doc - attention_window + 1, 0);
    const int64_t n_window = at_least(p->n_back - at_least(p->n_back - p->n_window, oldest), 0),
                  own = at_least(p->doc + oldest - p->begin, 0);
    range[0] = (KeyRange){(int32_t)oldest, (int32_t)p->n_sink};
    range[1] = (KeyRange){(int32_t)(n_window > 0 ? n_slot - n_window : n_slot + own),
                          (int32_t)(n_slot + p->at - p->begin + 1)};
}

static Status see_keys(Tape *t, const ModelConfig *c, const Carry *carry, const Place *place,
                       int64_t attention_window, AttentionArg *arg)
{
    Status rc = ST_OK;
    const int n_range = carry->plan->n_sink > 0 ? 2 : 1;
    const int64_t N = carry->B * carry->n_new;
    KeyRange *range = tape_alloc(t, N * n_range, sizeof *range), both[2];
    CHECK(range, NOMEM, "key ranges of %lld tokens", LL(N));
    for (int64_t n = 0; n < N; n++) {
        const int32_t base = (int32_t)(n / carry->n_new * carry->n_key);
        in_sight(&place[n], carry->n_slot, attention_window, both);
        for (int r = 0; r < n_range; r++) {
            const KeyRange *seen = &both[2 - n_range + r];
            range[n * n_range + r] = (KeyRange){base + seen->first, base + seen->end};
        }
    }
    *arg = (AttentionArg){.keys = {N, carry->B * carry->n_key, carry->B, n_range, range},
                          .n_head = c->num_attention_heads,
                          .n_kv_head = c->num_key_value_heads,
                          .head_dim = c->head_dim};
out:
    return rc;
}

/* ---- positions ---- */

/* Where the key in a slot stands; its document is that of the row's first new token. */
static int64_t slot_position(const Segments *plan, const Place *p, int64_t n_slot, int64_t slot)
{
    if (slot < plan->n_sink) return slot;
    const int64_t back = n_slot - slot; /* tokens before the segment */
    const int64_t pos = plan->whole_positions ? p->n_back - back : p->n_sink + p->n_window - back;
    return at_least(pos, 0);
}

/* The rows of the table for the new tokens, and for the slots where the segment begins. */
static void fill_table(const ModelConfig *c, const Carry *carry, const Place *place,
                       const RopeTable *table, real *cos_out, real *sin_out)
{
    double freq[MAX_HEAD_DIM / 2];
    const double factor = rope_freq(c, c->max_position_embeddings, freq);
    const int64_t half = table->half,
                  first = carry->n_past == 0 ? 0 : carry->n_slot + carry->n_past,
                  end = carry->n_slot + carry->n_past + carry->n_new;
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t b = 0; b < carry->B; b++)
        for (int64_t i = first; i < end; i++) {
            const Place *row = place + b * carry->n_new;
            const int64_t own = i - carry->n_slot - carry->n_past, at = b * carry->n_key + i;
            const int64_t pos = own >= 0 ? position(carry->plan, &row[own])
                                         : slot_position(carry->plan, row, carry->n_slot, i);
            rope_fill_row(freq, factor, pos, half, cos_out + at * half, sin_out + at * half);
        }
}

/* Rows of the segment that no call has reached yet are not turned to anything: their angles are zero. */
static Status make_table(Tape *t, const ModelConfig *c, const Carry *carry, const Place *place,
                         real *cos_sin, RopeTable *table)
{
    Status rc = ST_OK;
    const int64_t half = c->head_dim / 2, n = carry->B * carry->n_key;
    if (!cos_sin) {
        cos_sin = tape_alloc(t, 2 * n * half, sizeof *cos_sin);
        CHECK(cos_sin, NOMEM, "rotary table of %lld keys", LL(n));
    }
    *table = (RopeTable){n, half, cos_sin, cos_sin + n * half};
    fill_table(c, carry, place, table, cos_sin, cos_sin + n * half);
out:
    return rc;
}

/* ---- what goes on in the next segment ---- */

/* Of the row whose last token is `last`. */
static void carry_on(const Carry *carry, int64_t b, const Place *last, const int32_t *doc_start,
                     uint8_t *takes, uint8_t *keeps, int32_t *segment_key, int32_t *slot_key)
{
    const Segments *plan = carry->plan;
    const int64_t base = b * carry->n_key, own = base + carry->n_slot, len = plan->len;
    keeps[b] = last->n_back > 0;
    for (int64_t i = 0; i < len; i++) {
        /* before the new tokens there is no document but theirs */
        const bool is_new = i >= carry->n_past;
        takes[b * len + i] =
            !is_new || doc_start[b * carry->n_new + i - carry->n_past] == last->doc;
        segment_key[b * len + i] = (int32_t)(own + i);
    }
    int32_t *slot = slot_key + b * carry->n_slot;
    for (int64_t i = 0; i < carry->n_slot; i++) {
        const bool is_sink = i < plan->n_sink;
        const int64_t at = is_sink ? last->doc + i - last->begin : len - (carry->n_slot - i);
        slot[i] = (int32_t)(is_sink && at < 0 ? base + i : own + (at < len ? at : len - 1));
    }
}

static Status see_next(Tape *t, Carry *carry, const Place *place, const int32_t *doc_start)
{
    Status rc = ST_OK;
    const int64_t len = carry->plan->len;
    uint8_t *takes = tape_alloc(t, carry->B * len, 1), *keeps = tape_alloc(t, carry->B, 1);
    int32_t *segment_key = tape_alloc(t, carry->B * len, sizeof *segment_key),
            *slot_key = tape_alloc(t, carry->B * carry->n_slot, sizeof *slot_key);
    CHECK(takes && keeps && segment_key && slot_key, NOMEM, "segment of %lld tokens", LL(len));
    for (int64_t b = 0; b < carry->B; b++)
        carry_on(carry, b, &place[(b + 1) * carry->n_new - 1], doc_start, takes, keeps, segment_key,
                 slot_key);
    carry->takes = takes;
    carry->keeps = keeps;
    carry->segment_key = segment_key;
    carry->slot_key = slot_key;
out:
    return rc;
}

/* ---- the piece ---- */

static Status place_tokens(Tape *t, const Batch *batch, int64_t begin, Carry *carry, Place **out)
{
    Status rc = ST_OK;
    const int64_t N = carry->B * carry->n_new, n_all = carry->B * carry->n_key;
    Place *place = tape_alloc(t, N, sizeof *place);
    uint8_t *reads = tape_alloc(t, N, 1);
    int32_t *key = tape_alloc(t, n_all, sizeof *key);
    CHECK(place && reads && key, NOMEM, "places of %lld tokens", LL(N));
    for (int64_t n = 0; n < N; n++) {
        const int64_t at = begin + carry->n_past + n % carry->n_new, doc = batch->doc_start[n];
        CHECK(doc >= 0 && doc <= at, SHAPE, "token %lld: its document starts at %lld", LL(at),
              LL(doc));
        place[n] = place_of(carry->plan, begin, at, doc);
        reads[n] = place[n].n_back > 0 && !carry->blind;
    }
    for (int64_t i = 0; i < n_all; i++) key[i] = (int32_t)i;
    carry->reads = reads;
    carry->key = key;
    *out = place;
out:
    return rc;
}

Status segment_piece_make(Tape *t, const ModelConfig *cfg, const ModelDef *def, const Batch *batch,
                          int64_t begin, Carry *carry, real *cos_sin, Piece **piece)
{
    Status rc = ST_OK;
    const int64_t N = carry->B * carry->n_new;
    Place *place = NULL;
    Piece *p = tape_alloc(t, 1, sizeof *p);
    int32_t *pos = tape_alloc(t, N, sizeof *pos);
    CHECK(p && pos, NOMEM, "segment of %lld tokens", LL(N));
    *p =
        (Piece){.cfg = cfg, .N = N, .tokens = batch->tokens, .noise = batch->noise, .carry = carry};
    p->all = (Queries){.n = N, .pos = pos};
    TRY(place_tokens(t, batch, begin, carry, &place));
    for (int64_t n = 0; n < N; n++)
        pos[n] = (int32_t)(n / carry->n_new * carry->n_key + carry->n_slot + carry->n_past +
                           n % carry->n_new);
    TRY(see_keys(t, cfg, carry, place, INT64_MAX / 2, &p->all.attention));
    if (def->windowed && cfg->sliding_window > 0)
        TRY(see_keys(t, cfg, carry, place, cfg->sliding_window, &p->all.window));
    TRY(make_table(t, cfg, carry, place, cos_sin, &p->rope));
    if (carry->ends) TRY(see_next(t, carry, place, batch->doc_start));
    p->last = p->all;
    *piece = p;
out:
    return rc;
}

/* ---- attention ---- */

static Status all_keys(Tape *t, const Carry *c, Tensor *own, real *kept, real *grad, Tensor **all)
{
    Status rc = ST_OK;
    const int64_t width = own->dim[1];
    *all = own;
    if (!c->learns) {
        for (int64_t b = 0; b < c->B; b++)
            memcpy(kept + (b * c->n_key + c->n_slot + c->n_past) * width,
                   own->val + b * c->n_new * width, (size_t)(c->n_new * width) * sizeof *kept);
        TRY(tape_const(t, DT_REAL, kept, 2, (int64_t[]){c->B * c->n_key, width}, all));
    } else if (c->n_slot > 0) {
        Tensor *slots;
        TRY(tape_input(t, kept, grad, 2, (int64_t[]){c->B * c->n_slot, width}, &slots));
        TRY(tape_join_rows(t, slots, own, c->B, all));
    }
out:
    return rc;
}

static Status pick_segment(Tape *t, const Carry *c, Tensor *all, Tensor **y)
{
    Status rc = ST_OK;
    *y = all;
    if (c->n_slot > 0) TRY(tape_embedding(t, all, c->segment_key, c->B * c->plan->len, -1, y));
out:
    return rc;
}

/* The slots as the next segment finds them. */
static Status keep_slots(Tape *t, const Carry *c, Tensor *all, real *kept, const real *grad)
{
    Status rc = ST_OK;
    const int64_t width = all->dim[1], n = c->n_slot * width;
    Tensor *slots;
    if (c->n_slot == 0) goto out;
    TRY(tape_embedding(t, all, c->slot_key, c->B * c->n_slot, -1, &slots));
    if (c->learns && grad) TRY(tape_seed(t, slots, grad));
    for (int64_t b = 0; !c->learns && b < c->B; b++)
        memcpy(kept + b * c->n_key * width, slots->val + b * n, (size_t)n * sizeof *kept);
out:
    return rc;
}

static Status attend(Tape *t, const Piece *p, SegmentSite *site, CarryBlock *block, Tensor *y0,
                     Tensor **y)
{
    Status rc = ST_OK;
    const Carry *c = p->carry;
    *y = y0;
    for (int64_t i = 0; i < p->hooks->n; i++) {
        const Hook *h = &p->hooks->at[i];
        Tensor *after = NULL;
        if (!h->def->attend) continue;
        TRY(h->def->attend(h->self, t, site, y0, y, &after));
        if (!c->ends || !after) continue;
        if (!c->learns)
            memcpy(block->state, after->val, (size_t)after->n * sizeof *block->state);
        else if (block->dstate_after)
            TRY(tape_seed(t, after, block->dstate_after));
    }
out:
    return rc;
}

Status segment_attention(Tape *t, const Piece *p, int layer, const AttentionArg *keys, Tensor *q,
                         Tensor *k, Tensor *v, Tensor **y)
{
    Status rc = ST_OK;
    const Carry *c = p->carry;
    const ModelConfig *cfg = p->cfg;
    CarryBlock *block = &c->block[layer];
    const int64_t D = cfg->head_dim, n_state = c->B * c->plan->state_rows;
    SegmentSite site = {
        .layer = layer, .B = c->B, .reads = c->reads, .takes = c->takes, .keeps = c->keeps};
    Tensor *all_k, *all_v, *q_turned, *k_turned, *y0;
    TRY(all_keys(t, c, k, block->k, block->dk, &all_k));
    TRY(all_keys(t, c, v, block->v, block->dv, &all_v));
    TRY(tape_rope(t, q, &p->rope, p->all.pos, cfg->num_attention_heads, &q_turned));
    TRY(tape_rope(t, all_k, &p->rope, c->key, cfg->num_key_value_heads, &k_turned));
    TRY(tape_attention(t, q_turned, k_turned, all_v, keys, &y0));
    TRY(tape_input(t, block->state, block->dstate, 2, (int64_t[]){n_state, D}, &site.state));
    site.q = c->plan->turned ? q_turned : q;
    if (c->ends) {
        TRY(pick_segment(t, c, c->plan->turned ? k_turned : all_k, &site.k));
        TRY(pick_segment(t, c, all_v, &site.v));
    }
    TRY(attend(t, p, &site, block, y0, y));
    if (c->ends) {
        TRY(keep_slots(t, c, all_k, block->k, block->dk_after));
        TRY(keep_slots(t, c, all_v, block->v, block->dv_after));
    }
out:
    return rc;
}
