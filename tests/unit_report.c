/* unit_report.c — lineage and report of made-up runs: whole, young, plain, hostile, failing. */
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include "trainer/run/lineage.h"
#include "trainer/run/metrics.h"
#include "trainer/run/plot.h"
#include "trainer/run/report.h"
#include "trainer/run/run_status.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 600, BRANCH = 360, EVERY = 40, MAX_VERSION = 8 }; /* alpha = 0.6 */
static const double TOP_LR = 3e-4, END_LR = 3e-5;

/* ---- a made-up line ---- */

static double loss_at(Rng *noise, int64_t step, double x)
{
    return 2.2 + 3.3 * exp(-(double)step / 60.0) + 0.5 * exp(-(double)step / 900.0) - 0.25 * x +
           0.06 * rng_normal(noise);
}

static void write_path(const char *file, const char *version, bool branch, int64_t from, int64_t to,
                       const char *const *sets, int64_t n_set)
{
    Metrics *m;
    Rng noise;
    rng_init(&noise, 7, (uint64_t)(2 * from + branch));
    T_OK(metrics_open(file, &m));
    for (int64_t t = from; t < to; t++) {
        const double x = branch ? (double)(t - from) / (double)(to - from) : 0.0;
        const double lr = branch
                              ? END_LR + (TOP_LR - END_LR) * 0.5 * (1.0 + cos(3.14159265358979 * x))
                              : TOP_LR * fmin(1.0, (double)(t + 1) / 50.0);
        const char *path = branch ? "branch" : "main";
        T_OK(metrics_step(m, &(MetricsStep){.path = path,
                                            .version = version,
                                            .step = t,
                                            .loss = loss_at(&noise, t, x),
                                            .lr = lr,
                                            .tokens = (t + 1) * 4096,
                                            .grad_norm = 1.0,
                                            .tokens_per_s = 1e4,
                                            .seconds = 0.4}));
        for (int64_t s = 0; t % EVERY == EVERY - 1 && s < n_set; s++) {
            const double drift = 0.12 * (double)s + 0.1 * fabs((double)t / T - (double)s);
            T_OK(metrics_eval(m, &(MetricsEval){.path = path,
                                                .version = version,
                                                .step = t,
                                                .eval = sets[s],
                                                .loss = loss_at(&noise, t, x) + drift}));
        }
    }
    T_OK(metrics_close(&m));
}

static void set_point(LinePoint *p, const char *parent, const char *name, int64_t step)
{
    snprintf(p->dir, sizeof p->dir, "%s/%.60s", parent, name);
    p->step = step;
    p->tokens = step * 4096;
    memset(p->payload_sha256, "0123456789abcdef"[step % 16], sizeof p->payload_sha256 - 1);
    memset(p->state_sha256, 'e', sizeof p->state_sha256 - 1);
}

static void add_version(Line *line, const char *name, const char *follows, int64_t first)
{
    LineVersion *v;
    T_OK(line_add(line, name, &v));
    if (follows) snprintf(v->follows, sizeof v->follows, "%s", follows);
    v->first_step = first;
    v->branch_step = first + T - BRANCH;
    v->end_step = first + T;
    v->global_batch_size = 8;
    v->max_seq_length = 512;
    v->decay_fraction = 0.6;
    LineData d = {.path = (char *)"corpora/news.jsonl.gz",
                  .rows = T * 8,
                  .tokens = T * 4096,
                  .documents = 5210};
    snprintf(d.name, sizeof d.name, "%.50s-news", name);
    snprintf(d.fingerprint, sizeof d.fingerprint, "5f2b9c0de1a7%.20s", name);
    T_OK(line_add_data(v, &d));
}

