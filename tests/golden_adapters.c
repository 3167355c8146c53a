/* golden_adapters.c — adapters of every family: read from PEFT and mlx-lm, trained along PEFT's curves, written and read
 * again, merged. */
#include "tests/golden_fixture.h"
#include "trainer/io/files.h"
#include "trainer/run/export.h"
#include <omp.h>
#include <unistd.h>

static const char *const MODELS[] = {"llama", "llama3", "mistral", "qwen2",
                                     "qwen3", "smollm", "gpt2",    "gemma2"};

/* An adapter on its base, being trained. */
typedef struct Tuned {
    LoadedModel *m;
    SafeTensors *values;
    GoldenModel at;
} Tuned;

static void tuned_open(Tuned *t, const char *name, const char *dir, const char *base)
{
    *t = (Tuned){.values = golden_values(name), .at = {.name = name}};
    T_OK(loaded_model_open(&(ModelChoice){.dir = dir, .base = base, .without_tokenizer = true},
                           &t->m));
    t->at.model = t->m->net.model;
    t->at.ps = t->m->net.params;
    t->at.values = t->values;
    T_OK(tape_create(&t->at.tape));
    t->at.grad = mem_array(params_flat_n(t->at.ps), sizeof *t->at.grad);
    T_TRUE(t->at.grad);
    params_bind_grad(t->at.ps, t->at.grad);
}

static void tuned_close(Tuned *t)
{
    tape_destroy(t->at.tape);
    loaded_model_close(t->m);
    safetensors_close(t->values);
    mem_free(t->at.grad);
}

static const char *adapter_dir(const char *name, const char *adapter)
{
    static char dir[2][600];
    static int next;
    next = (next + 1) % 2;
    snprintf(dir[next], sizeof dir[next], "%s/%s", golden_dir(name), adapter);
    return dir[next];
}

START_TEST(logits_and_gradients_of_a_trained_adapter)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Tuned t;
        tuned_open(&t, MODELS[i], adapter_dir(MODELS[i], "lora-final"), golden_dir(MODELS[i]));
        golden_check_logits(&t.at, "input_ids", "lora.logits");
        golden_check_gradients(&t.at, "lora.");
        tuned_close(&t);
    }
}
END_TEST

START_TEST(loss_curves_of_training_an_adapter)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Tuned t;
        tuned_open(&t, MODELS[i], adapter_dir(MODELS[i], "lora-init"), golden_dir(MODELS[i]));
        golden_check_logits(&t.at, "input_ids", "logits"); /* B is zero */
        golden_check_curve(&t.at, "lora.", 1e-2);
        tuned_close(&t);
    }
}
END_TEST

START_TEST(other_kinds_of_adapters)
{
    static const struct {
        const char *model, *adapter, *logits;
    } ROWS[] = {{"llama3", "lora-variant", "lora_variant.logits"},
                {"qwen2", "lora-mlx", "lora_mlx.logits"}};
    for (int64_t i = 0; i < N_OF(ROWS); i++) {
        Tuned t;
        tuned_open(&t, ROWS[i].model, adapter_dir(ROWS[i].model, ROWS[i].adapter),
                   golden_dir(ROWS[i].model));
        golden_check_logits(&t.at, "input_ids", ROWS[i].logits);
        tuned_close(&t);
    }
}
END_TEST

/* ---- out again ---- */

static void export_and_check(const Tuned *t, const char *to, const char *logits)
{
    char dir[600];
    ExportOpts o;
    ExportFacts facts;
    Tuned again;
    snprintf(dir, sizeof dir, "%s/%s-%s", test_dir(), t->at.name, to);
    opt_set_defaults(EXPORT_OPTS, &o);
    o.to = to;
    T_OK(export_model(t->m, &o, true, dir, &facts));
    T_TRUE(facts.verified && facts.logits_off < 1e-5);
    tuned_open(&again, t->at.name, dir, strcmp(to, "peft") == 0 ? golden_dir(t->at.name) : NULL);
    golden_check_logits(&again.at, "input_ids", logits);
    tuned_close(&again);
    T_FAILS(export_model(t->m, &o, true, dir, &facts), DATA, "is there already");
    T_OK(dir_remove(dir));
}

START_TEST(every_form_gives_the_same_logits)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Tuned t;
        tuned_open(&t, MODELS[i], adapter_dir(MODELS[i], "lora-final"), golden_dir(MODELS[i]));
        export_and_check(&t, "peft", "lora.logits");
        export_and_check(&t, "hf", "lora.logits");
        tuned_close(&t);
    }
}
END_TEST

