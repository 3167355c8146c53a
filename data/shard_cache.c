/* shard_cache.c — the folder of token shards: keys, leases, eviction. */
#include "data/shard_cache.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEY_CHARS = SHA256_HEX - 1, TMP_LIFE_S = 24 * 3600 };
static const char TMP_PREFIX[] = "tmp-";

Status shard_cache_dir(const PackOpts *p, char **dir)
{
    Status rc = ST_OK;
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    *dir = NULL;
    if (p->cache_dir)
        *dir = mem_strdup(p->cache_dir);
    else if (xdg && xdg[0] == '/')
        *dir = mem_printf("%s/switchyard", xdg);
    else {
        CHECK(home && home[0] == '/', CONFIG,
              "cache_dir: not set, and neither is XDG_CACHE_HOME or HOME");
        *dir = mem_printf("%s/.cache/switchyard", home);
    }
    CHECK(*dir, NOMEM, "cache_dir: no memory for its name");
out:
    return rc;
}

/* ---- names ---- */

/* A dataset without a file is told by the text it gives. */
static Status hash_documents(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok,
                             char hex[SHA256_HEX])
{
    Status rc = ST_OK;
    DocSource *src = NULL;
    Sha256 *sha = NULL;
    Doc doc;
    TRY(doc_source_open(d, p, tok, &src));
    TRY(sha256_begin(&sha));
    for (;;) {
        TRY(doc_source_next(src, &doc));
        if (!doc.text) break;
        sha256_add(sha, &doc.n_bytes, sizeof doc.n_bytes);
        sha256_add(sha, doc.text, (size_t)doc.n_bytes);
    }
    sha256_end(sha, hex);
    sha = NULL;
out:
    sha256_end(sha, NULL);
    doc_source_close(src);
    return rc;
}

static void add_word(Sha256 *key, const char *word)
{
    sha256_add(key, word, strlen(word) + 1);
}

static Status make_key(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok,
                       char key[SHA256_HEX])
{
    Status rc = ST_OK;
    const DatasetDef *def;
    Sha256 *sha = NULL;
    const int format = SHARD_FORMAT;
    char content[SHA256_HEX];
    int64_t n_bytes;
    TRY(dataset_def(d, &def));
    if (d->path)
        TRY(sha256_file(d->path, content, &n_bytes));
    else
        TRY(hash_documents(d, p, tok, content));
    TRY(sha256_begin(&sha));
    sha256_add(sha, &format, sizeof format);
    add_word(sha, def->name);
    add_word(sha, content);
    add_word(sha, tokenizer_hash(tok));
    sha256_add(sha, &p->val_size, sizeof p->val_size);
    if (def->add_key) TRY(def->add_key(d, p, tok, sha));
    sha256_end(sha, key);
    sha = NULL;
out:
    sha256_end(sha, NULL);
    return rc;
}

static bool is_shard_name(const char *name)
{
    return strlen(name) == SHARD_NAME - 1 && name[KEY_CHARS] == '-' &&
           strcmp(name + SHARD_NAME - 1 - strlen(".h5"), ".h5") == 0;
}

const char *shard_name_key(const char *name, char key[SHA256_HEX])
{
    memcpy(key, name, KEY_CHARS);
    key[KEY_CHARS] = '\0';
    return key;
}

const char *shard_name_digest(const char *name, char digest[SHA256_HEX])
{
    memcpy(digest, name + KEY_CHARS + 1, KEY_CHARS);
    digest[KEY_CHARS] = '\0';
    return digest;
}

/* ---- leases ---- */

/* Look-ups and changes exclude each other by a lock on the folder itself; building needs none. Where
 * the file system knows no locks, eviction can take a file from a reader, who then fails and says
 * so. Gives a descriptor to close. */
static int lock_folder(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) (void)flock(fd, LOCK_EX);
    return fd;
}

static void unlock_folder(int fd)
{
    if (fd >= 0) close(fd);
}

