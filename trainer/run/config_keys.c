/* config_keys.c — tables of names. What the users of other tools have in their fingers is either understood or answered. */
#include "trainer/run/config_keys.h"
#include <string.h>

// clang-format off
const KeyAlias KEY_ALIASES[] = {
    {"", "per_device_train_batch_size", "micro_batch_size"},
    {"", "cutoff_len",                  "max_seq_length"},
    {"", "sequence_len",                "max_seq_length"},
    {"", "sequence_length",             "max_seq_length"},
    {"", "max_length",                  "max_seq_length"},
    {"", "num_epochs",                  "num_train_epochs"},
    {"", "epochs",                      "num_train_epochs"},
    {"", "train_steps",                 "max_steps"},
    {"", "base_model",                  "model_name_or_path"},
    {"", "sample_packing",              "packing"},
    {"", "optimizer",                   "optim"},
    {"", "lr",                          "learning_rate"},
    {"", "lr_scheduler",                "lr_scheduler_type"},
    {"", "warmup_ratio",                "warmup_steps"},
    {"", "cosine_min_lr_ratio",         "min_lr_ratio"},
    {"", "clip_grad_norm",              "max_grad_norm"},
    {"", "val_set_size",                "val_size"},
    {"", "test_datasets",               "eval_datasets"},
    {"", "early_stopping_steps",        "early_stopping_patience"},
    {"", "out_dir",                     "output_dir"},
    {"", "activation_checkpointing",    "gradient_checkpointing"},
    {"", "bf16",                        "compute_dtype"},
    {"", "template",                    "chat_template"},
    {"", "chat_template_path",          "chat_template"},
    {"", "train_on_prompt",             "train_on_inputs"},
    {"", "train_on_input",              "train_on_inputs"},
    {"datasets", "text_column",         "text_field"},
    {"datasets", "field",               "text_field"},
    {"", "adapter",                     "finetuning_type"},
    {"", "lora_model_dir",              "adapter_name_or_path"},
    {"trainable", "r",                  "lora_r"},
    {"trainable", "lora_rank",          "lora_r"},
    {"trainable", "target_modules",     "lora_target_modules"},
    {"trainable", "lora_target",        "lora_target_modules"},
    {"trainable", "lora_target_linear", "lora_target_modules"},
    {"trainable", "layers_to_transform", "lora_layers"},
    {"trainable", "peft_layers_to_transform", "lora_layers"},
    {"trainable", "additional_target",  "modules_to_save"},
    {"trainable", "lora_modules_to_save", "modules_to_save"},
    {"trainable", "peft_use_rslora",    "use_rslora"},
    {NULL, NULL, NULL},
};

static const struct {
    const char *spelling, *value, *word; /* spelling: as the user wrote the key */
} VALUES[] = {
    {"optim",             "adamw_torch",              "adamw"},
    {"optim",             "adamw_torch_fused",        "adamw"},
    {"optim",             "adamw_hf",                 "adamw"},
    {"lr_scheduler_type", "constant_with_warmup",     "constant"},
    {"lr_scheduler_type", "cosine_with_min_lr",       "cosine"},
    {"lr_scheduler_type", "warmup_stable_decay",      "wsd"},
    {"bf16",              "true",                     "bf16"},
    {"bf16",              "false",                    "fp32"},
    {"lora_target",       "all",                      "all-linear"},
    {"lora_target_linear", "true",                    "all-linear"},
};

