/* unit_config_methods.c — what is trained, as a list of entries and in its short form. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/run/config_bind.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE "output_dir: out\nglobal_batch_size: 8\ndatasets: [a.txt]\n"

static Status read_text(const char *text, int n, const char *const *override, RunConfig **cfg)
{
    return config_parse("x.yaml", text, strlen(text), n, override, cfg);
}

static RunConfig *parsed(const char *text)
{
    RunConfig *cfg = NULL;
    T_OK(read_text(text, 0, NULL, &cfg));
    return cfg;
}

/* The resolved trainable: as JSON text; "" where there is none. */
static void expect_trainable(const RunConfig *cfg, const char *expected)
{
    json_t *all = NULL;
    T_OK(config_to_json(cfg, &all));
    const json_t *list = json_object_get(all, "trainable");
    char *text = list ? json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS) : strdup("");
    T_EQ_STR(text, expected);
    free(text);
    json_decref(all);
}

#define LORA_REST                                                                                  \
    "\"lora_r\":4,\"lora_target_modules\":[\"q_proj\",\"v_proj\"],\"loraplus_lr_ratio\":1.0,"      \
    "\"modules_to_save\":[\"lm_head\"],\"use_rslora\":true}]"
static const char LORA[] =
    "[{\"kind\":\"lora\",\"lora_alpha\":16.0,\"lora_dropout\":0.0," LORA_REST;

