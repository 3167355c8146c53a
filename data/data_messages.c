/* data_messages.c — conversations through a chat template. `messages` has {role, content, ...} as
 * chat completion interfaces take them; `conversations` has {from, value} as ShareGPT wrote them. */
#include "data/chat_template.h"
#include "data/data.h"
#include "data/json_items.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>

/* What a template sees as today's date, if it asks: text must not depend on the day it is tokenized.
 * 2024-07-26, which Llama 3's own template falls back to. */
enum { NOW_S = 1721952000 };

typedef struct MessagesSource {
    JsonItems *items;
    ChatTemplate *template;
    char *bos, *eos;
    const char *roles;
    bool train_on_inputs, warned;
    json_t *turned; /* messages made from conversations */
    ChatText text;
    DocSpan *learned;
    int64_t learned_cap;
} MessagesSource;

static void messages_close(void *self)
{
    MessagesSource *s = self;
    if (!s) return;
    json_items_close(s->items);
    chat_template_destroy(s->template);
    mem_free(s->bos);
    mem_free(s->eos);
    json_decref(s->turned);
    chat_text_fini(&s->text);
    mem_free(s->learned);
    mem_free(s);
}

static Status read_template(MessagesSource *s, const PackOpts *p, const Tokenizer *tok)
{
    Status rc = ST_OK;
    const char *folder = tokenizer_folder(tok);
    TRY(chat_template_open(p->chat_template, folder, &s->template));
    if (folder) TRY(chat_tokens_read(folder, &s->bos, &s->eos));
out:
    return rc;
}

static Status messages_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                            void **self)
{
    Status rc = ST_OK;
    MessagesSource *s = NULL;
    *self = NULL;
    CHECK(o->path, CONFIG, "dataset of type messages: path is missing");
    s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "%s: %zu bytes", o->path, sizeof *s);
    s->roles = p->roles_to_train;
    s->train_on_inputs = p->train_on_inputs;
    TRY(read_template(s, p, tok));
    TRY(json_items_open(o->path, &s->items));
    *self = s;
    s = NULL;
out:
    messages_close(s);
    return rc;
}

/* ---- what a file may say ---- */

static const char *const ROLES[] = {"system", "developer", "user", "assistant", "tool"};

/* ShareGPT's words for them. */
static const struct {
    const char *from, *role;
} SPEAKERS[] = {{"system", "system"},   {"human", "user"},          {"user", "user"},
                {"gpt", "assistant"},   {"assistant", "assistant"}, {"tool", "tool"},
                {"observation", "tool"}};

static const char *known_role(const char *role)
{
    for (int64_t i = 0; i < N_OF(ROLES); i++)
        if (strcmp(ROLES[i], role) == 0) return ROLES[i];
    return NULL;
}

static const char *role_of_speaker(const char *from)
{
    for (int64_t i = 0; i < N_OF(SPEAKERS); i++)
        if (strcmp(SPEAKERS[i].from, from) == 0) return SPEAKERS[i].role;
    return NULL;
}

static bool is_something(const json_t *value)
{
    return value && !json_is_null(value) && !(json_is_array(value) && json_array_size(value) == 0);
}

static Status check_message(MessagesSource *s, const json_t *message, const char *which)
{
    Status rc = ST_OK;
    const char *role, *content;
    int64_t n;
    TRY(json_items_text(s->items, message, which, "role", &role, &n));
    CHECK(known_role(role), FORMAT,
          "%s: %srole \"%.40s\" is unknown: system, developer, user, assistant or tool",
          json_items_place(s->items), which, role);
    const bool may_be_silent = is_something(json_object_get(message, "tool_calls"));
    if (!may_be_silent || is_something(json_object_get(message, "content")))
        TRY(json_items_text(s->items, message, which, "content", &content, &n));
out:
    return rc;
}

static Status turn_message(MessagesSource *s, const json_t *message, const char *which)
{
    Status rc = ST_OK;
    const char *from, *value;
    int64_t n;
    TRY(json_items_text(s->items, message, which, "from", &from, &n));
    TRY(json_items_text(s->items, message, which, "value", &value, &n));
    const char *role = role_of_speaker(from);
    CHECK(role, FORMAT, "%s: %sfrom \"%.40s\" is unknown: system, human, gpt or tool",
          json_items_place(s->items), which, from);
    CHECK(json_array_append_new(s->turned,
                                json_pack("{s:s, s:s}", "role", role, "content", value)) == 0,
          NOMEM, "%s: no memory for its messages", json_items_place(s->items));
out:
    return rc;
}