static const struct {
    const char *key, *why;
} FOREIGN[] = {
    {"flash_attention",     "attention never forms the T x T matrix here, and packed documents never see each other: leave it out"},
    {"flash_attn*",         "attention never forms the T x T matrix here, and packed documents never see each other: leave it out"},
    {"attn_implementation", "there is one attention, tiled and exact: leave it out"},
    {"sdp_attention",       "there is one attention, tiled and exact: leave it out"},
    {"xformers_attention",  "there is one attention, tiled and exact: leave it out"},
    {"deepspeed*",          "runs are data-parallel under mpirun, without DeepSpeed: leave it out"},
    {"fsdp*",               "runs are data-parallel under mpirun, without FSDP: leave it out"},
    {"ddp_*",               "runs are data-parallel under mpirun: leave it out"},
    {"parallelism",         "runs are data-parallel over the ranks of mpirun: leave it out"},
    {"tensor_parallel_size", "runs are data-parallel over the ranks of mpirun: leave it out"},
    {"load_in_4bit",        "quantized weights are not supported"},
    {"load_in_8bit",        "quantized weights are not supported"},
    {"quantization_*",      "quantized weights are not supported"},
    {"fp16",                "sums are float32; compute_dtype: auto | fp32 | bf16 chooses the products"},
    {"tf32",                "a format of GPUs; compute_dtype: auto | fp32 | bf16 chooses the products"},
    {"hub_*",               "nothing is sent to a model hub"},
    {"push_to_hub*",        "nothing is sent to a model hub"},
    {"wandb_*",             "nothing is sent over the network; report_to: [jsonl, tensorboard] writes files"},
    {"mlflow_*",            "nothing is sent over the network; report_to: [jsonl, tensorboard] writes files"},
    {"device_map",          "there are only CPUs here; threads: says how many threads a rank uses"},
    {"use_cpu",             "there are only CPUs here: leave it out"},
    {"no_cuda",             "there are only CPUs here: leave it out"},
    {"torch_compile*",      "there is no PyTorch in here: leave it out"},
    {"liger_*",             "there are no GPU kernels here: leave it out"},
    {"use_unsloth*",        "there are no GPU kernels here: leave it out"},
    {"dataloader_*",        "data are tokenized once into a cache and mapped; there are no loader processes"},
    {"group_by_length",     "rows are packed to max_seq_length: leave it out"},
    {"ignore_data_skip",    "a run always goes on at the very next sample: leave it out"},
    {"resume_from_checkpoint", "the same command goes on by itself; branch_from starts another branch, init_from takes weights only"},
    {"auto_resume_from_checkpoints", "the same command goes on by itself: leave it out"},
    {"overwrite_output_dir", "a run is never overwritten; remove the directory or choose another output_dir"},
    {"do_train",            "the verb of the command line says what is done"},
    {"do_eval",             "eval_steps and eval_datasets say what is evaluated"},
    {"do_predict",          "the verb of the command line says what is done"},
    {"stage",               "a run here is pre-training: leave it out"},
    {"save_strategy",       "save_steps says when; 0: only where a path ends"},
    {"eval_strategy",       "eval_steps says when; 0: only where a path ends"},
    {"evaluation_strategy", "eval_steps says when; 0: only where a path ends"},
    {"logging_strategy",    "logging_steps says when"},
    {"logging_dir",         "event files lie in the directory of the version, below output_dir"},
    {"per_device_eval_batch_size", "evaluation uses micro_batch_size: leave it out"},
    {"per_gpu_train_batch_size", "use micro_batch_size (sequences per pass) and global_batch_size"},
    {"auto_find_batch_size", "micro_batch_size is part of the result and is never guessed; `trainer plan` prints the memory it takes"},
    {"batch_size",          "ambiguous: use micro_batch_size (sequences per pass) or global_batch_size (sequences per step)"},
    {"resume_adapter_file", "adapter_name_or_path: DIR starts from an adapter's folder"},
    {"use_dora",            "directions and sizes are not trained apart; use_rslora or a larger lora_r go further at no cost: leave it out"},
    {"peft_use_dora",       "directions and sizes are not trained apart; use_rslora or a larger lora_r go further at no cost: leave it out"},
    {"init_lora_weights",   "an update starts at zero, A as PEFT starts it: leave it out"},
    {"peft_init_lora_weights", "an update starts at zero, A as PEFT starts it: leave it out"},
    {"pissa_*",             "an update starts at zero, A as PEFT starts it: leave it out"},
    {"loftq_*",             "quantized weights are not supported"},
    {"rank_pattern",        "give layers of another lora_r an entry of trainable: of their own"},
    {"alpha_pattern",       "give layers of another lora_alpha an entry of trainable: of their own"},
    {"fan_in_fan_out",      "the model says how its weights lie: leave it out"},
    {"lora_fan_in_fan_out", "the model says how its weights lie: leave it out"},
    {"loraplus_lr_embedding", "loraplus_lr_ratio is all there is of LoRA+: leave it out"},
    {"bias",                "biases are frozen; an entry {kind: freeze, unfrozen_parameters: [\".*bias\"]} trains them"},
    {"task_type",           "language models alone are trained: leave it out"},
    {"peft_type",           "kind: lora in an entry of trainable:, or finetuning_type: lora"},
    {"freeze_trainable_*",  "finetuning_type: freeze takes unfrozen_parameters, patterns of what is trained"},
    {"freeze_extra_modules", "finetuning_type: freeze takes unfrozen_parameters, patterns of what is trained"},
    {"lora_mlp_kernel",     "there are no GPU kernels here: leave it out"},
    {"lora_qkv_kernel",     "there are no GPU kernels here: leave it out"},
    {"lora_o_kernel",       "there are no GPU kernels here: leave it out"},
    {"chat_template_*",     "put the template into a file, and name it by chat_template: FILE.jinja"},
    {"train_on_eos",        "the end of what is learned is learned, too: leave it out"},
    {"mask_prompt",         "prompts are masked unless train_on_inputs: true: leave it out"},
    {"mask_history",        "each completion and each message of roles_to_train is learned: leave it out"},
    {"completion_only_loss", "prompts are masked unless train_on_inputs: true: leave it out"},
    {"assistant_only_loss", "messages are masked unless roles_to_train has their role: leave it out"},
    {"drop_system_message", "messages are taken as they are"},
    {"dataset",             "use the list datasets: [{path: ...}]"},
    {"dataset_*",           "use the list datasets: [{path: ...}]"},
    {"trust_remote_code",   "no code is ever loaded: leave it out"},
};

