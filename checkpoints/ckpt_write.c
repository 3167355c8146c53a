/* ckpt_write.c — a checkpoint appears whole or not at all.
 *
 * Rank 0 makes a temporary directory. Every rank builds its parts in memory, writes, syncs and
 * reads them back, and compares what HDF5 makes of the bytes with the tensors. When all ranks agree
 * that all of that succeeded, the digests travel to rank 0, which writes the manifest last and
 * renames the directory. */
#include "checkpoints/ckpt_manifest.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct Writer {
    const Comm *comm;
    const char *dir;
    CkptOpts opts;
    Manifest *m;
    char *tmp;
    float *slice; /* one, read back */
    bool tmp_made;
} Writer;

static const float *slice_values(const Manifest *m, int64_t slice)
{
    return m->tensor[m->slice[slice].tensor].val + m->slice[slice].first;
}

static Status values_in_memory(void *m, int64_t slice, const float **val)
{
    *val = slice_values(m, slice);
    return ST_OK;
}

/* Ranks that drifted apart would give a checkpoint of which no part fits the other. Rank:
 * collective. */
static Status check_same(const Comm *c, const CkptTensor *t, int64_t n_tensor)
{
    Status rc = ST_OK;
    uint64_t all = 0;
    if (comm_size(c) == 1) goto out;
    for (int64_t i = 0; i < n_tensor; i++)
        all = rng_hash_bytes(t[i].val, 4 * (uint64_t)tensor_n_elem(&t[i]), all);
    if (comm_same(c, all)) goto out;
    for (int64_t i = 0; i < n_tensor; i++) {
        const uint64_t hash = rng_hash_bytes(t[i].val, 4 * (uint64_t)tensor_n_elem(&t[i]), 0);
        CHECK(comm_same(c, hash), BUG, "the ranks hold different numbers in %s", t[i].name);
    }
out:
    return rc;
}

static Status plan(Writer *w, const CkptInfo *info, const CkptTensor *t, int64_t n_tensor,
                   int64_t pid)
{
    Status rc = ST_OK;
    TRY(manifest_plan(info, t, n_tensor, &w->opts, &w->m));
    w->tmp = mem_printf("%s.tmp-%lld", w->dir, LL(pid));
    w->slice = mem_alloc((size_t)w->m->slice_bytes);
    CHECK(w->tmp && w->slice, NOMEM, "%s: no memory for a slice of %lld bytes", w->dir,
          LL(w->m->slice_bytes));
out:
    return rc;
}

static Status make_tmp(Writer *w)
{
    Status rc = ST_OK;
    char *parent = path_parent(w->dir);
    CHECK(parent, NOMEM, "%s: no memory for its parent's name", w->dir);
    CHECK(!path_exists(w->dir), IO,
          "%s: exists already; a published checkpoint is never written again", w->dir);
    TRY(dir_make(parent));
    TRY(dir_remove(w->tmp)); /* left by a job that died */
    w->tmp_made = true;
    TRY(dir_make_new(w->tmp));
out:
    mem_free(parent);
    return rc;
}

/* Whose work a part is; job n_part is the hash over all tensors. */
static bool is_mine(const Writer *w, int64_t part)
{
    return part % comm_size(w->comm) == comm_rank(w->comm);
}

/* The digests of what is in memory: slices of own parts, and on rank 0 the payload and state hash.
 */
static Status hash_memory(Writer *w)
{
    Status rc = ST_OK;
    Manifest *m = w->m;
    bool failed = false;
#pragma omp parallel for schedule(dynamic, 1) reduction(|| : failed)
    for (int64_t job = -1; job < m->n_slice; job++) {
        Status one = ST_OK;
        if (job >= 0 && is_mine(w, m->slice[job].part))
            one = sha256_bytes(slice_values(m, job), 4 * (size_t)m->slice[job].n,
                               m->slice[job].sha256);
        if (job < 0 && comm_rank(w->comm) == 0)
            one = manifest_hash(m, values_in_memory, m, m->payload_sha256, m->state_sha256);
        if (one != ST_OK) status_clear(); /* of this thread; the only reason there is comes below */
        failed = failed || one != ST_OK;
    }
    CHECK(!failed, NOMEM, "%s: no memory for SHA-256", w->dir);
out:
    return rc;
}

static Status put_slices(const Writer *w, const CkptPart *part, H5Image *f)
{
    Status rc = ST_OK;
    char name[CKPT_SET_NAME];
    int n_dim;
    int64_t dim[4];
    for (int64_t s = part->first_slice; s < part->first_slice + part->n_slice; s++) {
        slice_dataset(w->m, s, name, &n_dim, dim);
        TRY(h5_put(f, name, H5_F32, n_dim, dim, (int)w->opts.checkpoint_compression,
                   slice_values(w->m, s)));
    }
out:
    return rc;
}

static Status compare_slices(const Writer *w, const CkptPart *part, const char *path,
                             const void *bytes, size_t n)
{
    Status rc = ST_OK;
    char name[CKPT_SET_NAME];
    int n_dim;
    int64_t dim[4];
    H5Image *f = NULL;
    TRY(h5_open(bytes, n, path, &f));
    for (int64_t s = part->first_slice; s < part->first_slice + part->n_slice; s++) {
        slice_dataset(w->m, s, name, &n_dim, dim);
        TRY(h5_get(f, name, H5_F32, n_dim, dim, w->slice));
        CHECK(!memcmp(w->slice, slice_values(w->m, s), 4 * (size_t)w->m->slice[s].n), IO,
              "%s: %s reads back with other numbers", path, name);
    }
out:
    h5_close(f);
    return rc;
}

