/* op_attention.c — grouped-query attention over key ranges, tiled: no score outlives its tile.
 *
 *   s[i,j] = scale q_i . k_j for the keys j that query i sees;  with a softcap c,
 *            c tanh(scale q_i . k_j / c)
 *   p[i,j] = softmax_j(s),    y_i = sum_j p[i,j] v_j;    query head h reads key head h / (H/Hkv)
 *
 * Forward: for a tile of queries, one tile of keys after the other with a running maximum m and
 * sum l (online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867; tiles: Dao et al. 2022,
 * arXiv:2205.14135). Only lse = m + log l is kept. Backward: p = exp(s - lse) again, and
 *   dv_j = sum_i p[i,j] dy_i
 *   ds[i,j] = p[i,j] (dy_i . v_j - dy_i . y_i)
 *   ds[i,j] *= 1 - (s[i,j] / c)^2 with a softcap
 *   dq_i = scale sum_j ds[i,j] k_j,    dk_j = scale sum_i ds[i,j] q_i
 *
 * Score tiles have keys as rows and queries as columns, so that the softmax runs over all lanes.
 * Tiles that no query sees are skipped. Threads share out (group, head) in the forward and
 * (group, key head) in the backward, where one thread adds up dk and dv in a fixed order.
 * Where the compute dtype is bf16 the factors of the products are rounded to pairs (kernels/pairs.h), after the scale; sums,
 * softmax and all that leaves a tile stay in f32.
 * Few queries (decoding with kept keys): all heads on a key head make one tile, and each tile of
 * keys is copied when its turn comes. A column's numbers do not depend on its neighbours, so these
 * are the bits that the same query has among many. */
#include "trainer/tensor/kernels/pairs.h"
#include "trainer/tensor/key_tiles.h"
#include <math.h>

typedef struct Attention {
    const OpCall *call;
    const Kernels *kernel;
    const PairKernels *pairs; /* NULL: products of real numbers */
    KeyRanges keys;
    int64_t H, Hkv, D, n_query, n_key; /* n_query, n_key: of one group */
    int64_t width;                     /* D rounded up to whole vectors; what is added is zero */
    int64_t n_key_pad;                 /* n_key rounded up to kernel rows */
    real scale, softcap;
    int64_t share; /* heads in a tile of queries */
    int64_t n_col; /* columns of a tile: n_query * share rounded up, TILE_Q at most */
    bool few;      /* one tile of queries: keys are loaded tile by tile */
} Attention;

/* A matrix as factor of a product over its columns, and over its rows: itself, or two copies in pairs, each of half the
 * size. */
typedef struct Factor {
    real *by_col, *by_row;
} Factor;

/* What a thread works in. */
typedef struct Work {
    Factor k, v;               /* (n_key_pad, width) of the group and head */
    real *dk, *dv;             /* the same; while k and v are loaded, room for their rows */
    real *q, *dy, *acc;        /* (TILE_Q, width); acc: y or dq */
    real *q_rows, *dy_rows;    /* (TILE_Q, width), as factor over queries */
    real *q_cols, *dy_cols;    /* (width, TILE_Q), as factor over the columns of a head */
    real *s, *dp, *slope;      /* (TILE_K, TILE_Q); slope: with a softcap */
    real *pairs;               /* of s or dp */
    real *m, *l, *fix, *delta; /* (TILE_Q) */
} Work;

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

