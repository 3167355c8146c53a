/* method_list.h — every fine-tuning method, one line each; method_<name>.c has its maths. */
#ifndef TRAINER_METHODS_METHOD_LIST_H
#define TRAINER_METHODS_METHOD_LIST_H
#define METHOD_LIST(X) X(full) X(freeze) X(lora) X(memory_gate)
#endif
