/* safetensors.h — named tensors in Hugging Face's file format, read in place and written in a stream.
 *
 * What is read may come from anybody: every rule of the format is checked before a tensor is handed
 * out, so a tensor's name, shape and data can be relied on. All functions are local.
 *
 * Source  https://huggingface.co/docs/safetensors; docs/formats.md says where we are stricter */
#ifndef TRAINER_IO_SAFETENSORS_H
#define TRAINER_IO_SAFETENSORS_H
#include "trainer/base/status.h"
#include "trainer/io/sha256.h"
#include "trainer/tensor/gemm.h"

enum { SAFETENSORS_MAX_DIM = 8, SAFETENSORS_MAX_NAME = 512 };

typedef struct SafeTensor {
    const char *name;
    Dtype dtype;              /* N_DTYPE: one of the format that no arithmetic here knows */
    const char *stored_dtype; /* as the file says: "BF16", "I64"; a writer ignores it */
    int n_dim;
    int64_t dim[SAFETENSORS_MAX_DIM];
    int64_t n; /* elements: the product of dim, 1 when there is none */
    size_t n_bytes;
    const void *data; /* row-major, little-endian, aligned to its elements */
    const char *file; /* its path, for messages */
} SafeTensor;

typedef struct SafeTensors SafeTensors; /* an open file, or all files of a folder */

/* Opens one file, mapped read-only. Data that lie unaligned in the file (old writers) are copied.
 *
 * Errors  ST_DATA   missing, unreadable, empty
 *         ST_FORMAT a rule of the format is broken; file and tensor are named
 * Owns    *s is the caller's (safetensors_close) */
CHECKED Status safetensors_open(const char *path, SafeTensors **s);
/* Opens DIR/model.safetensors, or the shards that DIR/model.safetensors.index.json lists: each
 * listed tensor is in the shard it is said to be in, and no shard holds another.
 *
 * Errors  as safetensors_open; ST_DATA neither is there */
CHECKED Status safetensors_open_folder(const char *dir, SafeTensors **s);
/* The same as safetensors_open from memory. Owns: borrows bytes until it is closed, copies label. */
CHECKED Status safetensors_open_bytes(const char *label, const void *bytes, size_t n,
                                      SafeTensors **s);
void safetensors_close(SafeTensors *s); /* accepts NULL */

/* Tensors are in strcmp order of their names; they and what they point to live until it is closed. */
int64_t safetensors_count(const SafeTensors *s);
const SafeTensor *safetensors_at(const SafeTensors *s, int64_t i);
const SafeTensor *safetensors_find(const SafeTensors *s, const char *name); /* or NULL */
/* The tensor `name`, which has to be there with a dtype that weights may have: F32, F16, BF16.
 *
 * Errors  ST_FORMAT */
CHECKED Status safetensors_weight(const SafeTensors *s, const char *name, const SafeTensor **t);

/* SHA-256 over the bytes of all files, one after the other in strcmp order of their names: of a
 * single file, its own. Reads everything. */
CHECKED Status safetensors_sha256(const SafeTensors *s, char hex[SHA256_HEX]);

/* Gives the values of tensor[i]; *data has to stay valid until the next call. */
typedef Status (*SafeTensorValues)(void *self, int64_t i, const void **data);

/* Writes one file, atomically. Of each tensor name, dtype and shape count; the values are asked for
 * when it is their turn, or are at `data` when `values` is NULL. Wider dtypes come first, so that all
 * are aligned; else the given order holds. The same tensors give the same bytes.
 *
 * Errors  ST_IO; ST_BUG a doubled or unfit name, dtype or shape; what `values` fails with */
CHECKED Status safetensors_write(const char *path, const SafeTensor *tensor, int64_t n,
                                 SafeTensorValues values, void *self);
/* Writes DIR/model.safetensors or, where that would have more than max_bytes of tensors, shards and
 * their index; a tensor that is larger has a shard of its own. DIR exists and holds no model yet.
 * What a failure leaves, the caller removes.
 *
 * Errors  as safetensors_write */
CHECKED Status safetensors_write_folder(const char *dir, const SafeTensor *tensor, int64_t n,
                                        int64_t max_bytes, SafeTensorValues values, void *self);
#endif
