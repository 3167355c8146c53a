/* chat_template_render.c — a conversation through a template, and from the marks of the text what
 * each message became. */
#include "data/chat_template_value.h"
#include "trainer/base/mem.h"
#include <string.h>

static Status set_text(Run *r, Piece name, const char *text)
{
    Status rc = ST_OK;
    if (!text) goto out;
    const Value v = STRING(str_of((Piece){text, (int64_t)strlen(text)}));
    TRY(scope_set(r, name, &v));
out:
    return rc;
}

/* What transformers hands to a template: tools and documents are none unless given. */
static Status set_variables(Run *r, const ChatInput *in, const json_t *messages)
{
    Status rc = ST_OK;
    Value v = NONE;
    TRY(scope_set(r, PIECE("tools"), &v));
    TRY(scope_set(r, PIECE("documents"), &v));
    TRY(set_text(r, PIECE("bos_token"), in->bos_token));
    TRY(set_text(r, PIECE("eos_token"), in->eos_token));
    CHECK(!in->vars || json_is_object(in->vars), FORMAT, "%s: the variables are no object",
          r->t->name);
    json_t *vars = (json_t *)in->vars; /* jansson's iterators take no const */
    for (void *it = vars ? json_object_iter(vars) : NULL; it;
         it = json_object_iter_next(vars, it)) {
        const char *key = json_object_iter_key(it);
        TRY(value_from_json(r, json_object_iter_value(it), -1, 0, &v));
        TRY(scope_set(r, (Piece){key, (int64_t)strlen(key)}, &v));
    }
    TRY(value_from_messages(r, messages, &v));
    TRY(scope_set(r, PIECE("messages"), &v));
    v = BOOLEAN(in->add_generation_prompt);
    TRY(scope_set(r, PIECE("add_generation_prompt"), &v));
out:
    return rc;
}

/* The text lives in the arena. */
static Status render(const ChatTemplate *t, const ChatInput *in, const json_t *messages,
                     Arena *arena, Str *text)
{
    Status rc = ST_OK;
    Builder out = {0};
    Run r = {.t = t, .arena = arena, .now = in->now, .out = &out, .turn = -1};
    TRY(scope_push(&r));
    TRY(set_variables(&r, in, messages));
    TRY(run_template(&r));
    *text = built(&out);
out:
    return rc;
}

/* ---- the generation prompt ---- */
/* The template's text for one short conversation when the model is to speak next. It ends with the
 * generation prompt, which begins no later than `differs`, where the text without the prompt goes
 * another way, and not before `from`. Empty where the template has none. */
typedef struct Probe {
    Str asked;
    int64_t from, differs;
} Probe;

static int64_t common_prefix(Str a, Str b)
{
    int64_t n = 0;
    while (n < a.n && n < b.n && a.s[n] == b.s[n]) n++;
    return n;
}

static Status probe(const ChatTemplate *t, const ChatInput *in, Arena *arena, Probe *p)
{
    Status rc = ST_OK;
    Str told;
    ChatInput asking = *in;
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", "x");
    *p = (Probe){.asked = {.s = ""}};
    CHECK(messages, NOMEM, "%s: no memory for a conversation", t->name);
    asking.add_generation_prompt = true;
    Status tried = render(t, in, messages, arena, &told);
    if (tried == ST_OK) tried = render(t, &asking, messages, arena, &p->asked);
    if (tried == ST_FORMAT || tried == ST_DATA) { /* a template may refuse this conversation */
        status_clear();
        p->asked = (Str){.s = ""};
        goto out;
    }
    TRY(tried);
    p->differs = common_prefix(p->asked, told);
    for (int64_t i = 0; i < p->asked.n_mark; i++)
        if (p->asked.mark[i].kind == MARK_TEXT) p->from = p->asked.mark[i].end;
out:
    json_decref(messages);
    return rc;
}

/* Bytes of the generation prompt at the beginning of a turn: the longest end of the asked text. */
static int64_t prompt_bytes(const Probe *p, const char *turn, int64_t n)
{
    for (int64_t begin = p->from; begin <= p->differs && begin < p->asked.n; begin++) {
        const int64_t length = p->asked.n - begin;
        if (length <= n && memcmp(p->asked.s + begin, turn, (size_t)length) == 0) return length;
    }
    return 0;
}

/* ---- spans ---- */
typedef struct Range {
    int64_t begin, end;
    bool found;
} Range;

