/* status.c — one failure per thread: code, message, and the way it came up. */
#include "trainer/base/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
    int exit_code;
} STATUS_TABLE[N_STATUS] = {
#define STATUS_ROW(name, code, text) {#name, text, code},
    STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static _Thread_local Status failed;
static _Thread_local char message[1024];
static _Thread_local char trail[512];
static void (*abort_job)(int exit_code);

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

Status status_fail(Status code, const char *file, int line, const char *fmt, ...)
{
    if (failed == ST_OK) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(message, sizeof message, fmt, ap);
        va_end(ap);
        failed = code;
        trail[0] = '\0';
        status_trace(file, line);
    }
    return code;
}

void status_trace(const char *file, int line)
{
    const size_t used = strlen(trail);
    snprintf(trail + used, sizeof trail - used, "%s%s:%d", used ? " < " : "", base_name(file),
             line);
}

void status_clear(void)
{
    failed = ST_OK;
    message[0] = trail[0] = '\0';
}

Status status_adopt(Status code, const char *text)
{
    status_clear();
    failed = code;
    snprintf(message, sizeof message, "%s", text);
    return code;
}

const char *status_message(void)
{
    return message;
}

const char *status_trail(void)
{
    return trail;
}

const char *status_name(Status code)
{
    return STATUS_TABLE[code].name;
}

const char *status_text(Status code)
{
    return STATUS_TABLE[code].text;
}

int status_exit_code(Status code)
{
    return STATUS_TABLE[code].exit_code;
}

void status_on_assert(void (*handler)(int exit_code))
{
    abort_job = handler;
}

void status_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: internal error: %s does not hold\n", file, line, cond);
    if (abort_job) abort_job(status_exit_code(ST_BUG));
    _Exit(status_exit_code(ST_BUG));
}
