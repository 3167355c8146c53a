/* hf_vocab_merges.c — vocab.json and merges.txt: byte-level, split as the tokenizer's class does. */
#include "data/byte_level.h"
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include <string.h>

/* What the two files leave open. */
typedef struct Family {
    const char *tokenizer_class, *model_type; /* without "Fast" */
    const char *pattern;
    bool nfc;
    int64_t n_vocab;         /* tells the family where no config file does; 0: the others' */
    const char *specials[4]; /* where no file lists them: in the vocabulary, else behind it */
} Family;

static const Family FAMILIES[] = {
    {"Qwen2Tokenizer",
     "qwen2",
     PATTERN_QWEN2,
     true,
     151643,
     {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}},
    {"Qwen2Tokenizer",
     "qwen3",
     PATTERN_QWEN2,
     true,
     151643,
     {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}},
    {"GPT2Tokenizer", "gpt2", PATTERN_GPT2, false, 0, {"<|endoftext|>"}},
};

static Status choose_by_class(JsonAt at, const Family **family)
{
    Status rc = ST_OK;
    const char *name;
    TRY(json_text(at, &name));
    const size_t n = strlen(name), n_fast = strlen("Fast");
    const size_t stem = n > n_fast && strcmp(name + n - n_fast, "Fast") == 0 ? n - n_fast : n;
    for (int64_t i = 0; i < N_OF(FAMILIES) && !*family; i++)
        if (strlen(FAMILIES[i].tokenizer_class) == stem &&
            memcmp(FAMILIES[i].tokenizer_class, name, stem) == 0)
            *family = &FAMILIES[i];
    if (!*family)
        TRY(json_refuse(at,
                        "GPT2Tokenizer or Qwen2Tokenizer, or a tokenizer.json that tells more"));
out:
    return rc;
}

/* By the class, else by the model, else by the size of the vocabulary. */
static Status choose_family(const HfTokenizer *h, const Family **family, bool *add_prefix_space)
{
    Status rc = ST_OK;
    JsonDoc *tokenizer = NULL, *model = NULL;
    const char *type = "";
    *family = NULL;
    TRY(hf_open_json(h, "tokenizer_config.json", &tokenizer));
    if (tokenizer) {
        const JsonAt top = json_doc_top(tokenizer);
        TRY(json_opt_bool(&top, "add_prefix_space", add_prefix_space));
        if (json_has(&top, "tokenizer_class"))
            TRY(choose_by_class(json_key(&top, "tokenizer_class"), family));
    }
    TRY(hf_open_json(h, "config.json", &model));
    if (model) {
        const JsonAt top = json_doc_top(model);
        TRY(json_opt_text(&top, "model_type", &type));
    }
    for (int64_t i = 0; i < N_OF(FAMILIES) && !*family; i++)
        if (strcmp(FAMILIES[i].model_type, type) == 0) *family = &FAMILIES[i];
    for (int64_t i = 0; i < N_OF(FAMILIES) && !*family; i++)
        if (FAMILIES[i].n_vocab == id_table_size(h->names) || FAMILIES[i].n_vocab == 0)
            *family = &FAMILIES[i];
out:
    json_doc_close(tokenizer);
    json_doc_close(model);
    return rc;
}

static Status read_vocab(HfTokenizer *h, const char *path, const char *text, size_t n_text)
{
    Status rc = ST_OK;
    enum { MAX_TOKEN = 4096 };
    JsonDoc *doc = NULL;
    const char *name;
    json_t *value;
    char bytes[MAX_TOKEN];
    TRY(json_doc_parse(path, text, n_text, &doc));
    const JsonAt top = json_doc_top(doc);
    json_object_foreach((json_t *)top.value, name, value)
    {
        const JsonAt at = {value, &top, name, 0, doc};
        const int64_t n = (int64_t)strlen(name);
        int64_t id;
        TRY(json_i64(at, 0, ID_TABLE_MAX_ID, &id));
        if (n > MAX_TOKEN) TRY(json_refuse(at, "a token of at most %d bytes", MAX_TOKEN));
        TRY(hf_refuse(at, id_table_put(h->names, id, name, n), "an id of its own"));
        const int64_t n_bytes = byte_level_decode(name, n, bytes);
        if (n_bytes < 0) continue; /* no text can lead to it */
        TRY(hf_refuse(at, id_table_put(h->units, id, bytes, n_bytes), "an id of its own"));
    }
out:
    json_doc_close(doc);
    return rc;
}