void shard_cache_release(ShardLease *lease)
{
    if (lease->fd >= 0) close(lease->fd);
    lease->fd = -1;
}

/* In a locked folder. */
static bool hold(const char *path, ShardLease *lease)
{
    lease->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (lease->fd < 0) return false;
    (void)flock(lease->fd, LOCK_SH);
    (void)futimens(lease->fd, NULL); /* used now; in a folder we may only read, times stay */
    return true;
}

/* In a locked folder. True when the file is gone: nobody held it. */
static bool remove_unheld(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const bool gone = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
    if (fd >= 0) close(fd);
    return gone;
}

/* Holds the file of this key, if there is one; or removes all of them. In a locked folder. */
static Status find(const char *dir, const char *key, bool remove, ShardLease *lease)
{
    Status rc = ST_OK;
    char **names = NULL;
    int64_t n = 0;
    TRY(dir_list(dir, &names, &n));
    for (int64_t i = 0; i < n && lease->fd < 0; i++) {
        if (!is_shard_name(names[i]) || strncmp(names[i], key, KEY_CHARS) != 0) continue;
        char *path = path_join(dir, names[i]);
        CHECK(path, NOMEM, "%s: no memory for a name", dir);
        if (remove)
            (void)remove_unheld(path);
        else if (hold(path, lease))
            memcpy(lease->name, names[i], SHARD_NAME);
        mem_free(path);
    }
out:
    dir_list_free(names, n);
    return rc;
}

static Status look_up(const char *dir, const char *key, ShardLease *lease)
{
    const int lock = lock_folder(dir);
    const Status rc = find(dir, key, false, lease);
    unlock_folder(lock);
    return rc;
}

Status shard_cache_find(const PackOpts *p, const char *key, ShardLease *lease)
{
    Status rc = ST_OK;
    char *dir = NULL;
    *lease = (ShardLease){.fd = -1};
    TRY(shard_cache_dir(p, &dir));
    TRY(look_up(dir, key, lease));
    CHECK(lease->fd >= 0, DATA, "%s: the shard that rank 0 of this node provides is not there",
          dir);
out:
    mem_free(dir);
    return rc;
}

