/* unit_events.c — event files: TensorBoard's bytes, and after a resume the story of the metrics. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/run/event_file.h"
#include "trainer/run/events.h"
#include "trainer/run/text.h"
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- a reader of its own, after the published formats ---- */

typedef struct Bytes {
    const unsigned char *p, *end;
} Bytes;

static uint64_t take_le(Bytes *b, int n)
{
    uint64_t x = 0;
    ck_assert_msg(b->end - b->p >= n, "the record ends within %d bytes", n);
    for (int i = 0; i < n; i++) x |= (uint64_t)*b->p++ << 8 * i;
    return x;
}

static uint64_t take_varint(Bytes *b)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        const uint64_t byte = take_le(b, 1);
        x |= (byte & 127) << shift;
        if (byte < 128) return x;
    }
}

static Bytes take_bytes(Bytes *b)
{
    const uint64_t n = take_varint(b);
    T_TRUE((uint64_t)(b->end - b->p) >= n);
    const Bytes inner = {b->p, b->p + n};
    b->p += n;
    return inner;
}

static uint32_t unmask(uint32_t masked)
{
    const uint32_t rot = masked - 0xa282ead8u;
    return rot >> 17 | rot << 15;
}

/* "tag=value " for each scalar of a Summary. */
static void read_summary(Bytes b, Text *out)
{
    while (b.p < b.end) {
        T_EQ_I64(take_varint(&b), 1 << 3 | 2);
        Bytes value = take_bytes(&b);
        T_EQ_I64(take_varint(&value), 1 << 3 | 2);
        const Bytes tag = take_bytes(&value);
        T_EQ_I64(take_varint(&value), 2 << 3 | 5);
        const uint32_t bits = (uint32_t)take_le(&value, 4);
        float x;
        memcpy(&x, &bits, 4);
        T_TRUE(value.p == value.end);
        text_printf(out, "%.*s=%g ", (int)(tag.end - tag.p), (const char *)tag.p, x);
    }
}

/* "@step kind..." */
static void read_event(Bytes b, Text *out)
{
    int64_t step = 0;
    while (b.p < b.end) {
        const uint64_t key = take_varint(&b);
        if (key == (1 << 3 | 1)) {
            const uint64_t bits = take_le(&b, 8);
            double time_s;
            memcpy(&time_s, &bits, 8);
            T_TRUE(time_s > 1.7e9);
        } else if (key == (2 << 3 | 0)) {
            step = (int64_t)take_varint(&b);
        } else {
            const Bytes inner = take_bytes(&b);
            text_printf(out, "@%lld ", LL(step));
            if (key == (3 << 3 | 2))
                text_printf(out, "%.*s ", (int)(inner.end - inner.p), (const char *)inner.p);
            if (key == (7 << 3 | 2))
                text_add(out, inner.p[0] == 8 && inner.p[1] == 1 ? "start " : "? ");
            if (key == (5 << 3 | 2)) read_summary(inner, out);
        }
    }
}

static void read_events(const char *file, Text *out)
{
    char *text;
    size_t n;
    T_OK(file_read_all(file, 1 << 20, &text, &n));
    Bytes b = {(unsigned char *)text, (unsigned char *)text + n};
    while (b.p < b.end) {
        const unsigned char *head = b.p;
        const uint64_t length = take_le(&b, 8);
        T_TRUE(unmask((uint32_t)take_le(&b, 4)) == event_crc32c(head, 8));
        const Bytes event = {b.p, b.p + length};
        T_TRUE((uint64_t)(b.end - b.p) >= length + 4);
        b.p += length;
        T_TRUE(unmask((uint32_t)take_le(&b, 4)) == event_crc32c(event.p, length));
        read_event(event, out);
    }
    mem_free(text);
}

/* The only event file of dir; its name is checked. */
static char *only_file(const char *dir)
{
    char *found = NULL;
    DIR *d = opendir(dir);
    T_TRUE(d != NULL);
    for (const struct dirent *f; (f = readdir(d));) {
        if (!strstr(f->d_name, "tfevents")) continue;
        T_TRUE(found == NULL);
        T_TRUE(strncmp(f->d_name, "events.out.tfevents.", 20) == 0);
        found = path_join(dir, f->d_name);
    }
    closedir(d);
    T_TRUE(found != NULL);
    return found;
}

static void expect_events(const char *dir, const char *want)
{
    Text t = {0};
    char *file = only_file(dir);
    read_events(file, &t);
    T_EQ_STR(t.s, want);
    text_fini(&t);
    mem_free(file);
}

/* ---- tests ---- */

START_TEST(checksum_is_castagnoli)
{
    T_EQ_I64(event_crc32c("123456789", 9), 0xe3069283); /* the check value of CRC-32C */
    T_EQ_I64(event_crc32c("", 0), 0);
}
END_TEST

