/* export_peft.c — what a run has trained beside a frozen model, as an adapter of PEFT's. */
#include "checkpoints/adapter.h"
#include "trainer/base/mem.h"
#include "trainer/models/transformer.h"
#include "trainer/run/export.h"
#include <string.h>

typedef struct PeftModel {
    const LoadedModel *m;
    ModelView view;
    AdapterOut out;
    AdapterPair *pair;
    AdapterTensor *tensor;
    const char **target;
    char **whole; /* modules; owned */
} PeftModel;

/* ---- updates ---- */

static bool next_pair(const PeftModel *p, int64_t *hook, int64_t *i, LowRank *update)
{
    const Hooks *hooks = p->m->net.hooks;
    for (; *hook < hooks->n; (*hook)++, *i = 0) {
        const Hook *h = &hooks->at[*hook];
        if (h->def->low_rank && h->def->low_rank(h->self, (*i)++, update)) return true;
    }
    return false;
}

static Status check_methods(const LoadedModel *m)
{
    Status rc = ST_OK;
    bool any = false;
    TRY(export_check_attention(m));
    for (int64_t i = 0; m->net.hooks && i < m->net.hooks->n; i++) {
        const MethodDef *def = m->net.hooks->at[i].def;
        CHECK(!def->linear || def->low_rank, CONFIG, "kind: %s has no form in PEFT", def->name);
        any = any || def->low_rank;
    }
    CHECK(any, CONFIG,
          "%s: holds no low-rank update, which is what an adapter of PEFT's is; --to hf "
          "writes the whole model",
          m->dir);
    CHECK(m->cfg->model_name_or_path, CONFIG,
          "%s: its base is no stored model (model_name_or_path) that PEFT could load", m->dir);
out:
    return rc;
}

static void add_tensor(PeftModel *p, const Param *param, const char *name)
{
    AdapterTensor *t = &p->tensor[p->out.n_tensor++];
    *t = (AdapterTensor){.param = name, .n_dim = param->n_dim, .val = param->val};
    for (int d = 0; d < param->n_dim; d++) t->dim[d] = param->dim[d];
}

static void add_pairs(PeftModel *p)
{
    LowRank u;
    for (int64_t hook = 0, i = 0; next_pair(p, &hook, &i, &u);) {
        p->pair[p->out.n_pair++] = (AdapterPair){.module = u.site->name,
                                                 .r = u.r,
                                                 .n_in = u.site->n_in,
                                                 .n_out = u.site->n_out,
                                                 .alpha = u.alpha,
                                                 .use_rslora = u.use_rslora,
                                                 .dropout = u.dropout};
        p->out.in_out = u.site->in_out;
        add_tensor(p, u.a, u.a->name);
        add_tensor(p, u.b, u.b->name);
    }
}

static const char *last_part(const char *module)
{
    const char *dot = strrchr(module, '.');
    return dot ? dot + 1 : module;
}

static bool is_adapted(const PeftModel *p, const char *module)
{
    for (int64_t i = 0; i < p->out.n_pair; i++)
        if (strcmp(p->pair[i].module, module) == 0) return true;
    return false;
}

/* Are all layers of this last part adapted? */
static bool covers(const PeftModel *p, const char *part)
{
    for (int64_t i = 0; i < p->view.n_site; i++) {
        const char *name = p->view.site[i]->name;
        if (strcmp(last_part(name), part) == 0 && !is_adapted(p, name)) return false;
    }
    return true;
}

/* "q_proj" where that means just what is adapted, else the names of the layers. */
static void add_targets(PeftModel *p)
{
    for (int64_t i = 0; i < p->out.n_pair; i++) {
        const char *module = p->pair[i].module, *part = last_part(module),
                   *word = covers(p, part) ? part : module;
        bool known = false;
        for (int64_t k = 0; k < p->out.n_target; k++)
            known = known || strcmp(p->target[k], word) == 0;
        if (!known) p->target[p->out.n_target++] = word;
    }
}

/* ---- what is trained whole ---- */

static Status add_module(PeftModel *p, const char *name, size_t n)
{
    Status rc = ST_OK;
    char *module = mem_printf("%.*s", (int)n, name);
    CHECK(module, NOMEM, "the name of a module");
    for (int64_t i = 0; i < p->out.n_whole; i++)
        if (strcmp(p->whole[i], module) == 0) goto out;
    p->whole[p->out.n_whole++] = module;
    module = NULL;
out:
    mem_free(module);
    return rc;
}

/* PEFT takes a copy of a whole module. */
static Status check_whole(const PeftModel *p, const Param *trained, size_t n_module)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < p->view.n_param; i++) {
        const Param *other = p->view.param[i];
        const bool beside = strncmp(other->name, trained->name, n_module + 1) == 0 &&
                            !strchr(other->name + n_module + 1, '.');
        CHECK(!beside || !other->frozen, CONFIG,
              "%s is trained and %s is not: PEFT trains a module whole or not at all",
              trained->name, other->name);
    }
out:
    return rc;
}

/* Where the head is the table, PEFT needs the table in both places. */
static Status add_tied_head(PeftModel *p, const Param *table)
{
    static const char HEAD[] = "lm_head";
    add_tensor(p, table, "lm_head.weight");
    return add_module(p, HEAD, strlen(HEAD));
}

static Status add_whole(PeftModel *p)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < p->view.n_param; i++) {
        const Param *param = p->view.param[i];
        if (param->frozen) continue;
        const size_t n = (size_t)(last_part(param->name) - param->name - 1);
        TRY(check_whole(p, param, n));
        add_tensor(p, param, param->name);
        TRY(add_module(p, param->name, n));
        if (p->view.tied && param == model_head(p->m->net.model)) TRY(add_tied_head(p, param));
    }
out:
    return rc;
}

/* ---- the whole ---- */

static Status make_room(PeftModel *p)
{
    Status rc = ST_OK;
    const int64_t n = params_count(p->m->net.params) + 1; /* the tied head */
    p->pair = mem_array(n, sizeof *p->pair);
    p->tensor = mem_array(n, sizeof *p->tensor);
    p->target = mem_array(n, sizeof *p->target);
    p->whole = mem_array(n, sizeof *p->whole);
    CHECK(p->pair && p->tensor && p->target && p->whole, NOMEM, "an adapter of %lld tensors",
          LL(n));
out:
    return rc;
}

static Status peft_write(const LoadedModel *m, const ExportOpts *o, const char *dir,
                         ExportFacts *facts)
{
    Status rc = ST_OK;
    PeftModel p = {.m = m, .view = model_view(m->net.model)};
    (void)o;
    TRY(check_methods(m));
    TRY(make_room(&p));
    add_pairs(&p);
    add_targets(&p);
    TRY(add_whole(&p));
    p.out.base = m->cfg->model_name_or_path;
    p.out.pair = p.pair;
    p.out.target = p.target;
    p.out.whole = (const char *const *)p.whole;
    p.out.tensor = p.tensor;
    TRY(adapter_write(dir, &p.out));
    facts->n_tensor = p.out.n_tensor;
    for (int64_t i = 0; i < p.out.n_tensor; i++) {
        int64_t n = 1;
        for (int d = 0; d < p.tensor[i].n_dim; d++) n *= p.tensor[i].dim[d];
        facts->n_bytes += n * (int64_t)sizeof(float);
    }
out:
    for (int64_t i = 0; i < p.out.n_whole; i++) mem_free(p.whole[i]);
    mem_free(p.whole);
    mem_free(p.target);
    mem_free(p.tensor);
    mem_free(p.pair);
    return rc;
}

const ExportDef export_peft = {.name = "peft", .write = peft_write};
