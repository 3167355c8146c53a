/* lines.c — one growing buffer, filled by read(2) or inflate(); the line handed out lies inside it.
 */
#include "trainer/io/lines.h"
#include "trainer/io/sys.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { IN_BYTES = 1 << 16, FIRST_BYTES = 1 << 16 };

struct LineReader {
    char *path;
    int fd;
    int64_t n_read; /* bytes of the file seen so far */
    bool at_end;    /* nothing more will come into buf */

    bool gzip, member_done;
    z_stream z;
    unsigned char *in;

    char *buf; /* [begin, end) is not handed out yet; one byte behind cap is kept for the NUL */
    size_t cap, begin, end;
    int64_t max_line_bytes, number;
    bool has_end;
};

static void *z_alloc(void *unused, unsigned n, unsigned size)
{
    (void)unused;
    return mem_array(n, size);
}

static void z_free(void *unused, void *p)
{
    (void)unused;
    mem_free(p);
}

static Status read_some(LineReader *r, void *to, size_t room, size_t *got)
{
    Status rc = ST_OK;
    ssize_t n;
    do {
        n = SYS(read(r->fd, to, room));
    } while (n < 0 && errno == EINTR);
    CHECK(n >= 0, DATA, "cannot read %s: %s", r->path, strerror(errno));
    r->n_read += n;
    *got = (size_t)n;
out:
    return rc;
}

static Status inflate_some(LineReader *r, void *to, size_t room, size_t *got)
{
    Status rc = ST_OK;
    z_stream *z = &r->z;
    z->next_out = to;
    z->avail_out = (unsigned)(room < IN_BYTES ? room : IN_BYTES);
    const unsigned asked = z->avail_out;
    while (z->avail_out == asked) {
        if (z->avail_in == 0) {
            size_t n;
            TRY(read_some(r, r->in, IN_BYTES, &n));
            z->next_in = r->in;
            z->avail_in = (unsigned)n;
        }
        const long long at = LL(r->n_read - z->avail_in);
        if (z->avail_in == 0) {
            CHECK(r->member_done, FORMAT, "%s: the gzip stream is cut off at byte %lld", r->path,
                  at);
            break;
        }
        if (r->member_done) { /* another member may follow (RFC 1952, section 2.2), nothing else */
            CHECK(*z->next_in == 0x1f && inflateReset(z) == Z_OK, FORMAT,
                  "%s: bytes after the end of the gzip stream, from byte %lld on", r->path, at);
            r->member_done = false;
        }
        const int code = inflate(z, Z_NO_FLUSH);
        CHECK(code != Z_MEM_ERROR, NOMEM, "%s: no memory to inflate", r->path);
        CHECK(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, FORMAT,
              "%s: damaged gzip stream at byte %lld: %s", r->path, LL(r->n_read - z->avail_in),
              z->msg ? z->msg : zError(code));
        r->member_done = code == Z_STREAM_END;
    }
    *got = asked - z->avail_out;
out:
    return rc;
}