START_TEST(bytes_are_those_of_the_format)
{
    /* Written by TensorBoard's own RecordWriter: wall time 1.8e9, step 3, train/loss = 0.5. */
    static const unsigned char WANT[] = {0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x29, 0xed,
                                         0xa9, 0x50, 0x09, 0x00, 0x00, 0x00, 0x80, 0x74, 0xd2, 0xda,
                                         0x41, 0x10, 0x03, 0x2a, 0x13, 0x0a, 0x11, 0x0a, 0x0a, 0x74,
                                         0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15,
                                         0x00, 0x00, 0x00, 0x3f, 0x6e, 0x68, 0xe4, 0x0c};
    char *file = path_join(test_dir(), "one.tfevents"), *text;
    size_t n;
    EventFile *f;
    T_OK(event_file_create(file, 0, &f));
    event_file_scalar(f, "train", "loss", 0.5);
    T_OK(event_file_put(f, 3, 1.8e9));
    T_OK(event_file_put(f, 4, 1.8e9)); /* nothing was added */
    T_OK(event_file_close(&f));
    T_FAILS(event_file_create(file, 0, &f), IO, "cannot be created");
    T_OK(file_read_all(file, 1 << 20, &text, &n));
    T_TRUE(n > sizeof WANT);
    T_TRUE(memcmp(text + n - sizeof WANT, WANT, sizeof WANT) == 0);
    mem_free(text);
    mem_free(file);
}
END_TEST

static void put_step(Metrics *m, Events *e, const char *path, int64_t step)
{
    const MetricsField extra = {"skipped", 1.0};
    const MetricsStep s = {.path = path,
                           .version = "v1",
                           .step = step,
                           .loss = 10.0 + (double)step,
                           .lr = 0.5,
                           .tokens = 7,
                           .grad_norm = 2.0,
                           .tokens_per_s = 64.0,
                           .seconds = 1.0,
                           .batch_hash = "ab",
                           .extra = &extra,
                           .n_extra = step == 1};
    T_OK(metrics_step(m, &s));
    if (e) T_OK(events_step(e, &s));
}

static void put_eval(Metrics *m, Events *e, int64_t step, double loss)
{
    const MetricsEval v = {
        .path = "main", .version = "v1", .step = step, .eval = "news", .loss = loss, .tokens = 9};
    T_OK(metrics_eval(m, &v));
    if (e) T_OK(events_eval(e, &v));
}

#define STEP(n) "@" #n " train/loss=1" #n " train/lr=0.5 train/grad_norm=2 train/tokens_per_s=64 "
static const char HEAD[] = "@0 brain.Event:2 @0 start ";

static void join(Text *t, const char *a, const char *b)
{
    t->n = 0;
    text_printf(t, "%s%s", a, b);
}

START_TEST(a_resumed_run_says_what_its_metrics_say)
{
    char *dir = path_join(test_dir(), "resume"), *file = path_join(dir, "metrics.jsonl");
    Metrics *m;
    Events *e;
    Text want = {0};
    T_OK(dir_make(dir));
    T_OK(metrics_open(file, &m));
    T_OK(events_open_from_metrics(dir, "main", file, &e));
    put_eval(m, e, -1, 5.5);
    put_step(m, e, "main", 0);
    put_step(m, e, "main", 1);
    put_eval(m, e, 1, NAN);
    put_step(m, e, "main", 2);
    put_step(m, NULL, "branch", 2);
    T_OK(events_close(&e));
    T_OK(metrics_close(&m));
    T_TRUE(e == NULL);
    join(&want, HEAD,
         "@-1 eval/news=5.5 " STEP(
             0) "@1 train/loss=11 train/lr=0.5 train/grad_norm=2 train/tokens_per_s=64 "
                "train/skipped=1 @1 eval/news=nan " STEP(2));
    expect_events(dir, want.s);

    T_OK(metrics_cut(file, "main", 1, NULL));
    T_OK(metrics_open(file, &m));
    T_OK(events_open_from_metrics(dir, "main", file, &e));
    put_step(m, e, "main", 2);
    T_OK(events_close(&e));
    T_OK(metrics_close(&m));
    join(&want, HEAD, "@-1 eval/news=5.5 " STEP(0) STEP(2));
    expect_events(dir, want.s);

    T_OK(events_open_from_metrics(dir, "branch", file, &e)); /* a directory of its own */
    T_OK(events_close(&e));
    expect_events(dir, want.s);
    char *branch = path_join(dir, "branch");
    join(&want, HEAD, STEP(2));
    expect_events(branch, want.s);
    text_fini(&want);
    mem_free(branch);
    mem_free(file);
    mem_free(dir);
}
END_TEST

static Status reopen(const char *dir, const char *file)
{
    Status rc = ST_OK;
    Events *e = NULL;
    TRY(events_open_from_metrics(dir, "main", file, &e));
    TRY(events_step(e, &(MetricsStep){.path = "main", .step = 1, .loss = 1.0}));
out:
    if (events_close(&e) != ST_OK) rc = ST_IO;
    return rc;
}

START_TEST(each_failure_is_reported_and_leaks_nothing)
{
    char *dir = path_join(test_dir(), "fault"), *file = path_join(dir, "metrics.jsonl");
    Metrics *m;
    T_OK(dir_make(dir));
    T_OK(metrics_open(file, &m));
    put_step(m, NULL, "main", 0);
    T_OK(metrics_close(&m));
    for (int n = 1;; n++) {
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = reopen(dir, file);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    char *only = only_file(dir); /* what failed attempts left behind was replaced */
    mem_free(only);
    mem_free(file);
    mem_free(dir);
}
END_TEST

int main(void)
{
    const TTest *t[] = {checksum_is_castagnoli, bytes_are_those_of_the_format,
                        a_resumed_run_says_what_its_metrics_say,
                        each_failure_is_reported_and_leaks_nothing};
    return test_main("unit.events", t, N_OF(t));
}
