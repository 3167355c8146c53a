/* sched_shape.c — warm-up, progress, decay shapes. */
#include "schedules/sched_shape.h"
#include <math.h>
#include <string.h>

static bool shape_is(const char *shape, const char *name)
{
    return strcmp(shape, name) == 0;
}

double sched_min_lr(const SchedCommon *c)
{
    return c->min_lr < 0.0 ? c->min_lr_ratio * c->learning_rate : c->min_lr;
}

double sched_warmup_steps(const SchedCommon *c, int64_t n_step)
{
    return c->warmup_steps < 1.0 ? ceil(c->warmup_steps * (double)n_step) : c->warmup_steps;
}

double sched_warmup(const SchedCommon *c, int64_t t, int64_t n_step)
{
    const double W = sched_warmup_steps(c, n_step), done = (double)t + 1.0;
    return done < W ? done / W : 1.0;
}

double sched_progress(double t, double begin, double end)
{
    if (t <= begin) return 0.0;
    return t < end ? (t - begin) / (end - begin) : 1.0;
}

double sched_decay(const char *shape, const SchedCommon *c, double x)
{
    const double top = c->learning_rate, bottom = sched_min_lr(c), drop = top - bottom;
    if (shape_is(shape, "linear")) return top - drop * x;
    if (shape_is(shape, "sqrt")) return top - drop * sqrt(x);
    if (shape_is(shape, "exponential")) return top > 0.0 ? top * pow(bottom / top, x) : 0.0;
    if (shape_is(shape, "step"))
        return x < 1.0 / 3.0 ? top : x < 2.0 / 3.0 ? sqrt(top * bottom) : bottom;
    return top - drop * 0.5 * (1.0 - cos(M_PI * x));
}

Status sched_check_shape(const char *shape, const SchedCommon *c)
{
    Status rc = ST_OK;
    const bool multiplies = shape_is(shape, "exponential") || shape_is(shape, "step");
    CHECK(!multiplies || sched_min_lr(c) > 0.0, CONFIG,
          "a decay of shape %s never reaches 0: set min_lr or min_lr_ratio above 0", shape);
out:
    return rc;
}
