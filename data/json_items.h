/* json_items.h — JSON objects out of a file, one after the other. */
#ifndef DATA_JSON_ITEMS_H
#define DATA_JSON_ITEMS_H
#include "trainer/base/status.h"
#include <jansson.h>

/* A file whose first character is [ is one array of objects; any other has an object in each line
 * that is not empty. Plain or gzip. jansson refuses what must not pass: \u0000, lone surrogates,
 * doubled keys, anything behind the object. */
typedef struct JsonItems JsonItems;

/* Errors  those of lines_open */
CHECKED Status json_items_open(const char *path, JsonItems **s);
void json_items_close(JsonItems *s);

/* The next object, valid until the next call; NULL at the end.
 *
 * Errors  ST_FORMAT "path:line: ..." no JSON, no object, an array that is not closed; those of
 *         lines_next */
CHECKED Status json_items_next(JsonItems *s, const json_t **object);
int64_t json_items_number(const JsonItems *s); /* of the object last returned, from 1 */

/* Where that object begins, for the head of a message: "path:line", in an array "path:line: element
 * 7". Valid until the next call. */
const char *json_items_place(JsonItems *s);

/* The text under `key` of the object last returned, or of `part` in it, which messages call
 * `part_name` ("message 2: ", or "").
 *
 * Errors  ST_FORMAT at its place: missing, no string; the type of dataset it looks like is named */
CHECKED Status json_items_text(JsonItems *s, const json_t *part, const char *part_name,
                               const char *key, const char **text, int64_t *n_bytes);
const char *json_type_name(const json_t *value); /* "an array", "null" */
#endif