static const struct {
    const char *block, *key;
} PATHS[] = {
    {"", "output_dir"}, {"", "branch_from"}, {"", "init_from"}, {"", "model_name_or_path"}, {"", "adapter_name_or_path"},
    {"", "cache_dir"},
    {"datasets", "path"},
};

static const struct {
    const char *block, *key;
} FREE[] = {
    {"", "output_dir"}, {"", "run_name"}, {"", "concurrent_branches"}, {"", "gradient_checkpointing"},
    {"", "overlap_comm"}, {"", "shard_optimizer"}, {"", "on_nonfinite"}, {"", "max_nonfinite_skips"},
    {"", "save_steps"}, {"", "save_total_limit"}, {"", "save_in_background"}, {"", "eval_steps"}, {"", "eval_max_tokens"}, {"", "eval_datasets"},
    {"", "logging_steps"}, {"", "report_to"}, {"", "export_to"}, {"", "prefix_cache"}, {"", "prefix_cache_limit_bytes"}, {"", "threads"}, {"", "strict"},
    {"", "watchdog_setup_s"}, {"", "watchdog_step_s"}, {"", "watchdog_save_s"}, {"", "cache_dir"}, {"", "cache_limit_bytes"},
    {"", "compute_dtype"}, {"", "gemm_backend"}, {"", "reduction_groups"}, /* the numerics fingerprint has them */
    {"datasets", "path"}, {"datasets", "name"},                            /* the data's fingerprint decides */
};

const char *const KEY_RIVALS[][KEY_MAX_RIVALS + 1] = {
    {"max_steps", "max_tokens", "num_train_epochs", NULL},
    {"gradient_accumulation_steps", "global_batch_size", NULL},
    {"min_lr", "min_lr_ratio", NULL},
    {"trainable", "finetuning_type", NULL},
    {NULL},
};

