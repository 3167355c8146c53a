/* optim.c — the list of optimizers, their slots, clipping, and the sharing of work between threads.
 */
#include "optim/optim.h"
#include "optim/quant8.h"
#include "trainer/base/mem.h"
#include "trainer/base/profile.h"
#include <math.h>
#include <string.h>

#define X(name) extern const OptimDef optim_##name;
#include "optim/optim_list.h"
#undef X

static const OptimDef *const OPTIMIZERS[] = {
#define X(name) &optim_##name,
#include "optim/optim_list.h"
#undef X
};

// clang-format off
const OptSpec OPTIM_COMMON_OPTS[] = {
    OPT_F64(OptimCommon, weight_decay,  0.1, 0, 1,   "share of a weight that is taken off per unit of learning rate"),
    OPT_F64(OptimCommon, max_grad_norm, 1.0, 0, 1e9, "longer gradients are clipped to this norm; 0: never"),
    OPT_BOOL(OptimCommon, decay_norms_and_biases, 0, "weight decay on norms and biases too"),
    OPT_BOOL(OptimCommon, shard_optimizer, 1, "each rank holds the optimizer state of its share of the parameters alone (ZeRO stage 1)"),
    OPT_END
};
// clang-format on

enum {
    STRETCH =
        1 << 14,     /* numbers one thread updates at a time; with its slots it fits the L2 cache */
    NORM_LANES = 32, /* independent sums inside a stretch, for the vector units */
    PACKED_RUN =
        2048, /* numbers unpacked at a time, whole blocks; with all slots they fit the L1 cache */
    PACKED_LEAST = 4096 /* smaller parameters are not packed */
};

_Static_assert((int)STRETCH <= (int)CUT_GRAIN, "a piece is made of whole stretches");

typedef struct Stretch { /* a piece of one parameter */
    int64_t offset, n;
    int64_t place; /* in the slots of the rank that has it; bytes */
    double lr_scale;
    bool mine, decays, packed;
} Stretch;

struct Optim {
    const OptimDef *def;
    void *opts;
    OptimCommon common;
    const Comm *comm;
    Cut cut; /* of the flat vector; nothing in it: this rank holds all of it */
    int64_t slot_bytes;
    char *slot[OPTIM_MAX_SLOT];    /* stretch after stretch: floats, or codes and then scales */
    Quant8 *quant[OPTIM_MAX_SLOT]; /* NULL: floats */
    Stretch *stretch;              /* of all parameters, in the order of the flat vector */
    int64_t n_stretch, t;
    double *squares; /* (n_stretch) of the gradient */
};

const OptimDef *const *optim_all(int64_t *n)
{
    *n = N_OF(OPTIMIZERS);
    return OPTIMIZERS;
}

const OptimDef *optim_find(const char *name)
{
    for (int64_t i = 0; i < N_OF(OPTIMIZERS); i++)
        if (strcmp(OPTIMIZERS[i]->name, name) == 0) return OPTIMIZERS[i];
    return NULL;
}

static bool is_packed(const OptimDef *def, const Param *p)
{
    return def->packing[0] != SLOT_FLOAT && p->n_dim > 1 && p->n >= PACKED_LEAST;
}

/* Codes, and where their scales begin; whole cache lines. */
static int64_t code_bytes(int64_t n)
{
    return (n + 63) / 64 * 64;
}

/* What a stretch takes of a slot. Unpacked stretches lie as in the flat vector, whose parameters
 * begin at multiples of 16 floats. */
static int64_t stretch_bytes(int64_t n, bool packed)
{
    const int64_t n_block = (n + QUANT8_BLOCK - 1) / QUANT8_BLOCK;
    return packed ? code_bytes(n) + code_bytes(n_block * (int64_t)sizeof(float))
                  : code_bytes(n * (int64_t)sizeof(float));
}

