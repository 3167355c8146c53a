/* export.c — written beside its place, read again, compared, and only then put there. */
#include "trainer/run/export.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include "trainer/run/export_list.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

#define EXPORT_CHOICE(name) "|" #name
#define EXPORT_DECLARE(name) extern const ExportDef export_##name;
#define EXPORT_ENTRY(name) &export_##name,
EXPORT_LIST(EXPORT_DECLARE)
static const ExportDef *const FORMS[] = {EXPORT_LIST(EXPORT_ENTRY)};
static const char form_names[] = EXPORT_LIST(EXPORT_CHOICE);

// clang-format off
const OptSpec EXPORT_OPTS[] = {
    OPT_ENUM(ExportOpts,  to, NULL, &form_names[1], "hf: a model folder, adapters merged; peft: an adapter alone"),
    OPT_ENUM(ExportOpts,  dtype, "auto", "auto|float32|bfloat16|float16", "auto: frozen weights as they are stored, others float32"),
    OPT_COUNT(ExportOpts, max_shard_bytes, 5e9, 1, 1e15, "bytes of weights in one file"),
    OPT_END
};
// clang-format on

const char *export_names(void)
{
    return &form_names[1];
}

const ExportDef *export_find(const char *name)
{
    for (int64_t i = 0; i < N_OF(FORMS); i++)
        if (strcmp(FORMS[i]->name, name) == 0) return FORMS[i];
    return NULL;
}

Status export_check_attention(const LoadedModel *m)
{
    Status rc = ST_OK;
    for (int64_t i = 0; m->net.hooks && i < m->net.hooks->n; i++) {
        const MethodDef *def = m->net.hooks->at[i].def;
        CHECK(!def->attend, CONFIG,
              "%s: kind: %s acts inside attention, for which neither a model folder nor an adapter "
              "of PEFT has a place: "
              "transformers, PEFT, vLLM, llama.cpp and mlx-lm cannot load it. trainer can: pass on "
              "this directory "
              "and the base it was trained on",
              m->dir, def->name);
    }
out:
    return rc;
}

/* ---- reading it again ---- */

/* Weights that were rounded to fewer bits move the logits. */
static double allowed(const char *dtype)
{
    if (strcmp(dtype, "bfloat16") == 0) return 5e-2;
    return strcmp(dtype, "float16") == 0 ? 1e-2 : 1e-4;
}

/* Logits (n,V) after each of n fixed ids. */
static Status fixed_logits(const LoadedModel *m, int64_t n, real *logits)
{
    Status rc = ST_OK;
    const int64_t V = model_config(m->net.model)->vocab_size;
    Batch *b = NULL;
    Tape *tape = NULL;
    Rng rng;
    int64_t *rows = mem_array(n, sizeof *rows);
    CHECK(rows, NOMEM, "logits of %lld tokens", LL(n));
    TRY(batch_create(1, n, &b));
    TRY(tape_create(&tape));
    rng_init(&rng, 1, 0);
    for (int64_t i = 0; i < n; i++) {
        rows[i] = i;
        b->tokens[i] = (int32_t)rng_below(&rng, (uint64_t)V);
    }
    TRY(model_logits(m->net.model, tape, b, n, rows, logits));
out:
    tape_destroy(tape);
    batch_destroy(b);
    mem_free(rows);
    return rc;
}

static Status compare(const LoadedModel *m, const LoadedModel *again, const char *dtype,
                      const char *dir, ExportFacts *facts)
{
    enum { N_ID = 64 };
    Status rc = ST_OK;
    const int64_t V = model_config(m->net.model)->vocab_size, T = loaded_model_context(m),
                  n = T < N_ID ? T : N_ID;
    double off = 0, largest = 0;
    real *x = mem_array(n * V, sizeof *x), *y = mem_array(n * V, sizeof *y);
    CHECK(x && y, NOMEM, "logits of %lld tokens", LL(n));
    TRY(fixed_logits(m, n, x));
    TRY(fixed_logits(again, n, y));
    for (int64_t i = 0; i < n * V && !isnan(off); i++) {
        const double d = fabs((double)x[i] - (double)y[i]);
        off = d <= off ? off : d; /* NaN stays */
        largest = fmax(largest, fabs((double)x[i]));
    }
    facts->logits_off = largest > 0 ? off / largest : off;
    facts->verified = true;
    CHECK(facts->logits_off <= allowed(dtype), DATA,
          "%s: read again, its logits are off by %.3g of the largest, expected at most %.0e", dir,
          facts->logits_off, allowed(dtype));
out:
    mem_free(y);
    mem_free(x);
    return rc;
}

