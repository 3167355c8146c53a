/* config_methods.c — what is trained: entries of trainable:, or finetuning_type with its options at the top. */
#include "trainer/base/mem.h"
#include "trainer/run/config_bind.h"
#include <stdio.h>
#include <string.h>

enum { N_SHOWN = 64 };

static Status find_method(const ConfigTree *t, const Yaml *y, const char *name,
                          const MethodDef **def)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], shown[N_SHOWN], words[256];
    config_place(t, y, place, sizeof place);
    choice_words(CHOICE_METHOD, NULL, ',', words, sizeof words);
    CHECK(y->kind == YAML_TEXT && *y->text, CONFIG, "%s%s: found %s, expected one of %s", place,
          name, y->kind == YAML_TEXT ? "no value" : yaml_kind_name(y), words);
    *def = method_find(y->text);
    CHECK(*def, CONFIG, "%s%s: found \"%s\", expected one of %s", place, name,
          yaml_printable(y->text, shown, sizeof shown), words);
out:
    return rc;
}

Status config_fold_methods(RunConfig *cfg)
{
    Status rc = ST_OK;
    Yaml *root = cfg->tree->root, *entry = NULL, *list = NULL;
    Yaml *type = yaml_find(root, "finetuning_type"), *other = yaml_find(root, "trainable");
    char place[CONFIG_N_PLACE], there[CONFIG_N_PLACE];
    const MethodDef *def;
    cfg->finetuning_type = NULL;
    if (!type) goto out;
    CHECK(!other, CONFIG, "%sfinetuning_type: found beside %strainable, expected one of the two",
          config_place(cfg->tree, type, place, sizeof place),
          config_place(cfg->tree, other, there, sizeof there));
    TRY(find_method(cfg->tree, type, "finetuning_type", &def));
    CHECK(list = yaml_create(YAML_LIST, type->source), NOMEM, "config: no memory for trainable");
    CHECK(entry = yaml_create(YAML_MAP, type->source), NOMEM, "config: no memory for trainable");
    list->line = entry->line = type->line;
    CHECK(list->key = mem_strdup("trainable"), NOMEM, "config: no memory for trainable");
    for (Yaml *y = root->first, *next; y; y = next) {
        next = y->next;
        if (y == type || opt_find(def->opts, y->key)) yaml_append(entry, yaml_detach(root, y));
    }
    mem_free(type->key);
    CHECK(type->key = mem_strdup("kind"), NOMEM, "config: no memory for trainable");
    cfg->finetuning_type = type->text;
    yaml_append(list, entry);
    yaml_append(root, list);
    list = entry = NULL;
out:
    yaml_destroy(entry);
    yaml_destroy(list);
    return rc;
}

static Status bind_entry(const RunConfig *cfg, Yaml *entry, const char *name, MethodSpec *spec)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], full[2 * N_SHOWN], shown[N_SHOWN], words[256];
    config_place(cfg->tree, entry, place, sizeof place);
    CHECK(entry->kind == YAML_MAP, CONFIG, "%s%s: found %s, expected keys with values", place, name,
          yaml_kind_name(entry));
    const Yaml *kind = yaml_find(entry, "kind");
    CHECK(kind, CONFIG, "%s%s: has no kind, expected kind: and one of %s", place, name,
          choice_words(CHOICE_METHOD, NULL, ',', words, sizeof words));
    snprintf(full, sizeof full, "%s.kind", name);
    TRY(find_method(cfg->tree, kind, full, &spec->def));
    CHECK(spec->opts = mem_alloc(spec->def->opts_size), NOMEM, "config: %zu bytes",
          spec->def->opts_size);
    opt_set_defaults(spec->def->opts, spec->opts);
    for (Yaml *y = entry->first; y; y = y->next) {
        const OptSpec *opt = opt_find(spec->def->opts, y->key);
        const bool flat = cfg->finetuning_type != NULL; /* as the user wrote it */
        snprintf(full, sizeof full, "%s%s%s", flat ? "" : name, flat ? "" : ".",
                 yaml_printable(y->key, shown, sizeof shown));
        if (y == kind) continue;
        if (opt) {
            TRY(config_bind_option(cfg->tree, y, "trainable", full, opt, spec->opts));
            continue;
        }
        CHECK(!*choice_words(CHOICE_METHOD, y->key, ',', words, sizeof words), CONFIG,
              "%s%s: belongs to kind: %s, this entry has kind: %s",
              config_place(cfg->tree, y, place, sizeof place), full, words, kind->text);
        TRY(config_refuse_unknown(cfg, y, "trainable", full));
    }
out:
    return rc;
}

/* What is said by saying nothing is not said: everything is trained. */
static void drop_full(RunConfig *cfg)
{
    const bool full = cfg->n_method == 1 && strcmp(cfg->methods[0].def->name, "full") == 0;
    if (!full) return;
    mem_free(cfg->methods[0].opts);
    cfg->n_method = 0;
}

Status config_bind_methods(RunConfig *cfg, const Yaml *list)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], name[N_SHOWN];
    if (!list) goto out;
    config_place(cfg->tree, list, place, sizeof place);
    CHECK(list->kind == YAML_LIST && list->n > 0, CONFIG,
          "%strainable: found %s, expected a list (\"trainable: [{kind: lora, lora_r: 8}]\")",
          place, list->kind == YAML_LIST ? "an empty list" : yaml_kind_name(list));
    CHECK(list->n <= METHODS_MAX, CONFIG, "%strainable: found %lld entries, expected at most %d",
          place, LL(list->n), METHODS_MAX);
    CHECK(cfg->methods = mem_array(list->n, sizeof *cfg->methods), NOMEM, "config: %lld methods",
          LL(list->n));
    for (Yaml *entry = list->first; entry; entry = entry->next) {
        snprintf(name, sizeof name, "trainable.%lld", LL(cfg->n_method));
        TRY(bind_entry(cfg, entry, name, &cfg->methods[cfg->n_method++]));
        const bool full = strcmp(cfg->methods[cfg->n_method - 1].def->name, "full") == 0;
        CHECK(!full || list->n == 1, CONFIG,
              "%s%s: kind: full trains every parameter, expected it alone",
              config_place(cfg->tree, entry, place, sizeof place), name);
    }
    drop_full(cfg);
out:
    return rc;
}

bool config_reads_segments(const RunConfig *cfg)
{
    for (int64_t i = 0; i < cfg->n_method; i++)
        if (cfg->methods[i].def->segments) return true;
    return false;
}

Status config_refuse_methods(const RunConfig *cfg, Status failed)
{
    char place[CONFIG_N_PLACE] = "";
    const Yaml *list = config_tree_find(cfg->tree, "trainable");
    if (list) config_place(cfg->tree, list, place, sizeof place);
    return config_refuse(failed, place, "");
}
