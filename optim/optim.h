/* optim.h — update rules over one flat stretch of numbers; they know no model and no ranks, and
 * cannot fail. */
#ifndef OPTIM_OPTIM_H
#define OPTIM_OPTIM_H
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

typedef struct OptimDef {
    const char *name;    /* the word of optim: */
    const OptSpec *opts; /* its own options, beside OPTIM_COMMON_OPTS */
    size_t opts_size;
    int n_slot;
    const char *slot[OPTIM_MAX_SLOT]; /* "m", "v": names in the checkpoint */
    /* Element-wise, so any cut into stretches gives the same bits. */
    void (*step)(const void *opts, const OptimCall *c);
} OptimDef;

const OptimDef *optim_find(const char *name); /* NULL: unknown */
const OptimDef *const *optim_all(int64_t *n);

/* Options every optimizer has, in a struct of their own. */
typedef struct OptimCommon {
    double weight_decay, max_grad_norm;
    bool decay_norms_and_biases;
} OptimCommon;
extern const OptSpec OPTIM_COMMON_OPTS[];

typedef struct Optim Optim; /* a rule with its options and its slots for one ParamSet */

/* Slots start at zero.
 *
 * Errors  ST_NOMEM
 * Owns    copies the options (their strings stay the caller's), keeps nothing of ps */
CHECKED Status optim_create(const OptimDef *def, const void *opts, const OptimCommon *common,
                            const ParamSet *ps, Optim **o);
void optim_destroy(Optim *o);
int optim_n_slot(const Optim *o);
const char *optim_slot_name(const Optim *o, int i);
/* Flat, params_flat_n numbers, laid out as the ParamSet. */
float *optim_slot(const Optim *o, int i);
int64_t optim_updates(const Optim *o); /* t of the last update; saved and restored with the slots */
void optim_set_updates(Optim *o, int64_t t);

/* Euclidean norm of grad * scale; not finite where the gradient is not.
 *
 * Shapes  grad: params_flat_n numbers, zero in the padding
 * Math    sums of squares in double over fixed chunks, so any thread count gives the same bits
 * Rank    local */
double optim_grad_norm(const ParamSet *ps, const float *grad, double scale);

/* Clips to max_grad_norm (0: never) and updates all parameters in one pass; weight decay only where
 * it applies.
 *
 * Math    gradient = grad scale min(1, max_grad_norm / norm), norm as optim_grad_norm gives it
 * Units   lr per step, times each parameter's lr_scale; beta2 < 0: the optimizer's own
 * Rank    local; OpenMP threads share fixed stretches, so bits do not depend on their number */
void optim_step(Optim *o, ParamSet *ps, const float *grad, double scale, double norm, double lr,
                double beta2);
#endif
