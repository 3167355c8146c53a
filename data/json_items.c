/* json_items.c — cuts a file into objects, by line or by counting brackets, and parses each. */
#include "data/json_items.h"
#include "data/buffer.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAX_ITEM_BYTES = 1 << 28, PLACE_BYTES = PATH_MAX + 64 };

struct JsonItems {
    LineReader *lines;
    char *path;
    json_t *object; /* the one handed out */
    int64_t number, line;
    char place[PLACE_BYTES];

    bool begun, is_array;
    const char *at, *end; /* of an array: what is left of the current line */
    Buffer element;
};

void json_items_close(JsonItems *s)
{
    if (!s) return;
    json_decref(s->object);
    lines_close(s->lines);
    buffer_fini(&s->element);
    mem_free(s->path);
    mem_free(s);
}

Status json_items_open(const char *path, JsonItems **out)
{
    Status rc = ST_OK;
    JsonItems *s = mem_alloc(sizeof *s);
    *out = NULL;
    CHECK(s, NOMEM, "%s: %zu bytes", path, sizeof *s);
    s->path = mem_strdup(path);
    CHECK(s->path, NOMEM, "%s: no memory for its name", path);
    TRY(lines_open(path, MAX_ITEM_BYTES, &s->lines));
    *out = s;
    s = NULL;
out:
    json_items_close(s);
    return rc;
}

int64_t json_items_number(const JsonItems *s)
{
    return s->number;
}

const char *json_items_place(JsonItems *s)
{
    if (s->is_array)
        snprintf(s->place, sizeof s->place, "%s:%lld: element %lld", s->path, LL(s->line),
                 LL(s->number));
    else
        snprintf(s->place, sizeof s->place, "%s:%lld", s->path, LL(s->line));
    return s->place;
}

/* ---- one object ---- */

