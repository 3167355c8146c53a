/* loaded_model.c — finds the checkpoint that a directory means, and reads its weights. */
#include "trainer/run/loaded_model.h"
#include "checkpoints/adapter.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/models/model_json.h"
#include <stdio.h>
#include <string.h>

static Status no_release(const Line *line, const char *release)
{
    Text names = {0};
    for (int64_t i = 0; i < line->n_version; i++)
        if (line->version[i].release.dir[0])
            text_printf(&names, "%s%s", names.n ? ", " : "", line->version[i].name);
    const Status rc = status_fail(
        ST_DATA, __FILE__, __LINE__, "%s: there is no release%s%s; released so far: %s", line->dir,
        release ? " " : "", release ? release : "", names.n ? names.s : "none");
    text_fini(&names);
    return rc;
}

static Status find_release(const char *dir, const char *release, char **path)
{
    Status rc = ST_OK;
    Line *line = NULL;
    TRY(line_load(dir, &line));
    if (release) {
        *path = mem_printf("%s/releases/%s", dir, release);
        CHECK(*path, NOMEM, "path of release %s", release);
        if (!ckpt_is(*path)) TRY(no_release(line, release));
        goto out;
    }
    int64_t newest = line->n_version - 1;
    while (newest >= 0 && !line->version[newest].release.dir[0]) newest--;
    if (newest < 0) TRY(no_release(line, release));
    *path = path_join(dir, line->version[newest].release.dir);
    CHECK(*path, NOMEM, "path of release %s", line->version[newest].name);
out:
    line_destroy(line);
    return rc;
}

/* A run that is no line ends in final/; before that it has checkpoints/step-NNNNNN. */
static Status find_end(const char *dir, char **path)
{
    Status rc = ST_OK;
    char *saves = path_join(dir, "checkpoints");
    *path = path_join(dir, "final");
    CHECK(saves && *path, NOMEM, "paths below %s", dir);
    if (path_has(*path, "manifest.json")) goto out;
    mem_free(*path);
    *path = NULL;
    if (path_is_dir(saves)) TRY(ckpt_newest(saves, path));
    CHECK(
        *path, DATA,
        "%s: holds no checkpoint (manifest.json), no line (line.json), no checkpoint of a run and "
        "no stored model (config.json)",
        dir);
out:
    mem_free(saves);
    return rc;
}

static Status find_checkpoint(const char *dir, const char *release, char **path)
{
    Status rc = ST_OK;
    CHECK(path_is_dir(dir), DATA, "%s: is no directory", dir);
    if (path_has(dir, "line.json")) {
        TRY(find_release(dir, release, path));
        goto out;
    }
    CHECK(!release, DATA, "%s: is no line, so there is no release %s to choose", dir, release);
    if (!path_has(dir, "manifest.json")) {
        TRY(find_end(dir, path));
        goto out;
    }
    *path = mem_strdup(dir);
    CHECK(*path, NOMEM, "path %s", dir);
out:
    return rc;
}

static Status read_weights(LoadedModel *m, Ckpt *k)
{
    Status rc = ST_OK;
    char *name = NULL;
    for (int64_t i = 0; i < params_count(m->net.params); i++) {
        const Param *p = params_at(m->net.params, i);
        mem_free(name);
        name = mem_printf("param/%s", p->name);
        CHECK(name, NOMEM, "name of %s", p->name);
        TRY(ckpt_read(k, name, p->n_dim, p->dim, p->val));
    }
out:
    mem_free(name);
    return rc;
}

/* The config of a run that would start from a stored model, from an adapter, or from an adapter on a model. */
static Status folder_config(const char *model, const char *adapter, RunConfig **cfg)
{
    enum { LONGEST_ROW = 2048 }; /* of what is evaluated; a text to be continued may be longer */
    Status rc = ST_OK;
    Text yaml = {0};
    text_add(&yaml, "output_dir: .\nglobal_batch_size: 1\nmax_steps: 1\nmax_seq_length: 2\n"
                    "datasets: [{type: world}]\n");
    if (model) {
        text_add(&yaml, "model_name_or_path: ");
        text_json_string(&yaml, model);
    }
    if (adapter) {
        text_add(&yaml, "\nadapter_name_or_path: ");
        text_json_string(&yaml, adapter);
    }
    TRY(text_check(&yaml));
    TRY(config_parse(adapter ? adapter : model, yaml.s, yaml.n, 0, NULL, cfg));
    PackOpts *pack = &(*cfg)->pack;
    const int64_t positions = (*cfg)->model.max_position_embeddings;
    pack->max_seq_length = positions < LONGEST_ROW ? positions : LONGEST_ROW;
out:
    text_fini(&yaml);
    return rc;
}

static Status open_folder(LoadedModel *m, const char *dir)
{
    Status rc = ST_OK;
    snprintf(m->kind, sizeof m->kind, "base");
    TRY(folder_config(dir, NULL, &m->cfg));
    TRY(network_open(m->cfg, &m->net));
    TRY(network_hash_base(&m->net));
    snprintf(m->payload_sha256, sizeof m->payload_sha256, "%s", m->net.base_sha256);
out:
    return rc;
}

