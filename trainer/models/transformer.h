/* transformer.h — what the model families are built from: named weights, one micro-batch's side
 * data, and the definition that a family gives of itself. */
#ifndef TRAINER_MODELS_TRANSFORMER_H
#define TRAINER_MODELS_TRANSFORMER_H
#include "trainer/models/hook.h"
#include "trainer/models/model.h"

typedef struct Linear {
    const Site *site;  /* its name and weight */
    const Param *bias; /* (out); NULL: none */
} Linear;

/* A model while it is declared. */
typedef struct Build {
    ParamSet *ps;
    const ModelConfig *cfg;
    int layer; /* the block that is being declared */
    Site **site;
    int64_t n_site;
} Build;

/* What the layers share while they see one micro-batch; lives on the tape. */
typedef struct Piece {
    int64_t B, T;
    const int32_t *tokens; /* (B*T) */
    const int32_t *pos;    /* (B*T) within the document */
    AttentionArg attention;
    RopeTable rope;
    const Hooks *hooks;
    uint64_t noise; /* of the micro-batch, for dropout; 0: none */
} Piece;

/* One model family. `net` is its own struct of weights; forward gives the normed hidden states
 * (B*T,C). */
typedef struct ModelDef {
    const char *model_type;
    const char *prefix; /* of the names inside the blocks: "model." */
    const char *const
        *buffers; /* ends of names of stored tensors that are no weights; NULL after the
                                   last, or NULL */
    Status (*create)(Build *b, void **net);
    void (*destroy)(void *net);
    Status (*forward)(const void *net, Tape *t, const Piece *piece, Tensor **x);
    const Param *(*head)(const void *net); /* (V,C) */
    double (*init_std)(const ModelConfig *cfg,
                       const Param *weight); /* scheme "scaled"; matrices, embeddings */
} ModelDef;

/* Declare "<name>.weight" and, where asked for, "<name>.bias"; name is given by fmt. A linear layer is a
 * site of b->layer. */
CHECKED Status linear_declare(Build *b, Linear *l, int64_t n_out, int64_t n_in, bool bias,
                              const char *fmt, ...) __attribute__((format(printf, 6, 7)));
CHECKED Status table_declare(Build *b, const Param **p, int64_t V, int64_t C, const char *name);
CHECKED Status norm_declare(Build *b, const Param **p, int64_t C, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void build_fini(Build *b); /* frees the sites */

const ModelDef *model_def(const Model *m);

CHECKED Status piece_make(Tape *t, const ModelConfig *cfg, const RopeTable *rope,
                          const Batch *batch, Piece **piece);

/* Layers on their weights. x and *y may be the same variable. */
CHECKED Status linear_forward(Tape *t, const Piece *p, const Linear *l, Tensor *x, Tensor **y);
CHECKED Status norm_forward(Tape *t, const Param *w, double eps, Tensor *x, Tensor **y);
CHECKED Status table_forward(Tape *t, const Param *table, const Piece *piece, Tensor **y);
#endif
