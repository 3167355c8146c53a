/* files.c — reading, comparing and removing files; names of files. */
#include "trainer/io/files.h"
#include "trainer/io/sys.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

Status sys_open_regular(const char *path, int *fd, int64_t *n_bytes)
{
    Status rc = ST_OK;
    struct stat st;
    *fd = SYS(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)); /* a FIFO must not make us wait */
    CHECK(*fd >= 0, DATA, "%s: cannot open: %s", path, strerror(errno));
    CHECK(SYS(fstat(*fd, &st)) == 0, DATA, "%s: %s", path, strerror(errno));
    CHECK(S_ISREG(st.st_mode), DATA, "%s: is not a regular file", path);
    *n_bytes = st.st_size;
out:
    return rc;
}

/* Reads until `n` bytes or the end. */
static Status read_some(const char *path, int fd, char *buf, size_t n, size_t *n_read)
{
    Status rc = ST_OK;
    size_t at = 0;
    while (at < n) {
        const ssize_t got = SYS(read(fd, buf + at, n - at));
        if (got < 0 && errno == EINTR) continue;
        CHECK(got >= 0, DATA, "%s: cannot read: %s", path, strerror(errno));
        if (got == 0) break;
        at += (size_t)got;
    }
    *n_read = at;
out:
    return rc;
}

Status file_read_all(const char *path, size_t max_bytes, char **text, size_t *n)
{
    Status rc = ST_OK;
    int fd = -1;
    int64_t length = 0;
    char *buf = NULL;
    *text = NULL;
    *n = 0;
    TRY(sys_open_regular(path, &fd, &length));
    CHECK((uint64_t)length <= max_bytes, DATA, "%s: has %lld bytes, at most %zu are read", path,
          LL(length), max_bytes);
    buf = mem_alloc((size_t)length + 1);
    CHECK(buf, NOMEM, "%s: no memory for %lld bytes", path, LL(length));
    TRY(read_some(path, fd, buf, (size_t)length, n));
    CHECK(*n == (size_t)length, DATA, "%s: ends after %zu of %lld bytes", path, *n, LL(length));
    *text = buf;
    buf = NULL;
out:
    mem_free(buf);
    if (fd >= 0) close(fd);
    return rc;
}

static Status compare(const char *path, const void *data, size_t n)
{
    enum { BLOCK = 1 << 20 };
    Status rc = ST_OK;
    int fd = -1;
    int64_t length = 0;
    char *block = NULL;
    TRY(sys_open_regular(path, &fd, &length));
    CHECK((uint64_t)length == n, IO, "%s: has %lld bytes, %zu were written", path, LL(length), n);
    block = mem_alloc(BLOCK);
    CHECK(block, NOMEM, "%s: no memory to read it back", path);
    (void)posix_fadvise(fd, 0, 0,
                        POSIX_FADV_DONTNEED); /* advice: nothing is lost when it is not taken */
    for (size_t at = 0, got = 0; at < n; at += got) {
        const unsigned char *want = (const unsigned char *)data + at,
                            *have = (unsigned char *)block;
        size_t same = 0;
        TRY(read_some(path, fd, block, n - at < BLOCK ? n - at : BLOCK, &got));
        CHECK(got > 0, IO, "%s: ends after %zu of %zu bytes", path, at, n);
        if (memcmp(want, have, got) == 0) continue;
        while (want[same] == have[same]) same++;
        CHECK(false, IO, "%s: byte %zu reads 0x%02x, 0x%02x was written", path, at + same,
              have[same], want[same]);
    }
out:
    mem_free(block);
    if (fd >= 0) close(fd);
    return rc;
}

Status file_compare(const char *path, const void *data, size_t n)
{
    char why[1024];
    const Status rc = compare(path, data, n);
    if (rc != ST_DATA) return rc;
    snprintf(why, sizeof why, "%s", status_message()); /* unreadable is unwritten here */
    return status_adopt(ST_IO, why);
}

Status file_bytes(const char *path, int64_t *n)
{
    Status rc = ST_OK;
    int fd = -1;
    *n = 0;
    TRY(sys_open_regular(path, &fd, n));
out:
    if (fd >= 0) close(fd);
    return rc;
}

Status file_sync(const char *path)
{
    Status rc = ST_OK;
    const int fd = SYS(open(path, O_RDONLY | O_CLOEXEC));
    CHECK(fd >= 0, IO, "%s: cannot open to sync: %s", path, strerror(errno));
    CHECK(SYS(fsync(fd)) == 0, IO, "%s: cannot sync: %s", path, strerror(errno));
out:
    if (fd >= 0) close(fd);
    return rc;
}

Status file_remove(const char *path)
{
    Status rc = ST_OK;
    CHECK(SYS(unlink(path)) == 0 || errno == ENOENT, IO, "%s: cannot remove: %s", path,
          strerror(errno));
out:
    return rc;
}

bool path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool path_has(const char *dir, const char *name)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && n < (int)sizeof path && path_exists(path);
}

bool path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *path_join(const char *dir, const char *name)
{
    if (name[0] == '/' || dir[0] == '\0') return mem_strdup(name);
    return mem_printf(dir[strlen(dir) - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

char *path_parent(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    while (n > 0 && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    return n == 0 ? mem_strdup(".") : mem_printf("%.*s", (int)n, path);
}
