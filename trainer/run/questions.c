/* questions.c — every field is checked where it is read, so that a wrong file cannot pass as a wrong
 * model. */
#include "trainer/run/questions.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include "trainer/io/lines.h"
#include <jansson.h>
#include <string.h>

enum { MAX_LINE_BYTES = 1 << 16 };

static void question_fini(Question *q)
{
    mem_free(q->question);
    mem_free(q->answer);
    mem_free(q->old_answer);
    mem_free(q->given);
}

void questions_destroy(QuestionSet *set)
{
    if (!set) return;
    for (int64_t i = 0; i < set->n; i++) question_fini(&set->q[i]);
    mem_free(set->q);
    mem_free(set);
}

static Status read_text(const json_t *o, const char *key, char **text)
{
    Status rc = ST_OK;
    const char *found = json_string_value(json_object_get(o, key));
    CHECK(found && found[0], FORMAT, "\"%s\" is missing or no text", key);
    *text = mem_strdup(found);
    CHECK(*text, NOMEM, "\"%s\"", key);
out:
    return rc;
}

/* An answer ends with its only full stop, for there the model's answer is cut. */
static Status read_answer(const json_t *o, const char *key, char **text)
{
    Status rc = ST_OK;
    TRY(read_text(o, key, text));
    CHECK(strchr(*text, '.') == *text + strlen(*text) - 1, FORMAT,
          "\"%s\": \"%s\" does not end with its only full stop", key, *text);
out:
    return rc;
}

static Status read_group(const json_t *o, WorldGroup *group)
{
    Status rc = ST_OK;
    const char *name = json_string_value(json_object_get(o, "group"));
    CHECK(name, FORMAT, "\"group\" is missing or no text");
    *group = WORLD_UNCHANGED;
    while (*group < WORLD_NEW && strcmp(name, world_group_name(*group)) != 0) (*group)++;
    CHECK(strcmp(name, world_group_name(*group)) == 0, FORMAT,
          "\"group\" is \"%s\", expected unchanged, changed or new", name);
out:
    return rc;
}

static Status read_statements(const json_t *o, int64_t *n)
{
    Status rc = ST_OK;
    const json_t *counts = json_object_get(o, "statements");
    const size_t n_version = json_array_size(counts);
    const json_t *newest = n_version > 0 ? json_array_get(counts, n_version - 1) : NULL;
    CHECK(json_is_integer(newest) && json_integer_value(newest) >= 0, FORMAT,
          "\"statements\" is missing or no list of counts");
    *n = json_integer_value(newest);
out:
    return rc;
}

static Status read_question(const json_t *o, Question *q)
{
    Status rc = ST_OK;
    CHECK(json_is_object(o), FORMAT, "expected an object");
    TRY(read_text(o, "question", &q->question));
    TRY(read_answer(o, "answer", &q->answer));
    TRY(read_group(o, &q->group));
    CHECK(json_is_boolean(json_object_get(o, "held_out")), FORMAT,
          "\"held_out\" is missing or neither true nor false");
    q->held_out = json_is_true(json_object_get(o, "held_out"));
    TRY(read_statements(o, &q->statements));
    if (q->group == WORLD_CHANGED) TRY(read_answer(o, "old_answer", &q->old_answer));
out:
    return rc;
}

static Status add_question(QuestionSet *set, const Question *q)
{
    Status rc = ST_OK;
    const size_t each = sizeof *q, n = (size_t)set->n;
    if ((n & (n - 1)) == 0) { /* full at each power of two */
        Question *more = mem_resize(set->q, n * each, (n ? 2 * n : 1) * each);
        CHECK(more, NOMEM, "%lld questions", LL(set->n));
        set->q = more;
    }
    set->q[set->n++] = *q;
out:
    return rc;
}

static Status read_line(const char *line, int64_t n, bool all, QuestionSet *set)
{
    Status rc = ST_OK;
    json_error_t error;
    Question q = {0};
    json_t *o = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    CHECK(o, FORMAT, "column %d: %s", error.column, error.text);
    TRY(read_question(o, &q));
    set->n_file++;
    if (!q.held_out && !all) goto out;
    TRY(add_question(set, &q));
    q = (Question){0};
out:
    question_fini(&q);
    json_decref(o);
    return rc;
}

Status questions_read(const char *path, bool all, QuestionSet **out)
{
    Status rc = ST_OK;
    LineReader *lines = NULL;
    const char *line;
    int64_t n;
    QuestionSet *set = mem_alloc(sizeof *set);
    *out = NULL;
    CHECK(set, NOMEM, "%s: %zu bytes", path, sizeof *set);
    TRY(lines_open(path, MAX_LINE_BYTES, &lines));
    for (;;) {
        TRY(lines_next(lines, &line, &n));
        if (!line) break;
        set->hash = rng_hash_bytes(line, (uint64_t)n, set->hash);
        TRY(lines_failed(lines, read_line(line, n, all, set)));
    }
    CHECK(set->n_file > 0, DATA, "%s: holds no question", path);
    CHECK(set->n > 0, DATA, "%s: none of its %lld questions is held out; --all asks them all", path,
          LL(set->n_file));
    *out = set;
    set = NULL;
out:
    lines_close(lines);
    questions_destroy(set);
    return rc;
}
