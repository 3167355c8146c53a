/* optim.c — the list of optimizers, their slots, clipping, and the sharing of work between threads.
 */
#include "optim/optim.h"
#include "trainer/base/mem.h"
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
    OPT_END
};
// clang-format on

enum {
    STRETCH =
        1 << 14, /* numbers one thread updates at a time; with its slots it fits the L2 cache */
    NORM_CHUNKS = 256, /* partial sums of the norm, whatever the thread count */
    NORM_LANES = 32    /* independent sums inside a chunk, for the vector units */
};

typedef struct Stretch { /* a piece of one parameter */
    int64_t offset, n;
    double lr_scale;
    bool decays;
} Stretch;

struct Optim {
    const OptimDef *def;
    void *opts;
    OptimCommon common;
    float *slot[OPTIM_MAX_SLOT];
    Stretch *stretch;
    int64_t n_stretch, t;
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

static Status optim_cut(Optim *o, const ParamSet *ps)
{
    Status rc = ST_OK;
    int64_t n = 0, i = 0;
    for (int64_t k = 0; k < params_count(ps); k++)
        n += (params_at(ps, k)->n + STRETCH - 1) / STRETCH;
    o->stretch = mem_array(n, sizeof *o->stretch);
    CHECK(o->stretch, NOMEM, "optimizer: %lld stretches", LL(n));
    for (int64_t k = 0; k < params_count(ps); k++) {
        const Param *p = params_at(ps, k);
        const bool plain = p->kind == PARAM_NORM || p->kind == PARAM_BIAS;
        for (int64_t at = 0; at < p->n; at += STRETCH)
            o->stretch[i++] = (Stretch){.offset = p->offset + at,
                                        .n = p->n - at < STRETCH ? p->n - at : STRETCH,
                                        .lr_scale = p->lr_scale,
                                        .decays = !plain || o->common.decay_norms_and_biases};
    }
    o->n_stretch = n;
out:
    return rc;
}

Status optim_create(const OptimDef *def, const void *opts, const OptimCommon *common,
                    const ParamSet *ps, Optim **out)
{
    Status rc = ST_OK;
    Optim *o = mem_alloc(sizeof *o);
    CHECK(o, NOMEM, "optimizer: %zu bytes", sizeof *o);
    o->def = def;
    o->common = *common;
    o->opts = mem_alloc(def->opts_size);
    CHECK(o->opts, NOMEM, "optimizer %s: %zu bytes", def->name, def->opts_size);
    memcpy(o->opts, opts, def->opts_size);
    for (int i = 0; i < def->n_slot; i++) {
        o->slot[i] = mem_array(params_flat_n(ps), sizeof(float));
        CHECK(o->slot[i], NOMEM, "optimizer %s: slot %s of %lld numbers", def->name, def->slot[i],
              LL(params_flat_n(ps)));
    }
    TRY(optim_cut(o, ps));
    *out = o;
    o = NULL;
out:
    optim_destroy(o);
    return rc;
}

void optim_destroy(Optim *o)
{
    if (!o) return;
    for (int i = 0; i < OPTIM_MAX_SLOT; i++) mem_free(o->slot[i]);
    mem_free(o->stretch);
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

float *optim_slot(const Optim *o, int i)
{
    return o->slot[i];
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

double optim_grad_norm(const ParamSet *ps, const float *grad, double scale)
{
    const int64_t n = params_flat_n(ps), chunk = (n + NORM_CHUNKS - 1) / NORM_CHUNKS;
    double part[NORM_CHUNKS];
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < NORM_CHUNKS; k++) {
        const int64_t begin = k * chunk < n ? k * chunk : n;
        part[k] = sum_of_squares(grad + begin, n - begin < chunk ? n - begin : chunk);
    }
    double sum = 0.0;
    for (int64_t k = 0; k < NORM_CHUNKS; k++) sum += part[k];
    return sqrt(sum) * scale;
}

void optim_step(Optim *o, ParamSet *ps, const float *grad, double scale, double norm, double lr,
                double beta2)
{
    const double limit = o->common.max_grad_norm;
    const double clip = limit > 0.0 && norm > limit ? limit / norm : 1.0;
    float *val = params_flat(ps);
    o->t++;
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < o->n_stretch; k++) {
        const Stretch *s = &o->stretch[k];
        OptimCall c = {.n = s->n,
                       .p = val + s->offset,
                       .g = grad + s->offset,
                       .scale = scale * clip,
                       .lr = lr * s->lr_scale,
                       .weight_decay = s->decays ? o->common.weight_decay : 0.0,
                       .beta2 = beta2,
                       .t = o->t};
        for (int i = 0; i < o->def->n_slot; i++) c.slot[i] = o->slot[i] + s->offset;
        o->def->step(o->opts, &c);
    }
}
