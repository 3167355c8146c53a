/* verb_report.c — trainer report DIR [--out FILE]: the run as one HTML page. */
#include "trainer/base/mem.h"
#include "trainer/run/report.h"
#include "trainer/verb.h"
#include <stdio.h>

static Status make_report(const char *dir, const char *file)
{
    Status rc = ST_OK;
    TRY(report_write(dir, file));
    printf("%s%s\n", file ? file : dir, file ? "" : "/report.html");
out:
    return rc;
}

Status verb_report(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    const char *file = NULL;
    int n_rest;
    const VerbFlag flags[] = {{.name = "--out", .value = &file}};
    const char **rest = mem_array(argc, sizeof *rest);
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, 1, rest, &n_rest));
    TRY(comm_agree(world, comm_rank(world) == 0 ? make_report(rest[0], file) : ST_OK));
out:
    mem_free(rest);
    return rc;
}
