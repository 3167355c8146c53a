/* tokenizer_bytes.c — id = byte; 0, which no text holds, ends a document. */
#include "data/tokenizer.h"
#include <string.h>

enum { VOCAB = 256, EOS = 0 };

static bool bytes_knows(const char *name)
{
    return strcmp(name, "bytes") == 0;
}

static Status bytes_open(const char *name, void **self)
{
    (void)name;
    *self = NULL;
    return ST_OK;
}

static void bytes_close(void *self)
{
    (void)self;
}

static int64_t bytes_vocab_size(const void *self)
{
    (void)self;
    return VOCAB;
}

static int32_t bytes_eos(const void *self)
{
    (void)self;
    return EOS;
}

/* SHA-256 of the text "switchyard tokenizer bytes 256 0". */
static const char *bytes_hash(const void *self)
{
    (void)self;
    return "9a93937b8250de3470e41ef06fe4fd32b080a9b58022efe39621342993666319";
}

static int64_t bytes_encode(const void *self, const char *text, int64_t n_bytes, int32_t *ids,
                            int64_t max)
{
    (void)self;
    const int64_t n = n_bytes < max ? n_bytes : max;
    for (int64_t i = 0; i < n; i++) ids[i] = (unsigned char)text[i];
    return n_bytes;
}

/* The end of a document has no text. */
static int64_t bytes_decode(const void *self, const int32_t *ids, int64_t n, char *text,
                            int64_t max)
{
    (void)self;
    int64_t n_bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] == EOS || ids[i] < 0 || ids[i] >= VOCAB) continue;
        if (n_bytes < max) text[n_bytes] = (char)ids[i];
        n_bytes++;
    }
    return n_bytes;
}

const TokenizerDef tokenizer_bytes = {
    .name = "bytes",
    .knows = bytes_knows,
    .open = bytes_open,
    .close = bytes_close,
    .vocab_size = bytes_vocab_size,
    .eos = bytes_eos,
    .hash = bytes_hash,
    .encode = bytes_encode,
    .decode = bytes_decode,
};
