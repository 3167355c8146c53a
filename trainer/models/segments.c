/* segments.c — see segments.h. */
#include "trainer/models/segments.h"
#include "trainer/base/mem.h"
#include "trainer/models/transformer.h"

const Segments *model_segments(const Model *m)
{
    const Hooks *hooks = model_hooks(m);
    for (int64_t i = 0; hooks && i < hooks->n; i++)
        if (hooks->at[i].def->segments) return hooks->at[i].def->segments(hooks->at[i].self);
    return NULL;
}

const Segments *segments_for(const Model *m, int64_t T, bool learns)
{
    const Segments *s = model_segments(m);
    return s && T > (learns ? s->len : s->route_threshold) ? s : NULL;
}

/* ---- what is kept of a row ---- */

/* Numbers of a block for B rows that have n keys each. */
typedef struct BlockSize {
    int64_t n_layer, keys, state;
} BlockSize;

static BlockSize block_size(const Model *m, int64_t B, int64_t n_key)
{
    const ModelConfig *c = model_config(m);
    return (BlockSize){c->num_hidden_layers, B * n_key * c->num_key_value_heads * c->head_dim,
                       B * model_segments(m)->state_rows * c->head_dim};
}

static int64_t all_blocks(const BlockSize *s)
{
    return s->n_layer * (2 * s->keys + s->state);
}

/* Block i of numbers that lie one block after the other. */
static CarryBlock block_at(const BlockSize *s, real *numbers, int64_t i)
{
    real *at = numbers + i * (2 * s->keys + s->state);
    return (CarryBlock){.k = at, .v = at + s->keys, .state = at + 2 * s->keys};
}

struct SegmentCache {
    const Segments *plan;
    int64_t B, n_layer, n_slot, n_key, half; /* see Carry; half: of a head */
    int64_t begin, n_past;                   /* of the segment; tokens of it */
    BlockSize size;
    real *numbers, *cos_sin;
    CarryBlock *block; /* (n_layer) */
};

void segment_cache_destroy(SegmentCache *c)
{
    if (!c) return;
    mem_free(c->numbers);
    mem_free(c->cos_sin);
    mem_free(c->block);
    mem_free(c);
}

Status segment_cache_create(const Model *m, int64_t B, SegmentCache **out)
{
    Status rc = ST_OK;
    const ModelConfig *cfg = model_config(m);
    SegmentCache *c = mem_alloc(sizeof *c);
    CHECK(c, NOMEM, "segments: %zu bytes", sizeof *c);
    c->plan = model_segments(m);
    c->B = B;
    c->n_layer = cfg->num_hidden_layers;
    c->n_slot = segments_n_slot(c->plan);
    c->n_key = c->n_slot + c->plan->len;
    c->half = cfg->head_dim / 2;
    c->size = block_size(m, B, c->n_key);
    c->numbers = mem_array(all_blocks(&c->size), sizeof *c->numbers);
    c->cos_sin = mem_array(2 * B * c->n_key * c->half, sizeof *c->cos_sin);
    c->block = mem_array(c->n_layer, sizeof *c->block);
    CHECK(c->numbers && c->cos_sin && c->block, NOMEM, "segments of %lld tokens: %lld bytes",
          LL(c->plan->len), LL(segment_cache_bytes(m, B)));
    for (int64_t i = 0; i < c->n_layer; i++) c->block[i] = block_at(&c->size, c->numbers, i);
    *out = c;
    c = NULL;
out:
    segment_cache_destroy(c);
    return rc;
}

void segment_cache_forget(SegmentCache *c)
{
    c->begin = c->n_past = 0;
    memset(c->numbers, 0, (size_t)all_blocks(&c->size) * sizeof *c->numbers);
}

int64_t segment_cache_bytes(const Model *m, int64_t B)
{
    const Segments *plan = model_segments(m);
    const int64_t n_key = segments_n_slot(plan) + plan->len,
                  n_angle = 2 * B * n_key * (model_config(m)->head_dim / 2);
    const BlockSize size = block_size(m, B, n_key);
    return (all_blocks(&size) + n_angle) * (int64_t)sizeof(real);
}

int64_t segment_cache_n_past(const SegmentCache *c)
{
    return c->begin + c->n_past;
}

const real *segment_cache_state(const SegmentCache *c, int64_t layer)
{
    return c->block[layer].state;
}

/* The network over the next tokens, at most as many as the segment has room for; resets the tape. goes_on: more will follow
 * when the segment is full. */
