/* model.h — a language model: its sizes, its parameters, its loss on a micro-batch. */
#ifndef TRAINER_MODELS_MODEL_H
#define TRAINER_MODELS_MODEL_H
#include "trainer/base/opt.h"
#include "trainer/models/hook.h"
#include "trainer/tensor/batch.h"
#include "trainer/tensor/params.h"
#include "trainer/tensor/tape.h"

enum { MAX_HEAD_DIM = 1024 };

/* The `model:` block; field names and meanings are those of a Hugging Face config.json, except where a
 * family has names of its own there. What a family does not read, model_unread tells. */
typedef struct ModelConfig {
    const char *model_type;
    int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers;
    int64_t num_attention_heads, num_key_value_heads, head_dim;
    int64_t max_position_embeddings;
    double rms_norm_eps, layer_norm_epsilon;

    double rope_theta;
    const char *rope_type; /* linear | dynamic | llama3 | yarn; NULL: frequencies as they are */
    double rope_factor;
    int64_t original_max_position_embeddings;
    double low_freq_factor, high_freq_factor;      /* llama3 */
    double attention_factor, beta_fast, beta_slow; /* yarn; attention_factor 0: from rope_factor */

    int64_t
        sliding_window; /* keys that a token of a windowed layer sees, itself included; 0: all */
    bool use_sliding_window;
    int64_t max_window_layers; /* layers before this one have no window */

    int64_t query_pre_attn_scalar;                          /* scores are divided by its root */
    double attn_logit_softcapping, final_logit_softcapping; /* 0: none */

    int64_t pad_token_id; /* its row learns nothing as an input, as in PyTorch; -1: none */
    bool tie_word_embeddings, attention_bias, mlp_bias;
    const char *initializer;  /* "scaled" | "normal"; model_init_weights */
    double initializer_range; /* of "normal" */
} ModelConfig;
extern const OptSpec MODEL_OPTS[];

/* Fills in what can be derived, and refuses sizes that do not fit each other. Texts are borrowed.
 * Errors  ST_CONFIG
 * Rank    replicated */
CHECKED Status model_check_config(ModelConfig *cfg);

/* The option whose choice leaves `option` without a reader ("model_type", "rope_type", ...); NULL: it is
 * read. */
const char *model_unread(const ModelConfig *cfg, const char *option);

int64_t model_max_positions(const ModelConfig *cfg); /* tokens of the longest row */

typedef struct Model Model;

/* Declares the model's parameters in `ps`; seal it, then give them values.
 * Errors  ST_CONFIG sizes that do not fit; ST_NOMEM
 * Owns    copies cfg, not its texts; borrows ps, which must outlive the model */
CHECKED Status model_create(const ModelConfig *cfg, ParamSet *ps, Model **model);
void model_destroy(Model *m);
const ModelConfig *model_config(const Model *m); /* complete: nothing left to default */
ModelView model_view(const Model *m);
void model_set_hooks(Model *m, const Hooks *hooks); /* borrows; NULL: none */
void model_blind(
    Model *m,
    bool on); /* where rows are read in segments, nothing is read of the memory; off at first */

/* Random weights. Each number is a pure function of seed, parameter name and index.
 * Math  scaled: matrices N(0, 0.49/fan_in), those that write to the residual stream 1/(2 layers) of
 * that variance, embedding and head N(0, 0.02^2). normal: all of them N(0, initializer_range^2).
 *       Norms scale by 1, biases are 0 in both. */
void model_init_weights(Model *m, uint64_t seed);

/* The loss of one micro-batch; resets the tape first. With `backward`, gradients are added to the bound Param.grad;
 * nothing is divided. Without it, nothing is kept for a backward.
 *
 * Units   nats, summed over the labels of the batch
 * With a method that reads rows in segments, longer rows are: to learn from, all that are longer than one; else those
 * above route_threshold. Then one segment at a time is on the tape.
 *
 * Errors  ST_CONFIG rows longer than model_max_positions; ST_SHAPE ids out of range; ST_NOMEM
 * Owns    *nats (unless nats is NULL): the loss of each token (B,T), 0 without a label, until the next reset */
CHECKED Status model_loss(const Model *m, Tape *t, const Batch *batch, bool backward,
                          double *loss_sum, const real **nats);

/* Blocks below everything that is trained: what they make of a token is a function of the tokens it sees. */
int64_t model_n_frozen_block(const Model *m);
/* What the first n_block blocks make of a batch; resets the tape. Shapes  hidden: (B*T,C) */
CHECKED Status model_hidden_at(const Model *m, Tape *t, const Batch *batch, int64_t n_block,
                               real *hidden);

/* Logits after chosen tokens of the batch, as generation needs them; resets the tape first.
 * Shapes  rows: (n_row) of b * T + t; logits: (n_row, vocab_size) */
CHECKED Status model_logits(const Model *m, Tape *t, const Batch *batch, int64_t n_row,
                            const int64_t *rows, real *logits);

/* --- what a run of it takes; the weights need no values --- */

int64_t model_n_params(const Model *m);

/* FLOPs of forward and backward per token.
 * Math  6 (parameters without those that are only looked up) + 12 layers T (heads head_dim): the usual
 * count, attention over all T keys. Frozen parameters count 4 instead of 6; below the lowest block that
 * trains something there is the forward alone, 2, and 4 for attention. A causal mask leaves half of the second term,
 * model_attention_flops_per_token, to be computed. A layer with a window w < T counts 2 w - w^2/T keys, so
 * that half of it is what is computed, too. */
double model_flops_per_token(const Model *m, int64_t T);
double model_attention_flops_per_token(const Model *m, int64_t T);

/* Bytes that a training pass over B rows of T tokens, all of which carry labels, takes with the threads of this rank: those
 * of its tape, and what segments hand over. Within a tenth, but for models of a few thousand parameters. */
int64_t model_activation_bytes(const Model *m, int64_t B, int64_t T, bool checkpointing);
#endif
