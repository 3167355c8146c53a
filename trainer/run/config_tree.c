/* config_tree.c — files, what they extend, and the command line, merged from the weakest layer to the strongest. */
#include "trainer/run/config_tree.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/config_keys.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_SHOWN = 64 };

void config_tree_destroy(ConfigTree *t)
{
    if (!t) return;
    yaml_destroy(t->root);
    for (int i = 0; i < t->n_source; i++) {
        mem_free(t->source[i].name);
        mem_free(t->source[i].dir);
    }
    mem_free(t);
}

const char *config_place(const ConfigTree *t, const Yaml *at, char *buf, size_t n_buf)
{
    if (at->source == SOURCE_CLI)
        snprintf(buf, n_buf, "%s: ", t->source[SOURCE_CLI].name);
    else
        snprintf(buf, n_buf, "%s:%d: ", t->source[at->source].name, at->line);
    return buf;
}

Status config_refuse(Status failed, const char *place, const char *key)
{
    char why[768];
    if (failed == ST_OK || failed == ST_NOMEM) return failed;
    yaml_printable(status_message(), why, sizeof why);
    status_clear();
    return status_fail(ST_CONFIG, __FILE__, __LINE__, "%s%s%s%s", place, key, *key ? ": " : "",
                       why);
}

char *config_path_below(const char *dir, const char *value)
{
    size_t n = strlen(dir);
    if (*value == '/') return mem_strdup(value);
    for (;;) {
        if (strncmp(value, "./", 2) == 0) {
            value += 2;
        } else if (n > 1 && (strncmp(value, "../", 3) == 0 || strcmp(value, "..") == 0)) {
            value += value[2] ? 3 : 2;
            while (n > 1 && dir[n - 1] != '/')
                n--; /* dir has no links: its parent is its name cut */
            if (n > 1) n--;
        } else {
            return mem_printf("%.*s%s%s", (int)n, dir, n > 1 && *value ? "/" : "", value);
        }
    }
}

/* Registers a source; `dir` NULL is the working directory. */
static Status add_source(ConfigTree *t, const char *name, const char *dir)
{
    Status rc = ST_OK;
    char whole[PATH_MAX];
    const int i = t->n_source++;
    CHECK(realpath(dir ? dir : ".", whole), CONFIG, "%s: its directory cannot be found", name);
    t->source[i].name = mem_strdup(name);
    t->source[i].dir = mem_strdup(whole);
    CHECK(t->source[i].name && t->source[i].dir, NOMEM, "config: no memory for a name");
out:
    return rc;
}

/* ---- merging ------------------------------------------------------------------------------------------------ */

/* A later layer that says max_tokens takes back an earlier layer's max_steps. */
static void drop_rivals(Yaml *root, const char *key, int source)
{
    const char *const *rivals = key_rivals(key);
    for (; rivals && *rivals; rivals++) {
        Yaml *y = yaml_find(root, *rivals);
        if (y && y->source > source) yaml_destroy(yaml_detach(root, y));
    }
}

/* Moves the entries of `layer` into `base`: maps are merged, everything else is replaced. */
static void merge(Yaml *base, Yaml *layer, bool is_root)
{
    while (layer->first) {
        Yaml *y = yaml_detach(layer, layer->first);
        if (is_root) drop_rivals(base, y->key, y->source);
        Yaml *old = yaml_find(base, y->key);
        if (old && old->kind == YAML_MAP && y->kind == YAML_MAP) {
            merge(old, y, false);
            yaml_destroy(y);
        } else if (old) {
            yaml_replace(base, old, y);
        } else {
            yaml_append(base, y);
        }
    }
}

/* Takes `extends: other.yaml` out of a layer; *path is NULL when it is not there. */
static Status take_extends(ConfigTree *t, Yaml *root, char **path)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    char *parent = NULL;
    Yaml *y = yaml_find(root, "extends");
    *path = NULL;
    if (!y) goto out;
    CHECK(y->kind == YAML_TEXT && *y->text, CONFIG,
          "%sextends: found %s, expected the path of one file",
          config_place(t, y, place, sizeof place),
          y->kind == YAML_TEXT ? "nothing" : yaml_kind_name(y));
    parent = path_parent(t->source[y->source].name);
    CHECK(parent, NOMEM, "config: no memory for a path");
    *path = strcmp(parent, ".") == 0 ? mem_strdup(y->text) : path_join(parent, y->text);
    CHECK(*path, NOMEM, "config: no memory for a path");
    yaml_destroy(yaml_detach(root, y));
