/* line_tree.h — who hangs on whom in a line, and what that costs; for those who show a line. */
#ifndef TRAINER_RUN_LINE_TREE_H
#define TRAINER_RUN_LINE_TREE_H
#include "checkpoints/line.h"
#include "schedules/path_plan.h"

typedef enum LineChild {
    LINE_FOLLOWER, /* goes on with the main path */
    LINE_SIDE      /* branch_from: another decay from the parent's branch point */
} LineChild;

typedef struct LineTree {
    const Line *line; /* borrowed */
    int64_t *parent;  /* index of the version this one follows or branches from; -1: none */
} LineTree;

/* Loads dir/line.json and ties it up. A predecessor that does not stand before its follower counts
 * as none.
 *
 * Errors  ST_DATA no line.json; ST_FORMAT damaged, or with steps no line can have
 * Owns    both are the caller's: line_tree_destroy, then line_destroy */
CHECKED Status line_tree_load(const char *dir, Line **line, LineTree **tree);
void line_tree_destroy(LineTree *tree);

LineChild line_tree_kind(const LineTree *tree, int64_t v);
/* The next version after `after` that hangs on `parent` (-1: on none) in this way; -1: none. */
int64_t line_tree_next(const LineTree *tree, int64_t parent, LineChild kind, int64_t after);
/* The version at the end of the longest main path; of several the first. -1: none. */
int64_t line_tree_newest(const LineTree *tree);

/* Steps needed until v and all before it on its main path are released. Errors: ST_NOMEM. */
CHECKED Status line_tree_cost(const LineTree *tree, int64_t v, PathCost *cost);
#endif
