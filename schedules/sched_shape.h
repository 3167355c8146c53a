/* sched_shape.h — what schedules are made of: warm-up, progress, decay shapes. */
#ifndef SCHEDULES_SCHED_SHAPE_H
#define SCHEDULES_SCHED_SHAPE_H
#include "schedules/sched.h"

double sched_min_lr(const SchedCommon *c);                       /* eta_min */
double sched_warmup_steps(const SchedCommon *c, int64_t n_step); /* W, of a run of n_step steps */

/* Math    min(1, (t+1)/W), so the first step already moves and step W-1 has the full rate */
double sched_warmup(const SchedCommon *c, int64_t t, int64_t n_step);

double sched_progress(double t, double begin,
                      double end); /* (t-begin)/(end-begin), kept in [0,1] */

/* The rate after a share x of the decay: from eta_max = learning_rate, exactly, to eta_min.
 *
 * Math    cosine       eta_max - (eta_max-eta_min) (1 - cos(pi x)) / 2
 *         linear       eta_max - (eta_max-eta_min) x
 *         sqrt         eta_max - (eta_max-eta_min) sqrt(x)
 *         exponential  eta_max (eta_min/eta_max)^x
 *         step         eta_max, sqrt(eta_max eta_min), eta_min for a third of the way each
 * Source  sqrt, exponential: Haegele et al. 2024, arXiv:2405.18392; step: the three levels of
 * DeepSeek LLM (100, 31.6 and 10 %), arXiv:2401.02954, squeezed into the decay; the thirds are ours
 */
double sched_decay(const char *shape, const SchedCommon *c, double x);
#define SCHED_SHAPES "cosine|linear|sqrt|exponential|step"

/* Errors  ST_CONFIG the shape multiplies its way down and can never reach an eta_min of 0 */
CHECKED Status sched_check_shape(const char *shape, const SchedCommon *c);
#endif
