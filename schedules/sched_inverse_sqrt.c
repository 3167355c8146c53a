/* sched_inverse_sqrt.c — after the warm-up the rate falls with the root of the step.
 *
 *   lr(t) = eta_max sqrt(S / (t - W + 1 + S)),    S = inverse_sqrt_timescale, by default W (10000
 * when W = 0)
 *
 * Vaswani et al. 2017, arXiv:1706.03762, sec. 5.3, which has S = W; never below eta_min. */
#include "schedules/sched_shape.h"
#include <math.h>

typedef struct InverseSqrtOpts {
    SchedCommon common;
    double inverse_sqrt_timescale;
} InverseSqrtOpts;

// clang-format off
static const OptSpec INVERSE_SQRT_OPTS[] = {
    OPT_F64(InverseSqrtOpts, inverse_sqrt_timescale, 0, 0, 1e9, "steps after which the rate has fallen to 0.71 of the maximum; 0: as many as the warm-up has, or 10000"),
    OPT_END
};
// clang-format on

static SchedPoint inverse_sqrt_at(const void *opts, const SchedSpan *s)
{
    const InverseSqrtOpts *o = opts;
    const int64_t t = s->step - s->first, n_step = s->end - s->first;
    const double W = sched_warmup_steps(&o->common, n_step);
    const double S = o->inverse_sqrt_timescale > 0.0 ? o->inverse_sqrt_timescale
                     : W > 0.0                       ? W
                                                     : 1e4;
    const double past = fmax(0.0, (double)t - W + 1.0);
    const double lr = o->common.learning_rate * sqrt(S / (past + S));
    return (SchedPoint){.lr = sched_warmup(&o->common, t, n_step) *
                              fmax(lr, sched_min_lr(&o->common)),
                        .beta2 = -1.0};
}

const SchedDef sched_inverse_sqrt = {.name = "inverse_sqrt",
                                     .opts = INVERSE_SQRT_OPTS,
                                     .opts_size = sizeof(InverseSqrtOpts),
                                     .at = inverse_sqrt_at};
