/* tokenizer_list.h — every kind of tokenizer, in the order they are asked for a name. */
#ifndef DATA_TOKENIZER_LIST_H
#define DATA_TOKENIZER_LIST_H
#define TOKENIZER_LIST(X) X(bytes) X(hf)
#endif
