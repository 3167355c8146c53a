/* config_adapter.c — adapter_name_or_path: what a stored adapter trains, as entries of trainable:. */
#include "checkpoints/adapter.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/models/model_json.h"
#include "trainer/run/config_bind.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_NUMBER = 32, MAX_LAYER = 1024 };

/* ---- nodes ---- */

static Status put_text(Yaml *map, const char *key, const char *text)
{
    Status rc = ST_OK;
    Yaml *y = yaml_create(YAML_TEXT, map->source);
    CHECK(y, NOMEM, "config: no memory for %s", key ? key : "a text");
    y->line = map->line;
    y->key = key ? mem_strdup(key) : NULL;
    y->text = mem_strdup(text);
    CHECK(y->text && (y->key || !key), NOMEM, "config: no memory for %s", key ? key : "a text");
    yaml_append(map, y);
    y = NULL;
out:
    yaml_destroy(y);
    return rc;
}

static Status put_node(Yaml *parent, const char *key, YamlKind kind, Yaml **node)
{
    Status rc = ST_OK;
    Yaml *y = yaml_create(kind, parent->source);
    CHECK(y, NOMEM, "config: no memory for an entry");
    y->line = parent->line;
    y->key = key ? mem_strdup(key) : NULL;
    CHECK(y->key || !key, NOMEM, "config: no memory for %s", key);
    yaml_append(parent, y);
    *node = y;
    y = NULL;
out:
    yaml_destroy(y);
    return rc;
}

static Status put_word_once(Yaml *list, const char *text, size_t n)
{
    Status rc = ST_OK;
    char *word = mem_printf("%.*s", (int)n, text);
    CHECK(word, NOMEM, "config: no memory for a name");
    for (const Yaml *y = list->first; y; y = y->next)
        if (strcmp(y->text, word) == 0) goto out;
    TRY(put_text(list, NULL, word));
out:
    mem_free(word);
    return rc;
}

static Status put_number(Yaml *map, const char *key, double x)
{
    char text[N_NUMBER];
    snprintf(text, sizeof text, "%.17g", x);
    return put_text(map, key, text);
}

/* ---- layers ---- */

/* "model.layers.12.self_attn.q_proj": layer 12, rest "self_attn.q_proj"; -1: no part is a number. */
static int64_t split_module(const char *module, const char **rest)
{
    for (const char *part = module; part; part = strchr(part, '.')) {
        part += *part == '.';
        const size_t n = strspn(part, "0123456789");
        if (n == 0 || n > 4 || part[n] != '.') continue;
        *rest = part + n + 1;
        return strtoll(part, NULL, 10);
    }
    return -1;
}

static bool same_settings(const AdapterPair *p, const AdapterPair *q)
{
    return p->r == q->r && p->alpha == q->alpha && p->use_rslora == q->use_rslora;
}

/* "0-3,8" */
static Status put_layers(Yaml *entry, const bool *layer)
{
    Status rc = ST_OK;
    char *text = mem_strdup("");
    CHECK(text, NOMEM, "config: no memory for lora_layers");
    for (int first = 0; first < MAX_LAYER; first++) {
        int last = first;
        if (!layer[first]) continue;
        while (last + 1 < MAX_LAYER && layer[last + 1]) last++;
        char *longer = first == last ? mem_printf("%s%s%d", text, *text ? "," : "", first)
                                     : mem_printf("%s%s%d-%d", text, *text ? "," : "", first, last);
        mem_free(text);
        text = longer;
        CHECK(text, NOMEM, "config: no memory for lora_layers");
        first = last;
    }
    TRY(put_text(entry, "lora_layers", text));
out:
    mem_free(text);
    return rc;
}

/* The modules with the settings of pair `like`: a few names in some layers where that says it all, else every name. */
static Status put_targets(const Adapter *a, const AdapterPair *like, Yaml *entry)
{
    Status rc = ST_OK;
    bool layer[MAX_LAYER] = {false}, numbered = true;
    int64_t n = 0, n_layer = 0;
    Yaml *list = NULL;
    TRY(put_node(entry, "lora_target_modules", YAML_LIST, &list));
    for (int64_t i = 0; i < adapter_n_pair(a); i++) {
        const AdapterPair *p = adapter_pair_at(a, i);
        const char *rest = NULL;
        if (!same_settings(p, like)) continue;
        const int64_t at = split_module(p->module, &rest);
        numbered = numbered && at >= 0 && at < MAX_LAYER;
        n++;
        if (!numbered) continue;
        n_layer += !layer[at];
        layer[at] = true;
        TRY(put_word_once(list, rest, strlen(rest)));
    }
    if (numbered && list->n * n_layer == n) {
        TRY(put_layers(entry, layer));
        goto out;
    }
    yaml_destroy(yaml_detach(entry, list));
    TRY(put_node(entry, "lora_target_modules", YAML_LIST, &list));
    for (int64_t i = 0; i < adapter_n_pair(a); i++)
        if (same_settings(adapter_pair_at(a, i), like))
            TRY(put_text(list, NULL, adapter_pair_at(a, i)->module));
out:
    return rc;
}

/* ---- modules trained whole ---- */

/* A tied head is the table: it has no entry of its own. */
static Status put_whole(const Adapter *a, bool tied, Yaml *entry)
{
    Status rc = ST_OK;
    Yaml *list = NULL;
    for (int64_t i = 0; i < adapter_n_whole(a); i++) {
        const char *name = adapter_whole_at(a, i), *dot = strrchr(name, '.');
        if (tied && strcmp(name, "lm_head.weight") == 0) continue;
        if (!list) TRY(put_node(entry, "modules_to_save", YAML_LIST, &list));
        TRY(put_word_once(list, name, dot ? (size_t)(dot - name) : strlen(name)));
    }
out:
    return rc;
}

