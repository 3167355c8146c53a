/* safetensors_folder.c — the files of a model folder, and the index that has to agree with them. */
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include "trainer/io/safetensors_parts.h"
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A shard is a file in the folder itself. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/');
}

/* The names of the shards, each once, in strcmp order. They belong to the document. */
static Status list_shards(JsonAt map, const char ***out, int64_t *out_n)
{
    Status rc = ST_OK;
    int64_t n = 0, n_once = 0;
    const char **shard = mem_array(json_count(map), sizeof *shard);
    CHECK(shard, NOMEM, "no memory for %lld names of shards", LL(json_count(map)));
    for (const char *key = NULL; (key = json_next_key(map, key)); n++) {
        const JsonAt at = json_key(&map, key);
        TRY(json_text(at, &shard[n]));
        if (!is_plain_name(shard[n])) TRY(json_refuse(at, "the name of a file in the same folder"));
    }
    if (n == 0) TRY(json_refuse(map, "the names of tensors and their files"));
    qsort(shard, (size_t)n, sizeof *shard, by_text);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || strcmp(shard[i], shard[i - 1]) != 0) shard[n_once++] = shard[i];
    *out_n = n_once;
    *out = shard;
    shard = NULL;
out:
    mem_free(shard);
    return rc;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Both ways: what is listed is there, what is there is listed. */
static Status compare_with_index(const SafeTensors *s, const char *index, JsonAt map)
{
    Status rc = ST_OK;
    const char *shard;
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const SafeTensor *t = safetensors_at(s, i);
        CHECK(json_has(&map, t->name), FORMAT, "%s: tensor %s is not listed in %s", t->file,
              t->name, index);
        TRY(json_text(json_key(&map, t->name), &shard));
        CHECK(!strcmp(shard, last_part(t->file)), FORMAT,
              "%s: tensor %s is said to be in %s, it is in %s", index, t->name, shard,
              last_part(t->file));
    }
    for (const char *key = NULL; (key = json_next_key(map, key));)
        if (!safetensors_find(s, key)) TRY(json_refuse(json_key(&map, key), "a file that has it"));
out:
    return rc;
}

static Status open_index(const char *dir, const char *index, SafeTensors **out)
{
    Status rc = ST_OK;
    JsonDoc *doc = NULL;
    SafeTensors *s = NULL;
    const char **shard = NULL;
    char *path = NULL;
    int64_t n_shard = 0;
    TRY(json_doc_open(index, SAFETENSORS_MAX_HEADER, &doc));
    const JsonAt top = json_doc_top(doc), map = json_key(&top, "weight_map");
    TRY(json_is_map(map));
    TRY(list_shards(map, &shard, &n_shard));
    TRY(safe_create(&s));
    for (int64_t i = 0; i < n_shard; i++) {
        mem_free(path);
        path = path_join(dir, shard[i]);
        CHECK(path, NOMEM, "%s: no memory for the name of a shard", dir);
        TRY(safe_add_file(s, path));
    }
    TRY(safe_finish(s));
    TRY(compare_with_index(s, index, map));
    *out = s;
    s = NULL;
out:
    safetensors_close(s);
    mem_free(path);
    mem_free(shard);
    json_doc_close(doc);
    return rc;
}

Status safetensors_open_folder(const char *dir, SafeTensors **s)
{
    Status rc = ST_OK;
    char *model = path_join(dir, SAFETENSORS_MODEL), *index = path_join(dir, SAFETENSORS_INDEX);
    *s = NULL;
    CHECK(model && index, NOMEM, "%s: no memory for a name", dir);
    CHECK(path_is_dir(dir), DATA, "%s: is not a directory", dir);
    if (path_exists(model)) {
        TRY(safetensors_open(model, s));
        goto out;
    }
    if (path_exists(index)) {
        TRY(open_index(dir, index, s));
        goto out;
    }
    const bool pickled =
        path_has(dir, "pytorch_model.bin") || path_has(dir, "pytorch_model.bin.index.json");
    CHECK(false, DATA, "%s: has neither " SAFETENSORS_MODEL " nor " SAFETENSORS_INDEX "%s", dir,
          pickled ? "; the pickled weights of pytorch_model.bin are not read, since a pickle is a "
                    "program: save the model as safetensors"
                  : "");
out:
    mem_free(index);
    mem_free(model);
    return rc;
}
