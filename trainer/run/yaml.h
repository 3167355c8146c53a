/* yaml.h — the YAML a configuration may use, as a small tree; everything else is refused with its line. */
#ifndef TRAINER_RUN_YAML_H
#define TRAINER_RUN_YAML_H
#include "trainer/base/status.h"

enum {
    YAML_MAX_BYTES = 1 << 20,
    YAML_MAX_DEPTH = 32,
    YAML_MAX_ENTRIES = 1024,
    YAML_MAX_NODES = 50000
};

typedef enum YamlKind { YAML_TEXT, YAML_LIST, YAML_MAP } YamlKind;

typedef struct Yaml Yaml;
struct Yaml {
    YamlKind kind;
    bool quoted;      /* a text in quotes or a block text: never a number */
    int line, column; /* 1-based; of an entry of a map: where its key stands */
    int source;       /* the reader's number for the file */
    char *key;        /* of an entry of a map; NULL elsewhere */
    char *text;       /* YAML_TEXT */
    int64_t n;        /* children */
    Yaml *first, *last, *next;
};

/* Parses one document. Refused: anchors, aliases, tags, merge keys, directives, several documents, doubled keys,
 * keys that are no text, bytes that are no UTF-8, NUL, and whatever exceeds the limits above. An empty document is
 * an empty map. `name` and `source` say where the text comes from.
 *
 * Rank    local
 * Errors  ST_CONFIG "name:line: key: what was found, what was expected"; ST_NOMEM
 * Owns    *root is the caller's, until yaml_destroy */
CHECKED Status yaml_parse(const char *name, int source, const char *text, size_t n, Yaml **root);
CHECKED Status yaml_read_file(const char *path, int source, Yaml **root);

Yaml *yaml_create(YamlKind kind, int source); /* NULL: no memory */
void yaml_destroy(Yaml *y);                   /* and everything below */

Yaml *yaml_find(const Yaml *map, const char *key);       /* NULL: not there, or no map */
Yaml *yaml_at(const Yaml *list, int64_t i);              /* NULL: not there, or no list */
void yaml_append(Yaml *parent, Yaml *child);             /* hands child over */
Yaml *yaml_detach(Yaml *parent, Yaml *child);            /* the caller's again */
void yaml_replace(Yaml *parent, Yaml *old, Yaml *child); /* at its place; destroys old */

const char *yaml_kind_name(const Yaml *y); /* "a list", "a map", "a text" */

/* Foreign text made fit for one line of a message: cut to n_buf, control characters replaced. */
const char *yaml_printable(const char *text, char *buf, size_t n_buf);
#endif
