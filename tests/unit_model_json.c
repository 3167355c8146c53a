/* unit_model_json.c — config.json: what is read, written and refused. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/models/model_json.h"
#include <stdio.h>

static Status read_text(const char *text, ModelConfig *cfg)
{
    Status rc = ST_OK;
    char path[512];
    snprintf(path, sizeof path, "%s/config.json", test_dir());
    TRY(file_write_atomic(path, text, strlen(text)));
    TRY(model_config_read(test_dir(), cfg));
out:
    return rc;
}

/* Every option, as text: what a test compares, and prints. */
static void print_config(const ModelConfig *c, char *text, size_t n)
{
    char value[64];
    size_t used = 0;
    for (const OptSpec *s = MODEL_OPTS; s->type != OPT_END_T; s++) {
        opt_print(s, c, value, sizeof value);
        used += (size_t)snprintf(text + used, n - used, "%s=%s ", s->name, value);
    }
}

/* --- what is read --- */

#define SIZES                                                                                      \
    "\"vocab_size\": 96, \"hidden_size\": 32, \"intermediate_size\": 40, "                         \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"max_position_embeddings\": 128"
#define LLAMA "{\"model_type\": \"llama\", " SIZES

START_TEST(what_is_left_out_is_as_transformers_has_it)
{
    ModelConfig c;
    T_OK(read_text(LLAMA "}", &c));
    T_EQ_STR(c.model_type, "llama");
    T_EQ_I64(c.vocab_size, 96);
    T_EQ_I64(c.num_key_value_heads, 4);
    T_EQ_I64(c.head_dim, 8);
    T_TRUE(c.rms_norm_eps == 1e-6 && c.rope_theta == 1e4 && !c.rope_type);
    T_TRUE(!c.tie_word_embeddings && !c.attention_bias && !c.mlp_bias && c.sliding_window == 0);
    T_EQ_I64(c.pad_token_id, -1);

    T_OK(read_text("{\"model_type\": \"mistral\", \"num_key_value_heads\": 2, " SIZES "}", &c));
    T_EQ_I64(c.sliding_window, 4096);
    T_OK(read_text("{\"model_type\": \"mistral\", \"num_key_value_heads\": null, "
                   "\"sliding_window\": null, " SIZES "}",
                   &c));
    T_EQ_I64(c.sliding_window, 0);
    T_EQ_I64(c.num_key_value_heads, 4);

    T_OK(read_text("{\"model_type\": \"gpt2\", \"vocab_size\": 96, \"n_embd\": 24, \"n_layer\": 1, "
                   "\"n_head\": 2, \"n_positions\": 40, \"n_ctx\": 40, \"n_inner\": null}",
                   &c));
    T_EQ_I64(c.intermediate_size, 96);
    T_EQ_I64(c.head_dim, 12);
    T_TRUE(c.tie_word_embeddings && c.layer_norm_epsilon == 1e-5);

    T_OK(read_text("{\"model_type\": \"gemma2\", \"num_key_value_heads\": 2, " SIZES "}", &c));
    T_TRUE(c.tie_word_embeddings && c.attn_logit_softcapping == 50 &&
           c.final_logit_softcapping == 30);
    T_EQ_I64(c.head_dim, 256);
    T_EQ_I64(c.query_pre_attn_scalar, 256);
    T_EQ_I64(c.pad_token_id, 0);
}
END_TEST

