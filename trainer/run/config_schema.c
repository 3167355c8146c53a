/* config_schema.c — the option tables as a JSON schema for editors and as a table for people. */
#include "trainer/base/mem.h"
#include "trainer/run/config_bind.h"
#include "trainer/run/text.h"
#include <stdio.h>
#include <string.h>

/* A table with what it takes to be in force: "optim: adamw"; empty: always. */
typedef struct Section {
    const char *title;
    const OptSpec *opts;
    char condition[80];
} Section;

enum { MAX_SECTION = 64 };
static const char METHODS_TITLE[] =
    "What is trained: `finetuning_type: KIND`, or entries of `trainable:` with `kind: KIND`";

static void add_section(Section *s, int64_t *n, const char *title, const OptSpec *opts,
                        const char *key, const char *word)
{
    if (opts->type == OPT_END_T) return;
    ASSERT(*n < MAX_SECTION);
    s[*n] = (Section){.title = title, .opts = opts};
    if (key) snprintf(s[*n].condition, sizeof s[*n].condition, "%s: %s", key, word);
    (*n)++;
}

static int64_t sections(Section *s)
{
    int64_t n = 0, n_sched, n_optim, n_method;
    const SchedDef *const *sched = sched_all(&n_sched);
    const OptimDef *const *optim = optim_all(&n_optim);
    const MethodDef *const *method = method_all(&n_method);
    add_section(s, &n, "Run", RUN_OPTS, NULL, NULL);
    for (int64_t i = 0; i < n_method; i++)
        add_section(s, &n, METHODS_TITLE, method[i]->opts, choice_key(CHOICE_METHOD),
                    method[i]->name);
    add_section(s, &n, "Sequences", PACK_OPTS, NULL, NULL);
    add_section(s, &n, "Learning rate", SCHED_COMMON_OPTS, NULL, NULL);
    for (int64_t i = 0; i < n_sched; i++)
        add_section(s, &n, "Learning rate", sched[i]->opts, "lr_scheduler_type", sched[i]->name);
    add_section(s, &n, "Optimizer", OPTIM_COMMON_OPTS, NULL, NULL);
    for (int64_t i = 0; i < n_optim; i++)
        add_section(s, &n, "Optimizer", optim[i]->opts, "optim", optim[i]->name);
    return n;
}

/* The words an option takes as "a|b"; NULL: any. */
static const char *words_of(const OptSpec *spec, char *buf, size_t n_buf)
{
    if (spec->choices) return spec->choices;
    for (Choice c = 0; c < N_CHOICE; c++)
        if (strcmp(spec->name, choice_key(c)) == 0) return choice_words(c, NULL, '|', buf, n_buf);
    return NULL;
}

static bool has_default(const OptSpec *s)
{
    if (opt_is_text(s)) return s->def_str != NULL;
    return s->def_num >= s->lo && s->def_num <= s->hi;
}

/* ---- JSON schema ------------------------------------------------------------------------------------------------ */

