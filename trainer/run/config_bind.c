/* config_bind.c — first the words that choose tables (optim, lr_scheduler_type), then every key into its table. */
#include "trainer/run/config_bind.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <stdio.h>
#include <string.h>

enum { N_SHOWN = 64 };

void config_groups(const RunConfig *cfg, OptGroup group[CONFIG_N_GROUP])
{
    RunConfig *c = (RunConfig *)cfg;
    const OptGroup all[CONFIG_N_GROUP] = {
        {RUN_OPTS, c},
        {PACK_OPTS, &c->pack},
        {SCHED_COMMON_OPTS, c->sched_opts},
        {c->sched_def->opts, c->sched_opts},
        {OPTIM_COMMON_OPTS, &c->optim_common},
        {c->optim_def->opts, c->optim_opts},
    };
    memcpy(group, all, sizeof all);
}

const OptSpec *config_find(const RunConfig *cfg, const char *key, void **at)
{
    OptGroup group[CONFIG_N_GROUP];
    config_groups(cfg, group);
    for (int i = 0; i < CONFIG_N_GROUP; i++) {
        const OptSpec *spec = opt_find(group[i].opts, key);
        if (!spec) continue;
        *at = group[i].at;
        return spec;
    }
    return NULL;
}

const char *config_text(const RunConfig *cfg, const char *key, char *buf, size_t n_buf)
{
    void *at;
    const OptSpec *spec = config_find(cfg, key, &at);
    *buf = '\0';
    if (spec) opt_print(spec, at, buf, n_buf);
    return buf;
}

double opt_number(const OptSpec *spec, const void *opts)
{
    const void *at = (const char *)opts + spec->offset;
    if (spec->type == OPT_F64_T) return *(const double *)at;
    if (spec->type == OPT_BOOL_T) return *(const bool *)at;
    return (double)*(const int64_t *)at;
}

bool opt_is_unset(const OptSpec *spec, const void *opts)
{
    if (opt_is_text(spec)) return *(const char *const *)((const char *)opts + spec->offset) == NULL;
    const bool may = spec->def_num < spec->lo || spec->def_num > spec->hi;
    return may && opt_number(spec, opts) == spec->def_num;
}

/* ---- one option --------------------------------------------------------------------------------------------- */

static const char *expected(const OptSpec *spec)
{
    switch (spec->type) {
    case OPT_I64_T:
    case OPT_COUNT_T:
        return "a whole number";
    case OPT_F64_T:
        return "a number";
    case OPT_BOOL_T:
        return "true or false";
    case OPT_ENUM_T:
        return spec->choices;
    case OPT_LIST_T:
        return "a text or a list of texts";
    default:
        return "a text";
    }
}

/* A list of texts gets what a LIST field holds as its text. */
static Status join_items(Yaml *y, const char *place, const char *key)
{
    Status rc = ST_OK;
    char *joined = NULL;
    CHECK(y->first, CONFIG, "%s%s: found an empty list, expected a text at least", place, key);
    for (const Yaml *item = y->first; item; item = item->next) {
        CHECK(item->kind == YAML_TEXT, CONFIG, "%s%s: found %s, expected a list of texts", place,
              key, yaml_kind_name(item));
        CHECK(!strchr(item->text, '\n'), CONFIG, "%s%s: found a text of two lines in the list",
              place, key);
        char *longer = mem_printf("%s%s%s", joined ? joined : "", joined ? "\n" : "", item->text);
        mem_free(joined);
        CHECK(joined = longer, NOMEM, "config: no memory for %s", key);
    }
    mem_free(y->text);
    y->text = joined;
    joined = NULL;
out:
    mem_free(joined);
    return rc;
}

static Status resolve_path(const ConfigTree *t, Yaml *y)
{
    Status rc = ST_OK;
    char *path = config_path_below(t->source[y->source].dir, y->text);
    CHECK(path, NOMEM, "config: no memory for a path");
    mem_free(y->text);
    y->text = path;
out:
    return rc;
}

