/* verb_eval.c — trainer eval DIR: loss on data, answers to questions. */
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/models/kv_cache.h"
#include "trainer/models/segments.h"
#include "trainer/run/choices.h"
#include "trainer/run/evaluate.h"
#include "trainer/run/generate.h"
#include "trainer/run/score.h"
#include "trainer/verb.h"
#include "trainer/verb_setup.h"
#include <stdio.h>

typedef struct Eval {
    const Comm *world;
    const LoadedModel *m;
    int64_t max_tokens, max_seq_length;
    bool json, stats;
    Tape *tape;
    Batch *batch;
    int64_t n_set;
    Text out;
} Eval;

// clang-format off
static const OptSpec EVAL_OPTS[] = {
    OPT_COUNT(Eval, max_tokens, 0, 0, 1e15, "tokens scored of each dataset; 0: all"),
    OPT_COUNT(Eval, max_seq_length, 0, 0, 16e6, "tokens in a row; 0: as in training"),
    OPT_END
};
// clang-format on

/* ---- loss on data ---- */

/* state: what reading a row keeps of it to its end, as large for every length, or the keys and values of all. */
static void add_stats(Eval *v, const char *name, const Evaluation *e)
{
    const Model *m = v->m->net.model;
    const int64_t T = v->batch->T;
    const bool in_segments = segments_for(m, T, false);
    const int64_t bytes = in_segments ? segment_cache_bytes(m, 1) : kv_bytes(model_config(m), T);
    if (!v->json) {
        LOG_I("%s: route: %s; %lld rows of %lld tokens in %.3f s; %lld bytes of state a row", name,
              route_name(in_segments), LL(e->n_row), LL(T), e->seconds, LL(bytes));
        return;
    }
    text_printf(&v->out,
                ", \"stats\": {\"route\": \"%s\", \"rows\": %lld, \"row_tokens\": %lld, "
                "\"seconds\": ",
                route_name(in_segments), LL(e->n_row), LL(T));
    text_json_number(&v->out, e->seconds);
    text_printf(&v->out, ", \"state_bytes\": %lld}", LL(bytes));
}

static void add_loss(Eval *v, const char *name, const Evaluation *e)
{
    Text *out = &v->out;
    if (!v->json) {
        if (v->n_set++ == 0)
            text_printf(out, "%-24s %10s %8s %11s %14s\n", "data", "tokens", "loss", "perplexity",
                        "bits per byte");
        text_printf(out, "%-24s %10lld %8.4f %11.4f %14.4f\n", name, LL(e->n_label), e->loss,
                    evaluation_perplexity(e), evaluation_bits_per_byte(e));
        if (v->stats) add_stats(v, name, e);
        return;
    }
    text_add(out, v->n_set++ == 0 ? "\n  {\"name\": " : ",\n  {\"name\": ");
    text_json_string(out, name);
    text_printf(out, ", \"tokens\": %lld, \"bytes\": %lld, \"loss\": ", LL(e->n_label),
                LL(e->n_byte));
    text_json_number(out, e->loss);
    text_add(out, ", \"perplexity\": ");
    text_json_number(out, evaluation_perplexity(e));
    text_add(out, ", \"bits_per_byte\": ");
    text_json_number(out, evaluation_bits_per_byte(e));
    if (v->stats) add_stats(v, name, e);
    text_add(out, "}");
}

static Status eval_set(Eval *v, const DatasetOpts *d, const PackOpts *pack, Split split,
                       const char *version)
{
    Status rc = ST_OK;
    TokenSet *set = NULL;
    Evaluation e;
    char name[512];
    TRY(token_set_open(v->world, d, pack, v->m->tokenizer, split, &set));
    TRY(comm_agree(v->world, token_set_check_ids(set, v->m->tokenizer,
                                                 model_config(v->m->net.model)->vocab_size)));
    snprintf(name, sizeof name, "%s%s%s", version ? version : "", version ? "/" : "",
             token_set_name(set));
    if (token_set_n_row(set) == 0) goto out; /* a split may hold nothing out */
    TRY(evaluate_set(v->world, v->m->net.model, v->m->tokenizer, set, v->max_tokens, v->tape,
                     v->batch, &e));
    add_loss(v, name, &e);
out:
    token_set_close(set);
    return rc;
}

