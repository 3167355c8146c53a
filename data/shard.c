/* shard.c — token streams as an HDF5 file and back. docs/data.md says what stands in it. */
#include "data/shard.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/h5.h"
#include <stdio.h>
#include <string.h>

enum {
    PIECE = 1 << 24,
    SLACK_BYTES = 1 << 16
}; /* elements per dataset, so that reading needs little beside */

static const char *const SPLIT_NAME[N_SPLIT] = {
    [SPLIT_TRAIN] = "train", [SPLIT_HELD_OUT] = "held_out"};

typedef struct ShardInfo { /* the dataset "<split>/info", in this order */
    int64_t format, width, n_token, n_doc, n_empty, is_samples;
} ShardInfo;
static const int64_t INFO_DIM = sizeof(ShardInfo) / sizeof(int64_t), HEX_DIM = SHA256_HEX - 1;

static H5Type token_type(int64_t width)
{
    return width == 1 ? H5_U8 : width == 2 ? H5_U16 : H5_I32;
}

int32_t stream_token_at(const TokenStream *s, int64_t i)
{
    switch (s->width) {
    case 1:
        return ((const uint8_t *)s->tokens)[i];
    case 2:
        return ((const uint16_t *)s->tokens)[i];
    default:
        return ((const int32_t *)s->tokens)[i];
    }
}

bool stream_is_learned(const TokenStream *s, int64_t i)
{
    return !s->learned || s->learned[i / 8] >> i % 8 & 1;
}

void stream_fini(TokenStream *s)
{
    mem_free(s->tokens);
    mem_free(s->doc_end);
    mem_free(s->learned);
    mem_free(s->number);
    *s = (TokenStream){0};
}

static int64_t mask_bytes(int64_t n_token)
{
    return (n_token + 7) / 8;
}

void shard_destroy(Shard *shard)
{
    if (!shard) return;
    for (int i = 0; i < N_SPLIT; i++) stream_fini(&shard->split[i]);
    mem_free(shard);
}

/* Calls put or get for each piece of an array: "<split>/<what>/000000", ... */
static Status each_piece(H5Image *f, bool put, Split split, const char *what, H5Type type,
                         int64_t n, void *data)
{
    Status rc = ST_OK;
    for (int64_t at = 0; at < n; at += PIECE) {
        char name[64];
        const int64_t dim = n - at < PIECE ? n - at : PIECE;
        void *piece = (char *)data + (size_t)at * h5_type_bytes(type);
        snprintf(name, sizeof name, "%s/%s/%06lld", SPLIT_NAME[split], what, LL(at / PIECE));
        TRY(put ? h5_put(f, name, type, 1, &dim, 0, piece) : h5_get(f, name, type, 1, &dim, piece));
    }
out:
    return rc;
}

static Status put_stream(H5Image *f, Split split, const TokenStream *s, int64_t n_empty)
{
    Status rc = ST_OK;
    char name[64];
    const ShardInfo info = {SHARD_FORMAT, s->width, s->n_token,
                            s->n_doc,     n_empty,  s->learned != NULL};
    snprintf(name, sizeof name, "%s/info", SPLIT_NAME[split]);
    TRY(h5_put(f, name, H5_I64, 1, &INFO_DIM, 0, &info));
    snprintf(name, sizeof name, "%s/fingerprint", SPLIT_NAME[split]);
    TRY(h5_put(f, name, H5_U8, 1, &HEX_DIM, 0, s->fingerprint));
    TRY(each_piece(f, true, split, "tokens", token_type(s->width), s->n_token, s->tokens));
    TRY(each_piece(f, true, split, "doc_end", H5_I64, s->n_doc, s->doc_end));
    if (!s->learned) goto out;
    TRY(each_piece(f, true, split, "learned", H5_U8, mask_bytes(s->n_token), s->learned));
    TRY(each_piece(f, true, split, "number", H5_I64, s->n_doc, s->number));
out:
    return rc;
}

