/* verb.c — what the verbs share: reading their arguments. */
#include "trainer/verb.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>

static const VerbFlag *find_flag(const VerbFlag *flags, int64_t n_flag, const char *arg)
{
    for (int64_t i = 0; i < n_flag; i++)
        if (strcmp(flags[i].name, arg) == 0) return &flags[i];
    return NULL;
}

Status verb_parse(int argc, char **argv, const VerbFlag *flags, int64_t n_flag, int min_rest,
                  int max_rest, const char **rest, int *n_rest)
{
    Status rc = ST_OK;
    *n_rest = 0;
    for (int i = 1; i < argc; i++) {
        const VerbFlag *f = find_flag(flags, n_flag, argv[i]);
        CHECK(f || strncmp(argv[i], "--", 2) != 0, USAGE, "%s: unknown option %s", argv[0],
              argv[i]);
        if (!f) {
            rest[(*n_rest)++] = argv[i];
        } else if (f->on) {
            *f->on = true;
        } else {
            CHECK(i + 1 < argc, USAGE, "%s: %s needs a value", argv[0], argv[i]);
            *f->value = argv[++i];
        }
    }
    CHECK(*n_rest >= min_rest, USAGE, "%s: %d argument%s expected, found %d; see trainer --help",
          argv[0], min_rest, min_rest > 1 ? "s are" : " is", *n_rest);
    CHECK(*n_rest <= max_rest, USAGE, "%s: \"%s\" is one argument too many; see trainer --help",
          argv[0], rest[max_rest]);
out:
    return rc;
}

Status verb_set(const char *verb, const char *flag, const char *text, const OptSpec *specs,
                void *opts)
{
    Status rc = ST_OK;
    char name[64], why[256];
    snprintf(name, sizeof name, "%s", flag + strlen("--"));
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    const OptSpec *spec = opt_find(specs, name);
    ASSERT(spec);
    if (!text || opt_set(spec, opts, text, false) == ST_OK) goto out;
    snprintf(why, sizeof why, "%s", status_message());
    status_clear();
    CHECK(false, USAGE, "%s: %s: %s", verb, flag, why);
out:
    return rc;
}

Status verb_look(const Comm *world, int argc, char **argv,
                 Status (*show)(const char *dir, bool json))
{
    Status rc = ST_OK;
    bool json = false;
    int n_rest;
    const VerbFlag flags[] = {{.name = "--json", .on = &json}};
    const char **rest = mem_array(argc, sizeof *rest);
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, 1, rest, &n_rest));
    TRY(comm_agree(world, comm_rank(world) == 0 ? show(rest[0], json) : ST_OK));
out:
    mem_free(rest);
    return rc;
}
