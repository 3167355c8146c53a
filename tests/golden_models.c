/* golden_models.c — logits, gradients and loss curves of every family against transformers (tests/golden/README.md).
 */
#include "tests/golden_fixture.h"
#include "trainer/models/model_json.h"
#include "trainer/models/weights.h"
#include <omp.h>

static const char *const MODELS[] = {
    "llama",
    "llama3",
    "mistral",
    "qwen2",
    "qwen3",
    "smollm",
    "gpt2",
    "gemma2",
    "llama-bf16",
    "llama-f16",
    "gpt2-hub",
    "llama-sharded",
    "qwen2-sliding",
    "llama-rope-linear",
    "llama-rope-dynamic",
    "llama-rope-yarn",
    "llama-v5-config",
};

typedef struct Golden {
    ModelConfig cfg;
    Model *model;
    SafeTensors *weights, *values;
    GoldenModel at;
} Golden;

/* frozen: every matrix and table stays as its file has it. */
static void golden_open(Golden *g, const char *name, bool frozen)
{
    const char *dir = golden_dir(name);
    *g = (Golden){.values = golden_values(name), .at = {.name = name}};
    T_OK(model_config_read(dir, &g->cfg));
    T_OK(params_create(&g->at.ps));
    T_OK(model_create(&g->cfg, g->at.ps, &g->model));
    for (int64_t i = 0; i < params_count(g->at.ps); i++) {
        Param *p = params_at(g->at.ps, i);
        p->frozen = frozen && (p->kind == PARAM_MATRIX || p->kind == PARAM_EMBEDDING);
    }
    T_OK(params_seal(g->at.ps));
    T_OK(safetensors_open_folder(dir, &g->weights));
    T_OK(model_read_weights(g->model, g->weights, dir, WEIGHTS_ALL));
    T_OK(tape_create(&g->at.tape));
    g->at.grad = mem_array(params_flat_n(g->at.ps), sizeof *g->at.grad);
    T_TRUE(g->at.grad);
    params_bind_grad(g->at.ps, g->at.grad);
    g->at.model = g->model;
    g->at.values = g->values;
}

static void golden_close(Golden *g)
{
    tape_destroy(g->at.tape);
    model_destroy(g->model);
    params_destroy(g->at.ps);
    safetensors_close(g->weights);
    safetensors_close(g->values);
    mem_free(g->at.grad);
}

START_TEST(logits_of_every_model)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Golden g;
        golden_open(&g, MODELS[i], false);
        golden_check_logits(&g.at, "input_ids", "logits");
        golden_check_logits(&g.at, "input_ids_short", "logits_short");
        golden_check_logits(&g.at, "input_ids", "logits");
        golden_close(&g);
    }
}
END_TEST

START_TEST(losses_and_gradients)
{
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Golden g;
        golden_open(&g, MODELS[i], false);
        golden_check_gradients(&g.at, "");
        golden_close(&g);
    }
}
END_TEST

START_TEST(loss_curves_of_training_with_adamw)
{
    int64_t n_curve = 0;
    for (int64_t i = 0; i < N_OF(MODELS); i++) {
        Golden g;
        golden_open(&g, MODELS[i], false);
        if (safetensors_find(g.values, "loss_curve")) {
            golden_check_curve(&g.at, "", 3e-3);
            n_curve++;
        }
        golden_close(&g);
    }
    T_EQ_I64(n_curve, 8);
}
END_TEST

/* A base that is read where it lies gives what its widened copy gives. */
START_TEST(a_frozen_base_gives_the_same_logits)
{
    static const char *const stored[] = {"llama-bf16", "llama-f16", "llama-sharded", "gpt2",
                                         "gemma2"};
    for (int64_t i = 0; i < N_OF(stored); i++) {
        Golden g[2];
        real logits[2][128 * 96];
        for (int frozen = 0; frozen < 2; frozen++) {
            golden_open(&g[frozen], stored[i], frozen);
            golden_logits(g[frozen].model, g[frozen].at.tape,
                          golden_value(g[frozen].values, "input_ids"), logits[frozen]);
            golden_check_logits(&g[frozen].at, "input_ids", "logits");
        }
        T_TRUE(params_n_frozen(g[1].at.ps) > 0);
        const int64_t n = golden_value(g[0].values, "logits")->n;
        T_TRUE(memcmp(logits[0], logits[1], (size_t)n * sizeof(real)) == 0);
        golden_close(&g[0]);
        golden_close(&g[1]);
    }
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {logits_of_every_model, losses_and_gradients,
                        loss_curves_of_training_with_adamw, a_frozen_base_gives_the_same_logits};
    return test_main("golden.models", t, N_OF(t));
}