START_TEST(other_kinds_become_plain_ones)
{
    Tuned t;
    tuned_open(&t, "llama3", adapter_dir("llama3", "lora-variant"), golden_dir("llama3"));
    export_and_check(&t, "peft", "lora_variant.logits");
    export_and_check(&t, "hf", "lora_variant.logits");
    tuned_close(&t);
    tuned_open(&t, "qwen2", adapter_dir("qwen2", "lora-mlx"), golden_dir("qwen2"));
    export_and_check(&t, "peft", "lora_mlx.logits");
    export_and_check(&t, "hf", "lora_mlx.logits");
    tuned_close(&t);
}
END_TEST

/* Frozen weights leave as they came, and 16 bits where that is asked for. */
START_TEST(a_stored_model_leaves_as_it_came)
{
    char dir[600];
    ExportOpts o;
    ExportFacts facts;
    LoadedModel *m;
    SafeTensors *before, *after;
    opt_set_defaults(EXPORT_OPTS, &o);
    o.to = "hf";
    o.max_shard_bytes = 4000;
    snprintf(dir, sizeof dir, "%s/bf16", test_dir());
    T_OK(loaded_model_open(
        &(ModelChoice){.dir = golden_dir("llama-sharded"), .without_tokenizer = true}, &m));
    T_OK(export_model(m, &o, true, dir, &facts));
    T_TRUE(facts.logits_off == 0);
    T_OK(safetensors_open_folder(golden_dir("llama-sharded"), &before));
    T_OK(safetensors_open_folder(dir, &after));
    T_EQ_I64(safetensors_count(after), safetensors_count(before));
    for (int64_t i = 0; i < safetensors_count(before); i++) {
        const SafeTensor *x = safetensors_at(before, i), *y = safetensors_at(after, i);
        T_EQ_STR(x->name, y->name);
        T_TRUE(x->dtype == y->dtype && x->n_bytes == y->n_bytes);
        T_TRUE(memcmp(x->data, y->data, x->n_bytes) == 0);
    }
    safetensors_close(after);
    T_OK(dir_remove(dir));
    loaded_model_close(m);
    safetensors_close(before);
    T_OK(loaded_model_open(&(ModelChoice){.dir = golden_dir("gemma2"), .without_tokenizer = true},
                           &m));
    o.dtype = "bfloat16";
    T_OK(export_model(m, &o, true, dir, &facts));
    T_TRUE(facts.logits_off > 0 && facts.logits_off < 5e-2);
    loaded_model_close(m);
}
END_TEST

/* One failing allocation, read or write at every place in turn: no export, and nothing left of it. */
START_TEST(a_failure_leaves_nothing)
{
    static const char *const FORMS[] = {"hf", "peft"};
    char dir[600], tmp[640];
    Tuned t;
    tuned_open(&t, "smollm", adapter_dir("smollm", "lora-final"), golden_dir("smollm"));
    for (int64_t i = 0; i < N_OF(FORMS); i++) {
        ExportOpts o;
        ExportFacts facts;
        opt_set_defaults(EXPORT_OPTS, &o);
        o.to = FORMS[i];
        snprintf(dir, sizeof dir, "%s/broken-%s", test_dir(), FORMS[i]);
        snprintf(tmp, sizeof tmp, "%s.tmp-%d", dir, (int)getpid());
        int64_t n = 1;
        for (bool hit = true; hit; n++) {
            const int64_t live = mem_live();
            fault_arm(n, false);
            const Status rc = export_model(t.m, &o, true, dir, &facts);
            hit = fault_disarm();
            ck_assert_msg(hit == (rc != ST_OK), "%s, place %lld: %s", FORMS[i], LL(n),
                          status_message());
            T_TRUE(path_exists(dir) || rc != ST_OK);
            T_TRUE(!path_exists(tmp));
            T_EQ_I64(mem_live(), live);
            status_clear();
            if (!path_exists(dir)) continue;
            T_TRUE(path_has(dir, "switchyard.json")); /* whole, its name perhaps not yet synced */
            T_OK(dir_remove(dir));
        }
        T_TRUE(n > 50);
    }
    tuned_close(&t);
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {logits_and_gradients_of_a_trained_adapter,
                        loss_curves_of_training_an_adapter,
                        other_kinds_of_adapters,
                        every_form_gives_the_same_logits,
                        other_kinds_become_plain_ones,
                        a_stored_model_leaves_as_it_came,
                        a_failure_leaves_nothing};
    return test_main("golden.adapters", t, N_OF(t));
}
