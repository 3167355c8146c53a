/* methods.h — the list of fine-tuning methods, and those of one run. */
#ifndef TRAINER_METHODS_METHODS_H
#define TRAINER_METHODS_METHODS_H
#include "trainer/models/hook.h"

enum { METHODS_MAX = 8 };

/* One entry of trainable: opts is a struct of def->opts_size, filled by its table. */
typedef struct MethodSpec {
    const MethodDef *def;
    void *opts;
} MethodSpec;

const MethodDef *method_find(const char *name); /* NULL: unknown */
const MethodDef *const *method_all(int64_t *n);

/* Freezes the whole model, then lets each method declare what is trained; without any method all of the
 * model is. Called before the parameter set is split.
 *
 * Errors  ST_CONFIG nothing is trained; those of MethodDef.create
 * Owns    *hooks is the caller's; the options' strings must outlive it */
CHECKED Status methods_create(const MethodSpec *spec, int64_t n, const ModelView *view,
                              ParamSet *ps, Hooks **hooks);
void methods_destroy(Hooks *hooks);
/* Values of what the methods declared; the set is sealed. Rank: replicated */
void methods_init_weights(const Hooks *hooks, uint64_t seed);
/* A matrix (out,in) as methods start one: uniform in +-1/sqrt(in), a pure function of seed, name and index. */
void methods_fill_uniform(const Param *p, uint64_t seed);
#endif
