/* config_unknown.c — keys no table in force has: what was meant, or which choice they belong to. */
#include "trainer/run/config_bind.h"
#include <stdio.h>
#include <string.h>

enum { N_SHOWN = 64 };

typedef struct Nearest {
    const char *key, *name; /* name: NULL while nothing is near */
    int distance;
} Nearest;

static void consider(Nearest *n, const char *name)
{
    const int d = opt_edit_distance(n->key, name);
    if (d >= n->distance) return;
    n->distance = d;
    n->name = name;
}

static void consider_all(Nearest *n, const OptSpec *opts)
{
    for (const OptSpec *s = opts; s->type != OPT_END_T; s++) consider(n, s->name);
}

static const char *nearest_key(const RunConfig *cfg, const char *block, const char *key)
{
    static const char *const BLOCKS[] = {"model", "datasets", "eval_datasets", "extends"};
    OptGroup group[CONFIG_N_GROUP];
    Nearest n = {.key = key,
                 .distance = 2 + (int)strlen(key) / 4}; /* farther away it is another word */
    config_groups(cfg, group);
    if (strcmp(block, "model") == 0) consider_all(&n, MODEL_OPTS);
    if (strcmp(block, "datasets") == 0) consider_all(&n, DATASET_OPTS);
    for (int i = 0; i < CONFIG_N_GROUP && !*block; i++) consider_all(&n, group[i].opts);
    for (int64_t i = 0; i < N_OF(BLOCKS) && !*block; i++) consider(&n, BLOCKS[i]);
    for (const KeyAlias *a = KEY_ALIASES; a->spelling; a++)
        if (strcmp(a->block, block) == 0) consider(&n, a->spelling);
    return n.name;
}

Status config_refuse_unknown(const RunConfig *cfg, const Yaml *y, const char *block,
                             const char *name)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], shown[N_SHOWN], in[N_SHOWN] = "";
    void *at;
    const char *near = nearest_key(cfg, block, y->key),
               *foreign = *block ? NULL : key_foreign(y->key);
    config_place(cfg->tree, y, place, sizeof place);
    yaml_printable(name, shown, sizeof shown);
    if (*block) snprintf(in, sizeof in, " in %s", block);
    CHECK(!foreign, CONFIG, "%s%s: %s", place, shown, foreign);
    CHECK(*block || !opt_find(MODEL_OPTS, y->key), CONFIG,
          "%s%s: belongs into the block model:", place, shown);
    CHECK(*block || !opt_find(DATASET_OPTS, y->key), CONFIG,
          "%s%s: belongs into an entry of datasets:", place, shown);
    CHECK(!*block || !config_find(cfg, y->key, &at), CONFIG,
          "%s%s: belongs to the top level, for the whole run", place, shown);
    CHECK(!near, CONFIG, "%s%s: unknown key%s, did you mean %s?", place, shown, in, near);
    CHECK(false, CONFIG, "%s%s: unknown key%s (`trainer schema --markdown` lists all)", place,
          shown, in);
out:
    return rc;
}

void config_owners(const char *key, bool schedules, char *buf, size_t n_buf)
{
    int64_t n = 0;
    const SchedDef *const *sched = sched_all(&n);
    const OptimDef *const *optim = schedules ? NULL : optim_all(&n);
    *buf = '\0';
    for (int64_t i = 0; i < n; i++) {
        if (key && !opt_find(schedules ? sched[i]->opts : optim[i]->opts, key)) continue;
        const size_t used = strlen(buf);
        snprintf(buf + used, n_buf - used, "%s%s", used ? ", " : "",
                 schedules ? sched[i]->name : optim[i]->name);
    }
}

int config_strength(const RunConfig *cfg, const char *key)
{
    static const char *const DERIVED[][2] = {{"lr_scheduler_type", "paradigm"},
                                             {"paradigm", "version"}};
    const Yaml *y = yaml_find(cfg->tree->root, key);
    if (y) return y->source;
    for (int64_t i = 0; i < N_OF(DERIVED); i++)
        if (strcmp(DERIVED[i][0], key) == 0) return config_strength(cfg, DERIVED[i][1]);
    return cfg->tree->n_source;
}

Status config_refuse_or_leave(const RunConfig *cfg, const Yaml *y, bool *stale)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], names[256];
    *stale = false;
    for (int schedules = 0; schedules < 2; schedules++) {
        config_owners(y->key, schedules, names, sizeof names);
        if (!*names) continue;
        *stale = config_strength(cfg, schedules ? "lr_scheduler_type" : "optim") < y->source;
        if (*stale) goto out;
        CHECK(false, CONFIG, "%s%s: belongs to %s: %s, this run has %s: %s",
              config_place(cfg->tree, y, place, sizeof place), y->key,
              schedules ? "lr_scheduler_type" : "optim", names,
              schedules ? "lr_scheduler_type" : "optim",
              schedules ? cfg->lr_scheduler_type : cfg->optim);
    }
    TRY(config_refuse_unknown(cfg, y, "", y->key));
out:
    return rc;
}
