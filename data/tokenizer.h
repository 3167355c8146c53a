/* tokenizer.h — what a kind of tokenizer defines; one file tokenizer_<name>.c, one line in
 * tokenizer_list.h. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H
#include "data/data.h"

enum { ID_BOS, ID_EOS, ID_PAD, N_NAMED_ID };

typedef struct TokenizerDef {
    const char *name;
    bool (*knows)(const char *name); /* is this name (a word or a folder) one of this kind? */
    Status (*open)(const char *name, void **self);
    void (*close)(void *self);
    int64_t (*vocab_size)(const void *self);
    int32_t (*named_id)(const void *self, int which); /* -1: none */
    int32_t (*id)(const void *self, const char *token);
    const char *(*token)(const void *self, int32_t id);
    bool (*is_special)(const void *self, int32_t id);
    bool (*is_end)(const void *self, int32_t id);
    const char *(*piece)(const void *self, int32_t id, int64_t *n_bytes);
    const char *(*hash)(const void *self);
    Status (*encode)(void *self, const char *text, int64_t n_bytes, TokenizerFlags flags,
                     TokenList *list);
    int64_t (*decode)(const void *self, const int32_t *ids, int64_t n, TokenizerFlags flags,
                      char *text, int64_t max);
    Status (*save)(const void *self, const char *folder, const char *dir); /* tokenizer_save */
} TokenizerDef;
#endif
