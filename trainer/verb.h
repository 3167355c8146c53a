/* verb.h — the command line: one file verb_<name>.c per verb, one line in this list. */
#ifndef TRAINER_VERB_H
#define TRAINER_VERB_H
#include "trainer/base/comm.h"
#include "trainer/base/opt.h"

/* name, arguments, what it does */
// clang-format off
#define VERB_LIST(X) \
    X(train,    "x.yaml [--profile] [key=value ...]", "train what the config says; goes on where it stopped; --profile: op by op, what took the time") \
    X(plan,     "x.yaml [--lr] [--json] [--no-calibrate] [key=value ...]", "what will be trained, seen and spent; nothing is run") \
    X(preprocess, "x.yaml [--show N] [--json] [key=value ...]", "tokenize into the cache; count, and show samples with what is learned marked") \
    X(lineage,  "DIR [--json]",                     "the line in DIR as a tree") \
    X(verify,   "DIR [--replay K] [--json]",        "check every hash; run K steps again and compare bits") \
    X(inspect,  "DIR [--json]",                     "what a checkpoint holds") \
    X(eval,     "DIR [--release NAME] [--base DIR] [--data FILE|DIR ...] [--questions FILE [--all]] [--choices FILE] [--max-tokens N] [--max-seq-length N] [--without-memory] [--stats] [--json]", "loss on data, answers to questions, multiple choice") \
    X(generate, "DIR [--release NAME] [--base DIR] --prompt TEXT|- [--max-new-tokens N] [--temperature X] [--top-k K] [--top-p P] [--seed S] [--stop TEXT] [--without-memory] [--stats] [--json]", "continue a text") \
    X(tokenize, "--tokenizer DIR [--json-in] [--no-special] [--decode [--json-out]]", "lines of standard input to arrays of ids; --decode: back") \
    X(logits,   "DIR [--release NAME] [--base DIR] --ids \"1 2 3\" --out FILE.safetensors", "the logits after each of these tokens") \
    X(export,   "DIR --to hf|peft [--out DIR] [--release NAME] [--base DIR] [--dtype D] [--max-shard-bytes N] [--verify] [--json]", "write the model, or its adapter, for other programs") \
    X(report,   "DIR [--out FILE]",                 "write report.html") \
    X(schema,   "[--markdown]",                     "the options as JSON schema") \
    X(world,    "--version N [--seed S] [--phrasings N] [--bytes N] [--out DIR]", "write a version of the demo world: text and questions")
// clang-format on

/* argv[0] is the verb. Runs on every rank; what only one rank needs to do is done by rank 0.
 * Errors  ST_USAGE wrong arguments, and whatever the verb meets */
#define VERB_DECLARE(name, args, help)                                                             \
    CHECKED Status verb_##name(const Comm *world, int argc, char **argv);
VERB_LIST(VERB_DECLARE)
#undef VERB_DECLARE

/* Arguments of one verb: options first come first served, the rest by position. */
typedef struct VerbFlag {
    const char *name;   /* "--json" */
    bool *on;           /* a switch, or */
    const char **value; /* an option with a value; given twice: the last one counts */
} VerbFlag;

/* Splits argv into flags and the rest (kept in order in rest, which has room for argc).
 * Errors  ST_USAGE unknown flag, missing value; fewer or more than the allowed number of others */
CHECKED Status verb_parse(int argc, char **argv, const VerbFlag *flags, int64_t n_flag,
                          int min_rest, int max_rest, const char **rest, int *n_rest);

/* Reads the text of a flag ("--top-k"; text NULL: it was not given) into the option of that name
 * ("top_k").
 * Errors  ST_USAGE naming verb and flag, what was found and what was expected */
CHECKED Status verb_set(const char *verb, const char *flag, const char *text, const OptSpec *specs,
                        void *opts);

/* A verb that only looks: "DIR [--json]", shown by rank 0. Rank: collective. */
CHECKED Status verb_look(const Comm *world, int argc, char **argv,
                         Status (*show)(const char *dir, bool json));
#endif
