/* choices.h — multiple choice by likelihood: which of the offered texts a model finds most probable after the question. */
#ifndef TRAINER_RUN_CHOICES_H
#define TRAINER_RUN_CHOICES_H
#include "trainer/base/comm.h"
#include "trainer/run/loaded_model.h"

typedef struct ChoiceScore {
    int64_t n, n_choice;      /* questions, and choices of all of them together */
    int64_t n_right;          /* the answer has the highest log-likelihood */
    int64_t n_right_per_byte; /* ... divided by the bytes of the choice */
} ChoiceScore;

/* The file has JSON lines {"question": "...", "choices": ["...", ...], "answer": 0}; a choice is read right
 * behind its question, so one of them brings the blank between them. Equal likelihoods: the first counts.
 *
 * Rank    collective; questions are shared out, the score is the same for any number of ranks
 * Errors  ST_DATA missing, unreadable, no question, a question too long for the model; ST_FORMAT
 *         "path:line: what was found" */
CHECKED Status choices_score(const Comm *c, const LoadedModel *m, const char *path,
                             ChoiceScore *score);
#endif
