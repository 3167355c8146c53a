/* method_lora.c — low-rank updates of chosen linear layers.
 *
 *   y = y0 + s (dropout(x) A^T) B^T,    s = lora_alpha / lora_r, or lora_alpha / sqrt(lora_r)
 *
 * Hu et al. 2021, arXiv:2106.09685, sec. 4.1; the root: Kalajdzievski 2023, arXiv:2312.03732 (rsLoRA).
 * A starts uniform in +-1/sqrt(in), B at zero: step 0 is the model as it was. Another rate for B:
 * Hayou et al. 2024, arXiv:2402.12354 (LoRA+). Names of parameters and matching of modules are PEFT's.
 */
#include "trainer/base/mem.h"
#include "trainer/io/name_pattern.h"
#include "trainer/methods/lora.h"
#include "trainer/methods/methods.h"
#include "trainer/methods/names.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// clang-format off
static const OptSpec LORA_OPTS[] = {
    OPT_I64(LoraOpts,  lora_r, 8, 1, 65536, "rank of the update"),
    OPT_F64(LoraOpts,  lora_alpha, 16, 1e-6, 1e6, "the update counts lora_alpha / lora_r times"),
    OPT_F64(LoraOpts,  lora_dropout, 0, 0, 0.99, "share of the update's inputs dropped in training"),
    OPT_LIST(LoraOpts, lora_target_modules, "all-linear", "linear layers that get an update: all-linear, last parts of names, or one regular expression for whole names"),
    OPT_LIST(LoraOpts, lora_layers, NULL, "only in these blocks, counted from 0 (\"0-3,8\")"),
    OPT_BOOL(LoraOpts, use_rslora, 0, "the update counts lora_alpha / sqrt(lora_r) times"),
    OPT_F64(LoraOpts,  loraplus_lr_ratio, 1, 1e-3, 1e4, "learning rate of B as a multiple of that of A"),
    OPT_LIST(LoraOpts, modules_to_save, NULL, "modules that are trained whole beside the updates (embed_tokens, lm_head)"),
    OPT_END
};
// clang-format on

static const char ALL[] = "all-linear";

typedef struct LoraPair {
    const Site *site;
    uint64_t stream; /* of its dropout: the number of the site */
    Param *a, *b;    /* (r,in), (out,r) */
} LoraPair;

typedef struct Lora {
    const LoraOpts *opt;
    double scale;
    LoraPair *pair;
    int64_t n_pair, n_site;
} Lora;

static void lora_destroy(void *self)
{
    Lora *lo = self;
    if (!lo) return;
    mem_free(lo->pair);
    mem_free(lo);
}

/* ---- which layers ---- */

/* "3" or "0-3", n bytes of a list; marks the blocks. */
static Status mark_layers(const char *text, int64_t n, bool *marked, int64_t n_layer)
{
    Status rc = ST_OK;
    char word[48], *end = word;
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    const bool digit = isdigit((unsigned char)*word);
    const long long first = digit ? strtoll(word, &end, 10) : -1;
    const bool range = digit && *end == '-' && isdigit((unsigned char)end[1]);
    const long long last = range ? strtoll(end + 1, &end, 10) : first;
    CHECK(digit && *end == '\0', CONFIG,
          "lora_layers: found \"%.*s\", expected numbers of blocks like 0-3,8", (int)n, text);
    CHECK(first <= last && last < n_layer, CONFIG,
          "lora_layers: found %s, expected blocks of 0 .. %lld", word, LL(n_layer - 1));
    for (long long i = first; i <= last; i++) marked[i] = true;
out:
    return rc;
}

static Status read_layers(const char *list, bool *marked, int64_t n_layer)
{
    Status rc = ST_OK;
    for (int64_t i = 0; !list && i < n_layer; i++) marked[i] = true;
    for (OptItem item = {0}; opt_next(list, &item);)
        for (int64_t at = 0; at <= item.n; at++) {
            while (at < item.n && item.text[at] == ' ') at++;
            const char *word = item.text + at;
            const char *comma = memchr(word, ',', (size_t)(item.n - at));
            const int64_t n = comma ? comma - word : item.n - at;
            TRY(mark_layers(word, n, marked, n_layer));
            at += n;
        }
out:
    return rc;
}

static bool is_plain_word(const OptItem *item)
{
    for (int64_t i = 0; i < item->n; i++)
        if (!isalnum((unsigned char)item->text[i]) && !strchr("._-", item->text[i])) return false;
    return true;
}

