/* config_check.c — what no single option can know: rivals, options nothing reads, sizes that must fit each other. */
#include "trainer/base/mem.h"
#include "trainer/run/best.h"
#include "trainer/run/config_bind.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { N_SHOWN = 64, N_NAME = 64 /* a version's name, with its NUL */ };

/* The place of a key, or of the file when it is not set; for the head of a message. */
static const char *place_of(const RunConfig *cfg, const char *key, char *buf)
{
    const Yaml *y = config_tree_find(cfg->tree, key);
    if (y) return config_place(cfg->tree, y, buf, CONFIG_N_PLACE);
    snprintf(buf, CONFIG_N_PLACE, "%s: ", cfg->tree->source[SOURCE_FILE].name);
    return buf;
}

static void set_default(const OptSpec *spec, void *at)
{
    const OptSpec one[] = {*spec, OPT_END};
    opt_set_defaults(one, at);
}

/* ---- rivals, and keys that nothing reads ---------------------------------------------------------------------- */

static Status check_rivals(const RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], there[CONFIG_N_PLACE];
    for (int64_t g = 0; KEY_RIVALS[g][0]; g++) {
        const char *first = NULL;
        for (int64_t i = 0; KEY_RIVALS[g][i]; i++) {
            const char *key = KEY_RIVALS[g][i];
            if (!config_is_set(cfg, key)) continue;
            CHECK(!first, CONFIG, "%s%s: found beside %s%s, expected one of the two",
                  place_of(cfg, key, place), key, place_of(cfg, first, there), first);
            first = key;
        }
    }
out:
    return rc;
}

static bool is_of_datasets(const KeyNeed *need)
{
    return strcmp(need->selector, "datasets") == 0;
}

static bool any_has_type(const DatasetOpts *sets, int64_t n, const KeyNeed *need)
{
    bool any = false;
    for (int64_t i = 0; i < n; i++) {
        const DatasetDef *def = NULL;
        any = any || (dataset_def(&sets[i], &def) == ST_OK && key_need_met(need, def->name));
    }
    status_clear();
    return any;
}

static bool need_met(const RunConfig *cfg, const KeyNeed *need)
{
    char value[N_SHOWN];
    if (is_of_datasets(need)) /* a branch may have those of its line */
        return cfg->n_dataset == 0 || any_has_type(cfg->datasets, cfg->n_dataset, need) ||
               any_has_type(cfg->eval_datasets, cfg->n_eval_dataset, need);
    return key_need_met(need, config_text(cfg, need->selector, value, sizeof value));
}

const KeyNeed *config_unmet(const RunConfig *cfg, const char *key)
{
    for (const KeyNeed *need = KEY_NEEDS; need->key; need++)
        if (!*need->block && strcmp(need->key, key) == 0 && !need_met(cfg, need)) return need;
    return NULL;
}

const KeyNeed *dataset_unmet(const DatasetOpts *d, const char *key)
{
    const DatasetDef *def = NULL;
    const char *type = dataset_def(d, &def) == ST_OK ? def->name : d->type;
    status_clear();
    for (const KeyNeed *need = KEY_NEEDS; need->key; need++)
        if (strcmp(need->block, "datasets") == 0 && key_matches(need->key, key) &&
            !key_need_met(need, type))
            return need;
    return NULL;
}

static Status refuse_unread(const RunConfig *cfg, const char *key, const KeyNeed *need,
                            const char *value)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const bool turned = need->words[0] == '!';
    CHECK(!is_of_datasets(need), CONFIG,
          "%s%s: is set but never read: no dataset has type: %s, whose samples it is for",
          place_of(cfg, key, place), key, need->words);
    CHECK(need->words[0], CONFIG, "%s%s: is set but never read: this run has %s: %s",
          place_of(cfg, key, place), key, need->selector, value);
    CHECK(false, CONFIG, "%s%s: is set but never read: it needs %s%s: %s, this run has %s",
          place_of(cfg, key, place), key, turned ? "another choice than " : "", need->selector,
          need->words + turned, value);
out:
    return rc;
}

