/* tokenizer_hf.c — the folder of a Hugging Face model or tokenizer: the first of tokenizer.json,
 * vocab.json + merges.txt, tokenizer.model that is there. */
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <string.h>

static bool hf_kind_knows(const char *name)
{
    return path_is_dir(name);
}

static Status read_tokenizer_json(HfTokenizer *h)
{
    Status rc = ST_OK;
    char *path = NULL, *text = NULL;
    size_t n;
    TRY(hf_read_file(h, "tokenizer.json", &path, &text, &n));
    TRY(hf_read_json(h, path, text, n));
    h->lists_added = true;
out:
    mem_free(path);
    mem_free(text);
    return rc;
}

static Status read_folder(HfTokenizer *h)
{
    static const struct {
        const char *file;
        Status (*read)(HfTokenizer *h);
    } READERS[] = {{"tokenizer.json", read_tokenizer_json},
                   {"vocab.json", hf_read_vocab_merges},
                   {"tokenizer.model", hf_read_tiktoken}};
    Status rc = ST_OK;
    bool has = false;
    for (int64_t i = 0; i < N_OF(READERS) && !has; i++) {
        has = path_has(h->dir, READERS[i].file);
        if (has) TRY(READERS[i].read(h));
    }
    CHECK(has, DATA, "there is no tokenizer.json, vocab.json or tokenizer.model");
    TRY(hf_read_configs(h));
    TRY(hf_finish(h));
out:
    return rc;
}

static Status hf_kind_open(const char *name, void **self)
{
    Status rc = ST_OK;
    HfTokenizer *h = NULL;
    TRY(hf_create(&h));
    h->dir = name;
    TRY(hf_in_file(name, read_folder(h)));
    h->dir = NULL;
    *self = h;
    h = NULL;
out:
    hf_destroy(h);
    return rc;
}

static void hf_kind_close(void *self)
{
    hf_destroy(self);
}

static int64_t hf_kind_vocab_size(const void *self)
{
    return id_table_size(((const HfTokenizer *)self)->names);
}

static int32_t hf_kind_named_id(const void *self, int which)
{
    return ((const HfTokenizer *)self)->named[which];
}

static int32_t hf_kind_id(const void *self, const char *token)
{
    return id_table_find(((const HfTokenizer *)self)->names, token, (int64_t)strlen(token));
}

static const char *hf_kind_token(const void *self, int32_t id)
{
    return id_table_text(((const HfTokenizer *)self)->names, id, NULL);
}

static bool hf_kind_is_special(const void *self, int32_t id)
{
    const HfTokenizer *h = self;
    return id >= 0 && id < id_table_size(h->names) && h->special[id];
}

static bool hf_kind_is_end(const void *self, int32_t id)
{
    const HfTokenizer *h = self;
    bool is_end = id >= 0 && id == h->named[ID_EOS];
    for (int64_t i = 0; i < h->ends.n; i++) is_end = is_end || id == h->ends.id[i];
    return is_end;
}

static const char *hf_kind_piece(const void *self, int32_t id, int64_t *n_bytes)
{
    return detokenizer_piece(((const HfTokenizer *)self)->detokenizer, id, n_bytes);
}

static const char *hf_kind_hash(const void *self)
{
    return ((const HfTokenizer *)self)->hash;
}

static Status hf_kind_encode(void *self, const char *text, int64_t n_bytes, TokenizerFlags flags,
                             TokenList *list)
{
    return hf_encode(self, text, n_bytes, flags, list);
}

static int64_t hf_kind_decode(const void *self, const int32_t *ids, int64_t n, TokenizerFlags flags,
                              char *text, int64_t max)
{
    const HfTokenizer *h = self;
    const bool *skip = flags & TOKENIZER_SKIP_SPECIAL ? h->special : NULL;
    return detokenizer_run(h->detokenizer, ids, n, skip, text, max);
}

static Status hf_kind_save(const void *self, const char *folder, const char *dir)
{
    static const char *const FILES[] = {
        "tokenizer.json",          "vocab.json",        "merges.txt",         "tokenizer.model",
        "tokenizer_config.json",   "added_tokens.json", "chat_template.json", "chat_template.jinja",
        "special_tokens_map.json",
    };
    Status rc = ST_OK;
    (void)self;
    for (int64_t i = 0; i < N_OF(FILES); i++)
        if (path_has(folder, FILES[i])) TRY(file_copy(folder, dir, FILES[i]));
out:
    return rc;
}

const TokenizerDef tokenizer_hf = {
    .name = "hf",
    .knows = hf_kind_knows,
    .open = hf_kind_open,
    .close = hf_kind_close,
    .vocab_size = hf_kind_vocab_size,
    .named_id = hf_kind_named_id,
    .id = hf_kind_id,
    .token = hf_kind_token,
    .is_special = hf_kind_is_special,
    .is_end = hf_kind_is_end,
    .piece = hf_kind_piece,
    .hash = hf_kind_hash,
    .encode = hf_kind_encode,
    .decode = hf_kind_decode,
    .save = hf_kind_save,
};