out:
    mem_free(parent);
    return rc;
}

/* Reads one file as the next weaker layer. `from` is the file that extends it, for messages. */
static Status read_layer(ConfigTree *t, const char *path, char seen[][PATH_MAX], Yaml **layer)
{
    Status rc = ST_OK;
    const int i = t->n_source;
    char *dir = NULL;
    char place[CONFIG_N_PLACE];
    snprintf(place, sizeof place, "%s%s", i > SOURCE_FILE ? t->source[i - 1].name : "",
             i > SOURCE_FILE ? ": extends: " : "");
    CHECK(i < 1 + CONFIG_MAX_FILES, CONFIG, "%s%s: found a chain of more than %d files", place,
          path, CONFIG_MAX_FILES);
    if (!realpath(path, seen[i])) snprintf(seen[i], PATH_MAX, "%s", path);
    for (int j = SOURCE_FILE; j < i; j++)
        CHECK(strcmp(seen[i], seen[j]) != 0, CONFIG,
              "%s%s: found a circle: this file is part of the chain already", place, path);
    rc = yaml_read_file(path, i, layer);
    TRY(rc == ST_CONFIG ? rc : config_refuse(rc, place, ""));
    dir = path_parent(path);
    CHECK(dir, NOMEM, "config: no memory for a path");
    TRY(add_source(t, path, dir));
out:
    mem_free(dir);
    return rc;
}

static Status check_root(const char *name, const Yaml *root)
{
    Status rc = ST_OK;
    CHECK(root->kind == YAML_MAP, CONFIG,
          "%s:%d: found %s, expected keys with values (\"output_dir: runs/a\")", name, root->line,
          yaml_kind_name(root));
out:
    return rc;
}

/* The file or text and all it extends, strongest first, folded into t->root. */
static Status read_layers(ConfigTree *t, const char *path, const char *text, size_t n)
{
    Status rc = ST_OK;
    Yaml *layer[CONFIG_MAX_FILES + 1] = {NULL};
    char(*seen)[PATH_MAX] = mem_array(CONFIG_MAX_FILES + 1, PATH_MAX);
    char *next = NULL;
    int n_layer = 0;
    CHECK(seen, NOMEM, "config: no memory for paths");
    do {
        if (text && n_layer == 0) {
            TRY(yaml_parse(path, SOURCE_FILE, text, n, &layer[n_layer++]));
            TRY(add_source(t, path, NULL));
        } else {
            TRY(read_layer(t, next ? next : path, seen, &layer[n_layer++]));
        }
        mem_free(next);
        next = NULL;
        Yaml *root = layer[n_layer - 1];
        TRY(check_root(t->source[n_layer].name, root));
        TRY(take_extends(t, root, &next));
        TRY(config_canonical(t, root));
    } while (next);
    for (int i = n_layer - 1; i >= 0; i--) merge(t->root, layer[i], true);
out:
    for (int i = 0; i < n_layer; i++) yaml_destroy(layer[i]);
    mem_free(seen);
    mem_free(next);
    return rc;
}

/* ---- the command line ----------------------------------------------------------------------------------------- */

/* What stands right of "=": [..], {..} and quotes are YAML, anything else is the text as it is. */
static Status override_value(const char *arg, const char *text, Yaml **value)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    *value = NULL;
    if (*text && strchr("[{\"'", *text)) {
        snprintf(place, sizeof place, "command line: %s", arg);
        TRY(yaml_parse(place, SOURCE_CLI, text, strlen(text), value));
    } else {
        CHECK(*value = yaml_create(YAML_TEXT, SOURCE_CLI), NOMEM, "config: no memory for a value");
        CHECK((*value)->text = mem_strdup(text), NOMEM, "config: no memory for a value");
    }
out:
    return rc;
}

static Status find_item(const Yaml *list, const char *arg, const char *name, Yaml **item)
{
    Status rc = ST_OK;
    char *end = NULL;
    const long i = strtol(name, &end, 10);
    *item = *name >= '0' && *name <= '9' && *end == '\0' ? yaml_at(list, i) : NULL;
    CHECK(*item, CONFIG,
          "command line: %s: found \"%s\", expected a number below %lld: the list has so many "
          "entries",
          arg, name, LL(list->n));
out:
    return rc;
}

