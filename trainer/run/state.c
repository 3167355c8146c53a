/* state.c — the state as named tensors, so that nothing in a checkpoint depends on ranks or layout.
 */
#include "trainer/run/state.h"
#include "trainer/base/mem.h"
#include "trainer/base/profile.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void state_destroy(TrainState *s)
{
    if (!s) return;
    optim_destroy(s->optim);
    network_fini(&s->net);
    mem_free(s->average);
    mem_free(s);
}

Status state_create(const Comm *c, const RunConfig *cfg, TrainState **out)
{
    Status rc = ST_OK;
    TrainState *s = mem_alloc(sizeof *s);
    CHECK(s, NOMEM, "training state: %zu bytes", sizeof *s);
    s->cfg = cfg;
    s->lr = NAN;
    TRY(network_create(cfg, &s->net));
    TRY(optim_create(cfg->optim_def, cfg->optim_opts, &cfg->optim_common, s->net.params, c,
                     &s->optim));
    if (cfg->average_main) {
        s->average = mem_array(params_flat_n(s->net.params), sizeof *s->average);
        CHECK(s->average, NOMEM, "mean of the main path: %lld floats",
              LL(params_flat_n(s->net.params)));
    }
    *out = s;
    s = NULL;
out:
    state_destroy(s);
    return rc;
}

void state_average(TrainState *s)
{
    const float *w = params_flat(s->net.params);
    float *mean = s->average;
    const float share = 1.0f / (float)++s->n_average;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < params_flat_n(s->net.params); i++) mean[i] += (w[i] - mean[i]) * share;
}

void state_swap_average(TrainState *s)
{
    float *w = params_flat(s->net.params), *mean = s->average;
    for (int64_t i = 0; i < params_flat_n(s->net.params); i++) {
        const float other = w[i];
        w[i] = mean[i];
        mean[i] = other;
    }
}

void state_average_reset(TrainState *s)
{
    s->n_average = 0;
    memset(s->average, 0, (size_t)params_flat_n(s->net.params) * sizeof *s->average);
}

/* ---- the list of tensors ---- */

typedef struct TensorList {
    CkptTensor *t;
    char **name;
    int64_t n;
    float *gathered[OPTIM_MAX_SLOT]; /* slots that had to be copied */
} TensorList;

static void list_fini(TensorList *l)
{
    for (int i = 0; i < OPTIM_MAX_SLOT; i++) mem_free(l->gathered[i]);
    for (int64_t i = 0; i < l->n; i++) mem_free(l->name[i]);
    mem_free(l->name);
    mem_free(l->t);
}

static Status list_add_flat(TensorList *l, const ParamSet *ps, const char *prefix, float *flat)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < params_count(ps); i++) {
        const Param *p = params_at(ps, i);
        char *name = mem_printf("%s/%s", prefix, p->name);
        CHECK(name, NOMEM, "name of %s", p->name);
        CkptTensor *t = &l->t[l->n];
        t->name = l->name[l->n++] = name;
        t->n_dim = p->n_dim;
        memcpy(t->dim, p->dim, sizeof p->dim);
        t->val = flat ? flat + p->offset : NULL;
    }
out:
    return rc;
}

/* Weights, then slots, then the mean: what a full state consists of. A slot that this rank does not
 * hold as floats, or not whole, has no val. */
static Status list_state(const TrainState *s, bool with_optimizer, TensorList *l)
{
    Status rc = ST_OK;
    char prefix[64];
    const int64_t n = params_count(s->net.params) * (2 + optim_n_slot(s->optim));
    l->t = mem_array(n, sizeof *l->t);
    l->name = mem_array(n, sizeof *l->name);
    CHECK(l->t && l->name, NOMEM, "list of %lld tensors", LL(n));
    TRY(list_add_flat(l, s->net.params, "param", params_flat(s->net.params)));
    for (int i = 0; with_optimizer && i < optim_n_slot(s->optim); i++) {
        snprintf(prefix, sizeof prefix, "optim/%s", optim_slot_name(s->optim, i));
        TRY(list_add_flat(l, s->net.params, prefix, optim_slot(s->optim, i)));
    }
    if (with_optimizer && s->n_average > 0)
        TRY(list_add_flat(l, s->net.params, "average", s->average));
out:
    return rc;
}

/* The parameter that an entry of the list belongs to, and its slot where it has no val. */
static int slot_of(const TrainState *s, int64_t entry, const Param **p)
{
    const int64_t n = params_count(s->net.params);
    *p = params_at(s->net.params, entry % n);
    return (int)(entry / n) - 1;
}

/* Memory for whole copies of the slots that have no val. Rank: local. */
static Status make_room(const TrainState *s, TensorList *l)
{
    Status rc = ST_OK;
    const Param *p;
    for (int64_t i = 0; i < l->n; i++) {
        if (l->t[i].val) continue;
        float **flat = &l->gathered[slot_of(s, i, &p)];
        if (!*flat) *flat = mem_array(params_flat_n(s->net.params), sizeof **flat);
        CHECK(*flat, NOMEM, "optimizer state to be saved: %lld floats",
              LL(params_flat_n(s->net.params)));
        l->t[i].val = *flat + p->offset;
    }
out:
    return rc;
}

