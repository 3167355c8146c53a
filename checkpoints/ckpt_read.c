/* ckpt_read.c — reading a checkpoint back: a part is read once, its SHA-256 compared, and HDF5 is
 * given those very bytes. */
#include "checkpoints/ckpt_manifest.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <string.h>

struct Ckpt {
    char *dir;
    Manifest *m;
    int64_t loaded; /* the part in memory; -1: none */
    char *path;     /* of that part */
    char *bytes;
    H5Image *image;
};

static char *part_path(const Ckpt *k, int64_t part)
{
    char name[CKPT_PART_NAME];
    part_name(part, name);
    return path_join(k->dir, name);
}

static Status check_lengths(const Ckpt *k)
{
    Status rc = ST_OK;
    char *path = NULL;
    for (int64_t p = 0; p < k->m->n_part; p++) {
        int64_t n = 0;
        mem_free(path);
        path = part_path(k, p);
        CHECK(path, NOMEM, "%s: no memory for a name", k->dir);
        TRY(file_bytes(path, &n));
        CHECK(n == k->m->part[p].n_bytes, FORMAT, "%s: has %lld bytes, the manifest says %lld",
              path, LL(n), LL(k->m->part[p].n_bytes));
    }
out:
    mem_free(path);
    return rc;
}

Status ckpt_open(const char *dir, Ckpt **out)
{
    Status rc = ST_OK;
    Ckpt *k = mem_alloc(sizeof *k);
    *out = NULL;
    CHECK(k, NOMEM, "%s: no memory to open it", dir);
    k->loaded = -1;
    k->dir = mem_strdup(dir);
    CHECK(k->dir, NOMEM, "%s: no memory to open it", dir);
    TRY(manifest_load(dir, &k->m));
    TRY(check_lengths(k));
    *out = k;
    k = NULL;
out:
    ckpt_close(k);
    return rc;
}

static void drop_part(Ckpt *k)
{
    h5_close(k->image);
    mem_free(k->bytes);
    mem_free(k->path);
    k->image = NULL;
    k->bytes = k->path = NULL;
    k->loaded = -1;
}

void ckpt_close(Ckpt *k)
{
    if (!k) return;
    drop_part(k);
    manifest_destroy(k->m);
    mem_free(k->dir);
    mem_free(k);
}

static Status load_part(Ckpt *k, int64_t p)
{
    Status rc = ST_OK;
    const CkptPart *part = &k->m->part[p];
    char hex[SHA256_HEX];
    size_t n = 0;
    if (k->loaded == p) goto out;
    drop_part(k);
    k->path = part_path(k, p);
    CHECK(k->path, NOMEM, "%s: no memory for a name", k->dir);
    TRY(file_read_all(k->path, (size_t)part->n_bytes, &k->bytes, &n));
    TRY(sha256_bytes(k->bytes, n, hex));
    CHECK(n == (size_t)part->n_bytes && !strcmp(hex, part->sha256), FORMAT,
          "%s: its SHA-256 is %s, the manifest says %s: damaged, or of another checkpoint", k->path,
          hex, part->sha256);
    TRY(h5_open(k->bytes, n, k->path, &k->image));
    k->loaded = p;
out:
    return rc;
}

static Status read_slice(Ckpt *k, int64_t slice, float *val)
{
    Status rc = ST_OK;
    const CkptSlice *s = &k->m->slice[slice];
    char name[CKPT_SET_NAME], hex[SHA256_HEX];
    int n_dim;
    int64_t dim[4];
    slice_dataset(k->m, slice, name, &n_dim, dim);
    TRY(load_part(k, s->part));
    TRY(h5_get(k->image, name, H5_F32, n_dim, dim, val));
    TRY(sha256_bytes(val, 4 * (size_t)s->n, hex));
    CHECK(!strcmp(hex, s->sha256), FORMAT, "%s: the SHA-256 of %s is %s, the manifest says %s",
          k->path, name, hex, s->sha256);
out:
    return rc;
}

static void print_shape(char text[100], int n_dim, const int64_t *dim)
{
    int at = snprintf(text, 100, "(");
    for (int i = 0; i < n_dim; i++)
        at += snprintf(text + at, 100 - (size_t)at, i ? ",%lld" : "%lld", LL(dim[i]));
    snprintf(text + at, 100 - (size_t)at, ")");
}

Status ckpt_read(Ckpt *k, const char *name, int n_dim, const int64_t *dim, float *val)
{
    Status rc = ST_OK;
    const Manifest *m = k->m;
    int64_t i = 0;
    char found[100], wanted[100];
    while (i < m->n_tensor && strcmp(m->tensor[i].name, name) != 0) i++;
    CHECK(i < m->n_tensor, DATA, "%s has no %s", k->dir, name);
    const CkptTensor *t = &m->tensor[i];
    print_shape(found, t->n_dim, t->dim);
    print_shape(wanted, n_dim, dim);
    CHECK(!strcmp(found, wanted), DATA, "%s: %s has shape %s there, %s here", k->dir, name, found,
          wanted);
    for (int64_t s = m->first_slice[i]; s < m->first_slice[i + 1]; s++)
        TRY(read_slice(k, s, val + m->slice[s].first));
out:
    return rc;
}

typedef struct Verifier {
    Ckpt *k;
    float *slice;
} Verifier;

static Status values_on_disk(void *self, int64_t slice, const float **val)
{
    const Verifier *v = self;
    *val = v->slice;
    return read_slice(v->k, slice, v->slice);
}

Status ckpt_verify(const char *dir)
{
    Status rc = ST_OK;
    Verifier v = {0};
    char payload[SHA256_HEX], state[SHA256_HEX];
    TRY(ckpt_open(dir, &v.k));
    const Manifest *m = v.k->m;
    v.slice = mem_alloc((size_t)m->slice_bytes);
    CHECK(v.slice, NOMEM, "%s: no memory for a slice of %lld bytes", dir, LL(m->slice_bytes));
    TRY(manifest_hash(m, values_on_disk, &v, payload, state));
    CHECK(!strcmp(payload, m->payload_sha256), FORMAT,
          "%s: payload_sha256 is %s, the manifest says %s", dir, payload, m->payload_sha256);
    CHECK(!strcmp(state, m->state_sha256), FORMAT, "%s: state_sha256 is %s, the manifest says %s",
          dir, state, m->state_sha256);
out:
    mem_free(v.slice);
    ckpt_close(v.k);
    return rc;
}

Status ckpt_check_parts(const char *dir)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TRY(ckpt_open(dir, &k));
    for (int64_t p = 0; p < k->m->n_part; p++) TRY(load_part(k, p));
out:
    ckpt_close(k);
    return rc;
}

const CkptInfo *ckpt_info(const Ckpt *k)
{
    return &k->m->info;
}

int64_t ckpt_n_tensor(const Ckpt *k)
{
    return k->m->n_tensor;
}

const CkptTensor *ckpt_tensor_at(const Ckpt *k, int64_t i)
{
    return &k->m->tensor[i];
}

int64_t ckpt_n_part(const Ckpt *k)
{
    return k->m->n_part;
}

int64_t ckpt_bytes(const Ckpt *k)
{
    int64_t bytes = 0;
    for (int64_t p = 0; p < k->m->n_part; p++) bytes += k->m->part[p].n_bytes;
    return bytes;
}

int64_t ckpt_trainable_params(const Ckpt *k)
{
    return manifest_trainable_params(k->m);
}

const char *ckpt_payload_sha256(const Ckpt *k)
{
    return k->m->payload_sha256;
}

const char *ckpt_state_sha256(const Ckpt *k)
{
    return k->m->state_sha256;
}
