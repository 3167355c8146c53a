/* dataset.c — the options of a dataset, its format by name or extension, and what holds for every
 * format. */
#include "data/data.h"
#include "data/data_list.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>

// clang-format off
const OptSpec DATASET_OPTS[] = {
    OPT_STR(DatasetOpts, name,       NULL,   "name in metrics; default: the file's name without its extension"),
    OPT_STR(DatasetOpts, path,       NULL,   "the file; relative to the config file"),
    OPT_ENUM(DatasetOpts, type,      "auto", "auto|text|jsonl|completion|alpaca|messages|world", "format; auto: by extension, .txt is text, .jsonl and .json are jsonl, all also with .gz"),
    OPT_STR(DatasetOpts, text_field, "text", "jsonl: key of the text"),
    OPT_STR(DatasetOpts, prompt_field, "prompt", "completion: key of the prompt"),
    OPT_STR(DatasetOpts, completion_field, "completion", "completion: key of what follows it and is learned"),
    OPT_ENUM(DatasetOpts, document,  "file", "file|line|paragraph", "text: what one document is"),
    OPT_F64(DatasetOpts, weight,     1.0, 1e-6, 1e6, "share of the samples, where max_steps or max_tokens bounds the run"),
    OPT_I64(DatasetOpts, world_version, 1, 1, 1000, "world: version of the facts"),
    OPT_I64(DatasetOpts, world_seed,    1, 0, 9e15, "world: seed of people, facts and text"),
    OPT_COUNT(DatasetOpts, world_bytes, 0, 0, 1e12, "world: size of the text; 0: the recipe's"),
    OPT_I64(DatasetOpts, world_phrasings, 4, 1, 8, "world: ways to state a fact; more are learned later"),
    OPT_END
};
// clang-format on

#define DECLARE(name) extern const DatasetDef data_##name;
DATA_LIST(DECLARE)
#undef DECLARE

static const DatasetDef *const FORMATS[] = {
#define ROW(name) &data_##name,
    DATA_LIST(ROW)
#undef ROW
};

static const struct {
    const char *extension, *format;
} BY_EXTENSION[] = {{".txt", "text"},       {".txt.gz", "text"}, {".jsonl", "jsonl"},
                    {".jsonl.gz", "jsonl"}, {".json", "jsonl"},  {".json.gz", "jsonl"}};

struct DocSource {
    const DatasetDef *def;
    void *self;
    char *what; /* path or format, for messages */
    bool is_stream;
    int64_t n_empty;
};

static const char *extension_at(const char *path, const char **format)
{
    for (int64_t i = 0; i < N_OF(BY_EXTENSION); i++) {
        const size_t n = strlen(path), k = strlen(BY_EXTENSION[i].extension);
        if (n <= k || strcmp(path + n - k, BY_EXTENSION[i].extension) != 0) continue;
        if (format) *format = BY_EXTENSION[i].format;
        return path + n - k;
    }
    return NULL;
}

const char *dataset_name(const DatasetOpts *o, char *buf, size_t n_buf)
{
    if (o->name) {
        snprintf(buf, n_buf, "%s", o->name);
    } else if (!o->path) {
        snprintf(buf, n_buf, "%s", o->type);
    } else {
        const char *slash = strrchr(o->path, '/'), *stem = slash ? slash + 1 : o->path;
        const char *end = extension_at(stem, NULL);
        snprintf(buf, n_buf, "%.*s", end ? (int)(end - stem) : (int)strlen(stem), stem);
    }
    return buf;
}

Status dataset_def(const DatasetOpts *o, const DatasetDef **def)
{
    Status rc = ST_OK;
    const char *format = o->type;
    *def = NULL;
    if (strcmp(format, "auto") == 0) {
        CHECK(o->path, CONFIG, "dataset: path is missing");
        CHECK(extension_at(o->path, &format), CONFIG,
              "%s: its name does not tell its format (.txt, .jsonl, .json, each also with .gz); "
              "set type",
              o->path);
    }
    for (int64_t i = 0; i < N_OF(FORMATS) && !*def; i++)
        if (strcmp(FORMATS[i]->name, format) == 0) *def = FORMATS[i];
    CHECK(*def, CONFIG, "dataset: type \"%s\" is unknown", format);
out:
    return rc;
}

Status doc_source_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                       DocSource **out_src)
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    const DatasetDef *def;
    *out_src = NULL;
    TRY(dataset_def(o, &def));
    src = mem_alloc(sizeof *src);
    CHECK(src, NOMEM, "dataset: %zu bytes", sizeof *src);
    src->what = mem_strdup(o->path ? o->path : def->name);
    CHECK(src->what, NOMEM, "dataset: no memory for its name");
    src->is_stream = def->is_stream && def->is_stream(o);
    TRY(def->open(o, p, tok, &src->self));
    src->def = def;
    *out_src = src;
    src = NULL;
out:
    doc_source_close(src);
    return rc;
}

void doc_source_close(DocSource *src)
{
    if (!src) return;
    if (src->def) src->def->close(src->self);
    mem_free(src->what);
    mem_free(src);
}

const DatasetDef *doc_source_def(const DocSource *src)
{
    return src->def;
}

bool doc_source_is_stream(const DocSource *src)
{
    return src->is_stream;
}

Status doc_source_next(DocSource *src, Doc *d)
{
    Status rc = ST_OK;
    for (;;) {
        *d = (Doc){0};
        TRY(src->def->next(src->self, d));
        if (!d->text || d->n_bytes > 0) break;
        src->n_empty++;
    }
    CHECK(!d->text || !memchr(d->text, '\0', (size_t)d->n_bytes), FORMAT,
          "%s: a document holds a NUL", src->what);
out:
    return rc;
}

int64_t doc_source_n_empty(const DocSource *src)
{
    return src->n_empty;
}
