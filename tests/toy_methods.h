/* toy_methods.h — the toy model with fine-tuning methods, and an example of each method. */
#ifndef TESTS_TOY_METHODS_H
#define TESTS_TOY_METHODS_H
#include "tests/toy_model.h"
#include "trainer/methods/methods.h"

enum { TOY_MAX_OPTION = 8, TOY_MAX_METHOD = 2 };

typedef struct ToyEntry { /* of trainable: */
    const char *kind;
    const char *option[2 * TOY_MAX_OPTION]; /* key, value, key, value, ..., NULL */
} ToyEntry;

/* What every method is tested with; a method without an example fails. */
static const ToyEntry TOY_EXAMPLES[] = {
    {"full", {NULL}},
    {"freeze", {"unfrozen_parameters", "lm_head\nmodel\\.layers\\.1\\.(mlp|input)"}},
    {"freeze", {"unfrozen_parameters", "model.embed_tokens"}},
    {"lora", {"lora_r", "2", "lora_alpha", "2", "lora_dropout", "0.3"}},
    {"lora",
     {"lora_target_modules", "q_proj\ndown_proj", "lora_layers", "1", "use_rslora", "true",
      "lora_alpha", "4", "modules_to_save", "lm_head\nmodel.norm"}},
    {"memory_gate", {"segment_len", "2"}},
    {"memory_gate",
     {"segment_len", "2", "n_sink", "1", "n_window", "1", "memory_update", "delta", "gate_heads",
      "own", "gate_width", "2", "memory_write", "gated"}},
    {"memory_gate",
     {"segment_len", "2", "memory_rope", "true", "rope_position", "global", "gate", "mlp",
      "n_window", "2"}},
    {"memory_gate", {"segment_len", "1", "gate", "scalar", "n_sink", "2"}},
    {"memory_gate", {"segment_len", "3", "gate", "vector", "memory_write", "gated"}},
};

typedef struct ToyMethods {
    ToyModel toy;
    MethodSpec spec[TOY_MAX_METHOD];
    int64_t n;
    Hooks *hooks;
} ToyMethods;

static inline void toy_spec(const ToyEntry *e, MethodSpec *spec)
{
    spec->def = method_find(e->kind);
    T_TRUE(spec->def);
    spec->opts = mem_alloc(spec->def->opts_size);
    T_TRUE(spec->opts);
    opt_set_defaults(spec->def->opts, spec->opts);
    for (int i = 0; i < 2 * TOY_MAX_OPTION && e->option[i]; i += 2) {
        const OptSpec *o = opt_find(spec->def->opts, e->option[i]);
        ck_assert_msg(o != NULL, "%s has no option %s", e->kind, e->option[i]);
        T_OK(opt_set(o, spec->opts, e->option[i + 1], false));
    }
}

/* The answer of methods_create; finish with toy_methods_start when it is ST_OK. */
static inline Status toy_methods_declare(ToyMethods *m, const ModelConfig *cfg, int64_t n,
                                         const ToyEntry *entry)
{
    *m = (ToyMethods){.n = n};
    toy_model_declare(&m->toy, cfg);
    for (int64_t i = 0; i < n; i++) toy_spec(&entry[i], &m->spec[i]);
    const ModelView view = model_view(m->toy.model);
    return methods_create(m->spec, n, &view, m->toy.ps, &m->hooks);
}

static inline void toy_methods_start(ToyMethods *m)
{
    model_set_hooks(m->toy.model, m->hooks);
    toy_model_start(&m->toy);
    methods_init_weights(m->hooks, 7);
}

static inline void toy_methods_init(ToyMethods *m, const ModelConfig *cfg, const ToyEntry *entry)
{
    T_OK(toy_methods_declare(m, cfg, 1, entry));
    toy_methods_start(m);
}

static inline void toy_methods_fini(ToyMethods *m)
{
    methods_destroy(m->hooks);
    for (int64_t i = 0; i < m->n; i++) mem_free(m->spec[i].opts);
    toy_model_fini(&m->toy);
}
#endif
