/* ckpt_write.c — a checkpoint appears whole or not at all.
 *
 * Rank 0 makes a temporary directory. Every rank builds its parts in memory, writes, syncs and
 * reads them back, and compares what HDF5 makes of the bytes with the tensors: the long part, local
 * and without messages, so that a thread can do it from a copy. When all ranks agree that all of that
 * succeeded, the digests travel to rank 0, which writes the manifest last and renames the directory. */
#include "checkpoints/ckpt_manifest.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct CkptWrite {
    const Comm *comm;
    char *dir, *tmp;
    CkptOpts opts;
    Manifest *m;
    uint64_t *hash; /* of each tensor: the ranks compare them */
    float *slice;   /* one, read back */
    float *copy;    /* of all tensors; NULL: they are the caller's */
    bool tmp_made, has_thread;
    pthread_t thread;
    Status written;     /* what became of the own parts, when `done` */
    char message[1024]; /* of a failure; each thread has its own */
    atomic_bool done;
};

static const float *slice_values(const Manifest *m, int64_t slice)
{
    return m->tensor[m->slice[slice].tensor].val + m->slice[slice].first;
}

static Status values_in_memory(void *m, int64_t slice, const float **val)
{
    *val = slice_values(m, slice);
    return ST_OK;
}

static Status create(const Comm *c, const CkptOpts *opts, const char *dir, const CkptInfo *info,
                     const CkptTensor *t, int64_t n_tensor, int64_t pid, CkptWrite **out)
{
    Status rc = ST_OK;
    CkptWrite *w = mem_alloc(sizeof *w);
    *out = w;
    CHECK(w, NOMEM, "%s: no memory to write it", dir);
    w->comm = c;
    w->opts = *opts;
    w->dir = mem_strdup(dir);
    w->tmp = mem_printf("%s.tmp-%lld", dir, LL(pid));
    w->hash = mem_array(n_tensor, sizeof *w->hash);
    CHECK(w->dir && w->tmp && w->hash, NOMEM, "%s: no memory to write it", dir);
    TRY(manifest_plan(info, t, n_tensor, opts, &w->m));
    w->slice = mem_alloc((size_t)w->m->slice_bytes);
    CHECK(w->slice, NOMEM, "%s: no memory for a slice of %lld bytes", dir, LL(w->m->slice_bytes));
out:
    return rc;
}

/* For whoever has joined the thread, and rank 0 when all ranks have. Rank: local. */
static void destroy(CkptWrite *w)
{
    if (!w) return;
    /* The failure that counts is recorded already; a directory that stays behind is removed by
     * ckpt_prune. */
    if (w->tmp_made && dir_remove(w->tmp) != ST_OK) LOG_W("%s could not be removed", w->tmp);
    manifest_destroy(w->m);
    mem_free(w->dir);
    mem_free(w->tmp);
    mem_free(w->hash);
    mem_free(w->slice);
    mem_free(w->copy);
    mem_free(w);
}

static Status make_tmp(CkptWrite *w)
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
static bool is_mine(const CkptWrite *w, int64_t part)
{
    return part % comm_size(w->comm) == comm_rank(w->comm);
}

/* What the ranks compare: a checkpoint of ranks that drifted apart would have no part that fits the
 * other. */
static void hash_tensors(CkptWrite *w)
{
    const Manifest *m = w->m;
    if (comm_size(w->comm) == 1) return;
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < m->n_tensor; i++)
        w->hash[i] =
            rng_hash_bytes(m->tensor[i].val, 4 * (uint64_t)tensor_n_elem(&m->tensor[i]), 0);
}

/* The digests of what is in memory: slices of own parts, and on rank 0 the payload and state hash.
 */
static Status hash_memory(CkptWrite *w)
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

static Status put_slices(const CkptWrite *w, const CkptPart *part, H5Image *f)
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

