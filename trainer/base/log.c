/* log.c — one fprintf per line, so lines of several ranks do not mix. */
#include "trainer/base/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static int my_rank, n_ranks = 1;
static LogLevel max_level = LOG_INFO;

void log_set_rank(int rank, int n_rank)
{
    my_rank = rank;
    n_ranks = n_rank;
}

void log_set_level(LogLevel level)
{
    max_level = level;
}

void log_line(LogLevel level, bool every_rank, const char *fmt, ...)
{
    static const char *const WORD[] = {"error: ", "warning: ", "", ""};
    if (level > max_level || (my_rank != 0 && !every_rank)) return;
    char text[2048], from[32] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (every_rank && n_ranks > 1) snprintf(from, sizeof from, "rank %d: ", my_rank);
    fprintf(stderr, "%s%s%s\n", from, WORD[level], text);
}

double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
