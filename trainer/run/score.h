/* score.h — asks a model questions and counts its answers. */
#ifndef TRAINER_RUN_SCORE_H
#define TRAINER_RUN_SCORE_H
#include "trainer/base/comm.h"
#include "trainer/run/loaded_model.h"
#include "trainer/run/questions.h"

/* Gives the model a line end and the question, and takes what it finds most probable up to the
 * first full stop: right when that is the answer, byte for byte. Fills in every verdict.
 *
 * Rank    collective; fixed groups of questions are shared out, so the verdicts are the same for
 *         any number of ranks. Question.given is filled in on rank 0
 * Errors  ST_DATA ranks with different questions; those of generate */
CHECKED Status score_questions(const Comm *c, const LoadedModel *m, QuestionSet *set);

typedef struct ScoreCount {
    int64_t n, verdict[N_VERDICT];
    int64_t n_statement, least_statements; /* together, and of the rarest answer */
} ScoreCount;

/* Counts the questions of one group (a WorldGroup, or SCORE_ALL) whose answer is stated first .. last
 * times in the newest text. Rank: replicated. */
enum { SCORE_ALL = WORLD_NEW + 1 };
ScoreCount score_count(const QuestionSet *set, int group, int64_t first, int64_t last);

/* Both add to `out`. Source: docs/formats.md, "eval --json". */
void score_text(const QuestionSet *set, Text *out);
void score_json(const QuestionSet *set, Text *out);
#endif
