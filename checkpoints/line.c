/* line.c — line.json to structs and back. */
#include "checkpoints/line.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_FORMAT = 1, LINE_MAX_BYTES = 16 << 20 };

static void version_fini(LineVersion *v)
{
    for (int64_t i = 0; i < v->n_data; i++) mem_free(v->data[i].path);
    mem_free(v->data);
    json_decref(v->heldout);
    json_decref(v->averaged_heldout);
}

void line_destroy(Line *line)
{
    if (!line) return;
    for (int64_t i = 0; i < line->n_version; i++) version_fini(&line->version[i]);
    mem_free(line->version);
    mem_free(line->dir);
    mem_free(line);
}

LineVersion *line_find(const Line *line, const char *name)
{
    for (int64_t i = 0; i < line->n_version; i++)
        if (strcmp(line->version[i].name, name) == 0) return &line->version[i];
    return NULL;
}

const LineVersion *line_follower(const Line *line, const char *name)
{
    for (int64_t i = 0; i < line->n_version; i++)
        if (strcmp(line->version[i].follows, name) == 0 && !line->version[i].branch_from[0])
            return &line->version[i];
    return NULL;
}

Status line_add(Line *line, const char *name, LineVersion **v)
{
    Status rc = ST_OK;
    const size_t size = sizeof *line->version, n = (size_t)line->n_version;
    LineVersion *all = mem_resize(line->version, n * size, (n + 1) * size);
    CHECK(all, NOMEM, "line: %lld versions", LL(line->n_version + 1));
    line->version = all;
    *v = &all[line->n_version++];
    snprintf((*v)->name, sizeof(*v)->name, "%s", name);
out:
    return rc;
}

Status line_add_data(LineVersion *v, const LineData *d)
{
    Status rc = ST_OK;
    const size_t n = (size_t)v->n_data;
    char *path = mem_strdup(d->path);
    LineData *all = path ? mem_resize(v->data, n * sizeof *all, (n + 1) * sizeof *all) : NULL;
    if (!all) mem_free(path);
    CHECK(all, NOMEM, "line: %lld datasets", LL(v->n_data + 1));
    v->data = all;
    all[v->n_data] = *d;
    all[v->n_data++].path = path;
out:
    return rc;
}

void line_point(const Ckpt *k, const char *dir, LinePoint *p)
{
    snprintf(p->dir, sizeof p->dir, "%s", dir);
    p->step = ckpt_info(k)->step;
    p->tokens = ckpt_info(k)->tokens;
    snprintf(p->payload_sha256, sizeof p->payload_sha256, "%s", ckpt_payload_sha256(k));
    snprintf(p->state_sha256, sizeof p->state_sha256, "%s", ckpt_state_sha256(k));
}

LineLedger line_total(const Line *line)
{
    LineLedger sum = {0};
    for (int64_t i = 0; i < line->n_version; i++) {
        const LineLedger *l = &line->version[i].ledger;
        sum.steps_main += l->steps_main;
        sum.steps_branch += l->steps_branch;
        sum.steps_lost += l->steps_lost;
        sum.tokens += l->tokens;
        sum.core_seconds += l->core_seconds;
    }
    return sum;
}

/* ---- to JSON ---- */

static json_t *name_or_null(const char *s)
{
    return s[0] ? json_string(s) : json_null();
}

static json_t *point_to_json(const LinePoint *p, json_t *heldout)
{
    if (!p->dir[0]) return json_null();
    return json_pack("{s:s, s:I, s:I, s:s, s:s, s:O*}", "dir", p->dir, "step", (json_int_t)p->step,
                     "tokens", (json_int_t)p->tokens, "payload_sha256", p->payload_sha256,
                     "state_sha256", p->state_sha256, "heldout", heldout);
}

static json_t *version_to_json(const LineVersion *v)
{
    json_t *data = json_array();
    for (int64_t i = 0; i < v->n_data; i++) {
        const LineData *d = &v->data[i];
        json_array_append_new(
            data, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", d->name, "path", d->path,
                            "fingerprint", d->fingerprint, "rows", (json_int_t)d->rows, "tokens",
                            (json_int_t)d->tokens, "documents", (json_int_t)d->documents));
    }
    const LineLedger *l = &v->ledger;
    return json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:o, s:o, s:o, s:o, s:o, "
                     "s:{s:I, s:I, s:I, s:I, s:f}}",
                     "version", v->name, "follows", name_or_null(v->follows), "branch_from",
                     name_or_null(v->branch_from), "first_step", (json_int_t)v->first_step,
                     "branch_step", (json_int_t)v->branch_step, "end_step", (json_int_t)v->end_step,
                     "decay_fraction", v->decay_fraction, "replay", v->replay, "global_batch_size",
                     (json_int_t)v->global_batch_size, "max_seq_length",
                     (json_int_t)v->max_seq_length, "data", data, "branch_point",
                     point_to_json(&v->branch_point, NULL), "release",
                     point_to_json(&v->release, v->heldout), "averaged",
                     point_to_json(&v->averaged, v->averaged_heldout), "main_end",
                     point_to_json(&v->main_end, NULL), "ledger",
                     "steps_main", (json_int_t)l->steps_main, "steps_branch",
                     (json_int_t)l->steps_branch, "steps_lost", (json_int_t)l->steps_lost, "tokens",
                     (json_int_t)l->tokens, "core_seconds", l->core_seconds);
}

