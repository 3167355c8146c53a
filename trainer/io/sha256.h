/* sha256.h — SHA-256 over memory and files, in lower-case hex (libcrypto). */
#ifndef TRAINER_IO_SHA256_H
#define TRAINER_IO_SHA256_H
#include "trainer/base/status.h"

enum { SHA256_HEX = 65 }; /* 64 characters and the NUL */
typedef struct Sha256 Sha256;
CHECKED Status sha256_begin(Sha256 **s);
void sha256_add(Sha256 *s, const void *p, size_t n);
CHECKED Status sha256_peek(const Sha256 *s, char hex[SHA256_HEX]); /* of what was added so far */
void sha256_end(Sha256 *s, char hex[SHA256_HEX]); /* frees s; hex may be NULL to drop it */
CHECKED Status sha256_bytes(const void *p, size_t n, char hex[SHA256_HEX]);
CHECKED Status sha256_file(const char *path, char hex[SHA256_HEX], int64_t *n_bytes);
bool sha256_is_hex(const char *text); /* 64 lower-case hex digits and nothing else */
#endif
