/* safetensors.c — reading: a length, a JSON header, and data that the tensors have to cover without
 * hole or overlap. Nothing is pointed at before the whole header has been found true. */
#include "trainer/io/safetensors.h"
#include "trainer/base/mem.h"
#include "trainer/io/json_file.h"
#include "trainer/io/mapped.h"
#include "trainer/io/safetensors_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are used as they lie in the file");

enum { LENGTH_BYTES = 8 };

typedef struct Entry {
    SafeTensor t; /* first: what is handed out */
    char *name;
    void *copy; /* of data that are not aligned in the file; else NULL */
    int64_t begin, end;
    size_t elem_bytes;
} Entry;

typedef struct SafeFile {
    char *path;
    Mapped *mapped; /* NULL: bytes are the caller's */
    const unsigned char *bytes;
    size_t n_bytes;
} SafeFile;

struct SafeTensors {
    SafeFile *file;
    int64_t n_file;
    Entry *entry;
    int64_t n_entry;
};

// clang-format off
static const SafeDtype DTYPES[] = {
    {"F64",  64, DT_F64},  {"F32", 32, DT_F32},  {"F16", 16, DT_F16}, {"BF16", 16, DT_BF16},
    {"C64",  64, N_DTYPE}, {"I64", 64, N_DTYPE}, {"I32", 32, N_DTYPE}, {"I16", 16, N_DTYPE}, {"I8", 8, N_DTYPE},
    {"BOOL",  8, N_DTYPE}, {"U64", 64, N_DTYPE}, {"U32", 32, N_DTYPE}, {"U16", 16, N_DTYPE}, {"U8", 8, N_DTYPE},
    {"F8_E4M3",     8, N_DTYPE}, {"F8_E5M2",     8, N_DTYPE}, {"F8_E8M0", 8, N_DTYPE},
    {"F8_E4M3FNUZ", 8, N_DTYPE}, {"F8_E5M2FNUZ", 8, N_DTYPE},
    {"F6_E2M3",     6, N_DTYPE}, {"F6_E3M2",     6, N_DTYPE}, {"F4",      4, N_DTYPE},
};
// clang-format on

const SafeDtype *safe_dtype_named(const char *name)
{
    for (int64_t i = 0; i < N_OF(DTYPES); i++)
        if (!strcmp(DTYPES[i].name, name)) return &DTYPES[i];
    return NULL;
}

const SafeDtype *safe_dtype_of(Dtype dtype)
{
    for (int64_t i = 0; dtype < N_DTYPE && i < N_OF(DTYPES); i++)
        if (DTYPES[i].dtype == dtype) return &DTYPES[i];
    return NULL;
}

bool safe_size(const SafeDtype *type, int n_dim, const int64_t *dim, int64_t *n, int64_t *n_bytes)
{
    int64_t bits;
    *n = 1;
    for (int d = 0; d < n_dim; d++)
        if (dim[d] < 0 || __builtin_mul_overflow(*n, dim[d], n)) return false;
    if (__builtin_mul_overflow(*n, type->bits, &bits) || bits % 8 != 0) return false;
    *n_bytes = bits / 8;
    return true;
}

/* ---- one file ---- */

static Status check_name(const char *file, const char *name)
{
    Status rc = ST_OK;
    const size_t n = strlen(name);
    CHECK(n > 0 && n <= SAFETENSORS_MAX_NAME, FORMAT,
          "%s: the name of a tensor has %zu bytes, expected 1 .. %d", file, n,
          SAFETENSORS_MAX_NAME);
    for (size_t i = 0; i < n; i++)
        CHECK((unsigned char)name[i] >= ' ' && name[i] != 0x7f, FORMAT,
              "%s: the name of a tensor has the control character 0x%02x", file, name[i]);
out:
    return rc;
}

