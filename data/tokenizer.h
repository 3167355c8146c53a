/* tokenizer.h — what a kind of tokenizer defines; one file tokenizer_<name>.c, one line in
 * tokenizer_list.h. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H
#include "data/data.h"

typedef struct TokenizerDef {
    const char *name;
    bool (*knows)(const char *name); /* is this name (a word or a folder) one of this kind? */
    Status (*open)(const char *name, void **self);
    void (*close)(void *self);
    int64_t (*vocab_size)(const void *self);
    int32_t (*eos)(const void *self);
    const char *(*hash)(const void *self);
    int64_t (*encode)(const void *self, const char *text, int64_t n_bytes, int32_t *ids,
                      int64_t max);
    int64_t (*decode)(const void *self, const int32_t *ids, int64_t n, char *text, int64_t max);
} TokenizerDef;
#endif
