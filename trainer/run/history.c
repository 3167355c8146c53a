/* history.c — sorts the lines of metrics.jsonl into arrays, whatever other fields they have. */
#include "trainer/run/history.h"
#include "trainer/base/mem.h"
#include "trainer/run/metrics_lines.h"
#include <math.h>
#include <string.h>

enum { HISTORY_MAX_SETS = 256 };

/* Makes room for one more element of `size` bytes in *array. */
static Status make_room(void **array, int64_t n, int64_t *cap, size_t size)
{
    Status rc = ST_OK;
    if (n < *cap) goto out;
    const int64_t more = *cap ? 2 * *cap : 64;
    void *p = *array ? mem_resize(*array, (size_t)*cap * size, (size_t)more * size)
                     : mem_array(more, size);
    CHECK(p, NOMEM, "history: %lld entries of %zu bytes", LL(more), size);
    *array = p;
    *cap = more;
out:
    return rc;
}

static double number(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

Status history_set_index(HistorySets *sets, const char *name, int64_t *index)
{
    Status rc = ST_OK;
    for (*index = 0; *index < sets->n; ++*index)
        if (!strcmp(sets->name[*index], name)) goto out;
    CHECK(sets->n < HISTORY_MAX_SETS, FORMAT, "metrics: more than %d held-out sets",
          HISTORY_MAX_SETS);
    TRY(make_room((void **)&sets->name, sets->n, &sets->cap, sizeof *sets->name));
    sets->name[sets->n] = mem_strdup(name);
    CHECK(sets->name[sets->n], NOMEM, "metrics: the name of a held-out set");
    sets->n++;
out:
    return rc;
}

typedef struct Reading {
    HistorySets *sets;
    History *h;
} Reading;

static Status add_line(void *self, const json_t *o)
{
    Status rc = ST_OK;
    HistorySets *sets = ((Reading *)self)->sets;
    History *h = ((Reading *)self)->h;
    const char *path = json_string_value(json_object_get(o, "path"));
    const char *eval = json_string_value(json_object_get(o, "eval"));
    const json_t *step = json_object_get(o, "step");
    const HistoryPath p = path && !strcmp(path, "branch") ? HISTORY_BRANCH : HISTORY_MAIN;
    if (!json_is_integer(step)) goto out;
    if (eval) {
        HistoryEval e = {.step = json_integer_value(step), .loss = number(o, "loss")};
        TRY(history_set_index(sets, eval, &e.set));
        TRY(make_room((void **)&h->evals[p], h->n_eval[p], &h->cap_eval[p], sizeof e));
        h->evals[p][h->n_eval[p]++] = e;
    } else {
        const HistoryStep s = {.step = json_integer_value(step),
                               .tokens = json_integer_value(json_object_get(o, "tokens")),
                               .loss = number(o, "loss"),
                               .lr = number(o, "lr"),
                               .seconds = number(o, "seconds")};
        TRY(make_room((void **)&h->steps[p], h->n_step[p], &h->cap_step[p], sizeof s));
        h->steps[p][h->n_step[p]++] = s;
    }
out:
    return rc;
}

Status history_read(const char *file, HistorySets *sets, History *h)
{
    return metrics_each(file, add_line, &(Reading){sets, h});
}

void history_fini(History *h)
{
    for (int p = 0; p < N_HISTORY_PATH; p++) {
        mem_free(h->steps[p]);
        mem_free(h->evals[p]);
    }
    *h = (History){0};
}

void history_sets_fini(HistorySets *sets)
{
    for (int64_t i = 0; i < sets->n; i++) mem_free(sets->name[i]);
    mem_free(sets->name);
    *sets = (HistorySets){0};
}
