/* optim_adamw_8bit.c — adamw whose moments take a byte each: Dettmers et al. 2022,
 * arXiv:2110.02861. The arithmetic is adamw's, in f32; between steps m and v are kept as quant8.h
 * has them. */
#include "optim/optim_adamw.h"

const OptimDef optim_adamw_8bit = {.name = "adamw_8bit",
                                   .opts = ADAMW_OPTS,
                                   .opts_size = sizeof(AdamwOpts),
                                   .n_slot = 2,
                                   .slot = {"m", "v"},
                                   .packing = {SLOT_SIGNED_8, SLOT_UNSIGNED_8},
                                   .step = adamw_step};
