/* decoder.h — what the families after Llama are made of: rotary grouped-query attention and a gated
 * feed-forward in pre-norm blocks. Parts for those with blocks of their own, and the whole network.
 *
 * Touvron et al. 2023, arXiv:2302.13971 and arXiv:2307.09288 (grouped queries, section 2.2). Parameter
 * names and the half-split rotary order are those of the Hugging Face files. */
#ifndef TRAINER_MODELS_DECODER_H
#define TRAINER_MODELS_DECODER_H
#include "trainer/models/transformer.h"

typedef struct RotaryAttention {
    Linear q_proj, k_proj, v_proj, o_proj;
    const Param *q_norm, *k_norm; /* (head_dim), over each head before it is turned; NULL: none */
} RotaryAttention;

typedef struct GatedMlp {
    Linear gate_proj, up_proj, down_proj;
} GatedMlp;

/* What a family adds to the network of Llama, or leaves out. */
typedef struct DecoderStyle {
    bool qkv_bias, o_bias, mlp_bias, qk_norm;
} DecoderStyle;

CHECKED Status rotary_attention_declare(Build *b, RotaryAttention *a, const DecoderStyle *style);
/* keys: one of q's, or a copy with another scale. Shapes  x: (N,C); y: (q->n,C) */
CHECKED Status rotary_attention_forward(Tape *t, const RotaryAttention *a, const Piece *p,
                                        const Queries *q, const AttentionArg *keys, Tensor *x,
                                        Tensor **y);
CHECKED Status gated_mlp_declare(Build *b, GatedMlp *m, bool bias);
CHECKED Status gated_mlp_forward(Tape *t, const GatedMlp *m, Activation f, const Piece *p,
                                 Tensor *x, Tensor **y);

/* The embedding, a norm at the end and the head of such networks: model.embed_tokens, model.norm, lm_head. */
typedef struct DecoderEnds {
    const Param *embed_tokens, *norm, *lm_head; /* tied: lm_head is embed_tokens */
} DecoderEnds;
CHECKED Status decoder_ends_declare_first(Build *b, DecoderEnds *e);
CHECKED Status decoder_ends_declare_last(Build *b, DecoderEnds *e);

/* The network of Llama in the family's style, as the functions of a ModelDef. */
CHECKED Status decoder_create(Build *b, const DecoderStyle *style, void **net);
void decoder_destroy(void *net);
Status decoder_enter(const void *net, Tape *t, const Piece *p, Tensor **x);
Status decoder_block(const void *net, int64_t layer, Tape *t, const Piece *p, Tensor *x,
                     Tensor **y);
Status decoder_leave(const void *net, Tape *t, const Piece *p, Tensor *x, Tensor **y);
const Param *decoder_head(const void *net);
double decoder_init_std(const ModelConfig *cfg, const Param *w);
int64_t decoder_block_width(const ModelConfig *cfg);
BlockGrads decoder_block_grads(const ModelConfig *cfg);
bool decoder_upper_windowed(const ModelConfig *cfg, int64_t layer); /* from max_window_layers on */
extern const char *const decoder_buffers[];

/* Sizes, as config.json has them in all these families. */
// clang-format off
#define DECODER_SIZE_KEYS                                                  \
    {"vocab_size",              "vocab_size",              NULL,    false}, \
    {"hidden_size",             "hidden_size",             NULL,    false}, \
    {"intermediate_size",       "intermediate_size",       NULL,    false}, \
    {"num_hidden_layers",       "num_hidden_layers",       NULL,    false}, \
    {"num_attention_heads",     "num_attention_heads",     NULL,    false}, \
    {"max_position_embeddings", "max_position_embeddings", NULL,    false}, \
    {"rms_norm_eps",            "rms_norm_eps",            "1e-6",  false}
// clang-format on
#endif