/* An inherited key is left behind when a stronger layer made the choice for which nothing reads it. */
static Status check_needs(RunConfig *cfg)
{
    Status rc = ST_OK;
    char value[N_SHOWN];
    void *at = NULL;
    for (const KeyNeed *row = KEY_NEEDS; row->key; row++) {
        const Yaml *y = *row->block ? NULL : yaml_find(cfg->tree->root, row->key);
        const KeyNeed *need = y ? config_unmet(cfg, row->key) : NULL;
        if (!need) continue;
        /* The choice may itself have been left behind just now (average_main): then its own selector made it. */
        const KeyNeed *above = config_unmet(cfg, need->selector);
        const int strength = config_strength(cfg, above ? above->selector : need->selector);
        if (strength >= y->source)
            TRY(refuse_unread(cfg, row->key, need,
                              config_text(cfg, need->selector, value, sizeof value)));
        const OptSpec *spec = config_find(cfg, row->key, &at);
        set_default(spec, at);
        yaml_destroy(yaml_detach(cfg->tree->root, (Yaml *)y));
    }
out:
    return rc;
}

/* ---- the line --------------------------------------------------------------------------------------------------- */

static Status check_name(const RunConfig *cfg, const char *key, const char *name)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], shown[N_SHOWN];
    bool plain = name && isalnum((unsigned char)*name);
    for (const char *c = name; c && *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("._-", *c));
    CHECK(!name || (plain && strlen(name) < N_NAME), CONFIG,
          "%s%s: found \"%s\", expected letters, digits, '.', '_' and '-', at most %d, a letter or "
          "digit first",
          place_of(cfg, key, place), key, yaml_printable(name, shown, sizeof shown), N_NAME - 1);
out:
    return rc;
}

static Status check_line(const RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const bool plain = strcmp(cfg->paradigm, "plain") == 0,
               switching = strcmp(cfg->paradigm, "path_switching") == 0;
    TRY(check_name(cfg, "version", cfg->version));
    TRY(check_name(cfg, "follows", cfg->follows));
    CHECK(!cfg->follows || cfg->version, CONFIG,
          "%sfollows: found %s without version, expected version: the name of this one",
          place_of(cfg, "follows", place), cfg->follows);
    CHECK(!cfg->follows || strcmp(cfg->follows, cfg->version) != 0, CONFIG,
          "%sfollows: found %s, expected another version than this one",
          place_of(cfg, "follows", place), cfg->follows);
    CHECK(plain || cfg->version, CONFIG,
          "%sparadigm: found %s without version, expected version: the name of what the run makes",
          place_of(cfg, "paradigm", place), cfg->paradigm);
    CHECK(!plain || !cfg->version, CONFIG,
          "%sparadigm: found plain beside version: %s, expected path_switching, from_scratch or "
          "continual",
          place_of(cfg, "paradigm", place), cfg->version);
    const bool sched_switching = strcmp(cfg->lr_scheduler_type, "path_switching") == 0;
    CHECK(!switching || sched_switching, CONFIG,
          "%slr_scheduler_type: found %s, expected path_switching (this run has paradigm: "
          "path_switching)",
          place_of(cfg, "lr_scheduler_type", place), cfg->lr_scheduler_type);
    CHECK(!plain || !sched_switching, CONFIG,
          "%slr_scheduler_type: found path_switching without version, expected version: the name "
          "of what the run makes",
          place_of(cfg, "lr_scheduler_type", place));
    CHECK(!switching || cfg->num_train_epochs <= 1, CONFIG,
          "%snum_train_epochs: found %g, expected 1: no sample repeats on a main path (older data: "
          "replay)",
          place_of(cfg, "num_train_epochs", place), cfg->num_train_epochs);
out:
    return rc;
}

