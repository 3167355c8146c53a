/* unit_methods.c — what holds for every method of the list, and each one's own promises. */
#include "optim/optim.h"
#include "tests/toy_methods.h"
#include "trainer/models/segments.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>

/* ---- every method ---- */

START_TEST(every_method_has_an_example)
{
    int64_t n;
    const MethodDef *const *all = method_all(&n);
    T_TRUE(n >= 3);
    for (int64_t i = 0; i < n; i++) {
        int64_t found = 0;
        for (int64_t k = 0; k < N_OF(TOY_EXAMPLES); k++)
            found += strcmp(TOY_EXAMPLES[k].kind, all[i]->name) == 0;
        ck_assert_msg(found > 0, "%s has no example", all[i]->name);
        T_TRUE(method_find(all[i]->name) == all[i]);
    }
    T_TRUE(!method_find("lor"));
}
END_TEST

/* Bit for bit, with and without the noise of training. */
START_TEST(starts_as_the_base)
{
    const ModelConfig c = toy_config();
    ToyModel base;
    toy_model_init(&base, &c);
    const Batch whole = base.batch;
    const double loss = toy_loss(&base);
    for (int64_t i = 0; i < N_OF(TOY_EXAMPLES); i++) {
        ToyMethods m;
        toy_methods_init(&m, &c, &TOY_EXAMPLES[i]);
        if (m.hooks->at[0].def->segments) { /* as long as there is nothing to remember */
            const int64_t T = m.hooks->at[0].def->segments(m.hooks->at[0].self)->len;
            base.batch.B = m.toy.batch.B = 1;
            base.batch.T = m.toy.batch.T = T;
            T_TRUE(toy_loss(&m.toy) == toy_loss(&base));
            base.batch = whole;
            toy_methods_fini(&m);
            continue;
        }
        T_TRUE(toy_loss(&m.toy) == loss);
        m.toy.batch.noise = 3;
        T_TRUE(toy_backward(&m.toy) == loss);
        toy_methods_fini(&m);
    }
    toy_model_fini(&base);
}
END_TEST

static void train(ToyModel *toy, int n_step)
{
    const OptimDef *def = optim_find("sgd");
    const OptimCommon common = {.weight_decay = 0.1};
    Optim *o = NULL;
    char opts[256];
    T_TRUE(def->opts_size <= sizeof opts);
    opt_set_defaults(def->opts, opts);
    T_OK(optim_create(def, opts, &common, toy->ps, NULL, &o));
    for (int i = 0; i < n_step; i++) {
        toy->batch.noise = (uint64_t)i + 1;
        toy_backward(toy);
        optim_step(o, toy->ps, toy->grad, 1.0 / (double)toy->batch.n_label, 1.0, 0.02, -1);
    }
    optim_destroy(o);
}

START_TEST(trains_what_it_says_and_nothing_else)
{
    const ModelConfig c = toy_config();
    for (int64_t i = 0; i < N_OF(TOY_EXAMPLES); i++) {
        ToyMethods m;
        ToyModel base;
        toy_model_init(&base, &c);
        toy_methods_init(&m, &c, &TOY_EXAMPLES[i]);
        const double before = toy_loss(&m.toy);
        train(&m.toy, 10);
        m.toy.batch.noise = 0;
        T_TRUE(toy_loss(&m.toy) < before);
        for (int64_t k = 0; k < params_count(base.ps); k++) {
            const Param *was = params_at(base.ps, k), *is = params_find(m.toy.ps, was->name);
            const bool same = memcmp(was->val, is->val, (size_t)was->n * sizeof *was->val) == 0;
            ck_assert_msg(same == is->frozen, "%s: %s is %s", TOY_EXAMPLES[i].kind, was->name,
                          same ? "as it was" : "changed");
        }
        toy_methods_fini(&m);
        toy_model_fini(&base);
    }
}
END_TEST

