/* params.c — declared one by one, then split into trainable and frozen, then sealed. */
#include "trainer/tensor/params.h"
#include "trainer/base/mem.h"
#include <string.h>

enum { PARAM_ALIGN = 16 }; /* reals; a parameter starts on a cache line */

/* The trainable ones come first, once the set is split. */
struct ParamSet {
    Param **at; /* each on its own, so that a Param * stays valid */
    int64_t n, n_trainable, n_elem, n_frozen_elem, flat_n;
    real *flat;
    bool is_split;
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
        if (ps->at[i]->frozen) mem_free(ps->at[i]->val);
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
    CHECK(!ps->is_split, BUG, "parameter %s: the set is split", name);
    CHECK(!params_find(ps, name), BUG, "parameter %s is declared twice", name);
    CHECK(n_dim >= 1 && n_dim <= MAX_DIM, BUG, "parameter %s has %d dims", name, n_dim);
    void *at =
        mem_resize(ps->at, (size_t)ps->n * sizeof *ps->at, (size_t)(ps->n + 1) * sizeof *ps->at);
    CHECK(at, NOMEM, "parameter set: %lld entries", LL(ps->n + 1));
    ps->at = at;
    p = mem_alloc(sizeof *p);
    CHECK(p, NOMEM, "parameter %s: %zu bytes", name, sizeof *p);
    *p = (Param){.name = mem_strdup(name), .kind = kind, .n_dim = n_dim, .n = 1, .lr_scale = 1};
    CHECK(p->name, NOMEM, "parameter %s: its name", name);
    for (int i = 0; i < n_dim; i++) {
        CHECK(dim[i] > 0 && p->n <= INT64_MAX / 64 / dim[i], BUG, "parameter %s: dim %d is %lld",
              name, i, LL(dim[i]));
        p->dim[i] = dim[i];
        p->n *= dim[i];
    }
    ps->at[ps->n++] = p;
    p = NULL;
out:
    if (p) mem_free((void *)p->name);
    mem_free(p);
    return rc;
}

/* Gives each trainable parameter its place. */
static void params_place(ParamSet *ps)
{
    for (int64_t i = 0; i < ps->n_trainable; i++) {
        Param *p = ps->at[i];
        p->offset = ps->flat_n;
        ps->n_elem += p->n;
        ps->flat_n += (p->n + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    }
    for (int64_t i = ps->n_trainable; i < ps->n; i++) ps->n_frozen_elem += ps->at[i]->n;
}

Status params_split(ParamSet *ps)
{
    Status rc = ST_OK;
    Param **in_order = mem_array(ps->n, sizeof *in_order);
    int64_t n = 0;
    CHECK(!ps->is_split, BUG, "the parameter set is split twice");
    CHECK(in_order, NOMEM, "parameter set: %lld entries", LL(ps->n));
    for (int frozen = 0; frozen < 2; frozen++) {
        for (int64_t i = 0; i < ps->n; i++)
            if (ps->at[i]->frozen == frozen) in_order[n++] = ps->at[i];
        if (!frozen) ps->n_trainable = n;
    }
    mem_free(ps->at);
    ps->at = in_order;
    in_order = NULL;
    params_place(ps);
    ps->is_split = true;
out:
    mem_free(in_order);
    return rc;
}

Status params_seal(ParamSet *ps)
{
    Status rc = ST_OK;
    CHECK(!ps->flat, BUG, "the parameter set is sealed twice");
    if (!ps->is_split) TRY(params_split(ps));
    ps->flat = mem_array(ps->flat_n, sizeof(real));
    CHECK(ps->flat, NOMEM, "%lld trainable numbers", LL(ps->flat_n));
    for (int64_t i = 0; i < ps->n_trainable; i++) {
        Param *p = ps->at[i];
        p->raw = p->val = ps->flat + p->offset;
        p->dtype = DT_REAL;
    }
out:
    return rc;
}

void params_lend(Param *p, Dtype dtype, const void *raw)
{
    p->dtype = dtype;
    p->raw = raw;
}

Status params_own(Param *p)
{
    Status rc = ST_OK;
    if (!p->val) p->val = mem_array(p->n, sizeof *p->val);
    CHECK(p->val, NOMEM, "%s: %lld numbers", p->name, LL(p->n));
    params_lend(p, DT_REAL, p->val);
out:
    return rc;
}

int64_t params_count(const ParamSet *ps)
{
    return ps->is_split ? ps->n_trainable : ps->n;
}

int64_t params_n_frozen(const ParamSet *ps)
{
    return ps->n - params_count(ps);
}

Param *params_frozen_at(const ParamSet *ps, int64_t i)
{
    return ps->at[ps->n_trainable + i];
}

int64_t params_n_frozen_elem(const ParamSet *ps)
{
    return ps->n_frozen_elem;
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
    for (int64_t i = 0; i < ps->n_trainable; i++)
        ps->at[i]->grad = flat ? flat + ps->at[i]->offset : NULL;
}
