/* sched.c — the list of schedules and the options they share. */
#include "schedules/sched.h"
#include "schedules/sched_shape.h"
#include <string.h>

#define X(name) extern const SchedDef sched_##name;
#include "schedules/sched_list.h"
#undef X

static const SchedDef *const SCHEDULES[] = {
#define X(name) &sched_##name,
#include "schedules/sched_list.h"
#undef X
};

// clang-format off
const OptSpec SCHED_COMMON_OPTS[] = {
    OPT_F64(SchedCommon, learning_rate, 3e-4,  0, 10,  "the maximal learning rate"),
    OPT_F64(SchedCommon, min_lr,        -1,   -1, 10,  "the rate at the end of the decay; below 0: min_lr_ratio of learning_rate"),
    OPT_F64(SchedCommon, min_lr_ratio,  0.1,   0, 1,   "the rate at the end of the decay, as a share of learning_rate"),
    OPT_F64(SchedCommon, warmup_steps,  0.01,  0, 1e9, "steps of linear warm-up; below 1: share of the run (in a line: of its first version)"),
    OPT_END
};
// clang-format on

const SchedDef *const *sched_all(int64_t *n)
{
    *n = N_OF(SCHEDULES);
    return SCHEDULES;
}

const SchedDef *sched_find(const char *name)
{
    for (int64_t i = 0; i < N_OF(SCHEDULES); i++)
        if (strcmp(SCHEDULES[i]->name, name) == 0) return SCHEDULES[i];
    return NULL;
}

Status sched_check(const SchedDef *def, const void *opts, const SchedSpan *s)
{
    Status rc = ST_OK;
    const SchedCommon *c = opts;
    CHECK(sched_min_lr(c) <= c->learning_rate, CONFIG, "min_lr is %g, above learning_rate %g",
          c->min_lr, c->learning_rate);
    CHECK(0 <= s->first && s->first <= s->branch && s->branch <= s->end, CONFIG,
          "schedule %s: first step %lld, branch point %lld, end %lld", def->name, LL(s->first),
          LL(s->branch), LL(s->end));
    if (def->check) TRY(def->check(opts, s));
out:
    return rc;
}
