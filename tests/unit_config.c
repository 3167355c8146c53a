/* unit_config.c — from YAML, what it extends and the command line to typed options, and back without loss. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/run/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE "output_dir: out\nglobal_batch_size: 8\ndatasets: [{path: a.txt}]\n"

static Status read_text(const char *text, RunConfig **cfg)
{
    return config_parse("x.yaml", text, strlen(text), 0, NULL, cfg);
}

static RunConfig *parsed(const char *text)
{
    RunConfig *cfg = NULL;
    T_OK(read_text(text, &cfg));
    return cfg;
}

static RunConfig *overridden(const char *text, int n, const char *const *override)
{
    RunConfig *cfg = NULL;
    T_OK(config_parse("x.yaml", text, strlen(text), n, override, &cfg));
    return cfg;
}

static void put_file(const char *name, const char *text)
{
    char *path = path_join(test_dir(), name);
    T_OK(file_write_atomic(path, text, strlen(text)));
    mem_free(path);
}

static Status load_file(const char *name, RunConfig **cfg)
{
    char *path = path_join(test_dir(), name);
    const Status rc = config_load(path, 0, NULL, cfg);
    mem_free(path);
    return rc;
}

static double sched_number(const RunConfig *cfg, const char *key)
{
    const OptSpec *s = opt_find(SCHED_COMMON_OPTS, key);
    return *(const double *)((const char *)cfg->sched_opts +
                             (s ? s : opt_find(cfg->sched_def->opts, key))->offset);
}

static double optim_number(const RunConfig *cfg, const char *key)
{
    return *(const double *)((const char *)cfg->optim_opts +
                             opt_find(cfg->optim_def->opts, key)->offset);
}

/* ---- what is accepted ------------------------------------------------------------------------------------------ */

