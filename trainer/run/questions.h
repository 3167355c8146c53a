/* questions.h — a file of questions with known answers: JSON lines as `trainer world` writes them.
 */
#ifndef TRAINER_RUN_QUESTIONS_H
#define TRAINER_RUN_QUESTIONS_H
#include "data/world.h"

typedef enum Verdict { VERDICT_RIGHT, VERDICT_OLD, VERDICT_NEITHER, N_VERDICT } Verdict;

typedef struct Question {
    char *question, *answer, *old_answer; /* old_answer: NULL unless the fact has changed */
    WorldGroup group;
    bool held_out;
    int64_t statements; /* of the answer in the newest text */
    char *given;        /* what the model says; NULL: not asked, or asked by another rank */
    Verdict verdict;
} Question;

typedef struct QuestionSet {
    Question *q;
    int64_t n;      /* to be asked */
    int64_t n_file; /* in the file */
    uint64_t hash;  /* of the file */
} QuestionSet;

/* Reads the held-out questions, or all of them.
 *
 * Rank    local
 * Errors  ST_DATA missing, unreadable, nothing to ask; ST_FORMAT "path:line: what was found"
 * Owns    *set is the caller's
 * Source  docs/demo-world.md, "The question file" */
CHECKED Status questions_read(const char *path, bool all, QuestionSet **set);
void questions_destroy(QuestionSet *set);
#endif
