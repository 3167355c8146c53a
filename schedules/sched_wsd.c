/* sched_wsd.c — warm-up, stable, decay: the maximal rate until the last share of the run.
 *
 * Hu et al. 2024 (MiniCPM), arXiv:2404.06395: a decay over a tenth of the tokens is enough. */
#include "schedules/sched_shape.h"

typedef struct WsdOpts {
    SchedCommon common;
    double wsd_decay_fraction;
    const char *wsd_decay_shape;
} WsdOpts;

// clang-format off
static const OptSpec WSD_OPTS[] = {
    OPT_F64(WsdOpts,  wsd_decay_fraction, 0.1, 0, 1, "share of the steps, the last ones, in which the rate decays"),
    OPT_ENUM(WsdOpts, wsd_decay_shape, "sqrt", SCHED_SHAPES, "form of that decay"),
    OPT_END
};
// clang-format on

static SchedPoint wsd_at(const void *opts, const SchedSpan *s)
{
    const WsdOpts *o = opts;
    const int64_t t = s->step - s->first, n_step = s->end - s->first;
    const double n = (double)n_step,
                 x = sched_progress((double)t, n - o->wsd_decay_fraction * n, n);
    return (SchedPoint){.lr = sched_warmup(&o->common, t, n_step) *
                              sched_decay(o->wsd_decay_shape, &o->common, x),
                        .beta2 = -1.0};
}

static Status wsd_check(const void *opts, const SchedSpan *s)
{
    const WsdOpts *o = opts;
    (void)s;
    return sched_check_shape(o->wsd_decay_shape, &o->common);
}

const SchedDef sched_wsd = {.name = "wsd",
                            .opts = WSD_OPTS,
                            .opts_size = sizeof(WsdOpts),
                            .at = wsd_at,
                            .check = wsd_check};
