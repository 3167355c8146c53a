/* ckpt_manifest.c — cutting tensors into slices, dealing slices to parts, and the two hashes of a
 * checkpoint. */
#include "checkpoints/ckpt_manifest.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hashes are over little-endian numbers");

enum { MAX_NAME = 512 };
#define MAX_ELEM ((int64_t)1 << 40)

// clang-format off
const OptSpec CKPT_OPTS[] = {
    OPT_I64(CkptOpts, checkpoint_part_bytes, 64 << 20, CKPT_SLICE_BYTES, 1 << 30,
            "tensor bytes in one file of a checkpoint"),
    OPT_I64(CkptOpts, checkpoint_compression, 0, 0, 9,
            "deflate level of checkpoints; 1 saves a seventh and takes several times as long"),
    OPT_END,
};
// clang-format on

void ckpt_info_fini(CkptInfo *info)
{
    json_decref(info->config);
    json_decref(info->fingerprint);
    json_decref(info->extra);
    info->config = info->fingerprint = info->extra = NULL;
}

int64_t tensor_n_elem(const CkptTensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n_dim; i++) n *= t->dim[i];
    return n;
}

int64_t tensor_n_slice(const CkptTensor *t, int64_t slice_bytes)
{
    return (tensor_n_elem(t) + slice_bytes / 4 - 1) / (slice_bytes / 4);
}

bool tensor_is_param(const CkptTensor *t)
{
    return strncmp(t->name, CKPT_PARAM, strlen(CKPT_PARAM)) == 0;
}

int64_t manifest_trainable_params(const Manifest *m)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->n_tensor; i++)
        if (tensor_is_param(&m->tensor[i])) n += tensor_n_elem(&m->tensor[i]);
    return n;
}

void part_name(int64_t part, char name[CKPT_PART_NAME])
{
    snprintf(name, CKPT_PART_NAME, "part-%03lld.h5", LL(part));
}

void slice_dataset(const Manifest *m, int64_t slice, char name[CKPT_SET_NAME], int *n_dim,
                   int64_t dim[4])
{
    const CkptSlice *s = &m->slice[slice];
    const CkptTensor *t = &m->tensor[s->tensor];
    const bool whole = s->n == tensor_n_elem(t);
    *n_dim = whole ? t->n_dim : 1;
    memcpy(dim, whole ? t->dim : &s->n, (size_t)*n_dim * sizeof *dim);
    if (whole)
        snprintf(name, CKPT_SET_NAME, "%s", t->name);
    else
        snprintf(name, CKPT_SET_NAME, "%s[%lld]", t->name, LL(s->first * 4 / m->slice_bytes));
}

static const char *const KINDS[] = {"main",    "branch",  "branch_point",
                                    "release", "adapter", "final"};

Status info_check(const CkptInfo *info)
{
    Status rc = ST_OK;
    bool known = false;
    for (int64_t i = 0; i < N_OF(KINDS); i++) known = known || !strcmp(info->kind, KINDS[i]);
    CHECK(known, BUG, "kind is \"%s\"", info->kind);
    for (const char *c = info->version; *c; c++)
        CHECK(*c >= ' ' && *c != 127, BUG, "the version's name has a control character");
    CHECK(info->step >= 0 && info->tokens >= 0 && info->samples >= 0 && info->updates >= 0, BUG,
          "step %lld, tokens %lld, samples %lld, updates %lld", LL(info->step), LL(info->tokens),
          LL(info->samples), LL(info->updates));
out:
    return rc;
}

/* Printable, with components HDF5 takes as they are, and never like the dataset of a slice. */
static bool is_plain_name(const char *name)
{
    if (strlen(name) >= MAX_NAME) return false;
    for (const char *part = name;; part++) {
        const size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.')) return false;
        for (size_t i = 0; i < n; i++)
            if (part[i] <= ' ' || part[i] > '~' || part[i] == '[') return false;
        part += n;
        if (!*part) return true;
    }
}