static Status read_on(const Model *m, Tape *t, SegmentCache *c, const Batch *batch, bool goes_on,
                      Tensor **x)
{
    Status rc = ST_OK;
    Piece *piece;
    const bool full = c->n_past + batch->T == c->plan->len;
    Carry *carry = tape_alloc(t, 1, sizeof *carry);
    CHECK(carry, NOMEM, "segment: %zu bytes", sizeof *carry);
    *carry = (Carry){.plan = c->plan,
                     .B = c->B,
                     .n_new = batch->T,
                     .n_past = c->n_past,
                     .n_slot = c->n_slot,
                     .n_key = c->n_key,
                     .ends = full && goes_on,
                     .blind = model_is_blind(m),
                     .block = c->block};
    TRY(segment_piece_make(t, model_config(m), model_def(m), batch, c->begin, carry, c->cos_sin,
                           &piece));
    TRY(model_run(m, t, piece, x));
    c->n_past += batch->T;
    if (!full) goto out;
    c->begin += c->plan->len;
    c->n_past = 0;
out:
    return rc;
}

/* ---- a batch, segment by segment ---- */

static int64_t n_segment_of(const Segments *plan, int64_t T)
{
    return (T + plan->len - 1) / plan->len;
}

/* Columns of segment s, on the tape. */
static Status cut_segment(Tape *t, const Batch *batch, int64_t len, int64_t s, Batch *cut)
{
    Status rc = ST_OK;
    const int64_t first = s * len, n = batch->T - first < len ? batch->T - first : len;
    int32_t *const from[] = {batch->tokens, batch->labels, batch->doc_start};
    int32_t **const to[] = {&cut->tokens, &cut->labels, &cut->doc_start};
    *cut = (Batch){.B = batch->B, .T = n};
    if (batch->noise != 0) cut->noise = rng_at(batch->noise, 0, (uint64_t)s) | 1;
    for (int k = 0; k < N_OF(from); k++) {
        *to[k] = tape_alloc(t, cut->B * n, sizeof **to[k]);
        CHECK(*to[k], NOMEM, "segment of %lld rows of %lld tokens", LL(cut->B), LL(n));
        for (int64_t b = 0; b < cut->B; b++)
            memcpy(*to[k] + b * n, from[k] + b * batch->T + first, (size_t)n * sizeof **to[k]);
    }
    for (int64_t i = 0; i < cut->B * n; i++) cut->n_label += cut->labels[i] >= 0;
out:
    return rc;
}

static Status next_segment(const Model *m, Tape *t, SegmentCache *c, const Batch *batch, int64_t s,
                           Batch *cut, Tensor **x)
{
    Status rc = ST_OK;
    tape_reset(t);
    tape_no_grad(t, true);
    TRY(cut_segment(t, batch, c->plan->len, s, cut));
    TRY(read_on(m, t, c, cut, (s + 1) * c->plan->len < batch->T, x));
out:
    return rc;
}

Status segments_logits(const Model *m, Tape *t, const Batch *batch, int64_t n_row,
                       const int64_t *rows, real *logits)
{
    Status rc = ST_OK;
    const int64_t V = model_config(m)->vocab_size, len = model_segments(m)->len;
    SegmentCache *c = NULL;
    Batch cut;
    Tensor *x;
    TRY(segment_cache_create(m, batch->B, &c));
    for (int64_t s = 0; s < n_segment_of(c->plan, batch->T); s++) {
        TRY(next_segment(m, t, c, batch, s, &cut, &x));
        int64_t *here = tape_alloc(t, n_row, sizeof *here), n = 0;
        real *said = tape_alloc(t, n_row * V, sizeof *said);
        CHECK(here && said, NOMEM, "logits of %lld rows", LL(n_row));
        for (int64_t i = 0; i < n_row; i++) {
            const int64_t b = rows[i] / batch->T, at = rows[i] % batch->T - s * len;
            if (at >= 0 && at < cut.T) here[n++] = b * cut.T + at;
        }
        TRY(model_head_logits(m, t, x, n, here, said));
        for (int64_t i = 0; i < n_row; i++)
            if (rows[i] % batch->T / len == s) {
                memcpy(logits + i * V, said, (size_t)V * sizeof *logits);
                said += V;
            }
    }
out:
    segment_cache_destroy(c);
    return rc;
}

/* ---- loss ---- */

/* Numbers that segments hand over, of all blocks. */
typedef struct Lesson {
    const Model *m;
    const Batch *batch;
    const Segments *plan;
    BlockSize size;            /* of the slots and the state */
    int64_t n_segment, lowest; /* the lowest block with something to learn */
    real *given;               /* (n_segment, all blocks) what each finds */
    real *grad[2];             /* of that, for a segment and the one after it, in turns */
    CarryBlock *block;         /* (n_layer) of the segment at hand */
    real *nats;                /* (B,T) */
} Lesson;

