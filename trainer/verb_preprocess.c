/* verb_preprocess.c — trainer preprocess x.yaml [--show N] [--json] [key=value ...]: tokenizes into
 * the cache, and shows what a model would see of it and learn. */
#include "trainer/base/mem.h"
#include "trainer/run/data_facts.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Preprocess {
    const Comm *world;
    const RunConfig *cfg;
    Tokenizer *tok;
    int64_t show;
    bool as_json, colour;
    Text out;
    json_t *json; /* the list of datasets */
} Preprocess;

// clang-format off
static const OptSpec PREPROCESS_OPTS[] = {
    OPT_I64(Preprocess, show, 0, 0, 1e9, "samples to show of each dataset"),
    OPT_END
};
// clang-format on

/* ---- samples: a row of an unpacked set is one sample, as a row would hold it ---- */

/* Tokens [from, to) as text; those that are learned between marks. */
static Status add_run(Preprocess *v, const int32_t *tokens, int64_t n, bool learned)
{
    Status rc = ST_OK;
    const int64_t n_bytes = tokenizer_decode(v->tok, tokens, n, TOKENIZER_PLAIN, NULL, 0);
    char *text = mem_alloc((size_t)n_bytes + 1);
    CHECK(text, NOMEM, "a sample of %lld bytes", LL(n_bytes));
    tokenizer_decode(v->tok, tokens, n, TOKENIZER_PLAIN, text, n_bytes);
    if (v->colour)
        text_add(&v->out, learned ? "\x1b[1;32m" : "\x1b[2m");
    else if (learned)
        text_add(&v->out, "[[");
    text_bytes(&v->out, text, (size_t)n_bytes);
    const int32_t last = tokens[n - 1];
    if (last == tokenizer_eos(v->tok) &&
        tokenizer_decode(v->tok, &last, 1, TOKENIZER_PLAIN, NULL, 0) == 0)
        text_add(&v->out, "<eos>"); /* which "bytes" has no text for */
    if (v->colour)
        text_add(&v->out, "\x1b[0m");
    else if (learned)
        text_add(&v->out, "]]");
out:
    mem_free(text);
    return rc;
}

static Status show_text(Preprocess *v, const TokenSet *ts, int64_t row, const Batch *b)
{
    Status rc = ST_OK;
    int64_t n;
    const int64_t number = token_set_sample(ts, row, &n);
    int64_t n_learned = 0;
    for (int64_t t = 0; t + 1 < n; t++) n_learned += b->labels[t] >= 0;
    text_printf(&v->out, "\n--- %s: %s %lld, %lld tokens, %lld of them learned\n",
                token_set_name(ts), token_set_is_samples(ts) ? "sample" : "document", LL(number),
                LL(n), LL(n_learned));
    for (int64_t from = 0, to; from < n; from = to) { /* token t is learned as the label of t - 1 */
        const bool learned = from > 0 && b->labels[from - 1] >= 0;
        for (to = from + 1; to < n && (b->labels[to - 1] >= 0) == learned; to++) continue;
        TRY(add_run(v, b->tokens + from, to - from, learned));
    }
    text_add(&v->out, "\n");
out:
    return rc;
}

static Status show_json(const TokenSet *ts, int64_t row, const Batch *b, json_t *list)
{
    Status rc = ST_OK;
    int64_t n;
    const int64_t number = token_set_sample(ts, row, &n);
    json_t *ids = json_array(), *labels = json_array();
    for (int64_t t = 0; t < n; t++) {
        const bool learned = t > 0 && b->labels[t - 1] >= 0;
        json_array_append_new(ids, json_integer(b->tokens[t]));
        json_array_append_new(labels, json_integer(learned ? b->tokens[t] : -100));
    }
    json_t *shown = json_pack("{s:I, s:o, s:o}", "number", (json_int_t)number, "input_ids", ids,
                              "labels", labels);
    CHECK(json_array_append_new(list, shown) == 0, NOMEM, "preprocess: no memory for JSON");
out:
    return rc;
}

static Status show_samples(Preprocess *v, const TokenSet *ts, json_t *list)
{
    Status rc = ST_OK;
    Batch *b = NULL;
    TRY(batch_create(1, v->cfg->pack.max_seq_length, &b));
    for (int64_t i = 0; i < v->show && i < token_set_n_row(ts); i++) {
        token_set_row(ts, i, 0, b);
        TRY(v->as_json ? show_json(ts, i, b, list) : show_text(v, ts, i, b));
    }
out:
    batch_destroy(b);
    return rc;
}