START_TEST(all_forms_say_the_same)
{
    static const char *const FORMS[] = {
        BASE "trainable:\n  - {kind: lora, lora_r: 4, lora_target_modules: [q_proj, v_proj], "
             "use_rslora: true, modules_to_save: lm_head}\n",
        BASE "finetuning_type: lora\nlora_r: 4\nlora_target_modules: [q_proj, v_proj]\n"
             "use_rslora: true\nmodules_to_save: [lm_head]\n",
        /* LLaMA-Factory, axolotl, PEFT */
        BASE
        "finetuning_type: lora\nlora_rank: 4\nlora_target: [q_proj, v_proj]\nuse_rslora: true\n"
        "additional_target: lm_head\n",
        BASE "adapter: lora\nlora_r: 4\nlora_target_modules:\n- q_proj\n- v_proj\n"
             "peft_use_rslora: true\nlora_modules_to_save: [lm_head]\n",
        BASE "trainable: [{kind: lora, r: 4, target_modules: [q_proj, v_proj], use_rslora: true, "
             "modules_to_save: [lm_head]}]\n",
    };
    for (int64_t i = 0; i < N_OF(FORMS); i++) {
        RunConfig *cfg = parsed(FORMS[i]);
        T_EQ_I64(cfg->n_method, 1);
        T_EQ_STR(cfg->methods[0].def->name, "lora");
        T_TRUE(!cfg->finetuning_type);
        expect_trainable(cfg, LORA);
        config_destroy(cfg);
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(everything_is_trained_unless_told)
{
    static const char *const FORMS[] = {BASE, BASE "finetuning_type: full\n",
                                        BASE "trainable: [full]\n",
                                        BASE "trainable: [{kind: full}]\n"};
    for (int64_t i = 0; i < N_OF(FORMS); i++) {
        RunConfig *cfg = parsed(FORMS[i]);
        T_EQ_I64(cfg->n_method, 0);
        expect_trainable(cfg, "");
        config_destroy(cfg);
    }
}
END_TEST

START_TEST(words_that_mean_all_linear_layers)
{
    static const char *const FORMS[] = {
        BASE "finetuning_type: lora\nlora_target: all\n",
        BASE "adapter: lora\nlora_target_linear: true\n",
        BASE "finetuning_type: lora\n",
        BASE "trainable: [lora]\n",
        BASE "trainable: [{kind: lora, lora_target: all}]\n",
    };
    for (int64_t i = 0; i < N_OF(FORMS); i++) {
        RunConfig *cfg = parsed(FORMS[i]);
        const OptSpec *o = opt_find(cfg->methods[0].def->opts, "lora_target_modules");
        char text[64];
        opt_print(o, cfg->methods[0].opts, text, sizeof text);
        T_EQ_STR(text, "all-linear");
        config_destroy(cfg);
    }
}
END_TEST

static int64_t rank_of(const RunConfig *cfg, int64_t i)
{
    char text[32];
    opt_print(opt_find(cfg->methods[i].def->opts, "lora_r"), cfg->methods[i].opts, text,
              sizeof text);
    return atoll(text);
}

START_TEST(the_command_line_reaches_into_both_forms)
{
    static const char *const FLAT[] = {"lora_r=6"}, *const ENTRY[] = {"trainable.1.r=6"},
                             *const FULL[] = {"finetuning_type=full"};
    RunConfig *cfg = NULL;
    const char *list = BASE "trainable: [{kind: freeze, unfrozen_parameters: lm_head}, lora]\n",
               *flat = BASE "finetuning_type: lora\nlora_r: 4\n";
    T_OK(read_text(flat, 1, FLAT, &cfg));
    T_EQ_I64(rank_of(cfg, 0), 6);
    config_destroy(cfg);
    T_OK(read_text(BASE "trainable: [{kind: freeze, unfrozen_parameters: lm_head}, {kind: lora}]\n",
                   1, ENTRY, &cfg));
    T_EQ_I64(rank_of(cfg, 1), 6);
    config_destroy(cfg);
    T_OK(read_text(list, 1, FULL, &cfg)); /* the list is taken back */
    T_EQ_I64(cfg->n_method, 0);
    config_destroy(cfg);
    T_OK(read_text(flat, 1, FULL, &cfg)); /* lora_r is left behind with lora */
    T_EQ_I64(cfg->n_method, 0);
    config_destroy(cfg);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(refuses_with_place_and_reason)
{
    static const struct {
        const char *text, *part;
    } BAD[] = {
        {BASE "lora_r: 8\n",
         "x.yaml:4: lora_r: belongs to finetuning_type: lora, this run has finetuning_type: full"},
        {BASE "lora_rank: 8\nfinetuning_type: freeze\nunfrozen_parameters: a\n",
         "x.yaml:4: lora_r: belongs to finetuning_type: lora, this run has finetuning_type: "
         "freeze"},
        {BASE "trainable: [lora]\nlora_r: 8\n",
         "x.yaml:5: lora_r: belongs into an entry of trainable: (kind: lora)"},
        {BASE "trainable: [lora]\nfinetuning_type: lora\n",
         "x.yaml:5: finetuning_type: found beside x.yaml:4: trainable"},
        {BASE "finetuning_type: lorra\n",
         "x.yaml:4: finetuning_type: found \"lorra\", expected one of full, freeze, lora"},
        {BASE "adapter: qlora\n", "finetuning_type: found \"qlora\", expected one of full"},
        {BASE "finetuning_type: [lora]\n", "x.yaml:4: finetuning_type: found a list"},
        {BASE "finetuning_type:\n", "x.yaml:4: finetuning_type: found no value"},
        {BASE "trainable: lora\n", "x.yaml:4: trainable: found a text, expected a list"},
        {BASE "trainable: []\n", "x.yaml:4: trainable: found an empty list"},
        {BASE "trainable: [[lora]]\n", "trainable.0: found a list, expected keys with values"},
        {BASE "trainable: [{lora_r: 8}]\n", "x.yaml:4: trainable.0: has no kind, expected kind: "},
        {BASE "trainable: [lora, {kind: prompt}]\n",
         "trainable.1.kind: found \"prompt\", expected one of full, freeze, lora"},
        {BASE "trainable: [{kind: freeze, lora_r: 8}]\n",
         "trainable.0.lora_r: belongs to kind: lora, this entry has kind: freeze"},
        {BASE "trainable: [{kind: lora, lora_q: 8}]\n",
         "trainable.0.lora_q: unknown key in trainable, did you mean lora_r?"},
        {BASE "trainable: [{kind: lora, use_dora: true}]\n",
         "trainable.0.use_dora: directions and sizes"},
        {BASE "trainable: [{kind: lora, seed: 8}]\n", "trainable.0.seed: belongs to the top level"},
        {BASE "trainable: [{kind: lora, lora_r: 0}]\n",
         "trainable.0.lora_r: 0 lies outside 1 .. 65536"},
        {BASE "finetuning_type: lora\nlora_r: 0\n", "x.yaml:5: lora_r: 0 lies outside"},
        {BASE "finetuning_type: lora\nlora_rank: 1\nr: 2\n", "found another spelling of lora_r"},
        {BASE "trainable: [{kind: lora, r: 1, lora_r: 2}]\n", "found another spelling of lora_r"},
        {BASE "trainable: [{kind: lora, lora_target_modules: [a, [b]]}]\n",
         "trainable.0.lora_target_modules: found a list, expected a list of texts"},
        {BASE "trainable: [{kind: lora, lora_target_modules: []}]\n", "found an empty list"},
        {BASE "trainable: [{kind: lora, lora_target_modules: [a, a]}]\n", "a second time"},
        {BASE "trainable: [full, lora]\n", "trainable.0: kind: full trains every parameter"},
        {BASE "trainable: [lora, lora, lora, lora, lora, lora, lora, lora, lora]\n",
         "found 9 entries, expected at most 8"},
    };
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        RunConfig *cfg = NULL;
        T_FAILS(read_text(BAD[i].text, 0, NULL, &cfg), CONFIG, BAD[i].part);
        T_TRUE(!cfg);
        T_EQ_I64(mem_live(), 0);
    }
}
END_TEST

static const char TWO[] = BASE
    "trainable:\n- {kind: lora, lora_target_modules: \".*\\\\.(q|v)_proj\", lora_layers: [0-3, "
    "8]}\n- {kind: freeze, unfrozen_parameters: [lm_head, 'model.layers.(1|2)\\.']}\n";

START_TEST(resolved_form_reads_back)
{
    RunConfig *first = parsed(TWO), *second = NULL;
    json_t *a = NULL, *b = NULL;
    char *differ = NULL, *file = path_join(test_dir(), "resolved.yaml");
    T_OK(config_to_json(first, &a));
    T_OK(config_write(first, file));
    T_OK(config_load(file, 0, NULL, &second));
    T_OK(config_to_json(second, &b));
    T_TRUE(json_equal(a, b));
    T_EQ_I64(json_array_size(json_object_get(a, "trainable")), 2);
    T_OK(config_diff(a, b, &differ));
    T_TRUE(!differ);
    json_decref(a);
    json_decref(b);
    mem_free(file);
    config_destroy(first);
    config_destroy(second);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(another_method_is_another_trajectory)
{
    static const struct {
        const char *before, *now, *part;
    } CASE[] = {
        {BASE, BASE "finetuning_type: lora\n", "trainable: not set before, 1 entry now"},
        {BASE "trainable: [lora]\n", TWO, "trainable: 1 entry before, 2 entries now"},
        {BASE "finetuning_type: lora\n", BASE "finetuning_type: lora\nlora_r: 4\n",
         "trainable.0.lora_r: 8 before, 4 now"},
        {BASE "finetuning_type: lora\nlora_target: [q_proj]\n",
         BASE "finetuning_type: lora\nlora_target: [q_proj, up_proj]\n",
         "trainable.0.lora_target_modules: [q_proj] before, [q_proj, up_proj] now"},
        {BASE "finetuning_type: lora\n",
         BASE "finetuning_type: freeze\nunfrozen_parameters: lm_head\n",
         "trainable.0.kind: lora before, freeze now"},
    };
    for (int64_t i = 0; i < N_OF(CASE); i++) {
        RunConfig *before = parsed(CASE[i].before), *now = parsed(CASE[i].now);
        json_t *a = NULL, *b = NULL;
        char *text = NULL;
        T_OK(config_to_json(before, &a));
        T_OK(config_to_json(now, &b));
        T_OK(config_diff(a, b, &text));
        T_TRUE(text);
        T_HAS(text, CASE[i].part);
        mem_free(text);
        json_decref(a);
        json_decref(b);
        config_destroy(before);
        config_destroy(now);
    }
}
END_TEST

/* At the top level stand the options of a method beside those of the run. */
START_TEST(no_key_has_two_meanings)
{
    int64_t n;
    const MethodDef *const *method = method_all(&n);
    RunConfig *cfg = parsed(BASE);
    void *at;
    for (int64_t i = 0; i < n; i++)
        for (const OptSpec *s = method[i]->opts; s->type != OPT_END_T; s++)
            ck_assert_msg(!config_find(cfg, s->name, &at), "%s stands in two tables", s->name);
    config_destroy(cfg);
}
END_TEST

START_TEST(schema_knows_every_resolved_key)
{
    json_t *schema = NULL, *resolved = NULL, *value;
    const char *key;
    char name[64];
    RunConfig *cfg = parsed(TWO);
    T_OK(config_schema_json(&schema));
    T_OK(config_to_json(cfg, &resolved));
    T_TRUE(json_object_get(json_object_get(schema, "properties"), "trainable"));
    T_TRUE(json_object_get(json_object_get(schema, "properties"), "lora_rank"));
    for (size_t i = 0; i < 2; i++) {
        json_t *entry = json_array_get(json_object_get(resolved, "trainable"), i);
        snprintf(name, sizeof name, "trainable_%s",
                 json_string_value(json_object_get(entry, "kind")));
        const json_t *def = json_object_get(json_object_get(schema, "$defs"), name);
        T_TRUE(json_is_false(json_object_get(def, "additionalProperties")));
        json_object_foreach(entry, key, value)
            ck_assert_msg(json_object_get(json_object_get(def, "properties"), key), "%s", key);
    }
    json_decref(resolved);
    json_decref(schema);
    config_destroy(cfg);
}
END_TEST

START_TEST(missing_memory_is_reported)
{
    for (int n = 1;; n++) {
        RunConfig *cfg = NULL;
        fault_arm(n, false);
        const Status rc = read_text(
            BASE "adapter: lora\nlora_rank: 4\nlora_target: [q_proj, v_proj]\n", 0, NULL, &cfg);
        const bool hit = fault_disarm();
        ck_assert_msg(hit == (rc != ST_OK), "place %d: %s", n, status_message());
        status_clear();
        config_destroy(cfg);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
        T_TRUE(n < 1000);
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {all_forms_say_the_same,
                        everything_is_trained_unless_told,
                        words_that_mean_all_linear_layers,
                        the_command_line_reaches_into_both_forms,
                        refuses_with_place_and_reason,
                        resolved_form_reads_back,
                        another_method_is_another_trajectory,
                        no_key_has_two_meanings,
                        schema_knows_every_resolved_key,
                        missing_memory_is_reported};
    return test_main("unit.config_methods", t, N_OF(t));
}