static void lesson_fini(Lesson *l)
{
    mem_free(l->given);
    mem_free(l->grad[0]);
    mem_free(l->grad[1]);
    mem_free(l->block);
    mem_free(l->nats);
}

static int64_t lesson_reals(const BlockSize *s, int64_t n_segment)
{
    return (n_segment + 2) * all_blocks(s);
}

int64_t segments_bytes(const Model *m, int64_t B, int64_t T)
{
    const Segments *plan = model_segments(m);
    const BlockSize kept = block_size(m, B, segments_n_slot(plan));
    return (int64_t)sizeof(real) * (lesson_reals(&kept, n_segment_of(plan, T)) + B * T) +
           segment_cache_bytes(m, B);
}

static Status lesson_init(Lesson *l, bool backward)
{
    Status rc = ST_OK;
    const Segments *plan = l->plan = model_segments(l->m);
    l->size = block_size(l->m, l->batch->B, segments_n_slot(plan));
    l->n_segment = n_segment_of(plan, l->batch->T);
    l->lowest = model_n_frozen_block(l->m);
    l->nats = mem_array(l->batch->B * l->batch->T, sizeof *l->nats);
    CHECK(l->nats, NOMEM, "losses of %lld tokens", LL(l->batch->B * l->batch->T));
    if (!backward) goto out;
    const int64_t n = all_blocks(&l->size);
    l->given = mem_array(l->n_segment * n, sizeof *l->given);
    l->grad[0] = mem_array(n, sizeof *l->grad[0]);
    l->grad[1] = mem_array(n, sizeof *l->grad[1]);
    l->block = mem_array(l->size.n_layer, sizeof *l->block);
    CHECK(l->given && l->grad[0] && l->grad[1] && l->block, NOMEM,
          "what %lld segments hand over: %lld bytes", LL(l->n_segment),
          LL(lesson_reals(&l->size, l->n_segment) * (int64_t)sizeof(real)));
out:
    return rc;
}

/* What the cache holds for segment s; of each row the slots come first. */
static void write_down(Lesson *l, const SegmentCache *c, int64_t s)
{
    const int64_t width = l->size.keys / c->B, stride = c->size.keys / c->B;
    for (int64_t i = 0; i < c->n_layer; i++) {
        const CarryBlock to = block_at(&l->size, l->given + s * all_blocks(&l->size), i),
                         *from = &c->block[i];
        for (int64_t b = 0; b < c->B; b++) {
            memcpy(to.k + b * width, from->k + b * stride, (size_t)width * sizeof *to.k);
            memcpy(to.v + b * width, from->v + b * stride, (size_t)width * sizeof *to.v);
        }
        memcpy(to.state, from->state, (size_t)l->size.state * sizeof *to.state);
    }
}

static void keep_nats(Lesson *l, int64_t s, const Batch *cut, const Tensor *loss)
{
    for (int64_t b = 0; b < cut->B; b++)
        memcpy(l->nats + b * l->batch->T + s * l->plan->len, loss->val + b * cut->T,
               (size_t)cut->T * sizeof *l->nats);
}

static Status loss_of(const Model *m, Tape *t, Tensor *x, const Batch *cut, Tensor **loss)
{
    Status rc = ST_OK;
    Tensor *head;
    TRY(tape_param(t, model_head(m), &head));
    TRY(tape_ce_head_softcap(t, x, head, cut->labels, model_config(m)->final_logit_softcapping,
                             loss));
out:
    return rc;
}

/* Every segment forward; with nothing to learn the losses, else what each but the last leaves behind. */
static Status read_through(Lesson *l, Tape *t, bool backward)
{
    Status rc = ST_OK;
    SegmentCache *c = NULL;
    Batch cut;
    Tensor *x, *loss;
    TRY(segment_cache_create(l->m, l->batch->B, &c));
    for (int64_t s = 0; s < l->n_segment - backward; s++) {
        TRY(next_segment(l->m, t, c, l->batch, s, &cut, &x));
        if (backward) {
            write_down(l, c, s + 1);
        } else if (cut.n_label > 0) {
            TRY(loss_of(l->m, t, x, &cut, &loss));
            keep_nats(l, s, &cut, loss);
        }
    }
out:
    segment_cache_destroy(c);
    return rc;
}