typedef struct Trace { /* of one message in the text */
    Range anywhere, turn;
    Range text;      /* from the first to the last byte that came from it, inside its turn */
    Range generated; /* by {% generation %} */
} Trace;

static void widen(Range *r, const Mark *m)
{
    if (!r->found || m->begin < r->begin) r->begin = m->begin;
    if (!r->found || m->end > r->end) r->end = m->end;
    r->found = true;
}

/* A message may pass several times: its turn is where its content is written. */
static Status trace(const ChatTemplate *t, Str text, Trace *of)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < text.n_mark; i++) {
        const Mark *m = &text.mark[i];
        Trace *o = &of[m->message];
        if (m->kind == MARK_TEXT) widen(&o->anywhere, m);
        if (m->kind != MARK_GENERATED) continue;
        CHECK(!o->generated.found || o->generated.end == m->begin, FORMAT,
              "%s: message %d has two {%% generation %%} blocks; known: one", t->name, m->message);
        widen(&o->generated, m);
    }
    for (int64_t i = 0; i < text.n_mark; i++) {
        const Mark *m = &text.mark[i];
        Trace *o = &of[m->message];
        const Range *at = &o->anywhere;
        const bool writes_it = !at->found || (m->begin <= at->end && m->end >= at->begin);
        if (m->kind == MARK_TURN && (o->turn.found ? m->begin == o->turn.end : writes_it))
            widen(&o->turn, m);
    }
    for (int64_t i = 0; i < text.n_mark; i++) {
        const Mark *m = &text.mark[i];
        Trace *o = &of[m->message];
        const bool inside = m->begin >= o->turn.begin && m->end <= o->turn.end;
        if (m->kind == MARK_TEXT && (inside || !o->turn.found)) widen(&o->text, m);
    }
out:
    return rc;
}

static ChatSpan span_of(const ChatTemplate *t, const Probe *p, Str text, const Trace *o)
{
    const Range *turn = o->turn.found ? &o->turn : &o->text, *text_of = &o->text;
    ChatSpan s = {.turn_begin = turn->begin, .turn_end = turn->end};
    if (t->has_generation) {
        s.learn_begin = o->generated.begin;
        s.learn_end = o->generated.end;
        return s;
    }
    const int64_t header =
        (text_of->found ? text_of->begin : turn->end) - turn->begin; /* what may be one */
    const int64_t prompt = prompt_bytes(p, text.s + turn->begin, header);
    if (!text_of->found && !prompt) return s;
    s.learn_begin = prompt ? turn->begin + prompt : text_of->begin;
    const int64_t least = text_of->found ? text_of->end : s.learn_begin;
    s.learn_end = turn->end;
    while (s.learn_end > least && strchr(" \t\r\n", text.s[s.learn_end - 1])) s.learn_end--;
    return s;
}

static Status make_spans(const ChatTemplate *t, const ChatInput *in, Arena *arena, Str text,
                         ChatText *out)
{
    Status rc = ST_OK;
    Probe p = {.asked = {.s = ""}};
    const int64_t n = (int64_t)json_array_size(in->messages);
    Trace *of = mem_array(n, sizeof *of);
    out->span = mem_array(n, sizeof *out->span);
    CHECK(of && out->span, NOMEM, "%s: no memory for %lld messages", t->name, LL(n));
    if (!t->has_generation) TRY(probe(t, in, arena, &p));
    TRY(trace(t, text, of));
    for (int64_t i = 0; i < n; i++) out->span[i] = span_of(t, &p, text, &of[i]);
    out->n_span = n;
out:
    mem_free(of);
    return rc;
}

Status chat_template_render(const ChatTemplate *t, const ChatInput *in, ChatText *out)
{
    Status rc = ST_OK;
    Arena arena = {0};
    Str text;
    *out = (ChatText){0};
    TRY(render(t, in, in->messages, &arena, &text));
    if (!in->add_generation_prompt) TRY(make_spans(t, in, &arena, text, out));
    out->text = mem_alloc((size_t)text.n + 1);
    CHECK(out->text, NOMEM, "%s: no memory for %lld bytes of text", t->name, LL(text.n));
    memcpy(out->text, text.s, (size_t)text.n);
    out->n = text.n;
out:
    arena_fini(&arena);
    if (rc != ST_OK) chat_text_fini(out);
    return rc;
}

void chat_text_fini(ChatText *out)
{
    mem_free(out->text);
    mem_free(out->span);
    *out = (ChatText){0};
}
