/* lineage.c — the tree. A version's first follower continues the spine, the rest is indented:
 *
 *   ● v1  steps 0 to 3600  on news-1
 *   │   ◆ branch point  step 1440   branch-points/v1
 *   │   ■ release       step 3600   releases/v1
 *   ├─ ● v1-short  steps 1440 to 2000
 *   ● v2  steps 3600 to 7200  on news-2
 */
#include "trainer/run/lineage.h"
#include "trainer/run/progress.h"
#include <math.h>

enum { SHORT_HASH = 12 };

static const char *point_hash(const LinePoint *p)
{
    return p->payload_sha256[0] ? p->payload_sha256 : p->state_sha256;
}

static void point_text(Text *out, const char *lead, const char *mark, const char *what,
                       const LinePoint *p)
{
    if (!p->dir[0]) return;
    text_printf(out, "%s   %s %-13s step %-9lld %-22s %.*s\n", lead, mark, what, LL(p->step),
                p->dir, SHORT_HASH, point_hash(p));
}

static void heldout_text(Text *out, const char *lead, json_t *heldout)
{
    const char *name, *before = "held-out loss";
    json_t *loss;
    if (json_object_size(heldout) == 0) return;
    text_printf(out, "%s     ", lead);
    json_object_foreach(heldout, name, loss)
    {
        text_printf(out, "%s %s ", before, name);
        text_printf(out, json_is_number(loss) ? "%.4f" : "not finite", json_number_value(loss));
        before = ",";
    }
    text_add(out, "\n");
}

static void main_tail_text(Text *out, const char *lead, const LineVersion *v)
{
    if (v->branch_from[0] || v->branch_step == v->end_step) return;
    if (v->main_end.dir[0])
        text_printf(out, "%s   main path goes on to step %lld\n", lead, LL(v->end_step));
    else if (v->branch_point.dir[0])
        text_printf(out, "%s   main path: its last %lld steps wait for the next version\n", lead,
                    LL(v->end_step - v->branch_step));
}

static void version_text(Text *out, const char *first, const char *lead, const LineVersion *v)
{
    text_printf(out, "%s● %s  steps %lld to %lld", first, v->name,
                LL(v->branch_from[0] ? v->branch_step : v->first_step), LL(v->end_step));
    for (int64_t i = 0; i < v->n_data; i++)
        text_printf(out, "%s %s", i ? "," : "  on", v->data[i].name);
    if (v->replay > 0.0) text_printf(out, "  replay %g", v->replay);
    text_add(out, "\n");
    point_text(out, lead, "◆", "branch point", &v->branch_point);
    point_text(out, lead, "■", "release", &v->release);
    heldout_text(out, lead, v->heldout);
    point_text(out, lead, "□", "averaged", &v->averaged);
    heldout_text(out, lead, v->averaged_heldout);
    main_tail_text(out, lead, v);
}

/* Versions from v on along the main path; `first` leads their own lines, `rest` the others. */
static void chain_text(const LineTree *tree, int64_t v, const char *first, const char *rest,
                       Text *out)
{
    Text lead = {0}, sub_first = {0}, sub_rest = {0};
    while (v >= 0 && !out->failed) {
        const int64_t next = line_tree_next(tree, v, LINE_FOLLOWER, v);
        lead.n = sub_first.n = sub_rest.n = 0;
        text_printf(&lead, "%s%s", rest, next >= 0 ? "│" : " ");
        text_printf(&sub_first, "%s%s ", rest, next >= 0 ? "├─" : "└─");
        text_printf(&sub_rest, "%s%s  ", rest, next >= 0 ? "│" : " ");
        out->failed |= lead.failed || sub_first.failed || sub_rest.failed;
        if (out->failed) break;
        version_text(out, first, lead.s, &tree->line->version[v]);
        for (int64_t i = v; (i = line_tree_next(tree, v, LINE_SIDE, i)) >= 0;)
            chain_text(tree, i, sub_first.s, sub_rest.s, out);
        for (int64_t i = next; i >= 0 && (i = line_tree_next(tree, v, LINE_FOLLOWER, i)) >= 0;)
            chain_text(tree, i, sub_first.s, sub_rest.s, out);
        first = rest;
        v = next;
    }
    text_fini(&lead);
    text_fini(&sub_first);
    text_fini(&sub_rest);
}

