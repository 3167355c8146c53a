/* branch_from.c — LINE@POINT, looked up in line.json and on disk. */
#include "trainer/run/branch_from.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/config_keys.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void branch_from_close(BranchFrom *b)
{
    if (!b) return;
    config_destroy(b->cfg);
    line_destroy(b->line);
    mem_free(b);
}

static bool is_point(const Line *line, const char *dir)
{
    char *path = path_join(line->dir, dir);
    const bool is = path && ckpt_is(path);
    mem_free(path);
    return is;
}

static Status find_by_name(BranchFrom *b, const LineVersion *v)
{
    Status rc = ST_OK;
    CHECK(!v->branch_from[0], DATA, "%s: %s is a branch itself, it has no branch point",
          b->line->dir, v->name);
    CHECK(v->branch_point.dir[0] && is_point(b->line, v->branch_point.dir), DATA,
          "%s: %s has not come to its branch point yet: run its config first", b->line->dir,
          v->name);
    b->of = v;
    b->step = v->branch_step;
    snprintf(b->point, sizeof b->point, "%s", v->branch_point.dir);
out:
    return rc;
}

/* A main checkpoint at the border of two versions belongs to the data that follows. */
static Status find_by_step(BranchFrom *b, const char *text)
{
    Status rc = ST_OK;
    char *end = NULL;
    const int64_t step = strtoll(text, &end, 10);
    CHECK(*text >= '0' && *text <= '9' && *end == '\0', DATA,
          "%s: \"%s\" is neither a version of the line nor a step", b->line->dir, text);
    for (int64_t i = 0; i < b->line->n_version; i++) {
        const LineVersion *v = &b->line->version[i];
        if (!v->branch_from[0] && v->first_step <= step && step < v->end_step) b->of = v;
    }
    CHECK(b->of, DATA, "%s: no version of the line trains from step %lld on", b->line->dir,
          LL(step));
    snprintf(b->point, sizeof b->point, "main/step-%06lld", LL(step));
    if (!is_point(b->line, b->point) && step == b->of->branch_step)
        snprintf(b->point, sizeof b->point, "branch-points/%s", b->of->name);
    CHECK(is_point(b->line, b->point), DATA,
          "%s: the main path has no checkpoint at step %lld; the branch point of %s is at step "
          "%lld",
          b->line->dir, LL(step), b->of->name, LL(b->of->branch_step));
    b->step = step;
out:
    return rc;
}

Status branch_from_open(const char *where, BranchFrom **out)
{
    Status rc = ST_OK;
    const char *point = strrchr(where, '@') + 1; /* the config has checked that it is there */
    char *dir = mem_printf("%.*s", (int)(point - 1 - where), where), *file = NULL;
    BranchFrom *b = mem_alloc(sizeof *b);
    CHECK(b && dir, NOMEM, "branch_from: %s", where);
    TRY(line_load(dir, &b->line));
    CHECK(b->line->n_version > 0, DATA, "branch_from: %s is no line (it has no line.json)", dir);
    CHECK(strcmp(b->line->paradigm, "path_switching") == 0, CONFIG,
          "branch_from: %s is a line of paradigm %s, it has no main path to branch from", dir,
          b->line->paradigm);
    const LineVersion *v = line_find(b->line, point);
    TRY(v ? find_by_name(b, v) : find_by_step(b, point));
    file = mem_printf("%s/%s/config.yaml", dir, b->of->name);
    CHECK(file, NOMEM, "config of %s", b->of->name);
    TRY(config_load(file, 0, NULL, &b->cfg));
    *out = b;
    b = NULL;
out:
    branch_from_close(b);
    mem_free(dir);
    mem_free(file);
    return rc;
}

/* What a further branch has of its own. */
static const char *const OWN_KEYS[] = {
    "version", "follows",      "branch_from",  "init_from",    "decay_fraction",   "decay_shape",
    "min_lr",  "min_lr_ratio", "branch_beta2", "average_main", "average_fraction", "average_every",
};

static Status comparable(const RunConfig *cfg, bool with_data, json_t **json)
{
    Status rc = ST_OK;
    TRY(config_to_json(cfg, json));
    for (int64_t i = 0; i < N_OF(OWN_KEYS); i++) json_object_del(*json, OWN_KEYS[i]);
    if (!with_data) json_object_del(*json, "datasets");
out:
    return rc;
}

Status branch_from_check(const BranchFrom *b, const RunConfig *cfg)
{
    Status rc = ST_OK;
    json_t *then = NULL, *now = NULL;
    char *differ = NULL;
    const bool with_data = cfg->n_dataset > 0;
    TRY(comparable(b->cfg, with_data, &then));
    TRY(comparable(cfg, with_data, &now));
    for (const KeyNeed *need = KEY_NEEDS; need->key && !with_data; need++)
        if (strcmp(need->selector, "datasets") == 0 && !json_object_get(then, need->key))
            json_object_del(now,
                            need->key); /* its data, those of the version, have no use for it */
    TRY(config_diff(then, now, &differ));
    CHECK(!differ, CONFIG,
          "%s branches from %s and may decay in its own way, but has other options: %s",
          cfg->version, b->of->name, differ);
out:
    mem_free(differ);
    json_decref(then);
    json_decref(now);
    return rc;
}