/* LINE@POINT: without an output_dir the branch is written into its line. */
static Status resolve_branch(RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    Yaml *dir = NULL;
    const Yaml *from = config_tree_find(cfg->tree, "branch_from");
    const char *at = cfg->branch_from ? strrchr(cfg->branch_from, '@') : NULL;
    if (!cfg->branch_from) goto out;
    CHECK(at && at > cfg->branch_from && at[1], CONFIG,
          "%sbranch_from: found %s, expected LINE@POINT: the directory of a line and the name of a "
          "version, or a step",
          place_of(cfg, "branch_from", place), cfg->branch_from);
    if (cfg->output_dir) goto out;
    dir = yaml_create(YAML_TEXT, from->source);
    CHECK(dir, NOMEM, "config: no memory for output_dir");
    dir->key = mem_strdup("output_dir");
    dir->text = mem_printf("%.*s", (int)(at - cfg->branch_from), cfg->branch_from);
    CHECK(dir->key && dir->text, NOMEM, "config: no memory for output_dir");
    cfg->output_dir = dir->text;
    yaml_append(cfg->tree->root, dir);
    dir = NULL;
out:
    yaml_destroy(dir);
    return rc;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static Status resolve_batch(RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const int64_t micro = cfg->micro_batch_size, global = cfg->global_batch_size;
    if (cfg->gradient_accumulation_steps > 0) {
        cfg->global_batch_size = micro * cfg->gradient_accumulation_steps;
        cfg->gradient_accumulation_steps = 0;
        goto out;
    }
    CHECK(
        global > 0, CONFIG,
        "%sglobal_batch_size: is not set, expected the sequences per optimizer step over all ranks",
        place_of(cfg, "global_batch_size", place));
    CHECK(global % micro == 0, CONFIG,
          "%sglobal_batch_size: found %lld, expected a multiple of micro_batch_size: %lld (like "
          "%lld)",
          place_of(cfg, "global_batch_size", place), LL(global), LL(micro),
          LL((global / micro + 1) * micro));
out:
    return rc;
}

static Status resolve_groups(RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    const int64_t n_micro = cfg->global_batch_size / cfg->micro_batch_size;
    if (!config_is_set(cfg, "reduction_groups"))
        while (cfg->reduction_groups > n_micro) cfg->reduction_groups /= 2;
    const int64_t G = cfg->reduction_groups;
    CHECK((G & (G - 1)) == 0, CONFIG, "%sreduction_groups: found %lld, expected a power of two",
          place_of(cfg, "reduction_groups", place), LL(G));
    CHECK(
        G <= n_micro, CONFIG,
        "%sreduction_groups: found %lld, expected at most the %lld micro-batches of a global batch",
        place_of(cfg, "reduction_groups", place), LL(G), LL(n_micro));
out:
    return rc;
}

static Status check_model(RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], key[N_SHOWN], value[N_SHOWN];
    Yaml *block = yaml_find(cfg->tree->root, "model");
    for (Yaml *y = block ? block->first : NULL, *next; y; y = next) {
        next = y->next;
        const char *selector = model_unread(&cfg->model, y->key);
        if (!selector) continue;
        const Yaml *choice = yaml_find(block, selector);
        snprintf(key, sizeof key, "model.%s", y->key);
        opt_print(opt_find(MODEL_OPTS, selector), &cfg->model, value, sizeof value);
        CHECK(choice && choice->source < y->source, CONFIG,
              "%s%s: is set but never read: this run has %s: %s", place_of(cfg, key, place), key,
              selector, *value ? value : "none");
        set_default(opt_find(MODEL_OPTS, y->key), &cfg->model);
        yaml_destroy(yaml_detach(block, y));
    }
    TRY(config_read_model(cfg));
    if (!cfg->tokenizer)
        cfg->tokenizer = cfg->model_name_or_path ? cfg->model_name_or_path : "bytes";
    rc = model_check_config(&cfg->model);
    TRY(config_refuse(rc, place_of(cfg, "model", place), "model"));
    const int64_t n_position = model_max_positions(&cfg->model);
    const bool in_segments = config_reads_segments(cfg);
    if (in_segments) cfg->pack.prefix_sharing = false; /* segments lie one after the other */
    CHECK(cfg->pack.max_seq_length <= n_position || in_segments, CONFIG,
          "%smax_seq_length: found %lld, expected at most model.max_position_embeddings: %lld",
          place_of(cfg, "max_seq_length", place), LL(cfg->pack.max_seq_length), LL(n_position));
out:
    return rc;
}

/* ---- datasets --------------------------------------------------------------------------------------------------- */

/* Shares mean something where max_steps or max_tokens bounds a run, and never in evaluation. */
static Status check_weight(const RunConfig *cfg, Yaml *entry, const char *name, DatasetOpts *d,
                           bool is_eval)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    Yaml *weight = yaml_find(entry, "weight");
    if (!weight || (!is_eval && (cfg->max_steps > 0 || cfg->max_tokens > 0))) goto out;
    const bool stale = !is_eval && config_strength(cfg, "num_train_epochs") < weight->source;
    CHECK(stale, CONFIG, "%s%s.weight: is set but never read: %s",
          config_place(cfg->tree, weight, place, sizeof place), name,
          is_eval ? "each evaluation dataset is scored alone"
                  : "shares need max_steps or max_tokens, one epoch takes every row once");
    yaml_destroy(yaml_detach(entry, weight));
    set_default(opt_find(DATASET_OPTS, "weight"), d);
out:
    return rc;
}

