/* unit_mapped.c — mapped files, and what happens when one is cut under us. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/io/mapped.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_BYTES = 3 * 4096 + 5 };

static const char *at(const char *name)
{
    static char path[4][256];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", test_dir(), name);
    return path[next];
}

static const char *some_file(const char *name)
{
    static char bytes[N_BYTES];
    for (int i = 0; i < N_BYTES; i++) bytes[i] = (char)(i * 7);
    T_OK(file_write_atomic(at(name), bytes, N_BYTES));
    return at(name);
}

START_TEST(all_bytes_of_a_file_are_there)
{
    Mapped *a = NULL, *b = NULL;
    T_OK(mapped_open(some_file("a"), &a));
    T_OK(mapped_open(some_file("b"), &b));
    T_EQ_STR(mapped_path(a), at("a"));
    mapped_close(a);
    T_EQ_I64(mapped_bytes(b), N_BYTES);
    const char *bytes = mapped_data(b);
    for (int i = 0; i < N_BYTES; i++) T_EQ_I64(bytes[i], (char)(i * 7));
    mapped_close(b);
    mapped_close(NULL);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_refused)
{
    Mapped *m = NULL;
    T_FAILS(mapped_open(at("none"), &m), DATA, "none: cannot open: No such file");
    T_FAILS(mapped_open(test_dir(), &m), DATA, "is not a regular file");
    T_TRUE(mkfifo(at("fifo"), 0600) == 0);
    T_FAILS(mapped_open(at("fifo"), &m), DATA, "fifo: is not a regular file");
    T_OK(file_write_atomic(at("empty"), "", 0));
    T_FAILS(mapped_open(at("empty"), &m), DATA, "empty: is empty");
    T_TRUE(m == NULL);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(every_failure_is_told_and_leaves_nothing)
{
    const char *path = some_file("f");
    for (int n = 1;; n++) {
        Mapped *m = NULL;
        fault_arm(n, false);
        const Status rc = mapped_open(path, &m);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(rc == ST_OK || rc == ST_DATA || rc == ST_NOMEM);
        mapped_close(m);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
        status_clear();
    }
}
END_TEST

/* Runs `work` in a child without a handler of its own; its standard error goes to *text. */
static int wait_status_of(void (*work)(void), char *text, size_t n_text)
{
    int ends[2], wait_status = 0;
    size_t used = 0;
    ssize_t n;
    T_TRUE(pipe(ends) == 0);
    fflush(stdout);
    const pid_t child = fork();
    T_TRUE(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGBUS, SIG_DFL);
        work();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], text + used, n_text - 1 - used)) > 0) used += (size_t)n;
    text[used] = '\0';
    close(ends[0]);
    T_TRUE(waitpid(child, &wait_status, 0) == child);
    return wait_status;
}

static void read_a_cut_file(void)
{
    Mapped *other = NULL, *m = NULL;
    if (mapped_open(some_file("other"), &other) || mapped_open(some_file("cut"), &m)) _exit(1);
    if (truncate(at("cut"), 4096)) _exit(2);
    volatile const char *bytes = mapped_data(m);
    (void)bytes[4095];
    (void)bytes[2 * 4096];
}

static void read_somebody_elses_cut_file(void)
{
    Mapped *m = NULL;
    if (mapped_open(some_file("ours"), &m)) _exit(1);
    const int fd = open(some_file("theirs"), O_RDONLY);
    volatile const char *bytes = mmap(NULL, N_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (truncate(at("theirs"), 0)) _exit(2);
    (void)bytes[0];
}

static void get_sent_one(void)
{
    Mapped *m = NULL;
    if (mapped_open(some_file("ours"), &m)) _exit(1);
    kill(getpid(), SIGBUS);
}

START_TEST(a_file_cut_under_us_ends_with_one_line_and_74)
{
    char text[1024], want[512];
    const int status = wait_status_of(read_a_cut_file, text, sizeof text);
    T_TRUE(WIFEXITED(status));
    T_EQ_I64(WEXITSTATUS(status), status_exit_code(ST_IO));
    snprintf(want, sizeof want,
             "error: %s: was cut or cannot be read any more while it was in use; it had %d bytes\n",
             at("cut"), N_BYTES);
    T_EQ_STR(text, want);
}
END_TEST

START_TEST(any_other_sigbus_does_what_it_always_did)
{
    void (*const works[])(void) = {read_somebody_elses_cut_file, get_sent_one};
    for (int64_t i = 0; i < N_OF(works); i++) {
        char text[1024];
        const int status = wait_status_of(works[i], text, sizeof text);
        T_TRUE(WIFSIGNALED(status));
        T_EQ_I64(WTERMSIG(status), SIGBUS);
        T_EQ_STR(text, "");
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {all_bytes_of_a_file_are_there, what_cannot_be_mapped_is_refused,
                        every_failure_is_told_and_leaves_nothing,
                        a_file_cut_under_us_ends_with_one_line_and_74,
                        any_other_sigbus_does_what_it_always_did};
    return test_main("unit.mapped", t, N_OF(t));
}
