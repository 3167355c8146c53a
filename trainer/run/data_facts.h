/* data_facts.h — what became of a dataset, for plan and preprocess. */
#ifndef TRAINER_RUN_DATA_FACTS_H
#define TRAINER_RUN_DATA_FACTS_H
#include "data/data.h"
#include "trainer/run/text.h"
#include <jansson.h>

/* "12k tokens in 999 samples, 31 rows" */
void data_size_text(const TokenSet *ts, Text *out);
/* "SHA-256 0123456789ab; learned 8123 tokens (66 %); ..." */
void data_counts_text(const TokenSet *ts, Text *out);
/* The fields both have in docs/formats.md. Owns: the caller's; NULL: no memory */
json_t *data_facts_json(const TokenSet *ts);
#endif
