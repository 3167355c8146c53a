/* names.h — parts of a model by their dotted names: chosen by words, shown in messages. */
#ifndef TRAINER_METHODS_NAMES_H
#define TRAINER_METHODS_NAMES_H
#include "trainer/models/hook.h"

/* Is the word all of the module's name, or its end behind a dot? Source: PEFT, target_modules. */
bool module_is(const char *module, const char *word, int64_t n_word);
/* Does a module called so hold the parameter? "mlp" holds "model.layers.0.mlp.up_proj.weight". */
bool module_holds(const char *param, const char *word, int64_t n_word);

enum { NAMES_MAX_BYTES = 512 };
/* The last parts of the names of all linear layers, or of all modules with parameters, each once:
 * "q_proj, k_proj". What is too long is cut. */
const char *names_of_sites(const ModelView *view, char buf[NAMES_MAX_BYTES]);
const char *names_of_modules(const ModelView *view, char buf[NAMES_MAX_BYTES]);
/* Of a model whose head has no parameters of its own, for the end of a message; else "". */
const char *names_tied(const ModelView *view, char buf[NAMES_MAX_BYTES]);
#endif