/* piece: the one that p's first stretch lies in, or one before it; on return that of its last. */
static void list_stretches_of(Optim *o, const Param *p, int64_t *piece)
{
    const bool plain = p->kind == PARAM_NORM || p->kind == PARAM_BIAS;
    for (int64_t at = 0; at < p->n; at += STRETCH) {
        while (o->cut.at && o->cut.at[*piece + 1] <= p->offset + at) ++*piece;
        Stretch *s = &o->stretch[o->n_stretch++];
        *s = (Stretch){.offset = p->offset + at,
                       .n = p->n - at < STRETCH ? p->n - at : STRETCH,
                       .place = o->slot_bytes,
                       .lr_scale = p->lr_scale,
                       .mine = !o->cut.at || *piece % comm_size(o->comm) == comm_rank(o->comm),
                       .decays =
                           p->kind != PARAM_GATE && (!plain || o->common.decay_norms_and_biases),
                       .packed = is_packed(o->def, p)};
        if (s->mine) o->slot_bytes += stretch_bytes(s->n, s->packed);
    }
}

static Status list_stretches(Optim *o, const ParamSet *ps)
{
    Status rc = ST_OK;
    int64_t n = 0, piece = 0;
    for (int64_t k = 0; k < params_count(ps); k++)
        n += (params_at(ps, k)->n + STRETCH - 1) / STRETCH;
    o->stretch = mem_array(n, sizeof *o->stretch);
    o->squares = mem_array(n, sizeof *o->squares);
    CHECK(o->stretch && o->squares, NOMEM, "optimizer: %lld stretches", LL(n));
    for (int64_t k = 0; k < params_count(ps); k++) list_stretches_of(o, params_at(ps, k), &piece);
out:
    return rc;
}

static bool is_sharded(const OptimCommon *common, const Comm *c)
{
    return common->shard_optimizer && c && comm_size(c) > 1;
}

static int64_t n_piece_of(const ParamSet *ps, const Comm *c)
{
    return comm_size(c) * comm_n_region(c, params_flat_n(ps));
}

/* The first element of the i-th of n equal parts, moved to the begin of its stretch. */
static int64_t cut_at(const ParamSet *ps, int64_t i, int64_t n)
{
    const int64_t at = params_flat_n(ps) / n * i + params_flat_n(ps) % n * i / n;
    int64_t low = 0, high = params_count(ps); /* parameters before low begin at or before `at` */
    if (i == n) return params_flat_n(ps);
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (params_at(ps, middle)->offset <= at)
            low = middle + 1;
        else
            high = middle;
    }
    const int64_t offset = low > 0 ? params_at(ps, low - 1)->offset : 0;
    return offset + (at - offset) / STRETCH * STRETCH;
}

/* Of a slot, elements [first, end). */
static int64_t part_bytes(const OptimDef *def, const ParamSet *ps, int64_t first, int64_t end)
{
    int64_t bytes = 0;
    for (int64_t k = 0; k < params_count(ps); k++) {
        const Param *p = params_at(ps, k);
        int64_t at = first > p->offset ? first - p->offset : 0;
        for (; at < p->n && p->offset + at < end; at += STRETCH)
            bytes += stretch_bytes(p->n - at < STRETCH ? p->n - at : STRETCH, is_packed(def, p));
    }
    return bytes;
}

int64_t optim_bytes(const OptimDef *def, const OptimCommon *common, const ParamSet *ps,
                    const Comm *c)
{
    const int size = is_sharded(common, c) ? comm_size(c) : 1;
    const int64_t n = size > 1 ? n_piece_of(ps, c) : 1;
    int64_t most = 0;
    for (int r = 0; r < size; r++) {
        int64_t bytes = 0;
        for (int64_t i = r; i < n; i += size)
            bytes += part_bytes(def, ps, cut_at(ps, i, n), cut_at(ps, i + 1, n));
        if (bytes > most) most = bytes;
    }
    return def->n_slot * most;
}

static Status share_out(Optim *o, const ParamSet *ps)
{
    Status rc = ST_OK;
    const int64_t n = n_piece_of(ps, o->comm);
    o->cut = (Cut){n, mem_array(n + 1, sizeof *o->cut.at)};
    CHECK(o->cut.at, NOMEM, "optimizer: %lld pieces", LL(n));
    for (int64_t i = 0; i <= n; i++) o->cut.at[i] = cut_at(ps, i, n);
out:
    return rc;
}