/* Goes one name down from `at`: to the entry or item, or to a new entry of a map. */
static Status step_down(const char *arg, Yaml *at, const char *block, const char *name,
                        Yaml **child)
{
    Status rc = ST_OK;
    Yaml *fresh = NULL;
    CHECK(*name, USAGE, "command line: %s: expected key=value", arg);
    CHECK(at->kind != YAML_TEXT, CONFIG,
          "command line: %s: found \"%s\" below a text, expected a block or a list there", arg,
          name);
    if (at->kind == YAML_LIST) return find_item(at, arg, name, child);
    const char *key = key_canonical(block, name);
    *child = yaml_find(at, key);
    if (*child) goto out;
    fresh = yaml_create(YAML_MAP, SOURCE_CLI);
    CHECK(fresh, NOMEM, "config: no memory for a key");
    CHECK(fresh->key = mem_strdup(key), NOMEM, "config: no memory for a key");
    yaml_append(at, fresh);
    *child = fresh;
    fresh = NULL;
out:
    yaml_destroy(fresh);
    return rc;
}

/* Puts `value` at the dotted name. The name is cut up in place. */
static Status put_override(ConfigTree *t, const char *arg, char *name, Yaml **value)
{
    Status rc = ST_OK;
    Yaml *at = t->root, *child = NULL;
    const char *block = "";
    char *rest = name, *spelling = name;
    while (rest) {
        spelling = strsep(&rest, ".");
        if (child) at = child;
        TRY(step_down(arg, at, block, spelling, &child));
        if (!*block) block = strcmp(child->key, "eval_datasets") == 0 ? "datasets" : child->key;
    }
    const bool given = child->source == SOURCE_CLI && (child->kind != YAML_MAP || child->n > 0);
    CHECK(!given, CONFIG, "command line: %s: found a second time, expected once", arg);
    if (child->key)
        CHECK((*value)->key = mem_strdup(child->key), NOMEM, "config: no memory for a key");
    yaml_replace(at, child, *value);
    child = *value;
    *value = NULL;
    if (at != t->root) goto out;
    if (strcmp(spelling, "warmup_ratio") == 0) TRY(config_check_ratio(t, child));
    drop_rivals(t->root, child->key, SOURCE_CLI);
    if (child->kind != YAML_TEXT) goto out;
    const char *word = key_value(spelling, child->text);
    if (word == child->text) goto out;
    mem_free(child->text);
    CHECK(child->text = mem_strdup(word), NOMEM, "config: no memory for a value");
out:
    return rc;
}

static Status apply_override(ConfigTree *t, const char *arg)
{
    Status rc = ST_OK;
    Yaml *value = NULL;
    const char *equals = strchr(arg, '=');
    char *name = NULL;
    char shown[N_SHOWN];
    yaml_printable(arg, shown, sizeof shown);
    CHECK(equals && equals > arg, USAGE, "command line: %s: expected key=value", shown);
    name = mem_printf("%.*s", (int)(equals - arg), arg);
    CHECK(name, NOMEM, "config: no memory for a key");
    CHECK(strcmp(name, "extends") != 0, USAGE, "command line: extends: stands in a file only");
    TRY(override_value(shown, equals + 1, &value));
    TRY(put_override(t, shown, name, &value));
    TRY(config_canonical(t, t->root)); /* of a list or block that came just now */
out:
    yaml_destroy(value);
    mem_free(name);
    return rc;
}

/* -------------------------------------------------------------------------------------------------------------- */

const Yaml *config_tree_find(const ConfigTree *t, const char *key)
{
    const Yaml *at = t->root;
    char name[128];
    while (at && *key) {
        const size_t n = strcspn(key, ".");
        if (n >= sizeof name) return NULL;
        memcpy(name, key, n);
        name[n] = '\0';
        at = at->kind == YAML_LIST ? yaml_at(at, strtol(name, NULL, 10)) : yaml_find(at, name);
        key += n + (key[n] == '.');
    }
    return at;
}

Status config_tree_create(const char *path, const char *text, size_t n, int n_override,
                          const char *const *override, ConfigTree **tree)
{
    Status rc = ST_OK;
    ConfigTree *t = mem_alloc(sizeof *t);
    *tree = NULL;
    CHECK(t, NOMEM, "config: %zu bytes", sizeof *t);
    TRY(add_source(t, "command line", NULL));
    CHECK(t->root = yaml_create(YAML_MAP, SOURCE_FILE), NOMEM, "config: %zu bytes",
          sizeof *t->root);
    TRY(read_layers(t, path, text, n));
    for (int i = 0; i < n_override; i++) TRY(apply_override(t, override[i]));
    *tree = t;
    t = NULL;
out:
    config_tree_destroy(t);
    return rc;
}
