/* optim_adamw.h — what the optimizers of this family share. */
#ifndef OPTIM_OPTIM_ADAMW_H
#define OPTIM_OPTIM_ADAMW_H
#include "optim/optim.h"

typedef struct AdamwOpts {
    double adam_beta1, adam_beta2, adam_epsilon;
} AdamwOpts;
extern const OptSpec ADAMW_OPTS[];

void adamw_step(const void *opts, const OptimCall *c); /* slots m, v */
#endif
