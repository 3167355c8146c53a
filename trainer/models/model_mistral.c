/* model_mistral.c — Mistral: Llama without biases, where every layer sees sliding_window tokens back.
 *
 * Jiang et al. 2023, arXiv:2310.06825, section 2. */
#include "trainer/models/decoder.h"

static Status mistral_create(Build *b, void **net)
{
    return decoder_create(b, &(DecoderStyle){0}, net);
}

static bool mistral_windowed(const ModelConfig *cfg, int64_t layer)
{
    (void)layer;
    return cfg->sliding_window > 0;
}

// clang-format off
static const ModelKey mistral_keys[] = {
    DECODER_SIZE_KEYS,
    {"num_key_value_heads", "num_key_value_heads", NULL,    true},
    {"head_dim",            "head_dim",            "0",     true},
    {"sliding_window",      "sliding_window",      "4096",  true},
    {"pad_token_id",        "pad_token_id",        "",      true},
    {"tie_word_embeddings", "tie_word_embeddings", "false", false},
    {NULL, NULL, NULL, false},
};
static const ModelFixedKey mistral_fixed[] = {{"hidden_act", "silu"}, {NULL, NULL}};
// clang-format on

const ModelDef model_mistral = {.model_type = "mistral",
                                .architecture = "MistralForCausalLM",
                                .keys = mistral_keys,
                                .fixed = mistral_fixed,
                                .prefix = "model.",
                                .buffers = decoder_buffers,
                                .rotary = true,
                                .windowed = mistral_windowed,
                                .create = mistral_create,
                                .destroy = decoder_destroy,
                                .enter = decoder_enter,
                                .block = decoder_block,
                                .leave = decoder_leave,
                                .head = decoder_head,
                                .init_std = decoder_init_std,
                                .block_width = decoder_block_width,
                                .block_grads = decoder_block_grads};
