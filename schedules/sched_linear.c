/* sched_linear.c — a straight line from the maximal to the minimal rate, after a linear warm-up. */
#include "schedules/sched_shape.h"

static const OptSpec LINEAR_OPTS[] = {OPT_END};

static SchedPoint linear_at(const void *opts, const SchedSpan *s)
{
    const SchedCommon *c = opts;
    const int64_t t = s->step - s->first, n_step = s->end - s->first;
    const double x = sched_progress((double)t, sched_warmup_steps(c, n_step), (double)n_step);
    return (SchedPoint){.lr = sched_warmup(c, t, n_step) * sched_decay("linear", c, x),
                        .beta2 = -1.0};
}

const SchedDef sched_linear = {
    .name = "linear", .opts = LINEAR_OPTS, .opts_size = sizeof(SchedCommon), .at = linear_at};
