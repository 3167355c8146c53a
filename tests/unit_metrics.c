/* unit_metrics.c — metrics.jsonl, status.json, the console: what is written and what survives. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/run/metrics.h"
#include "trainer/run/metrics_lines.h"
#include "trainer/run/progress.h"
#include "trainer/run/run_status.h"
#include "trainer/run/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *fresh_file(const char *name)
{
    char *file = path_join(test_dir(), name);
    remove(file);
    return file;
}

static char *content(const char *file)
{
    char *text;
    size_t n;
    T_OK(file_read_all(file, 1 << 20, &text, &n));
    return text;
}

static void put_step(Metrics *m, const char *path, int64_t step)
{
    const MetricsStep s = {.path = path,
                           .version = "v1",
                           .step = step,
                           .loss = 3.25,
                           .lr = 3e-4,
                           .tokens = 100 * (step + 1),
                           .grad_norm = 1.5,
                           .tokens_per_s = 1e4,
                           .seconds = 0.01};
    T_OK(metrics_step(m, &s));
}

static void put_eval(Metrics *m, const char *path, int64_t step)
{
    T_OK(metrics_eval(
        m,
        &(MetricsEval){.path = path, .version = "v1", .step = step, .eval = "news", .loss = 2.5}));
}

/* main 0..5, an evaluation after 3, branch 4..5 */
static void write_run(const char *file)
{
    Metrics *m;
    T_OK(metrics_open(file, &m));
    for (int64_t i = 0; i < 6; i++) {
        put_step(m, "main", i);
        if (i == 3) put_eval(m, "main", i);
    }
    for (int64_t i = 4; i < 6; i++) put_step(m, "branch", i);
    T_OK(metrics_sync(m));
    T_OK(metrics_close(&m));
}

/* Each line as "main 3" or "main 3 eval", in order. */
static Status add_line(void *self, const json_t *o)
{
    text_printf(self, "%s %lld%s;", json_string_value(json_object_get(o, "path")),
                LL(json_integer_value(json_object_get(o, "step"))),
                json_object_get(o, "eval") ? " eval" : "");
    return ST_OK;
}

static void expect_lines(const char *file, const char *want)
{
    Text t = {0};
    T_OK(metrics_each(file, add_line, &t));
    T_EQ_STR(t.s ? t.s : "", want);
    text_fini(&t);
}

static void append_text(const char *file, const char *s)
{
    FILE *f = fopen(file, "a");
    T_TRUE(f && fputs(s, f) >= 0 && fclose(f) == 0);
}

START_TEST(lines_hold_the_promised_fields)
{
    char *file = fresh_file("fields.jsonl");
    Metrics *m;
    const MetricsField extra[] = {{"skipped", 2.0}};
    T_OK(metrics_open(file, &m));
    T_OK(metrics_step(m, &(MetricsStep){.path = "branch",
                                        .version = "a\"b\\c\n\xff",
                                        .step = 7,
                                        .loss = NAN,
                                        .lr = 0.1,
                                        .tokens = INT64_C(1) << 53,
                                        .grad_norm = INFINITY,
                                        .tokens_per_s = 12345.678,
                                        .seconds = 1.0 / 3.0,
                                        .batch_hash = "00ff",
                                        .extra = extra,
                                        .n_extra = 1}));
    T_OK(metrics_close(&m));
    T_TRUE(m == NULL);
    char *text = content(file);
    T_HAS(text, "\"loss\": null, \"lr\": 0.1, \"tokens\": 9007199254740992, \"grad_norm\": null");
    json_t *o = json_loads(text, 0, NULL);
    T_TRUE(json_is_object(o));
    T_EQ_STR(json_string_value(json_object_get(o, "version")), "a\"b\\c\n\xef\xbf\xbd");
    T_EQ_STR(json_string_value(json_object_get(o, "batch_hash")), "00ff");
    T_TRUE(json_real_value(json_object_get(o, "seconds")) == 1.0 / 3.0);
    T_TRUE(json_number_value(json_object_get(o, "skipped")) == 2.0);
    T_TRUE(json_real_value(json_object_get(o, "time")) > 1.7e9);
    json_decref(o);
    mem_free(text);
    mem_free(file);
}
END_TEST

START_TEST(cut_removes_only_what_runs_again)
{
    char *file = fresh_file("cut.jsonl");
    int64_t n_steps = -1;
    write_run(file);
    T_OK(metrics_cut(file, "main", 4, &n_steps));
    T_EQ_I64(n_steps, 2);
    expect_lines(file, "main 0;main 1;main 2;main 3;main 3 eval;branch 4;branch 5;");
    T_OK(metrics_cut(file, "branch", 5, &n_steps));
    T_EQ_I64(n_steps, 1);
    T_OK(metrics_cut(file, "main", 3, &n_steps));
    T_EQ_I64(n_steps, 1); /* an evaluation is no step */
    expect_lines(file, "main 0;main 1;main 2;branch 4;");
    T_OK(metrics_cut(file, "main", 0, NULL));
    expect_lines(file, "branch 4;");
    mem_free(file);
}
END_TEST