/* Chooses the sites that an item of lora_target_modules names; `pattern` is NULL for words. */
static Status choose(const OptItem *item, const NamePattern *pattern, const ModelView *view,
                     const bool *layer, bool *chosen)
{
    Status rc = ST_OK;
    bool any = false;
    char names[NAMES_MAX_BYTES];
    const bool all = item->n == (int64_t)strlen(ALL) && strncmp(item->text, ALL, strlen(ALL)) == 0;
    for (int64_t i = 0; i < view->n_site; i++) {
        bool is = all || module_is(view->site[i]->name, item->text, item->n);
        if (pattern) TRY(name_pattern_matches(pattern, view->site[i]->name, NAME_WHOLE, &is));
        any = any || is;
        if (is && layer[view->site[i]->layer]) chosen[i] = true;
    }
    CHECK(any, CONFIG, "lora_target_modules: no linear layer %s \"%.*s\"; there are %s (like %s)",
          pattern ? "has a name that is wholly" : "is called", (int)item->n, item->text,
          names_of_sites(view, names), view->n_site ? view->site[0]->name : "none");
out:
    return rc;
}

static Status choose_sites(const LoraOpts *o, const ModelView *view, bool *chosen)
{
    Status rc = ST_OK;
    NamePattern *pattern = NULL;
    OptItem item = {0}, more = {0};
    bool *layer = mem_array(view->n_layer, sizeof *layer);
    CHECK(layer, NOMEM, "lora: %lld blocks", LL(view->n_layer));
    TRY(read_layers(o->lora_layers, layer, view->n_layer));
    while (opt_next(o->lora_target_modules, &item)) {
        more = item;
        const bool alone = item.index == 0 && !opt_next(o->lora_target_modules, &more);
        if (alone && !is_plain_word(&item)) TRY(name_pattern_create(item.text, item.n, &pattern));
        TRY(choose(&item, pattern, view, layer, chosen));
    }
out:
    name_pattern_destroy(pattern);
    mem_free(layer);
    return rc;
}

/* ---- what is trained ---- */

static Status train_whole(const char *list, const ModelView *view)
{
    Status rc = ST_OK;
    char names[NAMES_MAX_BYTES], tied[NAMES_MAX_BYTES];
    for (OptItem item = {0}; opt_next(list, &item);) {
        bool any = false;
        for (int64_t i = 0; i < view->n_param; i++) {
            if (!module_holds(view->param[i]->name, item.text, item.n)) continue;
            view->param[i]->frozen = false;
            any = true;
        }
        CHECK(any, CONFIG, "modules_to_save: no module is called \"%.*s\"; there are %s%s",
              (int)item.n, item.text, names_of_modules(view, names), names_tied(view, tied));
    }
out:
    return rc;
}

static Status add_matrix(ParamSet *ps, const Site *site, const char *what, int64_t n_row,
                         int64_t n_column, Param **p)
{
    Status rc = ST_OK;
    char *name = mem_printf("%s.%s.weight", site->name, what);
    CHECK(name, NOMEM, "lora: a name");
    CHECK(!params_find(ps, name), CONFIG, "two entries of kind: lora adapt %s", site->name);
    TRY(params_add(ps, name, PARAM_MATRIX, 2, (int64_t[]){n_row, n_column}));
    *p = params_find(ps, name);
out:
    mem_free(name);
    return rc;
}

static Status add_pairs(Lora *lo, const ModelView *view, const bool *chosen, ParamSet *ps)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < view->n_site; i++) {
        const Site *site = view->site[i];
        if (!chosen[i]) continue;
        CHECK(
            site->weight->frozen, CONFIG,
            "%s is trained whole (modules_to_save, or another entry of trainable:) and adapted by "
            "kind: lora, expected one of the two",
            site->name);
        LoraPair *p = &lo->pair[lo->n_pair++];
        *p = (LoraPair){.site = site, .stream = (uint64_t)i};
        TRY(add_matrix(ps, site, "lora_A", lo->opt->lora_r, site->n_in, &p->a));
        TRY(add_matrix(ps, site, "lora_B", site->n_out, lo->opt->lora_r, &p->b));
        p->b->lr_scale = lo->opt->loraplus_lr_ratio;
    }
    CHECK(lo->n_pair > 0, CONFIG, "lora_layers: none of the target modules is in these blocks");
out:
    return rc;
}

static Status lora_create(void **self, const void *opts, const ModelView *view, ParamSet *ps)
{
    Status rc = ST_OK;
    Lora *lo = mem_alloc(sizeof *lo);
    bool *chosen = mem_array(view->n_site, sizeof *chosen);
    CHECK(lo && chosen, NOMEM, "lora: %lld linear layers", LL(view->n_site));
    lo->opt = opts;
    lo->n_site = view->n_site;
    const double r = (double)lo->opt->lora_r;
    lo->scale = lo->opt->lora_alpha / (lo->opt->use_rslora ? sqrt(r) : r);
    lo->pair = mem_array(view->n_site, sizeof *lo->pair);
    CHECK(lo->pair, NOMEM, "lora: %lld linear layers", LL(view->n_site));
    TRY(choose_sites(lo->opt, view, chosen));
    TRY(train_whole(lo->opt->modules_to_save, view));
    TRY(add_pairs(lo, view, chosen, ps));
    *self = lo;
    lo = NULL;
out:
    mem_free(chosen);
    lora_destroy(lo);
    return rc;
}

