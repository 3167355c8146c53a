/* data_list.h — every dataset format; DATASET_OPTS in dataset.c lists the same words. */
#ifndef DATA_DATA_LIST_H
#define DATA_DATA_LIST_H
#define DATA_LIST(X) X(text) X(jsonl) X(completion) X(alpaca) X(messages) X(world)
#endif
