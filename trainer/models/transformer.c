/* transformer.c — see transformer.h. */
#include "trainer/models/transformer.h"
#include "trainer/base/mem.h"
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
    TRY(param_declare(b->ps, &site->weight, PARAM_MATRIX, 2, (int64_t[]){n_out, n_in}, stem,
                      ".weight"));
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

Status piece_make(Tape *t, const ModelConfig *cfg, const RopeTable *rope, const Batch *batch,
                  Piece **piece)
{
    Status rc = ST_OK;
    const int64_t B = batch->B, T = batch->T, N = B * T;
    CHECK(T <= cfg->max_position_embeddings, CONFIG,
          "a row has %lld tokens, max_position_embeddings is %lld", LL(T),
          LL(cfg->max_position_embeddings));
    Piece *p = tape_alloc(t, 1, sizeof *p);
    int32_t *pos = tape_alloc(t, N, sizeof *pos);
    KeyRange *range = tape_alloc(t, N, sizeof *range);
    CHECK(p && pos && range, NOMEM, "positions of %lld tokens", LL(N));
    for (int64_t n = 0; n < N; n++) {
        const int64_t in_row = n % T, doc_start = batch->doc_start[n];
        CHECK(doc_start >= 0 && doc_start <= in_row, SHAPE,
              "token %lld: its document starts at %lld", LL(in_row), LL(doc_start));
        pos[n] = (int32_t)(in_row - doc_start);
        range[n] = (KeyRange){(int32_t)(n - in_row + doc_start), (int32_t)(n + 1)};
    }
    *p = (Piece){.B = B,
                 .T = T,
                 .tokens = batch->tokens,
                 .pos = pos,
                 .noise = batch->noise,
                 .attention = {.keys = {N, N, B, 1, range},
                               .n_head = cfg->num_attention_heads,
                               .n_kv_head = cfg->num_key_value_heads,
                               .head_dim = cfg->head_dim},
                 .rope = *rope};
    *piece = p;
out:
    return rc;
}

Status linear_forward(Tape *t, const Piece *p, const Linear *l, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *w, *bias = NULL;
    TRY(tape_param(t, l->site->weight, &w));
    if (l->bias) TRY(tape_param(t, l->bias, &bias));
    TRY(tape_linear(t, x, w, bias, y));
    for (int64_t i = 0; p->hooks && i < p->hooks->n; i++) {
        const Hook *h = &p->hooks->at[i];
        if (h->def->linear) TRY(h->def->linear(h->self, t, l->site, p->noise, x, *y, y));
    }
out:
    return rc;
}

Status norm_forward(Tape *t, const Param *w, double eps, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *scale;
    TRY(tape_param(t, w, &scale));
    TRY(tape_rmsnorm(t, x, scale, eps, y));
out:
    return rc;
}

Status table_forward(Tape *t, const Param *table, const Piece *piece, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *rows;
    TRY(tape_param(t, table, &rows));
    TRY(tape_embedding(t, rows, piece->tokens, piece->B * piece->T, y));
out:
    return rc;
}
