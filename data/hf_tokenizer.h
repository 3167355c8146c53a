/* hf_tokenizer.h — a tokenizer from a folder in Hugging Face form: its parts, and who fills them. */
#ifndef DATA_HF_TOKENIZER_H
#define DATA_HF_TOKENIZER_H
#include "data/added_tokens.h"
#include "data/bpe.h"
#include "data/detokenizer.h"
#include "data/normalizer.h"
#include "data/pretokenizer.h"
#include "data/tokenizer.h"
#include "trainer/io/json_file.h"
#include "trainer/io/sha256.h"

enum { HF_MAX_IDS = 32, HF_MAX_FILE_BYTES = 1 << 28 };

typedef struct HfIds {
    int32_t id[HF_MAX_IDS];
    int64_t n;
} HfIds;

typedef struct HfTokenizer {
    const char *dir; /* while it is read */
    IdTable *names;  /* every token as its file writes it, added ones too */
    IdTable *units;  /* tokens of the model as they stand in a text, as bytes */
    Bpe *bpe;        /* over units */
    AddedTokens *added;
    Normalizer *normalizer;
    Pretokenizer *pretokenizer;
    Detokenizer *detokenizer;
    HfIds before, behind; /* what is put around a text */
    bool *special;        /* by id */
    int32_t named[N_NAMED_ID];
    HfIds ends;       /* further ids at which a text may end */
    bool lists_added; /* the reader has put every added token there is */
    TextBuf repaired;
    Sha256 *sha; /* while it is read */
    char hash[SHA256_HEX];
} HfTokenizer;

/* ---- readers: each fills in all but added tokens of the other files, special and named ids ---- */

/* tokenizer.json. `label` is the file's name in messages.
 * Errors  ST_FORMAT malformed, contradictory, or with a construct that is not supported (named) */
CHECKED Status hf_read_json(HfTokenizer *h, const char *label, char *text, size_t n);
CHECKED Status hf_read_vocab_merges(HfTokenizer *h); /* vocab.json, merges.txt */
CHECKED Status hf_read_tiktoken(HfTokenizer *h);     /* tokenizer.model of Llama 3 */

/* tokenizer_config.json, added_tokens.json, special_tokens_map.json, generation_config.json and
 * config.json, where they are there: further added tokens, and which ids begin, end and fill up a
 * text. */
CHECKED Status hf_read_configs(HfTokenizer *h);

/* ---- for readers ---- */

CHECKED Status hf_read_normalizer(JsonAt at, Normalizer *z);
/* *byte_level: the pieces are bytes. */
CHECKED Status hf_read_pretokenizer(JsonAt at, Pretokenizer *p, bool *byte_level);
CHECKED Status hf_read_decoder(JsonAt at, Detokenizer *d);
/* A failure ST_FORMAT becomes json_refuse of this place, with its reason behind. */
CHECKED Status hf_refuse(JsonAt at, Status failed, const char *expected);

CHECKED Status hf_add_split(Pretokenizer *p, const char *pattern, SplitBehavior behavior);
CHECKED Status hf_add_bytes(Detokenizer *d);                          /* DECODE_BYTE_LEVEL */
CHECKED Status hf_put_added(HfTokenizer *h, const AddedToken *token); /* also among the names */
/* Reads an added token's flags and content; its id is left alone. The content lives as the file. */
CHECKED Status hf_added_from_json(JsonAt at, AddedToken *token);
/* The file of that name in the folder, in the hash too; its path is for messages.
 * Owns: path and text are the caller's (mem_free) */
CHECKED Status hf_read_file(HfTokenizer *h, const char *name, char **path, char **text, size_t *n);
/* NULL where the file is not there. */
CHECKED Status hf_open_json(const HfTokenizer *h, const char *name, JsonDoc **doc);
/* Puts the file's or folder's name before the message of a failure that does not begin with it. */
CHECKED Status hf_in_file(const char *label, Status rc);

/* ---- whole ---- */

CHECKED Status hf_create(HfTokenizer **h);
void hf_destroy(HfTokenizer *h);
/* After the readers: pieces, special tokens and the hash. */
CHECKED Status hf_finish(HfTokenizer *h);
CHECKED Status hf_encode(HfTokenizer *h, const char *text, int64_t n, TokenizerFlags flags,
                         TokenList *list);
#endif
