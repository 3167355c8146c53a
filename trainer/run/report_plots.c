/* report_plots.c — the three pictures. Curves go to gnuplot as data blocks; names stay outside, in
 * HTML legends, so that no foreign text reaches a gnuplot script. */
#include "trainer/base/mem.h"
#include "trainer/run/plot.h"
#include "trainer/run/report_parts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLOT_WIDTH = 960, PLOT_HEIGHT = 300, PLOT_POINTS = 2400, MIN_POINTS = 60 };

typedef struct Plot { /* {0} is empty */
    Text data, curves;
    Text framed; /* doubles: the values the frame is chosen for */
    int64_t n_curve, n_point;
    double x_max, y_max;
} Plot;

static void plot_fini(Plot *p)
{
    text_fini(&p->data);
    text_fini(&p->curves);
    text_fini(&p->framed);
}

static void curve_begin(Plot *p, const char *style, const char *color)
{
    text_printf(&p->data, "$d%lld << END\n", LL(p->n_curve));
    text_printf(&p->curves, "%s$d%lld using 1:2 %s lc rgb '%s' notitle",
                p->n_curve ? ", " : "plot ", LL(p->n_curve), style, color);
    p->n_curve++;
}

static void curve_point(Plot *p, double x, double y)
{
    if (!isfinite(y)) {
        text_add(&p->data, "\n"); /* gnuplot: a gap */
        return;
    }
    text_printf(&p->data, "%.7g %.6g\n", x, y);
    p->n_point++;
    p->x_max = fmax(p->x_max, x);
    p->y_max = fmax(p->y_max, y);
}

static void curve_end(Plot *p)
{
    text_add(&p->data, "END\n");
}