static Status create_slot(Optim *o, int i)
{
    Status rc = ST_OK;
    o->slot[i] = mem_alloc((size_t)o->slot_bytes);
    CHECK(o->slot[i], NOMEM, "optimizer %s: slot %s of %lld bytes", o->def->name, o->def->slot[i],
          LL(o->slot_bytes));
    if (o->def->packing[i] == SLOT_FLOAT) goto out;
    o->quant[i] = mem_alloc(sizeof *o->quant[i]);
    CHECK(o->quant[i], NOMEM, "optimizer %s: %zu bytes", o->def->name, sizeof *o->quant[i]);
    quant8_init(o->quant[i], o->def->packing[i] == SLOT_SIGNED_8);
out:
    return rc;
}

Status optim_create(const OptimDef *def, const void *opts, const OptimCommon *common,
                    const ParamSet *ps, const Comm *c, Optim **out)
{
    Status rc = ST_OK;
    Optim *o = mem_alloc(sizeof *o);
    CHECK(o, NOMEM, "optimizer: %zu bytes", sizeof *o);
    o->def = def;
    o->common = *common;
    o->comm = c;
    o->opts = mem_alloc(def->opts_size);
    CHECK(o->opts, NOMEM, "optimizer %s: %zu bytes", def->name, def->opts_size);
    memcpy(o->opts, opts, def->opts_size);
    if (is_sharded(common, c)) TRY(share_out(o, ps));
    TRY(list_stretches(o, ps));
    for (int i = 0; i < def->n_slot; i++) TRY(create_slot(o, i));
    *out = o;
    o = NULL;
out:
    optim_destroy(o);
    return rc;
}

void optim_destroy(Optim *o)
{
    if (!o) return;
    for (int i = 0; i < OPTIM_MAX_SLOT; i++) {
        mem_free(o->slot[i]);
        mem_free(o->quant[i]);
    }
    mem_free(o->squares);
    mem_free(o->stretch);
    mem_free(o->cut.at);
    mem_free(o->opts);
    mem_free(o);
}

int optim_n_slot(const Optim *o)
{
    return o->def->n_slot;
}

const char *optim_slot_name(const Optim *o, int i)
{
    return o->def->slot[i];
}

const Cut *optim_cut(const Optim *o)
{
    return o->cut.at ? &o->cut : NULL;
}

float *optim_slot(const Optim *o, int i)
{
    return o->cut.at || o->quant[i] ? NULL : (float *)(void *)o->slot[i];
}

/* The slot's floats of a stretch that is not packed. */
static float *floats_of(const Optim *o, int i, const Stretch *s)
{
    return (float *)(void *)(o->slot[i] + s->place);
}

/* Numbers [at, at + n) of a stretch that is packed; at is a multiple of the block. */
static uint8_t *codes_of(const Optim *o, int i, const Stretch *s, int64_t at)
{
    return (uint8_t *)o->slot[i] + s->place + at;
}

static float *scales_of(const Optim *o, int i, const Stretch *s, int64_t at)
{
    return (float *)(void *)(o->slot[i] + s->place + code_bytes(s->n)) + at / QUANT8_BLOCK;
}

static void unpack(const Optim *o, int i, const Stretch *s, int64_t at, int64_t n, float *to)
{
    quant8_unpack(o->quant[i], n, codes_of(o, i, s, at), scales_of(o, i, s, at), to);
}

static void pack(const Optim *o, int i, const Stretch *s, int64_t at, int64_t n, const float *from,
                 uint64_t noise)
{
    quant8_pack(o->quant[i], n, from, noise, codes_of(o, i, s, at), scales_of(o, i, s, at));
}

/* This rank's stretches among elements [first, first + n). */
static bool is_held(const Stretch *s, int64_t first, int64_t n)
{
    return s->mine && first <= s->offset && s->offset < first + n;
}

void optim_slot_get(const Optim *o, int i, int64_t first, int64_t n, float *to)
{
    for (const Stretch *s = o->stretch; s < o->stretch + o->n_stretch; s++) {
        if (!is_held(s, first, n)) continue;
        float *x = to + s->offset - first;
        if (s->packed)
            unpack(o, i, s, 0, s->n, x);
        else
            memcpy(x, floats_of(o, i, s), (size_t)s->n * sizeof *x);
    }
}