Status tensor_check(const CkptTensor *t)
{
    Status rc = ST_OK;
    int64_t n = 1;
    CHECK(is_plain_name(t->name), BUG, "a tensor is named \"%.80s\"", t->name);
    CHECK(t->n_dim >= 1 && t->n_dim <= 4, BUG, "%s has %d dims", t->name, t->n_dim);
    for (int i = 0; i < t->n_dim; i++) {
        CHECK(t->dim[i] >= 1 && t->dim[i] <= MAX_ELEM / n, BUG, "%s: dim %d is %lld", t->name, i,
              LL(t->dim[i]));
        n *= t->dim[i];
    }
out:
    return rc;
}

static int trainables_first(const void *a, const void *b, void *tensors)
{
    const CkptTensor *x = (const CkptTensor *)tensors + *(const int64_t *)a;
    const CkptTensor *y = (const CkptTensor *)tensors + *(const int64_t *)b;
    const int rest = tensor_is_param(y) - tensor_is_param(x);
    return rest ? rest : strcmp(x->name, y->name);
}

Status manifest_cut(Manifest *m)
{
    Status rc = ST_OK;
    const int64_t most = m->slice_bytes / 4;
    CHECK(most >= 1 && m->slice_bytes <= CKPT_SLICE_BYTES && m->slice_bytes % 4 == 0, BUG,
          "slices of %lld bytes", LL(m->slice_bytes));
    CHECK(m->n_tensor >= 1, BUG, "a checkpoint without tensors");
    m->by_name = mem_array(m->n_tensor, sizeof *m->by_name);
    m->first_slice = mem_array(m->n_tensor + 1, sizeof *m->first_slice);
    CHECK(m->by_name && m->first_slice, NOMEM, "no memory for %lld tensors", LL(m->n_tensor));
    for (int64_t i = 0; i < m->n_tensor; i++) {
        TRY(tensor_check(&m->tensor[i]));
        m->n_slice += tensor_n_slice(&m->tensor[i], m->slice_bytes);
        m->first_slice[i + 1] = m->n_slice;
        m->by_name[i] = i;
    }
    qsort_r(m->by_name, (size_t)m->n_tensor, sizeof *m->by_name, trainables_first, m->tensor);
    for (int64_t i = 1; i < m->n_tensor; i++) {
        const char *name = m->tensor[m->by_name[i]].name;
        CHECK(strcmp(name, m->tensor[m->by_name[i - 1]].name) != 0, BUG, "%s is there twice", name);
    }
    m->slice = mem_array(m->n_slice, sizeof *m->slice);
    CHECK(m->slice, NOMEM, "no memory for %lld slices", LL(m->n_slice));
    CkptSlice *s = m->slice;
    for (int64_t i = 0; i < m->n_tensor; i++) {
        const int64_t n = tensor_n_elem(&m->tensor[i]);
        for (int64_t at = 0; at < n; at += most)
            *s++ = (CkptSlice){.tensor = i, .first = at, .n = n - at < most ? n - at : most};
    }
out:
    return rc;
}

/* A part is closed when the next slice would take it over the limit. */
static Status deal(Manifest *m, int64_t part_bytes)
{
    Status rc = ST_OK;
    int64_t filled = 0;
    m->part = mem_array(m->n_slice, sizeof *m->part);
    CHECK(m->part, NOMEM, "no memory for %lld parts", LL(m->n_slice));
    for (int64_t i = 0; i < m->n_slice; i++) {
        const int64_t bytes = 4 * m->slice[i].n;
        if (m->n_part == 0 || filled + bytes > part_bytes) {
            m->part[m->n_part++].first_slice = i;
            filled = 0;
        }
        filled += bytes;
        m->slice[i].part = m->n_part - 1;
        m->part[m->n_part - 1].n_slice++;
    }
out:
    return rc;
}

