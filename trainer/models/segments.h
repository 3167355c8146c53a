/* segments.h — long rows read in segments, with a memory of those before: in training, evaluation and generation. */
#ifndef TRAINER_MODELS_SEGMENTS_H
#define TRAINER_MODELS_SEGMENTS_H
#include "trainer/models/model.h"

const Segments *model_segments(const Model *m); /* NULL: rows are read whole */
/* What a row of T tokens is read in; NULL: as a whole. To learn from, all rows longer than a segment are; else those above
 * route_threshold. */
const Segments *segments_for(const Model *m, int64_t T, bool learns);

/* model_loss for such rows. To learn, each segment but the last is run forward once to find what it leaves behind, which is
 * kept; then, from the last to the first, forward again and backward on a tape of its own. */
CHECKED Status segments_loss(const Model *m, Tape *t, const Batch *batch, bool backward,
                             double *loss_sum, const real **nats);
/* model_logits for such rows. */
CHECKED Status segments_logits(const Model *m, Tape *t, const Batch *batch, int64_t n_row,
                               const int64_t *rows, real *logits);

/* B rows as far as they were read: what is in sight, and the state; as large for every length. */
typedef struct SegmentCache SegmentCache;
CHECKED Status segment_cache_create(const Model *m, int64_t B, SegmentCache **c);
void segment_cache_destroy(SegmentCache *c);
void segment_cache_forget(SegmentCache *c);                            /* new rows */
int64_t segment_cache_bytes(const Model *m, int64_t B);                /* of such a one */
int64_t segment_cache_n_past(const SegmentCache *c);                   /* tokens of a row so far */
const real *segment_cache_state(const SegmentCache *c, int64_t layer); /* (B*state_rows,D) */

/* One row, read on by n tokens of its one document. Shapes  tokens: (n); logits, after the last of them: (vocab_size) */
CHECKED Status model_extend_segments(const Model *m, Tape *t, SegmentCache *c, int64_t n,
                                     int32_t *tokens, real *logits);

/* Bytes beside a tape that learning from B rows of T tokens takes. */
int64_t segments_bytes(const Model *m, int64_t B, int64_t T);
#endif
