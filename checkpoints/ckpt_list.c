/* ckpt_list.c — the checkpoints "step-NNNNNN" of one directory: which is the newest, which may go.
 */
#include "checkpoints/ckpt_manifest.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdlib.h>
#include <string.h>

typedef struct Found {
    int64_t step;
    char *path;
} Found;

typedef struct FoundList {
    Found *at; /* the newest first */
    int64_t n;
} FoundList;

static void found_fini(FoundList *list)
{
    for (int64_t i = 0; i < list->n; i++) mem_free(list->at[i].path);
    mem_free(list->at);
}

/* -1: not the name of a checkpoint. */
static int64_t step_of(const char *name)
{
    const char *digits = name + strlen("step-");
    if (strncmp(name, "step-", strlen("step-")) != 0) return -1;
    const size_t n = strspn(digits, "0123456789");
    return n >= 1 && n <= 18 && digits[n] == '\0' ? strtoll(digits, NULL, 10) : -1;
}

static int newest_first(const void *a, const void *b)
{
    const int64_t x = ((const Found *)a)->step, y = ((const Found *)b)->step;
    return (x < y) - (x > y);
}

static Status find(const char *parent, FoundList *list)
{
    Status rc = ST_OK;
    char **names = NULL;
    int64_t n = 0;
    if (!path_exists(parent)) goto out;
    TRY(dir_list(parent, &names, &n));
    list->at = mem_array(n, sizeof *list->at);
    CHECK(list->at, NOMEM, "%s: no memory for %lld names", parent, LL(n));
    for (int64_t i = 0; i < n; i++) {
        const int64_t step = step_of(names[i]);
        if (step < 0) continue;
        char *path = path_join(parent, names[i]);
        CHECK(path, NOMEM, "%s: no memory for %lld names", parent, LL(n));
        list->at[list->n++] = (Found){step, path};
    }
    qsort(list->at, (size_t)list->n, sizeof *list->at, newest_first);
out:
    dir_list_free(names, n);
    return rc;
}

static bool is_damage(Status rc)
{
    return rc == ST_DATA || rc == ST_FORMAT;
}

bool ckpt_is(const char *dir)
{
    Manifest *m = NULL;
    const bool is = manifest_load(dir, &m) == ST_OK;
    if (!is) status_clear();
    manifest_destroy(m);
    return is;
}

Status ckpt_newest(const char *parent, char **path)
{
    return ckpt_newest_between(parent, 0, INT64_MAX, path);
}

Status ckpt_newest_between(const char *parent, int64_t first, int64_t last, char **path)
{
    Status rc = ST_OK;
    FoundList list = {0};
    int64_t n_fit = 0;
    *path = NULL;
    TRY(find(parent, &list));
    for (int64_t i = 0; i < list.n && !*path; i++) {
        if (list.at[i].step < first || list.at[i].step > last) continue;
        n_fit++;
        const Status one = ckpt_check_parts(list.at[i].path);
        if (is_damage(one)) {
            LOG_W("passing over a damaged checkpoint: %s", status_message());
            status_clear();
            continue;
        }
        TRY(one);
        *path = list.at[i].path;
        list.at[i].path = NULL;
    }
    CHECK(*path || n_fit == 0, FORMAT, "%s: has %lld checkpoints, all of them damaged", parent,
          LL(n_fit));
out:
    found_fini(&list);
    return rc;
}

/* Whoever is killed in the middle leaves a temporary directory, never half a checkpoint. */
static Status remove_whole(const char *path)
{
    Status rc = ST_OK;
    char *tmp = mem_printf("%s.tmp-0", path);
    CHECK(tmp, NOMEM, "%s: no memory for a name", path);
    TRY(dir_publish(path, tmp));
    TRY(dir_remove(tmp));
out:
    mem_free(tmp);
    return rc;
}

Status ckpt_prune(const char *parent, int64_t keep)
{
    Status rc = ST_OK;
    FoundList list = {0};
    int64_t n_intact = 0;
    TRY(dir_remove_unfinished(parent));
    if (keep < 1) goto out;
    TRY(find(parent, &list));
    for (int64_t i = 0; i < list.n; i++) {
        if (n_intact >= keep) {
            TRY(remove_whole(list.at[i].path));
            continue;
        }
        Ckpt *k = NULL;
        const Status one = ckpt_open(list.at[i].path, &k);
        ckpt_close(k);
        if (is_damage(one)) {
            status_clear();
            continue;
        }
        TRY(one);
        n_intact++;
    }
out:
    found_fini(&list);
    return rc;
}