/* Of keys that take a name as well as a path. */
static bool may_be_path(const char *block, const Yaml *y)
{
    const char *dot = strrchr(y->text, '.');
    if (*block || (strcmp(y->key, "tokenizer") != 0 && strcmp(y->key, "chat_template") != 0))
        return false;
    return strchr(y->text, '/') || (dot && strcmp(dot, ".jinja") == 0);
}

Status config_bind_option(const ConfigTree *t, Yaml *y, const char *block, const char *name,
                          const OptSpec *spec, void *opts)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    config_place(t, y, place, sizeof place);
    const bool is_list = spec->type == OPT_LIST_T && y->kind == YAML_LIST;
    if (is_list) TRY(join_items(y, place, name));
    CHECK(is_list || y->kind == YAML_TEXT, CONFIG, "%s%s: found %s, expected %s", place, name,
          yaml_kind_name(y), expected(spec));
    CHECK(*y->text, CONFIG, "%s%s: found no value, expected %s (or leave the key out)", place, name,
          expected(spec));
    CHECK(y->quoted || (strcmp(y->text, "null") != 0 && strcmp(y->text, "~") != 0), CONFIG,
          "%s%s: found %s, expected %s (or leave the key out)", place, name, y->text,
          expected(spec));
    CHECK(spec->type == OPT_STR_T || spec->type == OPT_LIST_T || strlen(y->text) <= N_SHOWN, CONFIG,
          "%s%s: found a text of %zu bytes, expected %s", place, name, strlen(y->text),
          expected(spec));
    if (key_is_path(block, y->key) || may_be_path(block, y)) TRY(resolve_path(t, y));
    const int64_t n = (int64_t)strlen(y->text);
    CHECK(utf8_check(y->text, n) == n, CONFIG, "%s%s: found bytes that are no UTF-8, expected text",
          place, name);
    rc = opt_set(spec, opts, y->text, y->quoted);
    TRY(config_refuse(rc, place, name));
out:
    return rc;
}

/* ---- blocks and lists ------------------------------------------------------------------------------------------ */

static Status bind_block(const RunConfig *cfg, Yaml *map, const char *block, const char *name,
                         const OptSpec *opts, void *at)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], full[2 * N_SHOWN], shown[N_SHOWN];
    CHECK(map->kind == YAML_MAP, CONFIG, "%s%s: found %s, expected keys with values",
          config_place(cfg->tree, map, place, sizeof place), name, yaml_kind_name(map));
    for (Yaml *y = map->first; y; y = y->next) {
        const OptSpec *spec = opt_find(opts, y->key);
        snprintf(full, sizeof full, "%s.%s", name, yaml_printable(y->key, shown, sizeof shown));
        TRY(spec ? config_bind_option(cfg->tree, y, block, full, spec, at)
                 : config_refuse_unknown(cfg, y, block, full));
    }
out:
    return rc;
}

static Status bind_datasets(const RunConfig *cfg, Yaml *list, DatasetOpts **sets, int64_t *n)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], name[N_SHOWN];
    CHECK(list->kind == YAML_LIST, CONFIG,
          "%s%s: found %s, expected a list (\"%s: [{path: ...}]\")",
          config_place(cfg->tree, list, place, sizeof place), list->key, yaml_kind_name(list),
          list->key);
    CHECK(*sets = mem_array(list->n, sizeof **sets), NOMEM, "config: %lld datasets", LL(list->n));
    for (Yaml *entry = list->first; entry; entry = entry->next) {
        snprintf(name, sizeof name, "%s.%lld", list->key, LL(*n));
        opt_set_defaults(DATASET_OPTS, *sets + *n);
        TRY(bind_block(cfg, entry, "datasets", name, DATASET_OPTS, *sets + (*n)++));
    }
out:
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* A top-level text that must be known before the tables are; `unset` when the user does not give it. */
static Status early_text(const ConfigTree *t, const char *key, const char *unset, const char **text)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const Yaml *y = yaml_find(t->root, key);
    CHECK(!y || (y->kind == YAML_TEXT && *y->text), CONFIG, "%s%s: found %s, expected a name",
          config_place(t, y, place, sizeof place), key,
          y->kind == YAML_TEXT ? "no value" : yaml_kind_name(y));
    *text = y ? y->text : unset;