static Status check_metadata(JsonAt metadata)
{
    Status rc = ST_OK;
    const char *text;
    if (!json_is_there(metadata)) goto out; /* null is written for "none" */
    TRY(json_is_map(metadata));
    for (const char *key = NULL; (key = json_next_key(metadata, key));)
        TRY(json_text(json_key(&metadata, key), &text));
out:
    return rc;
}

/* "[2,3]" */
static const char *shape_text(const SafeTensor *t, char text[256])
{
    size_t used = 0;
    for (int d = 0; d < t->n_dim; d++)
        used += (size_t)snprintf(text + used, 256 - used, "%s%lld", d ? "," : "[", LL(t->dim[d]));
    snprintf(text + used, 256 - used, used ? "]" : "[]");
    return text;
}

static Status read_shape(JsonAt shape, SafeTensor *t)
{
    Status rc = ST_OK;
    TRY(json_is_list(shape));
    CHECK(json_count(shape) <= SAFETENSORS_MAX_DIM, FORMAT,
          "%s: tensor %s has %lld dims, at most %d are read", t->file, t->name,
          LL(json_count(shape)), SAFETENSORS_MAX_DIM);
    t->n_dim = (int)json_count(shape);
    for (int d = 0; d < t->n_dim; d++)
        TRY(json_i64(json_item(&shape, d), 0, INT64_MAX, &t->dim[d]));
out:
    return rc;
}

static Status read_entry(JsonAt at, const char *file, Entry *e)
{
    Status rc = ST_OK;
    SafeTensor *t = &e->t;
    char shape[256];
    const char *dtype;
    int64_t n_bytes = 0;
    TRY(check_name(file, at.key));
    e->name = mem_strdup(at.key);
    CHECK(e->name, NOMEM, "%s: no memory for the name of a tensor", file);
    t->name = e->name;
    t->file = file;
    TRY(json_is_map(at));
    TRY(json_text(json_key(&at, "dtype"), &dtype));
    const SafeDtype *type = safe_dtype_named(dtype);
    if (!type)
        TRY(json_refuse(json_key(&at, "dtype"), "a dtype of the format: F32, F16, BF16 ..."));
    t->stored_dtype = type->name;
    t->dtype = type->dtype;
    TRY(read_shape(json_key(&at, "shape"), t));
    const JsonAt offsets = json_key(&at, "data_offsets");
    if (json_count(offsets) != 2) TRY(json_refuse(offsets, "a list of two offsets, begin and end"));
    TRY(json_i64(json_item(&offsets, 0), 0, INT64_MAX, &e->begin));
    TRY(json_i64(json_item(&offsets, 1), e->begin, INT64_MAX, &e->end));
    CHECK(safe_size(type, t->n_dim, t->dim, &t->n, &n_bytes), FORMAT,
          "%s: tensor %s: no file holds %s %s", file, t->name, dtype, shape_text(t, shape));
    CHECK(n_bytes == e->end - e->begin, FORMAT,
          "%s: tensor %s: %s %s takes %lld bytes, its data_offsets give it %lld", file, t->name,
          dtype, shape_text(t, shape), LL(n_bytes), LL(e->end - e->begin));
    t->n_bytes = (size_t)n_bytes;
    e->elem_bytes = type->bits >= 8 ? (size_t)type->bits / 8 : 1;
out:
    return rc;
}

