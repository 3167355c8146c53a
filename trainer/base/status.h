/* status.h — how a function fails: one enum, one message per thread, two macros. */
#ifndef TRAINER_BASE_STATUS_H
#define TRAINER_BASE_STATUS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, exit code (sysexits), what a user reads */
// clang-format off
#define STATUS_LIST(X)                                                      \
    X(OK,         0, "done")                                                \
    X(USAGE,     64, "wrong use of the command line")                       \
    X(DATA,      65, "input is missing, unreadable or refused")             \
    X(FORMAT,    65, "input is malformed")                                  \
    X(NONFINITE, 65, "the loss or a gradient is not finite")                \
    X(PEER,      69, "a rank is lost or hangs")                             \
    X(SHAPE,     70, "shapes do not fit")                                   \
    X(BUG,       70, "internal error")                                      \
    X(NOMEM,     71, "out of memory")                                       \
    X(IO,        74, "writing failed")                                      \
    X(STOPPED,   75, "stopped on request after a checkpoint")               \
    X(CONFIG,    78, "bad configuration")
// clang-format on

typedef enum Status {
#define STATUS_ENUM(name, code, text) ST_##name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
        N_STATUS
} Status;

#define CHECKED __attribute__((warn_unused_result))

/* Exactly these two macros change control flow. Both need `Status rc` and a label `out`. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((rc = (call)) != ST_OK) {                                                              \
            status_trace(__FILE__, __LINE__);                                                      \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)
#define CHECK(cond, code, ...)                                                                     \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            rc = status_fail(ST_##code, __FILE__, __LINE__, __VA_ARGS__);                          \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* For our own bugs only; ends the whole job through the handler comm.c installs. */
#define ASSERT(cond) ((cond) ? (void)0 : status_assert_failed(#cond, __FILE__, __LINE__))

#define LL(x) ((long long)(x))
#define N_OF(a) ((int64_t)(sizeof(a) / sizeof((a)[0])))

/* Records the message of a failure (the first one wins until status_clear) and returns `code`.
 * The message is what the user reads: give the values, name the file or tensor. */
Status status_fail(Status code, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void status_trace(const char *file, int line); /* remembers the way up, for debug builds */
void status_clear(void);

/* Takes over a failure that happened elsewhere (another rank, another thread) with its message. */
Status status_adopt(Status code, const char *message);

const char *status_message(void); /* "" when nothing failed; valid until the next failure */
const char *status_trail(void);   /* "a.c:10 < b.c:20", where it came through */
const char *status_name(Status code);
const char *status_text(Status code);
int status_exit_code(Status code);

/* What a failed ASSERT does after printing; comm.c sets it to end the job on every rank. */
void status_on_assert(void (*abort_job)(int exit_code));
void status_assert_failed(const char *cond, const char *file, int line) __attribute__((noreturn));
#endif