START_TEST(cut_keeps_the_bytes_and_the_file_when_nothing_runs_again)
{
    char *file = fresh_file("same.jsonl");
    struct stat before, after;
    int64_t n_steps = -1;
    write_run(file);
    append_text(file, "{\"path\": \"main\", \"step\": 2, \"loss\":   1e-3, \"other\": [1, {}]}\n");
    char *old = content(file);
    T_EQ_I64(stat(file, &before), 0);
    T_OK(metrics_cut(file, "main", 6, &n_steps));
    T_EQ_I64(stat(file, &after), 0);
    char *new = content(file);
    T_EQ_STR(new, old);
    T_EQ_I64(n_steps, 0);
    T_EQ_I64(after.st_ino, before.st_ino);
    T_OK(metrics_cut("/nonexistent/metrics.jsonl", "main", 0, &n_steps));
    T_EQ_I64(n_steps, 0);
    mem_free(old);
    mem_free(new);
    mem_free(file);
}
END_TEST

START_TEST(cut_drops_torn_and_damaged_lines)
{
    char *file = fresh_file("torn.jsonl");
    int64_t n_steps = -1;
    write_run(file);
    append_text(file, "garbage\n[1]\n\n{\"path\": \"main\", \"step\": 5, \"loss\": 3.");
    expect_lines(file, "main 0;main 1;main 2;main 3;main 3 eval;main 4;main 5;branch 4;branch 5;");
    T_OK(metrics_cut(file, "main", 6, &n_steps));
    T_EQ_I64(n_steps, 0);
    char *text = content(file);
    T_TRUE(strstr(text, "garbage") == NULL && strstr(text, "[1]") == NULL);
    T_TRUE(text[strlen(text) - 1] == '\n');
    Metrics *m;
    T_OK(metrics_open(file, &m));
    put_step(m, "main", 6);
    T_OK(metrics_close(&m));
    expect_lines(file,
                 "main 0;main 1;main 2;main 3;main 3 eval;main 4;main 5;branch 4;branch 5;main 6;");
    mem_free(text);
    mem_free(file);
}
END_TEST

START_TEST(a_writer_follows_when_another_cuts)
{
    char *file = fresh_file("two.jsonl");
    Metrics *branch;
    write_run(file);
    T_OK(metrics_open(file, &branch));
    put_step(branch, "branch", 6);
    T_OK(metrics_cut(file, "main", 1, NULL));
    put_step(branch, "branch", 7);
    T_OK(metrics_close(&branch));
    expect_lines(file, "main 0;branch 4;branch 5;branch 6;branch 7;");
    mem_free(file);
}
END_TEST

START_TEST(every_failure_leaves_the_old_file_or_the_new)
{
    char *file = fresh_file("fault.jsonl");
    write_run(file);
    char *old = content(file);
    for (int n = 1;; n++) {
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = metrics_cut(file, "main", 2, NULL);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        T_EQ_I64(mem_live(), live);
        char *now = content(file);
        const bool is_old = !strcmp(now, old);
        mem_free(now);
        if (!is_old) expect_lines(file, "main 0;main 1;branch 4;branch 5;");
        if (!hit) break;
        remove(file);
        append_text(file, old);
    }
    mem_free(old);
    mem_free(file);
}
END_TEST

static Status write_one(const char *file)
{
    Status rc = ST_OK;
    Metrics *m = NULL;
    TRY(metrics_open(file, &m));
    TRY(metrics_step(m, &(MetricsStep){.path = "main", .step = 0}));
    TRY(metrics_eval(m, &(MetricsEval){.path = "main", .step = 0, .eval = "e"}));
    TRY(metrics_sync(m));
out:
    if (metrics_close(&m) != ST_OK) rc = ST_IO;
    return rc;
}

