/* optim_sgd.c — stochastic gradient descent with momentum.
 *
 *   m = mu m + g,    p = p (1 - lr wd) - lr d,    d = m, or g + mu m with nesterov
 *
 * Sutskever et al. 2013, in PyTorch's form; weight decay is decoupled, as in adamw
 * (arXiv:1711.05101, algorithm 1). */
#include "optim/optim.h"

typedef struct SgdOpts {
    double momentum;
    bool nesterov;
} SgdOpts;

// clang-format off
static const OptSpec SGD_OPTS[] = {
    OPT_F64(SgdOpts,  momentum, 0.9, 0, 0.999999, "share of the last update that is kept"),
    OPT_BOOL(SgdOpts, nesterov, 0, "look one update of momentum ahead"),
    OPT_END
};
// clang-format on

static void sgd_step(const void *opts, const OptimCall *c)
{
    const SgdOpts *o = opts;
    const float mu = (float)o->momentum, scale = (float)c->scale, lr = (float)c->lr;
    const float keep = (float)(1.0 - c->lr * c->weight_decay);
    const float of_m = o->nesterov ? mu : 1.0f, of_g = o->nesterov ? 1.0f : 0.0f;
    float *restrict p = c->p, *restrict m = c->slot[0];
    const float *restrict grad = c->g;
    for (int64_t i = 0; i < c->n; i++) {
        const float g = grad[i] * scale;
        m[i] = mu * m[i] + g;
        p[i] = p[i] * keep - lr * (of_m * m[i] + of_g * g);
    }
}

const OptimDef optim_sgd = {.name = "sgd",
                            .opts = SGD_OPTS,
                            .opts_size = sizeof(SgdOpts),
                            .n_slot = 1,
                            .slot = {"m"},
                            .step = sgd_step};
