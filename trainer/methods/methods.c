/* methods.c — see methods.h. */
#include "trainer/methods/methods.h"
#include "trainer/base/mem.h"
#include "trainer/methods/method_list.h"
#include <math.h>

#define METHOD_DECLARE(name) extern const MethodDef method_##name;
#define METHOD_ENTRY(name) &method_##name,
METHOD_LIST(METHOD_DECLARE)
static const MethodDef *const METHODS[] = {METHOD_LIST(METHOD_ENTRY)};

const MethodDef *const *method_all(int64_t *n)
{
    *n = N_OF(METHODS);
    return METHODS;
}

const MethodDef *method_find(const char *name)
{
    for (int64_t i = 0; i < N_OF(METHODS); i++)
        if (strcmp(METHODS[i]->name, name) == 0) return METHODS[i];
    return NULL;
}

void methods_destroy(Hooks *hooks)
{
    if (!hooks) return;
    for (int64_t i = 0; i < hooks->n; i++) hooks->at[i].def->destroy(hooks->at[i].self);
    mem_free(hooks->at);
    mem_free(hooks);
}

static bool trains_something(const ParamSet *ps)
{
    for (int64_t i = 0; i < params_count(ps); i++)
        if (!params_at(ps, i)->frozen) return true;
    return false;
}

Status methods_create(const MethodSpec *spec, int64_t n, const ModelView *view, ParamSet *ps,
                      Hooks **out)
{
    Status rc = ST_OK;
    Hooks *hooks = mem_alloc(sizeof *hooks);
    CHECK(hooks, NOMEM, "methods: %zu bytes", sizeof *hooks);
    hooks->at = mem_array(METHODS_MAX, sizeof *hooks->at);
    CHECK(hooks->at, NOMEM, "methods: %d of them", METHODS_MAX);
    for (int64_t i = 0; n > 0 && i < view->n_param; i++) view->param[i]->frozen = true;
    for (int64_t i = 0; i < n; i++) {
        Hook *h = &hooks->at[hooks->n++];
        h->def = spec[i].def;
        TRY(h->def->create(&h->self, spec[i].opts, view, ps));
    }
    CHECK(trains_something(ps), CONFIG, "trainable: nothing is left to train");
    *out = hooks;
    hooks = NULL;
out:
    methods_destroy(hooks);
    return rc;
}

void methods_init_weights(const Hooks *hooks, uint64_t seed)
{
    for (int64_t i = 0; i < hooks->n; i++) {
        const Hook *h = &hooks->at[i];
        if (h->def->init_weights) h->def->init_weights(h->self, seed);
    }
}

void methods_fill_uniform(const Param *p, uint64_t seed)
{
    const double bound = 1 / sqrt((double)p->dim[1]);
    Rng r;
    rng_init(&r, seed, rng_hash_bytes(p->name, strlen(p->name), 0));
    for (int64_t i = 0; i < p->n; i++) p->val[i] = (real)(bound * (2 * rng_uniform(&r) - 1));
}
