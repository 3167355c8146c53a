/* data.h — token sequences by one global index: datasets, tokenizers, packing, sampler. */
#ifndef DATA_DATA_H
#define DATA_DATA_H
#include "trainer/base/comm.h"
#include "trainer/base/opt.h"
#include "trainer/io/sha256.h"
#include "trainer/tensor/batch.h"

/* ---- tokenizers: text -> ids ---- */
/* Encoding is for one thread at a time (a tokenizer remembers the words it met); everything else
 * only reads. */
typedef struct Tokenizer Tokenizer;
/* name: "bytes" (ids 0..255 are the bytes, 0 ends a document), or the folder of a tokenizer in
 * Hugging Face form.
 * Errors  ST_CONFIG neither; ST_DATA a file is missing; ST_FORMAT what a file holds is malformed or
 *         not supported (named)
 * Source  docs/tokenizers.md */
CHECKED Status tokenizer_open(const char *name, Tokenizer **tok);
void tokenizer_close(Tokenizer *tok);
const char *tokenizer_folder(const Tokenizer *tok); /* it was opened from; NULL: it has none */
int64_t tokenizer_vocab_size(const Tokenizer *tok); /* every id is below */
const char *tokenizer_hash(const Tokenizer *tok);   /* hex; part of the cache key */
/* -1 when there is none. */
int32_t tokenizer_bos(const Tokenizer *tok);
int32_t tokenizer_eos(const Tokenizer *tok);
int32_t tokenizer_pad(const Tokenizer *tok);
int32_t tokenizer_id(const Tokenizer *tok, const char *token);
/* The token as the vocabulary writes it ("\u0120the", "<|im_end|>"); NULL when there is no such id. */
const char *tokenizer_token(const Tokenizer *tok, int32_t id);
bool tokenizer_is_special(const Tokenizer *tok, int32_t id);
/* eos, or another id at which generation_config.json lets a text end. */
bool tokenizer_is_end(const Tokenizer *tok, int32_t id);
/* The bytes an id stands for in the middle of a text; n_bytes 0 when there is no such id. */
const char *tokenizer_piece(const Tokenizer *tok, int32_t id, int64_t *n_bytes);
/* Writes the tokenizer into dir as the files of a Hugging Face folder: those it was opened from, or ones that
 * make the same ids. What a failure leaves, the caller removes. Errors: ST_IO; ST_DATA its folder is gone */
CHECKED Status tokenizer_save(const Tokenizer *tok, const char *dir);

typedef enum TokenizerFlags {
    TOKENIZER_PLAIN = 0,
    TOKENIZER_ADD_SPECIAL = 1,   /* encode: what the tokenizer puts around a text (often bos) */
    TOKENIZER_PARSE_SPECIAL = 2, /* encode: special tokens written in the text are these tokens;
                                    without it they are text like any other */
    TOKENIZER_SKIP_SPECIAL = 4,  /* decode: special tokens have no text */
} TokenizerFlags;

typedef struct TokenList { /* {0} is an empty list */
    int32_t *ids;
    int64_t *end; /* where the token ends in the text it was made from, in bytes */
    int64_t n, cap;
} TokenList;
void token_list_fini(TokenList *list);
CHECKED Status token_list_add(TokenList *list, int32_t id, int64_t end);

/* Appends the tokens of a text to the list. `end` counts from the start of this text and never
 * falls; a token put in front of the text ends at 0, one behind it at n_bytes. Bytes that are no
 * UTF-8 are each taken as "bytes" takes them or, by a tokenizer from a folder, as U+FFFD.
 * Errors  ST_NOMEM, with the list as it was */
CHECKED Status tokenizer_encode(const Tokenizer *tok, const char *text, int64_t n_bytes,
                                TokenizerFlags flags, TokenList *list);
/* text is the caller's, with room for max bytes; no NUL is added. Returns how many bytes there are;
 * when that is more than max, call again with more room. Unknown ids have no text. */
int64_t tokenizer_decode(const Tokenizer *tok, const int32_t *ids, int64_t n, TokenizerFlags flags,
                         char *text, int64_t max);

/* ---- dataset formats: files -> documents; one file data_<name>.c, one line in data_list.h ---- */
typedef struct DatasetOpts { /* one entry of datasets:; which keys a format reads is in its table */
    const char *name;        /* default: the file's stem; shown in metrics per dataset */
    const char *path;        /* absolute or relative to the config file (already resolved here) */
    const char *type;        /* auto, or the name of a format */
    const char *text_field;  /* jsonl: key of the text */
    const char *prompt_field, *completion_field; /* completion: keys of the two halves */
    const char *document;  /* text: file | line | paragraph: what one document is */
    double weight;         /* share, where max_steps or max_tokens bounds the run */
    int64_t world_version; /* world: 1.. */
    int64_t world_seed;
    int64_t world_bytes;     /* world: size of the text; 0: the recipe's */
    int64_t world_phrasings; /* world: ways to state a fact; 0: the recipe's */
} DatasetOpts;
extern const OptSpec DATASET_OPTS[];