/* Dropout draws the same numbers again when a block is recomputed. */
START_TEST(recomputation_changes_no_bit)
{
    const ModelConfig c = toy_config();
    for (int64_t i = 0; i < N_OF(TOY_EXAMPLES); i++) {
        ToyMethods m;
        Rng r;
        toy_methods_init(&m, &c, &TOY_EXAMPLES[i]);
        rng_init(&r, 9, 0);
        for (int64_t k = 0; k < params_count(m.toy.ps); k++) toy_shake(&r, params_at(m.toy.ps, k));
        m.toy.batch.noise = 5;
        toy_backward(&m.toy);
        real *kept = mem_array(m.toy.n, sizeof *kept);
        T_TRUE(kept);
        memcpy(kept, m.toy.grad, (size_t)m.toy.n * sizeof *kept);
        tape_checkpointing(m.toy.tape, true);
        toy_backward(&m.toy);
        T_TRUE(memcmp(kept, m.toy.grad, (size_t)m.toy.n * sizeof *kept) == 0);
        mem_free(kept);
        toy_methods_fini(&m);
    }
}
END_TEST

START_TEST(gradients_are_complete_when_it_is_said)
{
    const ModelConfig c = toy_config();
    for (int64_t i = 0; i < N_OF(TOY_EXAMPLES); i++)
        for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
            ToyMethods m;
            Rng r;
            toy_methods_init(&m, &c, &TOY_EXAMPLES[i]);
            rng_init(&r, 9, 0);
            for (int64_t k = 0; k < params_count(m.toy.ps); k++)
                toy_shake(&r, params_at(m.toy.ps, k));
            tape_checkpointing(m.toy.tape, checkpointing);
            toy_expect_complete(&m.toy);
            toy_methods_fini(&m);
        }
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    const ModelConfig c = toy_config();
    for (int64_t i = 0; i < N_OF(TOY_EXAMPLES); i++)
        for (int n = 1;; n++) {
            ToyModel toy;
            MethodSpec spec;
            Hooks *hooks = NULL;
            toy_model_declare(&toy, &c);
            toy_spec(&TOY_EXAMPLES[i], &spec);
            const ModelView view = model_view(toy.model);
            fault_arm(n, false);
            const Status rc = methods_create(&spec, 1, &view, toy.ps, &hooks);
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc == ST_NOMEM) && hit == !hooks);
            status_clear();
            methods_destroy(hooks);
            mem_free(spec.opts);
            toy_model_fini(&toy);
            T_EQ_I64(mem_live(), 0);
            if (!hit) break;
        }
}
END_TEST