Status shard_write(const Shard *shard, const char *path, char digest[SHA256_HEX])
{
    Status rc = ST_OK;
    H5Image *f = NULL;
    const void *bytes;
    size_t n = SLACK_BYTES;
    for (int i = 0; i < N_SPLIT; i++)
        n += (size_t)(shard->split[i].n_token * (shard->split[i].width + 1)) +
             (size_t)shard->split[i].n_doc * 16;
    TRY(h5_create(n, &f));
    for (Split split = 0; split < N_SPLIT; split++)
        TRY(put_stream(f, split, &shard->split[split], shard->n_empty));
    TRY(h5_finish(f, &bytes, &n));
    TRY(sha256_bytes(bytes, n, digest));
    TRY(file_write_new(path, bytes, n));
out:
    h5_close(f);
    return rc;
}

static Status get_samples(H5Image *f, Split split, const char *path, TokenStream *s)
{
    Status rc = ST_OK;
    s->learned = mem_array(mask_bytes(s->n_token), 1);
    s->number = mem_array(s->n_doc, sizeof *s->number);
    CHECK(s->learned && s->number, NOMEM, "%s: %lld samples", path, LL(s->n_doc));
    TRY(each_piece(f, false, split, "learned", H5_U8, mask_bytes(s->n_token), s->learned));
    TRY(each_piece(f, false, split, "number", H5_I64, s->n_doc, s->number));
out:
    return rc;
}

static Status get_stream(H5Image *f, Split split, const char *path, TokenStream *s,
                         int64_t *n_empty)
{
    Status rc = ST_OK;
    char name[64];
    ShardInfo info;
    snprintf(name, sizeof name, "%s/info", SPLIT_NAME[split]);
    TRY(h5_get(f, name, H5_I64, 1, &INFO_DIM, &info));
    CHECK(info.format == SHARD_FORMAT && (info.width == 1 || info.width == 2 || info.width == 4),
          FORMAT, "%s: shard format %lld with tokens of %lld bytes, expected format %d", path,
          LL(info.format), LL(info.width), SHARD_FORMAT);
    snprintf(name, sizeof name, "%s/fingerprint", SPLIT_NAME[split]);
    TRY(h5_get(f, name, H5_U8, 1, &HEX_DIM, s->fingerprint));
    s->width = (int)info.width;
    s->n_token = info.n_token;
    s->n_doc = info.n_doc;
    *n_empty = info.n_empty;
    s->tokens = mem_array(s->n_token, (size_t)s->width);
    s->doc_end = mem_array(s->n_doc, sizeof *s->doc_end);
    CHECK(s->tokens && s->doc_end, NOMEM, "%s: %lld tokens, %lld documents", path, LL(s->n_token),
          LL(s->n_doc));
    TRY(each_piece(f, false, split, "tokens", token_type(s->width), s->n_token, s->tokens));
    TRY(each_piece(f, false, split, "doc_end", H5_I64, s->n_doc, s->doc_end));
    if (info.is_samples) TRY(get_samples(f, split, path, s));
    for (int64_t i = 0; i <= s->n_doc; i++) { /* rows are found by these ends */
        const int64_t from = i == 0 ? 0 : s->doc_end[i - 1],
                      to = i == s->n_doc ? s->n_token : s->doc_end[i];
        CHECK(i == s->n_doc ? from == to : from < to, FORMAT,
              "%s: document %lld ends at token %lld of %lld", path, LL(i), LL(to), LL(s->n_token));
    }
out:
    return rc;
}

Status shard_read(const char *path, const char *digest, Split split, TokenStream *s,
                  int64_t *n_empty)
{
    Status rc = ST_OK;
    H5Image *f = NULL;
    char *bytes = NULL, found[SHA256_HEX];
    size_t n;
    memset(s, 0, sizeof *s);
    TRY(file_read_all(path, SIZE_MAX / 2, &bytes, &n));
    TRY(sha256_bytes(bytes, n, found));
    CHECK(strcmp(found, digest) == 0, FORMAT, "%s: is damaged: its SHA-256 is %s", path, found);
    TRY(h5_open(bytes, n, path, &f));
    TRY(get_stream(f, split, path, s, n_empty));
out:
    h5_close(f);
    mem_free(bytes);
    if (rc != ST_OK) stream_fini(s);
    return rc;
}
