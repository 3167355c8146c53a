/* model_cost.c — parameters, work and memory as functions of the sizes. */
#include "trainer/models/model.h"

int64_t model_n_params(const ModelConfig *c)
{
    const int64_t C = c->hidden_size, I = c->intermediate_size;
    const int64_t A = c->num_attention_heads * c->head_dim,
                  K = c->num_key_value_heads * c->head_dim;
    int64_t layer = 2 * C + 2 * A * C + 2 * K * C + 3 * I * C;
    if (c->attention_bias) layer += A + 2 * K + C;
    if (c->mlp_bias) layer += 2 * I + C;
    return (c->tie_word_embeddings ? 1 : 2) * c->vocab_size * C + c->num_hidden_layers * layer + C;
}

double model_attention_flops_per_token(const ModelConfig *c, int64_t T)
{
    return 12.0 * (double)c->num_hidden_layers * (double)T *
           (double)(c->num_attention_heads * c->head_dim);
}

double model_flops_per_token(const ModelConfig *c, int64_t T)
{
    const int64_t input_only = c->tie_word_embeddings ? 0 : c->vocab_size * c->hidden_size;
    return 6.0 * (double)(model_n_params(c) - input_only) + model_attention_flops_per_token(c, T);
}

int64_t model_activation_bytes(const ModelConfig *c, int64_t B, int64_t T, bool checkpointing)
{
    const int64_t C = c->hidden_size, I = c->intermediate_size;
    const int64_t A = c->num_attention_heads * c->head_dim,
                  K = c->num_key_value_heads * c->head_dim;
    const int64_t layer = 6 * C       /* two norms, two sublayers, two sums */
                          + 2 * A + K /* q before and after rotation, v */
                          + 2 * K + A /* k before and after rotation, attention */
                          + 3 * I;    /* gate, up, their product */
    const int64_t grads = 2 * C + 3 * I;
    const int64_t layers =
        checkpointing ? c->num_hidden_layers * C + layer : c->num_hidden_layers * layer;
    return B * T * (2 * C + layers + grads) * (int64_t)sizeof(real);
}
