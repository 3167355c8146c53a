/* weights.h — the numbers of a stored model. */
#ifndef TRAINER_MODELS_WEIGHTS_H
#define TRAINER_MODELS_WEIGHTS_H
#include "trainer/io/safetensors.h"
#include "trainer/models/model.h"

typedef enum WeightsFor { WEIGHTS_FROZEN, WEIGHTS_ALL, WEIGHTS_LOOK } WeightsFor;

/* Gives the model's own parameters their numbers: the frozen ones, or all. A frozen matrix is lent as it
 * is stored; trainable ones, and what is no matrix, are widened to real. Called once the set is sealed;
 * WEIGHTS_LOOK, which gives no number, once it is split: it compares shapes and leaves the dtype of what
 * would be lent in Param.dtype.
 *
 * A file of the bare model, without its head, leaves out the family's prefix ("transformer."); both
 * spellings are taken. `label` names the folder in messages.
 * Rank    local
 * Errors  ST_DATA a parameter is missing, has another shape (both are named), or a stored tensor is
 *         none of the model's; ST_NOMEM
 * Owns    what is lent is borrowed from s, which must outlive the model */
CHECKED Status model_read_weights(Model *m, const SafeTensors *s, const char *label,
                                  WeightsFor which);

/* Where the files have a parameter of the model; NULL: they do not. Owns: s */
const SafeTensor *model_find_weight(const Model *m, const SafeTensors *s, const Param *p);
#endif
