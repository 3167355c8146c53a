/* h5.h — HDF5 files as images in memory: nothing of HDF5 touches the disk, every answer counts.
 *
 * HDF5 1.10 reports success for writes that never happened, never syncs, and lets a file point at
 * other files. So a file is built in memory and written by files.h, and is opened only from bytes
 * that the caller has read and checked. All functions are local; threads that call them take turns, an
 * image belongs to one. */
#ifndef TRAINER_IO_H5_H
#define TRAINER_IO_H5_H
#include "trainer/base/status.h"

enum { H5_MAX_DIM = 4 };
typedef enum H5Type {
    H5_F32,
    H5_I32,
    H5_U16,
    H5_U8,
    H5_I64
} H5Type; /* little-endian in the file */
size_t h5_type_bytes(H5Type type);

typedef struct H5Image H5Image;

/* Begins an empty file with room for `capacity` bytes; it grows when that is too small. */
CHECKED Status h5_create(size_t capacity, H5Image **f);

/* Writes one dataset; `name` may hold folders ("param/a"), which are made. It is one chunk with
 * Fletcher32, and with shuffle and deflate of that level when `deflate` is 1..9.
 *
 * Shapes  data: dim[0] x ... x dim[n_dim - 1], row-major, 1 <= n_dim <= H5_MAX_DIM, below 4 GiB
 * Errors  ST_IO what HDF5 says: a name that is there already, ... */
CHECKED Status h5_put(H5Image *f, const char *name, H5Type type, int n_dim, const int64_t *dim,
                      int deflate, const void *data);

/* Finishes the file: *bytes (n of them) stay valid until h5_close. The same data, put in the same
 * order, give the same bytes. */
CHECKED Status h5_finish(H5Image *f, const void **bytes, size_t *n);

/* Opens n bytes of a finished file for reading. `label` is what messages call it.
 *
 * Errors  ST_FORMAT not an HDF5 file
 * Owns    borrows bytes and label until h5_close */
CHECKED Status h5_open(const void *bytes, size_t n, const char *label, H5Image **f);

/* Reads one dataset that must have this type and shape, must be stored in the file itself and use
 * no filter that h5_put does not use.
 *
 * Errors  ST_FORMAT (both shapes are named) */
CHECKED Status h5_get(H5Image *f, const char *name, H5Type type, int n_dim, const int64_t *dim,
                      void *data);

void h5_close(H5Image *f); /* accepts NULL and half-built files */
#endif