Status manifest_plan(const CkptInfo *info, const CkptTensor *t, int64_t n_tensor,
                     const CkptOpts *opts, Manifest **out)
{
    Status rc = ST_OK;
    Manifest *m = mem_alloc(sizeof *m);
    *out = NULL;
    CHECK(m, NOMEM, "no memory for a manifest");
    m->info = *info;
    json_incref(m->info.config);
    json_incref(m->info.fingerprint);
    json_incref(m->info.extra);
    TRY(info_check(info));
    m->slice_bytes = opts->slice_bytes ? opts->slice_bytes : CKPT_SLICE_BYTES;
    m->tensor = mem_array(n_tensor, sizeof *m->tensor);
    CHECK(m->tensor, NOMEM, "no memory for %lld tensors", LL(n_tensor));
    for (; m->n_tensor < n_tensor; m->n_tensor++) {
        CkptTensor *copy = &m->tensor[m->n_tensor];
        *copy = t[m->n_tensor];
        copy->name = mem_strdup(copy->name);
        CHECK(copy->name, NOMEM, "no memory for %lld names", LL(n_tensor));
    }
    TRY(manifest_cut(m));
    TRY(deal(m, opts->checkpoint_part_bytes));
    *out = m;
    m = NULL;
out:
    manifest_destroy(m);
    return rc;
}

void manifest_destroy(Manifest *m)
{
    if (!m) return;
    ckpt_info_fini(&m->info);
    for (int64_t i = 0; i < m->n_tensor; i++) mem_free((void *)(uintptr_t)m->tensor[i].name);
    mem_free(m->tensor);
    mem_free(m->by_name);
    mem_free(m->first_slice);
    mem_free(m->slice);
    mem_free(m->part);
    mem_free(m);
}

/* docs/formats.md: name, NUL, number of dims (u32), dims (i64); the values follow. */
static void hash_head(Sha256 *s, const char *name, int n_dim, const int64_t *dim)
{
    const uint32_t n = (uint32_t)n_dim;
    sha256_add(s, name, strlen(name) + 1);
    sha256_add(s, &n, sizeof n);
    if (n_dim > 0) sha256_add(s, dim, (size_t)n_dim * sizeof *dim);
}

static void hash_counter(Sha256 *s, const char *name, int64_t value)
{
    hash_head(s, name, 0, NULL);
    sha256_add(s, &value, sizeof value);
}

static Status hash_tensor(const Manifest *m, Sha256 *s, int64_t i, SliceValues values_of,
                          void *self)
{
    Status rc = ST_OK;
    const CkptTensor *t = &m->tensor[i];
    const float *val = NULL;
    hash_head(s, t->name + (tensor_is_param(t) ? strlen(CKPT_PARAM) : 0), t->n_dim, t->dim);
    for (int64_t slice = m->first_slice[i]; slice < m->first_slice[i + 1]; slice++) {
        TRY(values_of(self, slice, &val));
        sha256_add(s, val, 4 * (size_t)m->slice[slice].n);
    }
out:
    return rc;
}

Status manifest_hash(const Manifest *m, SliceValues values_of, void *self, char payload[SHA256_HEX],
                     char state[SHA256_HEX])
{
    Status rc = ST_OK;
    Sha256 *s = NULL;
    int64_t i = 0;
    TRY(sha256_begin(&s));
    for (; i < m->n_tensor && tensor_is_param(&m->tensor[m->by_name[i]]); i++)
        TRY(hash_tensor(m, s, m->by_name[i], values_of, self));
    TRY(sha256_peek(s, payload));
    for (; i < m->n_tensor; i++) TRY(hash_tensor(m, s, m->by_name[i], values_of, self));
    hash_counter(s, "counter/samples", m->info.samples);
    hash_counter(s, "counter/seed", (int64_t)m->info.seed);
    hash_counter(s, "counter/step", m->info.step);
    hash_counter(s, "counter/tokens", m->info.tokens);
    hash_counter(s, "counter/updates", m->info.updates);
    sha256_end(s, state);
    s = NULL;
out:
    sha256_end(s, NULL);
    return rc;
}
