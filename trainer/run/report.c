/* report.c — the page from top to bottom: read the run, write its sections, publish. */
#include "trainer/run/report.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/progress.h"
#include "trainer/run/report_parts.h"
#include <math.h>
#include <string.h>
#include <time.h>

enum { SMALL_FILE_BYTES = 1 << 20 };

/* A version's name is a directory below the line; one that would lead out of it has no files for
 * us. */
static bool leads_out(const char *name)
{
    return name[0] == '.' || strchr(name, '/') != NULL;
}

/* dir/version/name, or dir/name in a plain run. Owns: mem_free; NULL: out of memory. */
static char *file_of(const Report *r, int64_t v, const char *name)
{
    if (!r->line) return path_join(r->dir, name);
    return mem_printf("%s/%s/%s", r->dir, r->line->version[v].name, name);
}

static Status read_status(Report *r)
{
    Status rc = ST_OK;
    char *text = NULL, *file = path_join(r->dir, "status.json");
    size_t n;
    CHECK(file, NOMEM, "report: a file name below %s", r->dir);
    if (!path_exists(file)) goto out;
    TRY(file_read_all(file, SMALL_FILE_BYTES, &text, &n));
    r->status = json_loadb(text, n, 0, NULL);
out:
    mem_free(text);
    mem_free(file);
    return rc;
}

static Status read_config(Report *r)
{
    Status rc = ST_OK;
    const int64_t newest = r->line ? line_tree_newest(r->tree) : 0;
    char *file = NULL;
    size_t n;
    if (newest < 0 || (r->line && leads_out(r->line->version[newest].name))) goto out;
    file = file_of(r, newest, "config.yaml");
    CHECK(file, NOMEM, "report: a file name below %s", r->dir);
    if (path_exists(file)) TRY(file_read_all(file, SMALL_FILE_BYTES, &r->config, &n));
out:
    mem_free(file);
    return rc;
}

static Status read_histories(Report *r)
{
    Status rc = ST_OK;
    char *file = NULL;
    r->n_run = r->line ? r->line->n_version : 1;
    r->run = mem_array(r->n_run, sizeof *r->run);
    CHECK(r->run, NOMEM, "report: %lld versions", LL(r->n_run));
    for (int64_t v = 0; v < r->n_run; v++) {
        if (r->line && leads_out(r->line->version[v].name)) continue;
        mem_free(file);
        file = file_of(r, v, "metrics.jsonl");
        CHECK(file, NOMEM, "report: a file name below %s", r->dir);
        CHECK(r->line || path_exists(file), DATA,
              "%s holds no run: neither line.json nor metrics.jsonl is there", r->dir);
        TRY(history_read(file, &r->sets, &r->run[v]));
    }
out:
    mem_free(file);
    return rc;
}

static Status add_release_sets(Report *r)
{
    Status rc = ST_OK;
    const char *name;
    json_t *loss;
    int64_t set;
    for (int64_t v = 0; r->line && v < r->n_run; v++)
        json_object_foreach(r->line->version[v].heldout, name, loss)
            TRY(history_set_index(&r->sets, name, &set));
out:
    return rc;
}

static Status report_read(const char *dir, Report *r)
{
    Status rc = ST_OK;
    char *line = path_join(dir, "line.json");
    r->dir = dir;
    CHECK(line, NOMEM, "report: a file name below %s", dir);
    if (path_exists(line)) TRY(line_tree_load(dir, &r->line, &r->tree));
    TRY(read_histories(r));
    TRY(add_release_sets(r));
    TRY(read_status(r));
    TRY(read_config(r));
out:
    mem_free(line);
    return rc;
}

static void report_fini(Report *r)
{
    for (int64_t v = 0; r->run && v < r->n_run; v++) history_fini(&r->run[v]);
    mem_free(r->run);
    history_sets_fini(&r->sets);
    line_tree_destroy(r->tree);
    line_destroy(r->line);
    json_decref(r->status);
    mem_free(r->config);
}

/* The last part of the path, which is what people call the run. */
static void add_title(const char *dir, Text *page)
{
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && dir[start - 1] != '/') start--;
    char *name = mem_printf("%.*s", (int)(end - start), dir + start);
    page->failed |= !name;
    if (name) text_html(page, name);
    mem_free(name);
}

