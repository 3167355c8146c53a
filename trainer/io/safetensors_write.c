/* safetensors_write.c — writing: the header is known from the shapes, the values come one tensor at a
 * time. */
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include "trainer/io/safetensors_parts.h"
#include <jansson.h>
#include <string.h>

enum { ALIGNMENT = 8 };

typedef struct Writer {
    const SafeTensor *tensor; /* all of them; `values` counts in this list */
    SafeTensorValues values;
    void *self;
} Writer;

static Status bytes_of(const SafeTensor *t, int64_t *n_bytes)
{
    Status rc = ST_OK;
    int64_t n;
    const SafeDtype *type = safe_dtype_of(t->dtype);
    CHECK(type && t->n_dim >= 0 && t->n_dim <= SAFETENSORS_MAX_DIM &&
              safe_size(type, t->n_dim, t->dim, &n, n_bytes),
          BUG, "tensor %s has a dtype or shape that cannot be written", t->name);
out:
    return rc;
}

/* Wider elements first, else as given: then each tensor begins at a multiple of its element. */
static void order_by_width(const SafeTensor *tensor, int64_t first, int64_t n, int64_t *order)
{
    int64_t k = 0;
    for (int bits = 64; bits >= 8; bits /= 2)
        for (int64_t i = first; i < first + n; i++)
            if (safe_dtype_of(tensor[i].dtype)->bits == bits) order[k++] = i;
}

static Status describe(json_t *header, const SafeTensor *t, int64_t *at)
{
    Status rc = ST_OK;
    int64_t n_bytes;
    json_t *shape = json_array();
    const size_t n_name = strlen(t->name);
    TRY(bytes_of(t, &n_bytes));
    CHECK(n_name > 0 && n_name <= SAFETENSORS_MAX_NAME && strcmp(t->name, "__metadata__") &&
              !json_object_get(header, t->name),
          BUG, "tensor \"%s\" is doubled, or has a name that cannot be written", t->name);
    for (int d = 0; d < t->n_dim; d++)
        CHECK(json_array_append_new(shape, json_integer(t->dim[d])) == 0, NOMEM,
              "no memory for a header");
    json_t *one = json_pack("{s:s, s:O, s:[I, I]}", "dtype", safe_dtype_of(t->dtype)->name, "shape",
                            shape, "data_offsets", (json_int_t)*at, (json_int_t)(*at + n_bytes));
    CHECK(json_object_set_new(header, t->name, one) == 0, NOMEM, "no memory for a header");
    *at += n_bytes;
out:
    json_decref(shape);
    return rc;
}

