/* prefix_cache.c — one file per row, called by what it was computed from: the folder is the hash of model and kernels, the
 * file that of the row. Files appear by renaming and are not synced: one that a crash has torn fails its checksum and is
 * computed again. */
#include "trainer/run/prefix_cache.h"
#include "data/shard_cache.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/h5.h"
#include "trainer/models/model_json.h"
#include "trainer/run/leg.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char FOLDER[] = "prefix", DATASET[] = "hidden";
enum { RESERVE = 1 << 30 /* bytes left to others on the disk */ };

struct PrefixCache {
    const RunConfig *cfg;
    Network *net;
    int64_t n_block;
    char *dir;       /* of these blocks; NULL until the first row */
    bool stores;     /* false: the rest of the run computes what is not there */
    char *root;      /* of all folders */
    int64_t n_bytes; /* in all of them when they were counted, and what was written here since */
    int64_t n_counted;
    Tape *tape;
    real *hidden; /* (n_hidden): of a batch */
    int64_t n_hidden;
};

int64_t prefix_cache_row_bytes(const RunConfig *cfg)
{
    return cfg->pack.max_seq_length * cfg->model.hidden_size * (int64_t)sizeof(float);
}

void prefix_cache_destroy(PrefixCache *c)
{
    if (!c) return;
    tape_destroy(c->tape);
    mem_free(c->hidden);
    mem_free(c->dir);
    mem_free(c->root);
    mem_free(c);
}

int64_t prefix_cache_blocks(const PrefixCache *c)
{
    return c ? c->n_block : 0;
}

/* Angles that depend on the longest document of a micro-batch are no function of the row. */
static int64_t frozen_blocks(const Model *m)
{
    const char *rope = model_config(m)->rope_type;
    return rope && strcmp(rope, "dynamic") == 0 ? 0 : model_n_frozen_block(m);
}

int64_t prefix_cache_planned(const RunConfig *cfg, const Model *m)
{
    const bool on = strcmp(cfg->prefix_cache, "on") == 0,
               repeats = strcmp(cfg->prefix_cache, "auto") == 0 && cfg->num_train_epochs > 1;
    return on || repeats ? frozen_blocks(m) : 0;
}

Status prefix_cache_create(const RunConfig *cfg, Network *net, PrefixCache **out)
{
    Status rc = ST_OK;
    PrefixCache *c = NULL;
    const int64_t n_block = prefix_cache_planned(cfg, net->model);
    *out = NULL;
    CHECK(
        n_block > 0 || strcmp(cfg->prefix_cache, "on") != 0, CONFIG,
        "prefix_cache: found on, but no block lies below everything that is trained (or rope_type "
        "is dynamic)");
    if (n_block == 0) goto out;
    c = mem_alloc(sizeof *c);
    CHECK(c, NOMEM, "prefix cache: %zu bytes", sizeof *c);
    c->cfg = cfg;
    c->net = net;
    c->n_block = n_block;
    c->stores = true;
    TRY(tape_create(&c->tape));
    *out = c;
    c = NULL;
out:
    prefix_cache_destroy(c);
    return rc;
}

/* ---- folders ---- */

static Status add_json(Sha256 *sha, json_t *json)
{
    Status rc = ST_OK;
    char *text = json ? json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    CHECK(text, NOMEM, "prefix cache: no memory for its key");
    sha256_add(sha, text, strlen(text) + 1);
out:
    free(text);
    json_decref(json);
    return rc;
}

/* All that decides about the numbers beside the row. */
static Status make_key(const PrefixCache *c, char key[SHA256_HEX])
{
    Status rc = ST_OK;
    Sha256 *sha = NULL;
    json_t *sizes = NULL;
    const ModelConfig *m = model_config(c->net->model);
    TRY(network_hash_base(c->net));
    TRY(sha256_begin(&sha));
    TRY(model_config_to_json(m, "float32", &sizes));
    TRY(add_json(sha, sizes));
    TRY(add_json(sha, numerics_fingerprint(0, c->n_block)));
    sha256_add(sha, c->net->base_sha256, sizeof c->net->base_sha256);
    if (!c->net->base_sha256[0]) { /* random frozen weights */
        sha256_add(sha, &c->cfg->seed, sizeof c->cfg->seed);
        sha256_add(sha, m->initializer, strlen(m->initializer) + 1);
        sha256_add(sha, &m->initializer_range, sizeof m->initializer_range);
    }
    sha256_end(sha, key);
    sha = NULL;
out:
    sha256_end(sha, NULL);
    return rc;
}

