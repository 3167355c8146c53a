/* transformer.h — what the model families are built from: named weights, one micro-batch's side
 * data, and the definition that a family gives of itself. */
#ifndef TRAINER_MODELS_TRANSFORMER_H
#define TRAINER_MODELS_TRANSFORMER_H
#include "trainer/models/model.h"

typedef struct Linear {
    const Param *weight; /* (out,in) */
    const Param *bias;   /* (out); NULL: none */
} Linear;

/* What the layers share while they see one micro-batch; lives on the tape. */
typedef struct Piece {
    int64_t B, T;
    const int32_t *tokens; /* (B*T) */
    const int32_t *pos;    /* (B*T) within the document */
    AttentionArg attention;
    RopeTable rope;
} Piece;

/* One model family. `net` is its own struct of weights; forward gives the normed hidden states
 * (B*T,C). */
typedef struct ModelDef {
    const char *model_type;
    Status (*create)(const ModelConfig *cfg, ParamSet *ps, void **net);
    void (*destroy)(void *net);
    Status (*forward)(const void *net, Tape *t, const Piece *piece, Tensor **x);
    const Param *(*head)(const void *net); /* (V,C) */
    double (*init_std)(const ModelConfig *cfg,
                       const Param *weight); /* scheme "scaled"; matrices, embeddings */
} ModelDef;

/* Declare "<name>.weight" and, where asked for, "<name>.bias"; name is given by fmt. */
CHECKED Status linear_declare(ParamSet *ps, Linear *l, int64_t n_out, int64_t n_in, bool bias,
                              const char *fmt, ...) __attribute__((format(printf, 6, 7)));
CHECKED Status table_declare(ParamSet *ps, const Param **p, int64_t V, int64_t C, const char *name);
CHECKED Status norm_declare(ParamSet *ps, const Param **p, int64_t C, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

CHECKED Status piece_make(Tape *t, const ModelConfig *cfg, const RopeTable *rope,
                          const Batch *batch, Piece **piece);

/* Layers on their weights. x and *y may be the same variable. */
CHECKED Status linear_forward(Tape *t, const Linear *l, Tensor *x, Tensor **y);
CHECKED Status norm_forward(Tape *t, const Param *w, double eps, Tensor *x, Tensor **y);
CHECKED Status table_forward(Tape *t, const Param *table, const Piece *piece, Tensor **y);
#endif
