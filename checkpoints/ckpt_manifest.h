/* ckpt_manifest.h — a checkpoint's manifest.json as a struct: which slice of which tensor lies in
 * which part. */
#ifndef CHECKPOINTS_CKPT_MANIFEST_H
#define CHECKPOINTS_CKPT_MANIFEST_H
#include "checkpoints/ckpt.h"
#include "trainer/io/h5.h"
#include "trainer/io/sha256.h"

#define CKPT_MANIFEST "manifest.json"
#define CKPT_PARAM "param/"           /* how the names of trainables begin */
enum { CKPT_SLICE_BYTES = 16 << 20 }; /* of a slice, at most */

/* Consecutive elements of one tensor: what is hashed, and one dataset in one part. */
typedef struct CkptSlice {
    int64_t tensor, first, n; /* elements first .. first + n - 1 */
    int64_t part;
    char sha256[SHA256_HEX]; /* of the values as f32 LE, in memory */
} CkptSlice;

typedef struct CkptPart {
    int64_t first_slice, n_slice;
    int64_t n_bytes;         /* of the file */
    char sha256[SHA256_HEX]; /* of the file */
} CkptPart;

typedef struct Manifest {
    CkptInfo info;
    char payload_sha256[SHA256_HEX], state_sha256[SHA256_HEX];
    int64_t slice_bytes;
    int64_t n_tensor, n_slice, n_part;
    CkptTensor *tensor;   /* names are ours; val as the caller gave it, NULL when read */
    int64_t *by_name;     /* tensors in strcmp order of their names, trainables before the rest */
    int64_t *first_slice; /* tensor i has the slices first_slice[i] .. first_slice[i + 1] - 1 */
    CkptSlice *slice;     /* in the order of the tensors, and so of the parts */
    CkptPart *part;
} Manifest;

/* Cuts the tensors into slices and deals them to parts in order.
 *
 * Errors  ST_BUG  a name, shape or kind that no manifest can hold, a name given twice */
CHECKED Status manifest_plan(const CkptInfo *info, const CkptTensor *t, int64_t n_tensor,
                             const CkptOpts *opts, Manifest **m);
/* Fills by_name, first_slice and slice from the tensors. Errors: as above */
CHECKED Status manifest_cut(Manifest *m);
void manifest_destroy(Manifest *m);

/* Reads and checks dir/manifest.json: its digest first, then every value.
 *
 * Errors  ST_DATA    no manifest
 *         ST_FORMAT  edited, damaged, foreign or of a newer format */
CHECKED Status manifest_load(const char *dir, Manifest **m);
/* Writes it as a new file, synced and read back. */
CHECKED Status manifest_save(const Manifest *m, const char *dir);

int64_t manifest_trainable_params(const Manifest *m);
int64_t tensor_n_elem(const CkptTensor *t);
int64_t tensor_n_slice(const CkptTensor *t, int64_t slice_bytes);
bool tensor_is_param(const CkptTensor *t);
/* Errors: ST_BUG no kind, counter, name or shape for a manifest */
CHECKED Status info_check(const CkptInfo *info);
CHECKED Status tensor_check(const CkptTensor *t);

enum { CKPT_PART_NAME = 32, CKPT_SET_NAME = 600 };
void part_name(int64_t part, char name[CKPT_PART_NAME]); /* "part-000.h5" */

/* The slice as a dataset: a tensor of one slice under its name and shape, else "name[k]", flat. */
void slice_dataset(const Manifest *m, int64_t slice, char name[CKPT_SET_NAME], int *n_dim,
                   int64_t dim[4]);

/* payload_sha256 and state_sha256, over the numbers that values_of gives for each slice (valid
 * until it is called again). Source: docs/formats.md, "Checkpoint" */
typedef Status (*SliceValues)(void *self, int64_t slice, const float **val);
CHECKED Status manifest_hash(const Manifest *m, SliceValues values_of, void *self,
                             char payload[SHA256_HEX], char state[SHA256_HEX]);
#endif
