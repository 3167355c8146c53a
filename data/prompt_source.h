/* prompt_source.h — what the formats of a prompt and its completion share. */
#ifndef DATA_PROMPT_SOURCE_H
#define DATA_PROMPT_SOURCE_H
#include "data/buffer.h"
#include "data/data.h"
#include "data/json_items.h"

typedef struct PromptSource {
    JsonItems *items;
    bool train_on_inputs;
    const char *prompt_field, *completion_field;
    Status (*add_prompt)(struct PromptSource *s, const json_t *object); /* to text */
    Buffer text;
    DocSpan completion; /* its bytes in text */
} PromptSource;

/* Errors  ST_CONFIG no path; those of json_items_open */
CHECKED Status prompt_source_open(const DatasetOpts *o, const PackOpts *p, PromptSource **s);
/* The functions of a DatasetDef; a completion that is empty leaves nothing to be learned. */
void prompt_source_close(void *self);
CHECKED Status prompt_source_next(void *self, Doc *d);
#endif
