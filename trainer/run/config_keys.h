/* config_keys.h — what is known of keys beside their type: other spellings, rivals, who reads them. */
#ifndef TRAINER_RUN_CONFIG_KEYS_H
#define TRAINER_RUN_CONFIG_KEYS_H
#include "trainer/base/opt.h"

/* `block` is where a key stands: "" at the top, "model", "datasets" for an entry of either list of datasets,
 * "trainable" for an entry of that list. What a method takes may stand at the top as well. */

typedef struct KeyAlias {
    const char *block, *spelling, *key;
} KeyAlias;
extern const KeyAlias KEY_ALIASES[]; /* ends with a NULL spelling */
bool key_alias_holds(const KeyAlias *alias, const char *block);
const char *key_canonical(const char *block, const char *spelling);

/* The word used here for a value that others spell differently (optim: adamw_torch, bf16: true). */
const char *key_value(const char *spelling, const char *value);

/* A pattern that ends with * stands for all keys that begin so. */
bool key_matches(const char *pattern, const char *key);

/* Why a key of other tools means nothing here; NULL: nobody's key. */
const char *key_foreign(const char *key);

bool key_is_path(const char *block, const char *key); /* resolved against the file it stands in */
bool key_is_free(const char *block, const char *key); /* may change between two starts of one run */

/* Rivals say the same thing; one of them may be set. The last of a group speaks when none is. Each group ends with
 * NULL, the list of groups with an empty one. */
enum { KEY_MAX_RIVALS = 3 };
extern const char *const KEY_RIVALS[][KEY_MAX_RIVALS + 1];
const char *const *key_rivals(const char *key); /* NULL: it has none */

/* `key` is read only when `selector` has one of `words`; a leading "!" turns it round, "" stands for not set. The
 * selector "datasets" has the types of all datasets. */
typedef struct KeyNeed {
    const char *block, *key, *selector, *words;
} KeyNeed;
extern const KeyNeed KEY_NEEDS[]; /* ends with a NULL key */
bool key_need_met(const KeyNeed *need, const char *value);
#endif