/* Fills them on every rank. Rank: collective. */
static void gather(const Comm *c, const TrainState *s, TensorList *l)
{
    for (int i = 0; i < optim_n_slot(s->optim); i++) {
        if (!l->gathered[i]) continue;
        optim_slot_get(s->optim, i, 0, params_flat_n(s->net.params), l->gathered[i]);
        if (optim_cut(s->optim)) comm_share_pieces(c, l->gathered[i], optim_cut(s->optim));
    }
}

Status state_disk_bytes(const RunConfig *cfg, int64_t *full, int64_t *weights)
{
    Status rc = ST_OK;
    Network net = {0};
    TensorList l = {0};
    const OptimDef *optim = cfg->optim_def;
    const int64_t n_flat = 1 + optim->n_slot + cfg->average_main;
    TRY(network_declare(cfg, &net));
    const ParamSet *ps = net.params;
    l.t = mem_array(n_flat * params_count(ps), sizeof *l.t);
    l.name = mem_array(n_flat * params_count(ps), sizeof *l.name);
    CHECK(l.t && l.name, NOMEM, "list of %lld tensors", LL(n_flat * params_count(ps)));
    TRY(list_add_flat(&l, ps, "param", NULL));
    *weights = ckpt_disk_bytes(l.t, l.n);
    for (int i = 0; i < optim->n_slot; i++) TRY(list_add_flat(&l, ps, optim->slot[i], NULL));
    if (cfg->average_main) TRY(list_add_flat(&l, ps, "average", NULL));
    *full = ckpt_disk_bytes(l.t, l.n);
out:
    list_fini(&l);
    network_fini(&net);
    return rc;
}

/* What the frozen weights are, or the trained ones came from; NULL: nothing stored. */
static json_t *base_to_json(const TrainState *s)
{
    if (!s->net.base_sha256[0]) return NULL;
    return json_pack("{s:s?, s:s}", "path",
                     s->cfg->model_name_or_path ? s->cfg->model_name_or_path : s->cfg->init_from,
                     "sha256", s->net.base_sha256);
}

Status state_save_begin(const Comm *c, TrainState *s, const SaveNote *note, bool with_optimizer,
                        const char *dir, bool background, CkptWrite **w)
{
    Status rc = ST_OK;
    TensorList l = {0};
    const int before = profile_enter(PROFILE_APART, "saving");
    CkptInfo info = {.step = s->step,
                     .tokens = s->tokens,
                     .samples = note->samples,
                     .updates = optim_updates(s->optim),
                     .lr = s->lr,
                     .seed = (uint64_t)s->cfg->seed,
                     .fingerprint = (json_t *)note->numerics};
    snprintf(info.kind, sizeof info.kind, "%s", note->kind);
    snprintf(info.version, sizeof info.version, "%s", note->version);
    Status local = network_hash_base(&s->net);
    info.extra = json_pack("{s:I, s:I, s:f, s:O?, s:o*, s:o*}", "skipped", (json_int_t)s->skipped,
                           "n_average", (json_int_t)s->n_average, "core_seconds", s->core_seconds,
                           "held_out", note->held_out, "base", base_to_json(s), "best",
                           best_to_json(&s->best));
    if (local == ST_OK) local = list_state(s, with_optimizer, &l);
    if (local == ST_OK) local = make_room(s, &l);
    if (local == ST_OK) local = config_to_json(s->cfg, &info.config);
    if (local == ST_OK && !info.extra)
        local = status_fail(ST_NOMEM, __FILE__, __LINE__, "manifest of %s", dir);
    TRY(comm_agree(c, local));
    gather(c, s, &l);
    TRY(ckpt_write_begin(NULL, c, dir, &info, l.t, l.n, background, w));
out:
    profile_leave(before);
    json_decref(info.config);
    json_decref(info.extra);
    list_fini(&l);
    return rc;
}

Status state_save_end(CkptWrite *w)
{
    const int before = profile_enter(PROFILE_APART, "saving");
    const Status rc = ckpt_write_end(w);
    profile_leave(before);
    return rc;
}

Status state_save(const Comm *c, TrainState *s, const SaveNote *note, bool with_optimizer,
                  const char *dir)
{
    Status rc = ST_OK;
    CkptWrite *w = NULL;
    TRY(state_save_begin(c, s, note, with_optimizer, dir, false, &w));
    TRY(state_save_end(w));
out:
    return rc;
}

/* Where nothing is frozen the base is only remembered. */
static void remember_base(TrainState *s, const json_t *extra)
{
    const char *sha256 =
        json_string_value(json_object_get(json_object_get(extra, "base"), "sha256"));
    if (params_n_frozen(s->net.params) == 0)
        snprintf(s->net.base_sha256, sizeof s->net.base_sha256, "%s", sha256 ? sha256 : "");
}

