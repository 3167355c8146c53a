/* llama2c.h — a checkpoint of karpathy/llama2.c and its tokenizer as a Hugging Face folder. */
#ifndef SCRIPTS_LLAMA2C_H
#define SCRIPTS_LLAMA2C_H
#include "trainer/base/status.h"

/* Writes DIR/config.json, model.safetensors, tokenizer.json and tokenizer_config.json; DIR is made.
 *
 * Rank    local
 * Errors  ST_DATA   model or tokenizer missing or unreadable
 *         ST_FORMAT sizes that do not fit each other or the file; a tokenizer without its parts
 *         ST_IO
 * Source  https://github.com/karpathy/llama2.c: run.c (legacy version 0 files), tokenizer.py */
CHECKED Status llama2c_convert(const char *model, const char *tokenizer, const char *dir);

/* The second half: the tokenizer of a model with n_vocab tokens and n_context positions. */
CHECKED Status llama2c_convert_tokenizer(const char *tokenizer, int64_t n_vocab, int64_t n_context,
                                         const char *dir);
#endif
