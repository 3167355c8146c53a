/* sha256.c — libcrypto's SHA-256 behind our way of failing. */
#include "trainer/io/sha256.h"
#include "trainer/base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

struct Sha256 {
    EVP_MD_CTX *ctx;
};

Status sha256_begin(Sha256 **out)
{
    Status rc = ST_OK;
    Sha256 *s = mem_alloc(sizeof *s);
    *out = NULL;
    CHECK(s, NOMEM, "%zu bytes for a SHA-256", sizeof *s);
    s->ctx = EVP_MD_CTX_new();
    CHECK(s->ctx && EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1, NOMEM,
          "libcrypto gives no SHA-256");
    *out = s;
    s = NULL;
out:
    sha256_end(s, NULL);
    return rc;
}

void sha256_add(Sha256 *s, const void *p, size_t n)
{
    ASSERT(EVP_DigestUpdate(s->ctx, p, n) == 1);
}

static void finish(EVP_MD_CTX *ctx, char hex[SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    ASSERT(EVP_DigestFinal_ex(ctx, raw, NULL) == 1);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[64] = '\0';
}

Status sha256_peek(const Sha256 *s, char hex[SHA256_HEX])
{
    Status rc = ST_OK;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    CHECK(copy && EVP_MD_CTX_copy_ex(copy, s->ctx) == 1, NOMEM, "libcrypto cannot copy a SHA-256");
    finish(copy, hex);
out:
    EVP_MD_CTX_free(copy);
    return rc;
}

void sha256_end(Sha256 *s, char hex[SHA256_HEX])
{
    if (!s) return;
    if (hex) finish(s->ctx, hex);
    EVP_MD_CTX_free(s->ctx);
    mem_free(s);
}

Status sha256_bytes(const void *p, size_t n, char hex[SHA256_HEX])
{
    Status rc = ST_OK;
    Sha256 *s = NULL;
    TRY(sha256_begin(&s));
    sha256_add(s, p, n);
    sha256_end(s, hex);
out:
    return rc;
}

Status sha256_file(const char *path, char hex[SHA256_HEX], int64_t *n_bytes)
{
    enum { BLOCK = 1 << 20 };
    Status rc = ST_OK;
    Sha256 *s = NULL;
    int64_t total = 0;
    ssize_t n = 0;
    const int fd = fault_here() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    char *block = mem_alloc(BLOCK);
    CHECK(fd >= 0, DATA, "%s: %s", path, strerror(errno));
    CHECK(block, NOMEM, "%d bytes to read %s", BLOCK, path);
    TRY(sha256_begin(&s));
    do {
        n = read(fd, block, BLOCK);
        CHECK(n >= 0 || errno == EINTR, DATA, "%s: after %lld bytes: %s", path, LL(total),
              strerror(errno));
        if (n > 0) sha256_add(s, block, (size_t)n);
        total += n > 0 ? n : 0;
    } while (n != 0);
    sha256_end(s, hex);
    s = NULL;
    *n_bytes = total;
out:
    sha256_end(s, NULL);
    mem_free(block);
    if (fd >= 0) close(fd);
    return rc;
}

bool sha256_is_hex(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}
