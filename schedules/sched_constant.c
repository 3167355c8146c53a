/* sched_constant.c — the maximal rate after a linear warm-up. */
#include "schedules/sched_shape.h"

static const OptSpec CONSTANT_OPTS[] = {OPT_END};

static SchedPoint constant_at(const void *opts, const SchedSpan *s)
{
    const SchedCommon *c = opts;
    const double warmup = sched_warmup(c, s->step - s->first, s->end - s->first);
    return (SchedPoint){.lr = warmup * c->learning_rate, .beta2 = -1.0};
}

const SchedDef sched_constant = {
    .name = "constant", .opts = CONSTANT_OPTS, .opts_size = sizeof(SchedCommon), .at = constant_at};
