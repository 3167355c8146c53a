/* model.h — a language model: its sizes, its parameters, its loss on a micro-batch. */
#ifndef TRAINER_MODELS_MODEL_H
#define TRAINER_MODELS_MODEL_H
#include "trainer/base/opt.h"
#include "trainer/models/hook.h"
#include "trainer/tensor/batch.h"
#include "trainer/tensor/params.h"
#include "trainer/tensor/tape.h"

/* The `model:` block; field names and meanings are those of a Hugging Face config.json. */
typedef struct ModelConfig {
    const char *model_type;
    int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers;
    int64_t num_attention_heads;
    int64_t num_key_value_heads; /* 0: num_attention_heads */
    int64_t head_dim;            /* 0: hidden_size / num_attention_heads */
    int64_t max_position_embeddings;
    double rms_norm_eps, rope_theta;
    bool tie_word_embeddings, attention_bias, mlp_bias;
    const char *initializer;  /* "scaled" | "normal"; model_init_weights */
    double initializer_range; /* of "normal" */
} ModelConfig;
extern const OptSpec MODEL_OPTS[];

/* Fills in what is 0, and refuses sizes that do not fit each other. Errors: ST_CONFIG. Rank:
 * replicated. */
CHECKED Status model_check_config(ModelConfig *cfg);

typedef struct Model Model;

/* Declares the model's parameters in `ps`; seal it, then give them values.
 * Errors  ST_CONFIG sizes that do not fit; ST_NOMEM
 * Owns    copies cfg; borrows ps, which must outlive the model */
CHECKED Status model_create(const ModelConfig *cfg, ParamSet *ps, Model **model);
void model_destroy(Model *m);
const ModelConfig *model_config(const Model *m); /* complete: nothing left to default */
ModelView model_view(const Model *m);
void model_set_hooks(Model *m, const Hooks *hooks); /* borrows; NULL: none */

/* Random weights. Each number is a pure function of seed, parameter name and index.
 * Math  scaled: matrices N(0, 0.49/fan_in), those that write to the residual stream 1/(2 layers) of
 * that variance, embedding and head N(0, 0.02^2). normal: all of them N(0, initializer_range^2).
 *       Norms 1, biases 0 in both. */
void model_init_weights(Model *m, uint64_t seed);

/* The loss of one micro-batch; resets the tape first. With `backward`, gradients are added to the bound Param.grad;
 * nothing is divided. Without it, nothing is kept for a backward.
 *
 * Units   nats, summed over the labels of the batch
 * Errors  ST_CONFIG rows longer than max_position_embeddings; ST_SHAPE ids out of range; ST_NOMEM
 * Owns    *nats (unless nats is NULL): the loss of each token (B,T), 0 without a label, until the next reset */
CHECKED Status model_loss(const Model *m, Tape *t, const Batch *batch, bool backward,
                          double *loss_sum, const real **nats);

/* Logits after chosen tokens of the batch, as generation needs them; resets the tape first.
 * Shapes  rows: (n_row) of b * T + t; logits: (n_row, vocab_size) */
CHECKED Status model_logits(const Model *m, Tape *t, const Batch *batch, int64_t n_row,
                            const int64_t *rows, real *logits);

/* --- what a run of it takes; pure functions of the sizes; cfg is complete (model_check_config) ---
 */

int64_t model_n_params(const ModelConfig *cfg);

/* FLOPs of forward and backward per token.
 * Math  6 (parameters without the input embedding) + 12 layers T (heads head_dim): the usual count,
 * attention over all T keys. A causal mask leaves half of the second term,
 * model_attention_flops_per_token, to be computed. */
double model_flops_per_token(const ModelConfig *cfg, int64_t T);
double model_attention_flops_per_token(const ModelConfig *cfg, int64_t T);

/* Bytes that a tape holds for a training pass over B rows of T tokens. An estimate: within a
 * quarter. */
int64_t model_activation_bytes(const ModelConfig *cfg, int64_t B, int64_t T, bool checkpointing);
#endif