static Status verify_written(const LoadedModel *m, const ExportOpts *o, const char *dir,
                             ExportFacts *facts)
{
    Status rc = ST_OK;
    LoadedModel *again = NULL;
    const bool whole = export_find(o->to)->whole;
    TRY(loaded_model_open(&(ModelChoice){.dir = dir,
                                         .base = whole ? NULL : m->cfg->model_name_or_path,
                                         .without_tokenizer = !m->tokenizer || !whole},
                          &again));
    TRY(compare(m, again, o->dtype, dir, facts));
out:
    loaded_model_close(again);
    return rc;
}

/* ---- the whole ---- */

/* What the files were made from. */
static Status write_origin(const LoadedModel *m, const char *dir)
{
    json_t *base = m->net.base_sha256[0] && m->cfg->model_name_or_path
                       ? json_pack("{s:s, s:s}", "path", m->cfg->model_name_or_path, "sha256",
                                   m->net.base_sha256)
                       : json_null();
    return json_file_write(dir, "switchyard.json",
                           json_pack("{s:s, s:s, s:s, s:s?, s:I, s:s, s:o}", "switchyard",
                                     SWITCHYARD_VERSION, "from", m->dir, "kind", m->kind, "version",
                                     m->version[0] ? m->version : NULL, "step", (json_int_t)m->step,
                                     "payload_sha256", m->payload_sha256, "base", base),
                           false);
}

Status export_model(const LoadedModel *m, const ExportOpts *o, bool verify, const char *dir,
                    ExportFacts *facts)
{
    Status rc = ST_OK;
    char *parent = path_parent(dir), *tmp = mem_printf("%s.tmp-%d", dir, (int)getpid());
    bool made = false;
    *facts = (ExportFacts){0};
    CHECK(parent && tmp, NOMEM, "path %s", dir);
    CHECK(!path_exists(dir), DATA, "%s: is there already, expected a name for something new", dir);
    TRY(dir_make(parent));
    CHECK(!path_exists(tmp), DATA,
          "%s: is there already: another export writes it, or one that was "
          "killed has",
          tmp);
    made = true;
    TRY(dir_make_new(tmp));
    TRY(export_find(o->to)->write(m, o, tmp, facts));
    TRY(write_origin(m, tmp));
    if (verify) TRY(verify_written(m, o, tmp, facts));
    TRY(dir_sync(tmp));
    TRY(dir_publish(tmp, dir));
    made = false;
out:
    if (made && dir_remove(tmp) != ST_OK) LOG_W("%s could not be removed", tmp);
    mem_free(tmp);
    mem_free(parent);
    return rc;
}

/* ---- at the end of a run ---- */

static Status export_as(const char *from, const char *name, const OptItem *form, const char *dir)
{
    Status rc = ST_OK;
    LoadedModel *m = NULL;
    ExportOpts o;
    ExportFacts facts;
    char *to = mem_printf("%.*s", (int)form->n, form->text), *out = NULL;
    CHECK(to && (out = mem_printf("%s/%s-%s", dir, name, to)), NOMEM, "path of an export");
    if (path_exists(out)) goto out;
    opt_set_defaults(EXPORT_OPTS, &o);
    o.to = to;
    TRY(loaded_model_open(&(ModelChoice){.dir = from,
                                         .without_tokenizer = !export_find(to)->whole,
                                         .tokenizer_optional = true},
                          &m));
    TRY(export_model(m, &o, false, out, &facts));
    LOG_I("%s is written", out);
out:
    loaded_model_close(m);
    mem_free(out);
    mem_free(to);
    return rc;
}

Status export_end(const RunConfig *cfg, const char *end)
{
    Status rc = ST_OK;
    char *from = path_join(cfg->output_dir, end), *dir = path_join(cfg->output_dir, "exports");
    const char *slash = strrchr(end, '/');
    CHECK(from && dir, NOMEM, "path of an export");
    if (cfg->export_to) TRY(dir_remove_unfinished(dir)); /* this job holds the run's lock */
    for (OptItem form = {0}; opt_next(cfg->export_to, &form);)
        TRY(export_as(from, slash ? slash + 1 : end, &form, dir));
out:
    mem_free(dir);
    mem_free(from);
    return rc;
}