START_TEST(scaling_of_positions_is_read_in_every_spelling)
{
    static const char *const spelling[] = {
        LLAMA ", \"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, "
              "\"low_freq_factor\": 1, \"high_freq_factor\": 4, "
              "\"original_max_position_embeddings\": 64}}",
        LLAMA ", \"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", "
              "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
              "\"original_max_position_embeddings\": 64, \"beta_fast\": null}}",
        LLAMA ", \"rope_scaling\": null, \"rope_parameters\": {\"rope_type\": \"llama3\", "
              "\"rope_theta\": 500000.0, \"factor\": 8.0, \"low_freq_factor\": 1.0, "
              "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}}",
    };
    char first[2048] = "", text[2048];
    for (int64_t i = 0; i < N_OF(spelling); i++) {
        ModelConfig c;
        T_OK(read_text(spelling[i], &c));
        T_EQ_STR(c.rope_type, "llama3");
        T_TRUE(c.rope_theta == 5e5 && c.rope_factor == 8 && c.high_freq_factor == 4);
        T_EQ_I64(c.original_max_position_embeddings, 64);
        print_config(&c, text, sizeof text);
        if (i == 0) memcpy(first, text, sizeof first);
        T_EQ_STR(text, first);
    }
    ModelConfig c;
    T_OK(read_text(LLAMA ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4}}", &c));
    T_TRUE(c.beta_fast == 32 && c.beta_slow == 1 && c.attention_factor == 0);
    T_EQ_I64(c.original_max_position_embeddings, 128);
    T_OK(read_text(LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7}}",
                   &c));
    T_TRUE(!c.rope_type && c.rope_theta == 7);
}
END_TEST

/* --- there and back --- */

static void check_round_trip(const char *dir)
{
    ModelConfig c, again;
    json_t *json;
    char before[2048], after[2048];
    T_OK(model_config_read(dir, &c));
    T_OK(model_config_to_json(&c, "bfloat16", &json));
    char *text = json_dumps(json, 0);
    T_OK(read_text(text, &again));
    print_config(&c, before, sizeof before);
    print_config(&again, after, sizeof after);
    T_EQ_STR(before, after);
    T_EQ_STR(json_string_value(json_object_get(json, "torch_dtype")), "bfloat16");
    free(text);
    json_decref(json);
}

/* What transformers wrote for the same model stands in ours with the same value, but for what it adds. */
static void check_keys(const char *dir)
{
    char path[512];
    ModelConfig c;
    json_t *ours;
    const char *key;
    json_t *value;
    snprintf(path, sizeof path, "%s/config.json", dir);
    json_t *theirs = json_load_file(path, 0, NULL);
    T_TRUE(theirs);
    T_OK(model_config_read(dir, &c));
    T_OK(model_config_to_json(&c, "float32", &ours));
    json_object_foreach(ours, key, value)
    {
        const json_t *other = json_object_get(theirs, key);
        const bool same =
            json_equal(value, other) ||
            (json_is_number(value) && json_number_value(value) == json_number_value(other));
        ck_assert_msg(!other || same || json_is_null(other) || strcmp(key, "torch_dtype") == 0 ||
                          json_is_object(other),
                      "%s: %s differs", dir, key);
    }
    json_decref(ours);
    json_decref(theirs);
}