START_TEST(reads_every_kind_of_value)
{
    RunConfig *cfg = parsed(
        BASE
        "learning_rate: 1e-5\nmax_tokens: 1.5M\nmicro_batch_size: 2\nweight_decay: .05\n"
        "gradient_checkpointing: true\ncompute_dtype: fp32\nseed: 1_000\nrun_name: \"no\"\n"
        "max_seq_length: 1k\nadam_beta2: 0.98\nmodel: {hidden_size: 64, num_attention_heads: 8}\n"
        "report_to: [tensorboard]\n");
    T_EQ_I64(sched_number(cfg, "learning_rate") == 1e-5, 1);
    T_EQ_I64(cfg->max_tokens, 1500000);
    T_EQ_I64(cfg->max_steps, 0);
    T_TRUE(cfg->num_train_epochs == 0);
    T_EQ_I64(cfg->micro_batch_size, 2);
    T_TRUE(cfg->optim_common.weight_decay == 0.05);
    T_TRUE(optim_number(cfg, "adam_beta2") == 0.98);
    T_TRUE(cfg->gradient_checkpointing);
    T_EQ_STR(cfg->compute_dtype, "fp32");
    T_EQ_I64(cfg->seed, 1000);
    T_EQ_STR(cfg->run_name, "no");
    T_EQ_I64(cfg->pack.max_seq_length, 1000);
    T_EQ_I64(cfg->model.hidden_size, 64);
    T_EQ_I64(cfg->model.head_dim, 8);
    T_TRUE(config_reports_to(cfg, "tensorboard") && !config_reports_to(cfg, "jsonl"));
    config_destroy(cfg);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(fills_in_what_follows)
{
    RunConfig *cfg = parsed(BASE "micro_batch_size: 2\nseed: 7\n");
    T_TRUE(cfg->num_train_epochs == 1);
    T_EQ_I64(cfg->data_seed, 7);
    T_EQ_I64(cfg->reduction_groups, 4); /* of 8: only four micro-batches */
    T_EQ_STR(cfg->paradigm, "plain");
    T_EQ_STR(cfg->lr_scheduler_type, "cosine");
    T_EQ_STR(cfg->optim, "adamw");
    T_TRUE(config_reports_to(cfg, "jsonl") && config_reports_to(cfg, "tensorboard"));
    T_TRUE(!config_reports_to(cfg, "json"));
    config_destroy(cfg);

    cfg = parsed("output_dir: o\ngradient_accumulation_steps: 6\nmicro_batch_size: 2\ndatasets: "
                 "[a.txt]\nversion: v2\nfollows: v1\n");
    T_EQ_I64(cfg->global_batch_size, 12);
    T_EQ_I64(cfg->reduction_groups, 4); /* the largest power of two in six */
    T_EQ_I64(cfg->gradient_accumulation_steps, 0);
    T_EQ_STR(cfg->paradigm, "path_switching");
    T_EQ_STR(cfg->lr_scheduler_type, "path_switching");
    T_TRUE(cfg->sched_def == sched_find("path_switching"));
    config_destroy(cfg);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(understands_other_spellings)
{
    RunConfig *cfg = parsed("out_dir: o\nper_device_train_batch_size: "
                            "2\ngradient_accumulation_steps: 2\nepochs: 3.0\nlr: 2e-4\n"
                            "cutoff_len: 64\nsample_packing: false\noptimizer: "
                            "adamw_torch\nlr_scheduler: constant_with_warmup\n"
                            "warmup_ratio: 0.1\nval_set_size: 0.05\nbf16: true\n"
                            "datasets: [{path: a.jsonl, field: body}]\n");
    T_EQ_I64(cfg->micro_batch_size, 2);
    T_TRUE(cfg->num_train_epochs == 3);
    T_TRUE(sched_number(cfg, "learning_rate") == 2e-4);
    T_TRUE(sched_number(cfg, "warmup_steps") == 0.1);
    T_EQ_I64(cfg->pack.max_seq_length, 64);
    T_TRUE(!cfg->pack.packing);
    T_TRUE(cfg->pack.val_size == 0.05);
    T_EQ_STR(cfg->optim, "adamw");
    T_EQ_STR(cfg->lr_scheduler_type, "constant");
    T_EQ_STR(cfg->compute_dtype, "bf16");
    T_EQ_STR(cfg->datasets[0].text_field, "body");
    config_destroy(cfg);
}
END_TEST

START_TEST(paths_start_at_their_file)
{
    char *sub = path_join(test_dir(), "sub"), *want = NULL;
    char cwd[4096], dir[4096];
    T_OK(dir_make(sub));
    T_TRUE(realpath(test_dir(), dir) != NULL && getcwd(cwd, sizeof cwd) != NULL);
    put_file("sub/base.yaml", "output_dir: ../runs/a\nglobal_batch_size: 8\ncache_dir: "
                              "./cache\ndatasets: [{path: d/a.txt}, /abs/b.txt]\n");
    put_file("leaf.yaml",
             "extends: sub/base.yaml\neval_datasets: [{path: e.txt}]\ntokenizer: bytes\n");
    char *leaf = path_join(test_dir(), "leaf.yaml");
    RunConfig *cfg = NULL;
    const char *const override[] = {"datasets.0.path=x/y.txt"};
    T_OK(config_load(leaf, 0, NULL, &cfg));
    want = mem_printf("%s/runs/a", dir);
    T_EQ_STR(cfg->output_dir, want);
    mem_free(want);
    want = mem_printf("%s/sub/d/a.txt", dir);
    T_EQ_STR(cfg->datasets[0].path, want);
    mem_free(want);
    T_EQ_STR(cfg->datasets[1].path, "/abs/b.txt");
    want = mem_printf("%s/sub/cache", dir);
    T_EQ_STR(cfg->pack.cache_dir, want);
    mem_free(want);
    want = mem_printf("%s/e.txt", dir);
    T_EQ_STR(cfg->eval_datasets[0].path, want);
    mem_free(want);
    T_EQ_STR(cfg->tokenizer, "bytes");
    config_destroy(cfg);
    T_OK(config_load(leaf, 1, override, &cfg));
    want = mem_printf("%s/x/y.txt", cwd);
    T_EQ_STR(cfg->datasets[0].path, want);
    mem_free(want);
    config_destroy(cfg);
    mem_free(leaf);
    mem_free(sub);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(later_layers_win)
{
    put_file("b0.yaml", "output_dir: o\nglobal_batch_size: 8\nmax_steps: 100\nlr: 1e-3\nmin_lr: "
                        "1e-5\nmodel: {hidden_size: 64, rope_theta: 5e4}\n"
                        "datasets: [{path: a.txt, weight: 2}]\noptim: sgd\nmomentum: 0.5\n");
    put_file("b1.yaml",
             "extends: b0.yaml\nlearning_rate: 2e-3\nmax_tokens: 2M\nmodel:\n  hidden_size: 32\n");
    put_file("b2.yaml", "extends: b1.yaml\nseed: 3\nmin_lr_ratio: 0.2\n");
    RunConfig *cfg = NULL;
    T_OK(load_file("b2.yaml", &cfg));
    T_TRUE(sched_number(cfg, "learning_rate") == 2e-3);
    T_TRUE(sched_number(cfg, "min_lr") < 0 && sched_number(cfg, "min_lr_ratio") == 0.2);
    T_EQ_I64(cfg->max_steps, 0);
    T_EQ_I64(cfg->max_tokens, 2000000);
    T_EQ_I64(cfg->model.hidden_size, 32);
    T_TRUE(cfg->model.rope_theta == 5e4);
    T_TRUE(optim_number(cfg, "momentum") == 0.5);
    T_TRUE(cfg->datasets[0].weight == 2);
    config_destroy(cfg);

    char *path = path_join(test_dir(), "b2.yaml");
    const char *const override[] = {"optim=adamw", "num_train_epochs=2", "model.hidden_size=16",
                                    "report_to=[jsonl]", "run_name=a: b #c"};
    T_OK(config_load(path, (int)N_OF(override), override, &cfg));
    T_EQ_STR(cfg->optim, "adamw"); /* momentum is left behind with sgd, the share with max_tokens */
    T_TRUE(!config_is_set(cfg, "momentum"));
    T_TRUE(cfg->num_train_epochs == 2 && cfg->max_tokens == 0);
    T_TRUE(cfg->datasets[0].weight == 1);
    T_EQ_I64(cfg->model.hidden_size, 16);
    T_TRUE(!config_reports_to(cfg, "tensorboard"));
    T_EQ_STR(cfg->run_name, "a: b #c");
    config_destroy(cfg);
    mem_free(path);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(another_choice_leaves_inherited_keys_behind)
{
    static const char TEXT[] = BASE "version: v1\ndecay_fraction: 0.4\ndecay_shape: "
                                    "sqrt\naverage_main: true\naverage_every: 5\n";
    const char *const scratch[] = {"paradigm=from_scratch"};
    RunConfig *cfg = parsed(TEXT);
    T_TRUE(cfg->average_main && cfg->average_every == 5 && cfg->decay_fraction == 0.4);
    config_destroy(cfg);
    cfg = overridden(TEXT, 1, scratch);
    T_EQ_STR(cfg->lr_scheduler_type, "cosine");
    T_TRUE(!cfg->average_main && cfg->average_every == 20 && cfg->decay_fraction == 0.6);
    config_destroy(cfg);
    const char *const no_mean[] = {"average_main=false"};
    cfg = overridden(TEXT, 1, no_mean);
    T_TRUE(!cfg->average_main && cfg->average_every == 20 && cfg->decay_fraction == 0.4);
    config_destroy(cfg);
}
END_TEST

/* ---- what is refused -------------------------------------------------------------------------------------------- */

static const struct {
    const char *text, *part;
} REFUSED[] = {
    /* keys */
    {BASE "learning_rat: 1\n", "x.yaml:4: learning_rat: unknown key, did you mean learning_rate?"},
    {BASE "lerning_rate: 1\n", "did you mean learning_rate?"},
    {BASE "weightdecay: 1\n", "did you mean weight_decay?"},
    {BASE "datasetz: []\n", "did you mean datasets?"},
    {BASE "zzzzzzzz: 1\n", "x.yaml:4: zzzzzzzz: unknown key (`trainer schema"},
    {BASE "\"a\\nb\": 1\n", "x.yaml:4: a?b: unknown key"},
    {BASE "model: {hidden_siz: 1}\n",
     "x.yaml:4: model.hidden_siz: unknown key in model, did you mean hidden_size?"},
    {BASE "eval_datasets: [{pth: a}]\n",
     "x.yaml:4: eval_datasets.0.pth: unknown key in datasets, did you mean path?"},
    {BASE "hidden_size: 64\n", "x.yaml:4: hidden_size: belongs into the block model:"},
    {BASE "path: a.txt\n", "x.yaml:4: path: belongs into an entry of datasets:"},
    {BASE "momentum: 0.9\n",
     "x.yaml:4: momentum: belongs to optim: sgd, this run has optim: adamw"},
    {BASE "adam_beta1: 0.9\noptim: sgd\n",
     "x.yaml:4: adam_beta1: belongs to optim: adamw, adamw_8bit, this run has optim: sgd"},
    {BASE "wsd_decay_fraction: 0.1\n",
     "belongs to lr_scheduler_type: wsd, this run has lr_scheduler_type: cosine"},
    {BASE "seed: 1\nseed: 2\n",
     "x.yaml:5: seed: found a second time, expected once (first on line 4)"},
    {BASE "lr: 1e-3\nlearning_rate: 1e-3\n",
     "x.yaml:4: lr: found another spelling of learning_rate, which line 5 sets too"},
    {BASE "epochs: 1\nnum_epochs: 1\n",
     "x.yaml:5: num_epochs: found another spelling of num_train_epochs, which line 4 sets too"},
    {BASE "flash_attention: true\n", "x.yaml:4: flash_attention: attention never forms"},
    {BASE "deepspeed: z.json\n", "x.yaml:4: deepspeed: runs are data-parallel under mpirun"},
    {BASE "fsdp_config: {a: 1}\n", "x.yaml:4: fsdp_config: runs are data-parallel"},
    {BASE "load_in_4bit: true\n", "quantized weights are not supported"},
    {BASE "hub_model_id: a/b\n", "nothing is sent to a model hub"},
    {BASE "resume_from_checkpoint: true\n", "the same command goes on by itself"},
    {BASE "use_dora: true\n", "x.yaml:4: use_dora: directions and sizes are not trained apart"},
    {BASE "batch_size: 8\n", "ambiguous: use micro_batch_size"},
    /* values */
    {BASE "learning_rate: \"1e-5\"\n",
     "x.yaml:4: learning_rate: quoted \"1e-5\" is a text, a number is expected: remove the quotes"},
    {BASE "seed: '1'\n", "x.yaml:4: seed: quoted \"1\" is a text"},
    {BASE "learning_rate: fast\n", "x.yaml:4: learning_rate: \"fast\" is no number"},
    {BASE "learning_rate: 1e-5x\n", "is no number"},
    {BASE "learning_rate: .inf\n", "is no number"},
    {BASE "learning_rate: nan\n", "is no number"},
    {BASE "learning_rate: 1e999\n", "x.yaml:4: learning_rate:"},
    {BASE "learning_rate: 1__0\n", "is no number"},
    {BASE "learning_rate: -1\n", "x.yaml:4: learning_rate: -1 lies outside 0 .. 10"},
    {BASE "seed: 0x1f\n", "is no number"},
    {BASE "seed: 1.5\n", "x.yaml:4: seed: 1.5 is no whole number"},
    {BASE "seed: 4k\n", "is no number"},
    {BASE "max_tokens: 1.5\n", "is no whole number"},
    {BASE "max_steps: 0\n", "x.yaml:4: max_steps: 0 lies outside 1"},
    {BASE "packing: yes\n", "x.yaml:4: packing: found yes, expected true or false"},
    {BASE "packing: on\n", "found on, expected true or false"},
    {BASE "packing: True\n", "found True, expected true or false"},
    {BASE "packing: 1\n", "found 1, expected true or false"},
    {BASE "packing: \"true\"\n", "found \"true\", expected true or false"},
    {BASE "seed:\n", "x.yaml:4: seed: found no value, expected a whole number"},
    {BASE "seed: null\n", "x.yaml:4: seed: found null, expected a whole number"},
    {BASE "run_name: ~\n", "x.yaml:4: run_name: found ~, expected a text"},
    {BASE "run_name: ''\n", "x.yaml:4: run_name: found no value"},
    {BASE "seed: [1]\n", "x.yaml:4: seed: found a list, expected a whole number"},
    {BASE "seed: {a: 1}\n", "x.yaml:4: seed: found a map, expected a whole number"},
    {BASE "seed: 1111111111111111111111111111111111111111111111111111111111111111111111\n",
     "found a text of 70 bytes"},
    {BASE "optim: [adamw]\n", "x.yaml:4: optim: found a list, expected a name"},
    {BASE "optim: adam\n",
     "x.yaml:4: optim: found \"adam\", expected one of adamw, adamw_8bit, sgd"},
    {BASE "lr_scheduler_type: cosin\n",
     "x.yaml:4: lr_scheduler_type: found \"cosin\", expected one of constant, linear"},
    {BASE "on_nonfinite: panic\n", "found \"panic\", expected one of stop|skip"},
    {BASE "compute_dtype: fp8\n", "expected one of auto|fp32|bf16"},
    {BASE "report_to: wandb\n",
     "x.yaml:4: report_to: found wandb, expected a list of jsonl|tensorboard|none"},
    {BASE "report_to: [jsonl, jsonl]\n", "found jsonl a second time"},
    {BASE "report_to: []\n", "found an empty list"},
    {BASE "report_to: [none, jsonl]\n", "expected none alone"},
    {BASE "warmup_ratio: 100\n", "x.yaml:4: warmup_ratio: found 100, expected a share below 1"},
    /* shapes */
    {"a", "x.yaml:1: found a text, expected keys with values"},
    {"[a]", "x.yaml:1: found a list, expected keys with values"},
    {BASE "model: 5\n", "x.yaml:4: model: found a text, expected keys with values"},
    {BASE "model: []\n", "x.yaml:4: model: found a list"},
    {BASE "eval_datasets: a.txt\n", "x.yaml:4: eval_datasets: found a text, expected a list"},
    {BASE "eval_datasets: [[a]]\n",
     "x.yaml:4: eval_datasets.0: found a list, expected keys with values"},
    {BASE "extends: [a]\n", "x.yaml:4: extends: found a list, expected the path of one file"},
    {BASE "extends: /no/such.yaml\n", "x.yaml: extends: /no/such.yaml: cannot open"},
    /* what must fit */
    {"", "x.yaml: global_batch_size: is not set"},
    {"global_batch_size: 8\ndatasets: [a.txt]\n", "x.yaml: output_dir: is not set"},
    {"global_batch_size: 8\noutput_dir: o\n", "x.yaml: datasets: found none"},
    {"global_batch_size: 8\noutput_dir: o\ndatasets: []\n", "x.yaml:3: datasets: found none"},
    {BASE "gradient_accumulation_steps: 2\n",
     "x.yaml:2: global_batch_size: found beside x.yaml:4: gradient_accumulation_steps, expected "
     "one of the two"},
    {BASE "max_steps: 10\nmax_tokens: 10\n",
     "x.yaml:5: max_tokens: found beside x.yaml:4: max_steps"},
    {BASE "min_lr: 1e-6\nmin_lr_ratio: 0.1\n", "min_lr_ratio: found beside x.yaml:4: min_lr"},
    {BASE "micro_batch_size: 3\n",
     "x.yaml:2: global_batch_size: found 8, expected a multiple of micro_batch_size: 3 (like 9)"},
    {BASE "reduction_groups: 6\n", "x.yaml:4: reduction_groups: found 6, expected a power of two"},
    {BASE "reduction_groups: 16\n",
     "x.yaml:4: reduction_groups: found 16, expected at most the 8 micro-batches"},
    {BASE "max_seq_length: 4096\n",
     "x.yaml:4: max_seq_length: found 4096, expected at most model.max_position_embeddings: 2048"},
    {BASE "model: {hidden_size: 63}\n",
     "x.yaml:4: model: hidden_size 63 is no multiple of num_attention_heads 4"},
    {BASE "eval_datasets: [{weight: 2, path: b.txt}]\n",
     "eval_datasets.0.weight: is set but never read"},
    {"output_dir: o\nglobal_batch_size: 8\ndatasets: [{path: a.txt, weight: 2}]\n",
     "x.yaml:3: datasets.0.weight: is set but never read: shares need"},
    {BASE "eval_datasets: [b.parquet]\n", "x.yaml:4: eval_datasets.0: "},
    {BASE "train_on_inputs: true\n",
     "x.yaml:4: train_on_inputs: is set but never read: no dataset has type: completion|alpaca"},
    {BASE "eval_datasets: [{path: a.json, type: alpaca, prompt_field: q}]\n",
     "prompt_field: is set but never read: it needs type: completion, this run has alpaca"},
    {BASE "eval_datasets: [{path: a.json, type: alpaca, train_on_inputs: true}]\n",
     "eval_datasets.0.train_on_inputs: belongs to the top level"},
    {BASE "on_empty_sample: skip\n", "on_empty_sample: "},
    {BASE "chat_template: chatml\n",
     "x.yaml:4: chat_template: is set but never read: no dataset has type: messages"},
    {BASE "roles_to_train: [assistent]\n", "x.yaml:4: roles_to_train: found assistent, expected a "
                                           "list of system|developer|user|assistant|tool"},
    {BASE "chat_template_jinja: x\n", "put the template into a file"},
    {BASE "completion_only_loss: true\n", "x.yaml:4: completion_only_loss: prompts are masked"},
    {BASE "eval_datasets: [{type: text}]\n", "x.yaml:4: eval_datasets.0: found no path"},
    {BASE "eval_datasets: [{path: b.txt, text_field: t}]\n",
     "eval_datasets.0.text_field: is set but never read: it needs type: jsonl, this run has text"},
    {BASE "eval_datasets: [{type: world, path: w.txt}]\n",
     "eval_datasets.0.path: is set but never read"},
    {BASE "eval_datasets: [a/b.txt, c/b.txt]\n",
     "eval_datasets.1: found the name b a second time (eval_datasets.0 has it)"},
    /* never read */
    {BASE "max_nonfinite_skips: 3\n", "x.yaml:4: max_nonfinite_skips: is set but never read: it "
                                      "needs on_nonfinite: skip, this run has stop"},
    {BASE "version: v1\naverage_every: 3\n",
     "average_every: is set but never read: it needs average_main: true"},
    {BASE "packing: false\npacking_attention: full\n", "packing_attention: is set but never read"},
    {BASE "decay_fraction: 0.5\n", "decay_fraction: is set but never read: it needs "
                                   "lr_scheduler_type: path_switching, this run has cosine"},
    {BASE "lr_scheduler_type: constant\nmin_lr: 1e-6\n",
     "min_lr: is set but never read: it needs another choice than lr_scheduler_type: constant"},
    {BASE "model: {initializer_range: 0.02}\n",
     "model.initializer_range: is set but never read: this run has initializer: scaled"},
    {BASE "model: {sliding_window: 64}\n",
     "x.yaml:4: model.sliding_window: is set but never read: this run has model_type: llama"},
    {BASE "model: {rope_factor: 2}\n",
     "model.rope_factor: is set but never read: this run has rope_type: none"},
    {BASE "model: {model_type: qwen2, num_key_value_heads: 2, sliding_window: 64}\n",
     "model.sliding_window: is set but never read: this run has use_sliding_window: false"},
    {BASE "model: {rope_type: llama3, rope_factor: 2}\n", "rope_type llama3 needs low_freq_factor"},
    {BASE "version: v3\nbranch_from: /l@v1\ndecay_fraction: 0.3\n",
     "x.yaml:6: decay_fraction: is set but never read: this run has branch_from: /l@v1"},
    {BASE "version: v1\ncontinual_lr: min\n",
     "continual_lr: is set but never read: it needs paradigm: continual"},
    /* lines */
    {BASE "follows: v1\n", "x.yaml:4: follows: found v1 without version"},
    {BASE "version: v1\nfollows: v1\n", "follows: found v1, expected another version"},
    {BASE "version: ../v1\n", "x.yaml:4: version: found \"../v1\", expected letters, digits"},
    {BASE "version: v 1\n", "expected letters, digits"},
    {BASE "paradigm: continual\n", "x.yaml:4: paradigm: found continual without version"},
    {BASE "version: v1\nparadigm: plain\n", "paradigm: found plain beside version: v1"},
    {BASE "version: v1\nparadigm: foo\n",
     "paradigm: found \"foo\", expected one of plain|path_switching"},
    {BASE "version: v1\nlr_scheduler_type: cosine\n",
     "lr_scheduler_type: found cosine, expected path_switching"},
    {BASE "lr_scheduler_type: path_switching\n",
     "lr_scheduler_type: found path_switching without version"},
    {BASE "version: v1\nnum_train_epochs: 2\n",
     "num_train_epochs: found 2, expected 1: no sample repeats"},
    {BASE "version: v1\nbranch_from: /l@b\ninit_from: c\n",
     "x.yaml:6: init_from: is set but never read: this run has branch_from: /l@b"},
    {BASE "version: v2\nfollows: v1\nbranch_from: /l@b\n",
     "x.yaml:5: follows: is set but never read: this run has branch_from: /l@b"},
    {BASE "branch_from: /l@b\n",
     "x.yaml:4: branch_from: is set but never read: it needs paradigm: path_switching"},
    {BASE "version: v1\nbranch_from: /l\n", "x.yaml:5: branch_from: found /l, expected LINE@POINT"},
};

START_TEST(a_stored_model_has_to_be_there)
{
    RunConfig *cfg = NULL;
    T_FAILS(read_text(BASE "model_name_or_path: m\n", &cfg), DATA, "/m is no folder here");
    T_FAILS(read_text(BASE "base_model: m\n", &cfg), DATA, "/m is no folder here");
    T_OK(read_text(BASE "base_model: m\nmodel: {hidden_size: 64}\n", &cfg)); /* known without it */
    T_EQ_I64(cfg->model.hidden_size, 64);
    config_destroy(cfg);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(refuses_with_place_and_reason)
{
    for (int64_t i = 0; i < N_OF(REFUSED); i++) {
        RunConfig *cfg = NULL;
        T_FAILS(read_text(REFUSED[i].text, &cfg), CONFIG, REFUSED[i].part);
        T_TRUE(!cfg);
        T_EQ_I64(mem_live(), 0);
    }
}
END_TEST

START_TEST(refuses_bad_overrides)
{
    static const struct {
        const char *override, *part;
        Status code;
    } BAD[] = {
        {"max_steps", "command line: max_steps: expected key=value", ST_USAGE},
        {"=3", "expected key=value", ST_USAGE},
        {"model.=3", "expected key=value", ST_USAGE},
        {"extends=a.yaml", "stands in a file only", ST_USAGE},
        {"max_steps=", "command line: max_steps: found no value", ST_CONFIG},
        {"max_step=3", "command line: max_step: unknown key, did you mean max_steps?", ST_CONFIG},
        {"model.hidden_siz=3", "command line: model.hidden_siz: unknown key in model", ST_CONFIG},
        {"foo.bar=1", "command line: foo: unknown key", ST_CONFIG},
        {"seed.x=1", "command line: seed.x=1: found \"x\" below a text", ST_CONFIG},
        {"datasets.1.path=b", "expected a number below 1", ST_CONFIG},
        {"datasets.x.path=b", "found \"x\", expected a number", ST_CONFIG},
        {"datasets.0.pth=b", "command line: datasets.0.pth: unknown key in datasets", ST_CONFIG},
        {"seed=\"1\"", "command line: seed: quoted", ST_CONFIG},
        {"report_to=[jsonl", "command line: report_to=[jsonl:2: found no YAML", ST_CONFIG},
        {"run_name=\xff", "found bytes that are no UTF-8", ST_CONFIG},
        {"warmup_ratio=2", "expected a share below 1", ST_CONFIG},
        {"lora_r=8",
         "command line: lora_r: belongs to finetuning_type: lora, this run has "
         "finetuning_type: full",
         ST_CONFIG},
    };
    static const char TEXT[] = BASE "seed: 1\n";
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        RunConfig *cfg = NULL;
        const Status rc = config_parse("x.yaml", TEXT, strlen(TEXT), 1, &BAD[i].override, &cfg);
        ck_assert_msg(rc == BAD[i].code, "%s gave %s (%s)", BAD[i].override, status_name(rc),
                      status_message());
        T_HAS(status_message(), BAD[i].part);
        status_clear();
        T_EQ_I64(mem_live(), 0);
    }
    RunConfig *cfg = NULL;
    const char *const twice[] = {"lr=1e-3", "learning_rate=1e-4"};
    T_FAILS(config_parse("x.yaml", TEXT, strlen(TEXT), 2, twice, &cfg), CONFIG,
            "found a second time");
    const char *const rivals[] = {"max_steps=3", "max_tokens=4k"};
    T_FAILS(config_parse("x.yaml", TEXT, strlen(TEXT), 2, rivals, &cfg), CONFIG,
            "max_tokens: found beside command line: max_steps");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(refuses_bad_chains)
{
    RunConfig *cfg = NULL;
    T_FAILS(load_file("missing.yaml", &cfg), CONFIG, "missing.yaml: cannot open");
    T_FAILS(load_file(".", &cfg), CONFIG, "is not a regular file");
    put_file("c1.yaml", "extends: c2.yaml\n");
    put_file("c2.yaml", "extends: ./c1.yaml\n");
    T_FAILS(load_file("c1.yaml", &cfg), CONFIG, "c2.yaml: extends: ");
    T_FAILS(load_file("c1.yaml", &cfg), CONFIG, "found a circle");
    put_file("self.yaml", "extends: self.yaml\n");
    T_FAILS(load_file("self.yaml", &cfg), CONFIG, "found a circle");
    char name[16], text[32];
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "d%d.yaml", i);
        snprintf(text, sizeof text, i < 8 ? "extends: d%d.yaml\n" : "seed: %d\n", i + 1);
        put_file(name, text);
    }
    T_FAILS(load_file("d0.yaml", &cfg), CONFIG, "found a chain of more than 8 files");
    put_file("e.yaml", "extends: f.yaml\n");
    put_file("f.yaml", "seed: 1\n\nseeed: 2\n");
    T_FAILS(load_file("e.yaml", &cfg), CONFIG, "f.yaml:3: seeed: unknown key, did you mean seed?");
    put_file("f.yaml", "seed: [\n");
    T_FAILS(load_file("e.yaml", &cfg), CONFIG, "f.yaml:2: ");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(unread_names_the_place)
{
    RunConfig *cfg = parsed(BASE "version: v2\nfollows: v1\nreplay: 0.25\n");
    T_OK(config_unread(cfg, "decay_fraction", "not set, so no matter"));
    T_FAILS(config_unread(cfg, "replay", "v1 has no data"), CONFIG,
            "x.yaml:6: replay: is set but never read: v1 has no data");
    T_FAILS(config_unread(cfg, "datasets.0.path", "w"), CONFIG,
            "x.yaml:3: datasets.0.path: is set but never read");
    config_destroy(cfg);
}
END_TEST

/* ---- and back --------------------------------------------------------------------------------------------------- */

static const char *const ROUND_TRIPS[] = {
    BASE,
    BASE "max_tokens: 3M\nmin_lr: 1e-6\nlearning_rate: 0.1\noptim: sgd\nlr_scheduler_type: "
         "wsd\nreport_to: none\n"
         "eval_datasets: [{path: b.jsonl, text_field: body, name: \"new: #1\"}]\n",
    "output_dir: \"a b: #c\"\ngradient_accumulation_steps: 3\nmicro_batch_size: 2\nversion: "
    "\"2\"\nfollows: \"1\"\nreplay: 0.1\n"
    "run_name: \"1e5\"\ndatasets: [{type: world, world_version: 3}, {path: b.txt, document: line, "
    "name: \"no\"}]\n"
    "average_main: true\nbranch_beta2: 0.999\nmodel: {initializer: normal, initializer_range: "
    "0.03, head_dim: 16}\n",
    BASE "version: v1\nparadigm: continual\ncontinual_lr: min\nlr_scheduler_type: "
         "inverse_sqrt\non_nonfinite: skip\n"
         "run_name: \"tab\\there \\\"q\\\" \\\\ \xc3\xa9\"\nlearning_rate: "
         "0.30000000000000004\npacking: false\n",
};

START_TEST(resolved_file_reads_back)
{
    char *file = path_join(test_dir(), "resolved.yaml");
    for (int64_t i = 0; i < N_OF(ROUND_TRIPS); i++) {
        RunConfig *first = parsed(ROUND_TRIPS[i]), *second = NULL, *third = NULL;
        json_t *a = NULL, *b = NULL, *c = NULL;
        char *differ = NULL;
        T_OK(config_write(first, file));
        T_OK(config_load(file, 0, NULL, &second));
        T_OK(config_to_json(first, &a));
        T_OK(config_to_json(second, &b));
        T_OK(config_from_json(a, &third));
        T_OK(config_to_json(third, &c));
        char *text_a = json_dumps(a, 0), *text_b = json_dumps(b, 0), *text_c = json_dumps(c, 0);
        T_EQ_STR(text_a, text_b);
        T_EQ_STR(text_a, text_c);
        T_OK(config_diff(a, b, &differ));
        T_TRUE(!differ);
        T_EQ_STR(first->output_dir, second->output_dir);
        T_EQ_I64(memcmp(first->sched_opts, second->sched_opts, sizeof(SchedCommon)), 0);
        T_EQ_I64(first->global_batch_size, second->global_batch_size);
        T_TRUE(first->num_train_epochs == second->num_train_epochs &&
               first->max_tokens == second->max_tokens);
        if (first->run_name) T_EQ_STR(first->run_name, second->run_name);
        free(text_a);
        free(text_b);
        free(text_c);
        json_decref(a);
        json_decref(b);
        json_decref(c);
        config_destroy(first);
        config_destroy(second);
        config_destroy(third);
    }
    mem_free(file);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

static char *difference(const char *before, const char *now)
{
    RunConfig *x = parsed(before), *y = parsed(now);
    json_t *a = NULL, *b = NULL;
    char *text = NULL;
    T_OK(config_to_json(x, &a));
    T_OK(config_to_json(y, &b));
    T_OK(config_diff(a, b, &text));
    json_decref(a);
    json_decref(b);
    config_destroy(x);
    config_destroy(y);
    return text;
}

START_TEST(difference_lists_what_changes_the_trajectory)
{
    static const struct {
        const char *now, *line;
    } CHANGED[] = {
        {BASE "learning_rate: 1e-3\n", "learning_rate: 0.0003 before, 0.001 now"},
        {BASE "optim: sgd\n", "optim: adamw before, sgd now"},
        {BASE "seed: 1\nlearning_rate: 1e-3\n",
         "data_seed: 42 before, 1 now; learning_rate: 0.0003 before, 0.001 now"},
        {BASE "optim: sgd\n", "momentum: not set before, 0.9 now"},
        {BASE "optim: sgd\n", "adam_beta1: 0.9 before, not set now"},
        {BASE "max_steps: 10\n", "num_train_epochs: 1 before, not set now"},
        {BASE "model: {hidden_size: 64}\n", "model.hidden_size: 128 before, 64 now"},
        {BASE "model: {hidden_size: 64}\n", "model.head_dim: 32 before, 16 now"},
        {"output_dir: out\nglobal_batch_size: 8\ndatasets: [{path: a.jsonl, text_field: b}]\n",
         "datasets.0.text_field: not set before, b now"},
        {"output_dir: out\nglobal_batch_size: 8\ndatasets: [a.txt, b.txt]\n",
         "datasets: 1 entry before, 2 entries now"},
    };
    static const char *const SAME[] = {
        BASE,
        "output_dir: elsewhere\nglobal_batch_size: 8\ndatasets: [{path: /b/a2.txt, name: "
        "x}]\nsave_steps: 3\nsave_total_limit: 9\n"
        "eval_steps: 4\neval_max_tokens: 5\neval_datasets: [c.txt]\nlogging_steps: 7\nreport_to: "
        "none\nthreads: 2\nstrict: true\n"
        "watchdog_step_s: 3\nrun_name: r\ncache_dir: c\ngradient_checkpointing: "
        "true\non_nonfinite: skip\ncompute_dtype: fp32\n",
    };
    for (int64_t i = 0; i < N_OF(CHANGED); i++) {
        char *text = difference(BASE, CHANGED[i].now);
        ck_assert_msg(text, "no difference: %s", CHANGED[i].now);
        T_HAS(text, CHANGED[i].line);
        mem_free(text);
    }
    for (int64_t i = 0; i < N_OF(SAME); i++) {
        char *text = difference(BASE, SAME[i]);
        ck_assert_msg(!text, "%s", text);
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* ---- the tables --------------------------------------------------------------------------------------------------- */

START_TEST(no_key_has_two_meanings)
{
    int64_t n_sched, n_optim;
    const SchedDef *const *sched = sched_all(&n_sched);
    const OptimDef *const *optim = optim_all(&n_optim);
    for (int64_t i = 0; i < n_sched; i++)
        for (int64_t j = 0; j < n_optim; j++) {
            const OptSpec *const table[] = {RUN_OPTS,       PACK_OPTS,         SCHED_COMMON_OPTS,
                                            sched[i]->opts, OPTIM_COMMON_OPTS, optim[j]->opts};
            for (int64_t a = 0; a < N_OF(table); a++)
                for (const OptSpec *s = table[a]; s->type != OPT_END_T; s++)
                    for (int64_t b = a; b < N_OF(table); b++) {
                        const OptSpec *twin = opt_find(b == a ? s + 1 : table[b], s->name);
                        ck_assert_msg(!twin, "%s stands in two tables", s->name);
                    }
        }
}
END_TEST

START_TEST(schema_has_every_option_and_nothing_else)
{
    json_t *schema = NULL;
    T_OK(config_schema_json(&schema));
    json_t *properties = json_object_get(schema, "properties"),
           *model = json_object_get(properties, "model");
    T_TRUE(json_is_false(json_object_get(schema, "additionalProperties")));
    T_TRUE(json_is_false(json_object_get(model, "additionalProperties")));
    T_EQ_STR(json_string_value(json_object_get(schema, "$schema")),
             "https://json-schema.org/draft/2020-12/schema");
    for (const OptSpec *s = RUN_OPTS; s->type != OPT_END_T; s++) {
        const json_t *p = json_object_get(properties, s->name);
        ck_assert_msg(p && json_is_string(json_object_get(p, "description")), "%s is missing",
                      s->name);
    }
    const json_t *rate = json_object_get(properties, "learning_rate");
    T_EQ_STR(json_string_value(json_object_get(rate, "type")), "number");
    T_TRUE(json_number_value(json_object_get(rate, "maximum")) == 10);
    T_TRUE(json_number_value(json_object_get(rate, "default")) == 3e-4);
    T_TRUE(json_object_get(json_object_get(properties, "max_steps"), "default") == NULL);
    T_HAS(
        json_string_value(json_object_get(json_object_get(properties, "momentum"), "description")),
        "(with optim: sgd)");
    T_EQ_STR(json_string_value(json_object_get(json_object_get(properties, "lr"), "$ref")),
             "#/properties/learning_rate");
    T_TRUE(json_array_size(json_object_get(json_object_get(properties, "optim"), "enum")) >= 2);
    T_TRUE(json_object_get(json_object_get(model, "properties"), "hidden_size") != NULL);
    json_decref(schema);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* What the resolved file of a run uses must be known to the schema, block by block. */
START_TEST(schema_knows_every_resolved_key)
{
    json_t *schema = NULL, *resolved = NULL;
    const char *key;
    json_t *value;
    T_OK(config_schema_json(&schema));
    json_t *properties = json_object_get(schema, "properties");
    json_t *of_model = json_object_get(json_object_get(properties, "model"), "properties");
    json_t *of_set =
        json_object_get(json_object_get(json_object_get(schema, "$defs"), "dataset"), "properties");
    for (int64_t i = 0; i < N_OF(ROUND_TRIPS); i++) {
        RunConfig *cfg = parsed(ROUND_TRIPS[i]);
        T_OK(config_to_json(cfg, &resolved));
        json_object_foreach(resolved, key, value)
            ck_assert_msg(json_object_get(properties, key), "%s", key);
        json_object_foreach(json_object_get(resolved, "model"), key, value)
            ck_assert_msg(json_object_get(of_model, key), "%s", key);
        json_object_foreach(json_array_get(json_object_get(resolved, "datasets"), 0), key, value)
            ck_assert_msg(json_object_get(of_set, key), "%s", key);
        json_decref(resolved);
        config_destroy(cfg);
    }
    json_decref(schema);
}
END_TEST

START_TEST(markdown_has_every_option)
{
    char *text = NULL, row[128];
    T_OK(config_schema_markdown(&text));
    for (const OptSpec *s = RUN_OPTS; s->type != OPT_END_T; s++) {
        snprintf(row, sizeof row, "\n| `%s` | ", s->name);
        T_HAS(text, row);
    }
    T_HAS(text, "| `momentum` | `0.9` | 0 .. 0.999999 |");
    T_HAS(text, "(`optim: sgd`)");
    T_HAS(text, "stop\\|skip");
    T_HAS(text, "| `lr` | `learning_rate` |");
    mem_free(text);
}
END_TEST

START_TEST(missing_memory_and_bad_disks_are_reported)
{
    put_file("m0.yaml", "output_dir: o\nglobal_batch_size: 8\nlr: 1e-3\noptimizer: "
                        "adamw_torch\nversion: v1\naverage_every: 3\naverage_main: true\n");
    put_file("m1.yaml", "extends: m0.yaml\ndatasets: [a.txt, {path: b.jsonl}]\nreport_to: "
                        "[jsonl]\nmodel: {hidden_size: 64}\n");
    char *path = path_join(test_dir(), "m1.yaml"), *file = path_join(test_dir(), "m-out.yaml");
    const char *const override[] = {"model.rope_theta=5e4", "datasets.0=c.txt",
                                    "average_main=false", "bf16=auto"};
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        RunConfig *cfg = NULL;
        fault_arm(n, false);
        Status rc = config_load(path, (int)N_OF(override), override, &cfg);
        if (rc == ST_OK) rc = config_write(cfg, file);
        const bool hit = fault_disarm();
        ck_assert_msg(hit == (rc != ST_OK), "place %d: %s %s", n, status_name(rc),
                      status_message());
        status_clear();
        config_destroy(cfg);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
        T_TRUE(n < 2000);
    }
    mem_free(path);
    mem_free(file);
}
END_TEST

int main(void)
{
    const TTest *t[] = {reads_every_kind_of_value,
                        fills_in_what_follows,
                        understands_other_spellings,
                        paths_start_at_their_file,
                        later_layers_win,
                        another_choice_leaves_inherited_keys_behind,
                        a_stored_model_has_to_be_there,
                        refuses_with_place_and_reason,
                        refuses_bad_overrides,
                        refuses_bad_chains,
                        unread_names_the_place,
                        resolved_file_reads_back,
                        difference_lists_what_changes_the_trajectory,
                        no_key_has_two_meanings,
                        schema_has_every_option_and_nothing_else,
                        schema_knows_every_resolved_key,
                        markdown_has_every_option,
                        missing_memory_and_bad_disks_are_reported};
    return test_main("unit.config", t, N_OF(t));
}
