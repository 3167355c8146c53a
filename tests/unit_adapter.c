/* unit_adapter.c — adapters of PEFT and mlx-lm: what is read, what is refused, and what a config makes of them. */
#include "checkpoints/adapter.h"
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/run/config.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char adapter_dir[512];

static void put_file(const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", adapter_dir, name);
    T_OK(file_write_atomic(path, text, strlen(text)));
}

/* A fresh folder with a config and tensors of these names, "name r c" each, NULL after the last. Numbers count from 0. */
static void make_adapter(const char *config, const char *file, const char *const *tensors)
{
    static float numbers[4096];
    static char names[16][128];
    SafeTensor t[16];
    int64_t n = 0;
    char path[600];
    snprintf(adapter_dir, sizeof adapter_dir, "%s/adapter", test_dir());
    T_OK(dir_remove(adapter_dir));
    T_OK(dir_make(adapter_dir));
    put_file("adapter_config.json", config);
    for (int64_t i = 0; i < N_OF(numbers); i++) numbers[i] = (float)i;
    for (; tensors[n]; n++) {
        long long rows, columns;
        T_EQ_I64(sscanf(tensors[n], "%127s %lld %lld", names[n], &rows, &columns), 3);
        t[n] = (SafeTensor){.name = names[n],
                            .dtype = DT_F32,
                            .n_dim = columns ? 2 : 1,
                            .dim = {rows, columns},
                            .data = numbers};
    }
    snprintf(path, sizeof path, "%s/%s", adapter_dir, file);
    if (n > 0) T_OK(safetensors_write(path, t, n, NULL, NULL));
}

#define P "base_model.model.model.layers."
#define PEFT "\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4"
#define MODEL "adapter_model.safetensors"
#define A0 P "0.self_attn.q_proj.lora_A.weight 2 6"
#define B0 P "0.self_attn.q_proj.lora_B.weight 8 2"

static const char *const PAIR[] = {A0, B0, NULL};

