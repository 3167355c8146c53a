/* files.h — files and directories with every return code checked and every failure injectable.
 *
 * All functions are local. Reading fails with ST_DATA, writing with ST_IO; messages name the path
 * and say what the system said. Before each system call fault_here() is asked; a failure it causes
 * shows as EIO. */
#ifndef TRAINER_IO_FILES_H
#define TRAINER_IO_FILES_H
#include "trainer/base/status.h"

/* The whole file, NUL-terminated.
 *
 * Errors  ST_DATA no regular file, unreadable, or longer than max_bytes
 * Owns    *text is the caller's (mem_free) */
CHECKED Status file_read_all(const char *path, size_t max_bytes, char **text, size_t *n);
CHECKED Status file_bytes(const char *path, int64_t *n); /* length of a regular file */

/* Writes path.tmp, syncs, renames it over path, syncs the directory: the old file or the new one. */
CHECKED Status file_write_atomic(const char *path, const void *data, size_t n);
/* Writes a file that must not exist yet and syncs it. What a failure leaves, the caller removes. */
CHECKED Status file_write_new(const char *path, const void *data, size_t n);
/* The file `name` of one directory, byte for byte and synced, into another, which has none of that name. */
CHECKED Status file_copy(const char *from_dir, const char *to_dir, const char *name);
/* A file written piece by piece: path.tmp until it is published, then synced and renamed over path,
 * its directory synced. */
typedef struct FileOut FileOut;
CHECKED Status file_out_begin(const char *path, FileOut **out);
CHECKED Status file_out_put(FileOut *out, const void *data, size_t n);
CHECKED Status file_out_publish(FileOut *out);
void file_out_end(FileOut *out); /* removes what was not published; accepts NULL */
/* Reads the file again, from the device where the system lets go of its cached pages, and compares.
 *
 * Errors  ST_IO unreadable, or naming the first byte that differs */
CHECKED Status file_compare(const char *path, const void *data, size_t n);
CHECKED Status file_sync(const char *path);
CHECKED Status file_remove(const char *path); /* missing is fine */

CHECKED Status dir_make(const char *path); /* with parents; existing is fine */
CHECKED Status
dir_make_new(const char *path); /* must not exist, its parent must; syncs the parent */
CHECKED Status dir_sync(const char *path);
/* Renames tmp to final, which must not exist, and syncs the parent. */
CHECKED Status dir_publish(const char *tmp, const char *final);
CHECKED Status dir_remove(const char *path); /* and all below; missing is fine; follows no link */
/* What writers that died have left in a directory: NAME.tmp-NUMBER. A missing directory is fine. */
CHECKED Status dir_remove_unfinished(const char *parent);
CHECKED Status dir_remove_empty(const char *path); /* missing is fine */
/* The names in a directory, sorted by strcmp. Owns: *names is the caller's (dir_list_free) */
CHECKED Status dir_list(const char *path, char ***names, int64_t *n);
void dir_list_free(char **names, int64_t n);

bool path_exists(const char *path); /* a link counts, wherever it leads */
bool path_is_dir(const char *path);
bool path_has(const char *dir, const char *name); /* path_exists of a name in a directory */
/* These two are the caller's (mem_free), NULL when there is no memory. An absolute name is copied;
 * "a/b/" and "a/b" are in "a", "a" is in ".". */
char *path_join(const char *dir, const char *name);
char *path_parent(const char *path);
/* Free for us on the file system of path, or of what exists above it. */
CHECKED Status disk_free_bytes(const char *path, int64_t *n);

/* A lock on a directory (fcntl on DIR/.lock): waits up to wait_s for a dying job, then refuses.
 * Released by dir_unlock or when the process ends.
 *
 * Errors  ST_CONFIG  another job holds it (its host and pid are named)
 *         ST_IO      the lock cannot be made */
typedef struct DirLock DirLock;
CHECKED Status dir_lock(const char *dir, double wait_s, DirLock **lock);
void dir_unlock(DirLock *lock);
#endif
