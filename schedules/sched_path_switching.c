/* sched_path_switching.c — one main path at the maximal rate for ever, and a decaying branch for every release.
 *
 *   main(t)   = eta_max w(t),     w(t) = min(1, (t+1)/W): one warm-up, in the first version
 *   branch(t) = decay(x) w(t),    x = (t - b_k)/(T_end - b_k), decay(0) = eta_max, limit eta_min
 *
 * Both follow t along the line, so the branch leaves the main path without a jump and without a second warm-up (w is 1 by
 * then, unless b_k lies in the warm-up itself, as with decay_fraction 1 in the first version). On the path "branch",
 * steps before b_k are those of the main path: so a rival can run the whole shape as one path.
 * Wang et al. 2024, arXiv:2410.04103. branch_beta2: Dremov et al. 2025, arXiv:2508.01483. */
#include "schedules/sched_shape.h"

typedef struct PathSwitchingOpts {
    SchedCommon common;
    const char *decay_shape;
    double branch_beta2;
} PathSwitchingOpts;

// clang-format off
static const OptSpec PATH_SWITCHING_OPTS[] = {
    OPT_ENUM(PathSwitchingOpts, decay_shape, "cosine", SCHED_SHAPES, "form of the decay in the branch"),
    OPT_F64(PathSwitchingOpts,  branch_beta2, -1, -1, 0.999999, "beta2 of the optimizer in the branch; below 0: the same as on the main path"),
    OPT_END
};
// clang-format on

static SchedPoint path_switching_at(const void *opts, const SchedSpan *s)
{
    const PathSwitchingOpts *o = opts;
    const bool branch = s->path == SCHED_BRANCH && s->step >= s->branch;
    const int64_t n_first = s->first == 0 ? s->end : 0; /* a share of version 1 */
    const double x =
        branch ? sched_progress((double)s->step, (double)s->branch, (double)s->end) : 0.0;
    return (SchedPoint){.lr = sched_warmup(&o->common, s->step, n_first) *
                              sched_decay(o->decay_shape, &o->common, x),
                        .beta2 = branch ? o->branch_beta2 : -1.0};
}

static Status path_switching_check(const void *opts, const SchedSpan *s)
{
    const PathSwitchingOpts *o = opts;
    (void)s;
    return sched_check_shape(o->decay_shape, &o->common);
}

const SchedDef sched_path_switching = {.name = "path_switching",
                                       .opts = PATH_SWITCHING_OPTS,
                                       .opts_size = sizeof(PathSwitchingOpts),
                                       .at = path_switching_at,
                                       .check = path_switching_check};
