/* model_cost.c — parameters, work and memory, from what was declared and the sizes. */
#include "trainer/models/transformer.h"

int64_t model_n_params(const Model *m)
{
    const ModelView view = model_view(m);
    int64_t n = 0;
    for (int64_t i = 0; i < view.n_param; i++) n += view.param[i]->n;
    return n;
}

/* Keys a token sees in a causal layer, on average, twice: all T without a window. */
static double keys_twice(const ModelConfig *c, bool windowed, double T)
{
    const double w = (double)c->sliding_window;
    return windowed && w < T ? 2 * w - w * w / T : T;
}

double model_attention_flops_per_token(const Model *m, int64_t T)
{
    const ModelConfig *c = model_config(m);
    double keys = 0;
    for (int64_t i = 0; i < c->num_hidden_layers; i++)
        keys += keys_twice(c, layer_is_windowed(model_def(m), c, i), (double)T);
    return 12.0 * keys * (double)(c->num_attention_heads * c->head_dim);
}

double model_flops_per_token(const Model *m, int64_t T)
{
    const ModelView view = model_view(m);
    const Param *head = model_head(m);
    int64_t multiplied = 0;
    for (int64_t i = 0; i < view.n_param; i++)
        if (view.param[i]->kind != PARAM_EMBEDDING || view.param[i] == head)
            multiplied += view.param[i]->n;
    return 6.0 * (double)multiplied + model_attention_flops_per_token(m, T);
}

int64_t model_activation_bytes(const Model *m, int64_t B, int64_t T, bool checkpointing)
{
    const ModelConfig *c = model_config(m);
    const int64_t C = c->hidden_size, n = c->num_hidden_layers,
                  block = model_def(m)->block_width(c);
    const int64_t grads = 2 * C + 3 * c->intermediate_size;
    const int64_t blocks = checkpointing ? n * C + block : n * block;
    return B * T * (2 * C + blocks + grads) * (int64_t)sizeof(real);
}
