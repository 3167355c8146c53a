/* json_file.c — jansson's parser; a place is a chain of keys that becomes text only in messages. */
#include "trainer/io/json_file.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 512 };

struct JsonDoc {
    char *label;
    json_t *root;
};

/* jansson shows where it stopped only while that is short. How many of the bytes before `end`, the last a quote, are a doubled
 * key's name (from its last quote on), where it does not show it. */
static int doubled_name(const char *text, int end, const json_error_t *e)
{
    int n = 0;
    if (json_error_code(e) != json_error_duplicate_key || strstr(e->text, " near ")) return 0;
    while (n < MAX_NAME && n + 2 <= end && text[end - 2 - n] != '"') n++;
    return n;
}

Status json_doc_parse(const char *label, const char *text, size_t n, JsonDoc **out)
{
    Status rc = ST_OK;
    json_error_t e = {0};
    JsonDoc *doc = mem_alloc(sizeof *doc);
    *out = NULL;
    CHECK(doc, NOMEM, "%s: no memory to read it", label);
    doc->label = mem_strdup(label);
    CHECK(doc->label, NOMEM, "%s: no memory to read it", label);
    doc->root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    CHECK(doc->root || (e.text[0] && json_error_code(&e) != json_error_out_of_memory), NOMEM,
          "%s: no memory for what it holds", label);
    const int n_name = doc->root ? 0 : doubled_name(text, e.position, &e);
    CHECK(doc->root, FORMAT, "%s:%d: %s%s%.*s%s", label, e.line > 0 ? e.line : 1, e.text,
          n_name ? " near '\"" : "", n_name, n_name ? text + e.position - 1 - n_name : "",
          n_name ? "\"'" : "");
    CHECK(json_is_object(doc->root), FORMAT, "%s: is a list, expected an object {...}", label);
    *out = doc;
    doc = NULL;
out:
    json_doc_close(doc);
    return rc;
}

Status json_doc_open(const char *path, size_t max_bytes, JsonDoc **doc)
{
    Status rc = ST_OK;
    char *text = NULL;
    size_t n = 0;
    *doc = NULL;
    TRY(file_read_all(path, max_bytes, &text, &n));
    TRY(json_doc_parse(path, text, n, doc));
out:
    mem_free(text);
    return rc;
}

void json_doc_close(JsonDoc *doc)
{
    if (!doc) return;
    json_decref(doc->root);
    mem_free(doc->label);
    mem_free(doc);
}

JsonAt json_doc_top(const JsonDoc *doc)
{
    return (JsonAt){.value = doc->root, .doc = doc};
}

JsonAt json_key(const JsonAt *object, const char *key)
{
    return (JsonAt){json_object_get(object->value, key), object, key, 0, object->doc};
}

JsonAt json_item(const JsonAt *list, int64_t index)
{
    return (JsonAt){json_array_get(list->value, (size_t)index), list, NULL, index, list->doc};
}

const char *json_next_key(JsonAt object, const char *key)
{
    json_t *o = (json_t *)object.value; /* jansson's iterators are for writing, too */
    return json_object_iter_key(key ? json_object_iter_next(o, json_object_key_to_iter(key))
                                    : json_object_iter(o));
}

int64_t json_count(JsonAt at)
{
    return (int64_t)(json_array_size(at.value) + json_object_size(at.value));
}

bool json_is_there(JsonAt at)
{
    return at.value && !json_is_null(at.value);
}

bool json_has(const JsonAt *object, const char *key)
{
    return json_is_there(json_key(object, key));
}

/* ---- messages ---- */

/* Cuts a text to its buffer, between two characters, and makes a control character a space. */
static void tidy(char *s, size_t n_room)
{
    size_t n = strlen(s);
    if (n + 1 >= n_room) {
        n -= 3;
        while (n > 0 && (s[n] & 0xc0) == 0x80) n--;
        memcpy(s + n, "...", 4);
    }
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f) *s = ' ';
}

/* "rope_scaling.factor", "eos_token_id[1]" */
static void write_path(const JsonAt *at, char *text, size_t n_text)
{
    if (!at->up) return;
    write_path(at->up, text, n_text);
    const size_t used = strlen(text);
    if (at->key)
        snprintf(text + used, n_text - used, "%s%s", used ? "." : "", at->key);
    else
        snprintf(text + used, n_text - used, "[%lld]", LL(at->index));
}

