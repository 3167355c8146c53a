/* verb_logits.c — trainer logits MODEL --ids "1 2 3" --out x.safetensors: what a model says after each of these tokens. In
 * f32 whatever the CPU has: it is there to be compared with. */
#include "trainer/base/mem.h"
#include "trainer/io/safetensors.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Numbers with blanks or commas between them. */
static Status read_ids(const char *text, int64_t vocab, int32_t **ids, int64_t *n)
{
    Status rc = ST_OK;
    const char *at = text;
    *n = 0;
    *ids = mem_array((int64_t)strlen(text) / 2 + 1, sizeof **ids);
    CHECK(*ids, NOMEM, "logits: the ids");
    for (at += strspn(at, " ,\t\n"); *at; at += strspn(at, " ,\t\n")) {
        char *end;
        errno = 0;
        const long long id = strtoll(at, &end, 10);
        CHECK(end > at && !errno && (!*end || strchr(" ,\t\n", *end)), USAGE,
              "logits: --ids: found \"%.20s\", expected token ids with blanks between them", at);
        CHECK(id >= 0 && id < vocab, DATA, "logits: --ids: %lld is no token id, the model has %lld",
              id, LL(vocab));
        (*ids)[(*n)++] = (int32_t)id;
        at = end;
    }
    CHECK(*n > 0, USAGE, "logits: --ids: is empty");
out:
    return rc;
}

static Status write_logits(const LoadedModel *m, const char *text, const char *path)
{
    Status rc = ST_OK;
    const int64_t V = model_config(m->net.model)->vocab_size;
    int64_t n, *rows = NULL;
    int32_t *ids = NULL;
    Batch *b = NULL;
    Tape *tape = NULL;
    real *logits = NULL; /* (n,V) */
    TRY(read_ids(text, V, &ids, &n));
    rows = mem_array(n, sizeof *rows);
    logits = mem_array(n * V, sizeof *logits);
    CHECK(rows && logits, NOMEM, "logits of %lld tokens", LL(n));
    TRY(batch_create(1, n, &b));
    memcpy(b->tokens, ids, (size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++) rows[i] = i;
    TRY(tape_create(&tape));
    TRY(model_logits(m->net.model, tape, b, n, rows, logits));
    const SafeTensor out = {
        .name = "logits", .dtype = DT_F32, .n_dim = 2, .dim = {n, V}, .data = logits};
    TRY(safetensors_write(path, &out, 1, NULL, NULL));
out:
    tape_destroy(tape);
    batch_destroy(b);
    mem_free(logits);
    mem_free(rows);
    mem_free(ids);
    return rc;
}

Status verb_logits(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    LoadedModel *m = NULL;
    ModelChoice model = {.without_tokenizer = true};
    const char *ids = NULL, *path = NULL;
    const VerbFlag flags[] = {{.name = "--release", .value = &model.release},
                              {.name = "--base", .value = &model.base},
                              {.name = "--ids", .value = &ids},
                              {.name = "--out", .value = &path}};
    const char **rest = mem_array(argc, sizeof *rest);
    int n_rest;
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, 1, rest, &n_rest));
    CHECK(ids && path, USAGE, "logits: --ids and --out are needed; see trainer --help");
    model.dir = rest[0];
    TRY(setup_model(world, &model, "fp32", &m));
    TRY(comm_agree(world, comm_rank(world) == 0 ? write_logits(m, ids, path) : ST_OK));
out:
    loaded_model_close(m);
    mem_free(rest);
    return rc;
}