const KeyNeed KEY_NEEDS[] = {
    {"", "follows",             "paradigm", "!plain"},
    {"", "branch_from",         "paradigm", "path_switching"},
    {"", "follows",             "branch_from", ""},
    {"", "init_from",           "branch_from", ""},
    {"", "decay_fraction",      "branch_from", ""},
    {"", "average_main",        "branch_from", ""},
    {"", "concurrent_branches", "branch_from", ""},
    {"", "replay",              "paradigm", "path_switching|continual"},
    {"", "decay_fraction",      "lr_scheduler_type", "path_switching"},
    {"", "concurrent_branches", "paradigm", "path_switching"},
    {"", "average_main",        "paradigm", "path_switching"},
    {"", "average_fraction",    "average_main", "true"},
    {"", "average_every",       "average_main", "true"},
    {"", "continual_lr",        "paradigm", "continual"},
    {"", "max_nonfinite_skips", "on_nonfinite", "skip"},
    {"", "packing_attention",   "packing", "true"},
    {"", "prefix_sharing",      "packing", "true"},
    {"", "load_best_model_at_end",  "paradigm", "plain"},
    {"", "early_stopping_patience", "paradigm", "plain"},
    {"", "early_stopping_threshold", "early_stopping_patience", "!0"},
    {"", "min_lr",              "lr_scheduler_type", "!constant"},
    {"", "min_lr_ratio",        "lr_scheduler_type", "!constant"},
    {"", "chat_template",       "datasets", "messages"},
    {"", "roles_to_train",      "datasets", "messages"},
    {"", "train_on_inputs",     "datasets", "completion|alpaca|messages"},
    {"", "on_empty_sample",     "datasets", "completion|alpaca|messages"},
    {"datasets", "path",          "type", "text|jsonl|completion|alpaca|messages"},
    {"datasets", "text_field",    "type", "jsonl"},
    {"datasets", "prompt_field",  "type", "completion"},
    {"datasets", "completion_field", "type", "completion"},
    {"datasets", "document",      "type", "text"},
    {"datasets", "world_*",       "type", "world"},
    {NULL, NULL, NULL, NULL},
};
// clang-format on

bool key_alias_holds(const KeyAlias *a, const char *block)
{
    return strcmp(a->block, block) == 0 || (!*block && strcmp(a->block, "trainable") == 0);
}

const char *key_canonical(const char *block, const char *spelling)
{
    for (const KeyAlias *a = KEY_ALIASES; a->spelling; a++)
        if (key_alias_holds(a, block) && strcmp(a->spelling, spelling) == 0) return a->key;
    return spelling;
}

const char *key_value(const char *spelling, const char *value)
{
    const char *key = key_canonical("", spelling);
    for (int64_t i = 0; i < N_OF(VALUES); i++) {
        const bool same =
            strcmp(VALUES[i].spelling, spelling) == 0 || strcmp(VALUES[i].spelling, key) == 0;
        if (same && strcmp(VALUES[i].value, value) == 0) return VALUES[i].word;
    }
    return value;
}

bool key_matches(const char *pattern, const char *key)
{
    const char *star = strchr(pattern, '*');
    return star ? strncmp(pattern, key, (size_t)(star - pattern)) == 0 : strcmp(pattern, key) == 0;
}

const char *key_foreign(const char *key)
{
    for (int64_t i = 0; i < N_OF(FOREIGN); i++)
        if (key_matches(FOREIGN[i].key, key)) return FOREIGN[i].why;
    return NULL;
}

bool key_is_path(const char *block, const char *key)
{
    for (int64_t i = 0; i < N_OF(PATHS); i++)
        if (strcmp(PATHS[i].block, block) == 0 && strcmp(PATHS[i].key, key) == 0) return true;
    return false;
}

bool key_is_free(const char *block, const char *key)
{
    for (int64_t i = 0; i < N_OF(FREE); i++)
        if (strcmp(FREE[i].block, block) == 0 && strcmp(FREE[i].key, key) == 0) return true;
    return false;
}

const char *const *key_rivals(const char *key)
{
    for (int64_t g = 0; KEY_RIVALS[g][0]; g++)
        for (int64_t i = 0; KEY_RIVALS[g][i]; i++)
            if (strcmp(KEY_RIVALS[g][i], key) == 0) return KEY_RIVALS[g];
    return NULL;
}

bool key_need_met(const KeyNeed *need, const char *value)
{
    if (!need->words[0]) return !value[0];
    return need->words[0] == '!' ? !word_in(need->words + 1, value) : word_in(need->words, value);
}