Status lineage_text(const LineTree *tree, Text *out)
{
    Status rc = ST_OK;
    char tokens[16], time[16];
    const LineLedger sum = line_total(tree->line);
    PathCost cost;
    TRY(line_tree_cost(tree, line_tree_newest(tree), &cost));
    text_printf(out, "%s  %s, %lld versions\n\n", tree->line->dir, tree->line->paradigm,
                LL(tree->line->n_version));
    for (LineChild kind = LINE_FOLLOWER; kind <= LINE_SIDE; kind++)
        for (int64_t i = -1; (i = line_tree_next(tree, -1, kind, i)) >= 0;)
            chain_text(tree, i, "", "", out);
    text_printf(
        out,
        "\nexecuted  %lld steps, %lld more lost to interruptions; %s tokens; %s of core time\n",
        LL(sum.steps_main + sum.steps_branch), LL(sum.steps_lost),
        progress_count((double)sum.tokens, tokens), progress_duration(sum.core_seconds, time));
    text_printf(out,
                "needed    path switching %lld steps (%.3f), from scratch %lld (1), continual %lld "
                "(%.3f)\n",
                LL(cost.lazy), cost.lazy_ratio, LL(cost.from_scratch), LL(cost.continual),
                cost.continual_ratio);
    TRY(text_check(out));
out:
    return rc;
}

static void point_json(Text *out, const char *key, const LinePoint *p, json_t *heldout)
{
    const char *name, *before = "";
    json_t *loss;
    text_printf(out, ", \"%s\": ", key);
    if (!p->dir[0]) {
        text_add(out, "null");
        return;
    }
    text_add(out, "{\"dir\": ");
    text_json_string(out, p->dir);
    text_printf(out, ", \"step\": %lld, \"tokens\": %lld", LL(p->step), LL(p->tokens));
    text_add(out, ", \"payload_sha256\": ");
    text_json_string(out, p->payload_sha256);
    text_add(out, ", \"state_sha256\": ");
    text_json_string(out, p->state_sha256);
    if (heldout) text_add(out, ", \"heldout\": {");
    json_object_foreach(heldout, name, loss)
    {
        text_add(out, before);
        text_json_string(out, name);
        text_add(out, ": ");
        text_json_number(out, json_is_number(loss) ? json_number_value(loss) : NAN);
        before = ", ";
    }
    text_add(out, heldout ? "}}" : "}");
}

static void children_json(const LineTree *tree, int64_t parent, int depth, Text *out);

static void version_json(const LineTree *tree, int64_t i, int depth, Text *out)
{
    const LineVersion *v = &tree->line->version[i];
    text_printf(out, "\n%*s{\"version\": ", 2 * depth, "");
    text_json_string(out, v->name);
    text_printf(out, ", \"side_branch\": %s", v->branch_from[0] ? "true" : "false");
    text_printf(out, ", \"first_step\": %lld, \"branch_step\": %lld, \"end_step\": %lld",
                LL(v->first_step), LL(v->branch_step), LL(v->end_step));
    point_json(out, "branch_point", &v->branch_point, NULL);
    point_json(out, "release", &v->release, v->heldout);
    point_json(out, "averaged", &v->averaged, v->averaged_heldout);
    point_json(out, "main_end", &v->main_end, NULL);
    text_add(out, ", \"children\": ");
    children_json(tree, i, depth + 1, out);
    text_add(out, "}");
}

static void children_json(const LineTree *tree, int64_t parent, int depth, Text *out)
{
    const char *comma = "";
    text_add(out, "[");
    for (int64_t i = parent + 1; i < tree->line->n_version; i++) {
        if (tree->parent[i] != parent) continue;
        text_add(out, comma);
        version_json(tree, i, depth, out);
        comma = ",";
    }
    text_add(out, "]");
}

Status lineage_json(const LineTree *tree, Text *out)
{
    Status rc = ST_OK;
    const LineLedger sum = line_total(tree->line);
    PathCost cost;
    TRY(line_tree_cost(tree, line_tree_newest(tree), &cost));
    text_add(out, "{\"format\": 1, \"line\": ");
    text_json_string(out, tree->line->dir);
    text_add(out, ", \"paradigm\": ");
    text_json_string(out, tree->line->paradigm);
    text_printf(out,
                ",\n \"ledger\": {\"steps\": %lld, \"steps_main\": %lld, \"steps_branch\": %lld, ",
                LL(sum.steps_main + sum.steps_branch), LL(sum.steps_main), LL(sum.steps_branch));
    text_printf(out,
                "\"steps_lost\": %lld, \"tokens\": %lld, \"core_seconds\": ", LL(sum.steps_lost),
                LL(sum.tokens));
    text_json_number(out, sum.core_seconds);
    text_printf(out, "},\n \"needed_steps\": {\"path_switching\": %lld, ", LL(cost.lazy));
    text_printf(out,
                "\"from_scratch\": %lld, \"continual\": %lld},\n \"tree\": ", LL(cost.from_scratch),
                LL(cost.continual));
    children_json(tree, -1, 1, out);
    text_add(out, "}\n");
    TRY(text_check(out));
out:
    return rc;
}
