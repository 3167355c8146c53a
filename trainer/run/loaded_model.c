/* loaded_model.c — finds the checkpoint that a directory means, and reads its weights. */
#include "trainer/run/loaded_model.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/models/model_json.h"
#include <stdio.h>
#include <string.h>

static bool has_file(const char *dir, const char *name)
{
    char *path = path_join(dir, name);
    const bool has = path && path_exists(path);
    mem_free(path);
    return has;
}

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
    if (has_file(*path, "manifest.json")) goto out;
    mem_free(*path);
    *path = NULL;
    if (path_is_dir(saves)) TRY(ckpt_newest(saves, path));
    CHECK(*path, DATA,
          "%s: holds no checkpoint (manifest.json), no line (line.json) and no checkpoint of a run",
          dir);
out:
    mem_free(saves);
    return rc;
}

static Status find_checkpoint(const char *dir, const char *release, char **path)
{
    Status rc = ST_OK;
    CHECK(path_is_dir(dir), DATA, "%s: is no directory", dir);
    if (has_file(dir, "line.json")) {
        TRY(find_release(dir, release, path));
        goto out;
    }
    CHECK(!release, DATA, "%s: is no line, so there is no release %s to choose", dir, release);
    if (!has_file(dir, "manifest.json")) {
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

/* The config of a run that would start from the folder. */
static Status folder_config(const char *dir, RunConfig **cfg)
{
    enum { LONGEST_ROW = 2048 }; /* of what is evaluated; a text to be continued may be longer */
    Status rc = ST_OK;
    Text yaml = {0};
    ModelConfig sizes;
    TRY(model_config_read(dir, &sizes));
    text_add(&yaml, "model_name_or_path: ");
    text_json_string(&yaml, dir);
    text_printf(&yaml,
                "\noutput_dir: .\nmax_seq_length: %lld\nglobal_batch_size: 1\nmax_steps: 1\n"
                "datasets: [{type: world}]\n",
                LL(sizes.max_position_embeddings < LONGEST_ROW ? sizes.max_position_embeddings
                                                               : LONGEST_ROW));
    TRY(text_check(&yaml));
    TRY(config_parse(dir, yaml.s, yaml.n, 0, NULL, cfg));
out:
    text_fini(&yaml);
    return rc;
}

static Status open_folder(LoadedModel *m, const char *dir)
{
    Status rc = ST_OK;
    snprintf(m->kind, sizeof m->kind, "base");
    m->dir = mem_strdup(dir);
    CHECK(m->dir, NOMEM, "path %s", dir);
    TRY(folder_config(dir, &m->cfg));
    TRY(tokenizer_open(m->cfg->tokenizer, &m->tokenizer));
    TRY(network_open(m->cfg, &m->net));
    snprintf(m->payload_sha256, sizeof m->payload_sha256, "%s", m->net.base_sha256);
out:
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
    TRY(tokenizer_open(m->cfg->tokenizer, &m->tokenizer));
    TRY(network_create(m->cfg, &m->net));
    TRY(read_weights(m, k));
out:
    ckpt_close(k);
    return rc;
}

Status loaded_model_open(const char *dir, const char *release, LoadedModel **out)
{
    Status rc = ST_OK;
    LoadedModel *m = mem_alloc(sizeof *m);
    *out = NULL;
    CHECK(m, NOMEM, "model of %s: %zu bytes", dir, sizeof *m);
    const bool is_folder = has_file(dir, "config.json") && !has_file(dir, "manifest.json");
    CHECK(!is_folder || !release, DATA, "%s: is a stored model, so there is no release %s", dir,
          release);
    TRY(is_folder ? open_folder(m, dir) : open_checkpoint(m, dir, release));
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
    if (strcmp(m->kind, "base") == 0) return positions;
    return trained < positions ? trained : positions;
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
