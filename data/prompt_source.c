/* prompt_source.c — prompt and completion joined; the completion is what is learned. */
#include "data/prompt_source.h"
#include "trainer/base/mem.h"

Status prompt_source_open(const DatasetOpts *o, const PackOpts *p, PromptSource **out)
{
    Status rc = ST_OK;
    PromptSource *s = NULL;
    *out = NULL;
    CHECK(o->path, CONFIG, "dataset of type %s: path is missing", o->type);
    s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "%s: %zu bytes", o->path, sizeof *s);
    s->train_on_inputs = p->train_on_inputs;
    TRY(json_items_open(o->path, &s->items));
    *out = s;
    s = NULL;
out:
    prompt_source_close(s);
    return rc;
}

void prompt_source_close(void *self)
{
    PromptSource *s = self;
    if (!s) return;
    json_items_close(s->items);
    buffer_fini(&s->text);
    mem_free(s);
}

Status prompt_source_next(void *self, Doc *d)
{
    Status rc = ST_OK;
    PromptSource *s = self;
    const json_t *object;
    const char *completion;
    int64_t n;
    TRY(json_items_next(s->items, &object));
    if (!object) goto out;
    s->text.n = 0;
    TRY(s->add_prompt(s, object));
    s->completion.from = (int64_t)s->text.n;
    TRY(json_items_text(s->items, object, "", s->completion_field, &completion, &n));
    TRY(buffer_add(&s->text, completion, (size_t)n));
    s->completion.to = (int64_t)s->text.n;
    *d = (Doc){.text = s->text.s,
               .n_bytes = s->completion.to,
               .learn_all = s->train_on_inputs,
               .learned = &s->completion,
               .n_learned = n > 0,
               .number = json_items_number(s->items)};
out:
    return rc;
}
