/* sample.h — the choice of the next token from its logits; a pure function. */
#ifndef TRAINER_RUN_SAMPLE_H
#define TRAINER_RUN_SAMPLE_H
#include "trainer/tensor/real.h"
#include <stdint.h>

typedef struct SampleOpts {
    double temperature; /* 0: greedy, the other two are not read */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
} SampleOpts;

typedef struct SampleCandidate {
    double p;
    int32_t id;
} SampleCandidate;

/* Greedy: the largest logit, the lowest id among equals. Else the id at u of the distribution
 * below; equal probabilities stand in order of their ids.
 *
 * Shapes  logits, room: (n)
 * Units   u in [0, 1)
 * Math    p_i ~ exp(z_i / temperature), over the top_k largest; of these the fewest, largest first,
 *         that hold a share top_p of the sum (Holtzman et al. 2020, arXiv:1904.09751, sec. 3.1)
 * Returns -1 when a logit is NaN or +inf, or all are -inf
 * Rank    replicated */
int32_t sample_token(const SampleOpts *o, const real *logits, int64_t n, double u,
                     SampleCandidate *room);
#endif
