/* model_list.h — every model family, one line each; model_<name>.c has its forward. */
#ifndef TRAINER_MODELS_MODEL_LIST_H
#define TRAINER_MODELS_MODEL_LIST_H
#define MODEL_LIST(X) X(llama)
#endif
