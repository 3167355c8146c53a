/* report_parts.c — tree, tables and bars. Every foreign string goes through text_html. */
#include "trainer/run/report_parts.h"
#include "trainer/base/mem.h"
#include "trainer/run/progress.h"
#include <math.h>
#include <stdio.h>

enum { SHORT_HASH = 12 };

const char *report_version_name(const Report *r, int64_t v)
{
    return r->line ? r->line->version[v].name : "run";
}

double report_heldout(const Report *r, int64_t v, int64_t set)
{
    const json_t *loss = json_object_get(r->line->version[v].heldout, r->sets.name[set]);
    return json_is_number(loss) ? json_number_value(loss) : NAN;
}

/* The first characters; the whole of it on hovering. */
static void add_hash(Text *page, const char *hash)
{
    char brief[SHORT_HASH + 1];
    snprintf(brief, sizeof brief, "%.*s", SHORT_HASH, hash);
    text_add(page, "<code class=\"hash\" title=\"");
    text_html(page, hash);
    text_add(page, "\">");
    text_html(page, brief);
    text_add(page, "</code>");
}

static void add_loss(Text *page, double loss)
{
    if (isfinite(loss))
        text_printf(page, "%.4f", loss);
    else
        text_add(page, "–");
}

static void add_cell(Text *page, int64_t x)
{
    text_add(page, "<td class=\"n\">");
    report_int(page, x);
    text_add(page, "</td>");
}

/* ---- the tree ---- */

static void point_item(Text *page, const char *mark, const char *what, const LinePoint *p)
{
    if (!p->dir[0]) return;
    text_printf(page,
                "<li><span class=\"mark %s\"></span><span>%s</span><span class=\"soft\">step ",
                mark, what);
    report_int(page, p->step);
    text_add(page, "</span><code>");
    text_html(page, p->dir);
    text_add(page, "</code>");
    add_hash(page, p->payload_sha256[0] ? p->payload_sha256 : p->state_sha256);
    text_add(page, "</li>");
}

static void tail_item(Text *page, const LineVersion *v)
{
    if (v->branch_from[0] || v->branch_step == v->end_step || !v->branch_point.dir[0]) return;
    text_add(page, "<li class=\"wide soft\"><span></span><span>");
    if (v->main_end.dir[0]) {
        text_add(page, "the main path went on to step ");
        report_int(page, v->end_step);
    } else {
        text_add(page, "the last ");
        report_int(page, v->end_step - v->branch_step);
        text_add(page, " steps of the main path wait for the next version");
    }
    text_add(page, "</span></li>");
}

static void version_item(const Report *r, int64_t i, Text *page)
{
    const LineVersion *v = &r->line->version[i];
    text_add(page, "<b>");
    text_html(page, v->name);
    text_add(page, "</b> <span class=\"soft\">steps ");
    report_int(page, v->branch_from[0] ? v->branch_step : v->first_step);
    text_add(page, " to ");
    report_int(page, v->end_step);
    for (int64_t d = 0; d < v->n_data; d++) {
        text_add(page, d ? ", " : " on ");
        text_html(page, v->data[d].name);
    }
    if (v->replay > 0.0) text_printf(page, ", replay %g", v->replay);
    text_add(page, "</span><ul class=\"points\">");
    point_item(page, "turn", "branch point", &v->branch_point);
    point_item(page, "full", "release", &v->release);
    point_item(page, "", "averaged", &v->averaged);
    tail_item(page, v);
    text_add(page, "</ul>");
}

static void chain(const Report *r, int64_t v, Text *page);

static void hanging(const Report *r, int64_t parent, LineChild kind, int64_t after, Text *page)
{
    for (int64_t i = after; (i = line_tree_next(r->tree, parent, kind, i)) >= 0;) {
        text_add(page, "<ul class=\"spine\">");
        chain(r, i, page);
        text_add(page, "</ul>");
    }
}

static void chain(const Report *r, int64_t v, Text *page)
{
    while (v >= 0 && !page->failed) {
        const int64_t next = line_tree_next(r->tree, v, LINE_FOLLOWER, v);
        text_printf(page, "<li style=\"--c:%s\">", report_color(v));
        version_item(r, v, page);
        hanging(r, v, LINE_SIDE, v, page);
        if (next >= 0) hanging(r, v, LINE_FOLLOWER, next, page);
        text_add(page, "</li>");
        v = next;
    }
}

