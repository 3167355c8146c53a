/* verb_schema.c — trainer schema [--markdown]: every option, for editors or for docs/options.md. */
#include "trainer/base/mem.h"
#include "trainer/run/config.h"
#include "trainer/verb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Status verb_schema(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    bool markdown = false;
    json_t *schema = NULL;
    char *table = NULL, *dump = NULL;
    for (int i = 1; i < argc; i++) {
        CHECK(strcmp(argv[i], "--markdown") == 0, USAGE,
              "schema: found %s, expected --markdown or nothing", argv[i]);
        markdown = true;
    }
    if (comm_rank(world) != 0) goto out;
    if (markdown) {
        TRY(config_schema_markdown(&table));
    } else {
        TRY(config_schema_json(&schema));
        CHECK(dump = json_dumps(schema, JSON_INDENT(2) | JSON_REAL_PRECISION(15)), NOMEM,
              "schema: no memory for the text");
    }
    CHECK(printf("%s%s", markdown ? table : dump, markdown ? "" : "\n") >= 0 && fflush(stdout) == 0,
          IO, "schema: standard output");
out:
    mem_free(table);
    free(dump);
    json_decref(schema);
    return rc;
}
