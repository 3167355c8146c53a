/* transformer.c — see transformer.h. */
#include "trainer/models/transformer.h"
#include "trainer/base/mem.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 160 };

static Status param_declare(ParamSet *ps, const Param **p, ParamKind kind, int n_dim,
                            const int64_t *dim, const char *stem, const char *suffix)
{
    Status rc = ST_OK;
    char name[NAME_MAX_BYTES + 16];
    snprintf(name, sizeof name, "%s%s", stem, suffix);
    TRY(params_add(ps, name, kind, n_dim, dim));
    *p = params_find(ps, name);
out:
    return rc;
}

static Status site_add(Build *b, const char *name, Site **site)
{
    Status rc = ST_OK;
    const size_t n = (size_t)b->n_site;
    void *at = mem_resize(b->site, n * sizeof *b->site, (n + 1) * sizeof *b->site);
    CHECK(at, NOMEM, "%s: its place", name);
    b->site = at;
    *site = b->site[b->n_site] = mem_alloc(sizeof **site);
    CHECK(*site, NOMEM, "%s: its place", name);
    b->n_site++;
    CHECK((*site)->name = mem_strdup(name), NOMEM, "%s: its name", name);
out:
    return rc;
}

void build_fini(Build *b)
{
    for (int64_t i = 0; i < b->n_site; i++) {
        mem_free((void *)b->site[i]->name);
        mem_free(b->site[i]);
    }
    mem_free(b->site);
}