START_TEST(refuses_what_fits_no_model)
{
    static const struct {
        ToyEntry entry[TOY_MAX_METHOD];
        bool tied;
        const char *part;
    } BAD[] = {
        {{{"freeze", {NULL}}}, false, "unfrozen_parameters: is not set"},
        {{{"freeze", {"unfrozen_parameters", "lm_head\nlayers"}}},
         false,
         "no parameter's name starts with \"layers\"; there are model.embed_tokens.weight ... "},
        {{{"freeze", {"unfrozen_parameters", "model.(norm"}}},
         false,
         "\"model.(norm\" is no regular expression: missing closing parenthesis"},
        {{{"freeze", {"unfrozen_parameters", "lm_head"}}},
         true,
         "; the output head of this model is its embedding, model.embed_tokens.weight"},
        {{{"lora", {"lora_target_modules", "q_proj\nquery"}}},
         false,
         "no linear layer is called \"query\"; there are q_proj, k_proj, v_proj, o_proj, "
         "gate_proj, "
         "up_proj, down_proj (like model.layers.0.self_attn.q_proj)"},
        {{{"lora", {"lora_target_modules", "proj"}}}, false, "called \"proj\""},
        {{{"lora", {"lora_target_modules", "all"}}}, false, "called \"all\""},
        {{{"lora", {"lora_target_modules", "layers\\.0\\..*"}}},
         false,
         "no linear layer has a name that is wholly \"layers\\.0\\..*\""},
        {{{"lora", {"lora_target_modules", "q_proj\n.*up_proj"}}}, false, "called \".*up_proj\""},
        {{{"lora", {"lora_target_modules", "(q_proj"}}}, false, "is no regular expression"},
        {{{"lora", {"lora_layers", "2"}}}, false, "found 2, expected blocks of 0 .. 1"},
        {{{"lora", {"lora_layers", "1-0"}}}, false, "found 1-0, expected blocks"},
        {{{"lora", {"lora_layers", "0,,1"}}}, false, "found \"\", expected numbers of blocks"},
        {{{"lora", {"lora_layers", "0-"}}}, false, "found \"0-\", expected numbers of blocks"},
        {{{"lora", {"lora_layers", "99999999999999999999"}}}, false, "expected blocks of 0 .. 1"},
        {{{"lora", {"lora_layers", "1", "lora_target_modules", "model.layers.0.mlp.up_proj"}}},
         false,
         "none of the target modules is in these blocks"},
        {{{"lora", {"modules_to_save", "lm_heat"}}},
         false,
         "modules_to_save: no module is called \"lm_heat\"; there are embed_tokens, "},
        {{{"lora", {"modules_to_save", "lm_head"}}},
         true,
         "the output head of this model is its embedding, model.embed_tokens.weight"},
        {{{"lora", {"modules_to_save", "mlp"}}}, false, "is trained whole"},
        {{{"lora", {NULL}}, {"lora", {"lora_target_modules", "q_proj"}}},
         false,
         "two entries of kind: lora adapt model.layers.0.self_attn.q_proj"},
        {{{"full", {NULL}}, {"lora", {NULL}}}, false, "is trained whole"},
        {{{"memory_gate", {NULL}}},
         false,
         "segment_len: found 2048, expected at most max_position_embeddings: 16"},
        {{{"memory_gate", {"segment_len", "4", "n_window", "5"}}},
         false,
         "n_window: found 5, expected at most segment_len: 4"},
        {{{"memory_gate", {"segment_len", "8", "n_window", "8", "n_sink", "1"}}},
         false,
         "n_sink + n_window + segment_len: found 17, expected at most"},
        {{{"memory_gate", {"segment_len", "8", "route_threshold", "17"}}},
         false,
         "route_threshold: found 17, expected at most"},
        {{{"memory_gate", {"segment_len", "8"}}, {"memory_gate", {"segment_len", "8"}}},
         false,
         "two entries of kind: memory_gate"},
    };
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        ModelConfig c = toy_config();
        ToyMethods m;
        c.tie_word_embeddings = BAD[i].tied;
        const int64_t n = BAD[i].entry[1].kind ? 2 : 1;
        T_FAILS(toy_methods_declare(&m, &c, n, BAD[i].entry), CONFIG, BAD[i].part);
        toy_methods_fini(&m);
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* ---- what it takes ---- */

static double flops_of(const ToyEntry *e)
{
    const ModelConfig c = toy_config();
    ToyMethods m;
    toy_methods_init(&m, &c, e);
    const double flops = model_flops_per_token(m.toy.model, TOY_T);
    toy_methods_fini(&m);
    return flops;
}

/* C = 12, I = 20, 16 wide queries, 8 wide keys, V = 11, two blocks; attention over 7 keys. */
START_TEST(work_ends_at_the_lowest_that_is_trained)
{
    static const ToyEntry FULL = {"full", {NULL}},
                          HEAD = {"freeze", {"unfrozen_parameters", "lm_head"}},
                          UPPER = {"freeze", {"unfrozen_parameters", "model.layers.1.mlp.up"}},
                          INPUT = {"freeze", {"unfrozen_parameters", "model.embed"}},
                          PAIR = {
                              "lora",
                              {"lora_r", "2", "lora_target_modules", "q_proj", "lora_layers", "1"}};
    const double block = 2 * 12 + 2 * 16 * 12 + 2 * 8 * 12 + 3 * 12 * 20, head = 11 * 12, norm = 12,
                 attention = 7 * 16;
    T_NEAR(flops_of(&FULL), 6 * (2 * block + norm + head) + 2 * 12 * attention, 1e-9);
    T_NEAR(flops_of(&HEAD), 2 * 2 * block + 4 * norm + 6 * head + 2 * 4 * attention, 1e-9);
    T_NEAR(flops_of(&UPPER),
           (2 + 4) * block + 2 * 12 * 20 + 4 * (norm + head) + (4 + 12) * attention, 1e-9);
    T_NEAR(flops_of(&INPUT), 4 * (2 * block + norm + head) + 2 * 12 * attention, 1e-9);
    T_NEAR(flops_of(&PAIR),
           (2 + 4) * block + 6 * 2 * (12 + 16) + 4 * (norm + head) + (4 + 12) * attention, 1e-9);
}
END_TEST

START_TEST(memory_is_foreseen)
{
    enum { T = 128 };
    static int32_t tokens[T], doc_start[T];
    static const ToyEntry MORE[] = {
        {"lora", {"lora_r", "8"}},
        {"lora", {"lora_r", "64", "lora_dropout", "0.1"}},
        {"lora", {"lora_target_modules", "q_proj\nv_proj", "lora_layers", "4,5"}},
        {"freeze", {"unfrozen_parameters", "lm_head"}},
        {"freeze", {"unfrozen_parameters", "model.layers.3"}},
        {"memory_gate", {"segment_len", "32"}},
        {"memory_gate",
         {"segment_len", "48", "n_sink", "4", "n_window", "40", "gate_heads", "own"}},
        {"memory_gate", {"segment_len", "64", "gate", "scalar"}},
    };
    const Batch batch = {.B = 1,
                         .T = T,
                         .tokens = tokens,
                         .labels = tokens,
                         .doc_start = doc_start,
                         .n_label = T,
                         .noise = 1};
    ModelConfig c;
    opt_set_defaults(MODEL_OPTS, &c);
    c.num_hidden_layers = 6;
    c.hidden_size = 64;
    c.intermediate_size = 176;
    T_OK(model_check_config(&c));
    for (int64_t i = 0; i < 2 * N_OF(MORE); i++) {
        ToyMethods m;
        double loss;
        toy_methods_init(&m, &c, &MORE[i / 2]);
        tape_checkpointing(m.toy.tape, i % 2);
        for (int k = 0; k < 2; k++)
            T_OK(model_loss(m.toy.model, m.toy.tape, &batch, true, &loss, NULL));
        const Segments *s = model_segments(m.toy.model);
        const double held = (double)tape_bytes(m.toy.tape) +
                            (s ? (double)segments_bytes(m.toy.model, 1, T) : 0),
                     foreseen = (double)model_activation_bytes(m.toy.model, 1, T, i % 2);
        ck_assert_msg(fabs(held / foreseen - 1) < 0.25, "example %lld: held %.0f, foreseen %.0f",
                      LL(i), held, foreseen);
        toy_methods_fini(&m);
    }
}
END_TEST

/* ---- lora ---- */

/* Which linear layers get an update. */
START_TEST(lora_matches_modules_as_peft_does)
{
    static const struct {
        const char *targets, *layers;
        int64_t n; /* of the 14 linear layers in two blocks */
    } CASE[] = {
        {"all-linear", NULL, 14},
        {"q_proj\nv_proj", NULL, 4},
        {"self_attn.q_proj", NULL, 2},
        {"model.layers.1.mlp.up_proj", NULL, 1},
        {".*\\.(q|v)_proj", NULL, 4},
        {"model\\.layers\\.0\\..*", NULL, 7},
        {"q_proj", "1", 1},
        {"all-linear", "0-1", 14},
        {"all-linear", "0, 1", 14},
        {"all-linear", "0\n1", 14},
        {"all-linear", "1,1", 7},
    };
    const ModelConfig c = toy_config();
    for (int64_t i = 0; i < N_OF(CASE); i++) {
        const ToyEntry e = {"lora",
                            {"lora_target_modules", CASE[i].targets,
                             CASE[i].layers ? "lora_layers" : NULL, CASE[i].layers}};
        ToyMethods m;
        toy_methods_init(&m, &c, &e);
        T_EQ_I64(params_count(m.toy.ps), 2 * CASE[i].n);
        toy_methods_fini(&m);
    }
}
END_TEST

START_TEST(lora_declares_what_peft_stores)
{
    const ModelConfig c = toy_config();
    const ToyEntry e = {"lora",
                        {"lora_r", "3", "lora_target_modules", "down_proj", "loraplus_lr_ratio",
                         "16", "modules_to_save", "embed_tokens"}};
    ToyMethods m;
    toy_methods_init(&m, &c, &e);
    T_EQ_I64(params_count(m.toy.ps), 5);
    const Param *a = params_find(m.toy.ps, "model.layers.1.mlp.down_proj.lora_A.weight"),
                *b = params_find(m.toy.ps, "model.layers.1.mlp.down_proj.lora_B.weight"),
                *table = params_find(m.toy.ps, "model.embed_tokens.weight");
    T_TRUE(a && b && !a->frozen && !b->frozen && !table->frozen);
    T_TRUE(a->dim[0] == 3 && a->dim[1] == 20 && b->dim[0] == 12 && b->dim[1] == 3);
    T_TRUE(a->lr_scale == 1 && b->lr_scale == 16 && table->lr_scale == 1);
    const double bound = 1 / sqrt(20);
    double sum = 0, square = 0;
    for (int64_t i = 0; i < a->n; i++) {
        T_TRUE(fabs(a->val[i]) <= bound);
        sum += a->val[i];
        square += a->val[i] * a->val[i];
    }
    T_NEAR(sum / (double)a->n, 0, 3 * bound / sqrt(3.0 * (double)a->n)); /* three deviations */
    T_NEAR(square / (double)a->n, bound * bound / 3, 0.35 * bound * bound / 3);
    for (int64_t i = 0; i < b->n; i++) T_TRUE(b->val[i] == 0);
    real *first = mem_array(a->n, sizeof *first);
    memcpy(first, a->val, (size_t)a->n * sizeof *first);
    methods_init_weights(m.hooks, 8);
    T_TRUE(memcmp(first, a->val, (size_t)a->n * sizeof *first) != 0);
    methods_init_weights(m.hooks, 7);
    T_TRUE(memcmp(first, a->val, (size_t)a->n * sizeof *first) == 0);
    mem_free(first);
    toy_methods_fini(&m);
}
END_TEST

enum { ROWS = 6, IN = 12, OUT = 16 };

/* One site of the toy, q_proj (16,12), with a pair that has left its start. */
typedef struct SiteRun {
    ToyMethods m;
    const Site *site;
    Param *a, *b;
    real x[ROWS * IN], y0[ROWS * OUT];
} SiteRun;

static void site_init(SiteRun *s, const ToyEntry *e)
{
    const ModelConfig c = toy_config();
    Rng r;
    toy_methods_init(&s->m, &c, e);
    s->site = model_view(s->m.toy.model).site[0];
    s->a = params_find(s->m.toy.ps, "model.layers.0.self_attn.q_proj.lora_A.weight");
    s->b = params_find(s->m.toy.ps, "model.layers.0.self_attn.q_proj.lora_B.weight");
    T_TRUE(s->site->n_in == IN && s->site->n_out == OUT);
    rng_init(&r, 3, 0);
    toy_shake(&r, s->a);
    toy_shake(&r, s->b);
    for (int i = 0; i < ROWS * IN; i++) s->x[i] = (real)rng_normal(&r);
    for (int i = 0; i < ROWS * OUT; i++) s->y0[i] = (real)rng_normal(&r);
}

static void site_run(SiteRun *s, uint64_t noise, real *y)
{
    Tensor *x, *y0, *out;
    const Hook *h = &s->m.hooks->at[0];
    tape_reset(s->m.toy.tape);
    T_OK(tape_const(s->m.toy.tape, DT_REAL, s->x, 2, (int64_t[]){ROWS, IN}, &x));
    T_OK(tape_const(s->m.toy.tape, DT_REAL, s->y0, 2, (int64_t[]){ROWS, OUT}, &y0));
    T_OK(h->def->linear(h->self, s->m.toy.tape, s->site, noise, x, y0, &out));
    memcpy(y, out->val, sizeof(real) * ROWS * OUT);
}

/* Plain loops in double. */
static void reference(const SiteRun *s, double scale, double *y)
{
    const int64_t r = s->a->dim[0];
    for (int64_t n = 0; n < ROWS; n++)
        for (int64_t o = 0; o < OUT; o++) {
            double update = 0;
            for (int64_t k = 0; k < r; k++) {
                double h = 0;
                for (int64_t i = 0; i < IN; i++)
                    h += (double)s->x[n * IN + i] * s->a->val[k * IN + i];
                update += h * s->b->val[o * r + k];
            }
            y[n * OUT + o] = s->y0[n * OUT + o] + scale * update;
        }
}

START_TEST(lora_is_its_formula)
{
    static const struct {
        const char *rank, *alpha, *root;
        double scale;
    } CASE[] = {{"4", "8", "false", 2}, {"4", "8", "true", 4}, {"1", "0.5", "false", 0.5}};
    for (int64_t i = 0; i < N_OF(CASE); i++) {
        const ToyEntry e = {
            "lora",
            {"lora_r", CASE[i].rank, "lora_alpha", CASE[i].alpha, "use_rslora", CASE[i].root}};
        SiteRun s;
        real y[ROWS * OUT];
        double expected[ROWS * OUT];
        char text[256];
        site_init(&s, &e);
        site_run(&s, 1, y); /* without dropout noise means nothing */
        reference(&s, CASE[i].scale, expected);
        for (int k = 0; k < ROWS * OUT; k++) T_NEAR(y[k], expected[k], 1e-5);
        s.m.hooks->at[0].def->describe(s.m.hooks->at[0].self, text, sizeof text);
        char part[32];
        snprintf(part, sizeof part, "update x %g", CASE[i].scale);
        T_HAS(text, part);
        toy_methods_fini(&s.m);
    }
}
END_TEST

/* x (0 + s B A)^T: what the hook adds. */
START_TEST(lora_merges_what_it_adds)
{
    const ToyEntry e = {"lora", {"lora_r", "3", "lora_alpha", "6"}};
    SiteRun s;
    real w[OUT * IN] = {0};
    double expected[ROWS * OUT];
    site_init(&s, &e);
    const Hook *h = &s.m.hooks->at[0];
    T_OK(h->def->merge(h->self, s.site, w));
    reference(&s, 2, expected);
    for (int n = 0; n < ROWS; n++)
        for (int o = 0; o < OUT; o++) {
            double y = s.y0[n * OUT + o];
            for (int i = 0; i < IN; i++) y += (double)s.x[n * IN + i] * w[o * IN + i];
            T_NEAR(y, expected[n * OUT + o], 1e-5);
        }
    toy_methods_fini(&s.m);
}
END_TEST

START_TEST(dropout_keeps_the_mean_and_sleeps_without_noise)
{
    enum { DRAWS = 4000 };
    const ToyEntry e = {"lora", {"lora_r", "4", "lora_dropout", "0.25"}},
                   none = {"lora", {"lora_r", "4"}};
    SiteRun s, plain;
    real y[ROWS * OUT], again[ROWS * OUT], quiet[ROWS * OUT];
    double mean[ROWS * OUT] = {0};
    site_init(&s, &e);
    site_init(&plain, &none);
    site_run(&s, 0, quiet);
    site_run(&plain, 1, y);
    T_TRUE(memcmp(y, quiet, sizeof y) == 0);
    for (uint64_t k = 1; k <= DRAWS; k++) {
        site_run(&s, k, y);
        for (int i = 0; i < ROWS * OUT; i++) mean[i] += (double)y[i] / DRAWS;
    }
    for (int i = 0; i < ROWS * OUT; i++) T_NEAR(mean[i], quiet[i], 0.1);
    site_run(&s, DRAWS, again);
    T_TRUE(memcmp(y, again, sizeof y) == 0); /* the same noise, the same bits */
    T_TRUE(memcmp(y, quiet, sizeof y) != 0);
    site_run(&s, 1, again);
    T_TRUE(memcmp(y, again, sizeof y) != 0);
    toy_methods_fini(&s.m);
    toy_methods_fini(&plain.m);
}
END_TEST

/* q and k of a block read the same x: their masks must not be the same. */
START_TEST(dropout_differs_from_layer_to_layer)
{
    const ToyEntry e = {"lora", {"lora_r", "4", "lora_dropout", "0.5"}};
    const ModelConfig c = toy_config();
    const Site *const *site;
    real ones[ROWS * IN], zero[ROWS * OUT] = {0}, y[2][ROWS * 4];
    ToyMethods m;
    toy_methods_init(&m, &c, &e);
    site = model_view(m.toy.model).site;
    for (int i = 0; i < ROWS * IN; i++) ones[i] = 1;
    for (int k = 1; k <= 2; k++) { /* k_proj and v_proj with the same pair of matrices */
        char name[96];
        snprintf(name, sizeof name, "%s.lora_A.weight", site[k]->name);
        const Param *a = params_find(m.toy.ps, name);
        for (int64_t i = 0; i < a->n; i++) a->val[i] = (real)(i % 7);
        snprintf(name, sizeof name, "%s.lora_B.weight", site[k]->name);
        const Param *b = params_find(m.toy.ps, name);
        for (int64_t i = 0; i < b->n; i++) b->val[i] = 1;
        Tensor *x, *y0, *out;
        tape_reset(m.toy.tape);
        T_OK(tape_const(m.toy.tape, DT_REAL, ones, 2, (int64_t[]){ROWS, IN}, &x));
        T_OK(tape_const(m.toy.tape, DT_REAL, zero, 2, (int64_t[]){ROWS, site[k]->n_out}, &y0));
        T_OK(m.hooks->at[0].def->linear(m.hooks->at[0].self, m.toy.tape, site[k], 9, x, y0, &out));
        T_EQ_I64(site[k]->n_out, 8);
        memcpy(y[k - 1], out->val, sizeof y[0]);
    }
    T_TRUE(memcmp(y[0], y[1], sizeof y[0]) != 0);
    toy_methods_fini(&m);
}
END_TEST

START_TEST(several_entries_adapt_different_layers)
{
    static const ToyEntry TWO[] = {{"lora", {"lora_r", "2", "lora_target_modules", "q_proj"}},
                                   {"lora", {"lora_r", "5", "lora_target_modules", "up_proj"}}};
    const ModelConfig c = toy_config();
    ToyMethods m;
    T_OK(toy_methods_declare(&m, &c, 2, TWO));
    toy_methods_start(&m);
    T_EQ_I64(params_count(m.toy.ps), 8);
    T_EQ_I64(params_find(m.toy.ps, "model.layers.0.self_attn.q_proj.lora_A.weight")->dim[0], 2);
    T_EQ_I64(params_find(m.toy.ps, "model.layers.0.mlp.up_proj.lora_A.weight")->dim[0], 5);
    const double before = toy_loss(&m.toy);
    train(&m.toy, 10);
    m.toy.batch.noise = 0;
    T_TRUE(toy_loss(&m.toy) < before);
    toy_methods_fini(&m);
}
END_TEST

int main(void)
{
    omp_set_num_threads(1);
    const TTest *t[] = {every_method_has_an_example,
                        starts_as_the_base,
                        trains_what_it_says_and_nothing_else,
                        recomputation_changes_no_bit,
                        gradients_are_complete_when_it_is_said,
                        survives_every_failed_allocation,
                        refuses_what_fits_no_model,
                        work_ends_at_the_lowest_that_is_trained,
                        memory_is_foreseen,
                        lora_matches_modules_as_peft_does,
                        lora_declares_what_peft_stores,
                        lora_is_its_formula,
                        lora_merges_what_it_adds,
                        dropout_keeps_the_mean_and_sleeps_without_noise,
                        dropout_differs_from_layer_to_layer,
                        several_entries_adapt_different_layers};
    return test_main("unit.methods", t, N_OF(t));
}