static Status compare_slices(const CkptWrite *w, const CkptPart *part, const char *path,
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

static Status store_part(const CkptWrite *w, const CkptPart *part, const char *path,
                         const void *bytes, size_t n)
{
    Status rc = ST_OK;
    TRY(file_write_new(path, bytes, n));
    TRY(file_compare(path, bytes, n));
    TRY(compare_slices(w, part, path, bytes, n));
out:
    return rc;
}

static Status write_part(CkptWrite *w, int64_t p)
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

static Status write_own_parts(CkptWrite *w)
{
    Status rc = ST_OK;
    hash_tensors(w);
    TRY(hash_memory(w));
    for (int64_t p = 0; p < w->m->n_part; p++)
        if (is_mine(w, p)) TRY(write_part(w, p));
out:
    return rc;
}

/* ---- the thread ---- */

/* Takes the numbers along, so that the caller may change them. False: there is no memory for that. */
static bool copy_tensors(CkptWrite *w, const CkptTensor *t)
{
    const Manifest *m = w->m;
    int64_t n = 0;
    for (int64_t i = 0; i < m->n_tensor; i++) n += tensor_n_elem(&t[i]);
    float *to = w->copy = mem_array(n, sizeof *to);
    if (!to) return false;
    for (int64_t i = 0; i < m->n_tensor; i++) {
        m->tensor[i].val = to;
        to += tensor_n_elem(&t[i]);
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < m->n_slice; i++) {
        const CkptSlice *s = &m->slice[i];
        memcpy(m->tensor[s->tensor].val + s->first, t[s->tensor].val + s->first,
               (size_t)s->n * sizeof *to);
    }
    return true;
}

static void write_now(CkptWrite *w)
{
    w->written = write_own_parts(w);
    snprintf(w->message, sizeof w->message, "%s", status_message());
    if (w->written != ST_OK) status_clear(); /* ckpt_write_end tells it */
    w->done = true;
}

static void *thread_main(void *w)
{
    enum { NICE = 10 }; /* a tenth of a core that the run wants too, all of one that it does not */
    omp_set_num_threads(1); /* of this thread: the others are the run's */
    setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICE);
    write_now(w);
    return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(CkptWrite *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->has_thread = !fault_here() && pthread_create(&w->thread, NULL, thread_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->has_thread;
}

static void join(CkptWrite *w)
{
    if (w->has_thread) pthread_join(w->thread, NULL);
    w->has_thread = false;
}

static Status join_and_tell(CkptWrite *w)
{
    join(w);
    return w->written == ST_OK ? ST_OK : status_adopt(w->written, w->message);
}

/* ---- ranks ---- */

/* Rank: collective. */
static Status check_same(const CkptWrite *w)
{
    Status rc = ST_OK;
    const Comm *c = w->comm;
    const int64_t n = w->m->n_tensor;
    if (comm_same(c, rng_hash_bytes(w->hash, (uint64_t)n * sizeof *w->hash, 0))) goto out;
    for (int64_t i = 0; i < n; i++)
        CHECK(comm_same(c, w->hash[i]), BUG, "the ranks hold different numbers in %s",
              w->m->tensor[i].name);
out:
    return rc;
}

/* Rank: collective. */
static void share_digests(const CkptWrite *w)
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

static Status publish(CkptWrite *w)
{
    Status rc = ST_OK;
    TRY(manifest_save(w->m, w->tmp));
    TRY(dir_sync(w->tmp));
    TRY(dir_publish(w->tmp, w->dir));
    w->tmp_made = false;
out:
    return rc;
}

Status ckpt_write_begin(const CkptOpts *opts, const Comm *c, const char *dir, const CkptInfo *info,
                        const CkptTensor *t, int64_t n_tensor, bool background, CkptWrite **out)
{
    Status rc = ST_OK;
    const bool root = comm_rank(c) == 0;
    CkptWrite *w = NULL;
    CkptOpts as_they_come = {0};
    int64_t pid = root ? getpid() : 0;
    *out = NULL;
    opt_set_defaults(CKPT_OPTS, &as_they_come);
    comm_max_i64(c, &pid, 1);
    TRY(comm_agree(c, create(c, opts ? opts : &as_they_come, dir, info, t, n_tensor, pid, &w)));
    TRY(comm_agree(c, root ? make_tmp(w) : ST_OK));
    /* From here on nothing fails before ckpt_write_end, so no rank leaves while another writes. */
    if (!background || !copy_tensors(w, t) || !start_thread(w)) {
        if (background)
            LOG_LOCAL(LOG_INFO, "no memory to write %s in the background: the run waits for it",
                      dir);
        write_now(w);
    }
    *out = w;
    w = NULL;
out:
    destroy(w);
    return rc;
}

bool ckpt_write_done(const CkptWrite *w)
{
    return w->done;
}

Status ckpt_write_end(CkptWrite *w)
{
    Status rc = ST_OK;
    const Comm *c = w->comm;
    TRY(comm_agree(c, join_and_tell(w)));
    TRY(check_same(w));
    share_digests(w);
    TRY(comm_agree(c, comm_rank(c) == 0 ? publish(w) : ST_OK));
out:
    destroy(w);
    return rc;
}

void ckpt_write_drop(CkptWrite *w)
{
    if (!w) return;
    join(w);
    comm_barrier(w->comm);
    destroy(w);
}

/* Of a part, with options as they come. */
static int64_t usual_part_bytes(void)
{
    CkptOpts opts = {0};
    opt_set_defaults(CKPT_OPTS, &opts);
    return opts.checkpoint_part_bytes;
}

int64_t ckpt_n_writer(int64_t n_bytes)
{
    const int64_t part = usual_part_bytes();
    return (n_bytes + part - 1) / part;
}

int64_t ckpt_write_bytes(int64_t n_bytes)
{
    const int64_t part = usual_part_bytes();
    return (n_bytes < part ? n_bytes : part) + CKPT_SLICE_BYTES;
}

int64_t ckpt_disk_bytes(const CkptTensor *t, int64_t n_tensor)
{
    int64_t bytes = 1 << 20;
    for (int64_t i = 0; i < n_tensor; i++) bytes += 4 * tensor_n_elem(&t[i]) + 4096;
    return bytes + bytes / 1000;
}