void report_tree(const Report *r, Text *page)
{
    if (!r->line || r->line->n_version == 0) return;
    text_add(
        page,
        "<section><h2>The line</h2><p>Versions along the main path. A diamond is a branch point, a "
        "filled square a release.</p>");
    hanging(r, -1, LINE_FOLLOWER, -1, page);
    hanging(r, -1, LINE_SIDE, -1, page);
    text_add(page, "</section>");
}

/* ---- tables ---- */

static double best_of(const Report *r, int64_t set)
{
    double best = INFINITY;
    for (int64_t v = 0; v < r->n_run; v++) best = fmin(best, report_heldout(r, v, set));
    return best;
}

void report_releases(const Report *r, Text *page)
{
    int64_t n_scored = 0;
    for (int64_t v = 0; r->line && v < r->n_run; v++)
        n_scored += json_object_size(r->line->version[v].heldout) > 0;
    if (n_scored == 0) return;
    text_add(
        page,
        "<section><h2>Releases on held-out text</h2><p>Loss in nats per token; the best of each "
        "column is bold.</p><div class=\"scroll\"><table><tr><th>Release</th>");
    for (int64_t set = 0; set < r->sets.n; set++) {
        text_add(page, "<th class=\"n\">");
        text_html(page, r->sets.name[set]);
        text_add(page, "</th>");
    }
    text_add(page, "</tr>");
    for (int64_t v = 0; v < r->n_run; v++) {
        if (json_object_size(r->line->version[v].heldout) == 0) continue;
        text_add(page, "<tr><td>");
        report_legend(page, v, r->line->version[v].name);
        text_add(page, "</td>");
        for (int64_t set = 0; set < r->sets.n; set++) {
            const double loss = report_heldout(r, v, set);
            const bool best = n_scored > 1 && loss <= best_of(r, set);
            text_printf(page, "<td class=\"n%s\">", best ? " best" : "");
            add_loss(page, loss);
            text_add(page, "</td>");
        }
        text_add(page, "</tr>");
    }
    text_add(page, "</table></div></section>");
}

void report_data(const Report *r, Text *page)
{
    int64_t n_data = 0;
    for (int64_t v = 0; r->line && v < r->n_run; v++) n_data += r->line->version[v].n_data;
    if (n_data == 0) return;
    text_add(
        page,
        "<section><h2>Data</h2><p>What each version was trained on, with the fingerprint of its "
        "content.</p><div class=\"scroll\"><table><tr><th>Version</th><th>Dataset</th><th>Path</th>"
        "<th class=\"n\">Documents</th><th class=\"n\">Sequences</th><th class=\"n\">Tokens</th>"
        "<th>Fingerprint</th></tr>");
    for (int64_t v = 0; v < r->n_run; v++) {
        const LineVersion *x = &r->line->version[v];
        for (int64_t d = 0; d < x->n_data; d++) {
            text_add(page, "<tr><td>");
            if (d == 0) report_legend(page, v, x->name);
            text_add(page, "</td><td>");
            text_html(page, x->data[d].name);
            text_add(page, "</td><td><code>");
            text_html(page, x->data[d].path);
            text_add(page, "</code></td>");
            add_cell(page, x->data[d].documents);
            add_cell(page, x->data[d].rows);
            add_cell(page, x->data[d].tokens);
            text_add(page, "<td>");
            add_hash(page, x->data[d].fingerprint);
            text_add(page, "</td></tr>");
        }
    }
    text_add(page, "</table></div></section>");
}

static void ledger_cells(Text *page, const LineLedger *l)
{
    char time[16];
    add_cell(page, l->steps_main);
    add_cell(page, l->steps_branch);
    add_cell(page, l->steps_main + l->steps_branch);
    add_cell(page, l->steps_lost);
    add_cell(page, l->tokens);
    text_printf(page, "<td class=\"n\">%s</td></tr>", progress_duration(l->core_seconds, time));
}

