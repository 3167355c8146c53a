/* adapter_peft.c — adapters as PEFT writes them (LoRA, of its kinds the plain one and rsLoRA). */
#include "checkpoints/adapter_parts.h"
#include "trainer/base/mem.h"
#include "trainer/io/name_pattern.h"
#include <math.h>
#include <string.h>

/* Keys that change what an adapter computes, and the only values implemented: null, and where it says
 * so a word. */
static const struct {
    const char *key, *word;
} FIXED[] = {
    {"use_dora", "false"},     {"use_qalora", "false"},
    {"lora_bias", "false"},    {"bias", "none"},
    {"layer_replication", ""}, {"trainable_token_indices", ""},
    {"target_parameters", ""}, {"alora_invocation_tokens", ""},
    {"use_bdlora", ""},        {"arrow_config", ""},
    {"kasa_config", ""},       {"velora_config", ""},
    {"monteclora_config", ""},
};

static bool is_word(const json_t *value, const char *word)
{
    if (json_is_boolean(value)) return strcmp(word, json_is_true(value) ? "true" : "false") == 0;
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}

/* Starts that leave the base's own weights changed. */
static Status check_start(const JsonAt *config)
{
    static const char *const CHANGED[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
    Status rc = ST_OK;
    const JsonAt start = json_key(config, "init_lora_weights");
    const char *word = json_string_value(start.value);
    for (int64_t i = 0; word && i < N_OF(CHANGED); i++)
        if (strncmp(word, CHANGED[i], strlen(CHANGED[i])) == 0)
            TRY(json_refuse(start, "a start that leaves the base as it is (PEFT converts such an "
                                   "adapter with path_initial_model_for_weight_conversion)"));
out:
    return rc;
}

static Status peft_check(const JsonAt *config)
{
    Status rc = ST_OK;
    const char *type = NULL;
    const JsonAt at = json_key(config, "peft_type");
    TRY(json_text(at, &type));
    if (strcmp(type, "LORA") != 0) TRY(json_refuse(at, "LORA"));
    for (int64_t i = 0; i < N_OF(FIXED); i++) {
        const JsonAt key = json_key(config, FIXED[i].key);
        if (!json_is_there(key) || is_word(key.value, FIXED[i].word)) continue;
        TRY(json_refuse(key, "%s", *FIXED[i].word ? FIXED[i].word : "null"));
    }
    TRY(check_start(config));
out:
    return rc;
}

/* The first pattern of the map that is the whole end of the module's name, from a dot on. */
static Status find_pattern(const JsonAt *map, const char *module, const char **found)
{
    Status rc = ST_OK;
    NamePattern *pattern = NULL;
    char *text = NULL;
    bool is = false;
    *found = NULL;
    for (const char *key = NULL; !is && (key = json_next_key(*map, key));) {
        name_pattern_destroy(pattern);
        pattern = NULL;
        mem_free(text);
        text = key[0] == '^' ? mem_printf("(%s)", key + 1) : mem_printf("(.*\\.)?(%s)", key);
        CHECK(text, NOMEM, "a pattern");
        TRY(name_pattern_create(text, (int64_t)strlen(text), &pattern));
        TRY(name_pattern_matches(pattern, module, NAME_WHOLE, &is));
        if (is) *found = key;
    }
out:
    mem_free(text);
    name_pattern_destroy(pattern);
    return rc;
}

/* Where a module's number stands: in the map of patterns, else under the key. */
static Status number_of(const JsonAt *map, const JsonAt *config, const char *key,
                        const char *module, JsonAt *at)
{
    Status rc = ST_OK;
    const char *pattern = NULL;
    if (json_is_there(*map)) {
        TRY(json_is_map(*map));
        TRY(find_pattern(map, module, &pattern));
    }
    *at = pattern ? json_key(map, pattern) : json_key(config, key);
out:
    return rc;
}

static Status peft_settings(const JsonAt *config, AdapterPair *p)
{
    Status rc = ST_OK;
    const JsonAt ranks = json_key(config, "rank_pattern"),
                 alphas = json_key(config, "alpha_pattern");
    JsonAt at;
    int64_t r;
    TRY(number_of(&ranks, config, "r", p->module, &at));
    TRY(json_i64(at, 1, 1 << 20, &r));
    if (r != p->r) TRY(json_refuse(at, "%lld, the rank of %s in the file", LL(p->r), p->module));
    TRY(number_of(&alphas, config, "lora_alpha", p->module, &at));
    TRY(json_f64(at, 0, 1e9, &p->alpha));
    TRY(json_opt_bool(config, "use_rslora", &p->use_rslora));
    TRY(json_opt_f64(config, "lora_dropout", 0, 1, &p->dropout));
out:
    return rc;
}

const AdapterForm adapter_peft = {.file = ADAPTER_PEFT_MODEL,
                                  .prefix = ADAPTER_PEFT_PREFIX,
                                  .a = ".lora_A.weight",
                                  .b = ".lora_B.weight",
                                  .has_whole = true,
                                  .base_key = "base_model_name_or_path",
                                  .settings = peft_settings,
                                  .check = peft_check};
