/* piece.h — one micro-batch as the layers see it: positions, which keys each token sees, and which rows are asked for. */
#ifndef TRAINER_MODELS_PIECE_H
#define TRAINER_MODELS_PIECE_H
#include "trainer/models/carry.h"
#include "trainer/models/hook.h"
#include "trainer/models/kv_cache.h"
#include "trainer/models/rope_cache.h"

struct ModelDef;

/* Tokens that a block has to give its result for. */
typedef struct Queries {
    int64_t n;
    const int32_t *row;             /* (n) of the piece, ascending; NULL: all of them */
    const int32_t *pos;             /* (n) within the document */
    AttentionArg attention, window; /* over the document, over its last sliding_window tokens */
} Queries;

/* What the layers share while they see one micro-batch; lives on the tape. */
typedef struct Piece {
    const ModelConfig *cfg;
    int64_t N;             /* B*T */
    const int32_t *tokens; /* (N) */
    Queries all, last;     /* of every block, of the last one */
    RopeTable rope;        /* of rotary families */
    const Hooks *hooks;
    uint64_t noise;           /* of the micro-batch, for dropout; 0: none */
    const KvRows *kv;         /* what the tokens follow; NULL: nothing before the batch */
    const int64_t *cache_row; /* (N) where the cache keeps them; -1: nowhere */
    const Carry *carry;       /* it is (a part of) a segment; NULL: rows are whole */
} Piece;

/* Rows of a piece that somebody wants the network's result for; n = 0: all of them. */
typedef struct AskedRows {
    int64_t n;
    const int32_t *row; /* (n) ascending; lives as long as the piece */
} AskedRows;

/* Errors  ST_CONFIG rows longer than model_max_positions; ST_SHAPE a document that starts behind a token; ST_NOMEM */
CHECKED Status piece_make(Tape *t, const ModelConfig *cfg, const struct ModelDef *def,
                          RopeCache *rope, const Batch *batch, const KvRows *kv, AskedRows asked,
                          Piece **piece);
/* Every block but the last gives all rows: the keys and values of the next are made of them. */
const Queries *piece_queries(const Piece *p, int64_t layer);
/* The rows of x (N,C) that are queries: y (q->n,C), or x itself where all are. */
CHECKED Status queries_pick(Tape *t, const Queries *q, Tensor *x, Tensor **y);
#endif
