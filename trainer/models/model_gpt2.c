/* model_gpt2.c — GPT-2: LayerNorm with bias, learned positions, fused q, k and v, a plain feed-forward.
 *
 *   x = wte[token] + wpe[position];   x += c_proj(attention(c_attn(ln_1(x))));   x += c_proj(gelu(c_fc(ln_2(x))))
 *
 * Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3. Linear layers are
 * stored (in,out), as the authors' Conv1D has them; gelu is the one by tanh. */
#include "trainer/base/mem.h"
#include "trainer/models/transformer.h"

typedef struct Gpt2Layer {
    LayerNorm ln_1, ln_2;
    Linear attn_c_attn, attn_c_proj, mlp_c_fc, mlp_c_proj;
} Gpt2Layer;

typedef struct Gpt2 {
    const Param *wte, *wpe, *lm_head; /* tied: lm_head is wte */
    LayerNorm ln_f;
    Gpt2Layer *layer;
} Gpt2;

/* --- forward --- */

static Status gpt2_attention(Tape *t, const Gpt2Layer *l, const Piece *p, const Queries *asked,
                             Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    const int64_t C = p->cfg->hidden_size;
    Tensor *qkv, *q, *k, *v, *a;
    TRY(linear_forward(t, p, &l->attn_c_attn, x, &qkv)); /* (N,3C) */
    TRY(tape_columns(t, qkv, 0, C, &q));
    TRY(queries_pick(t, asked, q, &q));
    TRY(tape_columns(t, qkv, C, C, &k));
    TRY(tape_columns(t, qkv, 2 * C, C, &v));
    TRY(attention_forward(t, p, l->attn_c_attn.site->layer, &asked->attention, q, k, v, &a));
    TRY(linear_forward(t, p, &l->attn_c_proj, a, y)); /* (n,C) */
out:
    return rc;
}

static Status gpt2_mlp(Tape *t, const Gpt2Layer *l, const Piece *p, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *h;
    TRY(linear_forward(t, p, &l->mlp_c_fc, x, &h)); /* (N,I) */
    TRY(tape_activation_brief(t, ACT_GELU_TANH, h, &h));
    TRY(linear_forward(t, p, &l->mlp_c_proj, h, y)); /* (N,C) */
    tape_forget(t, h);
out:
    return rc;
}

static Status gpt2_enter(const void *net, Tape *t, const Piece *p, Tensor **x)
{
    Status rc = ST_OK;
    const Gpt2 *m = net;
    Tensor *positions;
    TRY(table_forward(t, m->wte, p->tokens, p->N, -1, x));
    TRY(table_forward(t, m->wpe, p->all.pos, p->N, -1, &positions));
    TRY(tape_add(t, *x, positions, x));
out:
    return rc;
}

static Status gpt2_block(const void *net, int64_t layer, Tape *t, const Piece *p, Tensor *x,
                         Tensor **y)
{
    Status rc = ST_OK;
    const Gpt2Layer *l = &((const Gpt2 *)net)->layer[layer];
    const Queries *q = piece_queries(p, layer);
    const double eps = p->cfg->layer_norm_epsilon;
    Tensor *norm, *h;
    TRY(layernorm_forward_brief(t, &l->ln_1, eps, x, &norm));
    TRY(gpt2_attention(t, l, p, q, norm, &h));
    tape_forget(t, norm);
    TRY(queries_pick(t, q, x, &x));
    TRY(tape_add_over(t, h, x, &x));
    TRY(layernorm_forward_brief(t, &l->ln_2, eps, x, &norm));
    TRY(gpt2_mlp(t, l, p, norm, &h));
    tape_forget(t, norm);
    TRY(tape_add_over(t, h, x, y));
out:
    return rc;
}

static Status gpt2_leave(const void *net, Tape *t, const Piece *p, Tensor *x, Tensor **y)
{
    return layernorm_forward(t, &((const Gpt2 *)net)->ln_f, p->cfg->layer_norm_epsilon, x, y);
}

static const Param *gpt2_head(const void *net)
{
    return ((const Gpt2 *)net)->lm_head;
}

/* --- parameters --- */