START_TEST(every_golden_model_goes_there_and_back)
{
    char root[400], dir[500];
    char **names = NULL;
    int64_t n = 0, n_model = 0;
    snprintf(root, sizeof root, "%s/tests/golden/hf", SWITCHYARD_SOURCE_DIR);
    T_OK(dir_list(root, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        snprintf(dir, sizeof dir, "%s/%s", root, names[i]);
        if (!path_is_dir(dir)) continue;
        check_round_trip(dir);
        check_keys(dir);
        n_model++;
    }
    T_EQ_I64(n_model, 17);
    dir_list_free(names, n);
}
END_TEST

/* --- what is refused --- */

static const struct {
    const char *text, *message;
} BAD[] = {
    {"[]", "config.json: is a list"},
    {"{", "config.json:1:"},
    {"{}", "model_type: found nothing, expected a text"},
    {"{\"model_type\": \"phi3\"}", "model_type: found the text \"phi3\", expected a family that is "
                                   "known here: llama|mistral|qwen2|qwen3|gpt2|gemma2"},
    {"{\"model_type\": \"llama\"}", "vocab_size: found nothing, expected a whole number 2 .."},
    {"{\"model_type\": \"mistral\", " SIZES "}", "num_key_value_heads: found nothing"},
    {LLAMA ", \"rms_norm_eps\": \"1e-5\"}",
     "rms_norm_eps: found the text \"1e-5\", expected a number"},
    {LLAMA ", \"rms_norm_eps\": null}", "rms_norm_eps: found null"},
    {LLAMA ", \"head_dim\": 9}", "head_dim is 9; rotary positions need an even one"},
    {LLAMA ", \"head_dim\": 4096}", "head_dim: found 4096, expected a whole number 0 .. 1024"},
    {LLAMA ", \"num_key_value_heads\": 3}", "config.json: num_attention_heads 4 is no multiple"},
    {LLAMA ", \"num_key_value_heads\": 2.0}", "num_key_value_heads: found 2, expected a whole"},
    {LLAMA ", \"tie_word_embeddings\": 1}", "tie_word_embeddings: found 1, expected true or false"},
    {LLAMA ", \"hidden_act\": \"gelu\"}", "hidden_act: found the text \"gelu\", expected silu"},
    {LLAMA ", \"hidden_act\": [\"silu\"]}", "hidden_act: found a list, expected silu"},
    {LLAMA ", \"quantization_config\": {\"bits\": 4}}", "quantization_config: found an object"},
    {LLAMA ", \"use_qk_norm\": true}", "use_qk_norm: found true, expected false"},
    {LLAMA ", \"partial_rotary_factor\": 0.5}", "partial_rotary_factor: found 0.5, expected 1"},
    {LLAMA ", \"rope_scaling\": 8}", "rope_scaling: found 8, expected an object"},
    {LLAMA ", \"rope_scaling\": {\"rope_type\": \"longrope\"}}",
     "rope_scaling.rope_type: found the text \"longrope\", expected one of "
     "default|linear|dynamic|"},
    {LLAMA ", \"rope_parameters\": {\"type\": 3}}", "rope_parameters.type: found 3"},
    {LLAMA ", \"rope_scaling\": {\"type\": \"linear\"}}", "rope_scaling.factor: found nothing"},
    {LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}}",
     "rope_scaling.factor: found 0.5"},
    {LLAMA ", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}}",
     "low_freq_factor: found nothing"},
    {LLAMA ", \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
           "\"high_freq_factor\": 1}}",
     "high_freq_factor 1 is not above low_freq_factor 4"},
    {LLAMA ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 8, \"mscale\": 0.5}}",
     "rope_scaling.mscale: found 0.5"},
    {LLAMA ", \"layer_types\": [\"full_attention\"]}",
     "layer_types: found a list, expected as many"},
    {LLAMA ", \"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
     "layer_types[1]: found the text \"sliding_attention\", expected full_attention"},
    {LLAMA ", \"hidden_size\": 33}", "duplicate object key"},
    {"{\"model_type\": \"gpt2\", \"vocab_size\": 96, \"n_embd\": 25, \"n_layer\": 1, \"n_head\": "
     "2, "
     "\"n_positions\": 40}",
     "hidden_size 25 is no multiple of num_attention_heads 2"},
    {"{\"model_type\": \"gpt2\", \"vocab_size\": 96, \"n_embd\": 24, \"n_layer\": 1, \"n_head\": "
     "2, "
     "\"n_positions\": 40, \"scale_attn_by_inverse_layer_idx\": true}",
     "scale_attn_by_inverse_layer_idx: found true, expected false"},
    {"{\"model_type\": \"gpt2\", \"vocab_size\": 1e9, \"n_embd\": 24}",
     "vocab_size: found 1000000000"},
};

START_TEST(what_does_not_fit_is_refused_by_name)
{
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        ModelConfig c;
        T_FAILS(read_text(BAD[i].text, &c), FORMAT, BAD[i].message);
    }
    ModelConfig c;
    T_FAILS(model_config_read("/nowhere", &c), DATA, "/nowhere/config.json");
}
END_TEST

START_TEST(running_out_of_memory_is_an_error_and_leaks_nothing)
{
    ModelConfig c;
    T_OK(read_text(LLAMA "}", &c));
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        fault_arm(n, false);
        const Status rc = model_config_read(test_dir(), &c);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {
        what_is_left_out_is_as_transformers_has_it,
        scaling_of_positions_is_read_in_every_spelling,
        every_golden_model_goes_there_and_back,
        what_does_not_fit_is_refused_by_name,
        running_out_of_memory_is_an_error_and_leaks_nothing,
    };
    return test_main("unit.model_json", t, N_OF(t));
}
