/* data_text.c — plain text, .txt or .txt.gz: the whole file is one text, or each line or paragraph
 * a document. */
#include "data/data.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <string.h>

enum { MAX_LINE_BYTES = 1 << 28 };

typedef enum TextUnit { UNIT_FILE, UNIT_LINE, UNIT_PARAGRAPH } TextUnit;

typedef struct TextSource {
    LineReader *lines;
    TextUnit unit;
    char *buf; /* the document being put together */
    size_t cap, n;
} TextSource;

static void text_close(void *self)
{
    TextSource *s = self;
    if (!s) return;
    lines_close(s->lines);
    mem_free(s->buf);
    mem_free(s);
}

static Status text_open(const DatasetOpts *o, void **self)
{
    Status rc = ST_OK;
    TextSource *s = NULL;
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

static Status text_append(TextSource *s, const char *text, size_t n)
{
    Status rc = ST_OK;
    if (s->n + n >= s->cap) {
        const size_t cap = 2 * (s->n + n) + 64;
        char *wider = mem_resize(s->buf, s->n, cap);
        CHECK(wider, NOMEM, "a document of %zu bytes", s->n + n);
        s->buf = wider;
        s->cap = cap;
    }
    memcpy(s->buf + s->n, text, n);
    s->n += n;
out:
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
        if (!line || (n == 0 && s->n > 0)) break;
        if (n == 0) continue;
        if (s->n > 0) TRY(text_append(s, "\n", 1));
        TRY(text_append(s, line, (size_t)n));
    }
out:
    return rc;
}

static Status text_next(void *self, const char **text, int64_t *n_bytes)
{
    Status rc = ST_OK;
    TextSource *s = self;
    s->n = 0;
    if (s->unit == UNIT_LINE) {
        TRY(lines_next(s->lines, text, n_bytes));
        goto out;
    }
    if (s->unit == UNIT_PARAGRAPH) {
        TRY(next_paragraph(s));
    } else {
        const char *line;
        int64_t n;
        TRY(lines_next(s->lines, &line, &n));
        if (line) TRY(text_append(s, line, (size_t)n));
        if (line && lines_has_end(s->lines)) TRY(text_append(s, "\n", 1));
    }
    *text = s->n > 0 ? s->buf : NULL;
    *n_bytes = (int64_t)s->n;
out:
    return rc;
}

static bool text_is_stream(const DatasetOpts *o)
{
    return strcmp(o->document, "file") == 0;
}

const DatasetDef data_text = {.name = "text",
                              .open = text_open,
                              .next = text_next,
                              .close = text_close,
                              .is_stream = text_is_stream};