static Status gpt2_declare_layer(Build *b, Gpt2Layer *l)
{
    Status rc = ST_OK;
    const int64_t C = b->cfg->hidden_size, I = b->cfg->intermediate_size;
    const int i = b->layer;
    TRY(layernorm_declare(b, &l->ln_1, C, "transformer.h.%d.ln_1", i));
    TRY(linear_declare(b, &l->attn_c_attn, 3 * C, C, true, "transformer.h.%d.attn.c_attn", i));
    TRY(linear_declare(b, &l->attn_c_proj, C, C, true, "transformer.h.%d.attn.c_proj", i));
    TRY(layernorm_declare(b, &l->ln_2, C, "transformer.h.%d.ln_2", i));
    TRY(linear_declare(b, &l->mlp_c_fc, I, C, true, "transformer.h.%d.mlp.c_fc", i));
    TRY(linear_declare(b, &l->mlp_c_proj, C, I, true, "transformer.h.%d.mlp.c_proj", i));
out:
    return rc;
}

static void gpt2_destroy(void *net)
{
    Gpt2 *m = net;
    if (m) mem_free(m->layer);
    mem_free(m);
}

static Status gpt2_create(Build *b, void **net)
{
    Status rc = ST_OK;
    const ModelConfig *c = b->cfg;
    const int64_t C = c->hidden_size;
    Gpt2 *m = mem_alloc(sizeof *m);
    CHECK(m, NOMEM, "gpt2: %zu bytes", sizeof *m);
    m->layer = mem_array(c->num_hidden_layers, sizeof *m->layer);
    CHECK(m->layer, NOMEM, "gpt2: %lld layers", LL(c->num_hidden_layers));
    b->in_out = true;
    TRY(table_declare(b, &m->wte, c->vocab_size, C, "transformer.wte"));
    TRY(table_declare(b, &m->wpe, c->max_position_embeddings, C, "transformer.wpe"));
    for (b->layer = 0; b->layer < c->num_hidden_layers; b->layer++)
        TRY(gpt2_declare_layer(b, &m->layer[b->layer]));
    TRY(layernorm_declare(b, &m->ln_f, C, "transformer.ln_f"));
    m->lm_head = m->wte;
    if (!c->tie_word_embeddings) TRY(table_declare(b, &m->lm_head, c->vocab_size, C, "lm_head"));
    *net = m;
    m = NULL;
out:
    gpt2_destroy(m);
    return rc;
}

static double gpt2_init_std(const ModelConfig *cfg, const Param *w)
{
    if (w->kind == PARAM_EMBEDDING) return 0.02;
    return linear_init_std(cfg, w->dim[0], strstr(w->name, ".c_proj."));
}

static int64_t gpt2_block_width(const ModelConfig *c)
{
    return 2 * c->hidden_size      /* two sublayers, the sums in their place; norms are forgotten */
           + 3 * c->hidden_size    /* q, k and v in one */
           + 4 * c->hidden_size    /* and apart, attention */
           + c->intermediate_size; /* before gelu */
}

static BlockGrads gpt2_block_grads(const ModelConfig *c)
{
    const int64_t C = c->hidden_size, I = c->intermediate_size;
    return (BlockGrads){.attention = {C, C, C, C, C, 3 * C}, /* x, attention, q, k, v; all three */
                        /* x, the norm, its value; before and behind gelu, its value */
                        .mlp = {C, C, C, I, I, I}};
}

// clang-format off
static const ModelKey gpt2_keys[] = {
    {"vocab_size",          "vocab_size",              NULL,   false},
    {"n_embd",              "hidden_size",             NULL,   false},
    {"n_inner",             "intermediate_size",       "0",    true},
    {"n_layer",             "num_hidden_layers",       NULL,   false},
    {"n_head",              "num_attention_heads",     NULL,   false},
    {"n_positions",         "max_position_embeddings", NULL,   false},
    {"layer_norm_epsilon",  "layer_norm_epsilon",      "1e-5", false},
    {"tie_word_embeddings", "tie_word_embeddings",     "true", false},
    {NULL, NULL, NULL, false},
};
static const ModelFixedKey gpt2_fixed[] = {
    {"activation_function",             "gelu_new|gelu_pytorch_tanh"},
    {"scale_attn_weights",              "true"},
    {"scale_attn_by_inverse_layer_idx", "false"},
    {NULL, NULL},
};
// clang-format on

static const char *const gpt2_buffers[] = {".attn.bias", ".attn.masked_bias", NULL};

const ModelDef model_gpt2 = {.model_type = "gpt2",
                             .architecture = "GPT2LMHeadModel",
                             .keys = gpt2_keys,
                             .fixed = gpt2_fixed,
                             .prefix = "transformer.",
                             .buffers = gpt2_buffers,
                             .create = gpt2_create,
                             .destroy = gpt2_destroy,
                             .enter = gpt2_enter,
                             .block = gpt2_block,
                             .leave = gpt2_leave,
                             .head = gpt2_head,
                             .init_std = gpt2_init_std,
                             .block_width = gpt2_block_width,
                             .block_grads = gpt2_block_grads};
