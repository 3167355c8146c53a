/* model_keys.h — the words of a family's config.json, and with them which options the family reads. */
#ifndef TRAINER_MODELS_MODEL_KEYS_H
#define TRAINER_MODELS_MODEL_KEYS_H
#include "trainer/models/model.h"

/* A key that is an option of MODEL_OPTS. */
typedef struct ModelKey {
    const char *key, *option;
    const char *absent; /* what transformers takes where the key is not there; "": the default of
                           MODEL_OPTS; NULL: it has to be there */
    bool nullable;      /* null stands for what is not set or derived */
} ModelKey;

/* A key of which one meaning is implemented; absent and null are right, too. */
typedef struct ModelFixedKey {
    const char *key;
    const char *words; /* "gelu_new|gelu_pytorch_tanh", "false", "1"; "": nothing may stand there */
} ModelFixedKey;

/* A key of rope_scaling, or rope_parameters, that some kinds of scaling read. */
typedef struct RopeKey {
    const char *key, *option;
    const char *types; /* "llama3|yarn" */
    bool required;
} RopeKey;
extern const RopeKey ROPE_KEYS[]; /* ends with a NULL key */

struct ModelDef;
const struct ModelDef *model_def_find(const char *model_type); /* NULL: unknown */
const char *model_def_names(void);                             /* "llama|mistral|..." */

bool model_word_in(const char *words, const char *word); /* "a|b" has "b" */
#endif
