/* config_out.c — a resolved config as JSON (one walk over the tables), that JSON as YAML, and what two of them differ in. */
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/config_bind.h"
#include "trainer/run/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- structs -> JSON -------------------------------------------------------------------------------------------- */

json_t *opt_items_json(const char *items)
{
    json_t *list = json_array();
    for (OptItem i = {0}; list && opt_next(items, &i);)
        if (json_array_append_new(list, json_stringn(i.text, (size_t)i.n)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *option_to_json(const OptSpec *spec, const void *at)
{
    const void *field = (const char *)at + spec->offset;
    switch (spec->type) {
    case OPT_I64_T:
    case OPT_COUNT_T:
        return json_integer(*(const int64_t *)field);
    case OPT_F64_T:
        return json_real(*(const double *)field);
    case OPT_BOOL_T:
        return json_boolean(*(const bool *)field);
    case OPT_LIST_T:
        return opt_items_json(*(const char *const *)field);
    default:
        return json_string(*(const char *const *)field);
    }
}

static Status put_option(json_t *to, const OptSpec *spec, const void *at)
{
    Status rc = ST_OK;
    if (opt_is_unset(spec, at)) goto out;
    CHECK(json_object_set_new(to, spec->name, option_to_json(spec, at)) == 0, NOMEM,
          "config: no memory for JSON");
out:
    return rc;
}

/* Of rivals only one is written: the one the user chose, or the last of the group. */
static bool speaks(const RunConfig *cfg, const char *key)
{
    const char *const *rivals = key_rivals(key);
    const char *speaker = key;
    bool chosen = false;
    for (; rivals && *rivals; rivals++) {
        if (chosen) continue;
        speaker = *rivals;
        chosen = config_is_set(cfg, *rivals);
    }
    /* A count of accumulated micro-batches has become global_batch_size. */
    if (strcmp(speaker, "gradient_accumulation_steps") == 0) speaker = "global_batch_size";
    return strcmp(speaker, key) == 0;
}

static Status put_datasets(json_t *to, const char *name, const DatasetOpts *sets, int64_t n,
                           bool weighted)
{
    Status rc = ST_OK;
    json_t *list = json_array();
    CHECK(json_object_set_new(to, name, list) == 0, NOMEM, "config: no memory for JSON");
    for (int64_t i = 0; i < n; i++) {
        json_t *entry = json_object();
        CHECK(json_array_append_new(list, entry) == 0, NOMEM, "config: no memory for JSON");
        for (const OptSpec *s = DATASET_OPTS; s->type != OPT_END_T; s++) {
            const bool read =
                !dataset_unmet(&sets[i], s->name) && (weighted || strcmp(s->name, "weight") != 0);
            if (read) TRY(put_option(entry, s, &sets[i]));
        }
    }
out:
    return rc;
}

static Status put_methods(json_t *to, const RunConfig *cfg)
{
    Status rc = ST_OK;
    json_t *list = json_array();
    CHECK(json_object_set_new(to, "trainable", list) == 0, NOMEM, "config: no memory for JSON");
    for (int64_t i = 0; i < cfg->n_method; i++) {
        const MethodSpec *m = &cfg->methods[i];
        json_t *entry = json_pack("{s:s}", "kind", m->def->name);
        CHECK(json_array_append_new(list, entry) == 0, NOMEM, "config: no memory for JSON");
        for (const OptSpec *s = m->def->opts; s->type != OPT_END_T; s++)
            TRY(put_option(entry, s, m->opts));
    }
out:
    return rc;
}

Status config_to_json(const RunConfig *cfg, json_t **json)
{
    Status rc = ST_OK;
    OptGroup group[CONFIG_N_GROUP];
    json_t *all = json_object(), *model = json_object();
    *json = NULL;
    CHECK(all && model, NOMEM, "config: no memory for JSON");
    config_groups(cfg, group);
    for (int i = 0; i < CONFIG_N_GROUP; i++)
        for (const OptSpec *s = group[i].opts; s->type != OPT_END_T; s++)
            if (speaks(cfg, s->name) && !config_unmet(cfg, s->name))
                TRY(put_option(all, s, group[i].at));
    for (const OptSpec *s = MODEL_OPTS; s->type != OPT_END_T; s++)
        if (!model_unread(&cfg->model, s->name)) TRY(put_option(model, s, &cfg->model));
    CHECK(json_object_set(all, "model", model) == 0, NOMEM, "config: no memory for JSON");
    if (cfg->n_method > 0) TRY(put_methods(all, cfg));
    const bool weighted = cfg->max_steps > 0 || cfg->max_tokens > 0;
    TRY(put_datasets(all, "datasets", cfg->datasets, cfg->n_dataset, weighted));
    if (cfg->n_eval_dataset > 0)
        TRY(put_datasets(all, "eval_datasets", cfg->eval_datasets, cfg->n_eval_dataset, false));
    *json = all;
    all = NULL;
out:
    json_decref(model);
    json_decref(all);
    return rc;
}

/* ---- JSON -> YAML ----------------------------------------------------------------------------------------------- */

/* A text that YAML, by this reader or another, takes for nothing but itself may go without quotes. */
static bool is_plain(const char *s)
{
    static const char *const WORDS[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n"};
    if (strspn(s, "0123456789.+-_eExX") == strlen(s)) return false;
    for (int64_t i = 0; i < N_OF(WORDS); i++)
        if (strcasecmp(s, WORDS[i]) == 0) return false;
    const bool starts = strchr("/_", *s) || (*s | 32) >= 'a';
    return starts &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-@") ==
               strlen(s);
}

static void yaml_value(Text *t, const json_t *value)
{
    if (json_is_string(value)) {
        const char *s = json_string_value(value);
        if (is_plain(s))
            text_add(t, s);
        else
            text_json_string(t, s); /* YAML's double quotes take JSON's escapes */
    } else if (json_is_integer(value)) {
        text_printf(t, "%lld", LL(json_integer_value(value)));
    } else if (json_is_real(value)) {
        text_json_number(t, json_real_value(value));
    } else if (json_is_array(value)) {
        text_add(t, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            text_add(t, i ? ", " : "");
            yaml_value(t, json_array_get(value, i));
        }
        text_add(t, "]");
    } else {
        text_add(t, json_is_true(value) ? "true" : "false");
    }
}

static bool is_list_of_maps(const json_t *value)
{
    return json_is_object(json_array_get(value, 0));
}

/* Entries of a map, one a line; the first line of a list's item starts with "- ". */
static void yaml_entries(Text *t, json_t *map, const char *first, const char *indent)
{
    const char *key;
    json_t *value;
    const char *head = first;
    json_object_foreach(map, key, value)
    {
        text_printf(t, "%s%s:", head, key);
        head = indent;
        if (json_is_object(value)) {
            text_add(t, "\n");
            yaml_entries(t, value, "  ", "  ");
        } else if (is_list_of_maps(value)) {
            text_add(t, "\n");
            for (size_t i = 0; i < json_array_size(value); i++)
                yaml_entries(t, json_array_get(value, i), "  - ", "    ");
        } else {
            text_add(t, " ");
            yaml_value(t, value);
            text_add(t, "\n");
        }
    }
}

Status config_write(const RunConfig *cfg, const char *path)
{
    Status rc = ST_OK;
    Text t = {0};
    json_t *json = NULL;
    TRY(config_to_json(cfg, &json));
    text_add(&t,
             "# Every option of this run by its canonical name; what is not set is left out.\n");
    yaml_entries(&t, json, "", "");
    TRY(text_check(&t));
    TRY(file_write_atomic(path, t.s, t.n));
out:
    json_decref(json);
    text_fini(&t);
    return rc;
}

/* ---- differences ------------------------------------------------------------------------------------------------ */

static void add_side(Text *t, const json_t *value)
{
    if (!value)
        text_add(t, "not set");
    else if (is_list_of_maps(value))
        text_printf(t, "%zu %s", json_array_size(value),
                    json_array_size(value) > 1 ? "entries" : "entry");
    else
        yaml_value(t, value);
}

static void diff_maps(Text *t, json_t *before, json_t *now, const char *block, const char *name);

static void diff_value(Text *t, json_t *before, json_t *now, const char *block, const char *name,
                       const char *key)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s%s", name, *name ? "." : "", key);
    if (key_is_free(block, key) || (before && now && json_equal(before, now))) return;
    const bool maps = is_list_of_maps(before) && is_list_of_maps(now);
    if (json_is_object(before) && json_is_object(now)) {
        diff_maps(t, before, now, *block ? block : key, full);
    } else if (maps && json_array_size(before) == json_array_size(now)) {
        for (size_t i = 0; i < json_array_size(now); i++) {
            char item[288];
            snprintf(item, sizeof item, "%s.%zu", full, i);
            diff_maps(t, json_array_get(before, i), json_array_get(now, i), key, item);
        }
    } else {
        text_printf(t, "%s%s: ", t->n > 0 ? "; " : "", full);
        add_side(t, before);
        text_add(t, " before, ");
        add_side(t, now);
        text_add(t, " now");
    }
}

static void diff_maps(Text *t, json_t *before, json_t *now, const char *block, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(before, key, value)
        diff_value(t, value, json_object_get(now, key), block, name, key);
    json_object_foreach(now, key, value) if (!json_object_get(before, key))
        diff_value(t, NULL, value, block, name, key);
}

Status config_diff(const json_t *before, const json_t *now, char **text)
{
    Status rc = ST_OK;
    Text t = {0};
    *text = NULL;
    diff_maps(&t, (json_t *)before, (json_t *)now, "", ""); /* jansson's iterators take no const */
    TRY(text_check(&t));
    *text = t.s;
    t.s = NULL;
out:
    text_fini(&t);
    return rc;
}
