/* dirs.c — directories that appear and vanish as a whole, and the lock that keeps a second job out.
 */
#include "trainer/base/comm.h"
#include "trainer/base/log.h"
#include "trainer/io/files.h"
#include "trainer/io/sys.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

Status dir_sync(const char *path)
{
    Status rc = ST_OK;
    const int fd = SYS(open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY));
    CHECK(fd >= 0, IO, "%s: cannot open to sync: %s", path, strerror(errno));
    /* EINVAL: this file system has no sync for directories, there is nothing more one can ask of
     * it. */
    CHECK(SYS(fsync(fd)) == 0 || errno == EINVAL, IO, "%s: cannot sync: %s", path, strerror(errno));
out:
    if (fd >= 0) close(fd);
    return rc;
}

static Status sync_parent(const char *path)
{
    Status rc = ST_OK;
    char *parent = path_parent(path);
    CHECK(parent, NOMEM, "%s: no memory for its parent's name", path);
    TRY(dir_sync(parent));
out:
    mem_free(parent);
    return rc;
}

Status dir_make_new(const char *path)
{
    Status rc = ST_OK;
    CHECK(SYS(mkdir(path, 0777)) == 0, IO, "%s: cannot make the directory: %s", path,
          strerror(errno));
    TRY(sync_parent(path));
out:
    return rc;
}

Status dir_make(const char *path)
{
    Status rc = ST_OK;
    char *parent = NULL;
    if (path_is_dir(path)) goto out;
    parent = path_parent(path);
    CHECK(parent, NOMEM, "%s: no memory for its parent's name", path);
    if (!path_is_dir(parent)) TRY(dir_make(parent));
    CHECK(SYS(mkdir(path, 0777)) == 0 || (errno == EEXIST && path_is_dir(path)), IO,
          "%s: cannot make the directory: %s", path, strerror(errno));
    TRY(dir_sync(parent));
out:
    mem_free(parent);
    return rc;
}

Status dir_publish(const char *tmp, const char *final)
{
    Status rc = ST_OK;
    int renamed = SYS(renameat2(AT_FDCWD, tmp, AT_FDCWD, final, RENAME_NOREPLACE));
    if (renamed != 0 &&
        (errno == EINVAL || errno == ENOSYS)) { /* a file system that cannot promise it */
        CHECK(!path_exists(final), IO, "%s: exists already", final);
        renamed = SYS(rename(tmp, final));
    }
    CHECK(renamed == 0, IO, "%s: cannot rename to %s: %s", tmp, final, strerror(errno));
    TRY(sync_parent(final));
out:
    return rc;
}

/* "NAME.tmp-PID": what was being written, or removed, when its job died. */
static bool is_unfinished(const char *name)
{
    const char *tmp = strstr(name, ".tmp-");
    if (!tmp) return false;
    const char *pid = tmp + strlen(".tmp-");
    return *pid && pid[strspn(pid, "0123456789")] == '\0';
}

