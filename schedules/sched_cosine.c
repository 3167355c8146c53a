/* sched_cosine.c — half a cosine from the maximal to the minimal rate, after a linear warm-up.
 *
 * Loshchilov & Hutter 2017, arXiv:1608.03983, one period.
 */
#include "schedules/sched_shape.h"

static const OptSpec COSINE_OPTS[] = {OPT_END};

static SchedPoint cosine_at(const void *opts, const SchedSpan *s)
{
    const SchedCommon *c = opts;
    const int64_t t = s->step - s->first, n_step = s->end - s->first;
    const double x = sched_progress((double)t, sched_warmup_steps(c, n_step), (double)n_step);
    return (SchedPoint){.lr = sched_warmup(c, t, n_step) * sched_decay("cosine", c, x),
                        .beta2 = -1.0};
}

const SchedDef sched_cosine = {
    .name = "cosine", .opts = COSINE_OPTS, .opts_size = sizeof(SchedCommon), .at = cosine_at};
