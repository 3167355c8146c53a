/* data_completion.c — a prompt and its completion, joined as they were written; the completion is
 * learned. */
#include "data/prompt_source.h"
#include <string.h>

static Status add_prompt(PromptSource *s, const json_t *object)
{
    Status rc = ST_OK;
    const char *prompt;
    int64_t n;
    TRY(json_items_text(s->items, object, "", s->prompt_field, &prompt, &n));
    TRY(buffer_add(&s->text, prompt, (size_t)n));
out:
    return rc;
}

static Status completion_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                              void **self)
{
    Status rc = ST_OK;
    PromptSource *s = NULL;
    (void)tok;
    TRY(prompt_source_open(o, p, &s));
    s->prompt_field = o->prompt_field;
    s->completion_field = o->completion_field;
    s->add_prompt = add_prompt;
out:
    *self = s;
    return rc;
}

static Status completion_add_key(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                                 Sha256 *key)
{
    (void)tok;
    sha256_add(key, o->prompt_field, strlen(o->prompt_field) + 1);
    sha256_add(key, o->completion_field, strlen(o->completion_field) + 1);
    sha256_add(key, &p->train_on_inputs, sizeof p->train_on_inputs);
    return ST_OK;
}

const DatasetDef data_completion = {.name = "completion",
                                    .open = completion_open,
                                    .next = prompt_source_next,
                                    .close = prompt_source_close,
                                    .add_key = completion_add_key,
                                    .is_samples = true};
