/* method_memory_gate.c — a frozen model reads long texts in segments and mixes into each head's attention what a compressed
 * memory of the earlier segments answers; what is trained is the gate between the two.
 *
 *   am = sigma(q) M / (sigma(q) z + eps)          what the memory answers (op_memory_read.c)
 *   u  = relu((am a) W1^T + b1) W2^T              W2 starts at zero
 *   y  = g (am + u) + (1 - g) y0,   g = 1 / (1 + exp(-c))
 * y0 is attention over the segment (and sinks, window). Tokens whose document has no earlier segment keep y0, bit for bit.
 * gate: transform is this; vector leaves u out; scalar has one c for a head; mlp has the MLP's output in the place of c.
 *
 * Memory: Munkhdalai et al. 2024, arXiv:2404.07143 (Infini-attention). The gate on a frozen model: EdgeInfinite, 2025,
 * arXiv:2503.22196, whose shapes are not known to us: those here are our own (docs/memory-gate.md), and so is the gate of
 * what is written (memory_write: gated).
 */
#include "trainer/base/mem.h"
#include "trainer/methods/methods.h"
#include <ctype.h>
#include <stdio.h>

typedef struct MemoryGateOpts {
    int64_t segment_len, n_sink, n_window, route_threshold;
    const char *rope_position, *memory_update, *memory_write;
    bool memory_rope;
    double memory_eps;
    int64_t memory_grad_segments;
    const char *gate, *gate_heads;
    int64_t gate_width;
    double gate_lr_ratio;
} MemoryGateOpts;

// clang-format off
static const OptSpec MEMORY_GATE_OPTS[] = {
    OPT_COUNT(MemoryGateOpts, segment_len, 2048, 1, 1e6, "tokens of a segment, inside of which attention is whole"),
    OPT_COUNT(MemoryGateOpts, n_sink, 0, 0, 1e6, "first tokens of a document that stay in sight"),
    OPT_COUNT(MemoryGateOpts, n_window, 0, 0, 1e6, "last tokens before a segment that stay in sight"),
    OPT_COUNT(MemoryGateOpts, route_threshold, 0, 0, 1e9, "texts of at most so many tokens are read by the model as it was; 0: n_sink + n_window + segment_len"),
    OPT_ENUM(MemoryGateOpts,  rope_position, "segment", "segment|global", "where positions begin to count: at what is in sight, or at the document"),
    OPT_ENUM(MemoryGateOpts,  memory_update, "linear", "linear|delta", "delta: of a value is added what the memory does not answer yet"),
    OPT_ENUM(MemoryGateOpts,  memory_write, "all", "all|gated", "gated: a trained gate says how much each key counts"),
    OPT_BOOL(MemoryGateOpts,  memory_rope, false, "queries and keys of the memory are turned by their positions"),
    OPT_F64(MemoryGateOpts,   memory_eps, 1e-6, 0, 1, "beside the normaliser of the memory's answer"),
    OPT_COUNT(MemoryGateOpts, memory_grad_segments, 0, 0, 1e6, "segments that gradients pass through; 0: all of a row"),
    OPT_ENUM(MemoryGateOpts,  gate, "transform", "scalar|vector|mlp|transform", "transform: an MLP on the memory's answer, a gate for each column; vector: the gate alone; scalar: one for a head; mlp: the MLP is the gate"),
    OPT_ENUM(MemoryGateOpts,  gate_heads, "shared", "shared|own", "one MLP for all heads of a block, or one for each"),
    OPT_COUNT(MemoryGateOpts, gate_width, 4, 1, 64, "inner width of the MLP, in head_dim"),
    OPT_F64(MemoryGateOpts,   gate_lr_ratio, 1, 1e-3, 1e6, "learning rate of the gates as a multiple of the run's"),
    OPT_END
};
// clang-format on

/* Of one block; what its kind of gate does not have is NULL. D: head_dim, m: inner width; G: heads that have an MLP of
 * their own, or 1. */
typedef struct GateBlock {
    Param *read_scale;                     /* a (H*D) */
    Param *up, *up_bias, *down;            /* W1 (G*m,D), b1 (G*m), W2 (G*D,m) */
    Param *gate;                           /* c (H*D), (H), or (G*D) behind W2 */
    Param *write_k, *write_v, *write_bias; /* (Hkv,D), (Hkv,D), (Hkv) */
} GateBlock;