static int by_offset(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* Sorts the entries of one file by their place in it. */
static Status check_cover(const char *file, Entry *e, int64_t n, int64_t data_bytes)
{
    Status rc = ST_OK;
    int64_t at = 0;
    qsort(e, (size_t)n, sizeof *e, by_offset);
    for (int64_t i = 0; i < n; at = e[i++].end)
        CHECK(e[i].begin == at, FORMAT,
              "%s: tensor %s begins at byte %lld of the data, expected %lld, where %s%s", file,
              e[i].name, LL(e[i].begin), LL(at), i ? e[i - 1].name : "the data begin",
              i ? " ends" : "");
    CHECK(at == data_bytes, FORMAT, "%s: its tensors take %lld bytes, it has %lld for them", file,
          LL(at), LL(data_bytes));
out:
    return rc;
}

static Status point_at(Entry *e, const unsigned char *data)
{
    Status rc = ST_OK;
    e->t.data = data + e->begin;
    if ((uintptr_t)e->t.data % e->elem_bytes == 0) goto out;
    e->copy = mem_alloc(e->t.n_bytes);
    CHECK(e->copy, NOMEM, "%s: no memory for %zu bytes of tensor %s", e->t.file, e->t.n_bytes,
          e->name);
    e->t.data = memcpy(e->copy, e->t.data, e->t.n_bytes);
out:
    return rc;
}

static Status read_header(const SafeFile *f, JsonDoc **header, size_t *n_header)
{
    Status rc = ST_OK;
    uint64_t n = 0;
    char label[512];
    CHECK(f->n_bytes >= LENGTH_BYTES, FORMAT,
          "%s: has %zu bytes, a safetensors file begins with %d that give its header's length",
          f->path, f->n_bytes, LENGTH_BYTES);
    memcpy(&n, f->bytes, LENGTH_BYTES);
    CHECK(n <= SAFETENSORS_MAX_HEADER, FORMAT,
          "%s: its header would have %llu bytes, the format allows %d: not a safetensors file",
          f->path, (unsigned long long)n, SAFETENSORS_MAX_HEADER);
    CHECK(n <= f->n_bytes - LENGTH_BYTES, FORMAT,
          "%s: its header would have %llu bytes, the file ends after %zu of them", f->path,
          (unsigned long long)n, f->n_bytes - LENGTH_BYTES);
    CHECK(n > 0 && f->bytes[LENGTH_BYTES] == '{', FORMAT, "%s: its header does not begin with '{'",
          f->path);
    snprintf(label, sizeof label, "%s, header", f->path);
    TRY(json_doc_parse(label, (const char *)f->bytes + LENGTH_BYTES, n, header));
    *n_header = n;
out:
    return rc;
}

static Status read_file(SafeTensors *s, const SafeFile *f)
{
    Status rc = ST_OK;
    JsonDoc *header = NULL;
    size_t n_header = 0;
    const int64_t first = s->n_entry;
    TRY(read_header(f, &header, &n_header));
    const JsonAt top = json_doc_top(header);
    const unsigned char *data = f->bytes + LENGTH_BYTES + n_header;
    Entry *grown = mem_resize(s->entry, (size_t)first * sizeof *grown,
                              (size_t)(first + json_count(top)) * sizeof *grown);
    CHECK(grown, NOMEM, "%s: no memory for %lld tensors", f->path, LL(json_count(top)));
    s->entry = grown;
    for (const char *key = NULL; (key = json_next_key(top, key));)
        if (strcmp(key, "__metadata__") == 0)
            TRY(check_metadata(json_key(&top, key)));
        else
            TRY(read_entry(json_key(&top, key), f->path, &s->entry[s->n_entry++]));
    TRY(check_cover(f->path, s->entry + first, s->n_entry - first,
                    (int64_t)(f->n_bytes - LENGTH_BYTES - n_header)));
    for (int64_t i = first; i < s->n_entry; i++) TRY(point_at(&s->entry[i], data));
out:
    json_doc_close(header);
    return rc;
}

/* ---- a collection of files ---- */

Status safe_create(SafeTensors **s)
{
    Status rc = ST_OK;
    *s = mem_alloc(sizeof **s);
    CHECK(*s, NOMEM, "no memory to read safetensors");
out:
    return rc;
}

/* With `bytes`, they are the file; else it is mapped. */
static Status add_file(SafeTensors *s, const char *path, const void *bytes, size_t n)
{
    Status rc = ST_OK;
    const size_t now = (size_t)s->n_file * sizeof *s->file;
    SafeFile *grown = mem_resize(s->file, now, now + sizeof *grown);
    CHECK(grown, NOMEM, "%s: no memory to read it", path);
    s->file = grown;
    SafeFile *f = &s->file[s->n_file++];
    f->path = mem_strdup(path);
    CHECK(f->path, NOMEM, "%s: no memory to read it", path);
    if (!bytes) {
        TRY(mapped_open(path, &f->mapped));
        bytes = mapped_data(f->mapped);
        n = (size_t)mapped_bytes(f->mapped);
    }
    f->bytes = bytes;
    f->n_bytes = n;
    TRY(read_file(s, f));
out:
    return rc;
}

Status safe_add_file(SafeTensors *s, const char *path)
{
    return add_file(s, path, NULL, 0);
}

static int by_name(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

Status safe_finish(SafeTensors *s)
{
    Status rc = ST_OK;
    if (s->n_entry > 0) qsort(s->entry, (size_t)s->n_entry, sizeof *s->entry, by_name);
    for (int64_t i = 1; i < s->n_entry; i++)
        CHECK(by_name(&s->entry[i - 1], &s->entry[i]) != 0, FORMAT,
              "tensor %s is in both %s and %s", s->entry[i].name, s->entry[i - 1].t.file,
              s->entry[i].t.file);
out:
    return rc;
}

static Status open_one(const char *path, const void *bytes, size_t n, SafeTensors **out)
{
    Status rc = ST_OK;
    SafeTensors *s = NULL;
    *out = NULL;
    TRY(safe_create(&s));
    TRY(add_file(s, path, bytes, n));
    TRY(safe_finish(s));
    *out = s;
    s = NULL;
out:
    safetensors_close(s);
    return rc;
}

Status safetensors_open(const char *path, SafeTensors **s)
{
    return open_one(path, NULL, 0, s);
}

Status safetensors_open_bytes(const char *label, const void *bytes, size_t n, SafeTensors **s)
{
    return open_one(label, bytes, n, s);
}

void safetensors_close(SafeTensors *s)
{
    if (!s) return;
    for (int64_t i = 0; i < s->n_entry; i++) {
        mem_free(s->entry[i].copy);
        mem_free(s->entry[i].name);
    }
    for (int64_t i = 0; i < s->n_file; i++) {
        mapped_close(s->file[i].mapped);
        mem_free(s->file[i].path);
    }
    mem_free(s->entry);
    mem_free(s->file);
    mem_free(s);
}

int64_t safetensors_count(const SafeTensors *s)
{
    return s->n_entry;
}

const SafeTensor *safetensors_at(const SafeTensors *s, int64_t i)
{
    return &s->entry[i].t;
}

static int name_to_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const Entry *)entry)->name);
}

