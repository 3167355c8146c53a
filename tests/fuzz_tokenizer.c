/* fuzz_tokenizer.c — any bytes as a tokenizer.json; where it is one, texts there and back. */
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void there_and_back(HfTokenizer *h, const char *text, int64_t n)
{
    static const TokenizerFlags FLAGS[] = {TOKENIZER_PLAIN,
                                           TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL};
    for (int64_t k = 0; k < N_OF(FLAGS); k++) {
        TokenList list = {0};
        char back[64];
        if (hf_encode(h, text, n, FLAGS[k], &list) == ST_OK) {
            for (int64_t i = 0; i < list.n; i++)
                if (list.ids[i] < 0 || list.ids[i] >= id_table_size(h->names) || list.end[i] > n ||
                    list.end[i] < (i > 0 ? list.end[i - 1] : 0))
                    abort();
            detokenizer_run(h->detokenizer, list.ids, list.n, h->special, back, sizeof back);
        }
        token_list_fini(&list);
        status_clear();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char TEXT[] =
        "ab  a\n\xc3\xa9 e\xcc\x81 12'S <s>a</s>\xff\0 aaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    HfTokenizer *h = NULL;
    char *text = mem_alloc(n + 1);
    if (!text) return 0;
    memcpy(text, data, n);
    if (hf_create(&h) == ST_OK && hf_read_json(h, "tokenizer.json", text, n) == ST_OK &&
        hf_finish(h) == ST_OK) {
        there_and_back(h, TEXT, sizeof TEXT);
        there_and_back(h, (const char *)data, n < 300 ? (int64_t)n : 300);
    }
    status_clear();
    hf_destroy(h);
    mem_free(text);
    return 0;
}