/* The conversation in the form that templates take. */
static Status read_messages(MessagesSource *s, const json_t *object, const json_t **messages)
{
    Status rc = ST_OK;
    const json_t *conversations = json_object_get(object, "conversations"), *message;
    const bool turn = conversations && !json_object_get(object, "messages");
    const char *key = turn ? "conversations" : "messages", *unused;
    int64_t n;
    size_t i;
    *messages = json_object_get(object, key);
    if (!*messages) TRY(json_items_text(s->items, object, "", key, &unused, &n));
    CHECK(json_is_array(*messages), FORMAT, "%s: \"%s\" is %s, not an array",
          json_items_place(s->items), key, json_type_name(*messages));
    CHECK(json_array_size(*messages) > 0, FORMAT, "%s: \"%s\" has no message",
          json_items_place(s->items), key);
    json_decref(s->turned);
    s->turned = json_array();
    CHECK(s->turned, NOMEM, "%s: no memory for its messages", json_items_place(s->items));
    json_array_foreach(*messages, i, message)
    {
        char which[40];
        snprintf(which, sizeof which, "message %zu: ", i + 1);
        CHECK(json_is_object(message), FORMAT, "%s: %sis %s, not an object",
              json_items_place(s->items), which, json_type_name(message));
        TRY(turn ? turn_message(s, message, which) : check_message(s, message, which));
    }
    if (turn) *messages = s->turned;
out:
    return rc;
}

/* Said once: other keys of an object are nobody's business, but these were meant for the model. */
static void warn_of_more(MessagesSource *s, const json_t *object)
{
    static const char *const MEDIA[] = {"images", "videos", "audios"};
    for (int64_t i = 0; i < N_OF(MEDIA) && !s->warned; i++) {
        if (!is_something(json_object_get(object, MEDIA[i]))) continue;
        LOG_W("%s: has \"%s\"; only texts are trained on", json_items_place(s->items), MEDIA[i]);
        s->warned = true;
    }
}

/* ---- documents ---- */

static Status render(MessagesSource *s, const json_t *object, const json_t *messages)
{
    Status rc = ST_OK;
    json_t *tools = json_object_get(object, "tools"), *vars = NULL;
    char why[512];
    if (is_something(tools)) {
        vars = json_pack("{s:O}", "tools", tools);
        CHECK(vars, NOMEM, "%s: no memory for its tools", json_items_place(s->items));
    }
    const ChatInput in = {
        .messages = messages, .vars = vars, .bos_token = s->bos, .eos_token = s->eos, .now = NOW_S};
    chat_text_fini(&s->text);
    rc = chat_template_render(s->template, &in, &s->text);
    if (rc == ST_DATA || rc == ST_FORMAT) {
        snprintf(why, sizeof why, "%s", status_message());
        status_clear();
        CHECK(false, FORMAT, "%s: %s", json_items_place(s->items), why);
    }
out:
    json_decref(vars);
    return rc;
}

static Status take_spans(MessagesSource *s, const json_t *messages, int64_t *n)
{
    Status rc = ST_OK;
    const ChatText *t = &s->text;
    int64_t behind = 0; /* what has been taken so far */
    *n = 0;
    if (t->n_span > s->learned_cap) {
        mem_free(s->learned);
        s->learned_cap = 0;
        s->learned = mem_array(t->n_span, sizeof *s->learned);
        CHECK(s->learned, NOMEM, "%lld messages", LL(t->n_span));
        s->learned_cap = t->n_span;
    }
    for (int64_t i = 0; i < t->n_span; i++) {
        const json_t *role = json_object_get(json_array_get(messages, (size_t)i), "role");
        const int64_t begin = t->span[i].learn_begin, end = t->span[i].learn_end;
        const DocSpan span = {begin < behind ? behind : begin, end};
        if (span.from >= span.to || !opt_list_has(s->roles, json_string_value(role))) continue;
        s->learned[(*n)++] = span;
        behind = span.to;
    }
out:
    return rc;
}

static Status messages_next(void *self, Doc *d)
{
    Status rc = ST_OK;
    MessagesSource *s = self;
    const json_t *object, *messages;
    int64_t n_learned;
    TRY(json_items_next(s->items, &object));
    if (!object) goto out;
    TRY(read_messages(s, object, &messages));
    warn_of_more(s, object);
    TRY(render(s, object, messages));
    TRY(take_spans(s, messages, &n_learned));
    *d = (Doc){.text = s->text.text,
               .n_bytes = s->text.n,
               .learn_all = s->train_on_inputs,
               .learned = s->learned,
               .n_learned = n_learned,
               .number = json_items_number(s->items),
               .is_rendered = true};
out:
    return rc;
}

static void add_word(Sha256 *key, const char *word)
{
    sha256_add(key, word ? word : "", word ? strlen(word) + 1 : 0);
}

static Status messages_add_key(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                               Sha256 *key)
{
    Status rc = ST_OK;
    MessagesSource s = {0};
    (void)o;
    TRY(read_template(&s, p, tok));
    add_word(key, chat_template_source(s.template));
    add_word(key, s.bos);
    add_word(key, s.eos);
    add_word(key, p->roles_to_train);
    sha256_add(key, &p->train_on_inputs, sizeof p->train_on_inputs);
out:
    chat_template_destroy(s.template);
    mem_free(s.bos);
    mem_free(s.eos);
    return rc;
}

const DatasetDef data_messages = {.name = "messages",
                                  .open = messages_open,
                                  .next = messages_next,
                                  .close = messages_close,
                                  .add_key = messages_add_key,
                                  .is_samples = true};
