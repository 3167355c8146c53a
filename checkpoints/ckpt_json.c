/* ckpt_json.c — manifest.json, written with sorted keys and its own digest as the last field, and
 * read as a stranger's. */
#include "checkpoints/ckpt_manifest.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FORMAT_VERSION = 1, MAX_MANIFEST = 64 << 20, DUMP_FLAGS = JSON_SORT_KEYS | JSON_INDENT(1) };
#define FORMAT_NAME "switchyard-checkpoint"
#define MAX_PART ((int64_t)1 << 31)

/* The digest covers every byte before DIGEST_HEAD, which stands where the closing brace of the
 * object was. */
#define DIGEST_HEAD ",\n \"manifest_sha256\": \""
#define DIGEST_TAIL "\"\n}\n"
enum {
    N_HEAD = sizeof DIGEST_HEAD - 1,
    N_TAIL = sizeof DIGEST_TAIL - 1,
    N_DIGEST = N_HEAD + 64 + N_TAIL
};

/* Puts the file's name before a message about its content. */
static Status about(const char *path, Status rc)
{
    char text[1024];
    if (rc != ST_BUG && rc != ST_FORMAT) return rc;
    snprintf(text, sizeof text, "%s: %s", path, status_message());
    return status_adopt(ST_FORMAT, text);
}

