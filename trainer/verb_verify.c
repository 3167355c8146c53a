/* verb_verify.c — trainer verify DIR [--replay K] [--json]: every checkpoint in DIR or below it, down
 * to the last number, and the hashes line.json has of them; then steps run again. */
#include "checkpoints/ckpt.h"
#include "checkpoints/line.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/run/replay.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 3 }; /* branches/v2/step-000900 */

typedef struct Tally {
    bool json;
    json_t *list; /* of {dir, ok, damage} */
    int64_t n_damaged;
    char first[1024]; /* what is wrong with the first damaged one */
} Tally;

static Status note(Tally *tally, const char *dir, const char *damage)
{
    Status rc = ST_OK;
    json_t *one = json_pack("{s:s, s:b, s:s?}", "dir", dir, "ok", damage == NULL, "damage", damage);
    CHECK(json_array_append_new(tally->list, one) == 0, NOMEM,
          "no memory for a list of checkpoints");
    if (!tally->json) printf("%-8s%s\n", damage ? "damaged" : "ok", damage ? damage : dir);
    if (damage && tally->n_damaged++ == 0)
        snprintf(tally->first, sizeof tally->first, "%s", damage);
out:
    return rc;
}

static bool is_noted_as_damaged(const Tally *tally, const char *dir)
{
    size_t i;
    json_t *one;
    json_array_foreach(tally->list, i, one)
    {
        const char *other = json_string_value(json_object_get(one, "dir"));
        if (!strcmp(other, dir) && json_is_false(json_object_get(one, "ok"))) return true;
    }
    return false;
}

/* A damaged checkpoint is noted, and the others are looked at all the same. */
static Status noted(Tally *tally, const char *dir, Status found)
{
    char damage[1024] = "";
    if (found != ST_OK && found != ST_DATA && found != ST_FORMAT) return found;
    if (found != ST_OK) {
        snprintf(damage, sizeof damage, "%s", status_message());
        status_clear();
    }
    return note(tally, dir, found == ST_OK ? NULL : damage);
}

static Status walk(Tally *tally, const char *dir, int depth)
{
    Status rc = ST_OK;
    char **names = NULL, *below = path_join(dir, "manifest.json");
    int64_t n = 0;
    CHECK(below, NOMEM, "%s: no memory for a name", dir);
    if (path_exists(below)) {
        TRY(noted(tally, dir, ckpt_verify(dir)));
        goto out;
    }
    if (depth == 0) goto out;
    TRY(dir_list(dir, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        mem_free(below);
        below = path_join(dir, names[i]);
        CHECK(below, NOMEM, "%s: no memory for a name", dir);
        if (path_is_dir(below) && !strstr(names[i], ".tmp-")) TRY(walk(tally, below, depth - 1));
    }
out:
    mem_free(below);
    dir_list_free(names, n);
    return rc;
}

static Status check_point(const char *path, const LinePoint *point)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TRY(ckpt_open(path, &k));
    CHECK(!strcmp(ckpt_payload_sha256(k), point->payload_sha256), FORMAT,
          "%s: payload_sha256 is %s, line.json says %s", path, ckpt_payload_sha256(k),
          point->payload_sha256);
    CHECK(!strcmp(ckpt_state_sha256(k), point->state_sha256), FORMAT,
          "%s: state_sha256 is %s, line.json says %s", path, ckpt_state_sha256(k),
          point->state_sha256);
out:
    ckpt_close(k);
    return rc;
}

/* What is never rotated must be there and be what the line says it is. */
static Status check_line(Tally *tally, const char *dir)
{
    Status rc = ST_OK;
    Line *line = NULL;
    char *path = NULL;
    TRY(line_load(dir, &line));
    for (int64_t v = 0; v < line->n_version; v++) {
        const LineVersion *version = &line->version[v];
        const LinePoint *points[] = {&version->branch_point, &version->release, &version->averaged};
        for (int64_t i = 0; i < N_OF(points); i++) {
            if (!points[i]->dir[0]) continue;
            mem_free(path);
            path = path_join(dir, points[i]->dir);
            CHECK(path, NOMEM, "%s: no memory for a name", dir);
            if (is_noted_as_damaged(tally, path)) continue;
            const Status found = check_point(path, points[i]);
            if (found != ST_OK) TRY(noted(tally, path, found));
        }
    }
out:
    mem_free(path);
    line_destroy(line);
    return rc;
}

