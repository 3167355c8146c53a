/* decoder.c — see decoder.h. */
#include "trainer/models/decoder.h"
#include "trainer/base/mem.h"

typedef struct DecoderLayer {
    const Param *input_layernorm, *post_attention_layernorm;
    RotaryAttention attention;
    GatedMlp mlp;
    bool windowed;
} DecoderLayer;

typedef struct Decoder {
    DecoderEnds ends;
    DecoderLayer *layer;
} Decoder;

/* --- forward --- */

Status rotary_attention_forward(Tape *t, const RotaryAttention *a, const Piece *p,
                                const Queries *asked, const AttentionArg *keys, Tensor *x,
                                Tensor **y)
{
    Status rc = ST_OK;
    const ModelConfig *c = p->cfg;
    Tensor *q, *k, *v, *h;
    TRY(queries_pick(t, asked, x, &q));
    TRY(linear_forward(t, p, &a->q_proj, q, &q)); /* (n,H*D) */
    TRY(linear_forward(t, p, &a->k_proj, x, &k)); /* (N,Hkv*D) */
    TRY(linear_forward(t, p, &a->v_proj, x, &v));
    if (a->q_norm) TRY(norm_forward(t, a->q_norm, 0, c->rms_norm_eps, q, &q));
    if (a->k_norm) TRY(norm_forward(t, a->k_norm, 0, c->rms_norm_eps, k, &k));
    if (p->carry) {
        TRY(segment_attention(t, p, a->o_proj.site->layer, keys, q, k, v, &h));
    } else {
        TRY(tape_rope_over(t, q, &p->rope, asked->pos, c->num_attention_heads, &q));
        TRY(tape_rope_over(t, k, &p->rope, p->all.pos, c->num_key_value_heads, &k));
        TRY(attention_forward(t, p, a->o_proj.site->layer, keys, q, k, v, &h)); /* (n,H*D) */
    }
    TRY(linear_forward(t, p, &a->o_proj, h, y)); /* (n,C) */
out:
    return rc;
}

/* Under bf16 products the activation keeps gate and up in bf16, half of what they take themselves. */
static bool keeps_halves(void)
{
    return gemm_operand_dtype() == DT_BF16;
}

Status gated_mlp_forward(Tape *t, const GatedMlp *m, Activation f, const Piece *p, Tensor *x,
                         Tensor **y)
{
    Status rc = ST_OK;
    Tensor *gate, *up, *h;
    Status (*const linear)(Tape *, const Piece *, const Linear *, Tensor *, Tensor **) =
        keeps_halves() ? linear_forward_passing : linear_forward;
    TRY(linear(t, p, &m->gate_proj, x, &gate)); /* (N,I) */
    TRY(linear(t, p, &m->up_proj, x, &up));
    TRY(tape_glu_brief(t, f, gate, up, &h));
    tape_forget(t, gate);
    tape_forget(t, up);
    TRY(linear_forward(t, p, &m->down_proj, h, y)); /* (N,C) */
    tape_forget(t, h);
out:
    return rc;
}

Status decoder_enter(const void *net, Tape *t, const Piece *p, Tensor **x)
{
    const Decoder *m = net;
    return table_forward(t, m->ends.embed_tokens, p->tokens, p->N, p->cfg->pad_token_id, x);
}

Status decoder_block(const void *net, int64_t layer, Tape *t, const Piece *p, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    const DecoderLayer *l = &((const Decoder *)net)->layer[layer];
    const Queries *q = piece_queries(p, layer);
    const double eps = p->cfg->rms_norm_eps;
    Tensor *norm, *h;
    TRY(norm_forward_brief(t, l->input_layernorm, 0, eps, x, &norm));
    TRY(rotary_attention_forward(t, &l->attention, p, q, l->windowed ? &q->window : &q->attention,
                                 norm, &h));
    tape_forget(t, norm);
    TRY(queries_pick(t, q, x, &x));
    TRY(tape_add_over(t, h, x, &x));
    TRY(norm_forward_brief(t, l->post_attention_layernorm, 0, eps, x, &norm));
    TRY(gated_mlp_forward(t, &l->mlp, ACT_SILU, p, norm, &h));
    tape_forget(t, norm);
    TRY(tape_add_over(t, h, x, y));
out:
    return rc;
}

Status decoder_leave(const void *net, Tape *t, const Piece *p, Tensor *x, Tensor **y)
{
    return norm_forward(t, ((const Decoder *)net)->ends.norm, 0, p->cfg->rms_norm_eps, x, y);
}

const Param *decoder_head(const void *net)
{
    return ((const Decoder *)net)->ends.lm_head;
}

/* --- parameters --- */

Status rotary_attention_declare(Build *b, RotaryAttention *a, const DecoderStyle *s)
{
    Status rc = ST_OK;
    const ModelConfig *c = b->cfg;
    const int i = b->layer;
    const int64_t C = c->hidden_size, D = c->head_dim;
    const int64_t A = c->num_attention_heads * D, K = c->num_key_value_heads * D;
    TRY(linear_declare(b, &a->q_proj, A, C, s->qkv_bias, "model.layers.%d.self_attn.q_proj", i));
    TRY(linear_declare(b, &a->k_proj, K, C, s->qkv_bias, "model.layers.%d.self_attn.k_proj", i));
    TRY(linear_declare(b, &a->v_proj, K, C, s->qkv_bias, "model.layers.%d.self_attn.v_proj", i));
    TRY(linear_declare(b, &a->o_proj, C, A, s->o_bias, "model.layers.%d.self_attn.o_proj", i));
    if (!s->qk_norm) goto out;
    TRY(norm_declare(b, &a->q_norm, D, "model.layers.%d.self_attn.q_norm", i));
    TRY(norm_declare(b, &a->k_norm, D, "model.layers.%d.self_attn.k_norm", i));
out:
    return rc;
}

