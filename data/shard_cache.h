/* shard_cache.h — the bounded folder of token shards, shared by concurrent jobs.
 *
 * A shard's file is called KEY-DIGEST.h5: what it was made from, and the SHA-256 of its bytes. It is
 * written under a temporary name, synced and renamed, so a name that exists is whole; two jobs that
 * build the same shard do not meet. A shared flock on the file keeps it from being evicted; its
 * modification time is its last use. */
#ifndef DATA_SHARD_CACHE_H
#define DATA_SHARD_CACHE_H
#include "data/shard.h"

enum { SHARD_NAME = 2 * (SHA256_HEX - 1) + sizeof "-.h5" };

/* A cached file that stays as long as this is held. */
typedef struct ShardLease {
    char name[SHARD_NAME];
    int fd;     /* carries the lock; -1: nothing held */
    bool built; /* by this call */
} ShardLease;

/* The folder: p->cache_dir, or switchyard below $XDG_CACHE_HOME or ~/.cache.
 *
 * Errors  ST_CONFIG none of them is set
 * Owns    *dir is the caller's (mem_free) */
CHECKED Status shard_cache_dir(const PackOpts *p, char **dir);

/* Finds the shard by content, or builds it (always when `rebuild`) and evicts others.
 *
 * Rank    local
 * Errors  those of shard_build; ST_DATA the source changed meanwhile; ST_IO the folder cannot be
 *         written */
CHECKED Status shard_cache_acquire(const DatasetOpts *d, const PackOpts *p, const Tokenizer *tok,
                                   bool rebuild, ShardLease *lease);
void shard_cache_release(ShardLease *lease);

/* Holds the shard of a key that another rank of this node has acquired.
 *
 * Rank    local
 * Errors  ST_DATA it is not there */
CHECKED Status shard_cache_find(const PackOpts *p, const char *key, ShardLease *lease);

/* What a file name says. Two nodes that build one shard agree on its key, not on its digest. */
const char *shard_name_key(const char *name, char key[SHA256_HEX]);
const char *shard_name_digest(const char *name, char digest[SHA256_HEX]);

/* Removes the oldest used shards that nobody holds until the rest fits, and what dead jobs left. */
CHECKED Status shard_cache_evict(const char *dir, int64_t limit_bytes);
#endif