void optim_slot_put(Optim *o, int i, int64_t first, int64_t n, const float *from)
{
    for (const Stretch *s = o->stretch; s < o->stretch + o->n_stretch; s++) {
        if (!is_held(s, first, n)) continue;
        const float *x = from + s->offset - first;
        if (s->packed)
            pack(o, i, s, 0, s->n, x, 0);
        else
            memcpy(floats_of(o, i, s), x, (size_t)s->n * sizeof *x);
    }
}

int64_t optim_updates(const Optim *o)
{
    return o->t;
}

void optim_set_updates(Optim *o, int64_t t)
{
    o->t = t;
}

static double sum_of_squares(const float *x, int64_t n)
{
    double lane[NORM_LANES] = {0};
    int64_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES)
        for (int j = 0; j < NORM_LANES; j++) lane[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++) lane[0] += (double)x[i] * (double)x[i];
    double sum = 0.0;
    for (int j = 0; j < NORM_LANES; j++) sum += lane[j];
    return sum;
}

double optim_grad_norm(Optim *o, const float *grad, double scale)
{
    double sum = 0.0;
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < o->n_stretch; k++) {
        const Stretch *s = &o->stretch[k];
        o->squares[k] = s->mine ? sum_of_squares(grad + s->offset, s->n) : 0.0;
    }
    /* as bits, each from one rank: exact */
    if (o->cut.at) comm_sum_i64(o->comm, (int64_t *)o->squares, (int)o->n_stretch);
    for (int64_t k = 0; k < o->n_stretch; k++) sum += o->squares[k];
    return sqrt(sum) * scale;
}

/* For the numbers from `first` on in the t-th update. What has a sign changes by more than the
 * distance of two values at most steps; a sum of squares may change by a thousandth of itself. */
static uint64_t noise_at(const Quant8 *q, int64_t first, int64_t t)
{
    return q->has_sign ? 0 : rng_at((uint64_t)t, 0, (uint64_t)first) | 1;
}

/* Slots are unpacked, updated and packed again, a few blocks at a time. */
static void update_packed(const Optim *o, const Stretch *s, OptimCall c)
{
    float slot[OPTIM_MAX_SLOT][PACKED_RUN];
    for (int i = 0; i < o->def->n_slot; i++) c.slot[i] = slot[i];
    for (int64_t at = 0; at < s->n; at += PACKED_RUN) {
        c.n = s->n - at < PACKED_RUN ? s->n - at : PACKED_RUN;
        for (int i = 0; i < o->def->n_slot; i++) unpack(o, i, s, at, c.n, slot[i]);
        o->def->step(o->opts, &c);
        for (int i = 0; i < o->def->n_slot; i++)
            pack(o, i, s, at, c.n, slot[i], noise_at(o->quant[i], s->offset + at, c.t));
        c.p += c.n;
        c.g += c.n;
    }
}

/* Rank: local. */
static void update_stretch(const Optim *o, const Stretch *s, OptimCall c)
{
    c.n = s->n;
    c.p += s->offset;
    c.g += s->offset;
    c.lr *= s->lr_scale;
    c.weight_decay = s->decays ? o->common.weight_decay : 0.0;
    if (s->packed) {
        update_packed(o, s, c);
        return;
    }
    for (int i = 0; i < o->def->n_slot; i++) c.slot[i] = floats_of(o, i, s);
    o->def->step(o->opts, &c);
}

void optim_step(Optim *o, ParamSet *ps, const float *grad, double scale, double norm, double lr,
                double beta2)
{
    const double limit = o->common.max_grad_norm;
    const double clip = limit > 0.0 && norm > limit ? limit / norm : 1.0;
    const OptimCall call = {.p = params_flat(ps),
                            .g = grad,
                            .scale = scale * clip,
                            .lr = lr,
                            .beta2 = beta2,
                            .t = ++o->t};
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < o->n_stretch; k++)
        if (o->stretch[k].mine) update_stretch(o, &o->stretch[k], call);
    if (!o->cut.at) return;
    const int before = profile_enter(PROFILE_PHASE, "parameters to ranks");
    comm_share_pieces(o->comm, params_flat(ps), &o->cut);
    profile_leave(before);
}