static json_t *words_json(const char *words)
{
    json_t *list = json_array();
    for (const char *w = words; list && w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
        if (json_array_append_new(list, json_stringn(w, strcspn(w, "|"))) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static Status put(json_t *to, const char *key, json_t *value)
{
    Status rc = ST_OK;
    CHECK(json_object_set_new(to, key, value) == 0, NOMEM, "schema: no memory for %s", key);
out:
    return rc;
}

static json_t *number_json(const OptSpec *s, double x)
{
    return s->type == OPT_F64_T ? json_real(x) : json_integer((json_int_t)x);
}

static Status put_number(json_t *to, const OptSpec *s)
{
    Status rc = ST_OK;
    json_t *number = s->type == OPT_COUNT_T ? json_object() : to;
    if (s->type == OPT_COUNT_T) { /* 4k and 1.5B are texts to an editor */
        TRY(put(to, "anyOf",
                json_pack("[o,{s:s,s:s}]", number, "type", "string", "pattern",
                          "^[0-9][0-9_]*(\\.[0-9]+)?[kKMBGT]?$")));
    }
    TRY(put(number, "type", json_string(s->type == OPT_F64_T ? "number" : "integer")));
    TRY(put(number, "minimum", number_json(s, s->lo)));
    TRY(put(number, "maximum", number_json(s, s->hi)));
    if (has_default(s)) TRY(put(to, "default", number_json(s, s->def_num)));
out:
    return rc;
}

static Status put_text(json_t *to, const OptSpec *s)
{
    Status rc = ST_OK;
    char buf[256];
    const char *words = words_of(s, buf, sizeof buf);
    json_t *one = words                   ? json_pack("{s:o}", "enum", words_json(words))
                  : s->type == OPT_LIST_T ? json_pack("{s:[s,s]}", "type", "string", "integer")
                                          : json_pack("{s:s}", "type", "string");
    CHECK(one, NOMEM, "schema: no memory for %s", s->name);
    if (s->type == OPT_LIST_T)
        TRY(put(
            to, "anyOf",
            json_pack("[O,{s:s,s:b,s:O}]", one, "type", "array", "uniqueItems", 1, "items", one)));
    else
        CHECK(json_object_update(to, one) == 0, NOMEM, "schema: no memory for %s", s->name);
    if (has_default(s))
        TRY(put(to, "default",
                s->type == OPT_LIST_T ? opt_items_json(s->def_str) : json_string(s->def_str)));
out:
    json_decref(one);
    return rc;
}

static Status put_option(json_t *properties, const OptSpec *s, const char *condition)
{
    Status rc = ST_OK;
    json_t *to = json_object();
    TRY(put(properties, s->name, to));
    TRY(put(to, "description",
            *condition ? json_sprintf("%s (with %s)", s->help, condition) : json_string(s->help)));
    if (s->type == OPT_BOOL_T) {
        TRY(put(to, "type", json_string("boolean")));
        TRY(put(to, "default", json_boolean(s->def_num != 0)));
    } else if (opt_is_text(s)) {
        TRY(put_text(to, s));
    } else {
        TRY(put_number(to, s));
    }
out:
    return rc;
}

static Status put_aliases(json_t *properties, const char *block, const char *at)
{
    Status rc = ST_OK;
    for (const KeyAlias *a = KEY_ALIASES; a->spelling; a++) {
        if (!key_alias_holds(a, block) || !json_object_get(properties, a->key)) continue;
        /* these two take other words than what they stand for */
        json_t *same = strcmp(a->spelling, "bf16") == 0
                           ? json_pack("{s:[b,b,s]}", "enum", 1, 0, "auto")
                       : strcmp(a->spelling, "lora_target_linear") == 0
                           ? json_pack("{s:b}", "const", 1)
                           : json_pack("{s:o}", "$ref", json_sprintf("%s%s", at, a->key));
        TRY(put(properties, a->spelling, same));
        TRY(put(same, "deprecated", json_true()));
        TRY(put(same, "description", json_sprintf("another spelling of %s", a->key)));
    }
out:
    return rc;
}

/* An object of these options and no others. */
static Status put_block(json_t *to, const char *name, const char *block, const OptSpec *opts,
                        const char *at)
{
    Status rc = ST_OK;
    json_t *object = json_object(), *properties = json_object();
    TRY(put(to, name, object));
    TRY(put(object, "type", json_string("object")));
    TRY(put(object, "additionalProperties", json_false()));
    TRY(put(object, "properties", properties));
    for (const OptSpec *s = opts; s->type != OPT_END_T; s++) TRY(put_option(properties, s, ""));
    TRY(put_aliases(properties, block, at));
out:
    return rc;
}

static Status put_dataset_list(json_t *properties, const char *name, const char *help)
{
    return put(properties, name,
               json_pack("{s:s,s:s,s:{s:[{s:s},{s:s}]}}", "type", "array", "description", help,
                         "items", "anyOf", "type", "string", "$ref", "#/$defs/dataset"));
}

/* Entries of trainable: {kind: lora, ...}, or the kind alone. */
static Status put_methods(json_t *properties, json_t *defs)
{
    Status rc = ST_OK;
    int64_t n;
    char name[64], at[96], words[256];
    const MethodDef *const *method = method_all(&n);
    json_t *any = json_pack(
        "[{s:o}]", "enum", words_json(choice_words(CHOICE_METHOD, NULL, '|', words, sizeof words)));
    TRY(put(properties, "trainable",
            json_pack("{s:s,s:s,s:i,s:{s:O}}", "type", "array", "description",
                      "what is trained of the model, and with which method", "maxItems",
                      METHODS_MAX, "items", "anyOf", any)));
    for (int64_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "trainable_%s", method[i]->name);
        snprintf(at, sizeof at, "#/$defs/%s", name);
        CHECK(json_array_append_new(any, json_pack("{s:s}", "$ref", at)) == 0, NOMEM,
              "schema: no memory for %s", name);
        snprintf(at, sizeof at, "#/$defs/%s/properties/", name);
        TRY(put_block(defs, name, "trainable", method[i]->opts, at));
        json_t *block = json_object_get(defs, name);
        TRY(put(json_object_get(block, "properties"), "kind",
                json_pack("{s:s}", "const", method[i]->name)));
        TRY(put(block, "required", json_pack("[s]", "kind")));
    }
out:
    json_decref(any);
    return rc;
}

Status config_schema_json(json_t **schema)
{
    Status rc = ST_OK;
    Section section[MAX_SECTION];
    json_t *all = json_object(), *properties = json_object(), *defs = json_object();
    *schema = NULL;
    CHECK(json_object_set_new(all, "$schema",
                              json_string("https://json-schema.org/draft/2020-12/schema")) == 0,
          NOMEM, "schema: no memory");
    CHECK(json_object_set(all, "properties", properties) == 0 &&
              json_object_set(all, "$defs", defs) == 0,
          NOMEM, "schema: no memory");
    TRY(put(all, "title", json_string("Switchyard run")));
    TRY(put(all, "type", json_string("object")));
    TRY(put(all, "additionalProperties", json_false()));
    TRY(put(properties, "extends",
            json_pack("{s:s,s:s}", "type", "string", "description",
                      "another file this one only changes")));
    const int64_t n = sections(section);
    for (int64_t i = 0; i < n; i++)
        for (const OptSpec *s = section[i].opts; s->type != OPT_END_T; s++)
            TRY(put_option(properties, s, section[i].condition));
    TRY(put_block(properties, "model", "model", MODEL_OPTS, "#/properties/model/properties/"));
    TRY(put_block(defs, "dataset", "datasets", DATASET_OPTS, "#/$defs/dataset/properties/"));
    TRY(put_dataset_list(properties, "datasets", "what is trained on, each a map or just a path"));
    TRY(put_dataset_list(properties, "eval_datasets",
                         "what is evaluated on, each a map or just a path"));
    TRY(put_methods(properties, defs));
    TRY(put_aliases(properties, "", "#/properties/"));
    *schema = all;
    all = NULL;
out:
    json_decref(properties);
    json_decref(defs);
    json_decref(all);
    return rc;
}

/* ---- Markdown --------------------------------------------------------------------------------------------------- */

static void cell(Text *t, const char *s)
{
    for (; *s; s++) {
        if (*s == '|') text_add(t, "\\");
        text_bytes(t, s, 1);
    }
}

static void text_of_items(const char *list, char *buf, size_t n_buf)
{
    size_t at = 0;
    for (OptItem i = {0}; opt_next(list, &i) && at < n_buf;)
        at +=
            (size_t)snprintf(buf + at, n_buf - at, "%s%.*s", i.index ? ", " : "", (int)i.n, i.text);
}

static void option_row(Text *t, const OptSpec *s, const char *condition)
{
    char words[256], number[64] = "";
    const char *choices = words_of(s, words, sizeof words);
    text_printf(t, "| `%s` | ", s->name);
    if (has_default(s)) {
        if (s->type == OPT_LIST_T)
            text_of_items(s->def_str, number, sizeof number);
        else if (opt_is_text(s))
            snprintf(number, sizeof number, "%s", s->def_str);
        else if (s->type == OPT_BOOL_T)
            snprintf(number, sizeof number, "%s", s->def_num != 0 ? "true" : "false");
        else
            snprintf(number, sizeof number, "%.10g", s->def_num);
        text_printf(t, "`%s`", number);
    }
    text_add(t, s->type == OPT_LIST_T && choices ? " | list of " : " | ");
    if (choices)
        cell(t, choices);
    else if (s->type == OPT_BOOL_T)
        cell(t, "true|false");
    else if (s->type == OPT_LIST_T)
        text_add(t, "text, or list of texts");
    else if (s->type == OPT_STR_T)
        text_add(t, "text");
    else
        text_printf(t, "%s%.10g .. %.10g",
                    s->type == OPT_F64_T     ? ""
                    : s->type == OPT_COUNT_T ? "count "
                                             : "whole ",
                    s->lo, s->hi);
    text_add(t, " | ");
    cell(t, s->help);
    if (*condition) text_printf(t, " (`%s`)", condition);
    text_add(t, " |\n");
}

static void table_head(Text *t, const char *title)
{
    text_printf(t, "\n## %s\n\n| key | default | takes | meaning |\n|---|---|---|---|\n", title);
}

static void block_table(Text *t, const char *title, const OptSpec *opts)
{
    table_head(t, title);
    for (const OptSpec *s = opts; s->type != OPT_END_T; s++) option_row(t, s, "");
}

static void alias_table(Text *t)
{
    text_add(t, "\n## Other spellings\n\nOne of them in a file, not both; the resolved file has "
                "the canonical one.\n\n"
                "| spelling | canonical |\n|---|---|\n");
    for (const KeyAlias *a = KEY_ALIASES; a->spelling; a++)
        text_printf(t, "| `%s%s%s` | `%s` |\n", a->block, *a->block ? ": " : "", a->spelling,
                    a->key);
}

Status config_schema_markdown(char **text)
{
    Status rc = ST_OK;
    Section section[MAX_SECTION];
    Text t = {0};
    const char *title = "";
    *text = NULL;
    text_add(&t,
             "# Options\n\nWritten by `trainer schema --markdown` from the option tables beside "
             "the code. A count also takes "
             "`4k`, `2M`, `1.5B`.\nA number without a default is not set unless it is given.\n");
    const int64_t n = sections(section);
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(section[i].title, title) != 0) table_head(&t, section[i].title);
        title = section[i].title;
        for (const OptSpec *s = section[i].opts; s->type != OPT_END_T; s++)
            option_row(&t, s, section[i].condition);
    }
    block_table(&t, "`model:`", MODEL_OPTS);
    block_table(&t, "Entries of `datasets:` and `eval_datasets:`", DATASET_OPTS);
    alias_table(&t);
    TRY(text_check(&t));
    *text = t.s;
    t.s = NULL;
out:
    text_fini(&t);
    return rc;
}