typedef struct MemoryGate {
    const MemoryGateOpts *opt;
    Segments plan;
    bool has_mlp, mlp_is_gate, gates_writes;
    int64_t n_head, n_kv_head, head_dim, n_layer, n_inner, n_mlp;
    GateBlock *block; /* (n_layer) */
} MemoryGate;

static bool is_word(const char *option, const char *word)
{
    return strcmp(option, word) == 0;
}

/* ---- what is declared ---- */

static Status check_sizes(const MemoryGateOpts *o, const ModelView *view)
{
    Status rc = ST_OK;
    const int64_t in_sight = o->n_sink + o->n_window + o->segment_len;
    CHECK(view->rotary, CONFIG,
          "kind: memory_gate needs a model with rotary positions, this family has others");
    CHECK(o->segment_len <= view->max_positions, CONFIG,
          "segment_len: found %lld, expected at most max_position_embeddings: %lld",
          LL(o->segment_len), LL(view->max_positions));
    CHECK(o->n_window <= o->segment_len, CONFIG,
          "n_window: found %lld, expected at most segment_len: %lld", LL(o->n_window),
          LL(o->segment_len));
    CHECK(in_sight <= view->max_positions, CONFIG,
          "n_sink + n_window + segment_len: found %lld, expected at most max_position_embeddings: "
          "%lld",
          LL(in_sight), LL(view->max_positions));
    CHECK(o->route_threshold <= view->max_positions, CONFIG,
          "route_threshold: found %lld, expected at most max_position_embeddings: %lld",
          LL(o->route_threshold), LL(view->max_positions));
out:
    return rc;
}

static const char *name_in_block(const ModelView *view, int64_t layer)
{
    for (int64_t i = 0; i < view->n_site; i++)
        if (view->site[i]->layer == layer) return view->site[i]->name;
    return "";
}

/* Bytes of "model.layers.3" in "model.layers.3.self_attn.q_proj". */
static int stem_bytes(const char *name)
{
    const char *c = name;
    while (*c && !(c > name && c[-1] == '.' && isdigit((unsigned char)*c))) c++;
    while (isdigit((unsigned char)*c)) c++;
    return (int)(c - name);
}

typedef struct Declare {
    ParamSet *ps;
    const char *stem; /* n_stem bytes: of the block's names */
    int n_stem;
    double lr_scale;
} Declare;

/* n_column 0: a vector */
static Status declare(const Declare *d, const char *what, int64_t n_row, int64_t n_column,
                      Param **p)
{
    Status rc = ST_OK;
    char *name = mem_printf("%.*s.memory_gate.%s", d->n_stem, d->stem, what);
    CHECK(name, NOMEM, "memory_gate: a name");
    CHECK(!params_find(d->ps, name), CONFIG, "trainable: has two entries of kind: memory_gate");
    TRY(params_add(d->ps, name, PARAM_GATE, n_column > 0 ? 2 : 1, (int64_t[]){n_row, n_column}));
    *p = params_find(d->ps, name);
    (*p)->lr_scale = d->lr_scale;
out:
    mem_free(name);
    return rc;
}

static Status declare_block(const MemoryGate *g, const Declare *d, GateBlock *b)
{
    Status rc = ST_OK;
    const int64_t D = g->head_dim, A = g->n_head * D;
    if (g->has_mlp) {
        TRY(declare(d, "read_scale", A, 0, &b->read_scale));
        TRY(declare(d, "up.weight", g->n_mlp * g->n_inner, D, &b->up));
        TRY(declare(d, "up.bias", g->n_mlp * g->n_inner, 0, &b->up_bias));
        TRY(declare(d, "down.weight", g->n_mlp * D, g->n_inner, &b->down));
    }
    if (g->mlp_is_gate)
        TRY(declare(d, "down.bias", g->n_mlp * D, 0, &b->gate));
    else
        TRY(declare(d, "gate", is_word(g->opt->gate, "scalar") ? g->n_head : A, 0, &b->gate));
    if (!g->gates_writes) goto out;
    TRY(declare(d, "write_key.weight", g->n_kv_head, D, &b->write_k));
    TRY(declare(d, "write_value.weight", g->n_kv_head, D, &b->write_v));
    TRY(declare(d, "write.bias", g->n_kv_head, 0, &b->write_bias));
out:
    return rc;
}