/* ---- the whole ---- */

static bool is_free_option(const char *key)
{
    return strcmp(key, "lora_dropout") == 0 || strcmp(key, "loraplus_lr_ratio") == 0;
}

/* Options of kind: lora at the top level: those of training alone stay the user's. */
static Status check_options(const RunConfig *cfg, const Yaml *adapter)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const Yaml *type = yaml_find(cfg->tree->root, "finetuning_type");
    CHECK(!type || (type->kind == YAML_TEXT && strcmp(type->text, "lora") == 0), CONFIG,
          "%sfinetuning_type: an adapter is trained as lora, expected that or nothing",
          config_place(cfg->tree, type, place, sizeof place));
    for (const Yaml *y = cfg->tree->root->first; y; y = y->next)
        CHECK(!opt_find(method_find("lora")->opts, y->key) || is_free_option(y->key), CONFIG,
              "%s%s: is what the adapter %s says: leave it out",
              config_place(cfg->tree, y, place, sizeof place), y->key, adapter->text);
out:
    return rc;
}

static Status put_entry(const Adapter *a, const AdapterPair *like, const Yaml *root, Yaml *list,
                        Yaml **entry)
{
    Status rc = ST_OK;
    TRY(put_node(list, NULL, YAML_MAP, entry));
    TRY(put_text(*entry, "kind", "lora"));
    TRY(put_number(*entry, "lora_r", (double)like->r));
    TRY(put_number(*entry, "lora_alpha", like->alpha));
    if (like->use_rslora) TRY(put_text(*entry, "use_rslora", "true"));
    for (const Yaml *y = root->first; y; y = y->next)
        if (y->kind == YAML_TEXT && is_free_option(y->key)) TRY(put_text(*entry, y->key, y->text));
    if (!yaml_find(root, "lora_dropout") && like->dropout > 0)
        TRY(put_number(*entry, "lora_dropout", like->dropout));
    TRY(put_targets(a, like, *entry));
out:
    return rc;
}

static Status put_entries(const Adapter *a, bool tied, Yaml *root, Yaml *list)
{
    Status rc = ST_OK;
    Yaml *entry = NULL;
    for (int64_t i = 0; i < adapter_n_pair(a); i++) {
        int64_t first = 0;
        while (!same_settings(adapter_pair_at(a, first), adapter_pair_at(a, i))) first++;
        if (first == i) TRY(put_entry(a, adapter_pair_at(a, i), root, list, &entry));
    }
    TRY(put_whole(a, tied, list->first));
out:
    return rc;
}

/* The base that the adapter names, where the config names none. */
static Status put_base(const Adapter *a, const char *dir, Yaml *root)
{
    Status rc = ST_OK;
    const char *base = adapter_base(a);
    char *path = NULL;
    if (yaml_find(root, "model_name_or_path") || yaml_find(root, "model")) goto out;
    path = base ? realpath(base, NULL) : NULL;
    CHECK(path, CONFIG,
          "%s: says its base is %s, which is no folder here: model_name_or_path has to name it",
          dir, base ? base : "(nothing)");
    TRY(put_text(root, "model_name_or_path", path));
out:
    free(path);
    return rc;
}

static Status base_is_tied(const ConfigTree *t, bool *tied)
{
    Status rc = ST_OK;
    ModelConfig sizes;
    char *path = NULL;
    const Yaml *y = yaml_find(t->root, "model_name_or_path");
    *tied = false;
    if (!y || y->kind != YAML_TEXT) goto out; /* refused later, where it has to be there */
    path = config_path_below(t->source[y->source].dir, y->text);
    CHECK(path, NOMEM, "config: no memory for a path");
    TRY(model_config_read(path, &sizes));
    *tied = sizes.tie_word_embeddings;
out:
    mem_free(path);
    return rc;
}

Status config_fold_adapter(RunConfig *cfg)
{
    Status rc = ST_OK;
    Yaml *root = cfg->tree->root, *list = NULL;
    const Yaml *y = yaml_find(root, "adapter_name_or_path");
    Adapter *a = NULL;
    char *dir = NULL, place[CONFIG_N_PLACE];
    bool tied;
    if (!y || y->kind != YAML_TEXT || yaml_find(root, "trainable")) goto out;
    dir = config_path_below(cfg->tree->source[y->source].dir, y->text);
    CHECK(dir, NOMEM, "config: no memory for a path");
    TRY(check_options(cfg, y));
    CHECK(adapter_is(dir), DATA,
          "%sadapter_name_or_path: %s holds no adapter_config.json; trainer export --to peft makes "
          "an "
          "adapter of a run",
          config_place(cfg->tree, y, place, sizeof place), dir);
    TRY(adapter_open(dir, &a));
    TRY(put_base(a, dir, root));
    TRY(base_is_tied(cfg->tree, &tied));
    TRY(put_node(root, "trainable", YAML_LIST, &list));
    list->line = y->line;
    TRY(put_entries(a, tied, root, list));
    for (Yaml *at = root->first, *next; at; at = next) {
        next = at->next;
        if (strcmp(at->key, "finetuning_type") == 0 || is_free_option(at->key))
            yaml_destroy(yaml_detach(root, at));
    }
out:
    adapter_close(a);
    mem_free(dir);
    return rc;
}
