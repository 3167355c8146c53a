/* safetensors_parts.h — what the sources of safetensors.h share. */
#ifndef TRAINER_IO_SAFETENSORS_PARTS_H
#define TRAINER_IO_SAFETENSORS_PARTS_H
#include "trainer/io/safetensors.h"

#define SAFETENSORS_MODEL "model.safetensors"
#define SAFETENSORS_INDEX "model.safetensors.index.json"
enum { SAFETENSORS_MAX_HEADER = 100 * 1000 * 1000 };

typedef struct SafeDtype {
    const char *name;
    int bits; /* of one element */
    Dtype dtype;
} SafeDtype;
const SafeDtype *safe_dtype_named(const char *name); /* or NULL */
const SafeDtype *safe_dtype_of(Dtype dtype);         /* or NULL */

/* Elements and bytes of a shape; false when they overflow or end inside a byte. */
bool safe_size(const SafeDtype *type, int n_dim, const int64_t *dim, int64_t *n, int64_t *n_bytes);

/* A collection is made empty, gets its files in strcmp order of their names, and is then closed to
 * more; only then may it be searched. */
CHECKED Status safe_create(SafeTensors **s);
CHECKED Status safe_add_file(SafeTensors *s, const char *path);
CHECKED Status safe_finish(SafeTensors *s); /* ST_FORMAT a tensor is in two files */
#endif