static void line_facts(const Report *r, const PathCost *cost, Text *page)
{
    char buf[16];
    int64_t n_release = 0;
    const LineLedger sum = line_total(r->line);
    for (int64_t v = 0; v < r->n_run; v++) n_release += r->line->version[v].release.dir[0] != 0;
    text_printf(page, "<div><dt>Versions</dt><dd>%lld<small>%lld released</small></dd></div>",
                LL(r->n_run), LL(n_release));
    text_add(page, "<div><dt>Steps executed</dt><dd>");
    report_int(page, sum.steps_main + sum.steps_branch);
    text_add(page, "<small>");
    report_int(page, sum.steps_lost);
    text_add(page, " more lost to interruptions</small></dd></div>");
    text_printf(page, "<div><dt>Tokens</dt><dd>%s<small>seen by all paths</small></dd></div>",
                progress_count((double)sum.tokens, buf));
    text_printf(page,
                "<div><dt>Core time</dt><dd>%s<small>wall time times cores</small></dd></div>",
                progress_duration(sum.core_seconds, buf));
    if (cost->from_scratch > 0)
        text_printf(page,
                    "<div><dt>Path switching</dt><dd>%.1f %%<small>of the steps from scratch "
                    "takes</small></dd></div>",
                    100.0 * cost->lazy_ratio);
}

static void run_facts(const History *h, Text *page)
{
    char buf[16];
    double seconds = 0.0;
    const int64_t n = h->n_step[HISTORY_MAIN];
    const HistoryStep *s = h->steps[HISTORY_MAIN];
    for (int64_t i = 0; i < n; i++) seconds += isfinite(s[i].seconds) ? s[i].seconds : 0.0;
    text_add(page, "<div><dt>Steps</dt><dd>");
    report_int(page, n);
    text_add(page, "</dd></div>");
    if (n == 0) return;
    text_printf(page, "<div><dt>Tokens</dt><dd>%s</dd></div>",
                progress_count((double)s[n - 1].tokens, buf));
    text_printf(page, "<div><dt>Time in steps</dt><dd>%s</dd></div>",
                progress_duration(seconds, buf));
    if (isfinite(s[n - 1].loss))
        text_printf(page, "<div><dt>Last loss</dt><dd>%.4f</dd></div>", s[n - 1].loss);
}

static void status_line(const Report *r, Text *page)
{
    const char *state = json_string_value(json_object_get(r->status, "state"));
    const char *message = json_string_value(json_object_get(r->status, "message"));
    const char *time = json_string_value(json_object_get(r->status, "time"));
    if (!state) return;
    text_add(page, " · ");
    text_html(page, state);
    if (time) {
        text_add(page, " (");
        text_html(page, time);
        text_add(page, ")");
    }
    if (message && strcmp(message, state) != 0) {
        text_add(page, ": ");
        text_html(page, message);
    }
}

Status report_summary(const Report *r, Text *page)
{
    Status rc = ST_OK;
    PathCost cost = {0};
    if (r->line) TRY(line_tree_cost(r->tree, line_tree_newest(r->tree), &cost));
    text_add(page, "<header><p class=\"kicker\">Training report</p><h1>");
    add_title(r->dir, page);
    text_add(page, "</h1><p>");
    text_html(page, !r->line ? "plain run" : r->line->paradigm);
    status_line(r, page);
    text_add(page, "</p></header><dl class=\"facts\">");
    if (r->line)
        line_facts(r, &cost, page);
    else
        run_facts(&r->run[0], page);
    text_add(page, "</dl>");
out:
    return rc;
}

static void page_head(const Report *r, Text *page)
{
    text_add(page,
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    add_title(r->dir, page);
    text_add(page, " – training report</title><style>\n");
    text_add(page, REPORT_STYLE);
    text_add(page, "</style></head><body><main>");
}

static void page_foot(Text *page)
{
    char when[32];
    struct tm utc;
    const time_t now = time(NULL);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    text_printf(
        page,
        "<footer>Written by trainer %s on %s. Plots: gnuplot.</footer></main></body></html>\n",
        SWITCHYARD_VERSION, when);
}

Status report_write(const char *dir, const char *file)
{
    Status rc = ST_OK;
    Report r = {0};
    Text page = {0};
    char *out_file = file ? mem_strdup(file) : path_join(dir, "report.html");
    CHECK(out_file, NOMEM, "report: a file name below %s", dir);
    TRY(report_read(dir, &r));
    page_head(&r, &page);
    TRY(report_summary(&r, &page));
    report_tree(&r, &page);
    TRY(report_rates(&r, &page));
    TRY(report_losses(&r, &page));
    TRY(report_heldouts(&r, &page));
    report_releases(&r, &page);
    TRY(report_costs(&r, &page));
    report_data(&r, &page);
    report_ledger(&r, &page);
    report_config(&r, &page);
    page_foot(&page);
    TRY(text_check(&page));
    TRY(file_write_atomic(out_file, page.s, page.n));
out:
    text_fini(&page);
    report_fini(&r);
    mem_free(out_file);
    return rc;
}
