/* network.c — see network.h. */
#include "trainer/run/network.h"
#include "checkpoints/adapter.h"
#include "checkpoints/ckpt.h"
#include "trainer/base/mem.h"
#include "trainer/models/segments.h"
#include "trainer/models/transformer.h"
#include "trainer/models/weights.h"
#include "trainer/run/config_bind.h"
#include <stdio.h>
#include <string.h>

static Status check_rows(const RunConfig *cfg, const Segments *segments)
{
    Status rc = ST_OK;
    CHECK(!segments || cfg->pack.max_seq_length > segments->len, CONFIG,
          "max_seq_length: found %lld, expected more than segment_len: %lld, for a row of one "
          "segment has no use for a memory",
          LL(cfg->pack.max_seq_length), LL(segments ? segments->len : 0));
out:
    return rc;
}

Status network_declare(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    *net = (Network){0};
    TRY(params_create(&net->params));
    TRY(model_create(&cfg->model, net->params, &net->model));
    const ModelView view = model_view(net->model);
    rc = methods_create(cfg->methods, cfg->n_method, &view, net->params, &net->hooks);
    TRY(config_refuse_methods(cfg, rc));
    model_set_hooks(net->model, net->hooks);
    TRY(config_refuse_methods(cfg, check_rows(cfg, model_segments(net->model))));
    TRY(params_split(net->params));
out:
    return rc;
}

Status network_look(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    TRY(network_declare(cfg, net));
    if (!cfg->model_name_or_path) goto out;
    TRY(safetensors_open_folder(cfg->model_name_or_path, &net->base));
    TRY(model_read_weights(net->model, net->base, cfg->model_name_or_path, WEIGHTS_LOOK));
out:
    return rc;
}

static Status open_base(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    if (net->base) goto out;
    TRY(safetensors_open_folder(cfg->model_name_or_path, &net->base));
out:
    return rc;
}

Status network_hash_base(Network *net)
{
    if (!net->base || net->base_sha256[0]) return ST_OK;
    return safetensors_sha256(net->base, net->base_sha256);
}

/* A frozen model that is no folder: the weights of a checkpoint that trained all of it. */
static Status read_frozen(Network *net, const char *dir)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    char *name = NULL;
    TRY(ckpt_open(dir, &k));
    snprintf(net->base_sha256, sizeof net->base_sha256, "%s", ckpt_payload_sha256(k));
    for (int64_t i = 0; i < params_n_frozen(net->params); i++) {
        const Param *p = params_frozen_at(net->params, i);
        mem_free(name);
        name = mem_printf("param/%s", p->name);
        CHECK(name, NOMEM, "name of %s", p->name);
        TRY(ckpt_read(k, name, p->n_dim, p->dim, p->val));
    }
out:
    mem_free(name);
    ckpt_close(k);
    return rc;
}

static Status give_frozen(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    if (cfg->model_name_or_path) {
        TRY(open_base(cfg, net));
        TRY(model_read_weights(net->model, net->base, cfg->model_name_or_path, WEIGHTS_FROZEN));
        goto out;
    }
    for (int64_t i = 0; i < params_n_frozen(net->params); i++)
        TRY(params_own(params_frozen_at(net->params, i)));
    if (cfg->init_from)
        TRY(read_frozen(net, cfg->init_from));
    else
        model_init_weights(net->model, (uint64_t)cfg->seed);
out:
    return rc;
}

Status network_create(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    TRY(network_declare(cfg, net));
    TRY(params_seal(net->params));
    if (params_n_frozen(net->params) > 0) TRY(give_frozen(cfg, net));
out:
    return rc;
}

Status network_open(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    *net = (Network){0};
    TRY(params_create(&net->params));
    TRY(model_create(&cfg->model, net->params, &net->model));
    const ModelView view = model_view(net->model);
    for (int64_t i = 0; i < view.n_param; i++) view.param[i]->frozen = true;
    TRY(params_seal(net->params));
    TRY(give_frozen(cfg, net));
out:
    return rc;
}

/* ---- adapters ---- */

static bool find_update(const Network *net, const char *module, LowRank *update)
{
    for (int64_t h = 0; h < net->hooks->n; h++) {
        const Hook *hook = &net->hooks->at[h];
        for (int64_t i = 0; hook->def->low_rank && hook->def->low_rank(hook->self, i, update); i++)
            if (strcmp(update->site->name, module) == 0) return true;
    }
    return false;
}

