/* data_text.c — plain text, .txt or .txt.gz: the whole file is one text, or each line or paragraph
 * a document. */
#include "data/buffer.h"
#include "data/data.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <string.h>

enum { MAX_LINE_BYTES = 1 << 28 };

typedef enum TextUnit { UNIT_FILE, UNIT_LINE, UNIT_PARAGRAPH } TextUnit;

typedef struct TextSource {
    LineReader *lines;
    TextUnit unit;
    Buffer doc; /* being put together */
} TextSource;

static void text_close(void *self)
{
    TextSource *s = self;
    if (!s) return;
    lines_close(s->lines);
    buffer_fini(&s->doc);
    mem_free(s);
}

static Status text_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok, void **self)
{
    Status rc = ST_OK;
    TextSource *s = NULL;
    (void)p;
    (void)tok;
    *self = NULL;
    CHECK(o->path, CONFIG, "dataset of type text: path is missing");
    s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "%s: %zu bytes", o->path, sizeof *s);
    s->unit = strcmp(o->document, "file") == 0   ? UNIT_FILE
              : strcmp(o->document, "line") == 0 ? UNIT_LINE
                                                 : UNIT_PARAGRAPH;
    TRY(lines_open(o->path, MAX_LINE_BYTES, &s->lines));
    *self = s;
    s = NULL;
out:
    text_close(s);
    return rc;
}

/* A paragraph ends with its last line that is not empty; the empty lines around it belong to
 * nobody. */
static Status next_paragraph(TextSource *s)
{
    Status rc = ST_OK;
    const char *line;
    int64_t n;
    for (;;) {
        TRY(lines_next(s->lines, &line, &n));
        if (!line || (n == 0 && s->doc.n > 0)) break;
        if (n == 0) continue;
        if (s->doc.n > 0) TRY(buffer_add(&s->doc, "\n", 1));
        TRY(buffer_add(&s->doc, line, (size_t)n));
    }
out:
    return rc;
}

static Status text_next(void *self, Doc *d)
{
    Status rc = ST_OK;
    TextSource *s = self;
    s->doc.n = 0;
    d->learn_all = true;
    if (s->unit == UNIT_LINE) {
        TRY(lines_next(s->lines, &d->text, &d->n_bytes));
        goto out;
    }
    if (s->unit == UNIT_PARAGRAPH) {
        TRY(next_paragraph(s));
    } else {
        const char *line;
        int64_t n;
        TRY(lines_next(s->lines, &line, &n));
        if (line) TRY(buffer_add(&s->doc, line, (size_t)n));
        if (line && lines_has_end(s->lines)) TRY(buffer_add(&s->doc, "\n", 1));
    }
    d->text = s->doc.n > 0 ? s->doc.s : NULL;
    d->n_bytes = (int64_t)s->doc.n;
out:
    return rc;
}

static Status text_add_key(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                           Sha256 *key)
{
    (void)p;
    (void)tok;
    sha256_add(key, o->document, strlen(o->document) + 1);
    return ST_OK;
}

static bool text_is_stream(const DatasetOpts *o)
{
    return strcmp(o->document, "file") == 0;
}

const DatasetDef data_text = {.name = "text",
                              .open = text_open,
                              .next = text_next,
                              .close = text_close,
                              .add_key = text_add_key,
                              .is_stream = text_is_stream};