/* A point of a curve that must lie within the frame if it is not among the highest. */
static void framed_point(Plot *p, double x, double y)
{
    curve_point(p, x, y);
    if (isfinite(y)) text_bytes(&p->framed, (const char *)&y, sizeof y);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The frame leaves out the highest twentieth: the first descent would flatten all that matters. */
static void frame_setting(Plot *p, char *setting, size_t n_setting)
{
    double *y = (double *)(void *)p->framed.s;
    const int64_t n = (int64_t)(p->framed.n / sizeof *y);
    *setting = 0;
    if (n == 0) return;
    qsort(y, (size_t)n, sizeof *y, by_value);
    const double low = y[0], high = y[(int64_t)(0.95 * (double)(n - 1))];
    const double margin = fmax(0.12 * (high - low), 1e-3 * fmax(1.0, fabs(low)));
    snprintf(setting, n_setting, "set yrange [%.6g:%.6g]\nset format y '%%g'\n", low - margin,
             high + margin);
}

static Status plot_draw(Plot *p, const char *name, const char *label, const char *settings,
                        Text *page)
{
    Status rc = ST_OK;
    Text script = {0};
    text_add(&script, p->data.s ? p->data.s : "");
    text_add(&script, "set border 1 lc rgb '#9aa1ab'\n"
                      "set tics nomirror scale 0.4 textcolor rgb '#5b6470'\n"
                      "set ytics scale 0\n"
                      "set grid ytics lt 1 lw 0.7 lc rgb '#e1e4e8'\n"
                      "set lmargin 9\nset rmargin 2\nset tmargin 0.6\nset bmargin 3\n"
                      "set format x '%.0f'\n"
                      "set xlabel 'step' textcolor rgb '#5b6470' offset 0,0.4\n"
                      "set samples 2\n");
    text_printf(&script, "set xrange [0:%.7g]\n", p->x_max > 0.0 ? p->x_max * 1.01 : 1.0);
    text_add(&script, settings);
    text_add(&script, p->curves.s ? p->curves.s : "");
    text_printf(page, "<figure role=\"img\" aria-label=\"%s\">", label);
    TRY(text_check(&script));
    TRY(text_check(&p->data));
    TRY(text_check(&p->curves));
    TRY(plot_svg(name, script.s, PLOT_WIDTH, PLOT_HEIGHT, page));
    text_add(page, "</figure>");
out:
    text_fini(&script);
    return rc;
}

static int64_t all_steps(const Report *r)
{
    int64_t all = 0;
    for (int64_t v = 0; v < r->n_run; v++)
        for (int p = 0; p < N_HISTORY_PATH; p++) all += r->run[v].n_step[p];
    return all;
}

/* Points a curve of n steps may have, so that the whole page stays small. */
static int64_t share_of(const Report *r, int64_t n)
{
    const int64_t share = (int64_t)((double)PLOT_POINTS * (double)n / (double)(all_steps(r) + 1));
    return share < MIN_POINTS ? MIN_POINTS : share;
}

static const char *const PATH_STYLE[N_HISTORY_PATH] = {"with lines lw 1.2", "with lines lw 2.4"};

static void version_legend(const Report *r, Text *page)
{
    if (!r->line) return;
    text_add(page, "<div class=\"legend\">");
    for (int64_t v = 0; v < r->n_run; v++)
        if (r->run[v].n_step[HISTORY_MAIN] + r->run[v].n_step[HISTORY_BRANCH] > 0)
            report_legend(page, v, report_version_name(r, v));
    text_add(page, "<span class=\"key\">thin: main path, thick: branch</span></div>");
}

/* The power of ten that makes the highest rate a number from 1 to 10. */
static int rate_exponent(const Report *r)
{
    double top = 0.0;
    for (int64_t v = 0; v < r->n_run; v++)
        for (int p = 0; p < N_HISTORY_PATH; p++)
            for (int64_t i = 0; i < r->run[v].n_step[p]; i++)
                top = fmax(top, r->run[v].steps[p][i].lr);
    return top > 0.0 && isfinite(top) ? (int)floor(log10(top) + 1e-9) : 0;
}

Status report_rates(const Report *r, Text *page)
{
    Status rc = ST_OK;
    Plot plot = {0};
    char range[64];
    const int exponent = rate_exponent(r);
    const double unit = pow(10.0, exponent);
    for (int64_t v = 0; v < r->n_run; v++)
        for (int p = 0; p < N_HISTORY_PATH; p++) {
            const HistoryStep *s = r->run[v].steps[p];
            const int64_t n = r->run[v].n_step[p], stride = 1 + n / share_of(r, n);
            if (n == 0) continue;
            curve_begin(&plot, PATH_STYLE[p], report_color(v));
            for (int64_t i = 0; i < n; i += stride)
                curve_point(&plot, (double)s[i].step, s[i].lr / unit);
            curve_point(&plot, (double)s[n - 1].step, s[n - 1].lr / unit);
            curve_end(&plot);
        }
    if (plot.n_point == 0) goto out;
    text_add(page, "<section><h2>Learning rate</h2><p>");
    text_add(
        page,
        r->line
            ? "The main path keeps the maximal rate; each branch leaves it to decay and ends in a "
              "release. "
            : "The rate of each update. ");
    text_printf(page, "In units of 10<sup>%d</sup>.</p>", exponent);
    version_legend(r, page);
    snprintf(range, sizeof range, "set yrange [0:%.6g]\nset format y '%%g'\n",
             plot.y_max > 0.0 ? plot.y_max * 1.06 : 1.0);
    TRY(plot_draw(&plot, "rates", "Learning rate over steps", range, page));
    text_add(page, "</section>");
out:
    plot_fini(&plot);
    return rc;
}

/* A faint band of the raw losses: the lowest and highest of each stretch. */
static void raw_curve(const Report *r, const HistoryStep *s, int64_t n, const char *color,
                      Plot *plot)
{
    const int64_t stride = 1 + 2 * n / share_of(r, n);
    curve_begin(plot, "with lines lw 0.7", color);
    for (int64_t i = 0; i < n; i += stride) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t k = i; k < n && k < i + stride; k++) {
            low = fmin(low, s[k].loss);
            high = fmax(high, s[k].loss);
        }
        curve_point(plot, (double)s[i].step, low);
        if (stride > 1) curve_point(plot, (double)s[i].step, high);
    }
    curve_end(plot);
}

/* mean[i] = mean of the finite losses within `reach` steps of i, with shorter windows at the ends.
 * Owns: sum and count are scratch of n + 1. */
static void smooth(const HistoryStep *s, int64_t n, int64_t reach, double *sum, int64_t *count,
                   double *mean)
{
    sum[0] = 0.0;
    count[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool fine = isfinite(s[i].loss);
        sum[i + 1] = sum[i] + (fine ? s[i].loss : 0.0);
        count[i + 1] = count[i] + fine;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = i > reach ? i - reach : 0, b = i + reach < n ? i + reach + 1 : n;
        mean[i] = count[b] > count[a] ? (sum[b] - sum[a]) / (double)(count[b] - count[a]) : NAN;
    }
}

/* A colour halfway to white. */
static void pale(const char *color, char out[8])
{
    const long rgb = strtol(color + 1, NULL, 16);
    const long half = ((rgb & 0xfefefe) >> 1) + 0x7f7f7f,
               more = ((half & 0xfefefe) >> 1) + 0x7f7f7f;
    snprintf(out, 8, "#%06lx", more & 0xffffff);
}