/* The length, the header, and spaces up to a multiple of ALIGNMENT. */
static Status make_head(const SafeTensor *tensor, const int64_t *order, int64_t n, char **head,
                        size_t *n_head)
{
    Status rc = ST_OK;
    int64_t at = 0;
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    CHECK(header, NOMEM, "no memory for a header");
    for (int64_t i = 0; i < n; i++) TRY(describe(header, &tensor[order[i]], &at));
    const size_t n_json = json_dumpb(header, NULL, 0, JSON_COMPACT);
    const uint64_t n_padded = (n_json + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    CHECK(n_json > 0, NOMEM, "no memory for a header");
    CHECK(n_padded <= SAFETENSORS_MAX_HEADER, BUG, "a header of %zu bytes, the format allows %d",
          n_json, SAFETENSORS_MAX_HEADER);
    *n_head = sizeof n_padded + n_padded;
    *head = mem_alloc(*n_head);
    CHECK(*head, NOMEM, "no memory for a header of %zu bytes", n_json);
    memset(*head, ' ', *n_head);
    memcpy(*head, &n_padded, sizeof n_padded);
    CHECK(json_dumpb(header, *head + sizeof n_padded, n_json, JSON_COMPACT) == n_json, NOMEM,
          "no memory for a header of %zu bytes", n_json);
out:
    json_decref(header);
    return rc;
}

static Status write_file(const Writer *w, const char *path, int64_t first, int64_t n)
{
    Status rc = ST_OK;
    FileOut *f = NULL;
    char *head = NULL;
    size_t n_head = 0;
    int64_t *order = mem_array(n, sizeof *order), n_bytes;
    CHECK(order, NOMEM, "%s: no memory to order %lld tensors", path, LL(n));
    for (int64_t i = first; i < first + n; i++) TRY(bytes_of(&w->tensor[i], &n_bytes));
    order_by_width(w->tensor, first, n, order);
    TRY(make_head(w->tensor, order, n, &head, &n_head));
    TRY(file_out_begin(path, &f));
    TRY(file_out_put(f, head, n_head));
    for (int64_t i = 0; i < n; i++) {
        const SafeTensor *t = &w->tensor[order[i]];
        const void *data = t->data;
        TRY(bytes_of(t, &n_bytes));
        if (w->values) TRY(w->values(w->self, order[i], &data));
        TRY(file_out_put(f, data, (size_t)n_bytes));
    }
    TRY(file_out_publish(f));
out:
    file_out_end(f);
    mem_free(head);
    mem_free(order);
    return rc;
}

Status safetensors_write(const char *path, const SafeTensor *tensor, int64_t n,
                         SafeTensorValues values, void *self)
{
    const Writer w = {tensor, values, self};
    return write_file(&w, path, 0, n);
}

/* ---- a folder ---- */

/* Where the shards begin, in the given order: first[0] = 0 ... first[n_shard] = n. */
static Status cut_into_shards(const SafeTensor *tensor, int64_t n, int64_t max_bytes,
                              int64_t *first, int64_t *n_shard, int64_t *total)
{
    Status rc = ST_OK;
    int64_t here = 0, n_bytes;
    *n_shard = 1;
    *total = 0;
    first[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        TRY(bytes_of(&tensor[i], &n_bytes));
        if (i > first[*n_shard - 1] && n_bytes > max_bytes - here) {
            first[(*n_shard)++] = i;
            here = 0;
        }
        here += n_bytes;
        *total += n_bytes;
    }
    first[*n_shard] = n;
out:
    return rc;
}

static char *shard_name(int64_t shard, int64_t n_shard)
{
    return mem_printf("model-%05lld-of-%05lld.safetensors", LL(shard + 1), LL(n_shard));
}

static Status write_index(const char *dir, const json_t *map, int64_t total)
{
    return json_file_write(
        dir, SAFETENSORS_INDEX,
        json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map),
        true);
}

static Status write_shards(const Writer *w, const char *dir, const int64_t *first, int64_t n_shard,
                           json_t *map)
{
    Status rc = ST_OK;
    char *name = NULL, *path = NULL;
    for (int64_t s = 0; s < n_shard; s++) {
        mem_free(name);
        mem_free(path);
        path = NULL;
        name = n_shard > 1 ? shard_name(s, n_shard) : mem_strdup(SAFETENSORS_MODEL);
        CHECK(name, NOMEM, "%s: no memory for a name", dir);
        path = path_join(dir, name);
        CHECK(path, NOMEM, "%s: no memory for a name", dir);
        TRY(write_file(w, path, first[s], first[s + 1] - first[s]));
        for (int64_t i = first[s]; i < first[s + 1]; i++) {
            CHECK(!json_object_get(map, w->tensor[i].name), BUG, "tensor %s is there twice",
                  w->tensor[i].name);
            CHECK(json_object_set_new(map, w->tensor[i].name, json_string(name)) == 0, NOMEM,
                  "no memory for an index");
        }
    }
out:
    mem_free(path);
    mem_free(name);
    return rc;
}

Status safetensors_write_folder(const char *dir, const SafeTensor *tensor, int64_t n,
                                int64_t max_bytes, SafeTensorValues values, void *self)
{
    Status rc = ST_OK;
    const Writer w = {tensor, values, self};
    json_t *map = json_object();
    int64_t *first = mem_array(n + 2, sizeof *first), n_shard = 0, total = 0;
    CHECK(map && first, NOMEM, "%s: no memory to write a model", dir);
    CHECK(!path_has(dir, SAFETENSORS_MODEL) && !path_has(dir, SAFETENSORS_INDEX), IO,
          "%s: holds a model already", dir);
    TRY(cut_into_shards(tensor, n, max_bytes, first, &n_shard, &total));
    TRY(write_shards(&w, dir, first, n_shard, map));
    if (n_shard > 1) TRY(write_index(dir, map, total));
out:
    mem_free(first);
    json_decref(map);
    return rc;
}
