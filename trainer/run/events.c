/* events.c — metrics as TensorBoard events.
 *
 * The new file is built beside the old ones under a name TensorBoard does not look at, then
 * renamed, and only then the old ones go; should they survive, the new one outdates them. */
#include "trainer/run/events.h"
#include "trainer/base/comm.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/event_file.h"
#include "trainer/run/metrics_lines.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char PREFIX[] = "events.out.tfevents.";
enum { PREFIX_LENGTH = sizeof PREFIX - 1 };

struct Events {
    EventFile *file;
    const char *path; /* main | branch, while the file is being built */
};

/* Numbers of a step that are no curves. */
static bool is_curve(const char *name)
{
    return strcmp(name, "step") && strcmp(name, "tokens") && strcmp(name, "seconds") &&
           strcmp(name, "time");
}

/* One line of metrics.jsonl. */
static Status add_line(void *self, const json_t *line)
{
    Status rc = ST_OK;
    Events *e = self;
    const char *name, *path = json_string_value(json_object_get(line, "path"));
    const char *set = json_string_value(json_object_get(line, "eval"));
    const json_t *x;
    if (!path || strcmp(path, e->path) != 0) goto out;
    json_object_foreach((json_t *)line, name, x)
    {
        const bool curve = (json_is_number(x) || json_is_null(x)) && is_curve(name);
        const double value = json_is_null(x) ? NAN : json_number_value(x);
        if (curve && !set) event_file_scalar(e->file, "train", name, value);
        if (curve && set && !strcmp(name, "loss")) event_file_scalar(e->file, "eval", set, value);
    }
    TRY(event_file_put(e->file, json_integer_value(json_object_get(line, "step")),
                       json_number_value(json_object_get(line, "time"))));
out:
    return rc;
}

/* The second in the name of an event file; -1: another file. */
static long long second_of(const char *name)
{
    return strncmp(name, PREFIX, PREFIX_LENGTH) ? -1 : strtoll(name + PREFIX_LENGTH, NULL, 10);
}

/* Now, or a second after the newest file of dir: readers take the files in order of name. */
static Status next_second(const char *dir, long long *second)
{
    Status rc = ST_OK;
    *second = (long long)event_time_s();
    DIR *d = fault_here() ? NULL : opendir(dir);
    CHECK(d, IO, "%s: cannot be listed: %s", dir, strerror(errno));
    for (const struct dirent *f; (f = readdir(d));)
        if (second_of(f->d_name) >= *second) *second = second_of(f->d_name) + 1;
out:
    if (d) closedir(d);
    return rc;
}

static Status remove_older(const char *dir, long long second)
{
    Status rc = ST_OK;
    DIR *d = fault_here() ? NULL : opendir(dir);
    CHECK(d, IO, "%s: cannot be listed: %s", dir, strerror(errno));
    for (const struct dirent *f; (f = readdir(d));) {
        if (second_of(f->d_name) < 0 || second_of(f->d_name) >= second) continue;
        CHECK(!fault_here() && unlinkat(dirfd(d), f->d_name, 0) == 0, IO,
              "%s/%s: cannot be removed: %s", dir, f->d_name, strerror(errno));
    }
out:
    if (d) closedir(d);
    return rc;
}

Status events_open_from_metrics(const char *dir, const char *path, const char *metrics_file,
                                Events **e)
{
    Status rc = ST_OK;
    char host[256], *where = path_join(dir, strcmp(path, "branch") ? "." : "branch");
    char *draft = NULL, *final = NULL;
    long long second;
    Events *x = mem_alloc(sizeof *x);
    CHECK(x && where, NOMEM, "events: a file name below %s", dir);
    TRY(dir_make(where));
    TRY(next_second(where, &second));
    comm_hostname(host, sizeof host);
    draft = path_join(where, "events.tmp");
    final = mem_printf("%s/%s%010lld.%s", where, PREFIX, second, host);
    CHECK(draft && final, NOMEM, "events: a file name below %s", dir);
    TRY(file_remove(draft));
    TRY(event_file_create(draft, 0, &x->file));
    x->path = path;
    TRY(metrics_each(metrics_file, add_line, x));
    CHECK(!fault_here() && rename(draft, final) == 0, IO, "%s: cannot be renamed: %s", draft,
          strerror(errno));
    TRY(remove_older(where, second));
    *e = x;
    x = NULL;
out:
    if (events_close(&x) != ST_OK && rc == ST_OK) rc = ST_IO;
    mem_free(draft);
    mem_free(final);
    mem_free(where);
    return rc;
}

Status events_step(Events *e, const MetricsStep *s)
{
    event_file_scalar(e->file, "train", "loss", s->loss);
    event_file_scalar(e->file, "train", "lr", s->lr);
    event_file_scalar(e->file, "train", "grad_norm", s->grad_norm);
    event_file_scalar(e->file, "train", "tokens_per_s", s->tokens_per_s);
    for (int64_t i = 0; i < s->n_extra; i++)
        event_file_scalar(e->file, "train", s->extra[i].name, s->extra[i].value);
    return event_file_put(e->file, s->step, event_time_s());
}

Status events_eval(Events *e, const MetricsEval *v)
{
    event_file_scalar(e->file, "eval", v->eval, v->loss);
    return event_file_put(e->file, v->step, event_time_s());
}

Status events_close(Events **e)
{
    Status rc = ST_OK;
    if (*e) rc = event_file_close(&(*e)->file);
    mem_free(*e);
    *e = NULL;
    return rc;
}
