/* path_plan.c — integer arithmetic of path switching. */
#include "schedules/path_plan.h"
#include <math.h>

Status path_plan_version(const PathVersion *v, int64_t first, PathSteps *steps)
{
    Status rc = ST_OK;
    const double alpha = v->decay_fraction;
    CHECK(v->global_batch > 0, CONFIG, "global_batch_size is %lld", LL(v->global_batch));
    CHECK(alpha >= 0.0 && alpha <= 1.0, CONFIG, "decay_fraction is %g, not in [0, 1]", alpha);
    CHECK(v->n_sample >= v->global_batch, DATA,
          "the version has %lld sequences, one global batch takes %lld", LL(v->n_sample),
          LL(v->global_batch));

    const int64_t n_step = v->n_sample / v->global_batch;
    const int64_t n_decay = (int64_t)floor(alpha * (double)n_step + 0.5);
    CHECK(n_decay > 0 || alpha == 0.0, CONFIG,
          "decay_fraction %g of %lld steps is no step at all (0 releases the main path itself)",
          alpha, LL(n_step));
    *steps = (PathSteps){.n_step = n_step,
                         .n_left = v->n_sample - n_step * v->global_batch,
                         .first = first,
                         .branch = first + n_step - n_decay,
                         .end = first + n_step};
out:
    return rc;
}

Status path_plan_line(const PathVersion *v, int64_t n, PathSteps *steps)
{
    Status rc = ST_OK;
    for (int64_t k = 0; k < n; k++)
        TRY(path_plan_version(&v[k], k > 0 ? steps[k - 1].end : 0, &steps[k]));
out:
    return rc;
}

PathCost path_plan_cost(const PathSteps *steps, int64_t n)
{
    PathCost c = {0};
    for (int64_t k = 0; k < n; k++) {
        const int64_t n_tail = steps[k].end - steps[k].branch;
        c.from_scratch += steps[k].end;
        c.continual += steps[k].n_step;
        c.lazy += steps[k].n_step + (k < n - 1 ? n_tail : 0);
        c.eager += steps[k].n_step + n_tail;
    }
    if (n > 0) {
        c.continual_ratio = (double)c.continual / (double)c.from_scratch;
        c.lazy_ratio = (double)c.lazy / (double)c.from_scratch;
        c.eager_ratio = (double)c.eager / (double)c.from_scratch;
    }
    return c;
}
