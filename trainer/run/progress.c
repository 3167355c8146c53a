/* progress.c — the console of a run. The live line is redrawn at most five times a second. */
#include "trainer/run/progress.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/run/text.h"
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double REDRAW_S = 0.2;
static const double RATE_MEMORY_STEPS = 50.0;

struct Progress {
    ProgressOpts opts;
    bool live;
    int terminal; /* its width is asked for at each redraw; -1: none */
    bool drawn;   /* a live line stands on the terminal */
    double drawn_at_s;
    char *part;
    int64_t end;
    int64_t n_done; /* steps of this job */
    double step_at_s;
    double step_s, step_tok, weight; /* decaying sums over the last steps, and of their weights */
    double loss_sum;                 /* since the last plain line */
    int64_t n_loss, step;
    double loss, lr; /* loss: decaying mean, for the live line */
};

/* The terminal that shows `out`, or -1. mpirun reads its local ranks through pipes, so for them the
 * question is whether mpirun's own standard error, which they end up on, is one. */
static int terminal_of(FILE *out)
{
    const char *term = getenv("TERM");
    if (!term || !strcmp(term, "dumb")) return -1;
    int fd = fcntl(fileno(out), F_DUPFD_CLOEXEC, 3);
    if (fd >= 0 && !isatty(fd) && out == stderr && getenv("OMPI_COMM_WORLD_RANK")) {
        char path[64];
        close(fd);
        snprintf(path, sizeof path, "/proc/%lld/fd/2", LL(getppid()));
        fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    }
    if (fd >= 0 && !isatty(fd)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

Status progress_create(const ProgressOpts *opts, Progress **p)
{
    Status rc = ST_OK;
    Progress *x = mem_alloc(sizeof *x);
    CHECK(x, NOMEM, "progress: %zu bytes", sizeof *x);
    x->opts = *opts;
    x->terminal = opts->mode == PROGRESS_AUTO ? terminal_of(opts->out) : -1;
    x->live = opts->mode == PROGRESS_LIVE || x->terminal >= 0;
    *p = x;
out:
    return rc;
}

void progress_destroy(Progress *p)
{
    if (!p) return;
    progress_end(p);
    if (p->terminal >= 0) close(p->terminal);
    mem_free(p);
}

static bool quiet(const Progress *p)
{
    return !p || p->opts.mode == PROGRESS_QUIET;
}

void progress_clear(Progress *p)
{
    if (!p || !p->drawn) return;
    fputs("\r\033[K", p->opts.out);
    fflush(p->opts.out);
    p->drawn = false;
}

const char *progress_duration(double seconds, char buf[16])
{
    if (!(seconds >= 0.0 && seconds < 1e9)) return "?";
    const unsigned s = (unsigned)lround(seconds);
    if (s < 60)
        snprintf(buf, 16, "%us", s);
    else if (s < 3600)
        snprintf(buf, 16, "%um%02us", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, 16, "%uh%02um", s / 3600, s / 60 % 60);
    else
        snprintf(buf, 16, "%ud%02uh", s / 86400, s / 3600 % 24);
    return buf;
}

const char *progress_count(double x, char buf[16])
{
    if (fabs(x) < 999.5)
        snprintf(buf, 16, "%.0f", x);
    else if (fabs(x) < 999.5e3)
        snprintf(buf, 16, "%.1fk", x / 1e3);
    else if (fabs(x) < 999.5e6)
        snprintf(buf, 16, "%.2fM", x / 1e6);
    else
        snprintf(buf, 16, "%.2fB", x / 1e9);
    return buf;
}

const char *progress_bytes(int64_t n, char buf[16])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    int64_t unit = 0;
    double x = (double)n / 1e3;
    for (; x >= 999.5 && unit + 1 < N_OF(units); unit++) x /= 1e3;
    if (n < 1000)
        snprintf(buf, 16, "%lld B", LL(n));
    else
        snprintf(buf, 16, "%.3g %s", x, units[unit]);
    return buf;
}

void progress_header(Progress *p, const char *key, const char *fmt, ...)
{
    if (quiet(p)) return;
    progress_clear(p);
    va_list args;
    va_start(args, fmt);
    fprintf(p->opts.out, "  %-12s ", key);
    vfprintf(p->opts.out, fmt, args);
    fputc('\n', p->opts.out);
    va_end(args);
}

static void line_text(const Progress *p, double loss, Text *t)
{
    char rate[16], left[16];
    const int64_t n_left = p->opts.total_steps - p->n_done;
    const double step_s = p->weight > 0.0 ? p->step_s / p->weight : NAN;
    text_printf(t, "%s  step %lld/%lld  loss %.4f  lr %.2e", p->part, LL(p->step + 1), LL(p->end),
                loss, p->lr);
    if (p->step_s > 0.0)
        text_printf(t, "  %s tok/s", progress_count(p->step_tok / p->step_s, rate));
    if (n_left > 0 && p->weight > 0.0)
        text_printf(t, "  %s left", progress_duration((double)n_left * step_s, left));
}

/* Cuts to the width of the terminal, between characters: a line that wraps cannot be redrawn. */
static void fit_width(const Progress *p, Text *t)
{
    struct winsize w = {0};
    if (p->terminal < 0 || ioctl(p->terminal, TIOCGWINSZ, &w) != 0 || w.ws_col < 2) return;
    if (t->n < w.ws_col) return;
    t->n = w.ws_col - 1u;
    while (t->n > 0 && ((unsigned char)t->s[t->n] & 0xc0) == 0x80) t->n--;
    t->s[t->n] = 0;
}

static void draw(Progress *p, double loss)
{
    Text t = {0};
    line_text(p, loss, &t);
    if (t.s && p->live) {
        fit_width(p, &t);
        fprintf(p->opts.out, "\r%s\033[K", t.s);
        p->drawn = true;
        p->drawn_at_s = clock_s();
    } else if (t.s) {
        fprintf(p->opts.out, "%s\n", t.s);
    }
    fflush(p->opts.out);
    text_fini(&t);
}

void progress_begin(Progress *p, const char *part, int64_t end)
{
    if (!p) return;
    progress_end(p);
    p->part = mem_strdup(part);
    p->end = end;
    p->step_at_s = clock_s();
}

static void plain_line(Progress *p)
{
    draw(p, p->loss_sum / (double)p->n_loss);
    p->loss_sum = 0.0;
    p->n_loss = 0;
}

void progress_step(Progress *p, int64_t step, double loss, double lr, int64_t tokens)
{
    if (!p) return;
    const double now = clock_s(), keep = 1.0 - 1.0 / RATE_MEMORY_STEPS;
    p->step_s = keep * p->step_s + (now - p->step_at_s);
    p->step_tok = keep * p->step_tok + (double)tokens;
    p->weight = keep * p->weight + 1.0;
    p->step_at_s = now;
    if (isfinite(loss)) { /* a skipped step leaves the means alone */
        p->loss = p->n_loss == 0 ? loss : 0.9 * p->loss + 0.1 * loss;
        p->loss_sum += loss;
        p->n_loss++;
    }
    p->n_done++;
    p->step = step;
    p->lr = lr;
    if (quiet(p) || !p->part) return;
    if (p->live) {
        if (now - p->drawn_at_s >= REDRAW_S) draw(p, p->loss);
    } else if ((step + 1) % p->opts.logging_steps == 0) {
        plain_line(p);
    }
}

void progress_end(Progress *p)
{
    if (!p) return;
    if (p->part && p->n_loss > 0 && !quiet(p)) {
        if (p->live) {
            draw(p, p->loss);
            fputc('\n', p->opts.out);
            fflush(p->opts.out);
            p->drawn = false;
        } else {
            plain_line(p);
        }
    }
    mem_free(p->part);
    p->part = NULL;
    p->n_loss = 0;
    p->loss = p->loss_sum = 0.0;
}

void progress_note(Progress *p, const char *fmt, ...)
{
    if (quiet(p)) return;
    const bool again = p->drawn;
    progress_clear(p);
    va_list args;
    va_start(args, fmt);
    fputs("  ", p->opts.out);
    vfprintf(p->opts.out, fmt, args);
    fputc('\n', p->opts.out);
    va_end(args);
    if (again)
        draw(p, p->loss);
    else
        fflush(p->opts.out);
}