/* Bytes of the files in a folder. */
static int64_t folder_bytes(const char *dir)
{
    char **names = NULL;
    int64_t n = 0, n_bytes = 0;
    if (dir_list(dir, &names, &n) != ST_OK) {
        status_clear();
        return 0;
    }
    for (int64_t i = 0; i < n; i++) {
        struct stat st;
        char *path = path_join(dir, names[i]);
        if (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode)) n_bytes += st.st_size;
        mem_free(path);
    }
    dir_list_free(names, n);
    return n_bytes;
}

static bool is_full(const PrefixCache *c)
{
    return c->n_bytes + prefix_cache_row_bytes(c->cfg) > c->cfg->prefix_cache_limit_bytes;
}

/* Counts all folders; *oldest: of another model, the longest unused, or NULL. Owns: *oldest is the caller's */
static Status count_folders(PrefixCache *c, char **oldest)
{
    Status rc = ST_OK;
    char **names = NULL;
    int64_t n = 0;
    struct timespec age = {0};
    *oldest = NULL;
    c->n_bytes = 0;
    TRY(dir_list(c->root, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        struct stat st;
        char *dir = path_join(c->root, names[i]);
        CHECK(dir, NOMEM, "prefix cache: a path");
        const bool is_dir = stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
        if (is_dir) c->n_bytes += folder_bytes(dir);
        const bool older = !*oldest || st.st_mtim.tv_sec < age.tv_sec ||
                           (st.st_mtim.tv_sec == age.tv_sec && st.st_mtim.tv_nsec < age.tv_nsec);
        if (!is_dir || !older || strcmp(dir, c->dir) == 0) {
            mem_free(dir);
            continue;
        }
        mem_free(*oldest);
        *oldest = dir;
        age = st.st_mtim;
    }
out:
    c->n_counted = c->n_bytes;
    dir_list_free(names, n);
    return rc;
}

/* Removes folders of other models while there is no room for a row. Another rank or job may be faster, or still write
 * into one: then that one is left. */
static void make_room(PrefixCache *c)
{
    char *oldest = NULL;
    int64_t before = -1;
    while (count_folders(c, &oldest) == ST_OK && oldest && is_full(c) && c->n_bytes != before) {
        before = c->n_bytes;
        if (dir_remove(oldest) != ST_OK) status_clear();
        mem_free(oldest);
        oldest = NULL;
    }
    status_clear();
    mem_free(oldest);
    (void)utimensat(AT_FDCWD, c->dir, NULL, 0); /* used now */
}

static Status open_folder(PrefixCache *c)
{
    Status rc = ST_OK;
    char key[SHA256_HEX], *cache = NULL;
    TRY(make_key(c, key));
    TRY(shard_cache_dir(&c->cfg->pack, &cache));
    mem_free(c->root);
    c->root = path_join(cache, FOLDER);
    CHECK(c->root && (c->dir = mem_printf("%s/%.32s", c->root, key)), NOMEM,
          "prefix cache: a path");
    if (dir_make(c->dir) != ST_OK) {
        LOG_LOCAL(LOG_WARN, "nothing is kept of the frozen blocks: %s", status_message());
        status_clear();
        c->stores = false;
    }
    make_room(c);
out:
    mem_free(cache);
    return rc;
}

/* ---- rows ---- */

static Status row_path(const PrefixCache *c, const Batch *row, char **path)
{
    Status rc = ST_OK;
    char hex[SHA256_HEX];
    Sha256 *sha = NULL;
    TRY(sha256_begin(&sha));
    sha256_add(sha, row->tokens, (size_t)row->T * sizeof *row->tokens);
    sha256_add(sha, row->doc_start, (size_t)row->T * sizeof *row->doc_start);
    sha256_add(sha, row->shared_start, (size_t)row->T * sizeof *row->shared_start);
    sha256_add(sha, row->n_shared, (size_t)row->T * sizeof *row->n_shared);
    sha256_end(sha, hex);
    sha = NULL;
    *path = mem_printf("%s/%.32s.h5", c->dir, hex);
    CHECK(*path, NOMEM, "prefix cache: a path");
out:
    sha256_end(sha, NULL);
    return rc;
}

/* Is the row there, whole? */
static bool read_row(const PrefixCache *c, const char *path, const Batch *row, real *hidden)
{
    char *bytes = NULL;
    size_t n = 0;
    H5Image *f = NULL;
    const int64_t dim[] = {row->T, c->cfg->model.hidden_size};
    const bool there = path_exists(path) && file_read_all(path, SIZE_MAX, &bytes, &n) == ST_OK &&
                       h5_open(bytes, n, path, &f) == ST_OK &&
                       h5_get(f, DATASET, H5_F32, 2, dim, hidden) == ST_OK;
    h5_close(f);
    mem_free(bytes);
    if (!there) status_clear();
    return there;
}

static Status write_image(const PrefixCache *c, const char *path, const char *tmp, const Batch *row,
                          const real *hidden, size_t *n)
{
    Status rc = ST_OK;
    H5Image *f = NULL;
    FILE *out = NULL;
    const void *bytes;
    const int64_t dim[] = {row->T, c->cfg->model.hidden_size};
    const size_t room = (size_t)prefix_cache_row_bytes(c->cfg) + (1 << 14);
    TRY(h5_create(room, &f));
    TRY(h5_put(f, DATASET, H5_F32, 2, dim, 0, hidden));
    TRY(h5_finish(f, &bytes, n));
    out = fopen(tmp, "wb");
    CHECK(out && fwrite(bytes, 1, *n, out) == *n, IO, "%s: cannot be written", tmp);
    const int closed = fclose(out);
    out = NULL;
    CHECK(closed == 0 && rename(tmp, path) == 0, IO, "%s: cannot be written", path);
out:
    if (out) fclose(out);
    if (rc != ST_OK) unlink(tmp);
    h5_close(f);
    return rc;
}

static void write_row(PrefixCache *c, const char *path, const Batch *row, const real *hidden)
{
    size_t n = 0;
    char *tmp = mem_printf("%s.tmp-%d", path, (int)getpid());
    const Status rc = tmp ? write_image(c, path, tmp, row, hidden, &n)
                          : status_fail(ST_NOMEM, __FILE__, __LINE__, "prefix cache: a path");
    if (rc != ST_OK) {
        LOG_LOCAL(LOG_WARN, "nothing more is kept of the frozen blocks: %s", status_message());
        status_clear();
        c->stores = false;
    }
    c->n_bytes += (int64_t)n;
    mem_free(tmp);
}

/* Other ranks and jobs write too: now and then everything is counted again. */
static bool has_room(PrefixCache *c)
{
    enum { COUNTS = 64 };
    int64_t free_bytes = INT64_MAX;
    if (!c->stores) return false;
    if (is_full(c) || c->n_bytes - c->n_counted > c->cfg->prefix_cache_limit_bytes / COUNTS) {
        make_room(c);
        if (disk_free_bytes(c->root, &free_bytes) != ST_OK) status_clear();
    }
    c->stores = !is_full(c) && free_bytes > RESERVE;
    if (!c->stores)
        LOG_LOCAL(LOG_WARN, "nothing more is kept of the frozen blocks: %s holds %s", c->root,
                  free_bytes > RESERVE ? "prefix_cache_limit_bytes" : "what the disk can spare");
    return c->stores;
}

static Status fill_row(PrefixCache *c, const Batch *row, real *hidden)
{
    Status rc = ST_OK;
    char *path = NULL;
    TRY(row_path(c, row, &path));
    if (read_row(c, path, row, hidden)) goto out;
    TRY(model_hidden_at(c->net->model, c->tape, row, c->n_block, hidden));
    if (has_room(c)) write_row(c, path, row, hidden);
out:
    mem_free(path);
    return rc;
}

Status prefix_cache_fill(PrefixCache *c, Batch *b)
{
    Status rc = ST_OK;
    const int64_t n_row = b->T * c->cfg->model.hidden_size;
    if (!c->dir) TRY(open_folder(c));
    if (b->B * n_row > c->n_hidden) {
        mem_free(c->hidden);
        c->n_hidden = 0;
        c->hidden = mem_array(b->B * n_row, sizeof *c->hidden);
        CHECK(c->hidden, NOMEM, "prefix cache: %lld numbers", LL(b->B * n_row));
        c->n_hidden = b->B * n_row;
    }
    for (int64_t i = 0; i < b->B; i++) {
        const int64_t at = i * b->T;
        const Batch row = {.B = 1,
                           .T = b->T,
                           .tokens = b->tokens + at,
                           .labels = b->labels + at,
                           .doc_start = b->doc_start + at,
                           .shared_start = b->shared_start + at,
                           .n_shared = b->n_shared + at};
        TRY(fill_row(c, &row, c->hidden + i * n_row));
    }
    b->hidden = c->hidden;
    b->n_block = c->n_block;
out:
    return rc;
}