static void write_found(const json_t *value, char *text, size_t n_text)
{
    static const char *const NAMES[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    if (!value)
        snprintf(text, n_text, "nothing");
    else if (json_is_string(value))
        snprintf(text, n_text, "the text \"%s\"", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, n_text, "%lld", LL(json_integer_value(value)));
    else if (json_is_real(value))
        snprintf(text, n_text, "%.17g", json_real_value(value));
    else
        snprintf(text, n_text, "%s", NAMES[json_typeof(value)]);
    tidy(text, n_text);
}

Status json_refuse(JsonAt at, const char *expected, ...)
{
    Status rc = ST_OK;
    char path[256] = "", found[80], want[256];
    va_list ap;
    va_start(ap, expected);
    vsnprintf(want, sizeof want, expected, ap);
    va_end(ap);
    write_path(&at, path, sizeof path);
    tidy(path, sizeof path);
    write_found(at.value, found, sizeof found);
    CHECK(false, FORMAT, "%s: %s%sfound %s, expected %s", at.doc->label, path, path[0] ? ": " : "",
          found, want);
out:
    return rc;
}

/* ---- getters ---- */

Status json_i64(JsonAt at, int64_t lowest, int64_t highest, int64_t *x)
{
    const json_int_t value = json_integer_value(at.value);
    if (!json_is_integer(at.value) || value < lowest || value > highest)
        return highest == INT64_MAX
                   ? json_refuse(at, "a whole number from %lld", LL(lowest))
                   : json_refuse(at, "a whole number %lld .. %lld", LL(lowest), LL(highest));
    *x = value;
    return ST_OK;
}

Status json_f64(JsonAt at, double lowest, double highest, double *x)
{
    const double value = json_number_value(at.value);
    if (!json_is_number(at.value) || !(value >= lowest && value <= highest))
        return json_refuse(at, "a number %.12g .. %.12g", lowest, highest);
    *x = value;
    return ST_OK;
}

Status json_bool(JsonAt at, bool *x)
{
    if (!json_is_boolean(at.value)) return json_refuse(at, "true or false");
    *x = json_is_true(at.value);
    return ST_OK;
}

Status json_text(JsonAt at, const char **x)
{
    if (!json_is_string(at.value)) return json_refuse(at, "a text");
    *x = json_string_value(at.value);
    return ST_OK;
}

Status json_is_list(JsonAt at)
{
    return json_is_array(at.value) ? ST_OK : json_refuse(at, "a list");
}

Status json_is_map(JsonAt at)
{
    return json_is_object(at.value) ? ST_OK : json_refuse(at, "an object");
}

Status json_opt_i64(const JsonAt *object, const char *key, int64_t lowest, int64_t highest,
                    int64_t *x)
{
    return json_has(object, key) ? json_i64(json_key(object, key), lowest, highest, x) : ST_OK;
}

Status json_opt_f64(const JsonAt *object, const char *key, double lowest, double highest, double *x)
{
    return json_has(object, key) ? json_f64(json_key(object, key), lowest, highest, x) : ST_OK;
}

Status json_opt_bool(const JsonAt *object, const char *key, bool *x)
{
    return json_has(object, key) ? json_bool(json_key(object, key), x) : ST_OK;
}

Status json_opt_text(const JsonAt *object, const char *key, const char **x)
{
    return json_has(object, key) ? json_text(json_key(object, key), x) : ST_OK;
}

/* ---- writing ---- */

Status json_file_write(const char *dir, const char *name, json_t *json, bool sorted)
{
    Status rc = ST_OK;
    const size_t flags = JSON_INDENT(2) | (sorted ? JSON_SORT_KEYS : JSON_PRESERVE_ORDER);
    const size_t n = json ? json_dumpb(json, NULL, 0, flags) : 0;
    char *path = path_join(dir, name), *text = mem_alloc(n + 1);
    CHECK(path && n > 0 && text && json_dumpb(json, text, n, flags) == n, NOMEM,
          "%s/%s: no memory to write it", dir, name);
    text[n] = '\n';
    TRY(file_write_atomic(path, text, n + 1));
out:
    mem_free(text);
    mem_free(path);
    json_decref(json);
    return rc;
}
