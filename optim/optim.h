/* optim.h — update rules over one flat stretch of numbers, which know no model and no ranks and
 * cannot fail; and an optimizer for a ParamSet, whose slots the ranks may share out. */
#ifndef OPTIM_OPTIM_H
#define OPTIM_OPTIM_H
#include "trainer/base/comm.h"
#include "trainer/base/opt.h"
#include "trainer/tensor/params.h"

enum { OPTIM_MAX_SLOT = 3 };

/* One update of n numbers. Units: lr per step; t counts updates from 1; scale multiplies the
 * gradient (1 / labelled tokens, times the clipping factor). */
typedef struct OptimCall {
    int64_t n;
    float *p;       /* parameters, updated in place */
    const float *g; /* gradient sums */
    float *slot[OPTIM_MAX_SLOT];
    double scale, lr, weight_decay;
    double beta2; /* < 0: the optimizer's own */
    int64_t t;
} OptimCall;

/* How a slot is kept between steps; a rule sees floats. */
typedef enum SlotPacking {
    SLOT_FLOAT,
    SLOT_SIGNED_8, /* quant8.h; vectors, and parameters below 4096 numbers, stay floats */
    SLOT_UNSIGNED_8
} SlotPacking;

typedef struct OptimDef {
    const char *name;    /* the word of optim: */
    const OptSpec *opts; /* its own options, beside OPTIM_COMMON_OPTS */
    size_t opts_size;
    int n_slot;
    const char *slot[OPTIM_MAX_SLOT];    /* "m", "v": names in the checkpoint */
    SlotPacking packing[OPTIM_MAX_SLOT]; /* all in 8 bits, or none */
    /* Element-wise, so any cut into stretches gives the same bits. */
    void (*step)(const void *opts, const OptimCall *c);
} OptimDef;

const OptimDef *optim_find(const char *name); /* NULL: unknown */
const OptimDef *const *optim_all(int64_t *n);

/* Options every optimizer has, in a struct of their own. */
typedef struct OptimCommon {
    double weight_decay, max_grad_norm;
    bool decay_norms_and_biases, shard_optimizer;
} OptimCommon;
extern const OptSpec OPTIM_COMMON_OPTS[];

typedef struct Optim Optim; /* a rule with its options and its slots for one ParamSet */

/* Slots start at zero. With shard_optimizer each rank of c owns pieces of the flat vectors, holds the
 * slots of these alone and updates the parameters there (stage 1 of ZeRO,
 * Rajbhandari et al. 2020, arXiv:1910.02054); c may be NULL: one rank.
 *
 * Rank    local
 * Errors  ST_NOMEM
 * Owns    copies the options (their strings stay the caller's), keeps nothing of ps */
CHECKED Status optim_create(const OptimDef *def, const void *opts, const OptimCommon *common,
                            const ParamSet *ps, const Comm *c, Optim **o);
void optim_destroy(Optim *o);
/* Of the slots, on the rank with most of them. Rank: replicated. */
int64_t optim_bytes(const OptimDef *def, const OptimCommon *common, const ParamSet *ps,
                    const Comm *c);
int optim_n_slot(const Optim *o);
const char *optim_slot_name(const Optim *o, int i);
int64_t optim_updates(const Optim *o); /* t of the last update; saved and restored with the slots */
void optim_set_updates(Optim *o, int64_t t);

/* Where each rank needs the gradient; NULL: the slots are not shared out, every rank needs all of
 * it. Owns: the optimizer's. */
const Cut *optim_cut(const Optim *o);

/* A slot has params_flat_n numbers, laid out as the ParamSet. Of elements [first, first + n) of slot
 * i, which are those of whole parameters, what this rank holds is written to `to`, or taken from
 * `from`; the others are left alone. What was got and is put back gives the same bits.
 * Rank: local. */
void optim_slot_get(const Optim *o, int i, int64_t first, int64_t n, float *to);
void optim_slot_put(Optim *o, int i, int64_t first, int64_t n, const float *from);
/* The slot itself, for those who need no copy; NULL: this rank does not hold it like that. */
float *optim_slot(const Optim *o, int i);

/* Euclidean norm of grad * scale; not finite where the gradient is not.
 *
 * Shapes  grad: params_flat_n numbers; only this rank's pieces are read
 * Math    sums of squares in double, a stretch at a time, added in their order: any number of
 *         threads and ranks gives the same bits
 * Rank    collective where optim_cut is not NULL, else local */
double optim_grad_norm(Optim *o, const float *grad, double scale);

/* Clips to max_grad_norm (0: never) and updates all parameters in one pass; weight decay only where
 * it applies. Each rank updates what it owns and hands it out.
 *
 * Math    gradient = grad scale min(1, max_grad_norm / norm), norm as optim_grad_norm gives it
 * Units   lr per step, times each parameter's lr_scale; beta2 < 0: the optimizer's own
 * Rank    collective where optim_cut is not NULL, else local; OpenMP threads share fixed stretches,
 *         so bits do not depend on their number */
void optim_step(Optim *o, ParamSet *ps, const float *grad, double scale, double norm, double lr,
                double beta2);
#endif
