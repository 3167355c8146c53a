/* choices.c — see choices.h. Question i is rank i mod R's; only counts are exchanged. */
#include "trainer/run/choices.h"
#include "trainer/base/mem.h"
#include "trainer/io/lines.h"
#include <jansson.h>
#include <string.h>

enum { MAX_LINE_BYTES = 1 << 20, MAX_CHOICE = 64 };

typedef struct Scorer {
    const LoadedModel *m;
    Tape *tape;
    ChoiceScore score;
} Scorer;

static Status check_question(const json_t *o)
{
    Status rc = ST_OK;
    const json_t *choices = json_object_get(o, "choices"), *answer = json_object_get(o, "answer");
    const size_t n = json_array_size(choices);
    CHECK(json_string_length(json_object_get(o, "question")) > 0, FORMAT,
          "\"question\" is missing or no text");
    CHECK(n >= 2 && n <= MAX_CHOICE, FORMAT, "\"choices\" is no list of 2 .. %d texts", MAX_CHOICE);
    for (size_t i = 0; i < n; i++)
        CHECK(json_string_length(json_array_get(choices, i)) > 0, FORMAT,
              "\"choices\": entry %zu is empty or no text", i);
    CHECK(json_is_integer(answer) && json_integer_value(answer) >= 0 &&
              json_integer_value(answer) < (json_int_t)n,
          FORMAT, "\"answer\" is missing or no number 0 .. %zu", n - 1);
out:
    return rc;
}

/* The log-likelihood of the tokens behind the question, in nats. They are those of the whole text: where a token
 * reaches over the border, it counts as the choice's. */
static Status log_likelihood(Scorer *s, const char *question, const char *choice, double *nats)
{
    Status rc = ST_OK;
    TokenList ids = {0};
    Batch *b = NULL;
    double loss = 0;
    const int64_t n_question = (int64_t)strlen(question);
    char *text = mem_printf("%s%s", question, choice);
    CHECK(text, NOMEM, "a question of %lld bytes", LL(n_question));
    TRY(loaded_model_encode(s->m, text, (int64_t)strlen(text), TOKENIZER_ADD_SPECIAL, &ids));
    CHECK(ids.n <= loaded_model_context(s->m), DATA, "%lld tokens, the model sees %lld", LL(ids.n),
          LL(loaded_model_context(s->m)));
    TRY(batch_create(1, ids.n, &b));
    memcpy(b->tokens, ids.ids, (size_t)ids.n * sizeof *b->tokens);
    for (int64_t i = 1; i < ids.n; i++) {
        if (ids.end[i] <= n_question) continue;
        b->labels[i - 1] = ids.ids[i];
        b->n_label++;
    }
    TRY(model_loss(s->m->net.model, s->tape, b, false, &loss, NULL));
    *nats = -loss;
out:
    batch_destroy(b);
    token_list_fini(&ids);
    mem_free(text);
    return rc;
}

static Status ask(Scorer *s, const json_t *o)
{
    Status rc = ST_OK;
    const json_t *choices = json_object_get(o, "choices");
    const char *question = json_string_value(json_object_get(o, "question"));
    const int64_t answer = json_integer_value(json_object_get(o, "answer")),
                  n = (int64_t)json_array_size(choices);
    int64_t best = 0, best_per_byte = 0;
    double most = 0, most_per_byte = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *choice = json_string_value(json_array_get(choices, (size_t)i));
        double nats = 0;
        TRY(log_likelihood(s, question, choice, &nats));
        const double per_byte = nats / (double)strlen(choice);
        if (i == 0 || nats > most) {
            most = nats;
            best = i;
        }
        if (i == 0 || per_byte > most_per_byte) {
            most_per_byte = per_byte;
            best_per_byte = i;
        }
    }
    s->score.n_right += best == answer;
    s->score.n_right_per_byte += best_per_byte == answer;
    s->score.n_choice += n;
    s->score.n++;
out:
    return rc;
}

static Status take_line(Scorer *s, const char *line, int64_t n, bool mine)
{
    Status rc = ST_OK;
    json_error_t error;
    json_t *o = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, &error);
    CHECK(o, FORMAT, "column %d: %s", error.column, error.text);
    TRY(check_question(o));
    if (mine) TRY(ask(s, o));
out:
    json_decref(o);
    return rc;
}

/* Every rank reads the whole file, so that a malformed line is everybody's. */
static Status score_own(const Comm *c, Scorer *s, const char *path)
{
    Status rc = ST_OK;
    LineReader *lines = NULL;
    const char *line;
    int64_t n, number = 0;
    TRY(tape_create(&s->tape));
    TRY(lines_open(path, MAX_LINE_BYTES, &lines));
    for (;; number++) {
        TRY(lines_next(lines, &line, &n));
        if (!line) break;
        TRY(lines_failed(lines, take_line(s, line, n, number % comm_size(c) == comm_rank(c))));
    }
    CHECK(number > 0, DATA, "%s: holds no question", path);
out:
    lines_close(lines);
    tape_destroy(s->tape);
    return rc;
}

Status choices_score(const Comm *c, const LoadedModel *m, const char *path, ChoiceScore *score)
{
    Status rc = ST_OK;
    Scorer s = {.m = m};
    TRY(comm_agree(c, score_own(c, &s, path)));
    int64_t count[] = {s.score.n, s.score.n_choice, s.score.n_right, s.score.n_right_per_byte};
    comm_sum_i64(c, count, N_OF(count));
    *score = (ChoiceScore){count[0], count[1], count[2], count[3]};
out:
    return rc;
}
