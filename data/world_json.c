/* world_json.c — the questions of the demo world as JSON lines. */
#include "data/world.h"
#include "trainer/base/mem.h"
#include <jansson.h>

enum { MAX_LINE = 1024 };

static json_t *counts(const int64_t *n, int64_t n_version)
{
    json_t *a = json_array();
    for (int64_t v = 0; v < n_version; v++) json_array_append_new(a, json_integer(n[v]));
    return a;
}

static json_t *question(const WorldQuestion *q, int64_t n_version)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "question", q->question, "answer",
                          q->answer, "person", q->person, "attribute", q->attribute, "group",
                          world_group_name(q->group), "held_out", (int)q->held_out, "statements",
                          counts(q->statements, n_version));
    if (o && q->group == WORLD_CHANGED) {
        json_object_set_new(o, "old_answer", json_string(q->old_answer));
        json_object_set_new(o, "old_statements", counts(q->old_statements, n_version));
    }
    return o;
}

Status world_questions_jsonl(const WorldSpec *spec, char **out_text, int64_t *n_bytes)
{
    Status rc = ST_OK;
    WorldQuestion *q = NULL;
    char *text = NULL;
    int64_t n, at = 0;
    TRY(world_questions(spec, &q, &n));
    text = mem_array(n, MAX_LINE);
    CHECK(text, NOMEM, "world: %lld lines of questions", LL(n));
    for (int64_t i = 0; i < n; i++) {
        json_t *o = question(&q[i], spec->version);
        const size_t length = o ? json_dumpb(o, text + at, MAX_LINE - 1, 0) : 0;
        json_decref(o);
        CHECK(length > 0 && length < MAX_LINE, NOMEM, "world: question %lld as JSON", LL(i));
        at += (int64_t)length;
        text[at++] = '\n';
    }
    *out_text = text;
    *n_bytes = at;
    text = NULL;
out:
    mem_free(text);
    mem_free(q);
    return rc;
}
