/* config_unknown.c — keys no table in force has: what was meant, or which choice they belong to. */
#include "trainer/run/config_bind.h"
#include <stdio.h>
#include <string.h>

enum { N_SHOWN = 64 };

const char *choice_key(Choice c)
{
    static const char *const KEYS[N_CHOICE] = {"optim", "lr_scheduler_type", "finetuning_type"};
    return KEYS[c];
}

typedef struct Chosen {
    const char *word;
    const OptSpec *opts;
} Chosen;

/* The i-th word a choice has; false behind the last. */
static bool choice_at(Choice c, int64_t i, Chosen *out)
{
    int64_t n[N_CHOICE];
    const OptimDef *const *optim = optim_all(&n[CHOICE_OPTIM]);
    const SchedDef *const *sched = sched_all(&n[CHOICE_SCHED]);
    const MethodDef *const *method = method_all(&n[CHOICE_METHOD]);
    if (i >= n[c]) return false;
    *out = c == CHOICE_OPTIM   ? (Chosen){optim[i]->name, optim[i]->opts}
           : c == CHOICE_SCHED ? (Chosen){sched[i]->name, sched[i]->opts}
                               : (Chosen){method[i]->name, method[i]->opts};
    return true;
}

const char *choice_words(Choice c, const char *option, char between, char *buf, size_t n_buf)
{
    Chosen chosen;
    const char separator[] = {between, between == ',' ? ' ' : '\0', '\0'};
    *buf = '\0';
    for (int64_t i = 0; choice_at(c, i, &chosen); i++) {
        const size_t used = strlen(buf);
        if (option && !opt_find(chosen.opts, option)) continue;
        snprintf(buf + used, n_buf - used, "%s%s", used ? separator : "", chosen.word);
    }
    return buf;
}

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
    static const char *const BLOCKS[] = {"model", "datasets", "eval_datasets", "trainable",
                                         "extends"};
    OptGroup group[CONFIG_N_GROUP];
    Chosen method;
    Nearest n = {.key = key,
                 .distance = 2 + (int)strlen(key) / 4}; /* farther away it is another word */
    config_groups(cfg, group);
    if (strcmp(block, "model") == 0) consider_all(&n, MODEL_OPTS);
    if (strcmp(block, "datasets") == 0) consider_all(&n, DATASET_OPTS);
    for (int i = 0; i < CONFIG_N_GROUP && !*block; i++) consider_all(&n, group[i].opts);
    for (int64_t i = 0; i < N_OF(BLOCKS) && !*block; i++) consider(&n, BLOCKS[i]);
    for (int64_t i = 0; choice_at(CHOICE_METHOD, i, &method); i++)
        if (!*block || strcmp(block, "trainable") == 0) consider_all(&n, method.opts);
    for (const KeyAlias *a = KEY_ALIASES; a->spelling; a++)
        if (key_alias_holds(a, block)) consider(&n, a->spelling);
    return n.name;
}

Status config_refuse_unknown(const RunConfig *cfg, const Yaml *y, const char *block,
                             const char *name)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], shown[N_SHOWN], in[N_SHOWN] = "";
    void *at;
    const char *near = nearest_key(cfg, block, y->key),
               *foreign = !*block || strcmp(block, "trainable") == 0 ? key_foreign(y->key) : NULL;
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

/* The word in force. */
static const char *chosen_word(const RunConfig *cfg, Choice c)
{
    if (c == CHOICE_OPTIM) return cfg->optim;
    if (c == CHOICE_SCHED) return cfg->lr_scheduler_type;
    return cfg->n_method > 0 ? cfg->methods[0].def->name : "full";
}

Status config_refuse_or_leave(const RunConfig *cfg, const Yaml *y, bool *stale)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], words[256];
    *stale = false;
    for (Choice c = 0; c < N_CHOICE; c++) {
        if (!*choice_words(c, y->key, ',', words, sizeof words)) continue;
        const Yaml *list = c == CHOICE_METHOD ? yaml_find(cfg->tree->root, "trainable") : NULL;
        *stale = (list ? list->source : config_strength(cfg, choice_key(c))) < y->source;
        if (*stale) goto out;
        config_place(cfg->tree, y, place, sizeof place);
        CHECK(!list || cfg->finetuning_type, CONFIG,
              "%s%s: belongs into an entry of trainable: (kind: %s)", place, y->key, words);
        CHECK(false, CONFIG, "%s%s: belongs to %s: %s, this run has %s: %s", place, y->key,
              choice_key(c), words, choice_key(c), chosen_word(cfg, c));
    }
    TRY(config_refuse_unknown(cfg, y, "", y->key));
out:
    return rc;
}