static void release(LineVersion *v, const char *const *sets, int64_t n_set, int64_t k)
{
    set_point(&v->branch_point, "branch-points", v->name, v->branch_step);
    set_point(&v->release, "releases", v->name, v->end_step);
    v->heldout = json_object();
    for (int64_t s = 0; s < n_set; s++)
        json_object_set_new(
            v->heldout, sets[s],
            json_real(2.05 + 0.12 * (double)s + 0.1 * fabs((double)(k - s)) - 0.02 * (double)k));
    v->ledger = (LineLedger){.steps_main = T - BRANCH,
                             .steps_branch = BRANCH,
                             .steps_lost = 12,
                             .tokens = T * 4096,
                             .core_seconds = 2100};
}

/* A line of versions names[0..n), one after the other; the newest waits with its main tail. */
static char *make_line(const char *sub, const char *const *names, int64_t n)
{
    char *dir = path_join(test_dir(), sub);
    Line *line;
    T_OK(dir_make(dir));
    T_OK(line_load(dir, &line));
    snprintf(line->paradigm, sizeof line->paradigm, "path_switching");
    for (int64_t k = 0; k < n; k++) {
        char file[512];
        add_version(line, names[k], k ? names[k - 1] : NULL, k * T);
        LineVersion *v = &line->version[k];
        release(v, names, n, k);
        snprintf(file, sizeof file, "%s/%s", dir, names[k]);
        if (!strchr(names[k], '/')) T_OK(dir_make(file));
        snprintf(file, sizeof file, "%s/%s/metrics.jsonl", dir, names[k]);
        if (strchr(names[k], '/')) continue;
        write_path(file, names[k], false, k * T, k * T + T - BRANCH, names, n);
        write_path(file, names[k], true, k * T + T - BRANCH, (k + 1) * T, names, n);
        if (k == n - 1) continue;
        write_path(file, names[k], false, k * T + T - BRANCH, (k + 1) * T, names, n);
        set_point(&v->main_end, "main-ends", names[k], v->end_step);
        v->ledger.steps_main += BRANCH;
        v->ledger.tokens += BRANCH * 4096;
        v->ledger.core_seconds += 1200;
    }
    T_OK(line_save(line));
    line_destroy(line);
    T_OK(run_status_write(
        dir,
        &(RunStatus){.state = RUN_DONE, .version = names[n - 1], .path = "branch", .step = n * T}));
    return dir;
}

static void add_to_line(const char *dir, const char *name, const char *parent, bool side)
{
    Line *line;
    LineVersion *v;
    T_OK(line_load(dir, &line));
    const LineVersion *p = line_find(line, parent);
    const int64_t first = side ? p->first_step : p->end_step;
    add_version(line, name, side ? NULL : parent, first);
    v = line_find(line, name);
    if (side) snprintf(v->branch_from, sizeof v->branch_from, "%s", parent);
    set_point(&v->release, "releases", name, v->end_step);
    v->ledger = (LineLedger){.steps_branch = BRANCH, .core_seconds = 900};
    T_OK(line_save(line));
    line_destroy(line);
}

static const char *const FOUR[] = {"v1", "v2", "v3", "v4"};

static char *read_report(const char *dir)
{
    char *file = path_join(dir, "report.html"), *text;
    size_t n;
    T_OK(file_read_all(file, 16 << 20, &text, &n));
    mem_free(file);
    return text;
}