static Attention attention_of(const OpCall *k, bool forward)
{
    const AttentionArg *arg = k->arg;
    Attention a = {.call = k,
                   .kernel = kernels(),
                   .pairs = pair_kernels(),
                   .keys = arg->keys,
                   .H = arg->n_head,
                   .Hkv = arg->n_kv_head,
                   .D = arg->head_dim,
                   .softcap = (real)arg->softcap};
    a.n_query = arg->keys.n_query / arg->keys.n_group;
    a.n_key = arg->keys.n_key / arg->keys.n_group;
    a.width = round_up(a.D, KERNEL_LANES);
    a.n_key_pad = round_up(a.n_key, KERNEL_MM_ROWS);
    a.few = forward && a.n_query * (a.H / a.Hkv) <= TILE_Q;
    a.share = a.few ? a.H / a.Hkv : 1;
    a.n_col = a.few ? round_up(a.n_query * a.share, KERNEL_LANES) : TILE_Q;
    a.scale = (real)(arg->scale != 0 ? arg->scale : 1.0 / sqrt((double)a.D));
    return a;
}

int64_t attention_scratch(int64_t n_key, int64_t D)
{
    const int64_t width = round_up(D, KERNEL_LANES), n_key_pad = round_up(n_key, KERNEL_MM_ROWS);
    return 4 * n_key_pad * width + 7 * TILE_Q * width + 4 * TILE_K * TILE_Q + 4 * TILE_Q;
}

static real *cut(real **from, int64_t n)
{
    real *part = *from;
    *from += n;
    return part;
}

static Factor cut_factor(const Attention *a, real **from, int64_t n)
{
    real *by_col = cut(from, a->pairs ? n / 2 : n);
    return (Factor){by_col, a->pairs ? cut(from, n / 2) : by_col};
}

static Work work_of_thread(const Attention *a)
{
    const int64_t keys = a->n_key_pad * a->width, rows = TILE_Q * a->width;
    real *at = op_thread_scratch(a->call);
    Work w;
    w.k = cut_factor(a, &at, keys), w.v = cut_factor(a, &at, keys);
    w.dk = cut(&at, keys), w.dv = cut(&at, keys);
    w.q = cut(&at, rows), w.dy = cut(&at, rows), w.acc = cut(&at, rows);
    w.q_cols = cut(&at, rows), w.dy_cols = cut(&at, rows);
    w.q_rows = a->pairs ? cut(&at, rows) : w.q, w.dy_rows = a->pairs ? cut(&at, rows) : w.dy;
    w.s = cut(&at, TILE_K * TILE_Q), w.dp = cut(&at, TILE_K * TILE_Q);
    w.m = cut(&at, TILE_Q), w.l = cut(&at, TILE_Q);
    w.fix = cut(&at, TILE_Q), w.delta = cut(&at, TILE_Q);
    w.slope = cut(&at, TILE_K * TILE_Q), w.pairs = cut(&at, TILE_K * TILE_Q);
    return w;
}

/* in: q (Nq,H*D), k, v (Nk,Hkv*D); arg: key ranges, heads; out: y (Nq,H*D); saved: lse (H,Nq) */
static Status attention_shape(OpCall *k)
{
    Status rc = ST_OK;
    const AttentionArg *arg = k->arg;
    const KeyRanges *keys = &arg->keys;
    CHECK(arg->head_dim > 0 && arg->n_kv_head > 0 && arg->n_head > 0 &&
              arg->n_head % arg->n_kv_head == 0,
          SHAPE, "attention: %lld heads of %lld columns on %lld key heads", LL(arg->n_head),
          LL(arg->head_dim), LL(arg->n_kv_head));
    CHECK(keys->n_group > 0 && keys->n_query % keys->n_group == 0 &&
              keys->n_key % keys->n_group == 0,
          SHAPE, "attention: %lld queries and %lld keys in %lld groups", LL(keys->n_query),
          LL(keys->n_key), LL(keys->n_group));
    CHECK(arg->scale >= 0 && arg->softcap >= 0, SHAPE, "attention: scale is %g, softcap %g",
          arg->scale, arg->softcap);
    for (int i = 0; i < 3; i++) {
        const Tensor *x = k->in[i];
        const int64_t N = i == 0 ? keys->n_query : keys->n_key;
        const int64_t C = (i == 0 ? arg->n_head : arg->n_kv_head) * arg->head_dim;
        CHECK(x->n_dim == 2 && x->dim[0] == N && x->dim[1] == C, SHAPE,
              "attention: input %d is %lld x %lld, not %lld x %lld", i, LL(x->dim[0]),
              LL(x->dim[1]), LL(N), LL(C));
    }
    TRY(key_ranges_check(keys));
    op_out_like(k, k->in[0]);
    k->n_saved = arg->n_head * keys->n_query;
    k->n_scratch_thread = attention_scratch(keys->n_key / keys->n_group, arg->head_dim);
out:
    return rc;
}