Status linear_declare(Build *b, Linear *l, int64_t n_out, int64_t n_in, bool bias, const char *fmt,
                      ...)
{
    Status rc = ST_OK;
    Site *site = NULL;
    char stem[NAME_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(stem, sizeof stem, fmt, args);
    va_end(args);
    TRY(site_add(b, stem, &site));
    site->layer = b->layer;
    site->n_in = n_in;
    site->n_out = n_out;
    site->in_out = b->in_out;
    const int64_t dim[] = {b->in_out ? n_in : n_out, b->in_out ? n_out : n_in};
    TRY(param_declare(b->ps, &site->weight, PARAM_MATRIX, 2, dim, stem, ".weight"));
    if (bias) TRY(param_declare(b->ps, &l->bias, PARAM_BIAS, 1, &n_out, stem, ".bias"));
    l->site = site;
out:
    return rc;
}

Status table_declare(Build *b, const Param **p, int64_t V, int64_t C, const char *name)
{
    return param_declare(b->ps, p, PARAM_EMBEDDING, 2, (int64_t[]){V, C}, name, ".weight");
}

Status norm_declare(Build *b, const Param **p, int64_t C, const char *fmt, ...)
{
    char stem[NAME_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(stem, sizeof stem, fmt, args);
    va_end(args);
    return param_declare(b->ps, p, PARAM_NORM, 1, &C, stem, ".weight");
}

Status layernorm_declare(Build *b, LayerNorm *norm, int64_t C, const char *fmt, ...)
{
    Status rc = ST_OK;
    char stem[NAME_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(stem, sizeof stem, fmt, args);
    va_end(args);
    TRY(param_declare(b->ps, &norm->weight, PARAM_NORM, 1, &C, stem, ".weight"));
    TRY(param_declare(b->ps, &norm->bias, PARAM_BIAS, 1, &C, stem, ".bias"));
out:
    return rc;
}

double linear_init_std(const ModelConfig *cfg, int64_t n_in, bool to_stream)
{
    const double std = 0.7 / sqrt((double)n_in);
    return to_stream ? std / sqrt(2.0 * (double)cfg->num_hidden_layers) : std;
}

bool layer_is_windowed(const ModelDef *def, const ModelConfig *cfg, int64_t layer)
{
    return def->windowed && def->windowed(cfg, layer);
}

/* --- layers --- */

Status attention_forward(Tape *t, const Piece *p, int layer, const AttentionArg *keys, Tensor *q,
                         Tensor *k, Tensor *v, Tensor **y)
{
    Status rc = ST_OK;
    if (!p->kv) return tape_attention(t, q, k, v, keys, y);
    const KvCache *c = p->kv->cache;
    const int64_t n_row = c->n_slot * c->capacity, dim[] = {n_row, c->width};
    real *all_k = c->k + layer * n_row * c->width, *all_v = c->v + layer * n_row * c->width;
    for (int64_t n = 0; n < p->N; n++) {
        if (p->cache_row[n] < 0) continue;
        const int64_t to = p->cache_row[n] * c->width, from = n * c->width;
        memcpy(all_k + to, k->val + from, (size_t)c->width * sizeof *all_k);
        memcpy(all_v + to, v->val + from, (size_t)c->width * sizeof *all_v);
    }
    TRY(tape_const(t, DT_REAL, all_k, 2, dim, &k));
    TRY(tape_const(t, DT_REAL, all_v, 2, dim, &v));
    TRY(tape_attention(t, q, k, v, keys, y));
out:
    return rc;
}

static Status run_linear(Tape *t, const Piece *p, const Linear *l, bool passing, Tensor *x,
                         Tensor **y)
{
    Status rc = ST_OK;
    Tensor *w, *bias = NULL;
    const bool in_out = l->site->in_out;
    TRY(tape_param(t, l->site->weight, &w));
    if (l->bias) TRY(tape_param(t, l->bias, &bias));
    TRY(passing  ? tape_linear_passing(t, x, w, in_out, bias, y)
        : in_out ? tape_linear_in_out(t, x, w, bias, y)
                 : tape_linear(t, x, w, bias, y));
    for (int64_t i = 0; p->hooks && i < p->hooks->n; i++) {
        const Hook *h = &p->hooks->at[i];
        if (h->def->linear) TRY(h->def->linear(h->self, t, l->site, p->noise, x, *y, y));
    }
out:
    return rc;
}

Status linear_forward(Tape *t, const Piece *p, const Linear *l, Tensor *x, Tensor **y)
{
    return run_linear(t, p, l, false, x, y);
}

Status linear_forward_passing(Tape *t, const Piece *p, const Linear *l, Tensor *x, Tensor **y)
{
    return run_linear(t, p, l, true, x, y);
}

static Status run_norm(Tape *t, const Param *w, double w_offset, double eps, bool brief, Tensor *x,
                       Tensor **y)
{
    Status rc = ST_OK;
    Tensor *scale;
    TRY(tape_param(t, w, &scale));
    TRY(brief ? tape_rmsnorm_brief(t, x, scale, w_offset, eps, y)
              : tape_rmsnorm_offset(t, x, scale, w_offset, eps, y));
out:
    return rc;
}

Status norm_forward(Tape *t, const Param *w, double w_offset, double eps, Tensor *x, Tensor **y)
{
    return run_norm(t, w, w_offset, eps, false, x, y);
}

Status norm_forward_brief(Tape *t, const Param *w, double w_offset, double eps, Tensor *x,
                          Tensor **y)
{
    return run_norm(t, w, w_offset, eps, true, x, y);
}

static Status run_layernorm(Tape *t, const LayerNorm *norm, double eps, bool brief, Tensor *x,
                            Tensor **y)
{
    Status rc = ST_OK;
    Tensor *scale, *shift;
    TRY(tape_param(t, norm->weight, &scale));
    TRY(tape_param(t, norm->bias, &shift));
    TRY(brief ? tape_layernorm_brief(t, x, scale, shift, eps, y)
              : tape_layernorm(t, x, scale, shift, eps, y));
out:
    return rc;
}

Status layernorm_forward(Tape *t, const LayerNorm *norm, double eps, Tensor *x, Tensor **y)
{
    return run_layernorm(t, norm, eps, false, x, y);
}

Status layernorm_forward_brief(Tape *t, const LayerNorm *norm, double eps, Tensor *x, Tensor **y)
{
    return run_layernorm(t, norm, eps, true, x, y);
}

Status table_forward(Tape *t, const Param *table, const int32_t *ids, int64_t n, int64_t pad_id,
                     Tensor **y)
{
    Status rc = ST_OK;
    Tensor *rows;
    TRY(tape_param(t, table, &rows));
    TRY(tape_embedding(t, rows, ids, n, pad_id, y));
out:
    return rc;
}
