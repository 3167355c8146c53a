/* ckpt.h — training state as a directory of HDF5 parts and a manifest. Knows names, tensors and
 * attributes; no optimizers. */
#ifndef CHECKPOINTS_CKPT_H
#define CHECKPOINTS_CKPT_H
#include "trainer/base/comm.h"
#include "trainer/base/opt.h"
#include <jansson.h>

/* One named tensor of f32 values in the caller's memory. */
typedef struct CkptTensor {
    const char *name; /* "param/model.norm.weight", "optim/m/model.norm.weight" */
    int n_dim;
    int64_t dim[4];
    float *val;
} CkptTensor;

/* What is written beside the tensors. All of it is in the manifest. */
typedef struct CkptInfo {
    char kind[16];    /* main | branch | branch_point | release | adapter | final */
    char version[64]; /* printable */
    int64_t step;     /* steps done along the line: the next step to run */
    int64_t tokens;   /* inputs consumed by this lineage */
    int64_t samples;  /* cursor: samples of the current version consumed */
    int64_t updates;  /* of the optimizer, for bias correction */
    double lr;        /* of the last step; NaN before the first */
    uint64_t seed;
    json_t *config;      /* resolved config, canonical names */
    json_t *fingerprint; /* numerics: backend, kernels, compute dtype, reduction groups, program */
    json_t *extra; /* counters and data fingerprints of the line; each of the three may be NULL */
} CkptInfo;
void ckpt_info_fini(CkptInfo *info); /* drops the three references */

/* How a checkpoint is packed; it can be read whatever was chosen. */
typedef struct CkptOpts {
    int64_t checkpoint_part_bytes;  /* tensor data in one file; one is held in memory at a time */
    int64_t checkpoint_compression; /* deflate level; 0: none */
    int64_t slice_bytes;            /* what is hashed and stored as one piece; 0: 16 MiB */
} CkptOpts;
extern const OptSpec CKPT_OPTS[]; /* the first two */

typedef struct CkptWrite CkptWrite; /* a checkpoint that is being written */

/* Writes dir atomically: dir.tmp-PID, parts (part p by rank p mod R), sync, read back, manifest,
 * rename, sync. A tensor named "param/..." counts as trainable (payload), the rest as state.
 * Everything up to the manifest is done when begin returns, or, in the background, by a thread from a
 * copy of the tensors; a rank without memory for copy or thread says so and does as without. opts NULL:
 * as they come.
 *
 * Rank    collective; all ranks hold the same values in all tensors (ranks that differ are refused)
 * Errors  of begin and end, which leave nothing to end:
 *         ST_IO   the disk refused, or dir exists; the temporary directory is removed, nothing else
 *                 is touched (when only the very last sync failed, dir is there and complete)
 *         ST_BUG  ranks differ, or a name, shape or kind that no manifest can hold
 * Owns    borrows c until the end, in the foreground the tensors too
 * Source  docs/formats.md, "Checkpoint" */
CHECKED Status ckpt_write_begin(const CkptOpts *opts, const Comm *c, const char *dir,
                                const CkptInfo *info, const CkptTensor *t, int64_t n_tensor,
                                bool background, CkptWrite **w);
bool ckpt_write_done(const CkptWrite *w);    /* this rank would not wait in end. Rank: local */
CHECKED Status ckpt_write_end(CkptWrite *w); /* publishes it */
void ckpt_write_drop(CkptWrite *w);          /* instead of end: nothing stays; accepts NULL */

/* Bytes on disk that a checkpoint of these tensors takes at most (with a config of usual size). */
int64_t ckpt_disk_bytes(const CkptTensor *t, int64_t n_tensor);
/* Memory that writing a state of n_bytes takes at most beside it, with options as they come: the image of a part, and a
 * slice that is read back. */
int64_t ckpt_write_bytes(int64_t n_bytes);

int64_t
ckpt_n_writer(int64_t n_bytes); /* ranks, if there are enough, that write a part of such a state */

typedef struct Ckpt Ckpt; /* an open checkpoint */

/* Parses the manifest, checks its digest and the lengths of the parts. The SHA-256 of a part is
 * checked when it is loaded, and HDF5 sees only the bytes that were checked.
 *
 * Rank    local
 * Errors  ST_DATA    a file is missing or unreadable
 *         ST_FORMAT  damaged, edited, foreign, or of a newer format: file and finding are named */
CHECKED Status ckpt_open(const char *dir, Ckpt **k);
void ckpt_close(Ckpt *k);
const CkptInfo *ckpt_info(const Ckpt *k);
int64_t ckpt_n_tensor(const Ckpt *k);
const CkptTensor *ckpt_tensor_at(const Ckpt *k, int64_t i); /* in the order written; val is NULL */
int64_t ckpt_n_part(const Ckpt *k);
int64_t ckpt_bytes(const Ckpt *k);            /* of all parts */
int64_t ckpt_trainable_params(const Ckpt *k); /* numbers in tensors "param/..." */
const char *ckpt_payload_sha256(const Ckpt *k);
const char *ckpt_state_sha256(const Ckpt *k);

/* Reads one tensor into val, comparing name, shape and slice digests. One part stays in memory, so
 * read in the order written.
 *
 * Errors  ST_DATA    not there or of another shape (both are named)
 *         ST_FORMAT  damaged */
CHECKED Status ckpt_read(Ckpt *k, const char *name, int n_dim, const int64_t *dim, float *val);

/* Manifest, parts, slices, payload and state hash. Rank: local. Errors: as ckpt_open */
CHECKED Status ckpt_verify(const char *dir);
/* Manifest, lengths and SHA-256 of the parts: a third of the work of ckpt_verify. */
CHECKED Status ckpt_check_parts(const char *dir);
/* A directory whose manifest can be read: a moment's work, says nothing of the parts. */
bool ckpt_is(const char *dir);

/* Newest intact checkpoint "step-NNNNNN" below parent, by step; damaged ones are reported and
 * passed over.
 *
 * Rank    local
 * Errors  ST_FORMAT  there are checkpoints, but all are damaged: nobody may start over silently
 * Owns    *path is the caller's (mem_free), NULL when there is no checkpoint */
CHECKED Status ckpt_newest(const char *parent, char **path);
/* The same among those of steps first .. last. */
CHECKED Status ckpt_newest_between(const char *parent, int64_t first, int64_t last, char **path);

/* Removes the checkpoints "step-NNNNNN" below parent that are older than the `keep` newest intact
 * ones (keep < 1: none), and left-over temporary directories.
 *
 * Rank    local (rank 0), while nobody writes below parent */
CHECKED Status ckpt_prune(const char *parent, int64_t keep);
#endif
