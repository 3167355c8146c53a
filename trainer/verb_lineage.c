/* verb_lineage.c — trainer lineage DIR [--json]: the line as a tree. */
#include "trainer/run/lineage.h"
#include "trainer/verb.h"
#include <stdio.h>

static Status print_lineage(const char *dir, bool json)
{
    Status rc = ST_OK;
    Line *line = NULL;
    LineTree *tree = NULL;
    Text out = {0};
    TRY(line_tree_load(dir, &line, &tree));
    TRY(json ? lineage_json(tree, &out) : lineage_text(tree, &out));
    CHECK(fputs(out.s, stdout) >= 0 && fflush(stdout) == 0, IO, "lineage: standard output");
out:
    text_fini(&out);
    line_tree_destroy(tree);
    line_destroy(line);
    return rc;
}

Status verb_lineage(const Comm *world, int argc, char **argv)
{
    return verb_look(world, argc, argv, print_lineage);
}