static Status read_merge(HfTokenizer *h, const char *line, int64_t n, int64_t number)
{
    Status rc = ST_OK;
    const char *space = memchr(line, ' ', (size_t)n);
    CHECK(space && !memchr(space + 1, ' ', (size_t)(line + n - space - 1)), FORMAT,
          "line %lld: \"%.*s\", expected two tokens with one space between them", LL(number),
          (int)n, line);
    const int32_t left = id_table_find(h->names, line, space - line);
    const int32_t right = id_table_find(h->names, space + 1, line + n - space - 1);
    CHECK(left >= 0 && right >= 0, FORMAT,
          "line %lld: \"%.*s\" names a token that is not in vocab.json", LL(number), (int)n, line);
    if (id_table_text(h->units, left, NULL) && id_table_text(h->units, right, NULL))
        TRY(bpe_add_merge(h->bpe, left, right, number));
out:
    return rc;
}

static Status read_merges(HfTokenizer *h, const char *text, size_t n_text)
{
    Status rc = ST_OK;
    const char *const end = text + n_text;
    for (int64_t number = 1; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *const line = text, *const line_end = newline ? newline : end;
        const int64_t n = line_end - line - (line_end > line && line_end[-1] == '\r');
        text = newline ? newline + 1 : end;
        if (n == 0 || (n >= 8 && memcmp(line, "#version", 8) == 0)) continue;
        TRY(read_merge(h, line, n, number));
    }
out:
    return rc;
}

static Status add_specials(HfTokenizer *h, const Family *family)
{
    Status rc = ST_OK;
    for (const char *const *s = family->specials; *s; s++) {
        const int64_t n = (int64_t)strlen(*s);
        const int32_t known = id_table_find(h->names, *s, n);
        if (known < 0 && family->n_vocab == 0) continue;
        const AddedToken token = {.id = known >= 0 ? known : (int32_t)id_table_size(h->names),
                                  .content = *s,
                                  .n = n,
                                  .special = true};
        TRY(hf_put_added(h, &token));
    }
out:
    return rc;
}

Status hf_read_vocab_merges(HfTokenizer *h)
{
    Status rc = ST_OK;
    char *vocab = NULL, *merges = NULL, *vocab_path = NULL, *merges_path = NULL;
    size_t n_vocab, n_merges;
    const Family *family;
    bool add_prefix_space = false;
    TRY(hf_read_file(h, "vocab.json", &vocab_path, &vocab, &n_vocab));
    TRY(hf_read_file(h, "merges.txt", &merges_path, &merges, &n_merges));
    TRY(read_vocab(h, vocab_path, vocab, n_vocab));
    TRY(bpe_create(h->units, &(BpeOpts){.of_bytes = true, .unk = -1}, &h->bpe));
    TRY(hf_in_file(merges_path, read_merges(h, merges, n_merges)));
    TRY(choose_family(h, &family, &add_prefix_space));
    sha256_add(h->sha, family->pattern, strlen(family->pattern) + 1);
    sha256_add(h->sha, &add_prefix_space, 1);
    if (family->nfc) TRY(normalizer_add(h->normalizer, &(NormalStep){.kind = NORMAL_NFC}));
    if (add_prefix_space)
        TRY(pretokenizer_add(h->pretokenizer, &(PieceStep){.kind = PIECE_PREPEND, .mark = " "}));
    TRY(hf_add_split(h->pretokenizer, family->pattern, SPLIT_ISOLATED));
    TRY(hf_add_bytes(h->detokenizer));
    TRY(add_specials(h, family));
out:
    mem_free(vocab);
    mem_free(merges);
    mem_free(vocab_path);
    mem_free(merges_path);
    return rc;
}
