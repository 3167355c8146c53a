/* config_tree.h — the layers of a configuration merged into one tree, each value knowing where it stands. */
#ifndef TRAINER_RUN_CONFIG_TREE_H
#define TRAINER_RUN_CONFIG_TREE_H
#include "trainer/run/config.h"
#include "trainer/run/yaml.h"

enum {
    CONFIG_MAX_FILES = 8,
    CONFIG_N_PLACE = 256 /* room for a place in a message */
};

/* Sources are numbered from the strongest layer down: command line, file, what it extends. */
enum { SOURCE_CLI = 0, SOURCE_FILE = 1 };

struct ConfigTree {
    Yaml *root; /* canonical keys only */
    int n_source;
    struct {
        char *name; /* as messages show it */
        char *dir;  /* absolute; relative paths start here */
    } source[1 + CONFIG_MAX_FILES];
};

/* From a file, or from text when it is not NULL. Errors, Rank: as config_load. */
CHECKED Status config_tree_create(const char *path, const char *text, size_t n, int n_override,
                                  const char *const *override, ConfigTree **tree);
void config_tree_destroy(ConfigTree *t);

/* "file:line: " or "command line: ", for the head of a message. */
const char *config_place(const ConfigTree *t, const Yaml *at, char *buf, size_t n_buf);

/* Brings keys, values and short forms below `root` into canonical spelling.
 * Errors  ST_CONFIG two spellings of one key */
CHECKED Status config_canonical(const ConfigTree *t, Yaml *root);
/* The value of warmup_ratio is below 1. */
CHECKED Status config_check_ratio(const ConfigTree *t, const Yaml *y);

/* "max_steps", "model.hidden_size", "datasets.0.path"; NULL: not set by the user. */
const Yaml *config_tree_find(const ConfigTree *t, const char *key);

/* value below dir, "./" and leading "../" taken away; an absolute value stays. NULL: no memory. Owns: the caller's. */
char *config_path_below(const char *dir, const char *value);

/* Replaces the failure that is being reported by ST_CONFIG with `place` and `key` in front; ST_NOMEM stays. */
CHECKED Status config_refuse(Status failed, const char *place, const char *key);
#endif
