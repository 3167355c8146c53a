/* metrics.c — metrics.jsonl. A line is one write; cutting back rewrites the file atomically.
 *
 * Main path and branch of a version may run at once, so both hold a lock on the directory while
 * they do it, and a writer looks whether its file was replaced. */
#include "trainer/run/metrics.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/event_file.h"
#include "trainer/run/metrics_lines.h"
#include "trainer/run/text.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct Metrics {
    int fd, lock;
    char *file;
    Text line; /* reused */
};

static Status open_lock(const char *file, int *lock)
{
    Status rc = ST_OK;
    char *dir = path_parent(file);
    CHECK(dir, NOMEM, "%s: no memory for its directory's name", file);
    *lock = fault_here() ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(*lock >= 0, IO, "%s: cannot be opened: %s", dir, strerror(errno));
out:
    mem_free(dir);
    return rc;
}

static Status take_lock(const char *file, int lock)
{
    Status rc = ST_OK;
    while (flock(lock, LOCK_EX) != 0)
        CHECK(errno == EINTR, IO, "%s: its directory cannot be locked: %s", file, strerror(errno));
out:
    return rc;
}

/* ---- cutting back ---- */

typedef struct Cut {
    const char *path;
    int64_t step;
    int64_t n_steps, n_damaged;
} Cut;

static bool is_kept(Cut *cut, const char *line, size_t n)
{
    json_t *o = json_loadb(line, n, 0, NULL);
    const char *path = json_string_value(json_object_get(o, "path"));
    const json_t *step = json_object_get(o, "step");
    const bool again = path && !strcmp(path, cut->path) && json_is_integer(step) &&
                       json_integer_value(step) >= cut->step;
    const bool damaged = !json_is_object(o);
    cut->n_damaged += damaged;
    cut->n_steps += again && !json_object_get(o, "eval");
    json_decref(o);
    return !again && !damaged;
}

Status metrics_cut(const char *file, const char *path, int64_t step, int64_t *n_steps)
{
    Status rc = ST_OK;
    char *text = NULL;
    size_t n = 0, n_kept = 0;
    int lock = -1;
    Cut cut = {path, step, 0, 0};
    if (!path_exists(file)) goto out;
    TRY(open_lock(file, &lock));
    TRY(take_lock(file, lock));
    TRY(file_read_all(file, METRICS_MAX_BYTES, &text, &n));
    for (char *line = text, *end; line < text + n; line = end) {
        char *newline = memchr(line, '\n', (size_t)(text + n - line));
        end = newline ? newline + 1 : text + n;
        if (!newline || !is_kept(&cut, line, (size_t)(end - line))) continue;
        memmove(text + n_kept, line, (size_t)(end - line));
        n_kept += (size_t)(end - line);
    }
    if (cut.n_damaged) LOG_W("%s: dropped %lld damaged lines", file, LL(cut.n_damaged));
    if (n_kept < n) TRY(file_write_atomic(file, text, n_kept));
out:
    if (n_steps) *n_steps = cut.n_steps;
    if (lock >= 0) close(lock);
    mem_free(text);
    return rc;
}

/* ---- appending ---- */