/* --- tiles --- */

/* dst (n_pad, width) = factor x the D columns of a head in n_row rows of src; zero around them.
 * The rows lie a model width apart, which no hardware prefetcher follows. */
static void load_rows(const Attention *a, int64_t n_row, int64_t n_pad, real factor,
                      const real *src, int64_t ld, real *dst)
{
    enum { AHEAD = 8, PER_LINE = 64 / sizeof(real) };
    for (int64_t r = 0; r < n_row; r++, src += ld, dst += a->width) {
        if (r + AHEAD < n_row)
            for (int64_t c = 0; c < a->D; c += PER_LINE) __builtin_prefetch(src + AHEAD * ld + c);
        for (int64_t c = 0; c < a->D; c++) dst[c] = factor * src[c];
        for (int64_t c = a->D; c < a->width; c++) dst[c] = 0;
    }
    memset(dst, 0, (size_t)((n_pad - n_row) * a->width) * sizeof *dst);
}

/* dst = src (n_row, D of width), or dst += src */
static void store_rows(const Attention *a, int64_t n_row, const real *src, bool add, real *dst,
                       int64_t ld)
{
    for (int64_t r = 0; r < n_row; r++, src += a->width, dst += ld)
        for (int64_t c = 0; c < a->D; c++) dst[c] = add ? dst[c] + src[c] : src[c];
}

/* n numbers along the inner index of a product as a step of it takes them. */
static int64_t steps(const Attention *a, int64_t n)
{
    return a->pairs ? n / 2 : n;
}

/* x (n_row, n_col), dense, as factor over its columns: (n_row, steps); itself or pairs in `room`. */
static const real *by_col(const Attention *a, int64_t n_row, int64_t n_col, const real *x,
                          real *room)
{
    if (!a->pairs) return x;
    a->pairs->along(n_row * n_col, x, room);
    return room;
}

/* As factor over its rows: (steps, n_col). */
static const real *by_row(const Attention *a, int64_t n_row, int64_t n_col, const real *x,
                          real *room)
{
    if (!a->pairs) return x;
    for (int64_t r = 0; r < n_row; r += 2)
        a->pairs->across(n_col, x + r * n_col, x + (r + 1) * n_col, room + r / 2 * n_col);
    return room;
}

/* C = A B or C += A B over an inner length n; A's numbers (or pairs) lie row and col apart, B and C are dense. */
static void multiply(const Attention *a, int64_t n_row, int64_t n_col, int64_t n, const real *x,
                     int64_t row, int64_t col, const real *y, bool add, real *c)
{
    (a->pairs ? a->pairs->mm : a->kernel->mm)(n_row, n_col, steps(a, n), x, row, col, y, n_col, add,
                                              c, n_col);
}

static void load_factor(const Attention *a, int64_t n_row, int64_t n_pad, const real *src,
                        int64_t ld, const Factor *f, real *room)
{
    load_rows(a, n_row, n_pad, 1, src, ld, a->pairs ? room : f->by_col);
    if (!a->pairs) return;
    by_col(a, n_pad, a->width, room, f->by_col);
    by_row(a, n_pad, a->width, room, f->by_row);
}

static void load_keys(const Attention *a, int64_t first, int64_t n_row, int64_t n_pad,
                      int64_t kv_head, const Work *w)
{
    const int64_t C = a->Hkv * a->D, at = first * C + kv_head * a->D;
    load_factor(a, n_row, n_pad, a->call->in[1]->val + at, C, &w->k, w->dk);
    load_factor(a, n_row, n_pad, a->call->in[2]->val + at, C, &w->v, w->dv);
}

