/* model_cost.c — parameters, work and memory, from what was declared and the sizes. */
#include "trainer/models/segments.h"
#include "trainer/models/transformer.h"
#include <ctype.h>
#include <omp.h>
#include <stdlib.h>

int64_t model_n_params(const Model *m)
{
    const ModelView view = model_view(m);
    int64_t n = 0;
    for (int64_t i = 0; i < view.n_param; i++) n += view.param[i]->n;
    return n;
}

/* ---- where backward ends ---- */

static bool is_looked_up(const Model *m, const Param *p)
{
    return p->kind == PARAM_EMBEDDING && p != model_head(m);
}

/* The block a parameter is used in, by the number in its name; behind the last block without one. */
static int64_t block_of(const Model *m, const Param *p)
{
    for (const char *dot = strchr(p->name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (isdigit((unsigned char)dot[1])) return strtoll(dot + 1, NULL, 10);
    return is_looked_up(m, p) ? -1 : model_config(m)->num_hidden_layers;
}

/* The first block that a gradient has to reach; -1: the embedding. */
static int64_t lowest_trained(const Model *m)
{
    const ParamSet *ps = model_params(m);
    int64_t lowest = model_config(m)->num_hidden_layers;
    for (int64_t i = 0; i < params_count(ps); i++) {
        const Param *p = params_at(ps, i);
        const bool is_input =
            p->kind == PARAM_EMBEDDING && (is_looked_up(m, p) || model_view(m).tied);
        const int64_t block = is_input ? -1 : block_of(m, p);
        if (!p->frozen && block < lowest) lowest = block;
    }
    return lowest;
}

int64_t model_n_frozen_block(const Model *m)
{
    const int64_t lowest = lowest_trained(m);
    return lowest < 0 ? 0 : lowest;
}

/* ---- work ---- */

/* Keys a token sees in a causal layer, on average, twice: all T without a window. */
static double keys_twice(const ModelConfig *c, bool windowed, double T)
{
    const double w = (double)c->sliding_window;
    return windowed && w < T ? 2 * w - w * w / T : T;
}

double model_attention_flops_per_token(const Model *m, int64_t T)
{
    const ModelConfig *c = model_config(m);
    const int64_t lowest = lowest_trained(m);
    const Segments *s = segments_for(m, T, true);
    double products = 0;
    if (s) T = s->len + 2 * segments_n_slot(s); /* twice, as of a causal layer half is computed */
    for (int64_t i = 0; i < c->num_hidden_layers; i++)
        products += (i >= lowest ? 12.0 : 4.0) *
                    keys_twice(c, layer_is_windowed(model_def(m), c, i), (double)T);
    return products * (double)(c->num_attention_heads * c->head_dim);
}

static double param_flops(const Model *m, const Param *p, int64_t lowest)
{
    if (is_looked_up(m, p)) return 0;
    return (double)p->n * (!p->frozen ? 6 : block_of(m, p) >= lowest ? 4 : 2);
}

double model_flops_per_token(const Model *m, int64_t T)
{
    const ParamSet *ps = model_params(m);
    const int64_t lowest = lowest_trained(m);
    double flops = 0;
    for (int64_t i = 0; i < params_count(ps); i++)
        flops += param_flops(m, params_at(ps, i), lowest);
    for (int64_t i = 0; i < params_n_frozen(ps); i++)
        flops += param_flops(m, params_frozen_at(ps, i), lowest);
    return flops + model_attention_flops_per_token(m, T);
}

/* ---- memory ---- */

/* Reals per token that the methods add to a block. */
static int64_t methods_width(const Model *m, int64_t block)
{
    const Hooks *hooks = model_hooks(m);
    int64_t width = 0;
    for (int64_t i = 0; hooks && i < hooks->n; i++)
        if (hooks->at[i].def->width) width += hooks->at[i].def->width(hooks->at[i].self, block);
    return width;
}

/* What reading in segments adds to a block, in reals per token of a segment. */
typedef struct SegmentWidth {
    int64_t turned, slots,
        state; /* beside plain queries and keys; all keys and values, those picked from them; handed over */
} SegmentWidth;

static SegmentWidth segment_width(const Model *m, const Segments *s)
{
    const ModelConfig *c = model_config(m);
    if (!s) return (SegmentWidth){0};
    const int64_t A = c->num_attention_heads * c->head_dim,
                  K = c->num_key_value_heads * c->head_dim, n_slot = segments_n_slot(s),
                  n_key = n_slot + s->len;
    return (SegmentWidth){.turned = A + K * n_key / s->len,
                          .slots = n_slot > 0 ? 2 * K + 2 * K * n_key / s->len : 0,
                          .state = (2 * K * n_slot + s->state_rows * c->head_dim) / s->len};
}

/* Reals per token in a block, methods included. */
static int64_t block_width(const Model *m, int64_t block, const Segments *s)
{
    const SegmentWidth more = segment_width(m, s);
    return model_def(m)->block_width(model_config(m)) + methods_width(m, block) + more.turned +
           more.slots + 2 * more.state; /* and its gradient, from the forward on */
}

/* How many of the first n gradients have the width w. */
static int64_t count_width(const int64_t *width, int n, int64_t w)
{
    int64_t count = 0;
    for (int i = 0; i < n; i++) count += width[i] == w;
    return count;
}

/* Those of one half that find no memory of the other: a gradient takes over that of one as wide. */
static int64_t width_beyond(const int64_t *half, const int64_t *other)
{
    int64_t sum = 0;
    for (int i = 0; i < MAX_GRADS; i++)
        if (count_width(half, i, half[i]) >= count_width(other, MAX_GRADS, half[i])) sum += half[i];
    return sum;
}

/* Reals per token that gradients of intermediates take. */
static int64_t grads_width(const Model *m, const Segments *s)
{
    const BlockGrads g = model_def(m)->block_grads(model_config(m));
    const SegmentWidth more = segment_width(m, s);
    int64_t sum = width_beyond(g.mlp, g.attention) + more.turned + more.slots;
    if (s) sum += methods_width(m, model_config(m)->num_hidden_layers - 1);
    for (int i = 0; i < MAX_GRADS; i++) sum += g.attention[i];
    return sum;
}

/* The values are most in one of three places: in the highest block without a gradient, where the
 * ones above it are not there yet; in the head; in a block that is computed again. */
int64_t model_activation_bytes(const Model *m, int64_t B, int64_t T, bool checkpointing)
{
    const ModelConfig *c = model_config(m);
    const Segments *s = segments_for(m, T, true);
    const int64_t n_key = s ? segments_n_slot(s) + s->len : T;
    const int64_t C = c->hidden_size, N = B * (s ? s->len : T), lowest = lowest_trained(m);
    int64_t kept = C, below = 0, again = 0; /* the embedding */
    for (int64_t i = 0; i < c->num_hidden_layers; i++) {
        const int64_t width = block_width(m, i, s);
        if (i < lowest && kept + width > below) below = kept + width;
        if (i >= lowest && checkpointing && width > again) again = width;
        kept += i < lowest || checkpointing ? C : width;
    }
    kept += C; /* the last norm */
    const int64_t attention = omp_get_max_threads() * attention_scratch(n_key, c->head_dim),
                  head = ce_head_scratch(N, C, c->vocab_size), block = N * again + attention;
    int64_t values = N * kept + (head > block ? head : block);
    if (values < N * below + attention) values = N * below + attention;
    if (s) values += B * n_key * c->head_dim; /* angles */
    return (values + N * grads_width(m, s)) * (int64_t)sizeof(real) +
           (s ? segments_bytes(m, B, T) : 0);
}
