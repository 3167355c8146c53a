/* line_tree.c — parents by index, looked up once. */
#include "trainer/run/line_tree.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <string.h>

/* Bounds under which no sum of steps overflows. */
enum { LINE_MAX_VERSIONS = 1000 };
static const int64_t LINE_MAX_STEP = (int64_t)1 << 40;

static int64_t find_before(const Line *line, int64_t v)
{
    const LineVersion *x = &line->version[v];
    const char *name = x->branch_from[0] ? x->branch_from : x->follows;
    int64_t i = v - 1;
    while (i >= 0 && strcmp(line->version[i].name, name) != 0) i--;
    return i;
}

Status line_tree_load(const char *dir, Line **line, LineTree **tree)
{
    Status rc = ST_OK;
    Line *l = NULL;
    LineTree *t = mem_alloc(sizeof *t);
    char *file = path_join(dir, "line.json");
    CHECK(t && file, NOMEM, "line of %s", dir);
    CHECK(path_exists(file), DATA, "%s: there is no such file: %s is not the output_dir of a line",
          file, dir);
    TRY(line_load(dir, &l));
    CHECK(l->n_version <= LINE_MAX_VERSIONS, FORMAT, "%s: %lld versions, at most %d are read", file,
          LL(l->n_version), LINE_MAX_VERSIONS);
    t->line = l;
    t->parent = mem_array(l->n_version, sizeof *t->parent);
    CHECK(t->parent, NOMEM, "line of %lld versions", LL(l->n_version));
    for (int64_t v = 0; v < l->n_version; v++) {
        const LineVersion *x = &l->version[v];
        CHECK(x->end_step <= LINE_MAX_STEP, FORMAT, "%s: version %s ends at step %lld", file,
              x->name, LL(x->end_step));
        t->parent[v] = find_before(l, v);
    }
    *line = l;
    *tree = t;
    l = NULL;
    t = NULL;
out:
    line_tree_destroy(t);
    line_destroy(l);
    mem_free(file);
    return rc;
}

void line_tree_destroy(LineTree *tree)
{
    if (!tree) return;
    mem_free(tree->parent);
    mem_free(tree);
}

LineChild line_tree_kind(const LineTree *tree, int64_t v)
{
    return tree->line->version[v].branch_from[0] ? LINE_SIDE : LINE_FOLLOWER;
}

int64_t line_tree_next(const LineTree *tree, int64_t parent, LineChild kind, int64_t after)
{
    for (int64_t v = after + 1; v < tree->line->n_version; v++)
        if (tree->parent[v] == parent && line_tree_kind(tree, v) == kind) return v;
    return -1;
}

int64_t line_tree_newest(const LineTree *tree)
{
    const LineVersion *x = tree->line->version;
    int64_t newest = -1;
    for (int64_t v = 0; v < tree->line->n_version; v++)
        if (line_tree_kind(tree, v) == LINE_FOLLOWER &&
            (newest < 0 || x[v].end_step > x[newest].end_step))
            newest = v;
    return newest;
}

Status line_tree_cost(const LineTree *tree, int64_t v, PathCost *cost)
{
    Status rc = ST_OK;
    int64_t n = 0;
    PathSteps *steps = NULL;
    for (int64_t i = v; i >= 0; i = tree->parent[i]) n++;
    steps = mem_array(n, sizeof *steps);
    CHECK(steps, NOMEM, "cost of %lld versions", LL(n));
    int64_t at = n;
    for (int64_t i = v; i >= 0; i = tree->parent[i]) {
        const LineVersion *x = &tree->line->version[i];
        steps[--at] = (PathSteps){.n_step = x->end_step - x->first_step,
                                  .first = x->first_step,
                                  .branch = x->branch_step,
                                  .end = x->end_step};
    }
    *cost = path_plan_cost(steps, n);
out:
    mem_free(steps);
    return rc;
}