/* cols = rows (n_col, width) as right factor over the columns of a head. */
static void turn_rows(const Attention *a, int64_t n_col, const real *rows, const Work *w,
                      real *cols)
{
    const real *x = by_col(a, n_col, a->width, rows, w->acc);
    a->kernel->transpose(n_col, steps(a, a->width), x, steps(a, a->width), cols, n_col);
}

/* w->s (keys, n_col): the scores of the tile of keys at k; slope: as in Kernels.softcap */
static void score_tile(const Attention *a, const QueryTile *q, const KeyTile *t, const real *k,
                       const Work *w, real *slope)
{
    multiply(a, t->n, a->n_col, a->width, k, steps(a, a->width), 1, w->q_cols, false, w->s);
    if (a->softcap != 0) a->kernel->softcap(t->n * a->n_col, a->softcap, w->s, slope);
    if (!t->whole) key_tile_mask(q, t, a->n_col, w->s);
}

/* --- forward --- */

/* Column h q->n + i of the tile is query i of head + h. */
static void load_queries(const Attention *a, const QueryTile *q, int64_t head, const Work *w)
{
    const int64_t C = a->H * a->D, n = q->n * a->share;
    const real *from = a->call->in[0]->val + q->first * C + head * a->D;
    for (int64_t h = 0; h < a->share; h++)
        load_rows(a, q->n, q->n, a->scale, from + h * a->D, C, w->q + h * q->n * a->width);
    memset(w->q + n * a->width, 0, (size_t)((a->n_col - n) * a->width) * sizeof(real));
    turn_rows(a, a->n_col, w->q, w, w->q_cols);
}

static void store_outputs(const Attention *a, const QueryTile *q, int64_t head, const Work *w)
{
    const OpCall *k = a->call;
    const int64_t C = a->H * a->D;
    for (int64_t h = 0; h < a->share; h++) {
        real *lse = k->saved + (head + h) * a->keys.n_query + q->first;
        for (int64_t i = 0, c = h * q->n; i < q->n; i++, c++) {
            a->kernel->scale(a->width, 1 / w->l[c], w->acc + c * a->width);
            lse[i] = w->m[c] + (real)log((double)w->l[c]);
        }
        store_rows(a, q->n, w->acc + h * q->n * a->width, false,
                   k->out->val + q->first * C + (head + h) * a->D, C);
    }
}

static void forward_queries(const Attention *a, const QueryTile *q, int64_t head, const Work *w)
{
    const int64_t n = q->n * a->share, width = a->width;
    load_queries(a, q, head, w);
    memset(w->acc, 0, (size_t)(a->n_col * width) * sizeof(real));
    for (int64_t c = 0; c < a->n_col; c++) {
        w->m[c] = -(real)INFINITY;
        w->l[c] = 0;
    }
    for (int64_t at = q->key_first / TILE_K * TILE_K; at < q->key_end; at += TILE_K) {
        const KeyTile t = key_tile(q, at);
        if (t.n == 0) continue;
        const int64_t keys = a->few ? 0 : steps(a, t.first * width), left = a->n_key - t.first;
        if (a->few)
            load_keys(a, q->key_base + t.first, t.n < left ? t.n : left, t.n,
                      head / (a->H / a->Hkv), w);
        score_tile(a, q, &t, w->k.by_col + keys, w, NULL);
        a->kernel->softmax_cols(t.n, a->n_col, w->s, w->m, w->l, w->fix);
        for (int64_t c = 0; c < n; c++)
            if (w->fix[c] != 1) a->kernel->scale(width, w->fix[c], w->acc + c * width);
        multiply(a, round_up(n, KERNEL_MM_ROWS), width, t.n,
                 by_row(a, t.n, a->n_col, w->s, w->pairs), 1, a->n_col, w->v.by_row + keys, true,
                 w->acc);
    }
    store_outputs(a, q, head, w);
}