/* ---- datasets ---- */

static void add_counts(Preprocess *v, const TokenSet *ts, const char *use)
{
    text_printf(&v->out, "%s%s (%s): ", v->out.n > 0 ? "\n" : "", token_set_name(ts), use);
    data_size_text(ts, &v->out);
    text_add(&v->out, "\n  ");
    data_counts_text(ts, &v->out);
    text_add(&v->out, "\n");
}

static Status add_set(Preprocess *v, const TokenSet *ts, const TokenSet *one_a_row, const char *use)
{
    Status rc = ST_OK;
    json_t *list = NULL;
    if (v->as_json) {
        json_t *o = data_facts_json(ts);
        list = json_array();
        CHECK(o && json_object_set_new(o, "use", json_string(use)) == 0 &&
                  json_object_set_new(o, "samples", list) == 0 &&
                  json_array_append_new(v->json, o) == 0,
              NOMEM, "preprocess: no memory for JSON");
    } else {
        add_counts(v, ts, use);
    }
    if (one_a_row) TRY(show_samples(v, one_a_row, list));
out:
    return rc;
}

/* Rank: collective */
static Status preprocess_set(Preprocess *v, const DatasetOpts *d, const PackOpts *p, Split split,
                             const char *use)
{
    Status rc = ST_OK, local = ST_OK;
    TokenSet *ts = NULL, *one_a_row = NULL;
    PackOpts unpacked = *p;
    unpacked.packing = false;
    TRY(token_set_open(v->world, d, p, v->tok, split, &ts));
    if (v->show > 0) TRY(token_set_open(v->world, d, &unpacked, v->tok, split, &one_a_row));
    if (comm_rank(v->world) == 0) local = add_set(v, ts, one_a_row, use);
    TRY(comm_agree(v->world, local));
out:
    token_set_close(ts);
    token_set_close(one_a_row);
    return rc;
}

static Status preprocess_all(Preprocess *v)
{
    Status rc = ST_OK;
    const RunConfig *cfg = v->cfg;
    PackOpts whole = cfg->pack;
    whole.val_size = 0;
    for (int64_t i = 0; i < cfg->n_dataset; i++) {
        TRY(preprocess_set(v, &cfg->datasets[i], &cfg->pack, SPLIT_TRAIN, "train"));
        if (cfg->pack.val_size > 0)
            TRY(preprocess_set(v, &cfg->datasets[i], &cfg->pack, SPLIT_HELD_OUT, "held_out"));
    }
    for (int64_t i = 0; i < cfg->n_eval_dataset; i++)
        TRY(preprocess_set(v, &cfg->eval_datasets[i], &whole, SPLIT_TRAIN, "eval"));
out:
    return rc;
}

/* ---- the verb ---- */

static Status print(Preprocess *v)
{
    Status rc = ST_OK;
    char *text = NULL;
    if (v->as_json) {
        text = json_dumps(v->json, JSON_INDENT(1));
        CHECK(text, NOMEM, "preprocess: no memory for JSON");
        text_printf(&v->out, "{\"format\": 1, \"datasets\": %s}\n", text);
    }
    TRY(text_check(&v->out));
    CHECK(fwrite(v->out.s, 1, v->out.n, stdout) == v->out.n && fflush(stdout) == 0, IO,
          "preprocess: standard output");
out:
    free(text);
    return rc;
}

Status verb_preprocess(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    const char *show = NULL;
    RunConfig *cfg = NULL;
    Preprocess v = {.world = world, .colour = isatty(STDOUT_FILENO) == 1};
    const VerbFlag flags[] = {{.name = "--show", .value = &show},
                              {.name = "--json", .on = &v.as_json}};
    TRY(setup_config(world, argc, argv, flags, N_OF(flags), &cfg));
    v.cfg = cfg;
    v.json = json_array();
    TRY(verb_set("preprocess", "--show", show, PREPROCESS_OPTS, &v));
    CHECK(cfg->n_dataset + cfg->n_eval_dataset > 0, CONFIG,
          "preprocess: the config names no dataset of its own");
    TRY(comm_agree(world, tokenizer_open(cfg->tokenizer, &v.tok)));
    TRY(preprocess_all(&v));
    TRY(comm_agree(world, comm_rank(world) == 0 ? print(&v) : ST_OK));
out:
    json_decref(v.json);
    text_fini(&v.out);
    tokenizer_close(v.tok);
    config_destroy(cfg);
    return rc;
}
