/* verb_world.c — trainer world: a version of the demo world as files, vN.txt and vN_questions.jsonl. */
#include "data/world.h"
#include "trainer/base/mem.h"
#include "trainer/base/opt.h"
#include "trainer/io/files.h"
#include "trainer/verb.h"
#include <stdio.h>

static Status world_read_number(const char *flag, const char *text, int64_t *number)
{
    Status rc = ST_OK;
    if (!text) goto out;
    const Status read = opt_read_count(text, number);
    if (read != ST_OK) status_clear();
    CHECK(read == ST_OK, USAGE, "world: %s takes a number, not %s", flag, text);
out:
    return rc;
}

/* Writes DIR/v<version><end> and says so. */
static Status world_write(const char *dir, int64_t version, const char *end, const char *text,
                          int64_t n_bytes)
{
    Status rc = ST_OK;
    char *name = mem_printf("v%lld%s", LL(version), end);
    char *path = name ? path_join(dir, name) : NULL;
    CHECK(path, NOMEM, "world: the name of a file in %s", dir);
    TRY(file_write_atomic(path, text, (size_t)n_bytes));
    printf("%s: %lld bytes\n", path, LL(n_bytes));
out:
    mem_free(path);
    mem_free(name);
    return rc;
}

static Status world_make(const WorldSpec *spec, const char *dir)
{
    Status rc = ST_OK;
    char *text = NULL, *questions = NULL;
    int64_t n_text, n_questions;
    TRY(world_corpus(spec, &text, &n_text));
    TRY(world_questions_jsonl(spec, &questions, &n_questions));
    TRY(dir_make(dir));
    TRY(world_write(dir, spec->version, ".txt", text, n_text));
    TRY(world_write(dir, spec->version, "_questions.jsonl", questions, n_questions));
out:
    mem_free(questions);
    mem_free(text);
    return rc;
}

Status verb_world(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    WorldSpec spec = {.seed = 1};
    const char *version = NULL, *seed = NULL, *phrasings = NULL, *bytes = NULL, *dir = ".";
    const VerbFlag flags[] = {{.name = "--version", .value = &version},
                              {.name = "--seed", .value = &seed},
                              {.name = "--phrasings", .value = &phrasings},
                              {.name = "--bytes", .value = &bytes},
                              {.name = "--out", .value = &dir}};
    const char **rest = mem_array(argc, sizeof *rest);
    int n_rest;
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 0, 0, rest, &n_rest));
    CHECK(version, USAGE, "world: --version is missing; see trainer --help");
    TRY(world_read_number("--version", version, &spec.version));
    TRY(world_read_number("--seed", seed, &spec.seed));
    TRY(world_read_number("--phrasings", phrasings, &spec.phrasings));
    TRY(world_read_number("--bytes", bytes, &spec.n_bytes));
    TRY(comm_agree(world, comm_rank(world) == 0 ? world_make(&spec, dir) : ST_OK));
out:
    mem_free(rest);
    return rc;
}