const SafeTensor *safetensors_find(const SafeTensors *s, const char *name)
{
    const Entry *e = s->n_entry > 0 ? bsearch(name, s->entry, (size_t)s->n_entry, sizeof *s->entry,
                                              name_to_entry)
                                    : NULL;
    return e ? &e->t : NULL;
}

Status safetensors_weight(const SafeTensors *s, const char *name, const SafeTensor **t)
{
    Status rc = ST_OK;
    *t = safetensors_find(s, name);
    CHECK(*t, FORMAT, "%s%s: there is no tensor %s", s->file[0].path,
          s->n_file > 1 ? " and its other shards" : "", name);
    const Dtype dtype = (*t)->dtype;
    CHECK(dtype == DT_F32 || dtype == DT_F16 || dtype == DT_BF16, FORMAT,
          "%s: tensor %s has dtype %s, weights are F32, F16 or BF16", (*t)->file, name,
          (*t)->stored_dtype);
out:
    return rc;
}

Status safetensors_sha256(const SafeTensors *s, char hex[SHA256_HEX])
{
    Status rc = ST_OK;
    Sha256 *sha = NULL;
    TRY(sha256_begin(&sha));
    for (int64_t i = 0; i < s->n_file; i++) sha256_add(sha, s->file[i].bytes, s->file[i].n_bytes);
    sha256_end(sha, hex);
out:
    return rc;
}
