/* config.h — one YAML file, what it extends and key=value from the command line, as typed options of one run. */
#ifndef TRAINER_RUN_CONFIG_H
#define TRAINER_RUN_CONFIG_H
#include "data/data.h"
#include "optim/optim.h"
#include "schedules/sched.h"
#include "trainer/methods/methods.h"
#include "trainer/models/model.h"
#include <jansson.h>

typedef struct ConfigTree ConfigTree; /* where each value stands; owns every string of the config */

/* Resolved: what can be derived is filled in, what was found has been checked. "Not set" is NULL for texts and a
 * value outside the option's bounds for numbers (0 here). Paths are absolute. */
typedef struct RunConfig {
    const char *output_dir, *run_name;
    const char *version, *follows;
    const char *paradigm;  /* path_switching | from_scratch | continual; plain: no version */
    double decay_fraction; /* alpha */
    double replay;
    bool average_main;
    double average_fraction;
    int64_t average_every;
    const char *continual_lr; /* reset | min */
    bool concurrent_branches;
    const char *branch_from; /* LINE@POINT */
    const char *init_from;
    const char *model_name_or_path;   /* a folder; model has the sizes its config.json gives */
    const char *adapter_name_or_path; /* a folder; what it adapts stands in methods */
    const char *tokenizer;

    int64_t max_steps, max_tokens; /* exactly one of these three is set */
    double num_train_epochs;
    int64_t micro_batch_size, global_batch_size; /* sequences; global is a multiple of micro */
    int64_t gradient_accumulation_steps;         /* always 0: resolved into global_batch_size */
    int64_t reduction_groups;                    /* a power of two, at most global / micro */
    bool overlap_comm, gradient_checkpointing;
    const char *prefix_cache; /* auto | on | off */
    int64_t prefix_cache_limit_bytes;

    const char *optim, *lr_scheduler_type;
    int64_t seed, data_seed;
    const char *on_nonfinite; /* stop | skip */
    int64_t max_nonfinite_skips;

    int64_t save_steps, save_total_limit;
    bool save_in_background;
    int64_t eval_steps, eval_max_tokens;
    bool load_best_model_at_end;
    const char *metric_for_best_model;
    int64_t early_stopping_patience;
    double early_stopping_threshold;
    int64_t logging_steps;
    const char *report_to; /* a list; ask config_reports_to */

    const char *export_to; /* a list; NULL: none */

    const char *compute_dtype, *gemm_backend;
    int64_t threads;
    bool strict;
    double watchdog_setup_s, watchdog_step_s, watchdog_save_s;

    PackOpts pack;
    ModelConfig model;
    const char *finetuning_type; /* always NULL: resolved into methods */
    int64_t n_method;            /* entries of trainable:; 0: all of the model is trained */
    MethodSpec *methods;
    const SchedDef *sched_def;
    void *sched_opts; /* starts with SchedCommon */
    const OptimDef *optim_def;
    void *optim_opts;
    OptimCommon optim_common;
    int64_t n_dataset, n_eval_dataset;
    DatasetOpts *datasets, *eval_datasets;

    ConfigTree *tree;
} RunConfig;

extern const OptSpec RUN_OPTS[];

/* Reads a run: path, what it extends, then key=value in order ("model.hidden_size=64", "datasets.0.path=a.txt").
 * Paths in a file are relative to that file, those on the command line to the working directory. A later layer
 * replaces a value, a whole list, and a rival (max_steps replaces max_tokens).
 *
 * Rank    local
 * Errors  ST_CONFIG "file:line: key: what was found, what was expected"; ST_USAGE an argument without "="; ST_NOMEM
 * Owns    *cfg is the caller's, until config_destroy; it keeps no pointer into the arguments */
CHECKED Status config_load(const char *path, int n_override, const char *const *override,
                           RunConfig **cfg);
/* The same from memory; `name` is shown in messages, paths are relative to the working directory. */
CHECKED Status config_parse(const char *name, const char *text, size_t n, int n_override,
                            const char *const *override, RunConfig **cfg);
/* The run a checkpoint stores, from what config_to_json gave. */
CHECKED Status config_from_json(const json_t *resolved, RunConfig **cfg);
void config_destroy(RunConfig *cfg);

bool config_is_set(const RunConfig *cfg, const char *key); /* by the user, not by default */
bool config_reports_to(const RunConfig *cfg, const char *sink);

/* Set-up found that nothing will read `key` ("replay", "datasets.0.weight"): an error with its place when the user
 * set it, nothing when it is a default. What can be known from the file alone is refused by config_load already.
 * Errors  ST_CONFIG "file:line: key: is set but never read: why" */
CHECKED Status config_unread(const RunConfig *cfg, const char *key, const char *why);

/* Every option by its canonical name, defaults included, as config_load reads it back.
 * Owns  *json is the caller's (json_decref) */
CHECKED Status config_to_json(const RunConfig *cfg, json_t **json);
/* The same as YAML, atomically. Rank: local. */
CHECKED Status config_write(const RunConfig *cfg, const char *path);

/* The options in which two resolved configs differ and that change what is computed, on one line
 * ("learning_rate: 0.0003 before, 0.001 now; seed: 1 before, 2 now"); *text is NULL when there is none. Left to others: where data lie (their
 * fingerprint decides), what the numerics fingerprint holds, and all that only shows or saves.
 * Owns  *text is the caller's (mem_free) */
CHECKED Status config_diff(const json_t *before, const json_t *now, char **text);

/* The option tables for people and editors. Owns: the caller's. */
CHECKED Status config_schema_json(json_t **schema); /* JSON Schema, draft 2020-12 */
CHECKED Status config_schema_markdown(char **text); /* docs/options.md */
#endif
