/* verb_generate.c — trainer generate DIR --prompt TEXT: continues a text. */
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/run/generate.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <stdio.h>
#include <string.h>

enum { MAX_PROMPT = 1 << 20 };

/* Byte for byte, a last line end too. */
static Status read_prompt(FILE *in, Text *prompt)
{
    Status rc = ST_OK;
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof part, in)) > 0) {
        text_bytes(prompt, part, n);
        CHECK(prompt->n <= MAX_PROMPT, DATA, "the prompt is longer than %d bytes", MAX_PROMPT);
    }
    CHECK(!ferror(in), DATA, "the prompt cannot be read from standard input");
    TRY(text_check(prompt));
out:
    return rc;
}

static Status print_text(const Prompt *prompt, const Continuation *c)
{
    Status rc = ST_OK;
    const size_t n_prompt = (size_t)prompt->n_bytes, n = (size_t)c->n_bytes;
    CHECK(fwrite(prompt->text, 1, n_prompt, stdout) == n_prompt &&
              fwrite(c->text, 1, n, stdout) == n && putchar('\n') != EOF && fflush(stdout) == 0,
          IO, "generate: standard output");
out:
    return rc;
}

static void add_stats_json(const GenerateStats *s, Text *out)
{
    text_printf(out,
                ",\n \"stats\": {\"route\": \"%s\", \"prompt_tokens\": %lld, "
                "\"first_token_s\": ",
                route_name(s->in_segments), LL(s->n_prompt));
    text_json_number(out, s->first_token_s);
    text_add(out, ", \"seconds\": ");
    text_json_number(out, s->seconds);
    text_printf(out, ", \"state_bytes\": %lld}", LL(s->state_bytes));
}

static void log_stats(const Continuation *c)
{
    const GenerateStats *s = &c->stats;
    LOG_I("route: %s; %lld tokens in the prompt, first new one after %.3f s, %lld in %.3f s; %lld "
          "bytes of state",
          route_name(s->in_segments), LL(s->n_prompt), s->first_token_s, LL(c->n_token), s->seconds,
          LL(s->state_bytes));
}

static Status print_json(const LoadedModel *m, const GenerateOpts *o, const Prompt *prompt,
                         const Continuation *c, bool stats)
{
    Status rc = ST_OK;
    Text out = {0};
    text_add(&out, "{\"checkpoint\": ");
    loaded_model_json(m, &out);
    text_add(&out, ",\n \"prompt\": ");
    text_json_string(&out, prompt->text);
    text_add(&out, ",\n \"text\": ");
    text_json_string(&out, c->text);
    text_printf(&out, ",\n \"tokens\": %lld, \"end\": \"%s\", \"unseen\": %lld, \"temperature\": ",
                LL(c->n_token), generate_end_name(c->end), LL(c->n_unseen));
    text_json_number(&out, o->temperature);
    text_printf(&out, ", \"top_k\": %lld, \"top_p\": ", LL(o->top_k));
    text_json_number(&out, o->top_p);
    text_printf(&out, ", \"seed\": %lld", LL(o->seed));
    if (stats) add_stats_json(&c->stats, &out);
    text_add(&out, "}\n");
    TRY(text_check(&out));
    CHECK(fputs(out.s, stdout) >= 0 && fflush(stdout) == 0, IO, "generate: standard output");
out:
    text_fini(&out);
    return rc;
}

static Status continue_prompt(const LoadedModel *m, const GenerateOpts *o, const char *text,
                              bool json, bool stats)
{
    Status rc = ST_OK;
    Text from_stdin = {0};
    Continuation c = {0};
    Prompt prompt = {text, (int64_t)strlen(text)};
    if (strcmp(text, "-") == 0) {
        TRY(read_prompt(stdin, &from_stdin));
        prompt = (Prompt){from_stdin.s, (int64_t)from_stdin.n};
    }
    TRY(generate(m, o, 1, &prompt, &c));
    if (c.n_unseen > 0)
        LOG_I("%lld tokens are in sight at a time: the first %lld were out of sight at the end",
              LL(loaded_model_context(m)), LL(c.n_unseen));
    TRY(json ? print_json(m, o, &prompt, &c, stats) : print_text(&prompt, &c));
    if (stats && !json) log_stats(&c);
out:
    continuation_fini(&c);
    text_fini(&from_stdin);
    return rc;
}

Status verb_generate(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    enum { FIRST_OPTION = 7 };
    LoadedModel *m = NULL;
    GenerateOpts o;
    bool json = false, stats = false, blind = false;
    ModelChoice model = {0};
    const char *prompt = NULL, *max_new = NULL, *temperature = NULL, *top_k = NULL, *top_p = NULL,
               *seed = NULL;
    const VerbFlag flags[] = {{.name = "--prompt", .value = &prompt},
                              {.name = "--release", .value = &model.release},
                              {.name = "--base", .value = &model.base},
                              {.name = "--stop", .value = &o.stop},
                              {.name = "--json", .on = &json},
                              {.name = "--stats", .on = &stats},
                              {.name = "--without-memory", .on = &blind},
                              {.name = "--max-new-tokens", .value = &max_new},
                              {.name = "--temperature", .value = &temperature},
                              {.name = "--top-k", .value = &top_k},
                              {.name = "--top-p", .value = &top_p},
                              {.name = "--seed", .value = &seed}};
    const char **rest = mem_array(argc, sizeof *rest);
    int n_rest;
    CHECK(rest, NOMEM, "%d arguments", argc);
    opt_set_defaults(GENERATE_OPTS, &o);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, 1, rest, &n_rest));
    for (int64_t i = FIRST_OPTION; i < N_OF(flags); i++)
        TRY(verb_set("generate", flags[i].name, *flags[i].value, GENERATE_OPTS, &o));
    CHECK(prompt, USAGE, "generate: --prompt is missing; see trainer --help");
    CHECK(!o.stop || o.stop[0], USAGE, "generate: --stop is an empty text");
    CHECK(o.temperature > 0 || !(top_k || top_p || seed), USAGE,
          "generate: --top-k, --top-p and --seed need a --temperature above 0; without it the most "
          "probable token is taken");
    model.dir = rest[0];
    TRY(setup_model(world, &model, NULL, &m));
    TRY(setup_blind(m, blind));
    TRY(comm_agree(world,
                   comm_rank(world) == 0 ? continue_prompt(m, &o, prompt, json, stats) : ST_OK));
out:
    loaded_model_close(m);
    mem_free(rest);
    return rc;
}
