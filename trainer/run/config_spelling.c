/* config_spelling.c — one layer in canonical spelling: what users of other tools write becomes what the tables say. */
#include "trainer/base/mem.h"
#include "trainer/run/config_keys.h"
#include "trainer/run/config_tree.h"
#include <string.h>

enum { N_SHOWN = 64 };

Status config_check_ratio(const ConfigTree *t, const Yaml *y)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], shown[N_SHOWN];
    double x = 0;
    if (y->kind != YAML_TEXT || y->quoted)
        return ST_OK; /* refused later, with the type that is expected */
    const bool number = opt_read_number(y->text, &x) == ST_OK;
    status_clear();
    CHECK(!number || (x >= 0 && x < 1), CONFIG,
          "%swarmup_ratio: found %s, expected a share below 1 (warmup_steps counts steps)",
          config_place(t, y, place, sizeof place), yaml_printable(y->text, shown, sizeof shown));
out:
    return rc;
}

static Status canonical_key(const ConfigTree *t, Yaml *map, Yaml *y, const char *block)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const char *key = key_canonical(block, y->key);
    if (!*block && strcmp(y->key, "warmup_ratio") == 0) TRY(config_check_ratio(t, y));
    if ((!*block || strcmp(block, "trainable") == 0) && y->kind == YAML_TEXT) {
        const char *word = key_value(y->key, y->text);
        char *copy = word != y->text ? mem_strdup(word) : NULL;
        CHECK(word == y->text || copy, NOMEM, "config: no memory for a value");
        if (copy) {
            mem_free(y->text);
            y->text = copy;
        }
    }
    if (key != y->key) {
        const Yaml *twin = yaml_find(map, key);
        CHECK(!twin, CONFIG,
              "%s%s: found another spelling of %s, which line %d sets too, expected one of them",
              config_place(t, y, place, sizeof place), y->key, key, twin->line);
        char *copy = mem_strdup(key);
        CHECK(copy, NOMEM, "config: no memory for a key");
        mem_free(y->key);
        y->key = copy;
    }
out:
    return rc;
}

static Status canonical_map(const ConfigTree *t, Yaml *map, const char *block)
{
    Status rc = ST_OK;
    if (map->kind != YAML_MAP) return ST_OK;
    for (Yaml *y = map->first; y; y = y->next) TRY(canonical_key(t, map, y, block));
out:
    return rc;
}

/* An entry of a list that is only a path, or a kind, becomes {path: ...}, {kind: ...}. */
static Status canonical_entry(const ConfigTree *t, Yaml *list, const char *block, const char *only,
                              Yaml **entry)
{
    Status rc = ST_OK;
    Yaml *map = NULL, *text = *entry;
    if (text->kind != YAML_TEXT) return canonical_map(t, text, block);
    map = yaml_create(YAML_MAP, text->source);
    CHECK(map, NOMEM, "config: no memory for an entry");
    map->line = text->line;
    char *key = mem_strdup(only);
    CHECK(key, NOMEM, "config: no memory for an entry");
    Yaml *copy = yaml_create(YAML_TEXT, text->source);
    if (!copy) mem_free(key);
    CHECK(copy, NOMEM, "config: no memory for an entry");
    copy->key = key;
    copy->line = text->line;
    copy->quoted = text->quoted;
    copy->text = text->text;
    text->text = NULL;
    yaml_append(map, copy);
    yaml_replace(list, text, map);
    *entry = map;
    map = NULL;
out:
    yaml_destroy(map);
    return rc;
}

Status config_canonical(const ConfigTree *t, Yaml *root)
{
    static const struct {
        const char *list, *block, *only;
    } LISTS[] = {{"datasets", "datasets", "path"},
                 {"eval_datasets", "datasets", "path"},
                 {"trainable", "trainable", "kind"}};
    Status rc = ST_OK;
    TRY(canonical_map(t, root, ""));
    Yaml *model = yaml_find(root, "model");
    if (model) TRY(canonical_map(t, model, "model"));
    for (int64_t i = 0; i < N_OF(LISTS); i++) {
        Yaml *list = yaml_find(root, LISTS[i].list);
        if (!list || list->kind != YAML_LIST) continue;
        for (Yaml *entry = list->first; entry; entry = entry->next)
            TRY(canonical_entry(t, list, LISTS[i].block, LISTS[i].only, &entry));
    }
out:
    return rc;
}