START_TEST(pairs_and_their_settings)
{
    static const char *const TENSORS[] = {A0,
                                          B0,
                                          P "1.self_attn.q_proj.lora_A.weight 3 6",
                                          P "1.self_attn.q_proj.lora_B.weight 8 3",
                                          "base_model.model.model.norm.weight 6 0",
                                          NULL};
    Adapter *a;
    make_adapter("{" PEFT
                 ", \"use_rslora\": true, \"lora_dropout\": 0.5, \"base_model_name_or_path\": "
                 "\"some/base\", \"rank_pattern\": {\"layers.1.*proj\": 3}, \"alpha_pattern\": "
                 "{\"^model.layers.1.self_attn.q_proj\": 9}}",
                 MODEL, TENSORS);
    T_TRUE(adapter_is(adapter_dir));
    T_OK(adapter_open(adapter_dir, &a));
    T_EQ_STR(adapter_base(a), "some/base");
    T_EQ_I64(adapter_n_pair(a), 2);
    const AdapterPair *p = adapter_pair_at(a, 0), *q = adapter_pair_at(a, 1);
    T_EQ_STR(p->module, "model.layers.0.self_attn.q_proj");
    T_TRUE(p->r == 2 && p->n_in == 6 && p->n_out == 8 && p->alpha == 4 && p->use_rslora);
    T_TRUE(q->r == 3 && q->alpha == 9 && q->dropout == 0.5);
    T_EQ_I64(adapter_n_whole(a), 1);
    T_EQ_STR(adapter_whole_at(a, 0), "model.norm.weight");
    real x[12];
    T_OK(adapter_read(a, "model.layers.0.self_attn.q_proj.lora_A.weight", 2, (int64_t[]){2, 6}, x));
    T_TRUE(x[0] == 0 && x[11] == 11);
    T_FAILS(
        adapter_read(a, "model.layers.0.self_attn.q_proj.lora_A.weight", 2, (int64_t[]){2, 5}, x),
        DATA, "has 2 x 6 numbers, the model makes it 2 x 5");
    T_FAILS(
        adapter_read(a, "model.layers.2.self_attn.q_proj.lora_A.weight", 2, (int64_t[]){2, 6}, x),
        DATA, "has no tensor for model.layers.2");
    adapter_close(a);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* A table that modules_to_save names is a copy beside a tied head, unless PEFT was told to tie them. */
START_TEST(tables_that_are_no_longer_the_head)
{
    static const char *const TENSORS[] = {A0, B0, "base_model.model.model.embed_tokens.weight 4 6",
                                          NULL};
    static const struct {
        const char *more;
        bool apart;
    } ROWS[] = {
        {"", false},
        {", \"modules_to_save\": [\"embed_tokens\"]", true},
        {", \"modules_to_save\": [\"norm\"]", false},
        {", \"modules_to_save\": [\"embed_tokens\"], \"ensure_weight_tying\": true", false}};
    for (int64_t i = 0; i < N_OF(ROWS); i++) {
        char config[256];
        Adapter *a;
        snprintf(config, sizeof config, "{" PEFT "%s}", ROWS[i].more);
        make_adapter(config, MODEL, TENSORS);
        T_OK(adapter_open(adapter_dir, &a));
        T_TRUE(adapter_unties(a, "model.embed_tokens.weight") == ROWS[i].apart);
        adapter_close(a);
    }
}
END_TEST

START_TEST(mlx_pairs_lie_turned)
{
    static const char *const TENSORS[] = {"model.layers.3.mlp.up_proj.lora_a 6 2",
                                          "model.layers.3.mlp.up_proj.lora_b 2 8", NULL};
    Adapter *a;
    make_adapter(
        "{\"fine_tune_type\": \"lora\", \"model\": \"b\", \"lora_parameters\": {\"rank\": 2, "
        "\"scale\": 10.0}}",
        "adapters.safetensors", TENSORS);
    T_OK(adapter_open(adapter_dir, &a));
    const AdapterPair *p = adapter_pair_at(a, 0);
    T_TRUE(p->r == 2 && p->n_in == 6 && p->n_out == 8 && p->alpha == 20 && !p->use_rslora);
    real x[16];
    T_OK(adapter_read(a, "model.layers.3.mlp.up_proj.lora_A.weight", 2, (int64_t[]){2, 6}, x));
    T_TRUE(x[0] == 0 && x[1] == 2 && x[6] == 1);
    T_OK(adapter_read(a, "model.layers.3.mlp.up_proj.lora_B.weight", 2, (int64_t[]){8, 2}, x));
    T_TRUE(x[0] == 0 && x[1] == 8 && x[2] == 1);
    adapter_close(a);
}
END_TEST

START_TEST(refused_with_a_reason)
{
    static const char *const NO_B[] = {A0, NULL};
    static const char *const NO_A[] = {B0, NULL};
    static const char *const RANKS[] = {A0, P "0.self_attn.q_proj.lora_B.weight 8 3", NULL};
    static const char *const FLAT[] = {P "0.self_attn.q_proj.lora_A.weight 12 0", B0, NULL};
    static const char *const NAMES[] = {A0, B0, "model.norm.weight 6 0", NULL};
    static const char *const MAGNITUDE[] = {A0, B0,
                                            P "0.self_attn.q_proj.lora_magnitude_vector 8 0", NULL};
    static const char *const WHOLE[] = {"base_model.model.lm_head.weight 4 6", NULL};
    static const char *const NONE[] = {NULL};
    static const struct {
        const char *config;
        const char *const *tensors;
        const char *file;
        Status code;
        const char *text;
    } ROWS[] = {
        {"{}", PAIR, MODEL, ST_FORMAT, "has no peft_type (PEFT) and no lora_parameters (mlx-lm)"},
        {"{", PAIR, MODEL, ST_FORMAT, "adapter_config.json:1:"},
        {"{\"peft_type\": \"IA3\"}", PAIR, MODEL, ST_FORMAT,
         "peft_type: found the text \"IA3\", expected LORA"},
        {"{" PEFT ", \"use_dora\": true}", PAIR, MODEL, ST_FORMAT,
         "use_dora: found true, expected false"},
        {"{" PEFT ", \"bias\": \"all\"}", PAIR, MODEL, ST_FORMAT, "expected none"},
        {"{" PEFT ", \"layer_replication\": [[0, 4]]}", PAIR, MODEL, ST_FORMAT,
         "layer_replication"},
        {"{" PEFT ", \"init_lora_weights\": \"pissa_niter_4\"}", PAIR, MODEL, ST_FORMAT,
         "leaves the base as it is"},
        {"{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 4}", PAIR, MODEL, ST_FORMAT,
         "r: found 4, expected 2, the rank of model.layers.0.self_attn.q_proj in the file"},
        {"{\"peft_type\": \"LORA\", \"r\": 2}", PAIR, MODEL, ST_FORMAT,
         "lora_alpha: found nothing"},
        {"{" PEFT ", \"alpha_pattern\": {\"(q\": 1}}", PAIR, MODEL, ST_CONFIG,
         "is no regular expression"},
        {"{" PEFT ", \"alpha_pattern\": 3}", PAIR, MODEL, ST_FORMAT, "alpha_pattern: found 3"},
        {"{" PEFT "}", NO_B, MODEL, ST_FORMAT,
         "but no model.layers.0.self_attn.q_proj.lora_B.weight"},
        {"{" PEFT "}", NO_A, MODEL, ST_FORMAT,
         "but no model.layers.0.self_attn.q_proj.lora_A.weight"},
        {"{" PEFT "}", RANKS, MODEL, ST_FORMAT, "lora_A.weight has the rank 2, "},
        {"{" PEFT "}", FLAT, MODEL, ST_FORMAT, "has 1 dimensions, expected 2"},
        {"{" PEFT "}", NAMES, MODEL, ST_FORMAT, "expected names that begin with base_model.model."},
        {"{" PEFT "}", MAGNITUDE, MODEL, ST_FORMAT, "a kind of update that is not implemented"},
        {"{" PEFT "}", WHOLE, MODEL, ST_FORMAT, "holds no tensor that ends in .lora_A.weight"},
        {"{" PEFT "}", NONE, MODEL, ST_DATA, MODEL},
        {"{\"lora_parameters\": {\"rank\": 2, \"scale\": 1}, \"fine_tune_type\": \"dora\"}", PAIR,
         MODEL, ST_FORMAT, "fine_tune_type: found the text \"dora\", expected lora"},
    };
    for (int64_t i = 0; i < N_OF(ROWS); i++) {
        Adapter *a = NULL;
        make_adapter(ROWS[i].config, ROWS[i].file, ROWS[i].tensors);
        const Status rc = adapter_open(adapter_dir, &a);
        ck_assert_msg(rc == ROWS[i].code, "row %lld gave %s: %s", LL(i), status_name(rc),
                      status_message());
        T_HAS(status_message(), ROWS[i].text);
        T_TRUE(a == NULL);
        status_clear();
    }
    make_adapter("{" PEFT "}", MODEL, NONE);
    put_file("adapter_model.bin", "pickle");
    Adapter *a = NULL;
    T_FAILS(adapter_open(adapter_dir, &a), DATA, "pickled weights are not read");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* ---- as a start of training ---- */

static char *yaml_of(const char *more)
{
    return mem_printf("output_dir: out\nglobal_batch_size: 8\ndatasets: [a.txt]\n"
                      "adapter_name_or_path: %s\n%s",
                      adapter_dir, more);
}

static Status read_config(const char *more, RunConfig **cfg)
{
    char *text = yaml_of(more);
    const Status rc = config_parse("x.yaml", text, strlen(text), 0, NULL, cfg);
    mem_free(text);
    return rc;
}

#define SIZES "model: {hidden_size: 6, num_attention_heads: 1}\n"

static void expect_trainable(const char *more, const char *expected)
{
    RunConfig *cfg = NULL;
    json_t *all = NULL;
    T_OK(read_config(more, &cfg));
    T_OK(config_to_json(cfg, &all));
    char *text = json_dumps(json_object_get(all, "trainable"), JSON_COMPACT | JSON_SORT_KEYS);
    T_EQ_STR(text, expected);
    free(text);
    json_decref(all);
    config_destroy(cfg);
}

START_TEST(what_it_adapts_becomes_trainable)
{
    static const char *const TENSORS[] = {A0,
                                          B0,
                                          P "1.self_attn.q_proj.lora_A.weight 2 6",
                                          P "1.self_attn.q_proj.lora_B.weight 8 2",
                                          P "3.self_attn.q_proj.lora_A.weight 2 6",
                                          P "3.self_attn.q_proj.lora_B.weight 8 2",
                                          P "3.mlp.up_proj.lora_A.weight 1 6",
                                          P "3.mlp.up_proj.lora_B.weight 8 1",
                                          "base_model.model.model.norm.weight 6 0",
                                          NULL};
    make_adapter("{" PEFT ", \"lora_dropout\": 0.25, \"rank_pattern\": {\"up_proj\": 1}}", MODEL,
                 TENSORS);
    expect_trainable(SIZES,
                     "[{\"kind\":\"lora\",\"lora_alpha\":4.0,\"lora_dropout\":0.25,"
                     "\"lora_layers\":[\"0-1,3\"],\"lora_r\":2,"
                     "\"lora_target_modules\":[\"self_attn.q_proj\"],\"loraplus_lr_ratio\":1.0,"
                     "\"modules_to_save\":[\"model.norm\"],\"use_rslora\":false},"
                     "{\"kind\":\"lora\",\"lora_alpha\":4.0,\"lora_dropout\":0.25,"
                     "\"lora_layers\":[\"3\"],\"lora_r\":1,"
                     "\"lora_target_modules\":[\"mlp.up_proj\"],\"loraplus_lr_ratio\":1.0,"
                     "\"use_rslora\":false}]");
}
END_TEST

START_TEST(uneven_layers_are_named_one_by_one)
{
    static const char *const TENSORS[] = {A0, B0, P "1.mlp.up_proj.lora_A.weight 2 6",
                                          P "1.mlp.up_proj.lora_B.weight 8 2", NULL};
    make_adapter("{" PEFT "}", MODEL, TENSORS);
    expect_trainable(SIZES "finetuning_type: lora\nlora_dropout: 0.5\nloraplus_lr_ratio: 4\n",
                     "[{\"kind\":\"lora\",\"lora_alpha\":4.0,\"lora_dropout\":0.5,\"lora_r\":2,"
                     "\"lora_target_modules\":[\"model.layers.0.self_attn.q_proj\","
                     "\"model.layers.1.mlp.up_proj\"],\"loraplus_lr_ratio\":4.0,"
                     "\"use_rslora\":false}]");
}
END_TEST

START_TEST(an_adapter_settles_its_options)
{
    RunConfig *cfg = NULL;
    make_adapter("{" PEFT ", \"base_model_name_or_path\": \"nobody/nothing\"}", MODEL, PAIR);
    T_FAILS(read_config(SIZES "lora_r: 4\n", &cfg), CONFIG,
            "x.yaml:6: lora_r: is what the adapter");
    T_FAILS(read_config(SIZES "finetuning_type: full\n", &cfg), CONFIG,
            "x.yaml:6: finetuning_type: an adapter is trained as lora");
    T_FAILS(read_config("", &cfg), CONFIG,
            "says its base is nobody/nothing, which is no folder here");
    expect_trainable(SIZES "trainable: [{kind: freeze, unfrozen_parameters: x}]\n",
                     "[{\"kind\":\"freeze\",\"unfrozen_parameters\":[\"x\"]}]");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* A real one: mlx-lm on the last two layers of Qwen2.5-0.5B. */
START_TEST(a_published_adapter)
{
    const char *dir = test_shared_data("models/lora_adapters/mlx_qwen2.5_0.5b");
    if (!dir) T_SKIP("../shared/data is not here");
    Adapter *a;
    T_OK(adapter_open(dir, &a));
    T_EQ_STR(adapter_base(a), "mlx-community/Qwen2.5-0.5B-Instruct-4bit");
    T_TRUE(adapter_n_pair(a) > 0);
    for (int64_t i = 0; i < adapter_n_pair(a); i++) {
        const AdapterPair *p = adapter_pair_at(a, i);
        T_TRUE(strncmp(p->module, "model.layers.2", 14) == 0);
        T_TRUE(p->r == 8 && p->alpha == 160 && p->n_in == 896);
    }
    adapter_close(a);
    snprintf(adapter_dir, sizeof adapter_dir, "%s", dir);
    RunConfig *cfg = NULL;
    T_OK(read_config("model: {model_type: qwen2, hidden_size: 896, num_attention_heads: 14, "
                     "num_key_value_heads: 2, num_hidden_layers: 24}\n",
                     &cfg));
    T_EQ_I64(cfg->n_method, 1);
    config_destroy(cfg);
}
END_TEST

int main(void)
{
    const TTest *t[] = {pairs_and_their_settings,
                        tables_that_are_no_longer_the_head,
                        mlx_pairs_lie_turned,
                        refused_with_a_reason,
                        what_it_adapts_becomes_trainable,
                        uneven_layers_are_named_one_by_one,
                        an_adapter_settles_its_options,
                        a_published_adapter};
    return test_main("unit.adapter", t, N_OF(t));
}
