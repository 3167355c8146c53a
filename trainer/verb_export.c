/* verb_export.c — trainer export DIR --to hf|peft: a trained model in the files of other programs. */
#include "trainer/base/mem.h"
#include "trainer/run/export.h"
#include "trainer/run/progress.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <stdio.h>
#include <string.h>

/* Without the slashes at its end. */
static int length_of(const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    return (int)n;
}

/* "." and "..", which name a directory but have no name to add to. */
static bool ends_in_dots(const char *dir)
{
    const int n = length_of(dir);
    int at = n;
    while (at > 0 && dir[at - 1] != '/') at--;
    return n - at <= 2 && strspn(dir + at, ".") >= (size_t)(n - at);
}

/* Else beside the directory: runs/news/ -> runs/news-hf, with a release runs/news-v2-hf. */
static char *choose_out(const char *asked, const ModelChoice *model, const char *to)
{
    const int n = length_of(model->dir);
    if (asked) return mem_printf("%.*s", length_of(asked), asked);
    return model->release ? mem_printf("%.*s-%s-%s", n, model->dir, model->release, to)
                          : mem_printf("%.*s-%s", n, model->dir, to);
}

static Status print_facts(const LoadedModel *m, const ExportOpts *o, const char *dir,
                          const ExportFacts *f, bool json)
{
    Status rc = ST_OK;
    char bytes[16];
    Text out = {0};
    if (json) {
        text_add(&out, "{\"checkpoint\": ");
        loaded_model_json(m, &out);
        text_printf(&out, ", \"to\": \"%s\", \"dir\": ", o->to);
        text_json_string(&out, dir);
        text_printf(&out, ", \"tensors\": %lld, \"bytes\": %lld, \"logits_off\": ", LL(f->n_tensor),
                    LL(f->n_bytes));
        if (f->verified)
            text_json_number(&out, f->logits_off);
        else
            text_add(&out, "null");
        text_add(&out, "}\n");
    } else {
        text_printf(&out, "%s: %lld tensors, %s\n", dir, LL(f->n_tensor),
                    progress_bytes(f->n_bytes, bytes));
        if (f->verified)
            text_printf(&out, "read again: logits differ by %.2g of the largest at most\n",
                        f->logits_off);
    }
    TRY(text_check(&out));
    CHECK(fputs(out.s, stdout) >= 0 && fflush(stdout) == 0, IO, "export: standard output");
out:
    text_fini(&out);
    return rc;
}

Status verb_export(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    LoadedModel *m = NULL;
    ModelChoice model = {.tokenizer_optional = true};
    ExportOpts o;
    ExportFacts facts = {0};
    const char *to = NULL, *dtype = NULL, *shard = NULL, *out = NULL;
    char *dir = NULL;
    bool verify = false, json = false;
    const VerbFlag flags[] = {{.name = "--to", .value = &to},
                              {.name = "--dtype", .value = &dtype},
                              {.name = "--max-shard-bytes", .value = &shard},
                              {.name = "--out", .value = &out},
                              {.name = "--release", .value = &model.release},
                              {.name = "--base", .value = &model.base},
                              {.name = "--verify", .on = &verify},
                              {.name = "--json", .on = &json}};
    const char **rest = mem_array(argc, sizeof *rest);
    int n_rest;
    CHECK(rest, NOMEM, "%d arguments", argc);
    opt_set_defaults(EXPORT_OPTS, &o);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, 1, rest, &n_rest));
    CHECK(to, USAGE, "export: --to is missing, expected --to hf or --to peft");
    TRY(verb_set("export", "--to", to, EXPORT_OPTS, &o));
    TRY(verb_set("export", "--dtype", dtype, EXPORT_OPTS, &o));
    TRY(verb_set("export", "--max-shard-bytes", shard, EXPORT_OPTS, &o));
    CHECK(!dtype || strcmp(to, "hf") == 0, USAGE,
          "export: --dtype is of --to hf; an adapter is written as float32");
    model.dir = rest[0];
    CHECK(out ? *out : !ends_in_dots(rest[0]), USAGE,
          "export: %s gives no name beside it, expected --out DIR", out ? "--out \"\"" : rest[0]);
    model.without_tokenizer = !export_find(to)->whole;
    dir = choose_out(out, &model, to);
    CHECK(dir, NOMEM, "export: a path");
    TRY(setup_model(world, &model, "fp32", &m));
    TRY(comm_agree(world,
                   comm_rank(world) == 0 ? export_model(m, &o, verify, dir, &facts) : ST_OK));
    TRY(comm_agree(world, comm_rank(world) == 0 ? print_facts(m, &o, dir, &facts, json) : ST_OK));
out:
    loaded_model_close(m);
    mem_free(dir);
    mem_free(rest);
    return rc;
}