static void lora_init_weights(void *self, uint64_t seed)
{
    const Lora *lo = self;
    for (int64_t i = 0; i < lo->n_pair; i++) {
        const Param *b = lo->pair[i].b;
        methods_fill_uniform(lo->pair[i].a, seed);
        memset(b->val, 0, (size_t)b->n * sizeof *b->val);
    }
}

static void lora_describe(const void *self, char *buf, size_t n_buf)
{
    const Lora *lo = self;
    const LoraOpts *o = lo->opt;
    int at = snprintf(buf, n_buf, "%lld of %lld linear layers, rank %lld, update x %.6g",
                      LL(lo->n_pair), LL(lo->n_site), LL(o->lora_r), lo->scale);
    if (o->lora_dropout > 0)
        at += snprintf(buf + at, n_buf - (size_t)at, ", dropout %g", o->lora_dropout);
    if (o->loraplus_lr_ratio != 1)
        at += snprintf(buf + at, n_buf - (size_t)at, ", rate of B x %g", o->loraplus_lr_ratio);
    if (o->modules_to_save)
        snprintf(buf + at, n_buf - (size_t)at,
                 "; with modules_to_save some servers refuse the adapter: export it merged");
}

static int64_t lora_width(const void *self, int64_t block)
{
    const Lora *lo = self;
    int64_t width = 0;
    for (int64_t i = 0; i < lo->n_pair; i++) {
        const Site *site = lo->pair[i].site;
        if (site->layer != block) continue;
        width +=
            lo->opt->lora_r; /* the thin product; the update lies where the layer's output lies */
        if (lo->opt->lora_dropout > 0) width += site->n_in;
    }
    return width;
}

/* ---- forward ---- */

static const LoraPair *find_pair(const Lora *lo, const Site *site)
{
    for (int64_t i = 0; i < lo->n_pair; i++)
        if (lo->pair[i].site == site) return &lo->pair[i];
    return NULL;
}

static Status lora_linear(void *self, Tape *t, const Site *site, uint64_t noise, Tensor *x,
                          Tensor *y0, Tensor **y)
{
    Status rc = ST_OK;
    const Lora *lo = self;
    const LoraPair *p = find_pair(lo, site);
    Tensor *a, *b;
    *y = y0;
    if (!p) goto out;
    if (noise != 0)
        TRY(tape_dropout(t, x, &(DropoutArg){lo->opt->lora_dropout, noise, p->stream}, &x));
    TRY(tape_param(t, p->a, &a));
    TRY(tape_param(t, p->b, &b));
    TRY(tape_low_rank_over(t, y0, lo->scale, x, a, b, y)); /* (N,out) */
out:
    return rc;
}

/* W + s B A; where the weight is stored as (in,out), its transpose. */
static Status lora_merge(void *self, const Site *site, real *w)
{
    Status rc = ST_OK;
    const Lora *lo = self;
    const LoraPair *p = find_pair(lo, site);
    const int64_t r = lo->opt->lora_r;
    real *sb = NULL; /* s B: (out,r) */
    if (!p) goto out;
    sb = mem_array(p->b->n, sizeof *sb);
    CHECK(sb, NOMEM, "lora: %lld numbers", LL(p->b->n));
    for (int64_t i = 0; i < p->b->n; i++) sb[i] = (real)lo->scale * p->b->val[i];
    const Mat a = {p->a->val, site->n_in, DT_REAL, site->in_out},
              b = {sb, r, DT_REAL, site->in_out};
    if (site->in_out)
        gemm(site->n_in, site->n_out, r, a, b, 1, w, site->n_out);
    else
        gemm(site->n_out, site->n_in, r, b, a, 1, w, site->n_in);
out:
    mem_free(sb);
    return rc;
}

static bool lora_low_rank(const void *self, int64_t i, LowRank *update)
{
    const Lora *lo = self;
    if (i >= lo->n_pair) return false;
    const LoraPair *p = &lo->pair[i];
    *update = (LowRank){.site = p->site,
                        .a = p->a,
                        .b = p->b,
                        .r = lo->opt->lora_r,
                        .alpha = lo->opt->lora_alpha,
                        .dropout = lo->opt->lora_dropout,
                        .use_rslora = lo->opt->use_rslora};
    return true;
}

const MethodDef method_lora = {.name = "lora",
                               .opts = LORA_OPTS,
                               .opts_size = sizeof(LoraOpts),
                               .create = lora_create,
                               .destroy = lora_destroy,
                               .init_weights = lora_init_weights,
                               .describe = lora_describe,
                               .width = lora_width,
                               .linear = lora_linear,
                               .merge = lora_merge,
                               .low_rank = lora_low_rank};
