/* data_jsonl.c — JSON objects, .jsonl or .json, also .gz; the document is the string under
 * `text_field`. */
#include "data/data.h"
#include "data/json_items.h"
#include "trainer/base/mem.h"
#include <string.h>

typedef struct JsonlSource {
    JsonItems *items;
    const char *field;
} JsonlSource;

static void jsonl_close(void *self)
{
    JsonlSource *s = self;
    if (!s) return;
    json_items_close(s->items);
    mem_free(s);
}

static Status jsonl_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok, void **self)
{
    Status rc = ST_OK;
    JsonlSource *s = NULL;
    (void)p;
    (void)tok;
    *self = NULL;
    CHECK(o->path, CONFIG, "dataset of type jsonl: path is missing");
    s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "%s: %zu bytes", o->path, sizeof *s);
    s->field = o->text_field;
    TRY(json_items_open(o->path, &s->items));
    *self = s;
    s = NULL;
out:
    jsonl_close(s);
    return rc;
}

static Status jsonl_next(void *self, Doc *d)
{
    Status rc = ST_OK;
    JsonlSource *s = self;
    const json_t *object;
    TRY(json_items_next(s->items, &object));
    if (!object) goto out;
    d->learn_all = true;
    TRY(json_items_text(s->items, object, "", s->field, &d->text, &d->n_bytes));
out:
    return rc;
}

static Status jsonl_add_key(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                            Sha256 *key)
{
    (void)p;
    (void)tok;
    sha256_add(key, o->text_field, strlen(o->text_field) + 1);
    return ST_OK;
}

const DatasetDef data_jsonl = {.name = "jsonl",
                               .open = jsonl_open,
                               .next = jsonl_next,
                               .close = jsonl_close,
                               .add_key = jsonl_add_key};
