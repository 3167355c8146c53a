/* config.c — layers -> tree -> structs -> checked and resolved. */
#include "trainer/run/config.h"
#include "trainer/base/mem.h"
#include "trainer/run/config_bind.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status load(const char *path, const char *text, size_t n, int n_override,
                   const char *const *override, RunConfig **out_cfg)
{
    Status rc = ST_OK;
    RunConfig *cfg = mem_alloc(sizeof *cfg);
    *out_cfg = NULL;
    CHECK(cfg, NOMEM, "config: %zu bytes", sizeof *cfg);
    TRY(config_tree_create(path, text, n, n_override, override, &cfg->tree));
    TRY(config_bind(cfg));
    TRY(config_check(cfg));
    *out_cfg = cfg;
    cfg = NULL;
out:
    config_destroy(cfg);
    return rc;
}

Status config_load(const char *path, int n_override, const char *const *override, RunConfig **cfg)
{
    return load(path, NULL, 0, n_override, override, cfg);
}

Status config_parse(const char *name, const char *text, size_t n, int n_override,
                    const char *const *override, RunConfig **cfg)
{
    return load(name, text, n, n_override, override, cfg);
}

Status config_from_json(const json_t *resolved, RunConfig **cfg)
{
    Status rc = ST_OK;
    char *text = json_dumps(resolved, JSON_INDENT(1)); /* JSON is YAML, once it has lines */
    CHECK(text, NOMEM, "config: no memory for the stored config");
    TRY(config_parse("stored config", text, strlen(text), 0, NULL, cfg));
out:
    free(text);
    return rc;
}

void config_destroy(RunConfig *cfg)
{
    if (!cfg) return;
    mem_free(cfg->sched_opts);
    mem_free(cfg->optim_opts);
    mem_free(cfg->datasets);
    mem_free(cfg->eval_datasets);
    for (int64_t i = 0; i < cfg->n_method; i++) mem_free(cfg->methods[i].opts);
    mem_free(cfg->methods);
    config_tree_destroy(cfg->tree);
    mem_free(cfg);
}

bool config_is_set(const RunConfig *cfg, const char *key)
{
    return config_tree_find(cfg->tree, key) != NULL;
}

bool config_reports_to(const RunConfig *cfg, const char *sink)
{
    return opt_list_has(cfg->report_to, sink);
}

Status config_unread(const RunConfig *cfg, const char *key, const char *why)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const Yaml *y = config_tree_find(cfg->tree, key);
    CHECK(!y, CONFIG, "%s%s: is set but never read: %s",
          config_place(cfg->tree, y, place, sizeof place), key, why);
out:
    return rc;
}
