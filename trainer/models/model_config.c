/* model_config.c — the options of a model: who reads them, what is derived from others, what fits. */
#include "trainer/models/model_list.h"
#include "trainer/models/transformer.h"
#include <string.h>

#define MODEL_CHOICE(name) "|" #name
#define MODEL_DECLARE(name) extern const ModelDef model_##name;
#define MODEL_ENTRY(name) &model_##name,
MODEL_LIST(MODEL_DECLARE)
static const ModelDef *const model_defs[] = {MODEL_LIST(MODEL_ENTRY)};

static const char model_choices[] = MODEL_LIST(MODEL_CHOICE);

// clang-format off
const OptSpec MODEL_OPTS[] = {
    OPT_ENUM(ModelConfig, model_type, "llama", &model_choices[1], "model family"),
    OPT_COUNT(ModelConfig, vocab_size, 256, 2, 1e7, "number of token ids"),
    OPT_I64(ModelConfig, hidden_size, 128, 1, 65536, "width of the residual stream"),
    OPT_I64(ModelConfig, intermediate_size, 352, 0, 1 << 20, "width inside the feed-forward layer; 0: 4 hidden_size"),
    OPT_I64(ModelConfig, num_hidden_layers, 4, 1, 1024, "number of blocks"),
    OPT_I64(ModelConfig, num_attention_heads, 4, 1, 1024, "query heads"),
    OPT_I64(ModelConfig, num_key_value_heads, 0, 0, 1024, "key and value heads; 0: as many as query heads (not gpt2)"),
    OPT_I64(ModelConfig, head_dim, 0, 0, MAX_HEAD_DIM, "width of a head, even; 0: hidden_size / num_attention_heads (not gpt2)"),
    OPT_COUNT(ModelConfig, max_position_embeddings, 2048, 1, 1 << 24, "longest sequence"),
    OPT_F64(ModelConfig, rms_norm_eps, 1e-5, 0, 1, "added to the mean square in RMSNorm (not gpt2)"),
    OPT_F64(ModelConfig, layer_norm_epsilon, 1e-5, 0, 1, "added to the variance in LayerNorm (gpt2)"),
    OPT_F64(ModelConfig, rope_theta, 10000, 1, 1e12, "base of the rotary frequencies (not gpt2)"),
    OPT_ENUM(ModelConfig, rope_type, NULL, "linear|dynamic|llama3|yarn",
             "how rotary frequencies are scaled for longer sequences; not set: they are not (not gpt2)"),
    OPT_F64(ModelConfig, rope_factor, 0, 1, 1e6, "factor of rope_type"),
    OPT_COUNT(ModelConfig, original_max_position_embeddings, 0, 1, 1 << 24,
              "longest sequence before scaling; not set: max_position_embeddings (rope_type llama3, yarn)"),
    OPT_F64(ModelConfig, low_freq_factor, 0, 1e-6, 1e6, "longer waves than original / this are scaled in full (rope_type llama3)"),
    OPT_F64(ModelConfig, high_freq_factor, 0, 1e-6, 1e6, "shorter waves than original / this are not scaled (rope_type llama3)"),
    OPT_F64(ModelConfig, attention_factor, 0, 1e-6, 1e6, "on cos and sin; not set: 0.1 ln(rope_factor) + 1 (rope_type yarn)"),
    OPT_F64(ModelConfig, beta_fast, 0, 1e-6, 1e6, "turns within the original length from which nothing is scaled; not set: 32 (rope_type yarn)"),
    OPT_F64(ModelConfig, beta_slow, 0, 1e-6, 1e6, "turns below which all is scaled; not set: 1 (rope_type yarn)"),
    OPT_COUNT(ModelConfig, sliding_window, 0, 1, 1 << 24,
              "tokens back that a windowed layer sees, itself included; not set: all (mistral: every layer, gemma2: every other, qwen2 and qwen3: see use_sliding_window)"),
    OPT_BOOL(ModelConfig, use_sliding_window, 0, "layers from max_window_layers on have the sliding_window (qwen2, qwen3)"),
    OPT_I64(ModelConfig, max_window_layers, 0, 0, 1024, "layers before this one have no window (use_sliding_window)"),
    OPT_I64(ModelConfig, query_pre_attn_scalar, 0, 1, 65536, "attention scores are divided by its root; not set: head_dim (gemma2)"),
    OPT_F64(ModelConfig, attn_logit_softcapping, 0, 1e-3, 1e6, "attention scores s become cap tanh(s / cap); not set: they do not (gemma2)"),
    OPT_F64(ModelConfig, final_logit_softcapping, 0, 1e-3, 1e6, "logits l become cap tanh(l / cap); not set: they do not (gemma2)"),
    OPT_I64(ModelConfig, pad_token_id, -1, 0, 1e7, "id whose embedding learns nothing as an input; not set: none (not gpt2)"),
    OPT_BOOL(ModelConfig, tie_word_embeddings, 0, "the output head is the embedding table"),
    OPT_BOOL(ModelConfig, attention_bias, 0, "biases on q, k, v and o (llama, qwen3, gemma2)"),
    OPT_BOOL(ModelConfig, mlp_bias, 0, "biases on gate, up and down (llama)"),
    OPT_ENUM(ModelConfig, initializer, "scaled", "scaled|normal",
             "scaled: std 0.7/sqrt(fan_in), less towards the stream; normal: initializer_range everywhere"),
    OPT_F64(ModelConfig, initializer_range, 0.02, 0, 10, "std of initializer: normal"),
    OPT_END
};

