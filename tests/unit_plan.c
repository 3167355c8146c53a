/* unit_plan.c — what is said before a run is what the run then does: steps, rates, memory, disk. */
#include "tests/test_helper.h"
#include "trainer/base/tree_sum.h"
#include "trainer/run/plan.h"
#include "trainer/run/step.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 30 steps of 8 x 32 tokens; n_more options follow, "key=value". */
static void open_job_on(const char *model, int n_more, const char *const *more, RunConfig **cfg,
                        Job **job)
{
    char text[2048];
    const int n =
        snprintf(text, sizeof text,
                 "output_dir: %s/run\ncache_dir: %s/cache\n"
                 "datasets: [{type: world, name: world, world_version: 1, world_bytes: 7680}]\n"
                 "max_seq_length: 32\nglobal_batch_size: 8\nlearning_rate: 3e-3\nwarmup_steps: 5\n"
                 "save_steps: 4\n%s\n",
                 test_dir(), test_dir(), model);
    T_OK(config_parse("plan.yaml", text, (size_t)n, n_more, more, cfg));
    T_OK(job_open(comm_self(), *cfg, JOB_LOOK, job));
}

static void open_job(int n_more, const char *const *more, RunConfig **cfg, Job **job)
{
    open_job_on("model: {hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, "
                "num_attention_heads: 2}",
                n_more, more, cfg, job);
}

static void close_job(RunConfig *cfg, Job *job)
{
    job_close(job);
    config_destroy(cfg);
}

static const char *const LINE[] = {"version=v1"};