const char *json_type_name(const json_t *value)
{
    static const char *const NAMES[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return NAMES[json_typeof(value)];
}

static Status parse(JsonItems *s, const char *text, size_t n)
{
    Status rc = ST_OK;
    json_error_t why;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    s->object = json_loadb(text, n, flags, &why);
    if (!s->object && json_error_code(&why) == json_error_numeric_overflow) /* a count too long */
        s->object = json_loadb(text, n, flags | JSON_DECODE_INT_AS_REAL, &why);
    CHECK(s->object, FORMAT, "%s: bad JSON at byte %d: %s", json_items_place(s), why.position,
          why.text);
    CHECK(json_is_object(s->object), FORMAT, "%s: the line is %s, not an object",
          json_items_place(s), json_type_name(s->object));
out:
    return rc;
}

/* The type of dataset that an object with these keys is usually for, where its own type finds a key
 * missing. */
static const char *likely_type(const json_t *object)
{
    static const struct {
        const char *key, *other, *type;
    } SIGNS[] = {{"messages", "messages", "messages"},
                 {"conversations", "conversations", "messages"},
                 {"instruction", "output", "alpaca"},
                 {"prompt", "completion", "completion"},
                 {"text", "text", "jsonl"}};
    for (int64_t i = 0; i < N_OF(SIGNS); i++)
        if (json_object_get(object, SIGNS[i].key) && json_object_get(object, SIGNS[i].other))
            return SIGNS[i].type;
    return NULL;
}

Status json_items_text(JsonItems *s, const json_t *part, const char *part_name, const char *key,
                       const char **text, int64_t *n_bytes)
{
    Status rc = ST_OK;
    const json_t *value = json_object_get(part, key);
    const char *type = part == s->object ? likely_type(part) : NULL;
    CHECK(value, FORMAT, "%s: %skey \"%s\" is missing%s%s", json_items_place(s), part_name, key,
          type ? "; its keys are those of type: " : "", type ? type : "");
    CHECK(json_is_string(value), FORMAT, "%s: %s\"%s\" is %s, not a string", json_items_place(s),
          part_name, key, json_type_name(value));
    *text = json_string_value(value);
    *n_bytes = (int64_t)json_string_length(value);
out:
    return rc;
}

/* ---- an array ---- */

/* Stands at the next character that is no white space, in this line or a later one; s->at is NULL
 * at the end of the file. */
static Status skip_space(JsonItems *s)
{
    Status rc = ST_OK;
    for (;;) {
        while (s->at < s->end && strchr(" \t\r", *s->at)) s->at++;
        if (!s->at || s->at < s->end) break;
        int64_t n = 0;
        TRY(lines_next(s->lines, &s->at, &n));
        s->end = s->at ? s->at + n : NULL;
    }
out:
    return rc;
}

/* Copies the element that begins here, to the bracket that closes it. */
static Status cut_element(JsonItems *s)
{
    Status rc = ST_OK;
    int64_t depth = 0, n = 0;
    bool in_string = false, escaped = false;
    s->element.n = 0;
    for (;;) {
        const char *from = s->at;
        bool closed = false;
        for (; s->at < s->end && !closed; s->at++) {
            const char c = *s->at;
            if (in_string) {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
                continue;
            }
            in_string = c == '"';
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
            closed = depth == 0;
        }
        TRY(buffer_add(&s->element, from, (size_t)(s->at - from)));
        if (closed) break;
        TRY(buffer_add(&s->element, "\n", 1));
        CHECK(s->element.n <= MAX_ITEM_BYTES, FORMAT, "%s is longer than %d bytes",
              json_items_place(s), MAX_ITEM_BYTES);
        TRY(lines_next(s->lines, &s->at, &n));
        CHECK(s->at, FORMAT, "%s is not closed", json_items_place(s));
        s->end = s->at + n;
    }
out:
    return rc;
}

static Status end_array(JsonItems *s)
{
    Status rc = ST_OK;
    s->at++;
    TRY(skip_space(s));
    CHECK(!s->at, FORMAT, "%s:%lld: '%c' behind the end of the array", s->path,
          LL(lines_number(s->lines)), *s->at);
out:
    return rc;
}

static Status next_element(JsonItems *s)
{
    Status rc = ST_OK;
    TRY(skip_space(s));
    if (s->at && *s->at == ']') {
        TRY(end_array(s));
        goto out;
    }
    if (s->number > 0) {
        CHECK(s->at && *s->at == ',', FORMAT, "%s:%lld: expected , or ] behind element %lld",
              s->path, LL(lines_number(s->lines)), LL(s->number));
        s->at++;
        TRY(skip_space(s));
    }
    s->number++;
    s->line = lines_number(s->lines);
    CHECK(s->at && *s->at == '{', FORMAT, "%s: expected an object", json_items_place(s));
    TRY(cut_element(s));
    TRY(parse(s, s->element.s, s->element.n));
out:
    return rc;
}

/* ---- both ---- */

static Status begin(JsonItems *s)
{
    Status rc = ST_OK;
    s->at = s->end = ""; /* as if an empty line stood before the first */
    TRY(skip_space(s));
    s->begun = true;
    s->is_array = s->at && *s->at == '[';
    if (s->is_array) s->at++;
out:
    return rc;
}

static Status next_line(JsonItems *s)
{
    Status rc = ST_OK;
    int64_t n = s->end - s->at; /* what begin() has read */
    while (n == 0) {
        TRY(lines_next(s->lines, &s->at, &n));
        if (!s->at) goto out;
    }
    s->end = s->at;
    s->number++;
    s->line = lines_number(s->lines);
    TRY(parse(s, s->at, (size_t)n));
out:
    return rc;
}

Status json_items_next(JsonItems *s, const json_t **object)
{
    Status rc = ST_OK;
    json_decref(s->object);
    s->object = NULL;
    *object = NULL;
    if (!s->begun) TRY(begin(s));
    if (s->at) TRY(s->is_array ? next_element(s) : next_line(s));
    *object = s->object;
out:
    return rc;
}
