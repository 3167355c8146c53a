/* evaluate.h — the loss of a model on a token set; the same bits for any number of ranks. */
#ifndef TRAINER_RUN_EVALUATE_H
#define TRAINER_RUN_EVALUATE_H
#include "data/data.h"
#include "trainer/models/model.h"

typedef struct Evaluation {
    double loss;     /* nats per labelled token; NaN without any */
    int64_t n_label; /* tokens predicted */
    int64_t n_byte;  /* of text they stand for; an end of a document has none */
    int64_t n_row;
    double seconds;
} Evaluation;

double evaluation_perplexity(const Evaluation *e);
double evaluation_bits_per_byte(const Evaluation *e); /* bits to code the text, per byte of it */

/* The loss over the first max_tokens inputs of the set, whole rows (0: all of it). Without a
 * tokenizer bytes are not counted.
 *
 * Shapes  batch: (B,T) with the set's T; overwritten
 * Rank    collective; micro-batches of B rows are shared out, their sums are added in order */
CHECKED Status evaluate_set(const Comm *c, const Model *m, const Tokenizer *tok,
                            const TokenSet *set, int64_t max_tokens, Tape *tape, Batch *batch,
                            Evaluation *out);
#endif