/* Size, time and place of a file, to see that nobody wrote to it between two looks. */
static struct stat look_at(const char *path)
{
    struct stat st = {0};
    if (path) (void)stat(path, &st);
    return st;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static char *tmp_path(const char *dir)
{
    static int counter;
    char host[65] = "";
    comm_hostname(host, sizeof host);
    return mem_printf("%s/%s%s-%ld-%d.h5", dir, TMP_PREFIX, host, (long)getpid(), counter++);
}

/* Gives the written file its name, unless another job was faster: then that one's is held. */
static Status publish(const char *dir, const char *tmp, const char *key, const char *digest,
                      bool rebuild, ShardLease *lease)
{
    Status rc = ST_OK;
    char *path = NULL;
    const int lock = lock_folder(dir);
    TRY(find(dir, key, rebuild, lease));
    if (lease->fd >= 0) goto out;
    CHECK(hold(tmp, lease), IO, "%s: cannot be opened again", tmp);
    snprintf(lease->name, sizeof lease->name, "%s-%s.h5", key, digest);
    path = path_join(dir, lease->name);
    CHECK(path, NOMEM, "%s: no memory for a name", dir);
    CHECK(!fault_here() && rename(tmp, path) == 0, IO, "%s: cannot be renamed to %s", tmp, path);
    lease->built = true;
    TRY(dir_sync(dir));
out:
    unlock_folder(lock);
    mem_free(path);
    return rc;
}

static Status store(const Shard *shard, const char *dir, const char *key, bool rebuild,
                    ShardLease *lease)
{
    Status rc = ST_OK;
    char digest[SHA256_HEX], *tmp = tmp_path(dir);
    CHECK(tmp, NOMEM, "%s: no memory for a name", dir);
    TRY(shard_write(shard, tmp, digest));
    TRY(publish(dir, tmp, key, digest, rebuild, lease));
out:
    if (tmp && !lease->built) (void)unlink(tmp);
    mem_free(tmp);
    return rc;
}

static void report(const DatasetOpts *d, const Shard *shard, double seconds)
{
    char name[256];
    const TokenStream *train = &shard->split[SPLIT_TRAIN];
    const TokenStream *held_out = &shard->split[SPLIT_HELD_OUT];
    LOG_I("%s: tokenized in %.1f s: %lld tokens in %lld documents, held out %lld in %lld",
          dataset_name(d, name, sizeof name), seconds, LL(train->n_token), LL(train->n_doc),
          LL(held_out->n_token), LL(held_out->n_doc));
}

Status shard_cache_acquire(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok,
                           bool rebuild, ShardLease *lease)
{
    Status rc = ST_OK;
    char key[SHA256_HEX], *dir = NULL;
    Shard *shard = NULL;
    const double start_s = clock_s();
    *lease = (ShardLease){.fd = -1};
    const struct stat before = look_at(d->path);
    TRY(make_key(d, p, tok, key));
    TRY(shard_cache_dir(p, &dir));
    TRY(dir_make(dir));
    if (!rebuild) TRY(look_up(dir, key, lease));
    if (lease->fd >= 0) goto out;
    TRY(shard_build(d, p, tok, &shard));
    const struct stat after = look_at(d->path);
    CHECK(same_file(&before, &after), DATA, "%s: was changed while it was read", d->path);
    TRY(store(shard, dir, key, rebuild, lease));
    TRY(shard_cache_evict(dir, p->cache_limit_bytes));
    report(d, shard, clock_s() - start_s);
out:
    shard_destroy(shard);
    if (rc != ST_OK) shard_cache_release(lease);
    mem_free(dir);
    return rc;
}

/* ---- eviction ---- */

typedef struct Entry {
    const char *name;
    struct timespec used;
    int64_t n_bytes;
} Entry;

static int by_age(const void *pa, const void *pb)
{
    const Entry *a = pa, *b = pb;
    if (a->used.tv_sec != b->used.tv_sec) return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
    if (a->used.tv_nsec != b->used.tv_nsec) return a->used.tv_nsec < b->used.tv_nsec ? -1 : 1;
    return strcmp(a->name, b->name);
}

Status shard_cache_evict(const char *dir, int64_t limit_bytes)
{
    Status rc = ST_OK;
    char **names = NULL;
    Entry *entry = NULL;
    int64_t n = 0, n_entry = 0, total = 0;
    const time_t now = time(NULL);
    const int lock = lock_folder(dir);
    TRY(dir_list(dir, &names, &n));
    entry = mem_array(n, sizeof *entry);
    CHECK(entry, NOMEM, "%s: %lld names", dir, LL(n));
    for (int64_t i = 0; i < n; i++) {
        struct stat st;
        char *path = path_join(dir, names[i]);
        CHECK(path, NOMEM, "%s: no memory for a name", dir);
        const bool is_file = lstat(path, &st) == 0 && S_ISREG(st.st_mode);
        const bool is_tmp = strncmp(names[i], TMP_PREFIX, strlen(TMP_PREFIX)) == 0;
        if (is_file && is_tmp && st.st_mtime < now - TMP_LIFE_S) (void)remove_unheld(path);
        if (is_file && is_shard_name(names[i])) {
            entry[n_entry++] = (Entry){names[i], st.st_mtim, st.st_size};
            total += st.st_size;
        }
        mem_free(path);
    }
    qsort(entry, (size_t)n_entry, sizeof *entry, by_age);
    for (int64_t i = 0; i < n_entry && total > limit_bytes; i++) {
        char *path = path_join(dir, entry[i].name);
        CHECK(path, NOMEM, "%s: no memory for a name", dir);
        if (remove_unheld(path)) total -= entry[i].n_bytes;
        mem_free(path);
    }
out:
    unlock_folder(lock);
    mem_free(entry);
    dir_list_free(names, n);
    return rc;
}
