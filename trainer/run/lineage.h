/* lineage.h — a line as a tree: versions, branch points, releases; as text and as JSON. */
#ifndef TRAINER_RUN_LINEAGE_H
#define TRAINER_RUN_LINEAGE_H
#include "trainer/run/line_tree.h"
#include "trainer/run/text.h"

/* Both add to `out`. Rank: local. Errors: ST_NOMEM. Source: docs/formats.md, "lineage --json". */
CHECKED Status lineage_text(const LineTree *tree, Text *out);
CHECKED Status lineage_json(const LineTree *tree, Text *out);
#endif