static void memory_gate_destroy(void *self)
{
    MemoryGate *g = self;
    if (!g) return;
    mem_free(g->block);
    mem_free(g);
}

static Segments plan_of(const MemoryGateOpts *o, const ModelView *view)
{
    return (Segments){.len = o->segment_len,
                      .n_sink = o->n_sink,
                      .n_window = o->n_window,
                      .route_threshold = o->route_threshold > 0
                                             ? o->route_threshold
                                             : o->n_sink + o->n_window + o->segment_len,
                      .grad_len = o->memory_grad_segments,
                      .state_rows = view->n_kv_head * (view->head_dim + 1),
                      .whole_positions = is_word(o->rope_position, "global"),
                      .turned = o->memory_rope};
}

static Status memory_gate_create(void **self, const void *opts, const ModelView *view, ParamSet *ps)
{
    Status rc = ST_OK;
    const MemoryGateOpts *o = opts;
    MemoryGate *g = NULL;
    TRY(check_sizes(o, view));
    g = mem_alloc(sizeof *g);
    CHECK(g, NOMEM, "memory_gate: %zu bytes", sizeof *g);
    *g = (MemoryGate){.opt = o,
                      .plan = plan_of(o, view),
                      .has_mlp = is_word(o->gate, "transform") || is_word(o->gate, "mlp"),
                      .mlp_is_gate = is_word(o->gate, "mlp"),
                      .gates_writes = is_word(o->memory_write, "gated"),
                      .n_head = view->n_head,
                      .n_kv_head = view->n_kv_head,
                      .head_dim = view->head_dim,
                      .n_layer = view->n_layer,
                      .n_inner = o->gate_width * view->head_dim,
                      .n_mlp = is_word(o->gate_heads, "own") ? view->n_head : 1};
    g->block = mem_array(g->n_layer, sizeof *g->block);
    CHECK(g->block, NOMEM, "memory_gate: %lld blocks", LL(g->n_layer));
    for (int64_t i = 0; i < g->n_layer; i++) {
        const char *name = name_in_block(view, i);
        const Declare d = {ps, name, stem_bytes(name), o->gate_lr_ratio};
        TRY(declare_block(g, &d, &g->block[i]));
    }
    *self = g;
    g = NULL;
out:
    memory_gate_destroy(g);
    return rc;
}

static void fill(const Param *p, real value)
{
    for (int64_t i = 0; p && i < p->n; i++) p->val[i] = value;
}

static void memory_gate_init_weights(void *self, uint64_t seed)
{
    const MemoryGate *g = self;
    for (int64_t i = 0; i < g->n_layer; i++) {
        const GateBlock *b = &g->block[i];
        const Param *const zero[] = {b->up_bias, b->down,    b->gate,
                                     b->write_k, b->write_v, b->write_bias};
        for (int k = 0; k < N_OF(zero); k++) fill(zero[k], 0);
        fill(b->read_scale, 1);
        if (b->up) methods_fill_uniform(b->up, seed);
    }
}

static void memory_gate_describe(const void *self, char *buf, size_t n_buf)
{
    const MemoryGate *g = self;
    snprintf(
        buf, n_buf,
        "segments of %lld tokens (%lld sinks, window of %lld), gate %s, %s update%s; %lld bytes "
        "of memory a block and text",
        LL(g->plan.len), LL(g->plan.n_sink), LL(g->plan.n_window), g->opt->gate,
        g->opt->memory_update, g->gates_writes ? ", gated writes" : "",
        LL(g->plan.state_rows * g->head_dim * (int64_t)sizeof(real)));
}

static int64_t memory_gate_width(const void *self, int64_t block)
{
    const MemoryGate *g = self;
    const int64_t A = g->n_head * g->head_dim;
    (void)block;
    return 2 * A + g->n_head /* the answer, the mix; normalisers */
           + (g->has_mlp ? 2 * A + 2 * g->n_head * g->n_inner : 0) +
           (g->gates_writes ? 2 * g->n_kv_head : 0);
}

/* ---- forward ---- */

static const Segments *memory_gate_segments(const void *self)
{
    return &((const MemoryGate *)self)->plan;
}