static Status store_part(const Writer *w, const CkptPart *part, const char *path, const void *bytes,
                         size_t n)
{
    Status rc = ST_OK;
    TRY(file_write_new(path, bytes, n));
    TRY(file_compare(path, bytes, n));
    TRY(compare_slices(w, part, path, bytes, n));
out:
    return rc;
}

static Status write_part(Writer *w, int64_t p)
{
    Status rc = ST_OK, stored = ST_OK;
    CkptPart *part = &w->m->part[p];
    const CkptSlice *first = &w->m->slice[part->first_slice], *end = first + part->n_slice;
    char name[CKPT_PART_NAME], *path = NULL;
    const void *bytes = NULL;
    size_t n = 0, room = 64 << 10;
    H5Image *f = NULL;
    Sha256 *sha = NULL;
    part_name(p, name);
    path = path_join(w->tmp, name);
    CHECK(path, NOMEM, "%s: no memory for a name", name);
    for (const CkptSlice *s = first; s < end; s++) room += 4 * (size_t)s->n + 1024;
    TRY(h5_create(room, &f));
    TRY(put_slices(w, part, f));
    TRY(h5_finish(f, &bytes, &n));
    TRY(sha256_begin(&sha));
    /* Hashing takes as long as writing; a second thread, where there is one, does it meanwhile. */
#pragma omp parallel
#pragma omp master
    {
#pragma omp task
        sha256_add(sha, bytes, n);
        stored = store_part(w, part, path, bytes, n);
    }
    TRY(stored);
    part->n_bytes = (int64_t)n;
    sha256_end(sha, part->sha256);
    sha = NULL;
out:
    sha256_end(sha, NULL);
    h5_close(f);
    mem_free(path);
    return rc;
}

static Status write_own_parts(Writer *w)
{
    Status rc = ST_OK;
    TRY(hash_memory(w));
    for (int64_t p = 0; p < w->m->n_part; p++)
        if (is_mine(w, p)) TRY(write_part(w, p));
out:
    return rc;
}

/* Rank: collective. */
static void share_digests(const Writer *w)
{
    Manifest *m = w->m;
    for (int64_t p = 0; p < m->n_part; p++) {
        CkptPart *part = &m->part[p];
        const int owner = (int)(p % comm_size(w->comm));
        comm_bcast(w->comm, part, sizeof *part, owner);
        comm_bcast(w->comm, m->slice + part->first_slice, (size_t)part->n_slice * sizeof *m->slice,
                   owner);
    }
}

static Status publish(Writer *w)
{
    Status rc = ST_OK;
    TRY(manifest_save(w->m, w->tmp));
    TRY(dir_sync(w->tmp));
    TRY(dir_publish(w->tmp, w->dir));
    w->tmp_made = false;
out:
    return rc;
}

Status ckpt_write_with(const CkptOpts *opts, const Comm *c, const char *dir, const CkptInfo *info,
                       const CkptTensor *t, int64_t n_tensor)
{
    Status rc = ST_OK;
    const bool root = comm_rank(c) == 0;
    Writer w = {.comm = c, .dir = dir, .opts = *opts};
    int64_t pid = root ? getpid() : 0;
    comm_max_i64(c, &pid, 1);
    TRY(comm_agree(c, plan(&w, info, t, n_tensor, pid)));
    TRY(check_same(c, t, n_tensor));
    TRY(comm_agree(c, root ? make_tmp(&w) : ST_OK));
    TRY(comm_agree(c, write_own_parts(&w)));
    share_digests(&w);
    TRY(comm_agree(c, root ? publish(&w) : ST_OK));
out:
    /* The failure that counts is recorded already; a directory that stays behind is removed by
     * ckpt_prune. */
    if (w.tmp_made && dir_remove(w.tmp) != ST_OK) LOG_W("%s could not be removed", w.tmp);
    manifest_destroy(w.m);
    mem_free(w.tmp);
    mem_free(w.slice);
    return rc;
}

Status ckpt_write(const Comm *c, const char *dir, const CkptInfo *info, const CkptTensor *t,
                  int64_t n_tensor)
{
    CkptOpts opts = {0};
    opt_set_defaults(CKPT_OPTS, &opts);
    return ckpt_write_with(&opts, c, dir, info, t, n_tensor);
}

int64_t ckpt_write_bytes(int64_t n_bytes)
{
    CkptOpts opts = {0};
    opt_set_defaults(CKPT_OPTS, &opts);
    const int64_t part =
        n_bytes < opts.checkpoint_part_bytes ? n_bytes : opts.checkpoint_part_bytes;
    return part + CKPT_SLICE_BYTES;
}

int64_t ckpt_disk_bytes(const CkptTensor *t, int64_t n_tensor)
{
    int64_t bytes = 1 << 20;
    for (int64_t i = 0; i < n_tensor; i++) bytes += 4 * tensor_n_elem(&t[i]) + 4096;
    return bytes + bytes / 1000;
}
