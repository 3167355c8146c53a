/* optim_adamw.c — Adam with decoupled weight decay.
 *
 *   m = b1 m + (1-b1) g,    v = b2 v + (1-b2) g^2
 *   p = p (1 - lr wd) - lr (m / c1) / (sqrt(v / c2) + eps),    c1 = 1 - b1^t,  c2 = 1 - b2^t
 *
 * Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with the decay scaled by lr as PyTorch
 * does.
 *
 * Another beta2 from a schedule (a branch) changes the running average v alone; c2 stays that of
 * the optimizer's own b2. At the switch after t0 updates v weighs the past with 1 - b2^t0, s
 * updates later with 1 - b2^t0 b2'^s: one from the start when b2^t0 is small. 1 - b2'^t would be
 * wrong there: with 0.95, then 0.999 at t0 = 200 it makes the first step of the branch 2.3 times
 * too short. */
#include "optim/optim_adamw.h"
#include <math.h>

// clang-format off
const OptSpec ADAMW_OPTS[] = {
    OPT_F64(AdamwOpts, adam_beta1,   0.9,  0, 0.999999, "decay of the running mean of the gradient"),
    OPT_F64(AdamwOpts, adam_beta2,   0.95, 0, 0.999999, "decay of the running mean of its square"),
    OPT_F64(AdamwOpts, adam_epsilon, 1e-8, 0, 1,        "added to the root of that mean"),
    OPT_END
};
// clang-format on

void adamw_step(const void *opts, const OptimCall *c)
{
    const AdamwOpts *o = opts;
    const double b2 = c->beta2 < 0.0 ? o->adam_beta2 : c->beta2;
    const double c1 = 1.0 - pow(o->adam_beta1, (double)c->t);
    const double c2 = 1.0 - pow(o->adam_beta2, (double)c->t);
    const float keep = (float)(1.0 - c->lr * c->weight_decay), rate = (float)(c->lr / c1);
    const float root_c2 = (float)(1.0 / sqrt(c2)), eps = (float)o->adam_epsilon;
    const float beta1 = (float)o->adam_beta1, rest1 = (float)(1.0 - o->adam_beta1);
    const float beta2 = (float)b2, rest2 = (float)(1.0 - b2), scale = (float)c->scale;
    float *restrict p = c->p, *restrict m = c->slot[0], *restrict v = c->slot[1];
    const float *restrict grad = c->g;
    for (int64_t i = 0; i < c->n; i++) {
        const float g = grad[i] * scale;
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * (g * g);
        p[i] = p[i] * keep - rate * m[i] / (sqrtf(v[i]) * root_c2 + eps);
    }
}

const OptimDef optim_adamw = {.name = "adamw",
                              .opts = ADAMW_OPTS,
                              .opts_size = sizeof(AdamwOpts),
                              .n_slot = 2,
                              .slot = {"m", "v"},
                              .step = adamw_step};
