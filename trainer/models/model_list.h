/* model_list.h — every model family, one line each; model_<name>.c has what is its own. */
#ifndef TRAINER_MODELS_MODEL_LIST_H
#define TRAINER_MODELS_MODEL_LIST_H
// clang-format off
#define MODEL_LIST(X) \
    X(llama)          \
    X(mistral)        \
    X(qwen2)          \
    X(qwen3)          \
    X(gpt2)           \
    X(gemma2)
// clang-format on
#endif
