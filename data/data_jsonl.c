/* data_jsonl.c — one JSON object a line, .jsonl or .jsonl.gz; the document is the string under
 * `text_field`. */
#include "data/data.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <jansson.h>

enum { MAX_LINE_BYTES = 1 << 28 };

typedef struct JsonlSource {
    LineReader *lines;
    char *path, *field;
    json_t *object; /* owns the text handed out last */
} JsonlSource;

static void jsonl_close(void *self)
{
    JsonlSource *s = self;
    if (!s) return;
    json_decref(s->object);
    lines_close(s->lines);
    mem_free(s->path);
    mem_free(s->field);
    mem_free(s);
}

static Status jsonl_open(const DatasetOpts *o, void **self)
{
    Status rc = ST_OK;
    JsonlSource *s = NULL;
    *self = NULL;
    CHECK(o->path, CONFIG, "dataset of type jsonl: path is missing");
    s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "%s: %zu bytes", o->path, sizeof *s);
    s->path = mem_strdup(o->path);
    s->field = mem_strdup(o->text_field);
    CHECK(s->path && s->field, NOMEM, "%s: no memory for its name", o->path);
    TRY(lines_open(o->path, MAX_LINE_BYTES, &s->lines));
    *self = s;
    s = NULL;
out:
    jsonl_close(s);
    return rc;
}

static const char *type_name(const json_t *value)
{
    static const char *const NAMES[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return NAMES[json_typeof(value)];
}

/* jansson refuses what must not pass: \u0000, lone surrogates, doubled keys, anything after the
 * object. */
static Status jsonl_next(void *self, const char **text, int64_t *n_bytes)
{
    Status rc = ST_OK;
    JsonlSource *s = self;
    const char *line;
    int64_t n = 0;
    *text = NULL;
    *n_bytes = 0;
    do TRY(lines_next(s->lines, &line, &n));
    while (line && n == 0);
    if (!line) goto out;

    const long long at = LL(lines_number(s->lines));
    json_error_t why;
    json_decref(s->object);
    s->object = json_loadb(
        line, (size_t)n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &why);
    CHECK(s->object, FORMAT, "%s:%lld: bad JSON at byte %d: %s", s->path, at, why.position,
          why.text);
    CHECK(json_is_object(s->object), FORMAT, "%s:%lld: the line is %s, not an object", s->path, at,
          type_name(s->object));
    const json_t *value = json_object_get(s->object, s->field);
    CHECK(value, FORMAT, "%s:%lld: key \"%s\" is missing", s->path, at, s->field);
    CHECK(json_is_string(value), FORMAT, "%s:%lld: \"%s\" is %s, not a string", s->path, at,
          s->field, type_name(value));
    *text = json_string_value(value);
    *n_bytes = (int64_t)json_string_length(value);
out:
    return rc;
}

const DatasetDef data_jsonl = {
    .name = "jsonl", .open = jsonl_open, .next = jsonl_next, .close = jsonl_close};
