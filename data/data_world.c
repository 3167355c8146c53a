/* data_world.c — the text of the demo world as a dataset: one stream, made when it is opened. */
#include "data/data.h"
#include "data/world.h"
#include "trainer/base/mem.h"

typedef struct WorldSource {
    char *text;
    int64_t n_bytes;
    bool given;
} WorldSource;

static void world_close(void *self)
{
    WorldSource *s = self;
    if (!s) return;
    mem_free(s->text);
    mem_free(s);
}

static Status world_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok, void **self)
{
    Status rc = ST_OK;
    (void)p;
    (void)tok;
    const WorldSpec spec = {.version = o->world_version,
                            .seed = o->world_seed,
                            .n_bytes = o->world_bytes,
                            .phrasings = o->world_phrasings};
    WorldSource *s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "world: %zu bytes", sizeof *s);
    TRY(world_corpus(&spec, &s->text, &s->n_bytes));
    *self = s;
    s = NULL;
out:
    world_close(s);
    return rc;
}

static Status world_next(void *self, Doc *d)
{
    WorldSource *s = self;
    if (s->given) return ST_OK;
    s->given = true;
    *d = (Doc){.text = s->text, .n_bytes = s->n_bytes, .learn_all = true};
    return ST_OK;
}

static bool world_is_stream(const DatasetOpts *o)
{
    (void)o;
    return true;
}

const DatasetDef data_world = {.name = "world",
                               .open = world_open,
                               .next = world_next,
                               .close = world_close,
                               .is_stream = world_is_stream};
