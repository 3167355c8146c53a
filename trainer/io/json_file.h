/* json_file.h — other people's JSON files, read with bounds and with messages that name the place.
 *
 *     TRY(json_doc_open("config.json", 1 << 20, &doc));
 *     const JsonAt top = json_doc_top(doc), rope = json_key(&top, "rope_scaling");
 *     TRY(json_i64(json_key(&top, "num_attention_heads"), 1, 65536, &n_head));
 *     TRY(json_opt_i64(&top, "num_key_value_heads", 1, n_head, &n_kv));
 *     if (json_is_there(rope)) TRY(json_f64(json_key(&rope, "factor"), 1, 1e6, &factor));
 *
 * fails with "config.json: rope_scaling.factor: found 0.5, expected a number 1 .. 1000000". All
 * functions are local; what fails in a getter is ST_FORMAT. */
#ifndef TRAINER_IO_JSON_FILE_H
#define TRAINER_IO_JSON_FILE_H
#include "trainer/base/status.h"
#include <jansson.h>

typedef struct JsonDoc JsonDoc;

/* Reads a file that holds one JSON object. Doubled keys, NUL characters, invalid UTF-8 and nesting
 * beyond jansson's bound (2048) are refused.
 *
 * Errors  ST_DATA   missing, unreadable, longer than max_bytes
 *         ST_FORMAT "file:line: what"
 * Owns    *doc is the caller's (json_doc_close) */
CHECKED Status json_doc_open(const char *path, size_t max_bytes, JsonDoc **doc);
/* The same from memory; messages call it `label`. Keeps neither label nor text. */
CHECKED Status json_doc_parse(const char *label, const char *text, size_t n, JsonDoc **doc);
void json_doc_close(JsonDoc *doc); /* accepts NULL */

/* A place in a document: cheap, by value. It points to the place above it, which has to stay. */
typedef struct JsonAt {
    const json_t *value; /* NULL: nothing is there */
    const struct JsonAt *up;
    const char *key; /* NULL: `index` counts in the list above, or the whole document */
    int64_t index;
    const JsonDoc *doc;
} JsonAt;

JsonAt json_doc_top(const JsonDoc *doc);
JsonAt json_key(const JsonAt *object, const char *key); /* borrows both */
JsonAt json_item(const JsonAt *list, int64_t index);
/* Keys in the order of the file: for (const char *key = NULL; (key = json_next_key(at, key));) */
const char *json_next_key(JsonAt object, const char *key);
int64_t json_count(JsonAt at); /* items of a list, keys of an object, else 0 */
bool json_is_there(JsonAt at); /* and not null */
bool json_has(const JsonAt *object, const char *key); /* json_is_there of that key */

/* What has to be there. A number with a fraction or an exponent is not a whole number; a whole
 * number is a number. Texts live as long as the document. */
CHECKED Status json_i64(JsonAt at, int64_t lowest, int64_t highest, int64_t *x);
CHECKED Status json_f64(JsonAt at, double lowest, double highest, double *x);
CHECKED Status json_bool(JsonAt at, bool *x);
CHECKED Status json_text(JsonAt at, const char **x);
CHECKED Status json_is_list(JsonAt at);
CHECKED Status json_is_map(JsonAt at);

/* The same where an absent key, or null, leaves *x as it is. */
CHECKED Status json_opt_i64(const JsonAt *object, const char *key, int64_t lowest, int64_t highest,
                            int64_t *x);
CHECKED Status json_opt_f64(const JsonAt *object, const char *key, double lowest, double highest,
                            double *x);
CHECKED Status json_opt_bool(const JsonAt *object, const char *key, bool *x);
CHECKED Status json_opt_text(const JsonAt *object, const char *key, const char **x);

/* "config.json: rope_scaling.factor: found 0.5, expected <what>", for rules of the caller's own. */
CHECKED Status json_refuse(JsonAt at, const char *expected, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- writing ---- */

/* The file, indented, keys in their order or sorted, atomically.
 * Errors  ST_IO; ST_NOMEM, also where json is NULL
 * Owns    takes json over */
CHECKED Status json_file_write(const char *dir, const char *name, json_t *json, bool sorted);
#endif
