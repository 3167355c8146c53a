/* unit_lines.c — the line reader against plain, compressed, damaged and hostile files. */
#include "tests/test_helper.h"
#include "trainer/io/lines.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_LINE = 1 << 20 };

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static const char *write_file(const char *name, const void *data, size_t n)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    T_TRUE(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
    return path;
}

static size_t gzip(const void *data, size_t n, unsigned char *out, size_t n_out)
{
    z_stream z = {
        .next_in = (unsigned char *)(uintptr_t)data, .avail_in = (unsigned)n, .next_out = out};
    z.avail_out = (unsigned)n_out;
    T_TRUE(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    T_TRUE(deflate(&z, Z_FINISH) == Z_STREAM_END);
    T_TRUE(deflateEnd(&z) == Z_OK);
    return z.total_out;
}

/* Reads all lines into `text`, each as "line|"; the first failure ends it. */
static Status read_lines(const char *path, int64_t max_line, char *text, size_t n_text)
{
    Status rc = ST_OK;
    LineReader *r = NULL;
    const char *line;
    int64_t n;
    size_t used = 0;
    text[0] = '\0';
    TRY(lines_open(path, max_line, &r));
    for (;;) {
        TRY(lines_next(r, &line, &n));
        if (!line) break;
        T_EQ_I64(strlen(line), n);
        used +=
            (size_t)snprintf(text + used, n_text - used, "%s%s", line, lines_has_end(r) ? "|" : "");
        T_TRUE(used < n_text);
    }
out:
    lines_close(r);
    return rc;
}

static void expect(const char *content, size_t n, const char *wanted)
{
    char text[256];
    T_OK(read_lines(write_file("a.txt", content, n), MAX_LINE, text, sizeof text));
    T_EQ_STR(text, wanted);
    unsigned char packed[512];
    const size_t n_packed = gzip(content, n, packed, sizeof packed);
    T_OK(read_lines(write_file("a.txt.gz", packed, n_packed), MAX_LINE, text, sizeof text));
    T_EQ_STR(text, wanted);
}
#define EXPECT(content, wanted) expect(content, sizeof content - 1, wanted)

START_TEST(ends_of_lines)
{
    EXPECT("", "");
    EXPECT("one", "one");
    EXPECT("one\n", "one|");
    EXPECT("one\r\ntwo\r\n\r\n", "one|two||");
    EXPECT("\n\na\rb\n", "||a\rb|");
    EXPECT("\xef\xbb\xbfx\n\xef\xbb\xbfy", "x|\xef\xbb\xbfy");
    EXPECT("caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80");
}
END_TEST

START_TEST(numbers_lines_and_joins_members)
{
    unsigned char packed[512];
    size_t n = gzip("one\ntw", 6, packed, sizeof packed);
    n += gzip("o\nthree\n", 8, packed + n, sizeof packed - n);
    const char *path = write_file("members.gz", packed, n), *line;
    LineReader *r;
    int64_t n_line;
    T_OK(lines_open(path, MAX_LINE, &r));
    static const char *const WANTED[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        T_OK(lines_next(r, &line, &n_line));
        T_EQ_STR(line, WANTED[i]);
        T_EQ_I64(lines_number(r), i + 1);
    }
    T_OK(lines_next(r, &line, &n_line));
    T_TRUE(!line);
    lines_close(r);
}
END_TEST

START_TEST(long_lines_pass_and_longer_ones_fail)
{
    char *text = malloc(300001), *read = malloc(300010);
    memset(text, 'x', 300000);
    text[300000] = '\n';
    const char *path = write_file("long.txt", text, 300001);
    T_OK(read_lines(path, 300000, read, 300010));
    T_EQ_I64(strlen(read), 300001);
    T_FAILS(read_lines(path, 299999, read, 300010), FORMAT,
            "long.txt:1: line longer than 299999 bytes");

    /* 64 MiB of one line in some 64 KiB: refused after a bounded amount of memory. */
    gzFile bomb = gzopen(path_of("bomb.gz"), "wb9");
    for (int i = 0; i < 224; i++) T_EQ_I64(gzwrite(bomb, text, 300000), 300000);
    T_EQ_I64(gzclose(bomb), Z_OK);
    const int64_t live = mem_live_bytes();
    LineReader *r;
    const char *line;
    int64_t n;
    T_OK(lines_open(path_of("bomb.gz"), 100000, &r));
    T_FAILS(lines_next(r, &line, &n), FORMAT, "bomb.gz:1: line longer than 100000 bytes");
    T_TRUE(mem_live_bytes() - live < 1 << 20);
    lines_close(r);
    free(text);
    free(read);
}
END_TEST

START_TEST(refuses_what_is_no_text)
{
    char text[64];
    T_FAILS(read_lines(path_of("nowhere"), MAX_LINE, text, sizeof text), DATA, "nowhere");
    T_FAILS(read_lines(test_dir(), MAX_LINE, text, sizeof text), DATA, "is no regular file");
    T_TRUE(mkfifo(path_of("fifo"), 0600) == 0);
    T_FAILS(read_lines(path_of("fifo"), MAX_LINE, text, sizeof text), DATA, "is no regular file");
    T_FAILS(read_lines(write_file("nul.txt", "a\nb\0c\n", 6), MAX_LINE, text, sizeof text), FORMAT,
            "nul.txt:2: NUL at byte 2 of the line");
    T_FAILS(
        read_lines(write_file("latin.txt", "a\n\ncaf\xe9 x\n", 10), MAX_LINE, text, sizeof text),
        FORMAT, "latin.txt:3: invalid UTF-8 at byte 4 of the line (0xe9)");
    T_FAILS(read_lines(write_file("plain.gz", "plain\n", 6), MAX_LINE, text, sizeof text), FORMAT,
            "plain.gz: is no gzip file");
    T_FAILS(read_lines(write_file("empty.gz", "", 0), MAX_LINE, text, sizeof text), FORMAT,
            "is no gzip file");
}
END_TEST

/* The code point at s, decoded by the formulas of RFC 3629 alone; -1 when it is none of exactly n
 * bytes. */
static int64_t decode(const unsigned char *s, int n)
{
    static const int64_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    static const int LEAD[] = {0, 0, 0xc0, 0xe0, 0xf0}, LEAD_MASK[] = {0, 0x80, 0xe0, 0xf0, 0xf8};
    if ((s[0] & LEAD_MASK[n]) != LEAD[n]) return -1;
    int64_t c = s[0] & (n == 1 ? 0x7f : 0x7f >> n);
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return -1;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < LEAST[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? -1 : c;
}

START_TEST(utf8_is_what_rfc_3629_says)
{
    static const unsigned char EDGE[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                         0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    int64_t n_wrong = 0, n_good = 0;
    for (int n = 1; n <= 4; n++)
        for (int a = 0; a < 256; a++)
            for (int b = 0; b < (n > 1 ? 256 : 1); b++)
                for (int64_t c = 0; c < (n > 2 ? N_OF(EDGE) : 1); c++)
                    for (int64_t d = 0; d < (n > 3 ? N_OF(EDGE) : 1); d++) {
                        const unsigned char s[4] = {(unsigned char)a, (unsigned char)b, EDGE[c],
                                                    EDGE[d]};
                        bool good = decode(s, n) >= 0;
                        if (!good &&
                            n > 1) /* else it may be several shorter ones; leave those to n - 1 */
                            for (int k = 1; k < n; k++)
                                if (decode(s, k) >= 0) goto next;
                        n_good += good;
                        n_wrong += (utf8_check((const char *)s, n) == n) != good;
                    next:;
                    }
    T_EQ_I64(n_wrong, 0);
    T_TRUE(n_good > 10000);
    T_EQ_I64(utf8_check("0123456789abcdef\xc3\xa9 x\xff tail", 24), 20); /* across whole words */
}
END_TEST

START_TEST(a_cut_or_changed_gzip_never_passes_for_whole)
{
    char content[600], whole[700], text[700];
    size_t n = 0;
    for (int i = 0; n + 24 < sizeof content; i++)
        n += (size_t)snprintf(content + n, sizeof content - n, "line %d of %d\n", i * i, i);
    unsigned char packed[1024];
    const size_t n_packed = gzip(content, n, packed, sizeof packed - 16);
    T_OK(read_lines(write_file("whole.gz", packed, n_packed), MAX_LINE, whole, sizeof whole));
    const int64_t live = mem_live();

    for (size_t cut = 0; cut < n_packed; cut++) {
        char where[64] = "is no gzip file";
        if (cut >= 2) snprintf(where, sizeof where, "the gzip stream is cut off at byte %zu", cut);
        T_FAILS(read_lines(write_file("cut.gz", packed, cut), MAX_LINE, text, sizeof text), FORMAT,
                where);
    }
    int n_caught = 0;
    for (size_t at = 0; at < n_packed; at++)
        for (int bit = 0; bit < 8; bit++) {
            packed[at] ^= (unsigned char)(1 << bit);
            const Status rc =
                read_lines(write_file("flip.gz", packed, n_packed), MAX_LINE, text, sizeof text);
            n_caught += rc == ST_FORMAT;
            T_TRUE(rc == ST_FORMAT ||
                   (rc == ST_OK && strcmp(text, whole) == 0)); /* date and such */
            status_clear();
            packed[at] ^= (unsigned char)(1 << bit);
        }
    T_TRUE(n_caught > (int)(8 * (n_packed - 10)) - 8);
    for (size_t extra = 1; extra <= 3; extra++) {
        char where[64];
        memcpy(packed + n_packed, extra == 2 ? "\0\0" : "tail", extra);
        snprintf(where, sizeof where, "bytes after the end of the gzip stream, from byte %zu on",
                 n_packed);
        T_FAILS(read_lines(write_file("tail.gz", packed, n_packed + extra), MAX_LINE, text,
                           sizeof text),
                FORMAT, where);
    }
    T_EQ_I64(mem_live(), live);
}
END_TEST

START_TEST(every_failure_is_reported_and_leaks_nothing)
{
    unsigned char packed[512];
    const char content[] = "alpha\nbeta\ngamma\n";
    char text[64];
    const size_t n_packed = gzip(content, sizeof content - 1, packed, sizeof packed);
    const char *const name[] = {"f.txt", "f.txt.gz"};
    write_file(name[0], content, sizeof content - 1);
    write_file(name[1], packed, n_packed);
    for (int k = 0; k < 2; k++)
        for (int n = 1;; n++) {
            const int64_t live = mem_live();
            fault_arm(n, false);
            const Status rc = read_lines(path_of(name[k]), MAX_LINE, text, sizeof text);
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc != ST_OK));
            T_TRUE(rc == ST_OK || rc == ST_NOMEM || rc == ST_DATA);
            T_TRUE(rc == ST_OK || status_message()[0]);
            T_EQ_I64(mem_live(), live);
            status_clear();
            T_TRUE(n > 3 || hit);
            if (!hit) break;
        }
}
END_TEST

int main(void)
{
    const TTest *t[] = {ends_of_lines,
                        numbers_lines_and_joins_members,
                        long_lines_pass_and_longer_ones_fail,
                        refuses_what_is_no_text,
                        utf8_is_what_rfc_3629_says,
                        a_cut_or_changed_gzip_never_passes_for_whole,
                        every_failure_is_reported_and_leaks_nothing};
    return test_main("unit.lines", t, N_OF(t));
}