const RopeKey ROPE_KEYS[] = {
    {"factor",                           "rope_factor",                      "linear|dynamic|llama3|yarn", true},
    {"original_max_position_embeddings", "original_max_position_embeddings", "llama3|yarn", false},
    {"low_freq_factor",                  "low_freq_factor",                  "llama3", true},
    {"high_freq_factor",                 "high_freq_factor",                 "llama3", true},
    {"attention_factor",                 "attention_factor",                 "yarn", false},
    {"beta_fast",                        "beta_fast",                        "yarn", false},
    {"beta_slow",                        "beta_slow",                        "yarn", false},
    {NULL, NULL, NULL, false},
};
// clang-format on

const ModelDef *model_def_find(const char *model_type)
{
    for (int64_t i = 0; i < N_OF(model_defs); i++)
        if (strcmp(model_defs[i]->model_type, model_type) == 0) return model_defs[i];
    return NULL;
}

const char *model_def_names(void)
{
    return &model_choices[1];
}

bool model_word_in(const char *words, const char *word)
{
    const size_t n = strlen(word);
    for (const char *w = words; w && n > 0; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
        if (strncmp(w, word, n) == 0 && (w[n] == '|' || w[n] == '\0')) return true;
    return false;
}

/* --- who reads an option --- */

/* Read where another option of the family has one of these words. */
static const struct {
    const char *option, *chooser, *words;
} CHOSEN[] = {
    {"initializer_range", "initializer", "normal"},
    {"sliding_window", "use_sliding_window", "true"},
    {"max_window_layers", "use_sliding_window", "true"},
};

static bool family_reads(const ModelDef *def, const char *option)
{
    if (model_word_in("model_type|initializer|initializer_range", option)) return true;
    if (def->rotary && model_word_in("rope_theta|rope_type", option)) return true;
    for (const RopeKey *k = ROPE_KEYS; k->key; k++)
        if (def->rotary && strcmp(k->option, option) == 0) return true;
    for (const ModelKey *k = def->keys; k->key; k++)
        if (strcmp(k->option, option) == 0) return true;
    return false;
}

static bool is_one_of(const ModelConfig *cfg, const char *option, const char *words)
{
    char value[32];
    opt_print(opt_find(MODEL_OPTS, option), cfg, value, sizeof value);
    return model_word_in(words, value);
}

const char *model_unread(const ModelConfig *cfg, const char *option)
{
    const ModelDef *def = model_def_find(cfg->model_type);
    if (!family_reads(def, option)) return "model_type";
    for (const RopeKey *k = ROPE_KEYS; k->key; k++)
        if (strcmp(k->option, option) == 0 && !is_one_of(cfg, "rope_type", k->types))
            return "rope_type";
    for (int64_t i = 0; i < N_OF(CHOSEN); i++)
        if (strcmp(CHOSEN[i].option, option) == 0 && family_reads(def, CHOSEN[i].chooser) &&
            !is_one_of(cfg, CHOSEN[i].chooser, CHOSEN[i].words))
            return CHOSEN[i].chooser;
    return NULL;
}

/* --- what is derived, what fits --- */

static Status check_rope(ModelConfig *c)
{
    Status rc = ST_OK;
    CHECK(c->head_dim % 2 == 0, CONFIG, "head_dim is %lld; rotary positions need an even one",
          LL(c->head_dim));
    CHECK(c->head_dim <= MAX_HEAD_DIM, CONFIG, "head_dim is %lld, the most is %d: give more heads",
          LL(c->head_dim), MAX_HEAD_DIM);
    if (!c->rope_type) goto out;
    for (const RopeKey *k = ROPE_KEYS; k->key; k++) {
        const OptSpec *spec = opt_find(MODEL_OPTS, k->option);
        const bool is_double = spec->type == OPT_F64_T;
        const char *at = (const char *)c + spec->offset;
        const double value = is_double ? *(const double *)at : (double)*(const int64_t *)at;
        CHECK(!k->required || !model_word_in(k->types, c->rope_type) || value > 0, CONFIG,
              "rope_type %s needs %s", c->rope_type, k->option);
    }
    if (c->original_max_position_embeddings == 0)
        c->original_max_position_embeddings = c->max_position_embeddings;
    if (c->beta_fast == 0) c->beta_fast = 32;
    if (c->beta_slow == 0) c->beta_slow = 1;
    CHECK(strcmp(c->rope_type, "llama3") != 0 || c->high_freq_factor > c->low_freq_factor, CONFIG,
          "high_freq_factor %g is not above low_freq_factor %g", c->high_freq_factor,
          c->low_freq_factor);
    CHECK(strcmp(c->rope_type, "yarn") != 0 || c->beta_fast > c->beta_slow, CONFIG,
          "beta_fast %g is not above beta_slow %g", c->beta_fast, c->beta_slow);
    CHECK(strcmp(c->rope_type, "yarn") != 0 || c->rope_theta > 1, CONFIG,
          "rope_theta is 1; rope_type yarn needs a larger one");
    CHECK(strcmp(c->rope_type, "dynamic") != 0 || c->head_dim > 2, CONFIG,
          "head_dim is 2; rope_type dynamic needs a larger one");
out:
    return rc;
}

Status model_check_config(ModelConfig *c)
{
    Status rc = ST_OK;
    const ModelDef *def = model_def_find(c->model_type);
    CHECK(def, CONFIG, "unknown model_type \"%s\"; known: %s", c->model_type, model_def_names());
    if (c->intermediate_size == 0) c->intermediate_size = 4 * c->hidden_size;
    if (c->num_key_value_heads == 0) c->num_key_value_heads = c->num_attention_heads;
    if (c->head_dim == 0) {
        CHECK(c->hidden_size % c->num_attention_heads == 0, CONFIG,
              "hidden_size %lld is no multiple of num_attention_heads %lld%s", LL(c->hidden_size),
              LL(c->num_attention_heads), family_reads(def, "head_dim") ? "; give head_dim" : "");
        c->head_dim = c->hidden_size / c->num_attention_heads;
    }
    if (c->query_pre_attn_scalar == 0) c->query_pre_attn_scalar = c->head_dim;
    if (def->derive) def->derive(c);
    CHECK(c->num_attention_heads % c->num_key_value_heads == 0, CONFIG,
          "num_attention_heads %lld is no multiple of num_key_value_heads %lld",
          LL(c->num_attention_heads), LL(c->num_key_value_heads));
    if (def->rotary) TRY(check_rope(c));
out:
    return rc;
}

int64_t model_max_positions(const ModelConfig *cfg)
{
    const bool any = cfg->rope_type && strcmp(cfg->rope_type, "dynamic") == 0;
    return any ? INT32_MAX : cfg->max_position_embeddings;
}