START_TEST(prices_four_versions_at_58_percent)
{
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    open_job(N_OF(LINE), LINE, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    T_EQ_I64(plan->n_cost, 4);
    T_EQ_I64(plan->cost[0].steps.from_scratch, 30);
    const PlanCost *four = &plan->cost[2];
    T_EQ_I64(four->n_version, 4);
    T_EQ_I64(four->path_switching, 174);
    T_EQ_I64(four->steps.from_scratch, 300);
    T_EQ_I64(four->steps.continual, 120);
    T_NEAR((double)four->path_switching / (double)four->steps.from_scratch, 0.58, 1e-12);
    T_EQ_I64(plan->steps_left, 30);
    T_TRUE(isnan(plan_core_hours(plan, 30)));
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

START_TEST(prices_the_tail_that_is_run_at_once)
{
    const char *const eager[] = {"version=v1", "average_main=true"};
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    open_job(N_OF(eager), eager, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    T_EQ_I64(plan->cost[2].path_switching, 192);
    T_EQ_I64(plan->steps_left, 48);
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

START_TEST(gives_a_plain_run_no_rivals)
{
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    Text text = {0};
    open_job(0, NULL, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    T_EQ_I64(plan->n_cost, 0);
    T_OK(plan_text(plan, &text));
    T_HAS(text.s, "train: steps 0 to 30 -> final");
    T_TRUE(!strstr(text.s, "from scratch"));
    text_fini(&text);
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

/* The live bytes after a real step, which has two passes or more, against what was foretold. */
static void check_memory(int n, const char *const *options)
{
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    TrainState *state;
    Stepper *stepper;
    StepResult result;
    open_job(n, options, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    const PlanMemory m = plan->memory;
    plan_destroy(plan);
    const int64_t before = mem_live_bytes();
    T_OK(state_create(comm_self(), cfg, &state));
    T_OK(state_start(state));
    T_OK(stepper_create(comm_self(), state, &stepper));
    T_OK(stepper_run(stepper, job_own(job), 0, leg_rate_at(job, &job->leg[0], 0), &result));
    const double held = (double)(mem_live_bytes() - before),
                 foretold = (double)(m.total - m.data - m.program - m.saving);
    ck_assert_msg(held < 1.1 * foretold && held > 0.9 * foretold,
                  "%s: %.0f bytes are held, not %.0f", n ? options[n - 1] : "", held, foretold);
    T_TRUE(m.program > 0);
    T_EQ_I64(m.node, m.total);
    stepper_destroy(stepper);
    state_destroy(state);
    close_job(cfg, job);
}

START_TEST(foretells_memory)
{
    const char *const wide[] = {"version=v1",           "micro_batch_size=2",
                                "model.hidden_size=64", "model.intermediate_size=176",
                                "finetuning_type=lora", "lora_target=[q_proj, v_proj]",
                                "lora_dropout=0.1"};
    check_memory(4, wide);
    check_memory(N_OF(wide), wide);
}
END_TEST

/* In each of them another part is what counts. */
START_TEST(foretells_memory_of_every_kind)
{
    const char *const again[] = {"model.hidden_size=256", "model.intermediate_size=704",
                                 "max_seq_length=512", "gradient_checkpointing=true",
                                 "global_batch_size=2"};
    const char *const logits[] = {"micro_batch_size=4", "model.vocab_size=20000",
                                  "model.tie_word_embeddings=true"};
    const char *const upper[] = {"max_seq_length=512", "model.num_hidden_layers=6",
                                 "finetuning_type=lora", "lora_layers=5"};
    const char *const grouped[] = {"max_seq_length=512", "model.num_attention_heads=4",
                                   "model.num_key_value_heads=1"};
    const char *const gpt2[] = {"max_seq_length=512", "model.model_type=gpt2"};
    check_memory(N_OF(again), again);
    check_memory(N_OF(logits), logits);
    check_memory(N_OF(upper), upper);
    check_memory(N_OF(grouped), grouped);
    check_memory(N_OF(gpt2), gpt2);
}
END_TEST

static PlanMemory memory_with(int n, const char *const *options)
{
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    open_job(n, options, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    const PlanMemory m = plan->memory;
    plan_destroy(plan);
    close_job(cfg, job);
    return m;
}

START_TEST(counts_a_copy_of_the_state_where_one_is_made)
{
    const char *const waits[] = {"save_in_background=false"}, *const last[] = {"save_steps=29"},
                      *const never[] = {"save_steps=30"}, *const none[] = {"save_steps=0"};
    const PlanMemory m = memory_with(0, NULL), alone = memory_with(1, waits);
    T_EQ_I64(m.saving - alone.saving, m.weights + m.optimizer);
    T_EQ_I64(m.total - m.program - m.saving, alone.total - alone.program - alone.saving);
    T_EQ_I64(memory_with(1, last).saving, m.saving);
    T_EQ_I64(memory_with(1, never).saving, alone.saving);
    T_EQ_I64(memory_with(1, none).saving, alone.saving);
}
END_TEST

START_TEST(foretells_the_memory_of_the_ordered_sum)
{
    const int64_t n = 5000;
    const int leaves[] = {1, 2, 8, 64};
    for (int64_t i = 0; i < N_OF(leaves); i++) {
        TreeSum *ts;
        T_OK(tree_sum_create(comm_self(), leaves[i], n, NULL, &ts));
        const int64_t before = mem_live_bytes();
        T_OK(tree_sum_begin(ts));
        for (int leaf = 0; leaf < leaves[i]; leaf++) {
            tree_sum_leaf(ts);
            tree_sum_leaf_done(ts);
        }
        tree_sum_finish(ts);
        const int64_t held = mem_live_bytes() - before;
        T_EQ_I64(tree_sum_bytes(comm_self(), leaves[i], n), held);
        tree_sum_destroy(ts);
    }
}
END_TEST

/* Main path 0..12 saves at 4 and 8; branch 12..30 at 16, 20, 24, 28, of which 2 are kept and a third
 * is there while it is written. */
START_TEST(counts_checkpoints_on_disk)
{
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    open_job(N_OF(LINE), LINE, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    const PlanDisk *d = &plan->disk;
    T_EQ_I64(d->periodic, (2 + 3) * d->full);
    T_EQ_I64(d->kept, d->full + d->weights);
    T_TRUE(d->weights > 4 * params_n_elem(plan->net.params));
    T_TRUE(d->full > 12 * params_n_elem(plan->net.params));
    T_OK(plan_check_disk(job));
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

START_TEST(refuses_a_run_that_no_disk_holds)
{
    const char *const huge[] = {"version=v1", "model.hidden_size=65536",
                                "model.num_attention_heads=64", "model.intermediate_size=1048576",
                                "model.num_hidden_layers=1024"};
    RunConfig *cfg;
    Job *job;
    open_job(N_OF(huge), huge, &cfg, &job);
    T_FAILS(plan_check_disk(job), IO, "of disk are free, this run writes");
    close_job(cfg, job);
}
END_TEST

START_TEST(lists_rates_that_read_back_exactly)
{
    RunConfig *cfg;
    Job *job;
    Text text = {0};
    int64_t n = 0;
    char *rest = NULL;
    open_job(N_OF(LINE), LINE, &cfg, &job);
    T_OK(plan_lr(job, &text));
    const char *line = strtok_r(text.s, "\n", &rest);
    T_EQ_STR(line, "version,path,step,lr");
    for (const Leg *leg = job->leg; leg < job->leg + job->n_leg; leg++)
        for (int64_t step = leg->from; step < leg->to; step++, n++) {
            char start[64];
            snprintf(start, sizeof start, "v1,%s,%lld,", leg->path, LL(step));
            line = strtok_r(NULL, "\n", &rest);
            T_TRUE(line && strncmp(line, start, strlen(start)) == 0);
            T_TRUE(strtod(line + strlen(start), NULL) == leg_rate_at(job, leg, step).lr);
        }
    T_EQ_I64(n, 30);
    T_TRUE(!strtok_r(NULL, "\n", &rest));
    text_fini(&text);
    close_job(cfg, job);
}
END_TEST

static int64_t integer(const json_t *root, const char *block, const char *key)
{
    const json_t *o = block ? json_object_get(root, block) : root, *x = json_object_get(o, key);
    T_TRUE(json_is_integer(x));
    return json_integer_value(x);
}

START_TEST(says_the_same_as_json)
{
    RunConfig *cfg;
    Job *job;
    Plan *plan;
    Text text = {0};
    open_job(N_OF(LINE), LINE, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    T_OK(plan_json(plan, &text));
    json_t *root = json_loads(text.s, JSON_REJECT_DUPLICATES, NULL);
    T_TRUE(root);
    T_EQ_I64(integer(root, NULL, "trainable_params"), params_n_elem(plan->net.params));
    T_EQ_I64(integer(root, NULL, "frozen_params"), 0);
    T_EQ_I64(integer(root, "steps", "branch"), 12);
    T_EQ_I64(integer(root, "job", "tokens"), 30 * 8 * 32);
    T_EQ_I64(integer(root, "memory", "total"), plan->memory.total);
    T_EQ_I64((int64_t)json_array_size(json_object_get(root, "legs")), 2);
    T_EQ_I64((int64_t)json_array_size(json_object_get(root, "trained")),
             params_count(plan->net.params));
    T_TRUE(json_is_null(json_object_get(root, "time")));
    json_decref(root);
    text_fini(&text);
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

START_TEST(tells_what_is_trained_from_what_is_frozen)
{
    static const char *const LORA[] = {"finetuning_type=lora", "lora_r=4", "lora_alpha=2",
                                       "lora_target=[q_proj, up_proj]",
                                       "modules_to_save=[lm_head]"};
    enum { H = 32, I = 48, V = 256, PAIRS = 2 * (4 * (H + H) + 4 * (H + I)), HEAD = V * H };
    RunConfig *cfg;
    Job *job;
    Plan *all, *plan;
    Text text = {0}, json = {0};
    open_job(0, NULL, &cfg, &job);
    T_OK(plan_create(job, false, &all));
    const int64_t n_all = params_n_elem(all->net.params);
    const double flops_all = all->flops_per_step;
    plan_destroy(all);
    close_job(cfg, job);
    open_job(N_OF(LORA), LORA, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    T_OK(plan_text(plan, &text));
    T_HAS(text.s, "lora: 4 of 14 linear layers, rank 4, update x 0.5; with modules_to_save");
    T_HAS(text.s, "model.layers.*.mlp.up_proj.lora_B.weight           (48,4) x 2");
    T_HAS(text.s, "  frozen       ");
    T_HAS(text.s, "model.layers.*.mlp.up_proj.weight                  (48,32) x 2");
    T_OK(plan_json(plan, &json));
    json_t *root = json_loads(json.s, JSON_REJECT_DUPLICATES, NULL);
    T_EQ_I64(integer(root, NULL, "trainable_params"), PAIRS + HEAD);
    T_EQ_I64(integer(root, NULL, "frozen_params"), n_all - HEAD);
    T_EQ_I64(json_array_size(json_object_get(root, "trained")), 2 * 4 + 1);
    T_EQ_I64(json_array_size(json_object_get(root, "frozen")), params_n_frozen(plan->net.params));
    const json_t *method = json_array_get(json_object_get(root, "methods"), 0);
    T_EQ_STR(json_string_value(json_object_get(method, "kind")), "lora");
    T_EQ_I64(integer(root, "memory", "weights"), 4 * (PAIRS + HEAD));
    T_EQ_I64(integer(root, "memory", "optimizer"), 8 * (PAIRS + HEAD));
    T_EQ_I64(integer(root, "memory", "frozen"), 4 * (n_all - HEAD));
    T_EQ_I64(integer(root, "memory", "mapped"), 0);
    const double saved =
        2 * (double)(n_all - HEAD - V * H) - 6 * PAIRS; /* the embedding is looked up */
    T_NEAR(flops_all - plan->flops_per_step, 8 * 32 * saved, 1);
    json_decref(root);
    text_fini(&text);
    text_fini(&json);
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

/* Frozen matrices are counted as they are stored, in files; vectors are copies. */
/* A tokenizer of no more ids than the stored models have. */
static const char *write_tokenizer(void)
{
    static const char JSON[] =
        "{\"model\": {\"vocab\": {\"a\": 0, \"e\": 1, \"o\": 2}, \"merges\": []}, "
        "\"added_tokens\": [{\"id\": 3, \"content\": \"</s>\", \"special\": true}]}";
    char path[512];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_dir());
    FILE *f = fopen(path, "w");
    T_TRUE(f && fputs(JSON, f) >= 0 && fclose(f) == 0);
    return test_dir();
}

START_TEST(looks_at_the_files_of_the_base)
{
    char base[1024];
    static const char *const LORA[] = {"finetuning_type=lora"};
    RunConfig *cfg;
    Job *job;
    Plan *plan = NULL;
    Text text = {0};
    snprintf(base, sizeof base, "model_name_or_path: %s/tests/golden/hf/llama-bf16\ntokenizer: %s",
             SWITCHYARD_SOURCE_DIR, write_tokenizer());
    open_job_on(base, N_OF(LORA), LORA, &cfg, &job);
    T_OK(plan_create(job, false, &plan));
    int64_t n_matrix = 0, n_vector = 0;
    for (int64_t i = 0; i < params_n_frozen(plan->net.params); i++) {
        const Param *p = params_frozen_at(plan->net.params, i);
        *(p->n_dim == 2 ? &n_matrix : &n_vector) += p->n;
        T_TRUE(p->dtype == (p->n_dim == 2 ? DT_BF16 : DT_F32));
    }
    T_EQ_I64(plan->memory.mapped, 2 * n_matrix); /* as it is stored */
    T_EQ_I64(plan->memory.frozen, 4 * n_vector);
    T_OK(plan_text(plan, &text));
    T_HAS(text.s, "self_attn.q_proj.weight             (32,16) BF16");
    text_fini(&text);
    plan_destroy(plan);
    close_job(cfg, job);
}
END_TEST

START_TEST(fails_cleanly_without_memory_or_disk)
{
    RunConfig *cfg;
    Job *job;
    open_job(N_OF(LINE), LINE, &cfg, &job);
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        Plan *plan = NULL;
        Text text = {0};
        fault_arm(n, false);
        Status rc = plan_create(job, false, &plan);
        if (rc == ST_OK) rc = plan_text(plan, &text);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        text_fini(&text);
        plan_destroy(plan);
        status_clear();
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    close_job(cfg, job);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

int main(void)
{
    const TTest *t[] = {prices_four_versions_at_58_percent,
                        prices_the_tail_that_is_run_at_once,
                        gives_a_plain_run_no_rivals,
                        foretells_memory,
                        foretells_memory_of_every_kind,
                        counts_a_copy_of_the_state_where_one_is_made,
                        foretells_the_memory_of_the_ordered_sum,
                        counts_checkpoints_on_disk,
                        refuses_a_run_that_no_disk_holds,
                        lists_rates_that_read_back_exactly,
                        says_the_same_as_json,
                        tells_what_is_trained_from_what_is_frozen,
                        looks_at_the_files_of_the_base,
                        fails_cleanly_without_memory_or_disk};
    return test_main("unit.plan", t, N_OF(t));
}
