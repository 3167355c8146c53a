/* run_status.c — status.json, written whole each time. */
#include "trainer/run/run_status.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/text.h"
#include <time.h>

static const char *const STATE_NAMES[] = {"running", "done", "stopped", "failed"};

RunState run_state_of(Status rc)
{
    return rc == ST_OK ? RUN_DONE : rc == ST_STOPPED ? RUN_STOPPED : RUN_FAILED;
}

Status run_status_write(const char *dir, const RunStatus *s)
{
    Status rc = ST_OK;
    Text t = {0};
    char when[32];
    struct tm utc;
    const time_t now = time(NULL);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    const bool plain = s->state == RUN_RUNNING && !s->message;

    char *file = path_join(dir, "status.json");
    CHECK(file, NOMEM, "status: a file name below %s", dir);
    text_printf(&t, "{\n  \"format\": 1,\n  \"state\": \"%s\",\n", STATE_NAMES[s->state]);
    text_printf(&t, "  \"code\": %d,\n  \"reason\": \"%s\",\n", status_exit_code(s->code),
                status_name(s->code));
    text_add(&t, "  \"message\": ");
    text_json_string(&t, plain ? "running" : s->message ? s->message : status_text(s->code));
    text_add(&t, ",\n  \"version\": ");
    text_json_string(&t, s->version);
    text_add(&t, ",\n  \"path\": ");
    text_json_string(&t, s->path);
    text_printf(&t, ",\n  \"step\": %lld,\n  \"time\": \"%s\"\n}\n", LL(s->step), when);
    TRY(text_check(&t));
    TRY(file_write_atomic(file, t.s, t.n));
out:
    text_fini(&t);
    mem_free(file);
    return rc;
}