out:
    return rc;
}

static Status refuse_word(const ConfigTree *t, Choice c, const char *word)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE] = "", shown[N_SHOWN], words[256];
    const Yaml *y = yaml_find(t->root, choice_key(c));
    if (y) config_place(t, y, place, sizeof place);
    CHECK(false, CONFIG, "%s%s: found \"%s\", expected one of %s", place, choice_key(c),
          yaml_printable(word, shown, sizeof shown),
          choice_words(c, NULL, ',', words, sizeof words));
out:
    return rc;
}

static Status choose_tables(RunConfig *cfg)
{
    Status rc = ST_OK;
    const char *version = NULL, *paradigm = NULL;
    TRY(early_text(cfg->tree, "version", NULL, &version));
    TRY(early_text(cfg->tree, "paradigm", version ? "path_switching" : "plain", &paradigm));
    cfg->paradigm = paradigm;
    const bool switching = strcmp(paradigm, "path_switching") == 0;
    TRY(early_text(cfg->tree, "lr_scheduler_type", switching ? "path_switching" : "cosine",
                   &cfg->lr_scheduler_type));
    TRY(early_text(cfg->tree, "optim", cfg->optim, &cfg->optim));
    cfg->sched_def = sched_find(cfg->lr_scheduler_type);
    if (!cfg->sched_def) TRY(refuse_word(cfg->tree, CHOICE_SCHED, cfg->lr_scheduler_type));
    cfg->optim_def = optim_find(cfg->optim);
    if (!cfg->optim_def) TRY(refuse_word(cfg->tree, CHOICE_OPTIM, cfg->optim));
    CHECK(cfg->sched_opts = mem_alloc(cfg->sched_def->opts_size), NOMEM, "config: %zu bytes",
          cfg->sched_def->opts_size);
    CHECK(cfg->optim_opts = mem_alloc(cfg->optim_def->opts_size), NOMEM, "config: %zu bytes",
          cfg->optim_def->opts_size);
out:
    return rc;
}

static Status bind_key(RunConfig *cfg, Yaml *y, bool *stale)
{
    Status rc = ST_OK;
    void *at = NULL;
    *stale = false;
    if (strcmp(y->key, "model") == 0)
        return bind_block(cfg, y, "model", "model", MODEL_OPTS, &cfg->model);
    if (strcmp(y->key, "datasets") == 0)
        return bind_datasets(cfg, y, &cfg->datasets, &cfg->n_dataset);
    if (strcmp(y->key, "eval_datasets") == 0)
        return bind_datasets(cfg, y, &cfg->eval_datasets, &cfg->n_eval_dataset);
    if (strcmp(y->key, "trainable") == 0) return ST_OK; /* read before all others */
    const OptSpec *spec = config_find(cfg, y->key, &at);
    TRY(spec ? config_bind_option(cfg->tree, y, "", y->key, spec, at)
             : config_refuse_or_leave(cfg, y, stale));
out:
    return rc;
}

Status config_bind(RunConfig *cfg)
{
    Status rc = ST_OK;
    OptGroup group[CONFIG_N_GROUP];
    Yaml *root = cfg->tree->root;
    bool stale;
    opt_set_defaults(RUN_OPTS, cfg);
    opt_set_defaults(MODEL_OPTS, &cfg->model);
    TRY(choose_tables(cfg));
    config_groups(cfg, group);
    for (int i = 1; i < CONFIG_N_GROUP; i++) opt_set_defaults(group[i].opts, group[i].at);
    TRY(config_fold_adapter(cfg));
    TRY(config_fold_methods(cfg));
    TRY(config_bind_methods(cfg, yaml_find(root, "trainable")));
    for (Yaml *y = root->first, *next; y; y = next) {
        next = y->next;
        TRY(bind_key(cfg, y, &stale));
        if (stale) yaml_destroy(yaml_detach(root, y));
    }
    cfg->finetuning_type = NULL;
out:
    return rc;
}
