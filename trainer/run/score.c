/* score.c — questions go to the model in fixed groups; who asks which group depends on the rank
 * count, what is asked together does not. */
#include "trainer/run/score.h"
#include "trainer/base/mem.h"
#include "trainer/run/generate.h"
#include <string.h>

enum { TOGETHER = 16 };

/* ---- asking ---- */

static Verdict judge(const Question *q)
{
    if (strcmp(q->given, q->answer) == 0) return VERDICT_RIGHT;
    if (q->old_answer && strcmp(q->given, q->old_answer) == 0) return VERDICT_OLD;
    return VERDICT_NEITHER;
}

static Status ask_together(const LoadedModel *m, const GenerateOpts *o, Question *q, int64_t n)
{
    Status rc = ST_OK;
    char *text[TOGETHER] = {0};
    Prompt prompt[TOGETHER] = {0};
    Continuation said[TOGETHER] = {0};
    for (int64_t i = 0; i < n; i++) {
        text[i] = mem_printf("\n%s", q[i].question);
        CHECK(text[i], NOMEM, "question %s", q[i].question);
        prompt[i] = (Prompt){text[i], (int64_t)strlen(text[i])};
    }
    TRY(generate(m, o, n, prompt, said));
    for (int64_t i = 0; i < n; i++) {
        q[i].given = said[i].text;
        said[i].text = NULL;
        q[i].verdict = judge(&q[i]);
    }
out:
    for (int64_t i = 0; i < n; i++) {
        continuation_fini(&said[i]);
        mem_free(text[i]);
    }
    return rc;
}

/* No model needs to go on for longer than the longest answer. */
static Status longest_answer(const LoadedModel *m, const QuestionSet *set, int64_t *longest)
{
    Status rc = ST_OK;
    TokenList list = {0};
    *longest = 1;
    for (int64_t i = 0; i < set->n; i++) {
        const char *each[] = {set->q[i].answer, set->q[i].old_answer};
        for (int k = 0; k < 2; k++) {
            list.n = 0;
            if (each[k])
                TRY(tokenizer_encode(m->tokenizer, each[k], (int64_t)strlen(each[k]),
                                     TOKENIZER_PLAIN, &list));
            if (list.n > *longest) *longest = list.n;
        }
    }
out:
    token_list_fini(&list);
    return rc;
}

static int64_t n_group_of(const QuestionSet *set)
{
    return (set->n + TOGETHER - 1) / TOGETHER;
}

static int64_t group_size(const QuestionSet *set, int64_t group)
{
    const int64_t left = set->n - group * TOGETHER;
    return left < TOGETHER ? left : TOGETHER;
}

static Status ask_own(const Comm *c, const LoadedModel *m, QuestionSet *set)
{
    Status rc = ST_OK;
    GenerateOpts o;
    opt_set_defaults(GENERATE_OPTS, &o);
    TRY(longest_answer(m, set, &o.max_new_tokens));
    o.stop = ".";
    for (int64_t g = comm_rank(c); g < n_group_of(set); g += comm_size(c))
        TRY(ask_together(m, &o, &set->q[g * TOGETHER], group_size(set, g)));
out:
    return rc;
}

/* ---- sharing what was heard ---- */

static Status share_verdicts(const Comm *c, QuestionSet *set)
{
    Status rc = ST_OK;
    int64_t *verdict = mem_array(set->n, sizeof *verdict);
    TRY(comm_agree(
        c,
        verdict ? ST_OK : status_fail(ST_NOMEM, __FILE__, __LINE__, "%lld verdicts", LL(set->n))));
    for (int64_t i = 0; i < set->n; i++)
        verdict[i] = set->q[i].given ? (int64_t)set->q[i].verdict : 0;
    comm_sum_i64(c, verdict, (int)set->n);
    for (int64_t i = 0; i < set->n; i++) set->q[i].verdict = (Verdict)verdict[i];
out:
    mem_free(verdict);
    return rc;
}

/* The answers of a rank, one after the other, each with its NUL. */
static Status own_answers(const QuestionSet *set, Text *out)
{
    for (int64_t i = 0; i < set->n; i++)
        if (set->q[i].given) text_bytes(out, set->q[i].given, strlen(set->q[i].given) + 1);
    return text_check(out);
}

static Status take_answers(const Comm *c, QuestionSet *set, const char *all, const size_t *n_each)
{
    Status rc = ST_OK;
    for (int rank = 0; rank < comm_size(c); all += n_each[rank++]) {
        const char *next = all;
        for (int64_t i = 0; i < set->n; i++) {
            if (i / TOGETHER % comm_size(c) != rank) continue;
            if (!set->q[i].given) set->q[i].given = mem_strdup(next);
            CHECK(set->q[i].given, NOMEM, "answer %s", next);
            next += strlen(next) + 1;
        }
    }
out:
    return rc;
}

static Status share_answers(const Comm *c, QuestionSet *set)
{
    Status rc = ST_OK;
    Text own = {0};
    void *all = NULL;
    size_t *n_each = NULL;
    TRY(comm_agree(c, own_answers(set, &own)));
    TRY(comm_gather(c, own.s ? own.s : "", own.n, &all, &n_each));
    TRY(comm_agree(c, comm_rank(c) == 0 ? take_answers(c, set, all, n_each) : ST_OK));
out:
    mem_free(n_each);
    mem_free(all);
    text_fini(&own);
    return rc;
}

Status score_questions(const Comm *c, const LoadedModel *m, QuestionSet *set)
{
    Status rc = ST_OK;
    CHECK(comm_same(c, set->hash), DATA,
          "the ranks have read different questions: is the file the same on every node?");
    TRY(comm_agree(c, ask_own(c, m, set)));
    TRY(share_verdicts(c, set));
    TRY(share_answers(c, set));
out:
    return rc;
}