static MemoryArg memory_arg(const MemoryGate *g, const SegmentSite *site, const uint8_t *takes)
{
    return (MemoryArg){.n_group = site->B,
                       .n_head = g->n_head,
                       .n_kv_head = g->n_kv_head,
                       .head_dim = g->head_dim,
                       .eps = g->opt->memory_eps,
                       .delta = is_word(g->opt->memory_update, "delta"),
                       .takes = takes,
                       .keeps = site->keeps};
}

/* relu((am a) W1^T + b1) W2^T [+ c] */
static Status run_mlp(const MemoryGate *g, Tape *t, const GateBlock *b, Tensor *am, Tensor **u)
{
    Status rc = ST_OK;
    Tensor *scale, *up, *up_bias, *down, *down_bias = NULL, *h;
    TRY(tape_param(t, b->read_scale, &scale));
    TRY(tape_param(t, b->up, &up));
    TRY(tape_param(t, b->up_bias, &up_bias));
    TRY(tape_param(t, b->down, &down));
    if (g->mlp_is_gate) TRY(tape_param(t, b->gate, &down_bias));
    TRY(tape_column_scale(t, am, scale, &h));
    TRY(tape_head_linear(t, h, up, up_bias, g->n_head, g->n_inner, &h)); /* (N,H*m) */
    TRY(tape_activation(t, ACT_RELU, h, &h));
    TRY(tape_head_linear(t, h, down, down_bias, g->n_head, g->head_dim, u)); /* (N,H*D) */
out:
    return rc;
}

static Status read_memory(const MemoryGate *g, Tape *t, const SegmentSite *site, Tensor *y0,
                          Tensor **y)
{
    Status rc = ST_OK;
    const GateBlock *b = &g->block[site->layer];
    const MemoryArg arg = memory_arg(g, site, site->reads);
    Tensor *am, *gate, *u;
    TRY(tape_memory_read(t, site->q, site->state, &arg, &am));
    if (g->has_mlp) TRY(run_mlp(g, t, b, am, &u));
    if (g->mlp_is_gate)
        gate = u;
    else
        TRY(tape_param(t, b->gate, &gate));
    if (g->has_mlp && !g->mlp_is_gate) TRY(tape_add_over(t, u, am, &am));
    TRY(tape_gate_mix(t, am, y0, gate, site->reads, y));
out:
    return rc;
}

/* What each key counts: (N,Hkv), before a sigmoid; NULL: one and all the same. */
static Status weigh_keys(const MemoryGate *g, Tape *t, const SegmentSite *site, Tensor **weight)
{
    Status rc = ST_OK;
    const GateBlock *b = &g->block[site->layer];
    Tensor *of_k, *of_v, *bias;
    *weight = NULL;
    if (!g->gates_writes) goto out;
    TRY(tape_param(t, b->write_k, &of_k));
    TRY(tape_param(t, b->write_v, &of_v));
    TRY(tape_param(t, b->write_bias, &bias));
    TRY(tape_head_linear(t, site->k, of_k, bias, g->n_kv_head, 1, weight));
    TRY(tape_head_linear(t, site->v, of_v, NULL, g->n_kv_head, 1, &of_v));
    TRY(tape_add_over(t, of_v, *weight, weight));
out:
    return rc;
}

static Status memory_gate_attend(void *self, Tape *t, const SegmentSite *site, Tensor *y0,
                                 Tensor **y, Tensor **after)
{
    Status rc = ST_OK;
    const MemoryGate *g = self;
    Tensor *weight;
    TRY(read_memory(g, t, site, y0, y));
    if (!site->k) goto out;
    const MemoryArg arg = memory_arg(g, site, site->takes);
    TRY(weigh_keys(g, t, site, &weight));
    TRY(tape_memory_update(t, site->state, site->k, site->v, weight, &arg, after));
out:
    return rc;
}

const MethodDef method_memory_gate = {.name = "memory_gate",
                                      .opts = MEMORY_GATE_OPTS,
                                      .opts_size = sizeof(MemoryGateOpts),
                                      .create = memory_gate_create,
                                      .destroy = memory_gate_destroy,
                                      .init_weights = memory_gate_init_weights,
                                      .describe = memory_gate_describe,
                                      .width = memory_gate_width,
                                      .segments = memory_gate_segments,
                                      .attend = memory_gate_attend};
