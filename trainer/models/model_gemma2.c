/* model_gemma2.c — Gemma 2: norms before and after each sublayer, soft caps, a window in every other layer.
 *
 *   x = sqrt(C) embed_tokens[token]
 *   x += norm(attention(norm(x))),  scores s = cap tanh(q.k / (cap sqrt(query_pre_attn_scalar)))
 *   x += norm(down(gelu(gate(h)) up(h))),  h = norm(x);   logits l = cap tanh(l' / cap)
 *
 * Gemma Team 2024, arXiv:2408.00118, section 2. A norm scales by 1 + weight; gelu is the one by tanh. */
#include "trainer/base/mem.h"
#include "trainer/models/decoder.h"
#include <math.h>

typedef struct Gemma2Layer {
    const Param *input_layernorm, *post_attention_layernorm;
    const Param *pre_feedforward_layernorm, *post_feedforward_layernorm;
    RotaryAttention attention;
    GatedMlp mlp;
    bool windowed;
} Gemma2Layer;

typedef struct Gemma2 {
    DecoderEnds ends;
    Gemma2Layer *layer;
} Gemma2;

enum { NORM_OFFSET = 1 };

/* --- forward --- */

static Status gemma2_norm(Tape *t, const Piece *p, const Param *w, Tensor *x, Tensor **y)
{
    return norm_forward(t, w, NORM_OFFSET, p->cfg->rms_norm_eps, x, y);
}

static Status gemma2_norm_brief(Tape *t, const Piece *p, const Param *w, Tensor *x, Tensor **y)
{
    return norm_forward_brief(t, w, NORM_OFFSET, p->cfg->rms_norm_eps, x, y);
}

static Status gemma2_enter(const void *net, Tape *t, const Piece *p, Tensor **x)
{
    Status rc = ST_OK;
    const Gemma2 *m = net;
    TRY(table_forward(t, m->ends.embed_tokens, p->tokens, p->N, p->cfg->pad_token_id, x));
    TRY(tape_scale(t, sqrt((double)p->cfg->hidden_size), *x, x));
out:
    return rc;
}

static Status gemma2_block(const void *net, int64_t layer, Tape *t, const Piece *p, Tensor *x,
                           Tensor **y)
{
    Status rc = ST_OK;
    const Gemma2Layer *l = &((const Gemma2 *)net)->layer[layer];
    const Queries *q = piece_queries(p, layer);
    AttentionArg keys = l->windowed ? q->window : q->attention;
    keys.scale = 1 / sqrt((double)p->cfg->query_pre_attn_scalar);
    keys.softcap = p->cfg->attn_logit_softcapping;
    Tensor *norm, *h;
    TRY(gemma2_norm_brief(t, p, l->input_layernorm, x, &norm));
    TRY(rotary_attention_forward(t, &l->attention, p, q, &keys, norm, &h));
    tape_forget(t, norm);
    TRY(gemma2_norm(t, p, l->post_attention_layernorm, h, &h));
    TRY(queries_pick(t, q, x, &x));
    TRY(tape_add_over(t, h, x, &x));
    TRY(gemma2_norm_brief(t, p, l->pre_feedforward_layernorm, x, &norm));
    TRY(gated_mlp_forward(t, &l->mlp, ACT_GELU_TANH, p, norm, &h));
    tape_forget(t, norm);
    TRY(gemma2_norm(t, p, l->post_feedforward_layernorm, h, &h));
    TRY(tape_add_over(t, h, x, y));
out:
    return rc;
}

static Status gemma2_leave(const void *net, Tape *t, const Piece *p, Tensor *x, Tensor **y)
{
    return gemma2_norm(t, p, ((const Gemma2 *)net)->ends.norm, x, y);
}

static const Param *gemma2_head(const void *net)
{
    return ((const Gemma2 *)net)->ends.lm_head;
}

/* --- parameters --- */

static bool gemma2_windowed(const ModelConfig *cfg, int64_t layer)
{
    (void)cfg;
    return layer % 2 == 0;
}

/* These layers have a window in every reader of config.json; one over all positions is none. */
static void gemma2_derive(ModelConfig *cfg)
{
    if (cfg->sliding_window == 0) cfg->sliding_window = cfg->max_position_embeddings;
}