void report_ledger(const Report *r, Text *page)
{
    if (!r->line || r->line->n_version == 0) return;
    const LineLedger sum = line_total(r->line);
    text_add(page,
             "<section><h2>Ledger</h2><p>Steps that were executed. Lost steps were executed too, "
             "after the "
             "last checkpoint before an interruption, and are not counted among the others.</p>"
             "<div class=\"scroll\"><table><tr><th>Version</th><th class=\"n\">Main path</th>"
             "<th class=\"n\">Branch</th><th class=\"n\">Steps</th><th class=\"n\">Lost</th>"
             "<th class=\"n\">Tokens</th><th class=\"n\">Core time</th></tr>");
    for (int64_t v = 0; v < r->n_run; v++) {
        text_add(page, "<tr><td>");
        report_legend(page, v, r->line->version[v].name);
        text_add(page, "</td>");
        ledger_cells(page, &r->line->version[v].ledger);
    }
    text_add(page, "<tr class=\"total\"><td>Line</td>");
    ledger_cells(page, &sum);
    text_add(page, "</table></div></section>");
}

/* ---- cost ---- */

static void cost_bar(Text *page, const char *label, int64_t color, int64_t steps, int64_t most,
                     int64_t all)
{
    text_printf(page,
                "<span>%s</span><span class=\"row\"><span class=\"bar\" "
                "style=\"--c:%s;width:%.2f%%\"></span>",
                label, report_color(color), 68.0 * (double)steps / (double)most);
    report_int(page, steps);
    text_printf(page, " steps <span class=\"soft\">%.3f</span></span>",
                (double)steps / (double)all);
}

static Status cost_rows(const Report *r, int64_t v, int64_t *n, Text *page)
{
    Status rc = ST_OK;
    PathCost cost;
    if (v < 0) goto out;
    TRY(cost_rows(r, r->tree->parent[v], n, page));
    TRY(line_tree_cost(r->tree, v, &cost));
    text_printf(page, "<tr><td class=\"n\">%lld</td><td>", LL(++*n));
    report_legend(page, v, r->line->version[v].name);
    text_add(page, "</td>");
    add_cell(page, r->line->version[v].end_step - r->line->version[v].first_step);
    add_cell(page, cost.from_scratch);
    add_cell(page, cost.lazy);
    add_cell(page, cost.continual);
    text_printf(page, "<td class=\"n\">%.3f</td></tr>", cost.lazy_ratio);
out:
    return rc;
}

Status report_costs(const Report *r, Text *page)
{
    enum { BLUE = 0, GREEN = 2, ORANGE = 4, GREY = 6 };
    Status rc = ST_OK;
    PathCost cost;
    int64_t n = 0;
    const int64_t newest = r->line ? line_tree_newest(r->tree) : -1;
    if (newest < 0) goto out;
    TRY(line_tree_cost(r->tree, newest, &cost));
    if (cost.from_scratch == 0) goto out;
    const LineLedger sum = line_total(r->line);
    const int64_t executed = sum.steps_main + sum.steps_branch;
    const int64_t most = executed > cost.from_scratch ? executed : cost.from_scratch;
    text_add(
        page,
        "<section><h2>Cost against the rivals</h2><p>Optimizer steps until every version up to the "
        "newest is released. From scratch trains each version anew on all data so far; continual "
        "goes on from the last release; path switching runs each main path once and one branch for "
        "each version.</p><div class=\"bars\">");
    cost_bar(page, "from scratch", GREY, cost.from_scratch, most, cost.from_scratch);
    cost_bar(page, "path switching", BLUE, cost.lazy, most, cost.from_scratch);
    cost_bar(page, "continual", ORANGE, cost.continual, most, cost.from_scratch);
    cost_bar(page, "executed here", GREEN, executed, most, cost.from_scratch);
    text_add(
        page,
        "</div><div class=\"scroll\"><table><tr><th class=\"n\">Versions</th><th>Newest</th>"
        "<th class=\"n\">Its steps</th><th class=\"n\">From scratch</th><th class=\"n\">Path "
        "switching</th>"
        "<th class=\"n\">Continual</th><th class=\"n\">Path switching / from scratch</th></tr>");
    TRY(cost_rows(r, newest, &n, page));
    text_add(page, "</table></div></section>");
out:
    return rc;
}

void report_config(const Report *r, Text *page)
{
    if (!r->config) return;
    text_add(page, "<section><h2>Configuration</h2><details><summary>As resolved");
    text_add(page, r->line ? " for the newest version</summary><pre>" : "</summary><pre>");
    text_html(page, r->config);
    text_add(page, "</pre></details></section>");
}
