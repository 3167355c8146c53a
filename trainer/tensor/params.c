/* params.c — declared one by one, then sealed into one flat vector. */
#include "trainer/tensor/params.h"
#include "trainer/base/mem.h"
#include <string.h>

enum { PARAM_ALIGN = 16 }; /* reals; a parameter starts on a cache line */

struct ParamSet {
    Param **at; /* each on its own, so that a Param * stays valid */
    int64_t n, n_elem, flat_n;
    real *flat;
    bool sealed;
};

Status params_create(ParamSet **ps)
{
    Status rc = ST_OK;
    *ps = mem_alloc(sizeof **ps);
    CHECK(*ps, NOMEM, "parameter set: %zu bytes", sizeof **ps);
out:
    return rc;
}

void params_destroy(ParamSet *ps)
{
    if (!ps) return;
    for (int64_t i = 0; i < ps->n; i++) {
        mem_free((void *)ps->at[i]->name);
        mem_free(ps->at[i]);
    }
    mem_free(ps->at);
    mem_free(ps->flat);
    mem_free(ps);
}

Status params_add(ParamSet *ps, const char *name, ParamKind kind, int n_dim, const int64_t *dim)
{
    Status rc = ST_OK;
    Param *p = NULL;
    CHECK(!ps->sealed, BUG, "parameter %s: the set is sealed", name);
    CHECK(!params_find(ps, name), BUG, "parameter %s is declared twice", name);
    CHECK(n_dim >= 1 && n_dim <= MAX_DIM, BUG, "parameter %s has %d dims", name, n_dim);
    void *at =
        mem_resize(ps->at, (size_t)ps->n * sizeof *ps->at, (size_t)(ps->n + 1) * sizeof *ps->at);
    CHECK(at, NOMEM, "parameter set: %lld entries", LL(ps->n + 1));
    ps->at = at;
    p = mem_alloc(sizeof *p);
    CHECK(p, NOMEM, "parameter %s: %zu bytes", name, sizeof *p);
    *p = (Param){
        .name = mem_strdup(name), .kind = kind, .n_dim = n_dim, .n = 1, .offset = ps->flat_n};
    CHECK(p->name, NOMEM, "parameter %s: its name", name);
    for (int i = 0; i < n_dim; i++) {
        CHECK(dim[i] > 0 && p->n <= INT64_MAX / 64 / dim[i], BUG, "parameter %s: dim %d is %lld",
              name, i, LL(dim[i]));
        p->dim[i] = dim[i];
        p->n *= dim[i];
    }
    ps->at[ps->n++] = p;
    ps->n_elem += p->n;
    ps->flat_n += (p->n + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    p = NULL;
out:
    if (p) mem_free((void *)p->name);
    mem_free(p);
    return rc;
}

Status params_seal(ParamSet *ps)
{
    Status rc = ST_OK;
    CHECK(!ps->sealed, BUG, "the parameter set is sealed twice");
    ps->flat = mem_array(ps->flat_n, sizeof(real));
    CHECK(ps->flat, NOMEM, "%lld trainable numbers", LL(ps->flat_n));
    for (int64_t i = 0; i < ps->n; i++) ps->at[i]->val = ps->flat + ps->at[i]->offset;
    ps->sealed = true;
out:
    return rc;
}

int64_t params_count(const ParamSet *ps)
{
    return ps->n;
}

Param *params_at(const ParamSet *ps, int64_t i)
{
    return ps->at[i];
}

Param *params_find(const ParamSet *ps, const char *name)
{
    for (int64_t i = 0; i < ps->n; i++)
        if (strcmp(ps->at[i]->name, name) == 0) return ps->at[i];
    return NULL;
}

int64_t params_n_elem(const ParamSet *ps)
{
    return ps->n_elem;
}

int64_t params_flat_n(const ParamSet *ps)
{
    return ps->flat_n;
}

real *params_flat(const ParamSet *ps)
{
    return ps->flat;
}

void params_bind_grad(ParamSet *ps, real *flat)
{
    for (int64_t i = 0; i < ps->n; i++) ps->at[i]->grad = flat ? flat + ps->at[i]->offset : NULL;
}