typedef struct PackOpts {   /* how the documents of all datasets become rows */
    int64_t max_seq_length; /* T */
    bool packing;           /* several documents in one row; false: one document (cut to T) a row */
    const char *packing_attention; /* document | full: may packed documents see each other */
    bool prefix_sharing;  /* packed samples that begin alike have that beginning once in a row */
    bool train_on_inputs; /* samples: the prompt is learned, too */
    const char *roles_to_train;  /* messages: a list */
    const char *chat_template;   /* messages: tokenizer_default, a name, or a file */
    const char *on_empty_sample; /* stop | drop, where nothing of a sample is to be learned */
    double val_size;             /* share of documents held out, chosen by hash of their text */
    const char *cache_dir;       /* token shards; NULL: under the user's cache folder */
    int64_t cache_limit_bytes;
} PackOpts;
extern const OptSpec PACK_OPTS[];

typedef struct DocSpan {
    int64_t from, to; /* bytes [from, to) of a text */
} DocSpan;

typedef struct Doc {
    const char *text; /* NULL: there is none left */
    int64_t n_bytes;
    bool learn_all;         /* or, of a sample: */
    const DocSpan *learned; /* (n_learned) in order, apart, none of them empty */
    int64_t n_learned;
    int64_t number;   /* of a sample: in its file, from 1 */
    bool is_rendered; /* a chat template wrote it, with bos and ends of turns: none are added */
} Doc;

typedef struct DatasetDef {
    const char *name;
    Status (*open)(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok, void **self);
    /* The next document, valid until the next call; *d is zeroed before. Errors: ST_FORMAT and
     * ST_DATA name file and line (or byte). */
    Status (*next)(void *self, Doc *d);
    void (*close)(void *self);
    /* (optional) Adds what decides beside the file to the key of its shard. */
    Status (*add_key)(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok, Sha256 *key);
    /* (optional) True: what `next` yields are the consecutive pieces of one text, line ends
     * included. Nothing marks their borders in the tokens, and the held-out split takes blocks of
     * whole lines. NULL: documents. */
    bool (*is_stream)(const DatasetOpts *o);
    bool
        is_samples; /* documents are samples for fine-tuning: masked, and never cut by a row's end */
} DatasetDef;

/* The format o->type names, or the one the file's extension tells.
 * Errors  ST_CONFIG no path, unknown type */
CHECKED Status dataset_def(const DatasetOpts *o, const DatasetDef **def);
/* o->name, or the file's stem. */
const char *dataset_name(const DatasetOpts *o, char *buf, size_t n_buf);

typedef struct DocSource DocSource; /* an open dataset of any format: yields documents in order */
/* Rank    local
 * Errors  ST_CONFIG no path, unknown type, no such chat template; ST_DATA missing, not a regular
 *         file, unreadable
 * Owns    borrows its arguments until it is closed */
CHECKED Status doc_source_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                               DocSource **src);
void doc_source_close(DocSource *src);
const DatasetDef *doc_source_def(const DocSource *src);
bool doc_source_is_stream(const DocSource *src);
/* As DatasetDef.next, but never empty (empty ones are counted) and without NUL. */
CHECKED Status doc_source_next(DocSource *src, Doc *d);
int64_t doc_source_n_empty(const DocSource *src); /* skipped so far */

/* ---- sequences ---- */
/* One dataset, one split, as rows of T tokens in memory. The label of a token is the next token of
 * its document, where that one is to be learned; else, and in filling, it is -1.
 *
 * Packed documents stand one after the other, each closed by eos: row i = tokens [iT, iT+T) of that
 * stream. Packed samples stay whole: each, cut to T, goes into the first of the last rows that has
 * room for it; with prefix_sharing without the tokens without a label that a sample there begins with,
 * too (Batch.n_shared). Not packed: row i = the first T tokens of document or sample i. What is left of
 * a row is filled with eos. */
typedef struct TokenSet TokenSet;

typedef enum Split { SPLIT_TRAIN, SPLIT_HELD_OUT, N_SPLIT } Split;

/* Reads, tokenizes and caches a dataset (shards in HDF5, addressed by content hash), or finds it
 * cached. A held-out split may have no row; a training split that fills none is refused.
 *
 * Rank    collective: rank 0 of each node builds, the others wait and open
 * Errors  ST_DATA missing, unreadable, no document, not one full row, nothing to be learned of a
 *         sample (its number), another file on another node; ST_FORMAT malformed (file, line);
 *         ST_IO the cache cannot be written
 * Owns    borrows its arguments during the call only
 * Source  docs/data.md */