static int64_t count_of(const char *text, const char *part)
{
    int64_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

/* ---- lineage ---- */

static void text_of(const char *dir, Status (*what)(const LineTree *, Text *), Text *out)
{
    Line *line;
    LineTree *tree;
    T_OK(line_tree_load(dir, &line, &tree));
    T_OK(what(tree, out));
    line_tree_destroy(tree);
    line_destroy(line);
}

START_TEST(lineage_shows_spine_forks_and_side_branches)
{
    Text t = {0};
    char *dir = make_line("tree", FOUR, 3);
    add_to_line(dir, "v1-short", "v1", true);
    add_to_line(dir, "w3", "v2", false);
    text_of(dir, lineage_text, &t);
    T_HAS(t.s, "path_switching, 5 versions");
    T_HAS(t.s, "\n● v1  steps 0 to 600  on v1-news\n│   ◆ branch point  step 240 ");
    T_HAS(t.s, "\n│   ■ release       step 600 ");
    T_HAS(t.s, "\n│   main path goes on to step 600\n├─ ● v1-short  steps 240 to 600");
    T_HAS(t.s, "\n● v2  steps 600 to 1200");
    T_HAS(t.s, "\n├─ ● w3  steps 1200 to 1800");
    T_HAS(t.s, "\n● v3  steps 1200 to 1800");
    T_HAS(t.s, "\n    main path: its last 360 steps wait for the next version\n");
    T_TRUE(strstr(t.s, "w3") < strstr(t.s, "● v3"));
    text_fini(&t);
    mem_free(dir);
}
END_TEST

START_TEST(lineage_json_is_the_tree)
{
    Text t = {0};
    char *dir = make_line("json", FOUR, 2);
    add_to_line(dir, "side \"x\"", "v1", true);
    text_of(dir, lineage_json, &t);
    json_error_t why;
    json_t *o = json_loadb(t.s, t.n, JSON_REJECT_DUPLICATES, &why), *v1, *children;
    ck_assert_msg(o != NULL, "%s\n%s", why.text, t.s);
    T_EQ_I64(json_array_size(json_object_get(o, "tree")), 1);
    v1 = json_array_get(json_object_get(o, "tree"), 0);
    children = json_object_get(v1, "children");
    T_EQ_STR(json_string_value(json_object_get(v1, "version")), "v1");
    T_EQ_I64(json_array_size(children), 2);
    T_EQ_STR(json_string_value(json_object_get(json_array_get(children, 1), "version")),
             "side \"x\"");
    T_TRUE(json_is_true(json_object_get(json_array_get(children, 1), "side_branch")));
    T_EQ_I64(json_integer_value(json_object_get(json_object_get(v1, "release"), "step")), T);
    T_TRUE(json_is_null(json_object_get(json_array_get(children, 0), "main_end")));
    json_t *needed = json_object_get(o, "needed_steps");
    T_EQ_I64(json_integer_value(json_object_get(needed, "path_switching")), 2 * T + BRANCH);
    T_EQ_I64(json_integer_value(json_object_get(needed, "from_scratch")), 3 * T);
    T_EQ_I64(json_integer_value(json_object_get(needed, "continual")), 2 * T);
    json_decref(o);
    text_fini(&t);
    mem_free(dir);
}
END_TEST

START_TEST(four_versions_cost_what_the_paper_says)
{
    Line *line;
    LineTree *tree;
    PathCost cost;
    char *dir = make_line("cost", FOUR, 4);
    T_OK(line_tree_load(dir, &line, &tree));
    T_OK(line_tree_cost(tree, line_tree_newest(tree), &cost));
    T_EQ_I64(cost.from_scratch, 10 * T);
    T_EQ_I64(cost.lazy, 58 * T / 10);
    T_NEAR(cost.lazy_ratio, 0.58, 1e-12);
    const LineLedger sum = line_total(line);
    T_EQ_I64(sum.steps_main + sum.steps_branch, cost.lazy);
    line_tree_destroy(tree);
    line_destroy(line);
    mem_free(dir);
}
END_TEST

static void write_line_json(const char *dir, const char *text)
{
    char *file = path_join(dir, "line.json");
    T_OK(dir_make(dir));
    T_OK(file_write_atomic(file, text, strlen(text)));
    mem_free(file);
}

START_TEST(odd_lines_are_refused_or_shown_never_followed_round)
{
    Line *line;
    LineTree *tree;
    Text t = {0};
    char *dir = path_join(test_dir(), "odd");
    T_FAILS(line_tree_load(dir, &line, &tree), DATA, "is not the output_dir of a line");
    write_line_json(dir, "{\"format\": 1, \"versions\": [");
    T_FAILS(line_tree_load(dir, &line, &tree), FORMAT, "line.json:1");
    write_line_json(dir, "{\"format\": 1, \"paradigm\": \"p\", \"versions\": [{\"version\": "
                         "\"v1\", \"end_step\": 4611686018427387904}]}");
    T_FAILS(line_tree_load(dir, &line, &tree), FORMAT,
            "version v1 ends at step 4611686018427387904");
    write_line_json(dir, "{\"format\": 1, \"paradigm\": \"p\", \"versions\": [{\"version\": \"a\", "
                         "\"follows\": \"b\", \"end_step\": 5},"
                         "{\"version\": \"b\", \"follows\": \"a\", \"end_step\": 5}, {\"version\": "
                         "\"c\", \"follows\": \"c\"}]}");
    text_of(dir, lineage_text, &t);
    T_HAS(t.s, "● a");
    T_HAS(t.s, "● c");
    T_EQ_I64(count_of(t.s, "● "), 3);
    t.n = 0;
    write_line_json(dir, "{\"format\": 1, \"paradigm\": \"p\", \"versions\": []}");
    text_of(dir, lineage_text, &t);
    T_HAS(t.s, "p, 0 versions");
    T_OK(report_write(dir, NULL));
    text_fini(&t);
    mem_free(dir);
}
END_TEST

/* ---- report ---- */

static const char *const SECTIONS[] = {"The line",
                                       "Learning rate",
                                       "Training loss",
                                       "Held-out loss",
                                       "Releases on held-out text",
                                       "Cost against the rivals",
                                       "Data",
                                       "Ledger"};

START_TEST(a_line_gets_every_section)
{
    char *dir = make_line("news", FOUR, 4), *page;
    T_OK(report_write(dir, NULL));
    page = read_report(dir);
    for (int64_t i = 0; i < N_OF(SECTIONS); i++) {
        char head[64];
        snprintf(head, sizeof head, "<h2>%s</h2>", SECTIONS[i]);
        T_EQ_I64(count_of(page, head), 1);
    }
    T_EQ_I64(count_of(page, "<svg"), 3);
    T_EQ_I64(count_of(page, "</svg>"), 3);
    T_EQ_I64(count_of(page, "<?xml"), 0);
    T_EQ_I64(count_of(page, "<script"), 0);
    T_EQ_I64(count_of(page, "<link") + count_of(page, "@import") + count_of(page, "url(http"), 0);
    T_HAS(page, "58.0 %");
    T_HAS(page, "releases/v4");
    T_TRUE(strlen(page) < 600000);
    mem_free(page);
    mem_free(dir);
}
END_TEST

START_TEST(a_young_line_and_missing_files_are_tolerated)
{
    char *dir = make_line("young", FOUR, 1), *page, *file = path_join(dir, "v1/metrics.jsonl");
    T_OK(report_write(dir, NULL));
    page = read_report(dir);
    T_HAS(page, "<h2>Training loss</h2>");
    T_HAS(page, "100.0 %");
    mem_free(page);
    T_EQ_I64(remove(file), 0);
    T_OK(report_write(dir, NULL));
    page = read_report(dir);
    T_EQ_I64(count_of(page, "<h2>Training loss</h2>"), 0);
    T_HAS(page, "<h2>Held-out loss</h2>"); /* the release's, from line.json */
    mem_free(page);
    mem_free(file);
    mem_free(dir);
}
END_TEST

START_TEST(a_plain_run_needs_no_line)
{
    char *dir = path_join(test_dir(), "plain"), *file = path_join(dir, "metrics.jsonl"), *page;
    const char *const sets[] = {"held"};
    T_OK(dir_make(dir));
    T_FAILS(report_write(dir, NULL), DATA, "holds no run");
    write_path(file, NULL, false, 0, 200, sets, 1);
    T_OK(report_write(dir, NULL));
    page = read_report(dir);
    T_HAS(page, "plain run");
    T_HAS(page, "<h2>Learning rate</h2>");
    T_EQ_I64(count_of(page, "<h2>The line</h2>") + count_of(page, "<h2>Ledger</h2>"), 0);
    mem_free(page);
    mem_free(file);
    mem_free(dir);
}
END_TEST

START_TEST(one_step_and_losses_that_are_not_finite_make_a_page)
{
    char *dir = path_join(test_dir(), "nan"), *file = path_join(dir, "metrics.jsonl");
    Metrics *m;
    T_OK(dir_make(dir));
    T_OK(metrics_open(file, &m));
    T_OK(metrics_step(m, &(MetricsStep){.path = "main", .loss = NAN, .lr = NAN}));
    T_OK(report_write(dir, NULL));
    T_OK(metrics_step(m, &(MetricsStep){.path = "main", .loss = 2.0, .lr = 0.0}));
    T_OK(report_write(dir, NULL));
    T_OK(metrics_close(&m));
    mem_free(file);
    mem_free(dir);
}
END_TEST

START_TEST(hostile_names_stay_text)
{
    const char *const names[] = {"<script>alert(1)<&>", "'; system 'touch pwned' #",
                                 "../outside/v3", "\"onload=x"};
    char *dir = make_line("<b>run", names, 4), *page;
    T_OK(report_write(dir, NULL));
    page = read_report(dir);
    T_EQ_I64(count_of(page, "<script"), 0);
    T_EQ_I64(count_of(page, "<b>run"), 0);
    T_HAS(page, "&lt;b&gt;run");
    T_HAS(page, "&quot;onload=x");
    T_HAS(page, "&lt;&amp;&gt;");
    T_HAS(page, "&#39;; system &#39;touch pwned&#39; #");
    T_TRUE(!path_exists("pwned"));
    mem_free(page);
    mem_free(dir);
}
END_TEST

START_TEST(gnuplot_missing_or_refusing_is_said)
{
    Text svg = {0};
    T_FAILS(plot_svg("x", "plot nothing_like_this", 100, 100, &svg), BUG, "gnuplot ended with");
    char *path = mem_strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    T_FAILS(plot_svg("x", "plot 1", 100, 100, &svg), DATA, "gnuplot is not installed");
    setenv("PATH", path, 1);
    T_OK(plot_svg("x", "plot 1", 100, 100, &svg));
    T_TRUE(strncmp(svg.s, "<svg", 4) == 0);
    mem_free(path);
    text_fini(&svg);
}
END_TEST

START_TEST(each_failure_is_reported_and_leaks_nothing)
{
    char *dir = make_line("fault", FOUR, 1);
    T_OK(report_write(dir, NULL));
    char *old = read_report(dir);
    for (int64_t n = 1;;
         n += 1 + n / 12) { /* each place at first, then samples: a page has thousands */
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = report_write(dir, NULL);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_EQ_I64(mem_live(), live);
        status_clear();
        char *now = read_report(dir);
        T_TRUE(strncmp(now, old, 2000) == 0 && strstr(now, "</html>"));
        mem_free(now);
        if (!hit) break;
    }
    mem_free(old);
    mem_free(dir);
}
END_TEST

int main(void)
{
    const TTest *t[] = {lineage_shows_spine_forks_and_side_branches,
                        lineage_json_is_the_tree,
                        four_versions_cost_what_the_paper_says,
                        odd_lines_are_refused_or_shown_never_followed_round,
                        a_line_gets_every_section,
                        a_young_line_and_missing_files_are_tolerated,
                        a_plain_run_needs_no_line,
                        one_step_and_losses_that_are_not_finite_make_a_page,
                        hostile_names_stay_text,
                        gnuplot_missing_or_refusing_is_said,
                        each_failure_is_reported_and_leaks_nothing};
    return test_main("unit.report", t, N_OF(t));
}