Status dir_remove_unfinished(const char *parent)
{
    Status rc = ST_OK;
    char **names = NULL, *path = NULL;
    int64_t n = 0;
    if (!path_exists(parent)) goto out;
    TRY(dir_list(parent, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        if (!is_unfinished(names[i])) continue;
        path = path_join(parent, names[i]);
        CHECK(path, NOMEM, "%s: no memory for a name", parent);
        TRY(dir_remove(path));
        mem_free(path);
        path = NULL;
    }
out:
    mem_free(path);
    dir_list_free(names, n);
    return rc;
}

Status disk_free_bytes(const char *path, int64_t *n)
{
    Status rc = ST_OK;
    struct statvfs fs;
    char *at = mem_strdup(path), *up = NULL;
    *n = 0;
    while (at && !path_exists(at)) {
        up = path_parent(at);
        mem_free(at);
        at = up;
    }
    CHECK(at, NOMEM, "%s: no memory for its parent's name", path);
    CHECK(SYS(statvfs(at, &fs)) == 0, DATA, "%s: cannot tell the free space: %s", at,
          strerror(errno));
    *n = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
out:
    mem_free(at);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

Status dir_list(const char *path, char ***out_names, int64_t *out_n)
{
    Status rc = ST_OK;
    char **names = NULL;
    int64_t n = 0, room = 0;
    const struct dirent *entry = NULL;
    *out_names = NULL;
    *out_n = 0;
    DIR *dir = fault_here() ? (errno = EIO, NULL) : opendir(path);
    CHECK(dir, DATA, "%s: cannot list: %s", path, strerror(errno));
    while (errno = 0, (entry = readdir(dir))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (n == room) {
            const int64_t more = room ? 2 * room : 16;
            char **grown =
                mem_resize(names, (size_t)room * sizeof *names, (size_t)more * sizeof *names);
            CHECK(grown, NOMEM, "%s: no memory for %lld names", path, LL(more));
            names = grown;
            room = more;
        }
        names[n] = mem_strdup(entry->d_name);
        CHECK(names[n], NOMEM, "%s: no memory for a name", path);
        n++;
    }
    CHECK(errno == 0, DATA, "%s: cannot list: %s", path, strerror(errno));
    if (n > 0) qsort(names, (size_t)n, sizeof *names, by_name);
    *out_names = names;
    *out_n = n;
    names = NULL;
    n = 0;
out:
    dir_list_free(names, n);
    if (dir) closedir(dir);
    return rc;
}

void dir_list_free(char **names, int64_t n)
{
    for (int64_t i = 0; i < n; i++) mem_free(names[i]);
    mem_free(names);
}

Status dir_remove_empty(const char *path)
{
    Status rc = ST_OK;
    CHECK(SYS(rmdir(path)) == 0 || errno == ENOENT, IO, "%s: cannot remove: %s", path,
          strerror(errno));
out:
    return rc;
}

Status dir_remove(const char *path)
{
    Status rc = ST_OK;
    struct stat st;
    char **names = NULL, *child = NULL;
    int64_t n = 0;
    if (lstat(path, &st) != 0 && errno == ENOENT) goto out;
    if (!S_ISDIR(st.st_mode)) {
        TRY(file_remove(path));
        goto out;
    }
    TRY(dir_list(path, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        child = path_join(path, names[i]);
        CHECK(child, NOMEM, "%s: no memory for a name below it", path);
        TRY(dir_remove(child));
        mem_free(child);
        child = NULL;
    }
    TRY(dir_remove_empty(path));
out:
    mem_free(child);
    dir_list_free(names, n);
    return rc;
}

struct DirLock {
    int fd;
};

/* The lock belongs to the open file, not to the process: closing another descriptor of it does not
 * drop it. */
static bool take(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return SYS(fcntl(fd, F_OFD_SETLK, &whole)) == 0;
}

static void read_owner(int fd, char *text, size_t n_text)
{
    const ssize_t n = pread(fd, text, n_text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~') *c = ' ';
    if (!text[0]) snprintf(text, n_text, "another job");
}

Status dir_lock(const char *dir, double wait_s, DirLock **out)
{
    Status rc = ST_OK;
    const double start = clock_s();
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    char owner[256], host[128];
    char *path = path_join(dir, ".lock");
    DirLock *lock = mem_alloc(sizeof *lock);
    *out = NULL;
    if (lock) lock->fd = -1;
    CHECK(path && lock, NOMEM, "%s: no memory for a lock", dir);
    lock->fd = SYS(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    CHECK(lock->fd >= 0, IO, "%s: cannot open: %s", path, strerror(errno));
    while (!take(lock->fd)) {
        CHECK(errno == EAGAIN || errno == EACCES || errno == EINTR, IO, "%s: cannot lock: %s", path,
              strerror(errno));
        read_owner(lock->fd, owner, sizeof owner);
        CHECK(clock_s() - start < wait_s, CONFIG, "%s is in use by %s (waited %.0f s; lock %s)",
              dir, owner, wait_s, path);
        nanosleep(&pause, NULL);
    }
    comm_hostname(host, sizeof host);
    const int n = snprintf(owner, sizeof owner, "host %s, pid %d", host, (int)getpid());
    CHECK(SYS(ftruncate(lock->fd, 0)) == 0 && SYS(pwrite(lock->fd, owner, (size_t)n, 0)) == n, IO,
          "%s: cannot write: %s", path, strerror(errno));
    *out = lock;
    lock = NULL;
out:
    dir_unlock(lock);
    mem_free(path);
    return rc;
}

void dir_unlock(DirLock *lock)
{
    if (!lock) return;
    if (lock->fd >= 0) close(lock->fd);
    mem_free(lock);
}