/* What a run keeps from training: its held-out splits, and its eval_datasets. */
static Status eval_held_out(Eval *v, const RunConfig *cfg)
{
    Status rc = ST_OK;
    PackOpts pack = v->m->cfg->pack;
    pack.val_size = cfg->pack.val_size;
    for (int64_t i = 0; pack.val_size > 0 && i < cfg->n_dataset; i++)
        TRY(eval_set(v, &cfg->datasets[i], &pack, SPLIT_HELD_OUT, cfg->version));
    pack.val_size = 0;
    for (int64_t i = 0; i < cfg->n_eval_dataset; i++)
        TRY(eval_set(v, &cfg->eval_datasets[i], &pack, SPLIT_TRAIN, NULL));
out:
    return rc;
}

/* A file is read in the manner of the first dataset of the run; a directory stands for what its own
 * run keeps from training. */
static Status eval_data(Eval *v, const char *path)
{
    Status rc = ST_OK;
    LoadedModel *other = NULL;
    const RunConfig *own = v->m->cfg;
    if (path_is_dir(path)) {
        TRY(comm_agree(v->world, loaded_model_open(&(ModelChoice){.dir = path}, &other)));
        TRY(eval_held_out(v, other->cfg));
        goto out;
    }
    DatasetOpts d;
    PackOpts pack = own->pack;
    opt_set_defaults(DATASET_OPTS, &d);
    if (own->n_dataset > 0) {
        const DatasetOpts *first = &own->datasets[0];
        const DatasetDef *def;
        TRY(comm_agree(v->world, dataset_def(first, &def)));
        if (def->is_samples) d.type = first->type;
        d.prompt_field = first->prompt_field;
        d.completion_field = first->completion_field;
        d.text_field = first->text_field;
        d.document = first->document;
    }
    d.path = path;
    pack.val_size = 0;
    TRY(eval_set(v, &d, &pack, SPLIT_TRAIN, NULL));
out:
    loaded_model_close(other);
    return rc;
}

static Status eval_losses(Eval *v, const char *const *data, int n_data)
{
    Status rc = ST_OK, local = ST_OK;
    const RunConfig *cfg = v->m->cfg;
    local = tape_create(&v->tape);
    if (local == ST_OK)
        local = batch_create(cfg->micro_batch_size, cfg->pack.max_seq_length, &v->batch);
    TRY(comm_agree(v->world, local));
    if (v->json) text_add(&v->out, ",\n \"data\": [");
    for (int i = 0; i < n_data; i++) TRY(eval_data(v, data[i]));
    if (n_data == 0) TRY(eval_held_out(v, cfg));
    if (v->json) text_add(&v->out, "]");
out:
    return rc;
}

/* ---- answers to questions ---- */

static Status eval_questions(Eval *v, const char *path, bool all)
{
    Status rc = ST_OK;
    QuestionSet *set = NULL;
    TRY(comm_agree(v->world, questions_read(path, all, &set)));
    TRY(score_questions(v->world, v->m, set));
    if (v->json) {
        text_add(&v->out, ",\n \"questions\": ");
        score_json(set, &v->out);
    } else {
        text_printf(&v->out, "%s%s: %lld of %lld questions asked\n", v->n_set > 0 ? "\n" : "", path,
                    LL(set->n), LL(set->n_file));
        score_text(set, &v->out);
    }
out:
    questions_destroy(set);
    return rc;
}

/* ---- multiple choice ---- */

