/* model_llama.c — Llama 1 to 3, and what is built like them (SmolLM, TinyLlama, ...).
 *
 * Touvron et al. 2023, arXiv:2302.13971 and arXiv:2307.09288; Grattafiori et al. 2024, arXiv:2407.21783. */
#include "trainer/models/decoder.h"

static Status llama_create(Build *b, void **net)
{
    const bool bias = b->cfg->attention_bias;
    const DecoderStyle style = {.qkv_bias = bias, .o_bias = bias, .mlp_bias = b->cfg->mlp_bias};
    return decoder_create(b, &style, net);
}

// clang-format off
static const ModelKey llama_keys[] = {
    DECODER_SIZE_KEYS,
    {"num_key_value_heads", "num_key_value_heads", "0",     true},
    {"head_dim",            "head_dim",            "0",     true},
    {"pad_token_id",        "pad_token_id",        "",      true},
    {"tie_word_embeddings", "tie_word_embeddings", "false", false},
    {"attention_bias",      "attention_bias",      "false", false},
    {"mlp_bias",            "mlp_bias",            "false", false},
    {NULL, NULL, NULL, false},
};
static const ModelFixedKey llama_fixed[] = {{"hidden_act", "silu"}, {NULL, NULL}};
// clang-format on

const ModelDef model_llama = {.model_type = "llama",
                              .architecture = "LlamaForCausalLM",
                              .keys = llama_keys,
                              .fixed = llama_fixed,
                              .prefix = "model.",
                              .buffers = decoder_buffers,
                              .rotary = true,
                              .create = llama_create,
                              .destroy = decoder_destroy,
                              .enter = decoder_enter,
                              .block = decoder_block,
                              .leave = decoder_leave,
                              .head = decoder_head,
                              .init_std = decoder_init_std,
                              .block_width = decoder_block_width,
                              .block_grads = decoder_block_grads};