/* A tensor that this rank holds a part of, if any, through a copy. */
static Status read_slot(Ckpt *k, TrainState *s, const TensorList *l, int64_t entry)
{
    Status rc = ST_OK;
    const CkptTensor *t = &l->t[entry];
    const Param *p;
    const int slot = slot_of(s, entry, &p);
    float *val = mem_array(p->n, sizeof *val);
    CHECK(val, NOMEM, "%s: %lld floats", t->name, LL(p->n));
    TRY(ckpt_read(k, t->name, t->n_dim, t->dim, val));
    optim_slot_put(s->optim, slot, p->offset, p->n, val);
out:
    mem_free(val);
    return rc;
}

static Status load(TrainState *s, const char *dir, bool weights_only)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TensorList l = {0};
    TRY(ckpt_open(dir, &k));
    const CkptInfo *info = ckpt_info(k);
    if (!weights_only) {
        TRY(network_check_base(&s->net, s->cfg, dir, json_object_get(info->extra, "base")));
        remember_base(s, info->extra);
    }
    s->n_average = weights_only ? 0 : json_integer_value(json_object_get(info->extra, "n_average"));
    if (!s->average) s->n_average = 0;
    TRY(list_state(s, !weights_only, &l));
    for (int64_t i = 0; i < l.n; i++)
        TRY(l.t[i].val ? ckpt_read(k, l.t[i].name, l.t[i].n_dim, l.t[i].dim, l.t[i].val)
                       : read_slot(k, s, &l, i));
    if (weights_only) goto out;
    s->step = info->step;
    s->tokens = info->tokens;
    s->lr = info->lr;
    s->skipped = json_integer_value(json_object_get(info->extra, "skipped"));
    s->core_seconds = json_number_value(json_object_get(info->extra, "core_seconds"));
    s->best = best_from_json(json_object_get(info->extra, "best"));
    optim_set_updates(s->optim, info->updates);
out:
    list_fini(&l);
    ckpt_close(k);
    return rc;
}

Status state_start(TrainState *s)
{
    Status rc = ST_OK;
    TRY(network_start(s->cfg, &s->net));
    if (s->cfg->init_from && s->cfg->n_method == 0) TRY(load(s, s->cfg->init_from, true));
out:
    return rc;
}

Status state_load(const Comm *c, TrainState *s, const char *dir, bool weights_only)
{
    return comm_agree(c, load(s, dir, weights_only));
}

/* ---- comparing ---- */

static int64_t find_tensor(const TensorList *l, const char *name)
{
    for (int64_t i = 0; i < l->n; i++)
        if (strcmp(l->t[i].name, name) == 0) return i;
    return -1;
}

static Status compare_tensor(Ckpt *k, const char *dir, const TrainState *s, const TensorList *l,
                             int64_t entry)
{
    Status rc = ST_OK;
    const CkptTensor *t = &l->t[entry];
    const Param *p;
    const int slot = slot_of(s, entry, &p);
    const int64_t n = p->n;
    int64_t same = 0;
    float *theirs = mem_array(n, sizeof *theirs), *mine = mem_array(n, sizeof *mine);
    CHECK(theirs && mine, NOMEM, "%s: %lld floats", t->name, LL(n));
    TRY(ckpt_read(k, t->name, t->n_dim, t->dim, theirs));
    memcpy(mine, t->val ? t->val : theirs, (size_t)n * sizeof *mine);
    if (!t->val) optim_slot_get(s->optim, slot, p->offset, p->n, mine);
    while (same < n && memcmp(&theirs[same], &mine[same], sizeof *theirs) == 0) same++;
    CHECK(same == n, DATA, "%s: %s differs from element %lld on: %.9g there, %.9g here", dir,
          t->name, LL(same), (double)theirs[same], (double)mine[same]);
out:
    mem_free(theirs);
    mem_free(mine);
    return rc;
}

Status state_compare(const TrainState *s, const char *dir)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TensorList l = {0};
    TRY(list_state(s, true, &l));
    TRY(ckpt_open(dir, &k));
    const CkptInfo *info = ckpt_info(k);
    CHECK(
        info->step == s->step && info->tokens == s->tokens && info->lr == s->lr &&
            info->updates == optim_updates(s->optim),
        DATA,
        "%s: step %lld, %lld tokens, %lld updates, rate %.17g there; %lld, %lld, %lld, %.17g here",
        dir, LL(info->step), LL(info->tokens), LL(info->updates), info->lr, LL(s->step),
        LL(s->tokens), LL(optim_updates(s->optim)), s->lr);
    for (int64_t i = 0; i < ckpt_n_tensor(k); i++) {
        const char *name = ckpt_tensor_at(k, i)->name;
        const int64_t mine = find_tensor(&l, name);
        CHECK(mine >= 0, DATA, "%s has %s, which is not trained here", dir, name);
        TRY(compare_tensor(k, dir, s, &l, mine));
    }
out:
    ckpt_close(k);
    list_fini(&l);
    return rc;
}