static Status eval_choices(Eval *v, const char *path)
{
    Status rc = ST_OK;
    ChoiceScore s;
    TRY(choices_score(v->world, v->m, path, &s));
    const double right = (double)s.n_right / (double)s.n,
                 per_byte = (double)s.n_right_per_byte / (double)s.n;
    if (!v->json) {
        text_printf(&v->out,
                    "%s%s: %lld questions with %lld choices\n  most probable     %.4f right\n"
                    "  ... per byte      %.4f right\n",
                    v->n_set > 0 ? "\n" : "", path, LL(s.n), LL(s.n_choice), right, per_byte);
        goto out;
    }
    text_printf(&v->out,
                ",\n \"choices\": {\"questions\": %lld, \"choices\": %lld, \"accuracy\": ", LL(s.n),
                LL(s.n_choice));
    text_json_number(&v->out, right);
    text_add(&v->out, ", \"accuracy_per_byte\": ");
    text_json_number(&v->out, per_byte);
    text_add(&v->out, "}");
out:
    return rc;
}

/* ---- the verb ---- */

static void add_checkpoint(Eval *v)
{
    const LoadedModel *m = v->m;
    if (v->json) {
        text_add(&v->out, "{\"checkpoint\": ");
        loaded_model_json(m, &v->out);
    } else {
        text_printf(&v->out, "%s: %s%s%s, step %lld\n", m->dir, m->kind, m->version[0] ? " " : "",
                    m->version, LL(m->step));
    }
}

static Status print_all(const Eval *v)
{
    Status rc = ST_OK;
    TRY(text_check(&v->out));
    CHECK(printf("%s%s", v->out.s, v->json ? "}\n" : "") >= 0 && fflush(stdout) == 0, IO,
          "eval: standard output");
out:
    return rc;
}

Status verb_eval(const Comm *world, int argc, char **argv)
{
    Status rc = ST_OK;
    LoadedModel *m = NULL;
    Eval v = {.world = world};
    bool data = false, all = false, blind = false;
    const char *questions = NULL, *choices = NULL, *max_tokens = NULL, *max_seq_length = NULL;
    ModelChoice model = {0};
    const VerbFlag flags[] = {{.name = "--data", .on = &data},
                              {.name = "--questions", .value = &questions},
                              {.name = "--all", .on = &all},
                              {.name = "--choices", .value = &choices},
                              {.name = "--release", .value = &model.release},
                              {.name = "--base", .value = &model.base},
                              {.name = "--max-tokens", .value = &max_tokens},
                              {.name = "--max-seq-length", .value = &max_seq_length},
                              {.name = "--without-memory", .on = &blind},
                              {.name = "--stats", .on = &v.stats},
                              {.name = "--json", .on = &v.json}};
    const char **rest = mem_array(argc, sizeof *rest);
    int n_rest;
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, N_OF(flags), 1, argc, rest, &n_rest));
    CHECK(data == (n_rest > 1), USAGE,
          "eval: the directory comes first, then --data and its files; see trainer --help");
    CHECK(!all || questions, USAGE,
          "eval: --all says which questions to ask, but there is no "
          "--questions");
    TRY(verb_set("eval", "--max-tokens", max_tokens, EVAL_OPTS, &v));
    TRY(verb_set("eval", "--max-seq-length", max_seq_length, EVAL_OPTS, &v));
    model.dir = rest[0];
    TRY(setup_model(world, &model, NULL, &m));
    TRY(setup_blind(m, blind));
    v.m = m;
    if (v.max_seq_length > 0) m->cfg->pack.max_seq_length = v.max_seq_length;
    add_checkpoint(&v);
    TRY(eval_losses(&v, rest + 1, n_rest - 1));
    CHECK(v.n_set > 0 || questions || choices, DATA,
          "%s: its run keeps no data from training (val_size, eval_datasets); give --data FILE, "
          "--questions FILE or --choices FILE",
          m->dir);
    if (questions) TRY(eval_questions(&v, questions, all));
    if (choices) TRY(eval_choices(&v, choices));
    TRY(comm_agree(world, comm_rank(world) == 0 ? print_all(&v) : ST_OK));
out:
    text_fini(&v.out);
    batch_destroy(v.batch);
    tape_destroy(v.tape);
    loaded_model_close(m);
    mem_free(rest);
    return rc;
}
