/* config_bind.h — the option tables of a run: which are in force, and the tree read into their structs. */
#ifndef TRAINER_RUN_CONFIG_BIND_H
#define TRAINER_RUN_CONFIG_BIND_H
#include "trainer/run/config_keys.h"
#include "trainer/run/config_tree.h"

typedef struct OptGroup {
    const OptSpec *opts;
    void *at; /* the struct */
} OptGroup;
enum { CONFIG_N_GROUP = 6 };

/* The tables whose options stand at the top level, once schedule and optimizer are chosen. */
void config_groups(const RunConfig *cfg, OptGroup group[CONFIG_N_GROUP]);

/* The option of a top-level key and its struct; NULL: no table in force has it. */
const OptSpec *config_find(const RunConfig *cfg, const char *key, void **at);

/* A key whose word chooses a table. */
typedef enum Choice { CHOICE_OPTIM, CHOICE_SCHED, CHOICE_METHOD, N_CHOICE } Choice;
const char *choice_key(Choice c); /* "optim" */
/* The words it takes whose tables have the option (NULL: all), with commas or another character between them.
 * Empty: none. */
const char *choice_words(Choice c, const char *option, char between, char *buf, size_t n_buf);

/* The value of a top-level option as text, for comparing ("true", "adamw"). */
const char *config_text(const RunConfig *cfg, const char *key, char *buf, size_t n_buf);

/* The source of the layer that decides an option, or what it is derived from: smaller is stronger. What weaker layers
 * set for another choice is left behind instead of refused. */
int config_strength(const RunConfig *cfg, const char *key);

/* Chooses the tables, sets defaults, and reads the tree into the structs. Errors: ST_CONFIG with file, line and key. */
CHECKED Status config_bind(RunConfig *cfg);

/* ---- keys that no table in force has ---- */

/* Reads one key into its table; `name` is shown: "max_steps", "datasets.0.path". */
CHECKED Status config_bind_option(const ConfigTree *t, Yaml *y, const char *block, const char *name,
                                  const OptSpec *spec, void *opts);

/* What the adapter of adapter_name_or_path trains becomes trainable:, unless that is there; the base it names becomes
 * model_name_or_path. Errors: those of adapter_open; ST_CONFIG options that the adapter settles, a base that is not there */
CHECKED Status config_fold_adapter(RunConfig *cfg);
/* finetuning_type and the options of its method become an entry of trainable:, which is what the rest knows. */
CHECKED Status config_fold_methods(RunConfig *cfg);
CHECKED Status config_bind_methods(RunConfig *cfg, const Yaml *list);
/* Puts the place of trainable: before a failure of methods_create. */
CHECKED Status config_refuse_methods(const RunConfig *cfg, Status failed);
bool config_reads_segments(const RunConfig *cfg); /* a method has long rows read in segments */

/* Fails, with the key that was meant or what there is instead; `name` is shown: "model.hiden_size". */
CHECKED Status config_refuse_unknown(const RunConfig *cfg, const Yaml *y, const char *block,
                                     const char *name);
/* The same at the top level. Leaves *stale true when a stronger layer chose another rule than the one the key is for. */
CHECKED Status config_refuse_or_leave(const RunConfig *cfg, const Yaml *y, bool *stale);

/* Numbers whose default lies outside their bounds, and texts whose default is NULL, may be "not set". */
bool opt_is_unset(const OptSpec *spec, const void *opts);
double opt_number(const OptSpec *spec, const void *opts); /* of a number or bool */

json_t *opt_items_json(const char *list); /* of a LIST; NULL: no memory. Owns: the caller's */

/* The sizes of a stored model become cfg->model.
 * Errors  those of model_config_read; ST_CONFIG the model: block contradicts them */
CHECKED Status config_read_model(RunConfig *cfg);

/* Fills in what can be derived and checks what concerns several options. */
CHECKED Status config_check(RunConfig *cfg);

/* What keeps anything from reading this key, as the other options stand; NULL: it is read. */
const KeyNeed *config_unmet(const RunConfig *cfg, const char *key);
const KeyNeed *dataset_unmet(const DatasetOpts *d, const char *key);
#endif
