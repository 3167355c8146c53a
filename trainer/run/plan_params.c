/* plan_params.c — what is trained and what is frozen. */
#include "trainer/run/plan.h"
#include "trainer/run/prefix_cache.h"
#include "trainer/run/progress.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { N_NAME = 256, N_DESCRIPTION = 256 };

/* "model.layers.3.mlp.up_proj.weight" -> "model.layers.*.mlp.up_proj.weight" */
static void name_pattern(const char *name, char pattern[N_NAME])
{
    size_t at = 0;
    for (const char *c = name; *c && at + 1 < N_NAME; c++) {
        const bool number = isdigit((unsigned char)*c) && c > name && c[-1] == '.';
        if (number)
            while (isdigit((unsigned char)c[1])) c++;
        pattern[at++] = number ? '*' : *c;
    }
    pattern[at] = '\0';
}

static bool are_alike(const Param *a, const Param *b)
{
    char pa[N_NAME], pb[N_NAME];
    name_pattern(a->name, pa);
    name_pattern(b->name, pb);
    return strcmp(pa, pb) == 0 && a->dtype == b->dtype && a->n_dim == b->n_dim &&
           memcmp(a->dim, b->dim, (size_t)a->n_dim * sizeof *a->dim) == 0;
}

static Param *param_at(const ParamSet *ps, bool frozen, int64_t i)
{
    return frozen ? params_frozen_at(ps, i) : params_at(ps, i);
}

static int64_t param_count(const ParamSet *ps, bool frozen)
{
    return frozen ? params_n_frozen(ps) : params_count(ps);
}

/* How many are like the i-th, itself included; 0 if one before it is. */
static int64_t count_alike(const ParamSet *ps, bool frozen, int64_t i)
{
    int64_t n = 0;
    for (int64_t k = 0; k < param_count(ps, frozen); k++) {
        if (!are_alike(param_at(ps, frozen, k), param_at(ps, frozen, i))) continue;
        if (k < i) return 0;
        n++;
    }
    return n;
}

static void add_alike(const Param *p, int64_t n, Text *out)
{
    char pattern[N_NAME], shape[96];
    int at = 0;
    name_pattern(p->name, pattern);
    for (int d = 0; d < p->n_dim; d++)
        at +=
            snprintf(shape + at, sizeof shape - (size_t)at, "%s%lld", d ? "," : "", LL(p->dim[d]));
    text_printf(out, "  %-12s %-50s (%s)", "", n > 1 ? pattern : p->name, shape);
    if (n > 1) text_printf(out, " x %lld", LL(n));
    if (p->frozen && p->dtype != DT_REAL) text_printf(out, " %s", dtype_name(p->dtype));
    text_add(out, "\n");
}

static void add_all_alike(const ParamSet *ps, bool frozen, Text *out)
{
    for (int64_t i = 0; i < param_count(ps, frozen); i++) {
        const int64_t n = count_alike(ps, frozen, i);
        if (n > 0) add_alike(param_at(ps, frozen, i), n, out);
    }
}

/* What the method says of itself; "" when it says nothing. */
static const char *describe(const Hook *h, char text[N_DESCRIPTION])
{
    *text = '\0';
    if (h->def->describe) h->def->describe(h->self, text, N_DESCRIPTION);
    return text;
}

void plan_add_params(const Plan *p, Text *out)
{
    char count[16], text[N_DESCRIPTION];
    const ParamSet *ps = p->net.params;
    const Hooks *hooks = p->net.hooks;
    text_printf(out, "  %-12s %s parameters in %lld tensors%s; %s\n", "trained",
                progress_count((double)params_n_elem(ps), count), LL(params_count(ps)),
                params_n_frozen(ps) ? "" : ", 0 frozen", p->job->cfg->optim);
    for (int64_t i = 0; i < hooks->n; i++)
        if (*describe(&hooks->at[i], text))
            text_printf(out, "  %-12s %s: %s\n", "", hooks->at[i].def->name, text);
    add_all_alike(ps, false, out);
    if (params_n_frozen(ps) == 0) return;
    text_printf(out, "  %-12s %s parameters in %lld tensors\n", "frozen",
                progress_count((double)params_n_frozen_elem(ps), count), LL(params_n_frozen(ps)));
    add_all_alike(ps, true, out);
    const int64_t n_kept = prefix_cache_planned(p->job->cfg, p->net.model);
    if (n_kept > 0)
        text_printf(
            out, "  %-12s blocks 0 to %lld run once a row; what they make of it is kept, %s each\n",
            "", LL(n_kept - 1), progress_bytes(prefix_cache_row_bytes(p->job->cfg), count));
}

json_t *plan_params_json(const ParamSet *ps, bool frozen)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < param_count(ps, frozen); i++) {
        const Param *t = param_at(ps, frozen, i);
        json_t *shape = json_array(), *entry;
        for (int d = 0; d < t->n_dim; d++) json_array_append_new(shape, json_integer(t->dim[d]));
        entry = json_pack("{s:s, s:o, s:I, s:s}", "name", t->name, "shape", shape, "parameters",
                          (json_int_t)t->n, "dtype", dtype_name(t->dtype));
        json_array_append_new(list, entry);
    }
    return list;
}

json_t *plan_methods_json(const Plan *p)
{
    char text[N_DESCRIPTION];
    json_t *list = json_array();
    for (int64_t i = 0; i < p->net.hooks->n; i++) {
        const Hook *h = &p->net.hooks->at[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "kind", h->def->name, "description", describe(h, text)));
    }
    return list;
}
