/* rope_freq.h — rotary frequencies, as they are or scaled for longer sequences. */
#ifndef TRAINER_MODELS_ROPE_FREQ_H
#define TRAINER_MODELS_ROPE_FREQ_H
#include "trainer/models/model.h"

const char *rope_type_find(const char *type); /* the constant word of rope_type; NULL: unknown */

/* Frequencies of the head_dim / 2 pairs, and the factor on cos and sin.
 * Math    docs/models.md
 * Units   freq: radians per token; n_pos: tokens of the longest document (dynamic scaling reads it) */
double rope_freq(const ModelConfig *cfg, int64_t n_pos, double *freq);
#endif
