/* export_list.h — the forms in which a model leaves: one file export_<name>.c, one line here. */
#ifndef TRAINER_RUN_EXPORT_LIST_H
#define TRAINER_RUN_EXPORT_LIST_H
#define EXPORT_LIST(X) X(hf) X(peft)
#endif