static json_t *tensors_to_json(const Manifest *m)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < m->n_tensor; i++) {
        const CkptTensor *t = &m->tensor[i];
        json_t *dims = json_array(), *hashes = json_array();
        bool ok = dims && hashes;
        for (int d = 0; d < t->n_dim; d++)
            ok = ok && json_array_append_new(dims, json_integer(t->dim[d])) == 0;
        for (int64_t s = m->first_slice[i]; s < m->first_slice[i + 1]; s++)
            ok = ok && json_array_append_new(hashes, json_string(m->slice[s].sha256)) == 0;
        json_t *one = json_pack("{s:s, s:s, s:o, s:o}", "name", t->name, "dtype", "F32", "dims",
                                dims, "sha256", hashes);
        if (json_array_append_new(list, one) != 0 || !ok) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *parts_to_json(const Manifest *m)
{
    json_t *list = json_array();
    for (int64_t p = 0; p < m->n_part; p++) {
        char name[CKPT_PART_NAME];
        part_name(p, name);
        json_t *one =
            json_pack("{s:s, s:I, s:s, s:I}", "file", name, "bytes", (json_int_t)m->part[p].n_bytes,
                      "sha256", m->part[p].sha256, "slices", (json_int_t)m->part[p].n_slice);
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *manifest_to_json(const Manifest *m)
{
    const CkptInfo *i = &m->info;
    return json_pack(
        "{s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:O?, s:O?, s:O?, s:s, s:s, s:I, s:I, "
        "s:o, s:o}",
        "format", FORMAT_NAME, "format_version", FORMAT_VERSION, "kind", i->kind, "version",
        i->version, "step", (json_int_t)i->step, "tokens", (json_int_t)i->tokens, "samples",
        (json_int_t)i->samples, "updates", (json_int_t)i->updates, "lr",
        isfinite(i->lr) ? json_real(i->lr) : json_null(), "seed", (json_int_t)i->seed, "config",
        i->config, "fingerprint", i->fingerprint, "extra", i->extra, "payload_sha256",
        m->payload_sha256, "state_sha256", m->state_sha256, "trainable_params",
        (json_int_t)manifest_trainable_params(m), "slice_bytes", (json_int_t)m->slice_bytes,
        "parts", parts_to_json(m), "tensors", tensors_to_json(m));
}

Status manifest_save(const Manifest *m, const char *dir)
{
    Status rc = ST_OK;
    char *text = NULL, *path = path_join(dir, CKPT_MANIFEST), hex[SHA256_HEX];
    json_t *root = manifest_to_json(m);
    CHECK(path && root, NOMEM, "no memory for a manifest");
    const size_t n = json_dumpb(root, NULL, 0, DUMP_FLAGS), body = n - 2; /* without "\n}" */
    CHECK(n > 2, NOMEM, "no memory for a manifest");
    CHECK(n < MAX_MANIFEST, BUG, "%s: would have %zu bytes, at most %d are read", path, n,
          MAX_MANIFEST);
    text = mem_alloc(n + N_DIGEST + 1);
    CHECK(text, NOMEM, "no memory for a manifest of %zu bytes", n);
    CHECK(json_dumpb(root, text, n, DUMP_FLAGS) == n, NOMEM,
          "no memory for a manifest of %zu bytes", n);
    TRY(sha256_bytes(text, body, hex));
    snprintf(text + body, N_DIGEST + 3, DIGEST_HEAD "%s" DIGEST_TAIL, hex);
    TRY(file_write_new(path, text, body + N_DIGEST));
    TRY(file_compare(path, text, body + N_DIGEST));
out:
    json_decref(root);
    mem_free(text);
    mem_free(path);
    return rc;
}

static Status check_digest(const char *text, size_t n)
{
    Status rc = ST_OK;
    char hex[SHA256_HEX];
    const char *digest = text + (n > N_DIGEST ? n - N_DIGEST : 0);
    CHECK(n > N_DIGEST && !memcmp(digest, DIGEST_HEAD, N_HEAD) &&
              !memcmp(text + n - N_TAIL, DIGEST_TAIL, N_TAIL),
          FORMAT, "does not end with its own digest: truncated, or not a checkpoint's manifest");
    TRY(sha256_bytes(text, n - N_DIGEST, hex));
    CHECK(!memcmp(digest + N_HEAD, hex, 64), FORMAT,
          "was changed: its SHA-256 is %s, it says %.64s", hex, digest + N_HEAD);
out:
    return rc;
}

/* jansson's answer as ours; out of memory it may say nothing at all. */
static Status parsed(bool ok, const json_error_t *e)
{
    Status rc = ST_OK;
    const bool no_memory = !e->text[0] || json_error_code(e) == json_error_out_of_memory;
    CHECK(ok || !no_memory, NOMEM, "no memory for a manifest");
    CHECK(ok, FORMAT, "line %d: %s", e->line, e->text);
out:
    return rc;
}

static Status copy_text(char *to, size_t n_to, const char *from, const char *key)
{
    Status rc = ST_OK;
    CHECK(strlen(from) < n_to, FORMAT, "%s has %zu characters, at most %zu fit", key, strlen(from),
          n_to - 1);
    memcpy(to, from, strlen(from) + 1);
out:
    return rc;
}

static Status copy_hash(char to[SHA256_HEX], const char *from, const char *what)
{
    Status rc = ST_OK;
    CHECK(from && sha256_is_hex(from), FORMAT, "%s has no SHA-256 of 64 hex digits", what);
    memcpy(to, from, SHA256_HEX);
out:
    return rc;
}

static json_t *kept(json_t *value)
{
    return value && !json_is_null(value) ? json_incref(value) : NULL;
}

static Status read_info(json_t *root, Manifest *m)
{
    Status rc = ST_OK;
    CkptInfo *i = &m->info;
    json_error_t e;
    json_int_t step, tokens, samples, updates, seed, slice_bytes;
    json_t *lr, *config, *fingerprint, *extra;
    const char *kind, *version, *payload, *state;
    TRY(parsed(json_unpack_ex(
                   root, &e, 0,
                   "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:s, s:I, s:o, s:o, s:o}", "kind",
                   &kind, "version", &version, "step", &step, "tokens", &tokens, "samples",
                   &samples, "updates", &updates, "seed", &seed, "lr", &lr, "payload_sha256",
                   &payload, "state_sha256", &state, "slice_bytes", &slice_bytes, "config", &config,
                   "fingerprint", &fingerprint, "extra", &extra) == 0,
               &e));
    TRY(copy_text(i->kind, sizeof i->kind, kind, "kind"));
    TRY(copy_text(i->version, sizeof i->version, version, "version"));
    TRY(copy_hash(m->payload_sha256, payload, "payload_sha256"));
    TRY(copy_hash(m->state_sha256, state, "state_sha256"));
    i->step = step;
    i->tokens = tokens;
    i->samples = samples;
    i->updates = updates;
    i->seed = (uint64_t)seed;
    i->lr = json_is_number(lr) ? json_number_value(lr) : (double)NAN;
    i->config = kept(config);
    i->fingerprint = kept(fingerprint);
    i->extra = kept(extra);
    m->slice_bytes = slice_bytes;
    TRY(info_check(i));
    CHECK(slice_bytes >= 4, FORMAT, "slices of %lld bytes", LL(slice_bytes));
out:
    return rc;
}

static Status read_tensor(json_t *one, const Manifest *m, CkptTensor *t, json_t **hashes)
{
    Status rc = ST_OK;
    json_error_t e;
    json_t *dims;
    const char *name, *dtype;
    TRY(parsed(json_unpack_ex(one, &e, 0, "{s:s, s:s, s:o, s:o}", "name", &name, "dtype", &dtype,
                              "dims", &dims, "sha256", hashes) == 0,
               &e));
    CHECK(!strcmp(dtype, "F32"), FORMAT, "%.80s has dtype %.16s, this program knows F32", name,
          dtype);
    t->n_dim = json_array_size(dims) <= 4 ? (int)json_array_size(dims) : 0;
    for (int d = 0; d < t->n_dim; d++)
        t->dim[d] = json_integer_value(json_array_get(dims, (size_t)d));
    t->name = mem_strdup(name);
    CHECK(t->name, NOMEM, "no memory for a manifest");
    TRY(tensor_check(t));
    CHECK((int64_t)json_array_size(*hashes) == tensor_n_slice(t, m->slice_bytes), FORMAT,
          "%s has %zu slice digests, its shape asks for %lld", t->name, json_array_size(*hashes),
          LL(tensor_n_slice(t, m->slice_bytes)));
out:
    return rc;
}

static Status read_tensors(json_t *list, Manifest *m)
{
    Status rc = ST_OK;
    const int64_t n = (int64_t)json_array_size(list);
    json_t *hashes;
    m->tensor = mem_array(n, sizeof *m->tensor);
    CHECK(m->tensor, NOMEM, "no memory for a manifest");
    while (m->n_tensor < n) {
        const size_t i = (size_t)m->n_tensor++;
        TRY(read_tensor(json_array_get(list, i), m, &m->tensor[i], &hashes));
    }
    TRY(manifest_cut(m));
    for (int64_t s = 0; s < m->n_slice; s++) {
        const int64_t i = m->slice[s].tensor;
        hashes = json_object_get(json_array_get(list, (size_t)i), "sha256");
        const json_t *hash = json_array_get(hashes, (size_t)(s - m->first_slice[i]));
        TRY(copy_hash(m->slice[s].sha256, json_string_value(hash), m->tensor[i].name));
    }
out:
    return rc;
}

static Status read_parts(json_t *list, Manifest *m)
{
    Status rc = ST_OK;
    const int64_t n = (int64_t)json_array_size(list);
    json_error_t e;
    int64_t slice = 0;
    m->part = mem_array(n, sizeof *m->part);
    CHECK(m->part, NOMEM, "no memory for a manifest");
    for (; m->n_part < n; m->n_part++) {
        CkptPart *p = &m->part[m->n_part];
        char expected[CKPT_PART_NAME];
        const char *file, *hash;
        json_int_t n_bytes, n_slice;
        part_name(m->n_part, expected);
        TRY(parsed(json_unpack_ex(json_array_get(list, (size_t)m->n_part), &e, 0,
                                  "{s:s, s:I, s:s, s:I}", "file", &file, "bytes", &n_bytes,
                                  "sha256", &hash, "slices", &n_slice) == 0,
                   &e));
        CHECK(!strcmp(file, expected), FORMAT, "part %lld is the file \"%.80s\", not %s",
              LL(m->n_part), file, expected);
        CHECK(n_bytes >= 1 && n_bytes <= MAX_PART, FORMAT, "%s has %lld bytes", expected,
              LL(n_bytes));
        CHECK(n_slice >= 1 && n_slice <= m->n_slice - slice, FORMAT,
              "%s has %lld slices, %lld are left", expected, LL(n_slice), LL(m->n_slice - slice));
        TRY(copy_hash(p->sha256, hash, expected));
        p->n_bytes = n_bytes;
        p->n_slice = n_slice;
        p->first_slice = slice;
        for (int64_t k = 0; k < n_slice; k++) m->slice[slice++].part = m->n_part;
    }
    CHECK(slice == m->n_slice, FORMAT, "the parts have %lld slices, the tensors %lld", LL(slice),
          LL(m->n_slice));
out:
    return rc;
}

static Status read_manifest(const char *text, size_t n, Manifest *m)
{
    Status rc = ST_OK;
    json_error_t e = {0};
    json_t *root = NULL, *tensors, *parts;
    const char *format;
    int version;
    TRY(check_digest(text, n));
    root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    TRY(parsed(root != NULL, &e));
    TRY(parsed(json_unpack_ex(root, &e, 0, "{s:s, s:i, s:o, s:o}", "format", &format,
                              "format_version", &version, "tensors", &tensors, "parts",
                              &parts) == 0,
               &e));
    CHECK(!strcmp(format, FORMAT_NAME), FORMAT, "its format is \"%.80s\", not " FORMAT_NAME,
          format);
    CHECK(version == FORMAT_VERSION, FORMAT, "has format version %d, this program reads version %d",
          version, FORMAT_VERSION);
    TRY(read_info(root, m));
    TRY(read_tensors(tensors, m));
    TRY(read_parts(parts, m));
out:
    json_decref(root);
    return rc;
}

Status manifest_load(const char *dir, Manifest **out)
{
    Status rc = ST_OK;
    size_t n = 0;
    char *text = NULL, *path = path_join(dir, CKPT_MANIFEST);
    Manifest *m = mem_alloc(sizeof *m);
    *out = NULL;
    CHECK(path && m, NOMEM, "no memory for a manifest");
    TRY(file_read_all(path, MAX_MANIFEST, &text, &n));
    TRY(about(path, read_manifest(text, n, m)));
    *out = m;
    m = NULL;
out:
    manifest_destroy(m);
    mem_free(text);
    mem_free(path);
    return rc;
}
