/* tokenizer_bytes.c — id = byte; 0, which no text holds, ends a document. */
#include "data/byte_level.h"
#include "data/tokenizer.h"
#include "trainer/base/mem.h"
#include "trainer/io/json_file.h"
#include <string.h>

enum { VOCAB = 256, EOS = 0 };

typedef struct Bytes {
    char token[VOCAB][2]; /* each byte as a text */
} Bytes;

static bool bytes_knows(const char *name)
{
    return strcmp(name, "bytes") == 0;
}

static Status bytes_open(const char *name, void **self)
{
    Status rc = ST_OK;
    Bytes *b = mem_alloc(sizeof *b);
    CHECK(b, NOMEM, "tokenizer %s: %zu bytes", name, sizeof *b);
    for (int i = 0; i < VOCAB; i++) b->token[i][0] = (char)i;
    *self = b;
out:
    return rc;
}

static void bytes_close(void *self)
{
    mem_free(self);
}

static int64_t bytes_vocab_size(const void *self)
{
    (void)self;
    return VOCAB;
}

static int32_t bytes_named_id(const void *self, int which)
{
    (void)self;
    return which == ID_EOS ? EOS : -1;
}

static int32_t bytes_id(const void *self, const char *token)
{
    (void)self;
    return strlen(token) == 1 ? (unsigned char)token[0] : -1;
}

static bool is_byte(int32_t id)
{
    return id >= 0 && id < VOCAB;
}

static const char *bytes_token(const void *self, int32_t id)
{
    return is_byte(id) ? ((const Bytes *)self)->token[id] : NULL;
}

static bool bytes_is_special(const void *self, int32_t id)
{
    (void)self;
    return id == EOS;
}

static bool bytes_is_end(const void *self, int32_t id)
{
    (void)self;
    return id == EOS;
}

/* The end of a document has no text. */
static const char *bytes_piece(const void *self, int32_t id, int64_t *n_bytes)
{
    *n_bytes = is_byte(id) && id != EOS;
    return bytes_token(self, id);
}

/* SHA-256 of the text "switchyard tokenizer bytes 256 0". */
static const char *bytes_hash(const void *self)
{
    (void)self;
    return "9a93937b8250de3470e41ef06fe4fd32b080a9b58022efe39621342993666319";
}

static Status bytes_encode(void *self, const char *text, int64_t n_bytes, TokenizerFlags flags,
                           TokenList *list)
{
    Status rc = ST_OK;
    (void)self;
    (void)flags;
    for (int64_t i = 0; i < n_bytes; i++) TRY(token_list_add(list, (unsigned char)text[i], i + 1));
out:
    return rc;
}

static int64_t bytes_decode(const void *self, const int32_t *ids, int64_t n, TokenizerFlags flags,
                            char *text, int64_t max)
{
    (void)self;
    (void)flags;
    int64_t n_bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!is_byte(ids[i]) || ids[i] == EOS) continue;
        if (n_bytes < max) text[n_bytes] = (char)ids[i];
        n_bytes++;
    }
    return n_bytes;
}

/* Byte-level BPE without a merge: the vocabulary is the 256 letters, in the order of their bytes. */
static Status save_vocabulary(const char *dir, const char *eos)
{
    Status rc = ST_OK;
    char letter[8];
    json_t *vocab = json_object();
    for (int i = 0; i < VOCAB; i++) {
        letter[byte_level_encode(&(char){(char)i}, 1, letter)] = '\0';
        CHECK(vocab && json_object_set_new(vocab, letter, json_integer(i)) == 0, NOMEM,
              "%s: no memory for a vocabulary", dir);
    }
    json_t *json = json_pack(
        "{s:s, s:n, s:n, s:[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}], s:n, s:{s:s, s:b, s:b, s:b}, s:n,"
        " s:{s:s, s:b, s:b, s:b},"
        " s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:O, s:[]}}",
        "version", "1.0", "truncation", "padding", "added_tokens", "id", EOS, "content", eos,
        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1, "normalizer",
        "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex",
        0, "post_processor", "decoder", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
        0, "use_regex", 0, "model", "type", "BPE", "dropout", "unk_token",
        "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
        "ignore_merges", 0, "vocab", vocab, "merges");
    TRY(json_file_write(dir, "tokenizer.json", json, false));
out:
    json_decref(vocab);
    return rc;
}

static Status bytes_save(const void *self, const char *folder, const char *dir)
{
    Status rc = ST_OK;
    (void)self;
    (void)folder;
    char eos[8];
    eos[byte_level_encode(&(char){EOS}, 1, eos)] = '\0';
    TRY(save_vocabulary(dir, eos));
    TRY(json_file_write(dir, "tokenizer_config.json",
                        json_pack("{s:s, s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                                  "eos_token", eos, "clean_up_tokenization_spaces", 0),
                        false));
out:
    return rc;
}

const TokenizerDef tokenizer_bytes = {
    .name = "bytes",
    .knows = bytes_knows,
    .open = bytes_open,
    .close = bytes_close,
    .vocab_size = bytes_vocab_size,
    .named_id = bytes_named_id,
    .id = bytes_id,
    .token = bytes_token,
    .is_special = bytes_is_special,
    .is_end = bytes_is_end,
    .piece = bytes_piece,
    .hash = bytes_hash,
    .encode = bytes_encode,
    .decode = bytes_decode,
    .save = bytes_save,
};