CHECKED Status token_set_open(const Comm *c, const DatasetOpts *d, const PackOpts *p,
                              const Tokenizer *tok, Split split, TokenSet **ts);
void token_set_close(TokenSet *ts);
const char *token_set_name(const TokenSet *ts);
/* Hex SHA-256 of the tokens and document ends of this split. */
const char *token_set_fingerprint(const TokenSet *ts);
int64_t token_set_n_row(const TokenSet *ts);
int64_t token_set_n_token(const TokenSet *ts);
int64_t token_set_n_doc(const TokenSet *ts);
int64_t token_set_bytes(const TokenSet *ts); /* of memory */
typedef struct TokenCounts {
    int64_t n_learned;   /* labels of all rows together */
    int64_t n_dropped;   /* tokens behind the last full row (packed documents) */
    int64_t n_truncated; /* tokens cut off at T, of so many documents or samples: */
    int64_t n_cut;
    int64_t n_used, n_fill; /* positions of all rows that hold tokens, that are filled up */
    int64_t n_shared; /* tokens that stand in no row because another sample's serve for them */
    int64_t n_left;   /* samples left out (on_empty_sample: drop) */
    int64_t n_empty;  /* empty texts skipped, in both splits together */
} TokenCounts;
const TokenCounts *token_set_counts(const TokenSet *ts);
bool token_set_is_samples(const TokenSet *ts);
/* Does a model of vocab_size ids know every token, filling included? A tokenizer may have more than are in use.
 *
 * Rank    local
 * Errors  ST_DATA no: the set, the id and both sizes */
CHECKED Status token_set_check_ids(const TokenSet *ts, const Tokenizer *tok, int64_t vocab_size);
/* Of an unpacked set: the number in its file (from 1) of the sample in this row, and how many
 * positions it takes. */
int64_t token_set_sample(const TokenSet *ts, int64_t row, int64_t *n);
int64_t token_set_row_tokens(const TokenSet *ts, int64_t row); /* positions that hold tokens */
/* Fills row b of the batch and keeps out->n_label right, whatever the row held before.
 * Shapes  out: (B,T) with the set's T */
void token_set_row(const TokenSet *ts, int64_t row, int64_t b, Batch *out);

/* ---- sampler: which row is sample i ---- */
/* Pure arithmetic over row counts, so that plan, training and verification agree. Any i is found at
 * once: to go on, or to run the same samples on another path, takes one number.
 *
 * Math    P_k: a permutation of [0,n) under key k: a Feistel network on [0,4^h), 4^h >= n, walked
 *         until it falls into [0,n).
 *         A run gives draw m = 0, 1, ... the row P_k(m mod n), with a new k each epoch floor(m/n).
 *         A share f parts samples between two parties: sample i is the first one's when
 *         round((i+1)f) > round(if), and then its draw round(if), else draw i - round(if) of the
 *         second. So each party's draws are numbered without a gap, and f holds at any length.
 *         replay parts the samples into older rows (one run over all of them) and new rows. These
 *         are one run, too; or, with weights w, they are parted with f = w_0/(w_0+w_1+...) into
 *         the run of set 0 and the rest, the rest into the run of set 1 and its rest, and so on.
 * Rank    replicated
 * Source  Luby & Rackoff 1988 (Feistel networks); Black & Rogaway 2002 (cycle walking) */
typedef struct Sampler Sampler;
typedef struct SamplerSpec {
    uint64_t seed;
    uint64_t stream;      /* version number: its own order */
    int64_t n_set;        /* token sets of this version */
    const int64_t *n_row; /* rows of each */
    const double *weight; /* NULL: every row once per epoch, all sets mixed */
    int64_t n_old;        /* older token sets, for replay */
    const int64_t *n_old_row;
    double replay; /* share of samples replaced by older rows, each row at most once */
} SamplerSpec;
typedef struct SampleId {
    int32_t set; /* index into the version's sets; n_set + j: older set j */
    int64_t row;
    int64_t epoch; /* of the row's run: 0 when it is drawn for the first time */
} SampleId;
/* Errors  ST_CONFIG no row; a weight or share out of range; replay takes more older rows in one
 *         epoch than there are
 * Owns    copies the arrays */
CHECKED Status sampler_create(const SamplerSpec *spec, Sampler **s);
void sampler_destroy(Sampler *s);
int64_t sampler_n_epoch_sample(const Sampler *s); /* as many as the version has rows */
SampleId sampler_at(const Sampler *s, int64_t i); /* i >= 0: the cursor of the version */

/* ---- micro-batches ---- */
CHECKED Status batch_create(int64_t B, int64_t T, Batch **b); /* all labels -1 */
void batch_destroy(Batch *b);
void batch_mask_row(Batch *b, int64_t row); /* nothing is to be learned from this row */
#endif