static Status check_dataset(const RunConfig *cfg, Yaml *entry, const char *name,
                            const DatasetOpts *d)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], key[2 * N_SHOWN];
    const DatasetDef *def = NULL;
    config_place(cfg->tree, entry, place, sizeof place);
    rc = dataset_def(d, &def);
    TRY(config_refuse(rc, place, name));
    for (const Yaml *y = entry->first; y; y = y->next) {
        const KeyNeed *need = dataset_unmet(d, y->key);
        snprintf(key, sizeof key, "%.40s.%.40s", name, y->key);
        if (need) TRY(refuse_unread(cfg, key, need, def->name));
    }
    CHECK(d->path || dataset_unmet(d, "path"), CONFIG,
          "%s%s: found no path, expected the file to read", place, name);
out:
    return rc;
}

static Status check_datasets(RunConfig *cfg, const char *list, DatasetOpts *sets, int64_t n)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], key[2 * N_SHOWN], mine[N_SHOWN], other[N_SHOWN];
    const Yaml *nodes = yaml_find(cfg->tree->root, list);
    for (int64_t i = 0; i < n; i++) {
        Yaml *entry = yaml_at(nodes, i);
        snprintf(key, sizeof key, "%s.%lld", list, LL(i));
        TRY(check_dataset(cfg, entry, key, &sets[i]));
        TRY(check_weight(cfg, entry, key, &sets[i], sets == cfg->eval_datasets));
        dataset_name(&sets[i], mine, sizeof mine);
        for (int64_t j = 0; j < i; j++)
            CHECK(strcmp(mine, dataset_name(&sets[j], other, sizeof other)) != 0, CONFIG,
                  "%s%s: found the name %s a second time (%s.%lld has it), expected `name:` to "
                  "tell them apart",
                  config_place(cfg->tree, entry, place, sizeof place), key, mine, list, LL(j));
    }
out:
    return rc;
}

/* ---- what is written at the end ----------------------------------------------------------------------------------- */

static Status check_export(const RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    bool low_rank = false;
    for (int64_t i = 0; i < cfg->n_method; i++) low_rank |= cfg->methods[i].def->low_rank != NULL;
    CHECK(low_rank || !opt_list_has(cfg->export_to, "peft"), CONFIG,
          "%sexport_to: found peft, expected hf: nothing of kind: lora is trained",
          place_of(cfg, "export_to", place));
    CHECK(!config_reads_segments(cfg) || !cfg->export_to, CONFIG,
          "%sexport_to: is set, expected none: no other program can load what kind: memory_gate "
          "trains",
          place_of(cfg, "export_to", place));
out:
    return rc;
}

/* ---------------------------------------------------------------------------------------------------------------- */

Status config_check(RunConfig *cfg)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE];
    TRY(check_rivals(cfg));
    TRY(check_line(cfg));
    TRY(check_needs(cfg));
    TRY(resolve_branch(cfg));
    if (cfg->max_steps <= 0 && cfg->max_tokens <= 0 && cfg->num_train_epochs <= 0)
        cfg->num_train_epochs = 1;
    if (cfg->data_seed < 0) cfg->data_seed = cfg->seed;
    TRY(resolve_batch(cfg));
    TRY(resolve_groups(cfg));
    TRY(check_model(cfg));
    const char *best =
        cfg->load_best_model_at_end ? "load_best_model_at_end" : "early_stopping_patience";
    CHECK(!best_is_wanted(cfg) || cfg->eval_steps > 0, CONFIG,
          "%s%s: needs eval_steps: the steps between evaluations", place_of(cfg, best, place),
          best);
    CHECK(!cfg->metric_for_best_model || best_is_wanted(cfg), CONFIG,
          "%smetric_for_best_model: is set but never read: it needs load_best_model_at_end or "
          "early_stopping_patience",
          place_of(cfg, "metric_for_best_model", place));
    CHECK(!config_reports_to(cfg, "none") || strcmp(cfg->report_to, "none") == 0, CONFIG,
          "%sreport_to: found none beside another, expected none alone",
          place_of(cfg, "report_to", place));
    TRY(check_export(cfg));
    CHECK(cfg->output_dir, CONFIG, "%soutput_dir: is not set, expected where the run is written",
          place_of(cfg, "output_dir", place));
    CHECK(cfg->n_dataset > 0 || cfg->branch_from, CONFIG,
          "%sdatasets: found none, expected a list (\"datasets: [{path: ...}]\")",
          place_of(cfg, "datasets", place));
    TRY(check_datasets(cfg, "datasets", cfg->datasets, cfg->n_dataset));
    TRY(check_datasets(cfg, "eval_datasets", cfg->eval_datasets, cfg->n_eval_dataset));
out:
    return rc;
}
