/* batch.h — what data/ gives and models/ take: one micro-batch of packed rows. */
#ifndef TRAINER_TENSOR_BATCH_H
#define TRAINER_TENSOR_BATCH_H
#include "trainer/tensor/real.h"
#include <stdint.h>

/* B rows of T tokens, row-major (B,T). Documents packed into one row see only themselves: doc_start[b,t] is the
 * first position of row b that token t may attend to (0 <= doc_start <= t), so the keys of t are
 * doc_start[b,t] .. t. A document that begins as one before it in the row leaves that beginning out: n_shared[b,t]
 * tokens from shared_start[b,t] on stand before doc_start, are seen by t as well, and count in its position, which is
 * n_shared + t - doc_start. A label is the id to be predicted after the token, or -1 where nothing is to be learned. */
typedef struct Batch {
    int64_t B, T;
    int32_t *tokens;                  /* (B,T) ids */
    int32_t *labels;                  /* (B,T) ids or -1 */
    int32_t *doc_start;               /* (B,T) */
    int32_t *shared_start, *n_shared; /* (B,T); both NULL: nothing is shared */
    int64_t n_label;                  /* labels that are not -1 */
    uint64_t noise;     /* key of the random numbers this micro-batch may use (dropout); 0: none */
    const real *hidden; /* (B*T,C) what the first n_block blocks make of it; NULL: they are run */
    int64_t n_block;
} Batch;
#endif