static Status open_adapter(LoadedModel *m, const char *dir, const char *base)
{
    Status rc = ST_OK;
    Adapter *a = NULL;
    snprintf(m->kind, sizeof m->kind, "adapter");
    TRY(adapter_open(dir, &a));
    snprintf(m->payload_sha256, sizeof m->payload_sha256, "%s", adapter_sha256(a));
    TRY(folder_config(base, dir, &m->cfg));
    TRY(network_create(m->cfg, &m->net));
    TRY(network_start(m->cfg, &m->net));
    TRY(network_hash_base(&m->net));
out:
    adapter_close(a);
    return rc;
}

static Status open_checkpoint(LoadedModel *m, const char *dir, const char *release)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TRY(find_checkpoint(dir, release, &m->dir));
    TRY(ckpt_open(m->dir, &k));
    const CkptInfo *info = ckpt_info(k);
    memcpy(m->kind, info->kind, sizeof m->kind);
    memcpy(m->version, info->version, sizeof m->version);
    m->step = info->step;
    snprintf(m->payload_sha256, sizeof m->payload_sha256, "%s", ckpt_payload_sha256(k));
    CHECK(info->config, DATA, "%s: has no config", m->dir);
    TRY(config_from_json(info->config, &m->cfg));
    TRY(network_create(m->cfg, &m->net));
    TRY(network_check_base(&m->net, m->cfg, m->dir, json_object_get(info->extra, "base")));
    TRY(read_weights(m, k));
out:
    ckpt_close(k);
    return rc;
}

/* A folder that is gone, or holds none of the files a tokenizer is read from. */
static bool has_no_tokenizer(const char *name)
{
    static const char *const FILES[] = {"tokenizer.json", "vocab.json", "tokenizer.model"};
    bool any = strcmp(name, "bytes") == 0;
    for (int64_t i = 0; i < N_OF(FILES); i++) any = any || path_has(name, FILES[i]);
    return !any;
}

static Status open_tokenizer(LoadedModel *m, bool optional)
{
    if (!optional || !has_no_tokenizer(m->cfg->tokenizer))
        return tokenizer_open(m->cfg->tokenizer, &m->tokenizer);
    LOG_W("%s: holds no tokenizer, so none goes with the model", m->cfg->tokenizer);
    return ST_OK;
}

Status loaded_model_open(const ModelChoice *choice, LoadedModel **out)
{
    Status rc = ST_OK;
    const char *dir = choice->dir;
    LoadedModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    CHECK(m, NOMEM, "model of %s: %zu bytes", dir, sizeof *m);
    m->is_run =
        path_has(dir, "manifest.json") || !(adapter_is(dir) || path_has(dir, "config.json"));
    const bool on_base = !m->is_run && adapter_is(dir);
    CHECK(m->is_run || !choice->release, DATA, "%s: is a stored %s, so there is no release %s", dir,
          on_base ? "adapter" : "model", choice->release);
    CHECK(on_base || !choice->base, DATA,
          "%s: is no stored adapter, so it is not put on the base %s", dir, choice->base);
    if (m->is_run) {
        TRY(open_checkpoint(m, dir, choice->release));
    } else {
        m->dir = mem_strdup(dir);
        CHECK(m->dir, NOMEM, "path %s", dir);
        TRY(on_base ? open_adapter(m, dir, choice->base) : open_folder(m, dir));
    }
    if (!choice->without_tokenizer) TRY(open_tokenizer(m, choice->tokenizer_optional));
    *out = m;
    m = NULL;
out:
    loaded_model_close(m);
    return rc;
}

void loaded_model_close(LoadedModel *m)
{
    if (!m) return;
    network_fini(&m->net);
    tokenizer_close(m->tokenizer);
    config_destroy(m->cfg);
    mem_free(m->dir);
    mem_free(m);
}

int64_t loaded_model_context(const LoadedModel *m)
{
    const int64_t trained = m->cfg->pack.max_seq_length,
                  positions = model_config(m->net.model)->max_position_embeddings;
    return m->is_run && trained < positions ? trained : positions;
}

Status loaded_model_encode(const LoadedModel *m, const char *text, int64_t n_bytes,
                           TokenizerFlags flags, TokenList *list)
{
    Status rc = ST_OK;
    const int64_t vocab = model_config(m->net.model)->vocab_size, before = list->n;
    TRY(tokenizer_encode(m->tokenizer, text, n_bytes, flags, list));
    for (int64_t i = before; i < list->n; i++)
        CHECK(list->ids[i] < vocab, DATA,
              "%s: its tokenizer gives the token %d, the model has the ids 0 .. %lld (vocab_size)",
              m->dir, list->ids[i], LL(vocab - 1));
out:
    return rc;
}

void loaded_model_json(const LoadedModel *m, Text *out)
{
    text_add(out, "{\"dir\": ");
    text_json_string(out, m->dir);
    text_add(out, ", \"kind\": ");
    text_json_string(out, m->kind);
    text_add(out, ", \"version\": ");
    text_json_string(out, m->version[0] ? m->version : NULL);
    text_printf(out, ", \"step\": %lld, \"payload_sha256\": \"%s\"}", LL(m->step),
                m->payload_sha256);
}
