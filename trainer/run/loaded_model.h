/* loaded_model.h — a model from disk, ready to compute: config, tokenizer, weights. */
#ifndef TRAINER_RUN_LOADED_MODEL_H
#define TRAINER_RUN_LOADED_MODEL_H
#include "checkpoints/ckpt.h"
#include "checkpoints/line.h"
#include "trainer/run/network.h"
#include "trainer/run/text.h"

typedef struct LoadedModel {
    char *dir; /* the checkpoint, or folder, the weights are from */
    char kind[16],
        version[64]; /* "base": a stored model as it is; "adapter": also a folder of PEFT's or mlx-lm's */
    bool is_run;     /* of a run, not a folder that came from elsewhere */
    int64_t step;
    char payload_sha256[LINE_HASH]; /* of a folder: of its files */
    RunConfig *cfg; /* of the run that wrote it; of a stored model: one that would start from it */
    Tokenizer *tokenizer; /* NULL: see ModelChoice */
    Network net;          /* without gradients */
} LoadedModel;

/* Which model is meant. dir: the folder of a stored model (config.json); that of an adapter (adapter_config.json); a
 * checkpoint of any kind; a line; or the output directory of another run, of which its end is taken, or its newest
 * checkpoint while there is none. */
typedef struct ModelChoice {
    const char *dir;
    const char *release; /* of a line ("v2", "v2-averaged"); NULL: the newest */
    const char *base;    /* the stored model an adapter is put on; NULL: the one it names */
    /* ids are enough: LoadedModel.tokenizer stays NULL; or does so where the folder has none */
    bool without_tokenizer, tokenizer_optional;
} ModelChoice;

/* Rank    local (all ranks may read)
 * Errors  ST_DATA nothing of that kind is there, a tensor is missing or has another shape, the base is another;
 *         ST_FORMAT damaged; ST_CONFIG its config is not understood */
CHECKED Status loaded_model_open(const ModelChoice *choice, LoadedModel **m);
void loaded_model_close(LoadedModel *m);

/* Longest text in sight of a token: what it was trained on, or the positions it has. */
int64_t loaded_model_context(const LoadedModel *m);

/* As tokenizer_encode.
 * Errors  ST_DATA a token that the model has no row for */
CHECKED Status loaded_model_encode(const LoadedModel *m, const char *text, int64_t n_bytes,
                                   TokenizerFlags flags, TokenList *list);

void loaded_model_json(const LoadedModel *m, Text *out); /* docs/formats.md, "checkpoint" */
#endif