json_t *line_to_json(const Line *line)
{
    json_t *versions = json_array();
    for (int64_t i = 0; i < line->n_version; i++)
        json_array_append_new(versions, version_to_json(&line->version[i]));
    const LineLedger sum = line_total(line);
    return json_pack("{s:i, s:s, s:s, s:o, s:{s:I, s:I, s:I, s:f}}", "format", LINE_FORMAT,
                     "program", SWITCHYARD_VERSION, "paradigm", line->paradigm, "versions",
                     versions, "ledger", "steps", (json_int_t)sum.steps_main + sum.steps_branch,
                     "steps_lost", (json_int_t)sum.steps_lost, "tokens", (json_int_t)sum.tokens,
                     "core_seconds", sum.core_seconds);
}

Status line_save(const Line *line)
{
    Status rc = ST_OK;
    char *text = NULL, *path = path_join(line->dir, "line.json");
    json_t *root = line_to_json(line);
    CHECK(path && root, NOMEM, "line.json of %s", line->dir);
    text = json_dumps(root, JSON_INDENT(2));
    CHECK(text, NOMEM, "line.json of %s", line->dir);
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    json_decref(root);
    free(text);
    mem_free(path);
    return rc;
}

/* ---- from JSON ---- */

static void take_string(const json_t *o, const char *key, char *to, size_t n)
{
    const char *s = json_string_value(json_object_get(o, key));
    snprintf(to, n, "%s", s ? s : "");
}

static int64_t take_int(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void take_point(const json_t *o, const char *key, LinePoint *p)
{
    const json_t *j = json_object_get(o, key);
    take_string(j, "dir", p->dir, sizeof p->dir);
    take_string(j, "payload_sha256", p->payload_sha256, sizeof p->payload_sha256);
    take_string(j, "state_sha256", p->state_sha256, sizeof p->state_sha256);
    p->step = take_int(j, "step");
    p->tokens = take_int(j, "tokens");
}

static Status take_version(Line *line, const json_t *o)
{
    Status rc = ST_OK;
    LineVersion *v = NULL;
    const json_t *ledger = json_object_get(o, "ledger"), *data = json_object_get(o, "data"), *d;
    const char *name = json_string_value(json_object_get(o, "version"));
    size_t i;
    CHECK(name && name[0] && strlen(name) < LINE_NAME && !line_find(line, name), FORMAT,
          "%s/line.json: a version has no name, a doubled or an over-long one", line->dir);
    TRY(line_add(line, name, &v));
    take_string(o, "follows", v->follows, sizeof v->follows);
    take_string(o, "branch_from", v->branch_from, sizeof v->branch_from);
    v->first_step = take_int(o, "first_step");
    v->branch_step = take_int(o, "branch_step");
    v->end_step = take_int(o, "end_step");
    CHECK(0 <= v->first_step && v->first_step <= v->branch_step && v->branch_step <= v->end_step,
          FORMAT, "%s/line.json: %s has steps %lld, %lld, %lld", line->dir, name, LL(v->first_step),
          LL(v->branch_step), LL(v->end_step));
    v->decay_fraction = json_number_value(json_object_get(o, "decay_fraction"));
    v->replay = json_number_value(json_object_get(o, "replay"));
    v->global_batch_size = take_int(o, "global_batch_size");
    v->max_seq_length = take_int(o, "max_seq_length");
    json_array_foreach(data, i, d)
    {
        LineData one = {.rows = take_int(d, "rows"),
                        .tokens = take_int(d, "tokens"),
                        .documents = take_int(d, "documents")};
        const char *path = json_string_value(json_object_get(d, "path"));
        one.path = (char *)(path ? path : "");
        take_string(d, "name", one.name, sizeof one.name);
        take_string(d, "fingerprint", one.fingerprint, sizeof one.fingerprint);
        TRY(line_add_data(v, &one));
    }
    take_point(o, "branch_point", &v->branch_point);
    take_point(o, "release", &v->release);
    take_point(o, "averaged", &v->averaged);
    take_point(o, "main_end", &v->main_end);
    v->heldout = json_incref(json_object_get(json_object_get(o, "release"), "heldout"));
    v->averaged_heldout =
        json_incref(json_object_get(json_object_get(o, "averaged"), "heldout"));
    v->ledger = (LineLedger){take_int(ledger, "steps_main"), take_int(ledger, "steps_branch"),
                             take_int(ledger, "steps_lost"), take_int(ledger, "tokens"),
                             json_number_value(json_object_get(ledger, "core_seconds"))};
out:
    return rc;
}

Status line_load(const char *dir, Line **out)
{
    Status rc = ST_OK;
    Line *line = mem_alloc(sizeof *line);
    char *path = path_join(dir, "line.json"), *text = NULL;
    json_t *root = NULL;
    const json_t *one;
    size_t n = 0, i;
    json_error_t err;
    CHECK(line && path, NOMEM, "line of %s", dir);
    line->dir = mem_strdup(dir);
    CHECK(line->dir, NOMEM, "line of %s", dir);
    if (path_exists(path)) {
        TRY(file_read_all(path, LINE_MAX_BYTES, &text, &n));
        root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &err);
        CHECK(root, FORMAT, "%s:%d: %s", path, err.line, err.text);
        CHECK(take_int(root, "format") == LINE_FORMAT, FORMAT,
              "%s: format is %lld, this program reads %d", path, LL(take_int(root, "format")),
              LINE_FORMAT);
        take_string(root, "paradigm", line->paradigm, sizeof line->paradigm);
        json_array_foreach(json_object_get(root, "versions"), i, one) TRY(take_version(line, one));
    }
    *out = line;
    line = NULL;
out:
    json_decref(root);
    mem_free(text);
    mem_free(path);
    line_destroy(line);
    return rc;
}
