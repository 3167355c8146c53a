/* chat_template_json.c — JSON to values; what stands in a message's content is marked as the message's. */
#include "data/chat_template_value.h"
#include <string.h>

enum { JSON_DEPTH_MAX = 100 };

/* Is this a field of a message whose text the model reads or writes as the message? */
static bool is_content(const char *key)
{
    static const char *const KEYS[] = {"content", "reasoning_content", "reasoning", "thinking",
                                       "tool_calls"};
    for (int64_t i = 0; i < N_OF(KEYS); i++)
        if (strcmp(key, KEYS[i]) == 0) return true;
    return false;
}

static Status string_from_json(Run *r, const json_t *j, int32_t message, Value *out)
{
    Status rc = ST_OK;
    Mark *mark = NULL;
    Str s = {.s = json_string_value(j), .n = (int64_t)json_string_length(j)};
    CHECK(s.n <= TEXT_MAX_BYTES, FORMAT, "%s: a text of %lld bytes, more than %d", r->t->name,
          LL(s.n), TEXT_MAX_BYTES);
    if (message >= 0) {
        TRY(run_alloc(r, 1, sizeof *mark, &mark));
        *mark = (Mark){0, s.n, message, MARK_TEXT};
        s.mark = mark;
        s.n_mark = 1;
    }
    *out = STRING(s);
out:
    return rc;
}

/* is_message: of the texts in it, those of the content come from the message. */
static Status object_from_json(Run *r, const json_t *j, int32_t message, bool is_message, int depth,
                               Value *out)
{
    Status rc = ST_OK;
    Dict *d;
    TRY(dict_make(r, (int64_t)json_object_size(j), &d, out));
    if (is_message) d->message = message;
    json_t *object = (json_t *)j; /* jansson's iterators take no const */
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it), d->n++) {
        const char *key = json_object_iter_key(it);
        const bool from_message = !is_message || is_content(key);
        d->key[d->n] = STRING(((Str){.s = key, .n = (int64_t)strlen(key)}));
        TRY(value_from_json(r, json_object_iter_value(it), from_message ? message : -1, depth + 1,
                            &d->value[d->n]));
    }
out:
    return rc;
}

Status value_from_json(Run *r, const json_t *j, int32_t message, int depth, Value *out)
{
    Status rc = ST_OK;
    List *list;
    TRY(run_charge(r, 0));
    CHECK(depth < JSON_DEPTH_MAX, FORMAT, "%s: JSON nested deeper than %d", r->t->name,
          JSON_DEPTH_MAX);
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        TRY(object_from_json(r, j, message, false, depth, out));
        break;
    case JSON_ARRAY:
        TRY(list_make(r, (int64_t)json_array_size(j), &list, out));
        for (int64_t i = 0; i < list->n; i++)
            TRY(value_from_json(r, json_array_get(j, (size_t)i), message, depth + 1,
                                &list->item[i]));
        break;
    case JSON_STRING:
        TRY(string_from_json(r, j, message, out));
        break;
    case JSON_INTEGER:
        *out = INTEGER(json_integer_value(j));
        break;
    case JSON_REAL:
        *out = (Value){.kind = VALUE_FLOAT, .real = json_real_value(j)};
        break;
    case JSON_TRUE:
        *out = BOOLEAN(true);
        break;
    case JSON_FALSE:
        *out = BOOLEAN(false);
        break;
    case JSON_NULL:
        *out = NONE;
        break;
    }
out:
    return rc;
}

Status value_from_messages(Run *r, const json_t *messages, Value *out)
{
    Status rc = ST_OK;
    List *list;
    CHECK(json_is_array(messages), FORMAT, "%s: the messages are no array", r->t->name);
    TRY(list_make(r, (int64_t)json_array_size(messages), &list, out));
    CHECK(list->n < INT32_MAX, FORMAT, "%s: %lld messages", r->t->name, LL(list->n));
    for (int64_t i = 0; i < list->n; i++) {
        const json_t *message = json_array_get(messages, (size_t)i);
        CHECK(json_is_object(message), FORMAT, "%s: message %lld is no object", r->t->name, LL(i));
        TRY(object_from_json(r, message, (int32_t)i, true, 0, &list->item[i]));
    }
out:
    return rc;
}