START_TEST(writing_reports_each_failure_and_leaks_nothing)
{
    char *file = fresh_file("write.jsonl");
    for (int n = 1;; n++) {
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = write_one(file);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    T_FAILS(write_one("/nonexistent/m.jsonl"), IO, "/nonexistent");
    mem_free(file);
}
END_TEST

START_TEST(status_says_how_the_job_stands)
{
    char *file = path_join(test_dir(), "status.json");
    T_TRUE(run_state_of(ST_OK) == RUN_DONE && run_state_of(ST_STOPPED) == RUN_STOPPED &&
           run_state_of(ST_IO) == RUN_FAILED);
    T_OK(run_status_write(
        test_dir(),
        &(RunStatus){.state = RUN_RUNNING, .version = "v2", .path = "main", .step = 9}));
    for (int n = 1;; n++) {
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = run_status_write(
            test_dir(),
            &(RunStatus){
                .state = RUN_FAILED, .code = ST_IO, .message = "a \"disk\"\nis full", .step = 12});
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        T_EQ_I64(mem_live(), live);
        json_t *o = json_load_file(file, 0, NULL);
        const bool is_new = json_integer_value(json_object_get(o, "step")) == 12;
        T_EQ_STR(json_string_value(json_object_get(o, "state")), is_new ? "failed" : "running");
        T_EQ_STR(json_string_value(json_object_get(o, "message")),
                 is_new ? "a \"disk\"\nis full" : "running");
        T_EQ_I64(json_integer_value(json_object_get(o, "code")), is_new ? 74 : 0);
        T_TRUE(is_new ? json_is_null(json_object_get(o, "version"))
                      : json_is_string(json_object_get(o, "version")));
        T_EQ_I64(strlen(json_string_value(json_object_get(o, "time"))), 20);
        json_decref(o);
        if (!hit) {
            T_TRUE(is_new);
            break;
        }
    }
    mem_free(file);
}
END_TEST

START_TEST(numbers_read_back_to_themselves)
{
    const double x[] = {0.1, 1.0 / 3.0, 3e-4, 1e22, -0.0, 5e-324, 1.7976931348623157e308, 2.0};
    for (int64_t i = 0; i < N_OF(x); i++) {
        Text t = {0};
        text_json_number(&t, x[i]);
        T_TRUE(strtod(t.s, NULL) == x[i]);
        text_fini(&t);
    }
}
END_TEST

static char *progress_output(ProgressMode mode, int64_t n_step, double loss)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    Progress *p;
    T_OK(progress_create(
        &(ProgressOpts){.out = out, .mode = mode, .logging_steps = 10, .total_steps = n_step}, &p));
    progress_header(p, "trains", "%d parameters", 42);
    progress_begin(p, "v1 main", n_step);
    for (int64_t i = 0; i < n_step; i++) {
        progress_step(p, i, loss, 1e-3, 512);
        if (i == 1) progress_note(p, "saved");
    }
    progress_destroy(p);
    fclose(out);
    return text;
}

static int64_t count_of(const char *text, const char *part)
{
    int64_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

START_TEST(progress_is_plain_in_a_log_and_one_line_on_a_terminal)
{
    char *text = progress_output(PROGRESS_AUTO, 25, 2.5); /* a stream in memory is no terminal */
    T_EQ_I64(count_of(text, "\n"), 5);                    /* header, note, steps 10, 20, 25 */
    T_EQ_I64(count_of(text, "\r"), 0);
    T_HAS(text, "  trains       42 parameters\n");
    T_HAS(text, "v1 main  step 20/25  loss 2.5000  lr 1.00e-03");
    T_HAS(text, "v1 main  step 25/25");
    free(text);
    text = progress_output(PROGRESS_LIVE, 5000, 2.5);
    T_EQ_I64(count_of(text, "\n"), 3); /* header, note, the last line */
    T_TRUE(strlen(text) < 20000);      /* redrawn by the clock, not by the step */
    T_HAS(text, "step 5000/5000  loss 2.5000");
    free(text);
    text = progress_output(PROGRESS_QUIET, 25, 2.5);
    T_EQ_STR(text, "");
    free(text);
    progress_step(NULL, 0, 1.0, 1.0, 1);
    progress_note(NULL, "nobody listens");
    progress_destroy(NULL);
}
END_TEST

START_TEST(durations_and_counts_are_short)
{
    char buf[16];
    T_EQ_STR(progress_duration(41.6, buf), "42s");
    T_EQ_STR(progress_duration(187, buf), "3m07s");
    T_EQ_STR(progress_duration(3900, buf), "1h05m");
    T_EQ_STR(progress_duration(183600, buf), "2d03h");
    T_EQ_STR(progress_duration(NAN, buf), "?");
    T_EQ_STR(progress_duration(-1, buf), "?");
    T_EQ_STR(progress_count(999, buf), "999");
    T_EQ_STR(progress_count(4200, buf), "4.2k");
    T_EQ_STR(progress_count(1.3e6, buf), "1.30M");
    T_EQ_STR(progress_count(2.5e9, buf), "2.50B");
}
END_TEST

int main(void)
{
    const TTest *t[] = {lines_hold_the_promised_fields,
                        cut_removes_only_what_runs_again,
                        cut_keeps_the_bytes_and_the_file_when_nothing_runs_again,
                        cut_drops_torn_and_damaged_lines,
                        a_writer_follows_when_another_cuts,
                        every_failure_leaves_the_old_file_or_the_new,
                        writing_reports_each_failure_and_leaks_nothing,
                        status_says_how_the_job_stands,
                        numbers_read_back_to_themselves,
                        progress_is_plain_in_a_log_and_one_line_on_a_terminal,
                        durations_and_counts_are_short};
    return test_main("unit.metrics", t, N_OF(t));
}
