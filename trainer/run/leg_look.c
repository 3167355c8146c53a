/* leg_look.c — what the disk says of a leg. */
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/best.h"
#include "trainer/run/leg.h"
#include <string.h>

Status leg_look(const Job *job, const Leg *leg, LegEnd *end)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    char *dir = job_path(job, leg->end);
    *end = (LegEnd){0};
    CHECK(dir, NOMEM, "path of %s", leg->end);
    if (!path_exists(dir)) goto out;
    TRY(ckpt_open(dir,
                  &k)); /* it was published, so it was whole: damage is no reason to begin anew */
    const CkptInfo *info = ckpt_info(k);
    const Best best = best_from_json(json_object_get(info->extra, "best"));
    const bool at_end =
        info->step == leg->to ||
        (info->step < leg->to && best_is_over(job->version[leg->version].cfg, &best));
    CHECK(at_end && strcmp(info->version, job->version[leg->version].name) == 0, DATA,
          "%s is step %lld of \"%s\", %s ends at step %lld", dir, LL(info->step), info->version,
          leg->title, LL(leg->to));
    end->done = true;
    end->core_seconds = json_number_value(json_object_get(info->extra, "core_seconds"));
    end->held_out = json_incref(json_object_get(info->extra, "held_out"));
    line_point(k, leg->end, &end->point);
out:
    ckpt_close(k);
    mem_free(dir);
    return rc;
}

Status leg_is_superseded(const Job *job, const Leg *leg, bool *superseded)
{
    Status rc = ST_OK;
    char *saves = NULL, *newest = NULL;
    *superseded = false;
    for (const Leg *next = job->leg; next < job->leg + job->n_leg && !*superseded; next++) {
        LegEnd end = {0};
        if (strcmp(next->start, leg->end) != 0 || strcmp(leg->end_kind, "main") != 0) continue;
        TRY(leg_look(job, next, &end));
        json_decref(end.held_out);
        saves = job_path(job, next->saves);
        CHECK(saves, NOMEM, "path of %s", next->saves);
        TRY(ckpt_newest_between(saves, next->from + 1, next->to, &newest));
        *superseded = end.done || newest;
        mem_free(newest);
        mem_free(saves);
        saves = newest = NULL;
    }
out:
    mem_free(saves);
    return rc;
}

Status leg_reached(const Job *job, const Leg *leg, int64_t *step)
{
    Status rc = ST_OK;
    LegEnd end = {0};
    bool superseded = false;
    Ckpt *k = NULL;
    char *saves = job_path(job, leg->saves), *newest = NULL;
    *step = leg->from;
    CHECK(saves, NOMEM, "path of %s", leg->saves);
    TRY(leg_look(job, leg, &end));
    if (!end.done) TRY(leg_is_superseded(job, leg, &superseded));
    if (end.done || superseded) {
        *step = leg->to;
        goto out;
    }
    TRY(ckpt_newest_between(saves, leg->from + 1, leg->to, &newest));
    if (!newest) goto out;
    TRY(ckpt_open(newest, &k));
    *step = ckpt_info(k)->step;
out:
    ckpt_close(k);
    json_decref(end.held_out);
    mem_free(newest);
    mem_free(saves);
    return rc;
}