static Status verify(const char *dir, Tally *tally)
{
    Status rc = ST_OK;
    CHECK(tally->list, NOMEM, "no memory for a list of checkpoints");
    TRY(walk(tally, dir, DEEPEST));
    CHECK(json_array_size(tally->list) > 0, DATA, "%s: no checkpoint there", dir);
    TRY(check_line(tally, dir));
    CHECK(tally->n_damaged == 0, FORMAT, "%lld of %zu checkpoints are damaged: %s",
          LL(tally->n_damaged), json_array_size(tally->list), tally->first);
out:
    return rc;
}

/* ---- steps run again ---- */

static void print_replay(const Replay *r)
{
    size_t i;
    json_t *one;
    if (r->unlike) printf("%-8s%s\n", "unlike", r->unlike);
    printf("%-8s%s, steps %lld to %lld: loss, gradient norm, rate and batch, bit for bit\n",
           "equal", r->leg.title, LL(r->leg.from), LL(r->leg.from + r->n_step));
    json_array_foreach(r->equal, i, one) printf(
        "%-8s%s  payload_sha256 %.12s\n", "equal", json_string_value(json_object_get(one, "dir")),
        json_string_value(json_object_get(one, "payload_sha256")));
}

static Status replay(const Comm *world, const char *dir, int64_t n_step, bool json, json_t **facts)
{
    Status rc = ST_OK;
    Replay *r = NULL;
    TRY(replay_open(world, dir, &r));
    TRY(setup_machine(world, r->cfg->gemm_backend, r->cfg->compute_dtype, (int)r->cfg->threads));
    rc = replay_run(r, n_step);
    *facts = json_pack("{s:s, s:s, s:I, s:I, s:b, s:s?, s:s?, s:O}", "version",
                       job_own(r->job)->name, "path", r->leg.path, "from", (json_int_t)r->leg.from,
                       "steps", (json_int_t)r->n_step, "equal", rc == ST_OK, "difference",
                       rc == ST_OK ? NULL : status_message(), "numerics", r->unlike, "checkpoints",
                       r->equal);
    if (rc == ST_OK && !json && comm_rank(world) == 0) print_replay(r);
out:
    replay_close(r);
    return rc;
}

static Status print_json(const Tally *tally, json_t *replayed)
{
    Status rc = ST_OK;
    json_t *root = json_pack("{s:O, s:I, s:O?}", "checkpoints", tally->list, "damaged",
                             (json_int_t)tally->n_damaged, "replay", replayed);
    CHECK(root, NOMEM, "no memory for a list of checkpoints");
    CHECK(json_dumpf(root, stdout, JSON_INDENT(1)) == 0 && putchar('\n') == '\n', IO,
          "standard output: cannot write");
out:
    json_decref(root);
    return rc;
}

typedef struct VerifyOpts {
    int64_t replay;
} VerifyOpts;

// clang-format off
static const OptSpec VERIFY_OPTS[] = {
    OPT_COUNT(VerifyOpts, replay, 0, 1, 1e12, "steps to run again"),
    OPT_END
};
// clang-format on

Status verb_verify(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    bool json = false;
    const char *steps = NULL;
    int n_rest;
    VerifyOpts opts = {0};
    json_t *replayed = NULL;
    Tally tally = {.list = json_array()};
    const VerbFlag flags[] = {{.name = "--json", .on = &json},
                              {.name = "--replay", .value = &steps}};
    const char **rest = mem_array(argc, sizeof *rest);
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, 1, rest, &n_rest));
    TRY(verb_set("verify", "--replay", steps, VERIFY_OPTS, &opts));
    tally.json = json;
    const bool first = comm_rank(world) == 0;
    Status found = comm_agree(world, first ? verify(rest[0], &tally) : ST_OK);
    if (found == ST_OK && opts.replay > 0)
        found = replay(world, rest[0], opts.replay, json, &replayed);
    TRY(comm_agree(world, json && first && tally.list ? print_json(&tally, replayed) : ST_OK));
    TRY(found);
out:
    json_decref(replayed);
    json_decref(tally.list);
    mem_free(rest);
    return rc;
}
