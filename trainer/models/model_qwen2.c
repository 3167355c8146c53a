/* model_qwen2.c — Qwen 2 and 2.5: Llama with biases on q, k and v; upper layers may have a window.
 *
 * Yang et al. 2024, arXiv:2407.10671, section 2.2. */
#include "trainer/models/decoder.h"

static Status qwen2_create(Build *b, void **net)
{
    return decoder_create(b, &(DecoderStyle){.qkv_bias = true}, net);
}

// clang-format off
static const ModelKey qwen2_keys[] = {
    DECODER_SIZE_KEYS,
    {"num_key_value_heads", "num_key_value_heads", NULL,    true},
    {"head_dim",            "head_dim",            "0",     true},
    {"use_sliding_window",  "use_sliding_window",  "false", false},
    {"sliding_window",      "sliding_window",      "4096",  true},
    {"max_window_layers",   "max_window_layers",   "28",    false},
    {"pad_token_id",        "pad_token_id",        "",      true},
    {"tie_word_embeddings", "tie_word_embeddings", "false", false},
    {NULL, NULL, NULL, false},
};
static const ModelFixedKey qwen2_fixed[] = {{"hidden_act", "silu"}, {NULL, NULL}};
// clang-format on

const ModelDef model_qwen2 = {.model_type = "qwen2",
                              .architecture = "Qwen2ForCausalLM",
                              .keys = qwen2_keys,
                              .fixed = qwen2_fixed,
                              .prefix = "model.",
                              .buffers = decoder_buffers,
                              .rotary = true,
                              .windowed = decoder_upper_windowed,
                              .create = qwen2_create,
                              .destroy = decoder_destroy,
                              .enter = decoder_enter,
                              .block = decoder_block,
                              .leave = decoder_leave,
                              .head = decoder_head,
                              .init_std = decoder_init_std,
                              .block_width = decoder_block_width,
                              .block_grads = decoder_block_grads};
