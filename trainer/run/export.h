/* export.h — a trained model in the files of other programs. docs/export.md says what is in them. */
#ifndef TRAINER_RUN_EXPORT_H
#define TRAINER_RUN_EXPORT_H
#include "trainer/run/loaded_model.h"

typedef struct ExportOpts {
    const char *to;    /* the form: a word of export_list.h */
    const char *dtype; /* of what is written: auto | float32 | bfloat16 | float16 */
    int64_t max_shard_bytes;
} ExportOpts;
extern const OptSpec EXPORT_OPTS[];

typedef struct ExportFacts {
    int64_t n_tensor, n_bytes; /* of weights */
    bool verified;
    double logits_off; /* largest difference of a logit, relative to the largest logit */
} ExportFacts;

/* One form; file export_<name>.c, line in export_list.h. */
typedef struct ExportDef {
    const char *name;
    bool whole; /* a model with its tokenizer; else it is loaded on the base, which has one */
    /* Fills dir, which is empty. Errors: ST_CONFIG the model has no such form, with the reason; ST_IO */
    Status (*write)(const LoadedModel *m, const ExportOpts *o, const char *dir, ExportFacts *facts);
} ExportDef;
const ExportDef *export_find(const char *name); /* NULL: unknown */
const char *export_names(void);                 /* "hf|peft" */

/* Writes the model to dir, which must not exist: whole, or not at all. `verify` reads it again first and compares
 * the logits of both on fixed ids; m's products are computed as the machine is set up.
 *
 * Rank    local; one rank calls it
 * Errors  ST_DATA dir exists; what was read again differs by more than rounding to its dtype allows; those of
 *         ExportDef.write */
CHECKED Status export_model(const LoadedModel *m, const ExportOpts *o, bool verify, const char *dir,
                            ExportFacts *facts);

/* No form has room for what acts between attention and its output. Errors: ST_CONFIG with the tools that cannot load it, and
 * what can */
CHECKED Status export_check_attention(const LoadedModel *m);

/* The end of a run ("final", "releases/v1") in every form of export_to, as output_dir/exports/v1-hf; what is there
 * already stays. Rank: local; one rank calls it. Errors: those of loaded_model_open and export_model */
CHECKED Status export_end(const RunConfig *cfg, const char *end);

#endif