static Status open_file(Metrics *m)
{
    Status rc = ST_OK;
    if (m->fd >= 0) close(m->fd);
    m->fd = fault_here() ? -1 : open(m->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    CHECK(m->fd >= 0, IO, "%s: cannot be opened for appending: %s", m->file, strerror(errno));
out:
    return rc;
}

Status metrics_open(const char *file, Metrics **m)
{
    Status rc = ST_OK;
    Metrics *x = mem_alloc(sizeof *x);
    CHECK(x, NOMEM, "metrics: %zu bytes", sizeof *x);
    x->fd = x->lock = -1;
    x->file = mem_strdup(file);
    CHECK(x->file, NOMEM, "metrics: a copy of \"%s\"", file);
    TRY(open_lock(file, &x->lock));
    TRY(open_file(x));
    *m = x;
    x = NULL;
out:
    if (metrics_close(&x) != ST_OK && rc == ST_OK) rc = ST_IO;
    return rc;
}

static bool was_replaced(const Metrics *m)
{
    struct stat ours, there;
    return stat(m->file, &there) != 0 || fstat(m->fd, &ours) != 0 || ours.st_ino != there.st_ino ||
           ours.st_dev != there.st_dev;
}

static Status append(Metrics *m)
{
    Status rc = ST_OK;
    const Text *t = &m->line;
    TRY(text_check(t));
    TRY(take_lock(m->file, m->lock));
    if (was_replaced(m)) TRY(open_file(m));
    for (size_t at = 0; at < t->n;) { /* once, unless the disk is full: then the rest says so */
        const ssize_t n = fault_here() ? (errno = EIO, -1) : write(m->fd, t->s + at, t->n - at);
        if (n < 0 && errno == EINTR) continue;
        CHECK(n > 0, IO, "%s: writing failed: %s", m->file, strerror(errno));
        at += (size_t)n;
    }
out:
    (void)flock(m->lock, LOCK_UN);
    return rc;
}

static void add_name(Text *t, const char *name)
{
    text_add(t, t->n > 1 ? ", " : "");
    text_json_string(t, name);
    text_add(t, ": ");
}

static void add_string(Text *t, const char *name, const char *value)
{
    if (!value) return;
    add_name(t, name);
    text_json_string(t, value);
}

static void add_count(Text *t, const char *name, int64_t value)
{
    add_name(t, name);
    text_printf(t, "%lld", LL(value));
}

static void add_number(Text *t, const char *name, double value)
{
    add_name(t, name);
    text_json_number(t, value);
}

static Text *line_begin(Metrics *m, const char *path, const char *version, int64_t step)
{
    Text *t = &m->line;
    t->n = 0;
    t->failed = false;
    text_add(t, "{");
    add_string(t, "path", path);
    add_string(t, "version", version);
    add_count(t, "step", step);
    return t;
}

static Status line_end(Metrics *m, const MetricsField *extra, int64_t n_extra)
{
    Text *t = &m->line;
    for (int64_t i = 0; i < n_extra; i++) add_number(t, extra[i].name, extra[i].value);
    add_name(t, "time");
    text_printf(t, "%.3f}\n", event_time_s());
    return append(m);
}

Status metrics_step(Metrics *m, const MetricsStep *s)
{
    Text *t = line_begin(m, s->path, s->version, s->step);
    add_number(t, "loss", s->loss);
    add_number(t, "lr", s->lr);
    add_count(t, "tokens", s->tokens);
    add_number(t, "grad_norm", s->grad_norm);
    add_number(t, "tokens_per_s", s->tokens_per_s);
    add_number(t, "seconds", s->seconds);
    add_string(t, "batch_hash", s->batch_hash);
    return line_end(m, s->extra, s->n_extra);
}

Status metrics_eval(Metrics *m, const MetricsEval *e)
{
    Text *t = line_begin(m, e->path, e->version, e->step);
    add_string(t, "eval", e->eval);
    add_number(t, "loss", e->loss);
    add_count(t, "tokens", e->tokens);
    add_number(t, "seconds", e->seconds);
    return line_end(m, e->extra, e->n_extra);
}

Status metrics_sync(Metrics *m)
{
    Status rc = ST_OK;
    CHECK(!fault_here() && fsync(m->fd) == 0, IO, "%s: fsync: %s", m->file, strerror(errno));
out:
    return rc;
}

Status metrics_close(Metrics **m)
{
    Status rc = ST_OK;
    Metrics *x = *m;
    *m = NULL;
    if (!x) goto out;
    const bool closed = x->fd < 0 || (close(x->fd) == 0 && !fault_here());
    CHECK(closed, IO, "%s: close: %s", x->file, strerror(errno));
out:
    if (x) {
        if (x->lock >= 0) close(x->lock);
        text_fini(&x->line);
        mem_free(x->file);
    }
    mem_free(x);
    return rc;
}

/* ---- reading ---- */

Status metrics_each(const char *file, Status (*each)(void *self, const json_t *line), void *self)
{
    Status rc = ST_OK;
    char *text = NULL;
    json_t *o = NULL;
    size_t n = 0;
    if (!path_exists(file)) goto out;
    TRY(file_read_all(file, METRICS_MAX_BYTES, &text, &n));
    for (const char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        if (!end) break;
        json_decref(o);
        o = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (json_is_object(o)) TRY(each(self, o));
    }
out:
    json_decref(o);
    mem_free(text);
    return rc;
}