static void attention_fwd(OpCall *k)
{
    const Attention a = attention_of(k, true);
    const int64_t n_item = a.H / a.share;
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < a.keys.n_group * n_item; item++) {
        const int64_t group = item / n_item, head = item % n_item * a.share;
        const Work w = work_of_thread(&a);
        if (!a.few) load_keys(&a, group * a.n_key, a.n_key, a.n_key_pad, head / (a.H / a.Hkv), &w);
        for (int64_t at = 0; at < a.n_query; at += TILE_Q) {
            const QueryTile q = query_tile(&a.keys, group, at);
            forward_queries(&a, &q, head, &w);
        }
    }
}

/* --- backward --- */

static void backward_queries(const Attention *a, const QueryTile *q, int64_t head, const Work *w)
{
    const OpCall *k = a->call;
    const Kernels *kernel = a->kernel;
    const int64_t C = a->H * a->D, width = a->width, at_q = q->first * C + head * a->D;
    const bool want_dq = k->in[0]->grad, want_dk = k->in[1]->grad, want_dv = k->in[2]->grad;
    real *dp = want_dq || want_dk ? w->dp : NULL;
    real *lse = w->m, *delta = w->delta;
    load_queries(a, q, head, w);
    load_rows(a, q->n, TILE_Q, 1, k->out->grad + at_q, C, w->dy);
    turn_rows(a, TILE_Q, w->dy, w, w->dy_cols);
    by_row(a, TILE_Q, width, w->q, w->q_rows);
    by_row(a, TILE_Q, width, w->dy, w->dy_rows);
    memset(w->acc, 0, (size_t)(TILE_Q * width) * sizeof(real));
    for (int64_t i = 0; i < TILE_Q; i++) { /* columns without a query have p = 1, and dy = q = 0 */
        const int64_t at = at_q + i * C;
        const bool there = i < q->n;
        lse[i] = there ? k->saved[head * a->keys.n_query + q->first + i] : 0;
        delta[i] = there ? (real)kernel->dot(a->D, k->out->grad + at, k->out->val + at) : 0;
    }
    for (int64_t at = q->key_first / TILE_K * TILE_K; at < q->key_end; at += TILE_K) {
        const KeyTile t = key_tile(q, at);
        if (t.n == 0) continue;
        const int64_t keys = t.first * width, keys_at = steps(a, keys), row = steps(a, TILE_Q);
        score_tile(a, q, &t, w->k.by_col + keys_at, w, w->slope);
        if (dp)
            multiply(a, t.n, TILE_Q, width, w->v.by_col + keys_at, steps(a, width), 1, w->dy_cols,
                     false, dp);
        kernel->softmax_cols_bwd(t.n, TILE_Q, w->s, dp, lse, delta);
        if (dp && a->softcap != 0)
            for (int64_t i = 0; i < t.n * TILE_Q; i++) dp[i] *= w->slope[i];
        if (want_dv)
            multiply(a, t.n, width, TILE_Q, by_col(a, t.n, TILE_Q, w->s, w->pairs), row, 1,
                     w->dy_rows, true, w->dv + keys);
        if (want_dk)
            multiply(a, t.n, width, TILE_Q, by_col(a, t.n, TILE_Q, dp, w->pairs), row, 1, w->q_rows,
                     true, w->dk + keys);
        if (want_dq)
            multiply(a, TILE_Q, width, t.n, by_row(a, t.n, TILE_Q, dp, w->pairs), 1, TILE_Q,
                     w->k.by_row + keys_at, true, w->acc);
    }
    if (!want_dq) return;
    kernel->scale(q->n * width, a->scale, w->acc);
    store_rows(a, q->n, w->acc, !k->in[0]->grad_blank, k->in[0]->grad + at_q, C);
}

