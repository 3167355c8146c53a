/* id_table.h — ids and texts, each to the other; a text belongs to one id, an id to one text. */
#ifndef DATA_ID_TABLE_H
#define DATA_ID_TABLE_H
#include "trainer/base/status.h"

enum { ID_TABLE_MAX_ID = (1 << 22) - 1 }; /* so that no file makes us allocate for a lie */

typedef struct IdTable IdTable;
CHECKED Status id_table_create(IdTable **t);
void id_table_destroy(IdTable *t);
/* The same pair again is fine.
 * Errors  ST_FORMAT the text has another id, the id another text, the id is out of range
 * Owns    copies the text */
CHECKED Status id_table_put(IdTable *t, int64_t id, const char *text, int64_t n);
int32_t id_table_find(const IdTable *t, const char *text, int64_t n); /* -1: not there */
/* NUL-terminated, valid until the next put; NULL when there is no such id. */
const char *id_table_text(const IdTable *t, int64_t id, int64_t *n);
int64_t id_table_size(const IdTable *t); /* highest id + 1 */
#endif