/* Every update of the adapter is trained here, at the same scale. */
static Status check_pairs(const Adapter *a, const char *dir, const Network *net)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < adapter_n_pair(a); i++) {
        const AdapterPair *p = adapter_pair_at(a, i);
        LowRank u;
        CHECK(find_update(net, p->module, &u), CONFIG,
              "%s: adapts %s, which no entry of trainable: does", dir, p->module);
        CHECK(u.alpha == p->alpha && u.use_rslora == p->use_rslora, CONFIG,
              "%s: %s has lora_alpha %g%s, trainable: says %g%s", dir, p->module, p->alpha,
              p->use_rslora ? " with rsLoRA" : "", u.alpha, u.use_rslora ? " with rsLoRA" : "");
    }
out:
    return rc;
}

static int64_t find_whole(const Adapter *a, const char *param)
{
    int64_t i = adapter_n_whole(a) - 1;
    while (i >= 0 && strcmp(adapter_whole_at(a, i), param) != 0) i--;
    return i;
}

/* Where the head is the table, so it is in the adapter. */
static Status check_tied(const Adapter *a, const char *dir, const Network *net)
{
    Status rc = ST_OK;
    const Param *table = model_head(net->model);
    const int64_t head = find_whole(a, "lm_head.weight"), at = find_whole(a, table->name);
    if (!model_view(net->model).tied) goto out;
    const bool apart = head >= 0 ? at < 0 || !adapter_whole_same(a, head, at)
                                 : at >= 0 && adapter_unties(a, table->name);
    CHECK(!apart, CONFIG, "%s: trains lm_head and %s apart, which are one table in this base", dir,
          table->name);
out:
    return rc;
}

/* Everything the adapter holds is trained here. */
static Status check_adapter(const Adapter *a, const char *dir, const Network *net)
{
    Status rc = ST_OK;
    const bool tied = model_view(net->model).tied;
    TRY(check_pairs(a, dir, net));
    for (int64_t i = 0; i < adapter_n_whole(a); i++) {
        const char *whole = adapter_whole_at(a, i);
        const Param *p = params_find(net->params, whole);
        CHECK((p && !p->frozen) || (tied && strcmp(whole, "lm_head.weight") == 0), CONFIG,
              "%s: trains %s whole, which no entry of trainable: does", dir, whole);
    }
    TRY(check_tied(a, dir, net));
out:
    return rc;
}

static Status read_adapter(const char *dir, Network *net)
{
    Status rc = ST_OK;
    Adapter *a = NULL;
    TRY(adapter_open(dir, &a));
    TRY(check_adapter(a, dir, net));
    for (int64_t i = 0; i < params_count(net->params); i++) {
        const Param *p = params_at(net->params, i);
        TRY(adapter_read(a, p->name, p->n_dim, p->dim, p->val));
    }
out:
    adapter_close(a);
    return rc;
}

Status network_start(const RunConfig *cfg, Network *net)
{
    Status rc = ST_OK;
    if (cfg->model_name_or_path) {
        TRY(open_base(cfg, net));
        TRY(model_read_weights(net->model, net->base, cfg->model_name_or_path, WEIGHTS_ALL));
    } else if (params_n_frozen(net->params) == 0) {
        model_init_weights(net->model, (uint64_t)cfg->seed);
    }
    methods_init_weights(net->hooks, (uint64_t)cfg->seed);
    if (cfg->adapter_name_or_path) TRY(read_adapter(cfg->adapter_name_or_path, net));
out:
    return rc;
}

Status network_check_base(Network *net, const RunConfig *cfg, const char *dir, const json_t *base)
{
    Status rc = ST_OK;
    const char *sha256 = json_string_value(json_object_get(base, "sha256")),
               *path = json_string_value(json_object_get(base, "path"));
    if (params_n_frozen(net->params) == 0) goto out;
    TRY(network_hash_base(net));
    CHECK(strcmp(net->base_sha256, sha256 ? sha256 : "") == 0, DATA,
          "%s: was trained on the base %s with the SHA-256 %.16s..., %s has %.16s...", dir,
          path ? path : "of its seed", sha256 ? sha256 : "(none)",
          cfg->model_name_or_path ? cfg->model_name_or_path : "this run's", net->base_sha256);
out:
    return rc;
}

void network_fini(Network *net)
{
    model_destroy(net->model);
    methods_destroy(net->hooks);
    params_destroy(net->params);
    safetensors_close(net->base);
    *net = (Network){0};
}
