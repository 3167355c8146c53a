/* shard.h — a dataset as token streams, one per split: built from documents, stored as HDF5. */
#ifndef DATA_SHARD_H
#define DATA_SHARD_H
#include "data/data.h"
#include "trainer/io/sha256.h"

enum { SHARD_FORMAT = 2 }; /* part of the cache key */

/* One split. Tokens are uint8, uint16 or int32 (`width` 1, 2, 4), whatever holds the vocabulary. */
typedef struct TokenStream {
    int width;
    int64_t n_token, n_doc;
    void *tokens;
    int64_t *doc_end; /* (n_doc) first position behind document i and its eos */
    uint8_t *learned; /* of samples: is token i to be predicted, bit i % 8 of byte i / 8; NULL: all
                         tokens are */
    int64_t *number;  /* (n_doc) of samples: the sample's number in its file; NULL with learned */
    char fingerprint[SHA256_HEX];
} TokenStream;

typedef struct Shard {
    TokenStream split[N_SPLIT];
    int64_t n_empty;
} Shard;

int32_t stream_token_at(const TokenStream *s, int64_t i);
bool stream_is_learned(const TokenStream *s, int64_t i);
void stream_fini(TokenStream *s);
void shard_destroy(Shard *shard); /* accepts NULL */

/* Reads and tokenizes all of a dataset, in one pass.
 *
 * Math    a document is held out when the 64-bit hash of its text is below val_size 2^64; of a
 *         stream, each block of whole lines is, a block being closed by the line that brings it to
 *         2048 bytes. A token is to be learned when one of its bytes lies in a learned span; a token
 *         without bytes (bos, eos) goes with the byte before it
 * Rank    local
 * Errors  those of doc_source_open and doc_source_next; ST_DATA no document */
CHECKED Status shard_build(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok,
                           Shard **shard);

/* Writes a shard to a new file, synced, and tells the SHA-256 of its bytes. Errors: ST_IO */
CHECKED Status shard_write(const Shard *shard, const char *path, char digest[SHA256_HEX]);

/* Reads one split from a file whose bytes must have that digest.
 *
 * Errors  ST_FORMAT damaged, ST_DATA unreadable
 * Owns    *s is the caller's (stream_fini) */
CHECKED Status shard_read(const char *path, const char *digest, Split split, TokenStream *s,
                          int64_t *n_empty);
#endif
