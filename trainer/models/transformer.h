/* transformer.h — what the model families are built from: named weights, one micro-batch's side
 * data, and the definition that a family gives of itself. */
#ifndef TRAINER_MODELS_TRANSFORMER_H
#define TRAINER_MODELS_TRANSFORMER_H
#include "trainer/models/hook.h"
#include "trainer/models/model_keys.h"
#include "trainer/models/piece.h"

typedef struct Linear {
    const Site *site;  /* its name and weight */
    const Param *bias; /* (out); NULL: none */
} Linear;

typedef struct LayerNorm {
    const Param *weight, *bias; /* (C) */
} LayerNorm;

/* A model while it is declared. */
typedef struct Build {
    ParamSet *ps;
    const struct ModelDef *def;
    const ModelConfig *cfg; /* complete; stays as long as the model */
    int layer;              /* the block that is being declared */
    bool in_out;            /* linear layers are stored (in,out) */
    Site **site;
    int64_t n_site;
} Build;

/* Widths of the gradients that stand side by side in the backward of one half of a block; 0: no more. */
enum { MAX_GRADS = 8 };
typedef struct BlockGrads {
    int64_t attention[MAX_GRADS], mlp[MAX_GRADS];
} BlockGrads;

/* One model family. `net` is its own struct of weights. A forward is enter, the blocks in their order, leave; x and
 * *y are (B*T,C), behind the last block (rows that are asked for,C), and may be the same variable. */
typedef struct ModelDef {
    const char *model_type, *architecture; /* as config.json has them */
    const ModelKey *keys;                  /* end with a NULL key */
    const ModelFixedKey *fixed;            /* end with a NULL key; beside those of all families */
    const char *prefix;         /* of all names but the head's, left out where a file has no head */
    const char *const *buffers; /* ends of names of stored tensors that are no weights; NULL after
                                   the last, or NULL */
    bool rotary;                /* positions turn queries and keys */
    double norm_offset;         /* norms scale by offset + weight */
    bool (*windowed)(const ModelConfig *cfg, int64_t layer); /* NULL: no layer has a window */
    void (*derive)(ModelConfig *cfg); /* NULL: nothing beyond what all families derive */
    Status (*create)(Build *b, void **net);
    void (*destroy)(void *net);
    Status (*enter)(const void *net, Tape *t, const Piece *piece, Tensor **x); /* embedding */
    Status (*block)(const void *net, int64_t layer, Tape *t, const Piece *piece, Tensor *x,
                    Tensor **y); /* y: for the rows of piece_queries(piece, layer) */
    Status (*leave)(const void *net, Tape *t, const Piece *piece, Tensor *x,
                    Tensor **y);           /* the norm before the head */
    const Param *(*head)(const void *net); /* (V,C) */
    double (*init_std)(const ModelConfig *cfg,
                       const Param *weight);        /* scheme "scaled"; matrices, embeddings */
    int64_t (*block_width)(const ModelConfig *cfg); /* numbers a tape holds per block and token */
    BlockGrads (*block_grads)(const ModelConfig *cfg);
} ModelDef;

const ModelDef *model_def(const Model *m);
const ParamSet *model_params(const Model *m); /* its own, and those of its methods */
const Hooks *model_hooks(const Model *m);     /* NULL: none */
const Param *model_head(const Model *m);      /* (V,C) */
bool model_is_blind(const Model *m);
/* The network over a piece: x (piece->N,C). */
CHECKED Status model_run(const Model *m, Tape *t, Piece *piece, Tensor **x);
/* Logits of chosen rows of what the network made. Shapes  rows: (n_row); logits: (n_row, vocab_size) */
CHECKED Status model_head_logits(const Model *m, Tape *t, const Tensor *x, int64_t n_row,
                                 const int64_t *rows, real *logits);
bool layer_is_windowed(const ModelDef *def, const ModelConfig *cfg, int64_t layer);

/* Declare "<name>.weight" and, where asked for, "<name>.bias"; name is given by fmt. A linear layer is a
 * site of b->layer. */
CHECKED Status linear_declare(Build *b, Linear *l, int64_t n_out, int64_t n_in, bool bias,
                              const char *fmt, ...) __attribute__((format(printf, 6, 7)));
CHECKED Status table_declare(Build *b, const Param **p, int64_t V, int64_t C, const char *name);
CHECKED Status norm_declare(Build *b, const Param **p, int64_t C, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
CHECKED Status layernorm_declare(Build *b, LayerNorm *norm, int64_t C, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void build_fini(Build *b); /* frees the sites */

/* Standard deviation of "scaled" random weights that are read by n_in inputs; less for what writes to the
 * residual stream. */
double linear_init_std(const ModelConfig *cfg, int64_t n_in, bool to_stream);

/* Attention of a block over the tokens of the piece and, with a cache, over what they follow. keys: one of
 * the piece's, or a copy with another scale. */
CHECKED Status attention_forward(Tape *t, const Piece *p, int layer, const AttentionArg *keys,
                                 Tensor *q, Tensor *k, Tensor *v, Tensor **y);

/* Layers on their weights. x and *y may be the same variable. A norm's weight may be a divisor of the
 * columns: then each such part of a row, a head, is normed by itself. */
CHECKED Status linear_forward(Tape *t, const Piece *p, const Linear *l, Tensor *x, Tensor **y);
/* The same for a y whose readers keep what they want of it (tape_call_passing); then it is forgotten. */
CHECKED Status linear_forward_passing(Tape *t, const Piece *p, const Linear *l, Tensor *x,
                                      Tensor **y);
CHECKED Status norm_forward(Tape *t, const Param *w, double w_offset, double eps, Tensor *x,
                            Tensor **y);
CHECKED Status layernorm_forward(Tape *t, const LayerNorm *norm, double eps, Tensor *x, Tensor **y);
/* The same for a y that is forgotten when its readers are done (tape_forget). */
CHECKED Status norm_forward_brief(Tape *t, const Param *w, double w_offset, double eps, Tensor *x,
                                  Tensor **y);
CHECKED Status layernorm_forward_brief(Tape *t, const LayerNorm *norm, double eps, Tensor *x,
                                       Tensor **y);
CHECKED Status table_forward(Tape *t, const Param *table, const int32_t *ids, int64_t n,
                             int64_t pad_id, Tensor **y);
#endif