/* What segment s is given, where its gradient goes and where that of what it gives comes from. */
static void set_blocks(Lesson *l, int64_t s)
{
    const int64_t n = all_blocks(&l->size), next = s + 1, k = l->plan->grad_len;
    real *grad = l->grad[s % 2], *after = l->grad[next % 2];
    const bool takes = s > 0, gives = next < l->n_segment && (k == 0 || next % k != 0);
    memset(grad, 0, (size_t)n * sizeof *grad);
    for (int64_t i = 0; i < l->size.n_layer; i++) {
        CarryBlock *b = &l->block[i];
        *b = block_at(&l->size, l->given + s * n, i);
        if (i < l->lowest) continue; /* nothing in it is a function of what is trained */
        const CarryBlock to = block_at(&l->size, grad, i), from = block_at(&l->size, after, i);
        if (takes) {
            b->dk = to.k;
            b->dv = to.v;
            b->dstate = to.state;
        }
        if (gives) {
            b->dk_after = from.k;
            b->dv_after = from.v;
            b->dstate_after = from.state;
        }
    }
}

static Status learn_segment(Lesson *l, Tape *t, int64_t s)
{
    Status rc = ST_OK;
    const Segments *plan = l->plan;
    const int64_t n_slot = segments_n_slot(plan);
    Piece *piece;
    Batch cut;
    Tensor *x, *loss;
    tape_reset(t);
    set_blocks(l, s);
    TRY(cut_segment(t, l->batch, plan->len, s, &cut));
    Carry *carry = tape_alloc(t, 1, sizeof *carry);
    CHECK(carry, NOMEM, "segment: %zu bytes", sizeof *carry);
    *carry = (Carry){.plan = plan,
                     .B = cut.B,
                     .n_new = cut.T,
                     .n_slot = n_slot,
                     .n_key = n_slot + cut.T,
                     .learns = true,
                     .ends = s + 1 < l->n_segment,
                     .block = l->block};
    TRY(segment_piece_make(t, model_config(l->m), model_def(l->m), &cut, s * plan->len, carry, NULL,
                           &piece));
    TRY(model_run(l->m, t, piece, &x));
    TRY(loss_of(l->m, t, x, &cut, &loss));
    TRY(tape_backward(t, loss));
    keep_nats(l, s, &cut, loss);
out:
    return rc;
}

Status segments_loss(const Model *m, Tape *t, const Batch *batch, bool backward, double *loss_sum,
                     const real **nats)
{
    Status rc = ST_OK;
    Lesson l = {.m = m, .batch = batch};
    const int64_t N = batch->B * batch->T;
    const TapeWatch watch = tape_watch(t, (TapeWatch){NULL, NULL});
    TRY(lesson_init(&l, backward));
    TRY(read_through(&l, t, backward));
    for (int64_t s = l.n_segment - 1; backward && s >= 0; s--) {
        if (s == 0) tape_watch(t, watch); /* each but this one is followed by another backward */
        TRY(learn_segment(&l, t, s));
    }
    *loss_sum = 0;
    for (int64_t n = 0; n < N; n++) *loss_sum += l.nats[n];
    if (!nats) goto out;
    tape_reset(t);
    real *kept = tape_alloc(t, N, sizeof *kept);
    CHECK(kept, NOMEM, "losses of %lld tokens", LL(N));
    memcpy(kept, l.nats, (size_t)N * sizeof *kept);
    *nats = kept;
out:
    tape_watch(t, watch);
    lesson_fini(&l);
    return rc;
}

/* ---- one row, token by token ---- */

Status model_extend_segments(const Model *m, Tape *t, SegmentCache *c, int64_t n, int32_t *tokens,
                             real *logits)
{
    Status rc = ST_OK;
    Tensor *x = NULL;
    int64_t n_new = 0;
    for (int64_t done = 0; done < n; done += n_new) {
        const int64_t room = c->plan->len - c->n_past;
        n_new = n - done < room ? n - done : room;
        tape_reset(t);
        tape_no_grad(t, true);
        int32_t *doc_start = tape_alloc(t, n_new, sizeof *doc_start);
        CHECK(doc_start, NOMEM, "segment of %lld tokens", LL(n_new));
        memset(doc_start, 0, (size_t)n_new * sizeof *doc_start);
        const Batch batch = {.B = 1, .T = n_new, .tokens = tokens + done, .doc_start = doc_start};
        TRY(read_on(m, t, c, &batch, true, &x));
    }
    const int64_t last = n_new - 1;
    TRY(model_head_logits(m, t, x, 1, &last, logits));
out:
    return rc;
}
