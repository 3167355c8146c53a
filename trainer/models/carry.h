/* carry.h — rows read in segments: what passes from one to the next, and a segment as the layers see it.
 *
 * Of each row of a batch a block has, in this order, the keys of n_slot tokens of earlier segments (sinks, then the window of the
 * last ones before the segment, which ends at the last slot), and those of the segment. Keys are kept as they were before their turning, for their places
 * may change; slots in nobody's sight hold any finite numbers. */
#ifndef TRAINER_MODELS_CARRY_H
#define TRAINER_MODELS_CARRY_H
#include "trainer/models/hook.h"
#include "trainer/models/rope_cache.h"
#include "trainer/tensor/batch.h"

/* Of one block. What is only read forward stands in k, v with room for a segment behind each row's slots, and is brought up to
 * date in place. What is learned from has the slots alone, and gradients. */
typedef struct CarryBlock {
    real *k, *v;            /* (B*n_slot,Hkv*D), or (B*(n_slot+len),Hkv*D) */
    real *state;            /* (B*state_rows,D) */
    real *dk, *dv, *dstate; /* the gradient goes there; NULL: none is wanted */
    const real *dk_after, *dv_after, *dstate_after; /* of what the next segment was given */
} CarryBlock;

typedef struct Carry {
    const Segments *plan;
    int64_t B, n_new;                     /* rows; new tokens of each */
    int64_t n_past;                       /* tokens of the segment that came before them */
    int64_t n_slot, n_key;                /* keys of a row: of earlier segments, all */
    bool learns;                          /* see CarryBlock */
    bool ends;                            /* the segment is full now, and another one follows */
    bool blind;                           /* no token reads the memory */
    const uint8_t *reads, *takes, *keeps; /* of SegmentSite */
    const int32_t *key; /* (B*n_key) 0, 1, 2, ...: their rows of the rotary table */
    const int32_t *segment_key,
        *slot_key;     /* (B*len), (B*n_slot): the segment, the slots after it */
    CarryBlock *block; /* (n_layer) */
} Carry;

struct Piece;
struct ModelDef;

/* New tokens of a segment that begins at column `begin` of the batch. cos_sin: room for the rotary table, of which rows of
 * earlier calls for the same segment are kept; NULL: made on the tape.
 * Shapes  batch: (B,n_new), doc_start counted in whole rows; cos_sin: (2, B*n_key, head_dim / 2)
 * Errors  ST_SHAPE a document that starts behind a token; ST_NOMEM */
CHECKED Status segment_piece_make(Tape *t, const ModelConfig *cfg, const struct ModelDef *def,
                                  const Batch *batch, int64_t begin, Carry *carry, real *cos_sin,
                                  struct Piece **piece);

/* Attention of a block over what is in sight, and what the method makes of it. q, k, v before their turning. */
CHECKED Status segment_attention(Tape *t, const struct Piece *p, int layer,
                                 const AttentionArg *keys, Tensor *q, Tensor *k, Tensor *v,
                                 Tensor **y);
#endif
