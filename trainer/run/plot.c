/* plot.c — gnuplot as a child process; what it reads and writes are files without a name, gone whatever ends it. */
#include "trainer/run/plot.h"
#include "trainer/base/mem.h"
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

enum { PLOT_MAX_BYTES = 64 << 20, N_STREAM = 3 /* standard input, output, error */ };

static Status run_gnuplot(FILE *const stream[N_STREAM], int *exit_code)
{
    Status rc = ST_OK;
    posix_spawn_file_actions_t files;
    pid_t child;
    int state = 0, failed = 0;
    char *argv[] = {"gnuplot", "-d", NULL};
    CHECK(!fault_here() && posix_spawn_file_actions_init(&files) == 0, NOMEM, "gnuplot: no memory");
    for (int i = 0; i < N_STREAM; i++)
        failed |= posix_spawn_file_actions_adddup2(&files, fileno(stream[i]), i);
    if (!failed) failed = posix_spawnp(&child, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    CHECK(failed != ENOENT, DATA,
          "gnuplot is not installed: the plots of a report are drawn by it");
    CHECK(!failed, IO, "gnuplot cannot be started: %s", strerror(failed));
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
    }
    *exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128;
out:
    return rc;
}

static Status read_back(FILE *f, Text *to)
{
    Status rc = ST_OK;
    char part[4096];
    size_t n;
    rewind(f);
    while ((n = fread(part, 1, sizeof part, f)) > 0 && to->n < PLOT_MAX_BYTES)
        text_bytes(to, part, n);
    CHECK(!ferror(f), IO, "gnuplot: its output cannot be read");
    TRY(text_check(to));
out:
    return rc;
}

Status plot_svg(const char *name, const char *script, int width, int height, Text *svg)
{
    Status rc = ST_OK;
    Text picture = {0}, errors = {0};
    FILE *stream[N_STREAM] = {NULL};
    int exit_code = 0;
    for (int i = 0; i < N_STREAM; i++) {
        stream[i] = fault_here() ? NULL : tmpfile();
        CHECK(stream[i], IO, "gnuplot: no temporary file: %s", strerror(errno));
    }
    fprintf(stream[0],
            "set terminal svg name '%s' size %d,%d dynamic noenhanced rounded font "
            "'sans-serif,13'\nset encoding utf8\n%s\nunset output\n",
            name, width, height, script);
    CHECK(fflush(stream[0]) == 0, IO, "gnuplot: its script: %s", strerror(errno));
    rewind(stream[0]);
    TRY(run_gnuplot(stream, &exit_code));
    TRY(read_back(stream[2], &errors));
    CHECK(exit_code == 0, BUG, "gnuplot ended with %d: %.400s", exit_code,
          errors.n ? errors.s : "");
    TRY(read_back(stream[1], &picture));
    const char *element = picture.n ? strstr(picture.s, "<svg") : NULL;
    CHECK(element, BUG, "gnuplot drew no picture: %.400s", errors.n ? errors.s : "");
    text_add(svg, element); /* without the XML prolog, which has no place inside a page */
out:
    for (int i = 0; i < N_STREAM; i++)
        if (stream[i]) fclose(stream[i]);
    text_fini(&errors);
    text_fini(&picture);
    return rc;
}
