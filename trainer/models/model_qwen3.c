/* model_qwen3.c — Qwen 3, the dense ones: Llama with a norm over each head of q and k; upper layers may have a
 * window.
 *
 * Yang et al. 2025, arXiv:2505.09388, section 2. */
#include "trainer/models/decoder.h"

static Status qwen3_create(Build *b, void **net)
{
    const bool bias = b->cfg->attention_bias;
    return decoder_create(b, &(DecoderStyle){.qkv_bias = bias, .o_bias = bias, .qk_norm = true},
                          net);
}

static int64_t qwen3_block_width(const ModelConfig *c)
{
    const int64_t normed = (c->num_attention_heads + c->num_key_value_heads) * c->head_dim;
    return decoder_block_width(c) + normed;
}

// clang-format off
static const ModelKey qwen3_keys[] = {
    DECODER_SIZE_KEYS,
    {"num_key_value_heads", "num_key_value_heads", NULL,    true},
    {"head_dim",            "head_dim",            "128",   true},
    {"attention_bias",      "attention_bias",      "false", false},
    {"use_sliding_window",  "use_sliding_window",  "false", false},
    {"sliding_window",      "sliding_window",      "4096",  true},
    {"max_window_layers",   "max_window_layers",   "28",    false},
    {"pad_token_id",        "pad_token_id",        "",      true},
    {"tie_word_embeddings", "tie_word_embeddings", "false", false},
    {NULL, NULL, NULL, false},
};
static const ModelFixedKey qwen3_fixed[] = {{"hidden_act", "silu"}, {NULL, NULL}};
// clang-format on

const ModelDef model_qwen3 = {.model_type = "qwen3",
                              .architecture = "Qwen3ForCausalLM",
                              .keys = qwen3_keys,
                              .fixed = qwen3_fixed,
                              .prefix = "model.",
                              .buffers = decoder_buffers,
                              .rotary = true,
                              .windowed = decoder_upper_windowed,
                              .create = qwen3_create,
                              .destroy = decoder_destroy,
                              .enter = decoder_enter,
                              .block = decoder_block,
                              .leave = decoder_leave,
                              .head = decoder_head,
                              .init_std = decoder_init_std,
                              .block_width = qwen3_block_width,
                              .block_grads = decoder_block_grads};
