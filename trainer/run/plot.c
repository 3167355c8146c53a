/* plot.c — gnuplot as a child process; script and picture pass through a directory of its own. */
#include "trainer/run/plot.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PLOT_MAX_BYTES = 64 << 20 };

/* gnuplot -d SCRIPT, with its complaints in the file `errors`. */
static Status run_gnuplot(const char *script, const char *errors, int *exit_code)
{
    Status rc = ST_OK;
    posix_spawn_file_actions_t files;
    pid_t child;
    int state = 0;
    char *argv[] = {"gnuplot", "-d", (char *)script, NULL};
    CHECK(!fault_here() && posix_spawn_file_actions_init(&files) == 0, NOMEM, "gnuplot: no memory");
    int failed = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    failed |= posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    failed |= posix_spawn_file_actions_addopen(&files, 2, errors, O_WRONLY | O_CREAT, 0600);
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

Status plot_svg(const char *name, const char *script, int width, int height, Text *svg)
{
    Status rc = ST_OK;
    Text full = {0};
    const char *tmp = getenv("TMPDIR");
    char *dir = mem_printf("%s/switchyard-plot-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    char *script_file = NULL, *picture_file = NULL, *error_file = NULL, *picture = NULL,
         *errors = NULL;
    size_t n;
    int exit_code = 0;
    bool made = false;
    CHECK(dir, NOMEM, "plot: a file name");
    made = !fault_here() && mkdtemp(dir);
    CHECK(made, IO, "%s: cannot be made: %s", dir, strerror(errno));
    script_file = path_join(dir, "plot.gp");
    picture_file = path_join(dir, "plot.svg");
    error_file = path_join(dir, "errors");
    CHECK(script_file && picture_file && error_file, NOMEM, "plot: a file name");

    text_printf(
        &full,
        "set terminal svg name '%s' size %d,%d dynamic noenhanced rounded font 'sans-serif,13'\n",
        name, width, height);
    text_add(&full, "set output '");
    for (const char *c = picture_file; *c; c++)
        text_bytes(&full, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    text_add(&full, "'\nset encoding utf8\n");
    text_add(&full, script);
    text_add(&full, "\nunset output\n");
    TRY(text_check(&full));
    TRY(file_write_new(script_file, full.s, full.n));
    TRY(run_gnuplot(script_file, error_file, &exit_code));
    TRY(file_read_all(error_file, PLOT_MAX_BYTES, &errors, &n));
    CHECK(exit_code == 0, BUG, "gnuplot ended with %d: %.400s", exit_code, errors);
    TRY(file_read_all(picture_file, PLOT_MAX_BYTES, &picture, &n));
    const char *element = strstr(picture, "<svg");
    CHECK(element, BUG, "gnuplot drew no picture: %.400s", errors);
    text_add(svg, element); /* without the XML prolog, which has no place inside a page */
out:
    text_fini(&full);
    if (made) {
        const Status removed = dir_remove(dir);
        if (rc == ST_OK) rc = removed;
    }
    mem_free(picture);
    mem_free(errors);
    mem_free(error_file);
    mem_free(picture_file);
    mem_free(script_file);
    mem_free(dir);
    return rc;
}
