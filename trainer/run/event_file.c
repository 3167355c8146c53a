/* event_file.c — TensorBoard's format by hand: the protobuf it needs is four functions long.
 *
 *   record:  u64 length | u32 mask(crc32c(length)) | bytes | u32 mask(crc32c(bytes)), little-endian
 *   mask(c) = rotate_right(c, 15) + 0xa282ead8
 *   Event:   1 wall_time double, 2 step int64, 3 file_version string, 5 Summary, 7 SessionLog
 *   Summary: 1 Value { 1 tag string, 2 simple_value float };  SessionLog: 1 status (START = 1)
 */
#include "trainer/run/event_file.h"
#include "trainer/base/mem.h"
#include "trainer/run/text.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct EventFile {
    int fd;
    char *path;
    Text value, summary, event, record; /* reused */
};

uint32_t event_crc32c(const void *p, size_t n_bytes)
{
    uint32_t crc = ~0u;
    for (const unsigned char *b = p; n_bytes > 0; b++, n_bytes--) {
        crc ^= *b;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
    }
    return ~crc;
}

static uint32_t masked_crc(const void *p, size_t n)
{
    const uint32_t crc = event_crc32c(p, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

double event_time_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- protobuf ---- */

typedef enum WireType { WIRE_VARINT = 0, WIRE_DOUBLE = 1, WIRE_BYTES = 2, WIRE_FLOAT = 5 } WireType;

static void put_le(Text *t, uint64_t x, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) text_bytes(t, &(char){(char)(x >> 8 * i)}, 1);
}

static void put_varint(Text *t, uint64_t x)
{
    for (; x >= 0x80; x >>= 7) text_bytes(t, &(char){(char)(x | 0x80)}, 1);
    text_bytes(t, &(char){(char)x}, 1);
}

static void put_key(Text *t, unsigned field, WireType wire)
{
    put_varint(t, field << 3 | wire);
}

static void put_bytes(Text *t, unsigned field, const Text *bytes)
{
    put_key(t, field, WIRE_BYTES);
    put_varint(t, bytes->n);
    text_bytes(t, bytes->s, bytes->n);
    t->failed |= bytes->failed;
}

/* ---- records ---- */

/* Writes one event whose field `field` is `bytes`, as one record in one write. */
static Status put_event(EventFile *f, int64_t step, double time_s, unsigned field,
                        const Text *bytes)
{
    Status rc = ST_OK;
    Text *event = &f->event, *record = &f->record;
    uint64_t time_bits;
    memcpy(&time_bits, &time_s, sizeof time_bits);
    event->n = record->n = 0;
    put_key(event, 1, WIRE_DOUBLE);
    put_le(event, time_bits, 8);
    put_key(event, 2, WIRE_VARINT);
    put_varint(event, (uint64_t)step);
    put_bytes(event, field, bytes);
    TRY(text_check(event));
    put_le(record, event->n, 8);
    TRY(text_check(record));
    put_le(record, masked_crc(record->s, 8), 4);
    text_bytes(record, event->s, event->n);
    put_le(record, masked_crc(event->s, event->n), 4);
    TRY(text_check(record));
    for (size_t at = 0; at < record->n;) {
        const ssize_t n =
            fault_here() ? (errno = EIO, -1) : write(f->fd, record->s + at, record->n - at);
        if (n < 0 && errno == EINTR) continue;
        CHECK(n > 0, IO, "%s: writing failed: %s", f->path, strerror(errno));
        at += (size_t)n;
    }
out:
    return rc;
}

Status event_file_create(const char *path, int64_t step, EventFile **f)
{
    Status rc = ST_OK;
    const Text version = {.s = "brain.Event:2", .n = 13};
    const Text start = {.s = (char[]){1 << 3 | WIRE_VARINT, 1}, .n = 2};
    EventFile *x = mem_alloc(sizeof *x);
    CHECK(x, NOMEM, "event file: %zu bytes", sizeof *x);
    x->fd = -1;
    x->path = mem_strdup(path);
    CHECK(x->path, NOMEM, "event file: a copy of \"%s\"", path);
    if (!fault_here()) x->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    CHECK(x->fd >= 0, IO, "%s: cannot be created: %s", path, strerror(errno));
    TRY(put_event(x, 0, event_time_s(), 3, &version));
    TRY(put_event(x, step, event_time_s(), 7, &start));
    *f = x;
    x = NULL;
out:
    if (x && x->fd >= 0) unlink(path);
    if (event_file_close(&x) != ST_OK && rc == ST_OK) rc = ST_IO;
    return rc;
}

void event_file_scalar(EventFile *f, const char *group, const char *name, double value)
{
    Text *tag = &f->record; /* free until put_event */
    const float simple = (float)value;
    uint32_t bits;
    memcpy(&bits, &simple, sizeof bits);
    tag->n = f->value.n = 0;
    text_printf(tag, "%s/%s", group, name);
    put_bytes(&f->value, 1, tag);
    put_key(&f->value, 2, WIRE_FLOAT);
    put_le(&f->value, bits, 4);
    put_bytes(&f->summary, 1, &f->value);
}

Status event_file_put(EventFile *f, int64_t step, double time_s)
{
    Status rc = ST_OK;
    if (f->summary.n > 0 || f->summary.failed) TRY(put_event(f, step, time_s, 5, &f->summary));
out:
    f->summary.n = 0;
    return rc;
}

Status event_file_close(EventFile **f)
{
    Status rc = ST_OK;
    EventFile *x = *f;
    *f = NULL;
    if (!x) goto out;
    const bool closed = x->fd < 0 || (close(x->fd) == 0 && !fault_here());
    CHECK(closed, IO, "%s: close: %s", x->path, strerror(errno));
out:
    if (x) {
        text_fini(&x->value);
        text_fini(&x->summary);
        text_fini(&x->event);
        text_fini(&x->record);
        mem_free(x->path);
    }
    mem_free(x);
    return rc;
}