static Status mean_curve(const Report *r, const HistoryStep *s, int64_t n, const char *style,
                         const char *color, Plot *plot)
{
    Status rc = ST_OK;
    const int64_t stride = 1 + n / share_of(r, n);
    double *sum = mem_array(n + 1, sizeof *sum), *mean = mem_array(n, sizeof *mean);
    int64_t *count = mem_array(n + 1, sizeof *count);
    CHECK(sum && count && mean, NOMEM, "report: means of %lld losses", LL(n));
    smooth(s, n, 1 + all_steps(r) / 150, sum, count, mean);
    curve_begin(plot, style, color);
    for (int64_t i = 0; i < n; i += stride) framed_point(plot, (double)s[i].step, mean[i]);
    framed_point(plot, (double)s[n - 1].step, mean[n - 1]);
    curve_end(plot);
out:
    mem_free(sum);
    mem_free(count);
    mem_free(mean);
    return rc;
}

Status report_losses(const Report *r, Text *page)
{
    Status rc = ST_OK;
    Plot plot = {0};
    char light[8], frame[96];
    for (int64_t v = 0; v < r->n_run; v++)
        for (int p = 0; p < N_HISTORY_PATH; p++) {
            pale(report_color(v), light);
            if (r->run[v].n_step[p] > 0)
                raw_curve(r, r->run[v].steps[p], r->run[v].n_step[p], light, &plot);
        }
    if (plot.n_point == 0) goto out;
    for (int64_t v = 0; v < r->n_run; v++)
        for (int p = 0; p < N_HISTORY_PATH; p++)
            if (r->run[v].n_step[p] > 0)
                TRY(mean_curve(r, r->run[v].steps[p], r->run[v].n_step[p], PATH_STYLE[p],
                               report_color(v), &plot));
    frame_setting(&plot, frame, sizeof frame);
    text_add(
        page,
        "<section><h2>Training loss</h2><p>Nats per labelled token: running mean over the pale "
        "single steps. The first descent may lie above the frame.</p>");
    version_legend(r, page);
    TRY(plot_draw(&plot, "losses", "Training loss over steps", frame, page));
    text_add(page, "</section>");
out:
    plot_fini(&plot);
    return rc;
}

static void release_points(const Report *r, int64_t set, Plot *plot)
{
    bool begun = false;
    for (int64_t v = 0; r->line && v < r->n_run; v++) {
        const double loss = report_heldout(r, v, set);
        if (!isfinite(loss)) continue;
        if (!begun) curve_begin(plot, "with points pt 7 ps 0.75", report_color(set));
        begun = true;
        framed_point(plot, (double)r->line->version[v].release.step, loss);
    }
    if (begun) curve_end(plot);
}

/* One curve for the main path through all versions, one for each branch. */
static void heldout_curves(const Report *r, int p, int64_t set, Plot *plot)
{
    int64_t last = INT64_MAX;
    for (int64_t v = 0; v < r->n_run; v++) {
        const HistoryEval *e = r->run[v].evals[p];
        if (p == HISTORY_BRANCH && last != INT64_MAX) {
            curve_end(plot);
            last = INT64_MAX;
        }
        for (int64_t i = 0; i < r->run[v].n_eval[p]; i++) {
            if (e[i].set != set) continue;
            if (e[i].step <= last) {
                if (last != INT64_MAX) curve_end(plot);
                curve_begin(plot, PATH_STYLE[p], report_color(set));
            }
            last = e[i].step;
            framed_point(plot, (double)last + 1.0, e[i].loss);
        }
    }
    if (last != INT64_MAX) curve_end(plot);
}

Status report_heldouts(const Report *r, Text *page)
{
    Status rc = ST_OK;
    Plot plot = {0};
    char frame[96];
    for (int64_t set = 0; set < r->sets.n; set++) {
        for (int p = 0; p < N_HISTORY_PATH; p++) heldout_curves(r, p, set, &plot);
        release_points(r, set, &plot);
    }
    if (plot.n_point == 0) goto out;
    frame_setting(&plot, frame, sizeof frame);
    text_add(page,
             "<section><h2>Held-out loss</h2><p>Nats per token on text no version was trained on, "
             "one colour for each set.</p><div class=\"legend\">");
    for (int64_t set = 0; set < r->sets.n; set++) report_legend(page, set, r->sets.name[set]);
    text_add(page,
             r->line
                 ? "<span class=\"key\">thin: main path, thick: branch, dot: release</span></div>"
                 : "</div>");
    TRY(plot_draw(&plot, "heldout", "Held-out loss over steps", frame, page));
    text_add(page, "</section>");
out:
    plot_fini(&plot);
    return rc;
}
