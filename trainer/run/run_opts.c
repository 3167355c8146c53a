/* run_opts.c — the options of a run that belong to no room of their own. */
#include "trainer/run/config.h"

// clang-format off
const OptSpec RUN_OPTS[] = {
    OPT_STR(RunConfig,   output_dir, NULL, "where the run or the line is written"),
    OPT_STR(RunConfig,   run_name, NULL, "a name for reports"),
    OPT_STR(RunConfig,   version, NULL, "name of the version this run makes; without it the run is no line"),
    OPT_STR(RunConfig,   follows, NULL, "the version before it in the same line; absent: the first one"),
    OPT_ENUM(RunConfig,  paradigm, NULL, "plain|path_switching|from_scratch|continual", "how versions are made; default: path_switching with version, plain without"),
    OPT_F64(RunConfig,   decay_fraction, 0.6, 0, 1, "alpha: the share of a version's steps, its last ones, that the branch repeats with a decaying rate"),
    OPT_F64(RunConfig,   replay, 0, 0, 0.95, "share of the samples replaced by samples of older versions"),
    OPT_BOOL(RunConfig,  average_main, 0, "also release the mean of the main path's weights"),
    OPT_F64(RunConfig,   average_fraction, 0.5, 0.001, 1, "share of a version's steps, its last ones, that the mean covers"),
    OPT_I64(RunConfig,   average_every, 20, 1, 1e9, "steps between two weights in the mean"),
    OPT_ENUM(RunConfig,  continual_lr, "reset", "reset|min", "rate of a later version: the whole schedule again, or the minimal rate"),
    OPT_BOOL(RunConfig,  concurrent_branches, 0, "run branch and main tail side by side on halves of the ranks"),
    OPT_STR(RunConfig,   branch_from, NULL, "LINE@POINT: start another branch from a saved point of a main path"),
    OPT_STR(RunConfig,   init_from, NULL, "a checkpoint whose weights, and nothing else, the run starts from"),
    OPT_STR(RunConfig,   model_name_or_path, NULL, "the folder of a stored model to start from (config.json, *.safetensors)"),
    OPT_STR(RunConfig,   adapter_name_or_path, NULL, "the folder of an adapter (PEFT, mlx-lm) to start from; without trainable: its ranks and layers are what is trained"),
    OPT_STR(RunConfig,   tokenizer, NULL, "bytes, or the folder of a tokenizer; default: model_name_or_path, without it bytes"),
    OPT_STR(RunConfig,   finetuning_type, NULL, "what is trained: short for one entry of trainable:, whose options then stand at the top; default: full"),

    OPT_COUNT(RunConfig, max_steps, 0, 1, 1e12, "optimizer steps; rivals: max_tokens, num_train_epochs"),
    OPT_COUNT(RunConfig, max_tokens, 0, 1, 1e15, "input tokens; rivals: max_steps, num_train_epochs"),
    OPT_F64(RunConfig,   num_train_epochs, 0, 1e-6, 1e6, "passes over the data; rivals: max_steps, max_tokens; default: 1"),
    OPT_I64(RunConfig,   micro_batch_size, 1, 1, 1e6, "sequences per forward and backward pass"),
    OPT_I64(RunConfig,   gradient_accumulation_steps, 0, 1, 1e6, "micro-batches per optimizer step over all ranks together; rival: global_batch_size"),
    OPT_I64(RunConfig,   global_batch_size, 0, 1, 1e9, "sequences per optimizer step over all ranks; rival: gradient_accumulation_steps"),
    OPT_I64(RunConfig,   reduction_groups, 8, 1, 1024, "fixed groups of the ordered gradient sum, a power of two; also the most ranks a run can use"),
    OPT_BOOL(RunConfig,  overlap_comm, 1, "ranks begin to sum gradients, a million numbers at a time, while the last backward pass of a step still runs; the bits are the same"),
    OPT_BOOL(RunConfig,  gradient_checkpointing, 0, "recompute each block in the backward pass to save memory"),

    OPT_ENUM(RunConfig,  prefix_cache, "auto", "auto|on|off", "what the frozen blocks below everything trained make of a row is kept on disk for later epochs; auto: with num_train_epochs above 1"),
    OPT_COUNT(RunConfig, prefix_cache_limit_bytes, 50e9, 0, 1e15, "bytes that may be kept, of all runs together; many ranks go a little beyond"),

    OPT_STR(RunConfig,   optim, "adamw", "optimizer"),
    OPT_STR(RunConfig,   lr_scheduler_type, NULL, "schedule of the learning rate; default: path_switching in a line of that paradigm, else cosine"),
    OPT_I64(RunConfig,   seed, 42, 0, 9e15, "of initial weights and, without data_seed, of the order of the data"),
    OPT_I64(RunConfig,   data_seed, -1, 0, 9e15, "of the order of the data; default: seed"),
    OPT_ENUM(RunConfig,  on_nonfinite, "stop", "stop|skip", "what a loss or gradient that is not finite does"),
    OPT_I64(RunConfig,   max_nonfinite_skips, 10, 1, 1e9, "steps that may be skipped before the run stops after all"),

    OPT_I64(RunConfig,   save_steps, 500, 0, 1e12, "steps between checkpoints; 0: only where a path ends"),
    OPT_I64(RunConfig,   save_total_limit, 2, 1, 1e6, "periodic checkpoints kept; branch points and releases are never removed"),
    OPT_BOOL(RunConfig,  save_in_background, 1, "write periodic checkpoints from a copy of the state while the run goes on; takes the memory of one more state"),
    OPT_I64(RunConfig,   eval_steps, 0, 0, 1e12, "steps between held-out evaluations; 0: only where a path ends"),
    OPT_COUNT(RunConfig, eval_max_tokens, 100000, 0, 1e15, "tokens scored per dataset and evaluation during training; 0: all"),
    OPT_BOOL(RunConfig,  load_best_model_at_end, 0, "end with the weights of the evaluation with the lowest loss"),
    OPT_STR(RunConfig,   metric_for_best_model, NULL, "name of the held-out set whose loss decides; default: the mean over all"),
    OPT_I64(RunConfig,   early_stopping_patience, 0, 0, 1e9, "stop after so many evaluations without a better loss; 0: never"),
    OPT_F64(RunConfig,   early_stopping_threshold, 0, 0, 1e3, "nats by which a loss has to be lower to count as better for that"),
    OPT_I64(RunConfig,   logging_steps, 10, 1, 1e9, "steps between lines on the console"),
    OPT_WORDS(RunConfig, report_to, "jsonl\ntensorboard", "jsonl|tensorboard|none", "what each step is reported to"),
    OPT_WORDS(RunConfig, export_to, NULL, "hf|peft", "forms for other programs that the end of the run is also written in, to output_dir/exports"),

    OPT_ENUM(RunConfig,  compute_dtype, "auto", "auto|fp32|bf16", "of matrix products; auto: bf16 where the CPU has it"),
    OPT_ENUM(RunConfig,  gemm_backend, "auto", "auto|reference|openblas|onednn", "of matrix products; auto: by CPU"),
    OPT_I64(RunConfig,   threads, 0, 0, 4096, "threads of each rank; 0: its share of the node"),
    OPT_BOOL(RunConfig,  strict, 0, "refuse to go on with other numerics than a run was started with"),
    OPT_F64(RunConfig,   watchdog_setup_s, 3600, 0, 1e9, "seconds the set-up may take; 0: no limit"),
    OPT_F64(RunConfig,   watchdog_step_s, 1800, 0, 1e9, "seconds one step may take; 0: no limit"),
    OPT_F64(RunConfig,   watchdog_save_s, 3600, 0, 1e9, "seconds one checkpoint may take; 0: no limit"),
    OPT_END
};
// clang-format on