/* Brings more bytes behind `end`; the line that starts at `begin` stays whole. */
static Status fill(LineReader *r)
{
    Status rc = ST_OK;
    if (r->begin > 0) {
        memmove(r->buf, r->buf + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end == r->cap) {
        char *wider = mem_resize(r->buf, r->cap, 2 * r->cap + 1);
        CHECK(wider, NOMEM, "%s:%lld: a line of more than %zu bytes", r->path, LL(r->number + 1),
              r->cap);
        r->buf = wider;
        r->cap *= 2;
    }
    size_t got = 0;
    if (r->gzip)
        TRY(inflate_some(r, r->buf + r->end, r->cap - r->end, &got));
    else
        TRY(read_some(r, r->buf + r->end, r->cap - r->end, &got));
    r->end += got;
    r->at_end = got == 0;
out:
    return rc;
}

static bool ends_with(const char *s, const char *tail)
{
    const size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

/* Looks at the first bytes: gzip or plain, byte order mark or none. */
static Status detect(LineReader *r)
{
    Status rc = ST_OK;
    while (!r->at_end && r->end < 2) TRY(fill(r));
    r->gzip = r->end >= 2 && memcmp(r->buf, "\x1f\x8b", 2) == 0;
    CHECK(r->gzip || !ends_with(r->path, ".gz"), FORMAT, "%s: is no gzip file (by its first bytes)",
          r->path);
    if (r->gzip) {
        r->in = mem_alloc(IN_BYTES);
        CHECK(r->in, NOMEM, "%s: %d bytes", r->path, IN_BYTES);
        ASSERT(r->end <= IN_BYTES);
        memcpy(r->in, r->buf, r->end);
        r->z = (z_stream){
            .zalloc = z_alloc, .zfree = z_free, .next_in = r->in, .avail_in = (unsigned)r->end};
        r->begin = r->end = 0;
        CHECK(inflateInit2(&r->z, MAX_WBITS + 16) == Z_OK, NOMEM, "%s: no memory to inflate",
              r->path);
        r->at_end = false;
    }
    while (!r->at_end && r->end < 3) TRY(fill(r));
    if (r->end >= 3 && memcmp(r->buf, "\xef\xbb\xbf", 3) == 0) r->begin = 3;
out:
    return rc;
}

Status lines_open(const char *path, int64_t max_line_bytes, LineReader **out_reader)
{
    Status rc = ST_OK;
    struct stat st;
    LineReader *r = mem_alloc(sizeof *r);
    *out_reader = NULL;
    CHECK(r, NOMEM, "%s: %zu bytes", path, sizeof *r);
    r->fd = -1;
    r->max_line_bytes = max_line_bytes;
    r->path = mem_strdup(path);
    r->cap = FIRST_BYTES;
    r->buf = mem_alloc(r->cap + 1);
    CHECK(r->path && r->buf, NOMEM, "%s: %zu bytes", path, r->cap);
    r->fd = SYS(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    CHECK(r->fd >= 0 && fstat(r->fd, &st) == 0, DATA, "cannot open %s: %s", path, strerror(errno));
    CHECK(S_ISREG(st.st_mode), DATA, "%s: is no regular file", path);
    TRY(detect(r));
    *out_reader = r;
    r = NULL;
out:
    lines_close(r);
    return rc;
}

void lines_close(LineReader *r)
{
    if (!r) return;
    if (r->gzip) inflateEnd(&r->z);
    if (r->fd >= 0) close(r->fd);
    mem_free(r->in);
    mem_free(r->buf);
    mem_free(r->path);
    mem_free(r);
}

Status lines_next(LineReader *r, const char **line, int64_t *n)
{
    Status rc = ST_OK;
    *line = NULL;
    *n = 0;
    size_t seen = 0; /* bytes of this line already searched */
    char *newline;
    for (;;) {
        newline = memchr(r->buf + r->begin + seen, '\n', r->end - r->begin - seen);
        seen = newline ? (size_t)(newline - r->buf) - r->begin : r->end - r->begin;
        CHECK((int64_t)seen <= r->max_line_bytes, FORMAT, "%s:%lld: line longer than %lld bytes",
              r->path, LL(r->number + 1), LL(r->max_line_bytes));
        if (newline || r->at_end) break;
        TRY(fill(r));
    }
    if (!newline && seen == 0) goto out;
    r->number++;
    r->has_end = newline != NULL;
    char *text = r->buf + r->begin;
    r->begin += seen + (newline != NULL);
    if (newline && seen > 0 && text[seen - 1] == '\r') seen--;
    text[seen] = '\0';
    const char *nul = memchr(text, '\0', seen);
    CHECK(!nul, FORMAT, "%s:%lld: NUL at byte %lld of the line", r->path, LL(r->number),
          LL(nul - text + 1));
    const int64_t bad = utf8_check(text, (int64_t)seen);
    CHECK(bad == (int64_t)seen, FORMAT, "%s:%lld: invalid UTF-8 at byte %lld of the line (0x%02x)",
          r->path, LL(r->number), LL(bad + 1), (unsigned)(unsigned char)text[bad]);
    *line = text;
    *n = (int64_t)seen;
out:
    return rc;
}

int64_t lines_number(const LineReader *r)
{
    return r->number;
}

Status lines_failed(const LineReader *r, Status failed)
{
    if (failed != ST_FORMAT && failed != ST_DATA) return failed;
    char *what = mem_strdup(status_message());
    status_clear();
    const Status rc = status_fail(failed, __FILE__, __LINE__, "%s:%lld: %s", r->path, LL(r->number),
                                  what ? what : "malformed");
    mem_free(what);
    return rc;
}

bool lines_has_end(const LineReader *r)
{
    return r->has_end;
}

/* Bytes of the well-formed sequence at s (n > 0 bytes there), 0 when it is ill-formed. Unicode 15,
 * table 3-7. */
static int sequence_bytes(const unsigned char *s, int64_t n)
{
    unsigned lo = 0x80, hi = 0xbf; /* of the second byte */
    int len;
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        len = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        len = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (s[0] == 0xe0) lo = 0xa0;
    if (s[0] == 0xed) hi = 0x9f;
    if (s[0] == 0xf0) lo = 0x90;
    if (s[0] == 0xf4) hi = 0x8f;
    if (n < len || s[1] < lo || s[1] > hi) return 0;
    for (int i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xbf) return 0;
    return len;
}

int64_t utf8_check(const char *text, int64_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    int64_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= 8 && (memcpy(&word, s + i, 8), (word & 0x8080808080808080u) == 0)) {
            i += 8;
            continue;
        }
        const int len = sequence_bytes(s + i, n - i);
        if (len == 0) return i;
        i += len;
    }
    return n;
}