static void backward_key_head(const Attention *a, int64_t group, int64_t kv_head, const Work *w)
{
    const int64_t share = a->H / a->Hkv, C = a->Hkv * a->D;
    const int64_t at_k = group * a->n_key * C + kv_head * a->D;
    const size_t bytes = (size_t)(a->n_key_pad * a->width) * sizeof(real);
    Tensor *k = a->call->in[1], *v = a->call->in[2];
    load_keys(a, group * a->n_key, a->n_key, a->n_key_pad, kv_head, w);
    memset(w->dk, 0, bytes);
    memset(w->dv, 0, bytes);
    for (int64_t head = kv_head * share; head < (kv_head + 1) * share; head++)
        for (int64_t at = 0; at < a->n_query; at += TILE_Q) {
            const QueryTile q = query_tile(&a->keys, group, at);
            backward_queries(a, &q, head, w);
        }
    if (k->grad) store_rows(a, a->n_key, w->dk, !k->grad_blank, k->grad + at_k, C);
    if (v->grad) store_rows(a, a->n_key, w->dv, !v->grad_blank, v->grad + at_k, C);
}

static void attention_bwd(OpCall *k)
{
    const Attention a = attention_of(k, false);
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < a.keys.n_group * a.Hkv; item++) {
        const Work w = work_of_thread(&a);
        backward_key_head(&a, item / a.Hkv, item % a.Hkv, &w);
    }
}

// clang-format off
#define KEYS(n_query_, n_key_, n_group_, n_range_, ...) \
    { n_query_, n_key_, n_group_, n_range_, (const KeyRange[]){ __VA_ARGS__ } }
static const OpCase attention_cases[] = {
    { "causal", 3, { { 2, { 4, 3 } }, { 2, { 4, 3 } }, { 2, { 4, 3 } } },
      &(const AttentionArg){ KEYS(4, 4, 1, 1, { 0, 1 }, { 0, 2 }, { 0, 3 }, { 0, 4 }), 1, 1, 3, 0, 0 }, -1.5, 1.5 },
    { "packed_rows", 3, { { 2, { 6, 4 } }, { 2, { 6, 4 } }, { 2, { 6, 4 } } },
      &(const AttentionArg){ KEYS(6, 6, 2, 1, { 0, 1 }, { 1, 2 }, { 1, 3 }, { 3, 4 }, { 3, 5 }, { 5, 6 }), 2, 2, 2, 0, 0 }, -1.5, 1.5 },
    { "grouped_queries", 3, { { 2, { 3, 20 } }, { 2, { 3, 10 } }, { 2, { 3, 10 } } },
      &(const AttentionArg){ KEYS(3, 3, 1, 1, { 0, 1 }, { 0, 2 }, { 0, 3 }), 4, 2, 5, 0, 0 }, -1.5, 1.5 },
    { "sink_and_window", 3, { { 2, { 2, 2 } }, { 2, { 7, 2 } }, { 2, { 7, 2 } } },
      &(const AttentionArg){ KEYS(2, 7, 1, 3, { 0, 2 }, { 3, 3 }, { 4, 6 }, { 0, 1 }, { 2, 3 }, { 5, 7 }), 1, 1, 2, 0, 0 }, -1.5, 1.5 },
    { "softcap", 3, { { 2, { 3, 4 } }, { 2, { 3, 2 } }, { 2, { 3, 2 } } },
      &(const AttentionArg){ KEYS(3, 3, 1, 1, { 0, 1 }, { 0, 2 }, { 1, 3 }), 2, 1, 2, 0.6, 1.1 }, -1.5, 1.5 },
};
// clang-format on
const OpDef op_attention = {.name = "attention",
                            .shape = attention_shape,
                            .fwd = attention_fwd,
                            .bwd = attention_bwd,
                            .cases = attention_cases,
                            .n_case = N_OF(attention_cases),
                            .bwd_reads_out = true};
