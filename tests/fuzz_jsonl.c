/* fuzz_jsonl.c — the readers of JSON lines and JSON arrays, and what each format makes of them. The first byte chooses the
 * format. */
#include "data/data.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const TYPES[] = {"jsonl", "completion", "alpaca", "messages"};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(const Doc *d)
{
    int64_t behind = 0;
    for (int64_t i = 0; i < d->n_learned; i++) {
        ASSERT(d->learned[i].from >= behind && d->learned[i].to > d->learned[i].from);
        behind = d->learned[i].to;
    }
    ASSERT(behind <= d->n_bytes);
}

static Status read_all(const char *path, const char *type)
{
    Status rc = ST_OK;
    static Tokenizer *tok;
    DocSource *src = NULL;
    DatasetOpts o;
    PackOpts p;
    Doc d;
    opt_set_defaults(DATASET_OPTS, &o);
    opt_set_defaults(PACK_OPTS, &p);
    o.path = path;
    o.type = type;
    p.chat_template = "chatml";
    if (!tok) TRY(tokenizer_open("bytes", &tok));
    TRY(doc_source_open(&o, &p, tok, &src));
    for (;;) {
        TRY(doc_source_next(src, &d));
        if (!d.text) break;
        check(&d);
    }
out:
    doc_source_close(src);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static int fd = -1;
    static char path[64];
    static int64_t live = -1;
    if (n == 0) return 0;
    log_set_level(LOG_ERROR);
    if (fd < 0) {
        fd = memfd_create("input", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, bytes + 1, n - 1, 0) == (ssize_t)(n - 1));
    const Status rc = read_all(path, TYPES[bytes[0] % N_OF(TYPES)]);
    ASSERT(rc == ST_OK || rc == ST_FORMAT);
    status_clear();
    if (live < 0) live = mem_live();
    ASSERT(mem_live() == live);
    return 0;
}
