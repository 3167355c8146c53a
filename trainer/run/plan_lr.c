/* plan_lr.c — the rate of every step, leg by leg, as the runs of the line take them. */
#include "trainer/base/mem.h"
#include "trainer/run/plan.h"
#include <string.h>

static bool ends_at(const Job *job, const char *end)
{
    for (int64_t i = 0; i < job->n_leg; i++)
        if (strcmp(job->leg[i].end, end) == 0) return true;
    return false;
}

static void add_leg(const Job *job, const Leg *leg, Text *out)
{
    for (int64_t step = leg->from; step < leg->to; step++) {
        text_printf(out, "%s,%s,%lld,", job->version[leg->version].name, leg->path, LL(step));
        text_json_number(out, leg_rate_at(job, leg, step).lr);
        text_add(out, "\n");
    }
}

/* Each older version had a job of its own, whose legs follow from its config. A tail that was run
 * at once is planned again by the next version, which finds it done. */
Status plan_lr(const Job *job, Text *out)
{
    Status rc = ST_OK;
    Job past = *job, before = {0};
    text_add(out, "version,path,step,lr\n");
    for (int64_t i = job->branch ? job->n_version - 1 : 0; i < job->n_version; i++) {
        past.n_version = i + 1;
        past.cfg = job->version[i].cfg;
        TRY(legs_plan(&past));
        for (int64_t k = 0; k < past.n_leg; k++)
            if (!ends_at(&before, past.leg[k].end)) add_leg(&past, &past.leg[k], out);
        before = past;
    }
    TRY(text_check(out));
out:
    return rc;
}
