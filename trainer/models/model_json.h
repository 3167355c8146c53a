/* model_json.h — config.json of a Hugging Face folder, read into a ModelConfig and written from one.
 *
 * docs/models.md says which keys are read and what is refused. */
#ifndef TRAINER_MODELS_MODEL_JSON_H
#define TRAINER_MODELS_MODEL_JSON_H
#include "trainer/models/model.h"
#include <jansson.h>

/* Reads DIR/config.json; what it leaves out is as transformers has it. The rest of cfg (initializer) is as
 * MODEL_OPTS has it. The result has passed model_check_config.
 *
 * Rank    local
 * Errors  ST_DATA   no such file, unreadable
 *         ST_FORMAT "file: key: found what, expected what": a family that is not there, a key missing, of
 *         another type, out of bounds, or whose meaning is not implemented; sizes that do not fit
 * Owns    the texts in cfg are constants of the program */
CHECKED Status model_config_read(const char *dir, ModelConfig *cfg);

/* What transformers needs to load such a model; cfg is complete. dtype: of the weights, "float32", "bfloat16".
 * Keys about tokens (bos_token_id, ...) are the caller's to add.
 *
 * Errors  ST_NOMEM
 * Owns    *json is the caller's (json_decref) */
CHECKED Status model_config_to_json(const ModelConfig *cfg, const char *dtype, json_t **json);
#endif