static Status gemma2_declare_layer(Build *b, Gemma2Layer *l)
{
    Status rc = ST_OK;
    const ModelConfig *c = b->cfg;
    const int64_t C = c->hidden_size;
    const int i = b->layer;
    const DecoderStyle style = {.qkv_bias = c->attention_bias, .o_bias = c->attention_bias};
    TRY(norm_declare(b, &l->input_layernorm, C, "model.layers.%d.input_layernorm", i));
    TRY(rotary_attention_declare(b, &l->attention, &style));
    TRY(norm_declare(b, &l->post_attention_layernorm, C, "model.layers.%d.post_attention_layernorm",
                     i));
    TRY(norm_declare(b, &l->pre_feedforward_layernorm, C,
                     "model.layers.%d.pre_feedforward_layernorm", i));
    TRY(gated_mlp_declare(b, &l->mlp, false));
    TRY(norm_declare(b, &l->post_feedforward_layernorm, C,
                     "model.layers.%d.post_feedforward_layernorm", i));
    l->windowed = layer_is_windowed(b->def, c, i);
out:
    return rc;
}

static void gemma2_destroy(void *net)
{
    Gemma2 *m = net;
    if (m) mem_free(m->layer);
    mem_free(m);
}

static Status gemma2_create(Build *b, void **net)
{
    Status rc = ST_OK;
    const int64_t n = b->cfg->num_hidden_layers;
    Gemma2 *m = mem_alloc(sizeof *m);
    CHECK(m, NOMEM, "gemma2: %zu bytes", sizeof *m);
    m->layer = mem_array(n, sizeof *m->layer);
    CHECK(m->layer, NOMEM, "gemma2: %lld layers", LL(n));
    TRY(decoder_ends_declare_first(b, &m->ends));
    for (b->layer = 0; b->layer < n; b->layer++) TRY(gemma2_declare_layer(b, &m->layer[b->layer]));
    TRY(decoder_ends_declare_last(b, &m->ends));
    *net = m;
    m = NULL;
out:
    gemma2_destroy(m);
    return rc;
}

static int64_t gemma2_block_width(const ModelConfig *c)
{
    return decoder_block_width(c) + 2 * c->hidden_size;
}

// clang-format off
static const ModelKey gemma2_keys[] = {
    DECODER_SIZE_KEYS,
    {"num_key_value_heads",     "num_key_value_heads",     NULL,    true},
    {"head_dim",                "head_dim",                "256",   true},
    {"attention_bias",          "attention_bias",          "false", false},
    {"query_pre_attn_scalar",   "query_pre_attn_scalar",   "256",   false},
    {"sliding_window",          "sliding_window",          "4096",  true},
    {"attn_logit_softcapping",  "attn_logit_softcapping",  "50",    true},
    {"final_logit_softcapping", "final_logit_softcapping", "30",    true},
    {"tie_word_embeddings",     "tie_word_embeddings",     "true",  false},
    {"pad_token_id",            "pad_token_id",            "0",     true},
    {NULL, NULL, NULL, false},
};
static const ModelFixedKey gemma2_fixed[] = {
    {"hidden_activation",           "gelu_pytorch_tanh"},
    {"use_bidirectional_attention", "false"},
    {NULL, NULL},
};
// clang-format on

const ModelDef model_gemma2 = {.model_type = "gemma2",
                               .architecture = "Gemma2ForCausalLM",
                               .keys = gemma2_keys,
                               .fixed = gemma2_fixed,
                               .prefix = "model.",
                               .buffers = decoder_buffers,
                               .rotary = true,
                               .norm_offset = NORM_OFFSET,
                               .windowed = gemma2_windowed,
                               .derive = gemma2_derive,
                               .create = gemma2_create,
                               .destroy = gemma2_destroy,
                               .enter = gemma2_enter,
                               .block = gemma2_block,
                               .leave = gemma2_leave,
                               .head = gemma2_head,
                               .init_std = decoder_init_std,
                               .block_width = gemma2_block_width,
                               .block_grads = decoder_block_grads};