Status gated_mlp_declare(Build *b, GatedMlp *m, bool bias)
{
    Status rc = ST_OK;
    const int i = b->layer;
    const int64_t C = b->cfg->hidden_size, I = b->cfg->intermediate_size;
    TRY(linear_declare(b, &m->gate_proj, I, C, bias, "model.layers.%d.mlp.gate_proj", i));
    TRY(linear_declare(b, &m->up_proj, I, C, bias, "model.layers.%d.mlp.up_proj", i));
    TRY(linear_declare(b, &m->down_proj, C, I, bias, "model.layers.%d.mlp.down_proj", i));
out:
    return rc;
}

Status decoder_ends_declare_first(Build *b, DecoderEnds *e)
{
    return table_declare(b, &e->embed_tokens, b->cfg->vocab_size, b->cfg->hidden_size,
                         "model.embed_tokens");
}

Status decoder_ends_declare_last(Build *b, DecoderEnds *e)
{
    Status rc = ST_OK;
    const ModelConfig *c = b->cfg;
    TRY(norm_declare(b, &e->norm, c->hidden_size, "model.norm"));
    e->lm_head = e->embed_tokens;
    if (!c->tie_word_embeddings)
        TRY(table_declare(b, &e->lm_head, c->vocab_size, c->hidden_size, "lm_head"));
out:
    return rc;
}

static Status decoder_declare_layer(Build *b, const DecoderStyle *style, DecoderLayer *l)
{
    Status rc = ST_OK;
    const int64_t C = b->cfg->hidden_size;
    const int i = b->layer;
    TRY(norm_declare(b, &l->input_layernorm, C, "model.layers.%d.input_layernorm", i));
    TRY(rotary_attention_declare(b, &l->attention, style));
    TRY(norm_declare(b, &l->post_attention_layernorm, C, "model.layers.%d.post_attention_layernorm",
                     i));
    TRY(gated_mlp_declare(b, &l->mlp, style->mlp_bias));
    l->windowed = layer_is_windowed(b->def, b->cfg, i);
out:
    return rc;
}

void decoder_destroy(void *net)
{
    Decoder *m = net;
    if (m) mem_free(m->layer);
    mem_free(m);
}

Status decoder_create(Build *b, const DecoderStyle *style, void **net)
{
    Status rc = ST_OK;
    const int64_t n = b->cfg->num_hidden_layers;
    Decoder *m = mem_alloc(sizeof *m);
    CHECK(m, NOMEM, "%s: %zu bytes", b->cfg->model_type, sizeof *m);
    m->layer = mem_array(n, sizeof *m->layer);
    CHECK(m->layer, NOMEM, "%s: %lld layers", b->cfg->model_type, LL(n));
    TRY(decoder_ends_declare_first(b, &m->ends));
    for (b->layer = 0; b->layer < n; b->layer++)
        TRY(decoder_declare_layer(b, style, &m->layer[b->layer]));
    TRY(decoder_ends_declare_last(b, &m->ends));
    *net = m;
    m = NULL;
out:
    decoder_destroy(m);
    return rc;
}

double decoder_init_std(const ModelConfig *cfg, const Param *w)
{
    if (w->kind == PARAM_EMBEDDING) return 0.02;
    return linear_init_std(cfg, w->dim[1],
                           strstr(w->name, ".o_proj.") || strstr(w->name, ".down_proj."));
}

int64_t decoder_block_width(const ModelConfig *c)
{
    const int64_t A = c->num_attention_heads * c->head_dim,
                  K = c->num_key_value_heads * c->head_dim;
    return 2 * c->hidden_size /* two sublayers, the sums in their place */
           + 2 * A + 2 * K    /* q, k, v, attention */
           + (keeps_halves() ? 1 : 2) * c->intermediate_size; /* gate, up; their product and the
                                                                 norms are forgotten */
}

BlockGrads decoder_block_grads(const ModelConfig *c)
{
    const int64_t C = c->hidden_size, I = c->intermediate_size,
                  A = c->num_attention_heads * c->head_dim,
                  K = c->num_key_value_heads * c->head_dim;
    return (BlockGrads){
        /* values that were forgotten lie there, too: x, the norm's value; attention, q, k, v */
        .attention = {C, C, A, A, K, K},
        /* x, the norm, its value; gate, up, their product, its value */
        .mlp = {C, C, C, I, I, I, I}};
}

bool decoder_upper_windowed(const ModelConfig *cfg, int64_t layer)
{
    return cfg->use_sliding_window && cfg->sliding_window > 0 && layer >= cfg->max_window_layers;
}

const char *const decoder_buffers[] = {".rotary_emb.inv_freq", NULL};
