/* file_out.c — files that are written: whole, or not at all. */
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/sys.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct FileOut {
    char *path;
    char *name; /* what it is called while it is written */
    int fd;
    bool exists; /* under `name`, to be removed */
    int64_t n_bytes;
};

static Status create(FileOut *o)
{
    Status rc = ST_OK;
    o->fd = SYS(open(o->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    CHECK(o->fd >= 0, IO, "%s: cannot create: %s", o->name, strerror(errno));
    o->exists = true;
out:
    return rc;
}

Status file_out_put(FileOut *o, const void *data, size_t n)
{
    Status rc = ST_OK;
    const char *bytes = data;
    while (n > 0) {
        const ssize_t put = SYS(write(o->fd, bytes, n));
        if (put < 0 && errno == EINTR) continue;
        CHECK(put > 0, IO, "%s: cannot write byte %lld: %s", o->name, LL(o->n_bytes),
              strerror(errno));
        bytes += put;
        n -= (size_t)put;
        o->n_bytes += put;
    }
out:
    return rc;
}

static Status sync_and_close(FileOut *o)
{
    Status rc = ST_OK;
    /* Once only: after a failed fsync the kernel calls the pages clean, and a second one would lie.
     */
    CHECK(SYS(fsync(o->fd)) == 0, IO, "%s: cannot sync: %s", o->name, strerror(errno));
    const int closed = SYS(close(o->fd));
    if (closed == 0) o->fd = -1;
    CHECK(closed == 0, IO, "%s: cannot close: %s", o->name, strerror(errno));
out:
    return rc;
}

Status file_write_new(const char *path, const void *data, size_t n)
{
    Status rc = ST_OK;
    FileOut o = {.name = (char *)path, .fd = -1};
    TRY(create(&o));
    TRY(file_out_put(&o, data, n));
    TRY(sync_and_close(&o));
out:
    if (o.fd >= 0) close(o.fd);
    return rc;
}

Status file_out_begin(const char *path, FileOut **out)
{
    Status rc = ST_OK;
    FileOut *o = mem_alloc(sizeof *o);
    *out = NULL;
    CHECK(o, NOMEM, "%s: no memory to write it", path);
    o->fd = -1;
    o->path = mem_strdup(path);
    o->name = mem_printf("%s.tmp", path);
    CHECK(o->path && o->name, NOMEM, "%s: no memory for a name", path);
    TRY(file_remove(o->name)); /* left by a job that died */
    TRY(create(o));
    *out = o;
    o = NULL;
out:
    file_out_end(o);
    return rc;
}

Status file_out_publish(FileOut *o)
{
    Status rc = ST_OK;
    char *parent = path_parent(o->path);
    CHECK(parent, NOMEM, "%s: no memory for its parent's name", o->path);
    TRY(sync_and_close(o));
    CHECK(SYS(rename(o->name, o->path)) == 0, IO, "%s: cannot rename to %s: %s", o->name, o->path,
          strerror(errno));
    o->exists = false;
    TRY(dir_sync(parent));
out:
    mem_free(parent);
    return rc;
}

void file_out_end(FileOut *o)
{
    if (!o) return;
    if (o->fd >= 0) close(o->fd);
    if (o->exists) (void)unlink(o->name);
    mem_free(o->name);
    mem_free(o->path);
    mem_free(o);
}

Status file_write_atomic(const char *path, const void *data, size_t n)
{
    Status rc = ST_OK;
    FileOut *o = NULL;
    TRY(file_out_begin(path, &o));
    TRY(file_out_put(o, data, n));
    TRY(file_out_publish(o));
out:
    file_out_end(o);
    return rc;
}

Status file_copy(const char *from_dir, const char *to_dir, const char *name)
{
    enum { MAX_BYTES = 1 << 30 };
    Status rc = ST_OK;
    char *from = path_join(from_dir, name), *to = path_join(to_dir, name), *bytes = NULL;
    size_t n;
    CHECK(from && to, NOMEM, "%s: no memory for a path", name);
    TRY(file_read_all(from, MAX_BYTES, &bytes, &n));
    TRY(file_write_new(to, bytes, n));
out:
    mem_free(bytes);
    mem_free(to);
    mem_free(from);
    return rc;
}
