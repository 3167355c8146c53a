/* unit_safetensors.c — the rules of the format broken one by one, and files that come back as they
 * were written. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/io/safetensors.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 4096, ONE_SHARD = 1 << 30 };

static const char *at(const char *name)
{
    static char path[8][256];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", test_dir(), name);
    return path[next];
}

/* length, header, data_bytes times 'd' */
static size_t build(char file[MAX_FILE], const char *header, size_t data_bytes)
{
    const uint64_t n = strlen(header);
    T_TRUE(8 + n + data_bytes <= MAX_FILE);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    memset(file + 8 + n, 'd', data_bytes);
    return 8 + n + data_bytes;
}

static Status open_built(const char *header, size_t data_bytes)
{
    char file[MAX_FILE];
    SafeTensors *s = NULL;
    const size_t n = build(file, header, data_bytes);
    const Status rc = safetensors_open_bytes("m.safetensors", file, n, &s);
    T_TRUE((rc == ST_OK) == (s != NULL));
    safetensors_close(s);
    return rc;
}

static void write_text(const char *path, const char *text)
{
    T_OK(file_write_atomic(path, text, strlen(text)));
}

#define TENSOR(name, dtype, shape, offsets)                                                        \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

START_TEST(what_the_format_allows_is_read)
{
    static const struct {
        const char *header;
        size_t data_bytes;
    } cases[] = {
        {"{}", 0},
        {"{}     ", 0},
        {"{" TENSOR("a", "F32", "[2,3]", "[0,24]") "}", 24},
        {"{" TENSOR("scalar", "BF16", "[]", "[0,2]") "}", 2},
        {"{" TENSOR("none", "F32", "[0,7]", "[0,0]") "}", 0},
        {"{" TENSOR("x", "F32", "[1]", "[8,12]") "," TENSOR(
             "none", "U8", "[0]", "[8,8]") "," TENSOR("y", "I64", "[1]", "[0,8]") "}",
         12},
        {"{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("a", "BOOL", "[3]", "[0,3]") "}", 3},
        {"{\"__metadata__\":null}", 0},
        {"{" TENSOR("a", "F4", "[2,3]", "[0,3]") "," TENSOR("b", "F6_E2M3", "[4]", "[3,6]") "}", 6},
        {"{" TENSOR("a", "F8_E4M3", "[1,1,1,1,1,1,1,2]", "[0,2]") "}", 2},
        {"{" TENSOR("\xc3\xa9", "C64", "[1]", "[0,8]") "}", 8},
    };
    for (int64_t i = 0; i < N_OF(cases); i++) {
        T_OK(open_built(cases[i].header, cases[i].data_bytes));
        T_EQ_I64(mem_live(), 0);
    }
}
END_TEST

#define HEADER "m.safetensors, header: "
START_TEST(every_broken_rule_is_named)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *why;
    } cases[] = {
        {"", 0, "m.safetensors: its header does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"[]", 0, "does not begin with '{'"},
        {"\xef\xbb\xbf{}", 0, "does not begin with '{'"},
        {"{", 0, "m.safetensors, header:1: "},
        {"{}x", 0, "header:1: end of file expected"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[4,8]") "}", 8,
         "header:1: duplicate object key near '\"a\"'"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("\\u0061", "F32", "[1]", "[4,8]") "}", 8,
         "duplicate object key"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate object key"},
        {"{\"__metadata__\":{\"a\":1}}", 0, HEADER "__metadata__.a: found 1, expected a text"},
        {"{\"__metadata__\":[]}", 0, HEADER "__metadata__: found a list, expected an object"},
        {"{\"a\":3}", 0, HEADER "a: found 3, expected an object"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, HEADER "a.dtype: found nothing"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, HEADER "a.shape: found nothing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, HEADER "a.data_offsets: found nothing"},
        {"{" TENSOR("a", "F33", "[1]", "[0,4]") "}", 4,
         HEADER "a.dtype: found the text \"F33\", expected a dtype of the format"},
        {"{" TENSOR("a", "F32", "4", "[0,4]") "}", 4, HEADER "a.shape: found 4, expected a list"},
        {"{" TENSOR("a", "F32", "[-1]", "[0,4]") "}", 4,
         HEADER "a.shape[0]: found -1, expected a whole number from 0"},
        {"{" TENSOR("a", "F32", "[1,1.0]", "[0,4]") "}", 4, HEADER "a.shape[1]: found 1, expected"},
        {"{" TENSOR("a", "F32", "[1e0]", "[0,4]") "}", 4, HEADER "a.shape[0]: found 1, expected"},
        {"{" TENSOR("a", "F32", "[\"1\"]", "[0,4]") "}", 4, HEADER "a.shape[0]: found the text"},
        {"{" TENSOR("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, "too big integer"},
        {"{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4,
         "tensor a has 9 dims, at most 8 are read"},
        {"{" TENSOR("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
         "tensor a: no file holds F32 [4294967296,4294967296]"},
        {"{" TENSOR("a", "F32", "[2305843009213693952]", "[0,0]") "}", 0,
         "tensor a: no file holds"},
        {"{" TENSOR("a", "F32", "[4294967296,4294967296,0]", "[0,0]") "}", 0, "no file holds"},
        {"{" TENSOR("a", "F4", "[3]", "[0,2]") "}", 2, "tensor a: no file holds F4 [3]"},
        {"{" TENSOR("a", "F32", "[2,3]", "[0,20]") "}", 20,
         "m.safetensors: tensor a: F32 [2,3] takes 24 bytes, its data_offsets give it 20"},
        {"{" TENSOR("a", "F32", "[]", "[0,8]") "}", 8, "F32 [] takes 4 bytes"},
        {"{" TENSOR("a", "F32", "[1]", "[0]") "}", 4,
         HEADER "a.data_offsets: found a list, expected a list of two offsets"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4,8]") "}", 4, "expected a list of two offsets"},
        {"{" TENSOR("a", "F32", "[1]", "{\"a\":0,\"b\":4}") "}", 4, "a.data_offsets[0]: found"},
        {"{" TENSOR("a", "F32", "[1]", "[-4,0]") "}", 4, HEADER "a.data_offsets[0]: found -4"},
        {"{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 4,
         HEADER "a.data_offsets[1]: found 0, expected a whole number from 4"},
        {"{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 8,
         "tensor a begins at byte 4 of the data, expected 0, where the data begin"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[8,12]") "}", 12,
         "tensor b begins at byte 8 of the data, expected 4, where a ends"},
        {"{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[1]", "[4,8]") "}", 8,
         "tensor b begins at byte 4 of the data, expected 8, where a ends"},
        {"{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[2]", "[0,8]") "}", 8,
         "begins at byte 0 of the data, expected 8"},
        {"{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("none", "F32", "[0]", "[4,4]") "}", 8,
         "tensor none begins at byte 4"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "}", 5,
         "m.safetensors: its tensors take 4 bytes, it has 5 for them"},
        {"{" TENSOR("a", "F32", "[2]", "[0,8]") "}", 4, "its tensors take 8 bytes, it has 4"},
        {"{}", 1, "its tensors take 0 bytes, it has 1"},
        {"{" TENSOR("", "F32", "[1]", "[0,4]") "}", 4, "the name of a tensor has 0 bytes"},
        {"{" TENSOR("a\\nb", "F32", "[1]", "[0,4]") "}", 4, "the control character 0x0a"},
        {"{" TENSOR("a\\u0000b", "F32", "[1]", "[0,4]") "}", 4, "NUL byte in object key"},
        {"{" TENSOR("\xff", "F32", "[1]", "[0,4]") "}", 4, "unable to decode byte 0xff"},
        {"{" TENSOR("\\ud800", "F32", "[1]", "[0,4]") "}", 4, "invalid Unicode"},
    };
    for (int64_t i = 0; i < N_OF(cases); i++) {
        T_FAILS(open_built(cases[i].header, cases[i].data_bytes), FORMAT, cases[i].why);
        T_EQ_I64(mem_live(), 0);
    }
    char file[MAX_FILE], long_name[1024];
    snprintf(long_name, sizeof long_name, "{\"%0600d\":{}}", 0);
    T_FAILS(open_built(long_name, 0), FORMAT, "the name of a tensor has 600 bytes");
    SafeTensors *s = NULL;
    memset(file, 0, sizeof file);
    memcpy(file + 8, "{}\0", 3); /* padded with NUL */
    file[0] = 3;
    T_FAILS(safetensors_open_bytes("m", file, 11, &s), FORMAT, "m, header:1: ");
}
END_TEST

START_TEST(a_length_that_lies_is_refused)
{
    static const struct {
        uint64_t length;
        const char *why;
    } cases[] = {
        {UINT64_MAX, "would have 18446744073709551615 bytes, the format allows 100000000"},
        {(uint64_t)1 << 63, "the format allows 100000000: not a safetensors file"},
        {(uint64_t)1 << 32, "the format allows 100000000"},
        {100000001, "the format allows 100000000"},
        {100000000, "would have 100000000 bytes, the file ends after 2 of them"},
        {10, "would have 10 bytes, the file ends after 2"},
        {3, "would have 3 bytes, the file ends after 2"},
        {1, "header:1: "},
        {0, "does not begin with '{'"},
    };
    for (int64_t i = 0; i < N_OF(cases); i++) {
        char file[MAX_FILE];
        SafeTensors *s = NULL;
        const size_t n = build(file, "{}", 0);
        memcpy(file, &cases[i].length, 8);
        T_FAILS(safetensors_open_bytes("m", file, n, &s), FORMAT, cases[i].why);
        T_TRUE(s == NULL);
    }
}
END_TEST

START_TEST(a_file_cut_at_any_byte_is_refused)
{
    char file[MAX_FILE];
    const size_t n =
        build(file,
              "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR(
                  "a", "F32", "[2,2]", "[0,16]") "," TENSOR("b", "BF16", "[3]", "[16,22]") "}  ",
              22);
    SafeTensors *s = NULL;
    for (size_t cut = 0; cut <= n; cut++) {
        char *exact = malloc(cut ? cut : 1); /* so that reading past the cut is seen */
        memcpy(exact, file, cut);
        if (cut < n) {
            T_FAILS(safetensors_open_bytes("m", exact, cut, &s), FORMAT, "m");
        } else {
            T_OK(safetensors_open_bytes("m", exact, cut, &s));
            safetensors_close(s);
        }
        free(exact);
        T_EQ_I64(mem_live(), 0);
    }
    T_OK(file_write_atomic(at("cut.safetensors"), file, n - 1));
    T_FAILS(safetensors_open(at("cut.safetensors"), &s), FORMAT,
            "cut.safetensors: its tensors take 22 bytes, it has 21 for them");
    T_OK(file_write_atomic(at("empty.safetensors"), "", 0));
    T_FAILS(safetensors_open(at("empty.safetensors"), &s), DATA, "empty.safetensors: is empty");
}
END_TEST

/* ---- a small model, written and read ---- */

static const float A[] = {1.5F, -2.0F, 3.25F, 0.0F, 7.0F, -8.0F};
static const uint16_t B[] = {0x3f80, 0x4000, 0xc040}, H[] = {0x3c00};
static const float E[1];

static const SafeTensor MODEL[] = {
    {.name = "b.weight", .dtype = DT_BF16, .n_dim = 1, .dim = {3}, .data = B},
    {.name = "a.weight", .dtype = DT_F32, .n_dim = 2, .dim = {2, 3}, .data = A},
    {.name = "half", .dtype = DT_F16, .n_dim = 0, .data = H},
    {.name = "empty", .dtype = DT_F32, .n_dim = 2, .dim = {0, 4}, .data = E},
    {.name = "a.bias", .dtype = DT_F32, .n_dim = 1, .dim = {2}, .data = A + 1},
};
enum { N_MODEL = 5 };

static void expect_model(const SafeTensors *s)
{
    T_EQ_I64(safetensors_count(s), N_MODEL);
    for (int64_t i = 0; i < N_MODEL; i++) {
        const SafeTensor *want = &MODEL[i], *have = safetensors_find(s, want->name);
        T_TRUE(have != NULL);
        T_EQ_STR(have->name, want->name);
        T_TRUE(have->dtype == want->dtype && have->n_dim == want->n_dim);
        T_TRUE(!memcmp(have->dim, want->dim, sizeof have->dim));
        T_TRUE(!memcmp(have->data, want->data, have->n_bytes));
        T_TRUE((uintptr_t)have->data % (have->dtype == DT_F32 ? 4 : 2) == 0);
        if (i > 0) T_TRUE(strcmp(safetensors_at(s, i - 1)->name, safetensors_at(s, i)->name) < 0);
    }
    T_EQ_I64(safetensors_find(s, "a.weight")->n, 6);
    T_EQ_I64(safetensors_find(s, "half")->n, 1);
    T_EQ_I64(safetensors_find(s, "empty")->n, 0);
    T_EQ_I64(safetensors_find(s, "b.weight")->n_bytes, 6);
    T_EQ_STR(safetensors_find(s, "b.weight")->stored_dtype, "BF16");
    T_TRUE(!safetensors_find(s, "a") && !safetensors_find(s, "z"));
}

START_TEST(a_model_comes_back_and_its_bytes_are_the_same_each_time)
{
    SafeTensors *s = NULL;
    const SafeTensor *t = NULL;
    char hex[SHA256_HEX], file_hex[SHA256_HEX], again[SHA256_HEX], *text = NULL;
    int64_t n_bytes = 0;
    size_t n = 0;
    T_OK(safetensors_write(at("m.safetensors"), MODEL, N_MODEL, NULL, NULL));
    T_OK(safetensors_open(at("m.safetensors"), &s));
    expect_model(s);
    T_OK(safetensors_weight(s, "half", &t));
    T_TRUE(t == safetensors_find(s, "half"));
    T_FAILS(safetensors_weight(s, "c", &t), FORMAT, "m.safetensors: there is no tensor c");
    T_OK(safetensors_sha256(s, hex));
    safetensors_close(s);
    T_OK(sha256_file(at("m.safetensors"), file_hex, &n_bytes));
    T_EQ_STR(hex, file_hex);
    T_OK(file_read_all(at("m.safetensors"), MAX_FILE, &text, &n));
    uint64_t n_header;
    memcpy(&n_header, text, 8);
    T_EQ_I64(n_header % 8, 0);
    T_TRUE(!strncmp(text + 8, "{\"__metadata__\":{\"format\":\"pt\"},\"a.weight\":{", 44));
    mem_free(text);
    T_OK(safetensors_write(at("m.safetensors"), MODEL, N_MODEL, NULL, NULL));
    T_OK(sha256_file(at("m.safetensors"), again, &n_bytes));
    T_EQ_STR(again, hex);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

static Status values_of(void *self, int64_t i, const void **data)
{
    static char buffer[64]; /* one for all, as a merge would have */
    int64_t n_bytes = MODEL[i].dtype == DT_F32 ? 4 : 2;
    for (int d = 0; d < MODEL[i].n_dim; d++) n_bytes *= MODEL[i].dim[d];
    memcpy(buffer, MODEL[i].data, (size_t)n_bytes);
    *data = buffer;
    ++*(int64_t *)self;
    return ST_OK;
}

static Status no_values(void *self, int64_t i, const void **data)
{
    (void)self;
    (void)i;
    (void)data;
    return status_fail(ST_DATA, __FILE__, __LINE__, "no values");
}

START_TEST(values_may_come_one_tensor_at_a_time)
{
    SafeTensors *s = NULL;
    SafeTensor spec[N_MODEL];
    int64_t n_asked = 0;
    memcpy(spec, MODEL, sizeof spec);
    for (int64_t i = 0; i < N_MODEL; i++) spec[i].data = NULL;
    T_OK(safetensors_write(at("v.safetensors"), spec, N_MODEL, values_of, &n_asked));
    T_EQ_I64(n_asked, N_MODEL);
    T_OK(safetensors_open(at("v.safetensors"), &s));
    expect_model(s);
    safetensors_close(s);
    T_FAILS(safetensors_write(at("n.safetensors"), spec, N_MODEL, no_values, NULL), DATA,
            "no values");
    T_TRUE(!path_exists(at("n.safetensors")) && !path_exists(at("n.safetensors.tmp")));
}
END_TEST

START_TEST(what_cannot_be_written_is_our_bug)
{
    const SafeTensor two[] = {MODEL[0], MODEL[0]};
    SafeTensor bad = MODEL[0];
    T_FAILS(safetensors_write(at("x"), two, 2, NULL, NULL), BUG, "\"b.weight\" is doubled");
    bad.dtype = N_DTYPE;
    T_FAILS(safetensors_write(at("x"), &bad, 1, NULL, NULL), BUG, "b.weight has a dtype or shape");
    bad = MODEL[0];
    bad.dim[0] = -1;
    T_FAILS(safetensors_write(at("x"), &bad, 1, NULL, NULL), BUG, "b.weight has a dtype or shape");
    bad = MODEL[0];
    bad.name = "__metadata__";
    T_FAILS(safetensors_write(at("x"), &bad, 1, NULL, NULL), BUG, "a name that cannot be written");
    T_OK(dir_make(at("twice")));
    T_FAILS(safetensors_write_folder(at("twice"), two, 2, 6, NULL, NULL), BUG, "is there twice");
    T_TRUE(!path_exists(at("x")) && !path_exists(at("x.tmp")));
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_writer_that_fails_leaves_the_old_file)
{
    T_OK(safetensors_write(at("old.safetensors"), MODEL, 1, NULL, NULL));
    for (int n = 1;; n++) {
        SafeTensors *s = NULL;
        fault_arm(n, false);
        const Status rc = safetensors_write(at("old.safetensors"), MODEL, N_MODEL, NULL, NULL);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(rc == ST_OK || rc == ST_IO || rc == ST_NOMEM);
        T_EQ_I64(mem_live(), 0);
        status_clear();
        T_TRUE(!path_exists(at("old.safetensors.tmp")));
        T_OK(safetensors_open(at("old.safetensors"), &s));
        if (safetensors_count(s) != 1) expect_model(s);
        safetensors_close(s);
        if (!hit) break;
        T_OK(safetensors_write(at("old.safetensors"), MODEL, 1, NULL, NULL));
    }
}
END_TEST

START_TEST(a_reader_that_fails_says_so_and_leaves_nothing)
{
    T_OK(dir_make(at("faulty")));
    T_OK(safetensors_write_folder(at("faulty"), MODEL, N_MODEL, 16, NULL, NULL));
    for (int n = 1;; n++) {
        SafeTensors *s = NULL;
        fault_arm(n, false);
        const Status rc = safetensors_open_folder(at("faulty"), &s);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(rc == ST_OK || rc == ST_DATA || rc == ST_NOMEM);
        safetensors_close(s);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
        T_TRUE(strlen(status_message()) > 0);
        status_clear();
    }
}
END_TEST

START_TEST(unaligned_data_are_handed_out_aligned)
{
    char file[MAX_FILE];
    SafeTensors *s = NULL;
    const size_t n = build(
        file, "{" TENSOR("a", "F32", "[2]", "[1,9]") "," TENSOR("b", "U8", "[1]", "[0,1]") "}", 9);
    memcpy(file + n - 8, A, 8);
    T_OK(file_write_atomic(at("odd.safetensors"), file, n));
    T_OK(safetensors_open(at("odd.safetensors"), &s));
    const SafeTensor *a = safetensors_find(s, "a");
    T_TRUE((uintptr_t)a->data % 4 == 0);
    T_TRUE(!memcmp(a->data, A, 8));
    const SafeTensor *b = NULL;
    T_FAILS(safetensors_weight(s, "b", &b), FORMAT,
            "odd.safetensors: tensor b has dtype U8, weights are F32, F16 or BF16");
    safetensors_close(s);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_tensor_of_more_than_four_gigabytes_is_read)
{
    char file[MAX_FILE];
    SafeTensors *s = NULL;
    const int64_t n_data = ((int64_t)5 << 30) + 4;
    const size_t n = build(file,
                           "{" TENSOR("big", "F32", "[1073741824,1]", "[0,4294967296]") "," TENSOR(
                               "last", "F32", "[268435457]", "[4294967296,5368709124]") "}  ",
                           0);
    T_OK(file_write_atomic(at("big.safetensors"), file, n));
    if (truncate(at("big.safetensors"), (off_t)n + n_data) != 0)
        T_SKIP("no sparse files of 5 GiB here");
    const int fd = open(at("big.safetensors"), O_WRONLY);
    T_TRUE(pwrite(fd, A, 4, (off_t)n + n_data - 4) == 4 && close(fd) == 0);
    T_OK(safetensors_open(at("big.safetensors"), &s));
    T_EQ_I64(safetensors_find(s, "big")->n, (int64_t)1 << 30);
    const SafeTensor *last = safetensors_find(s, "last");
    T_TRUE(mem_live_bytes() < 1 << 20); /* nothing was copied */
    T_TRUE(((const float *)last->data)[last->n - 1] == A[0]);
    safetensors_close(s);
    T_OK(file_remove(at("big.safetensors")));
}
END_TEST

/* ---- folders ---- */

START_TEST(a_folder_is_one_file_or_shards_with_an_index)
{
    SafeTensors *s = NULL;
    char one[SHA256_HEX], *text = NULL;
    size_t n = 0;
    T_OK(dir_make(at("one")));
    T_OK(safetensors_write_folder(at("one"), MODEL, N_MODEL, ONE_SHARD, NULL, NULL));
    T_TRUE(!path_exists(at("one/model.safetensors.index.json")));
    T_OK(safetensors_open_folder(at("one"), &s));
    expect_model(s);
    safetensors_close(s);
    T_FAILS(safetensors_write_folder(at("one"), MODEL, N_MODEL, ONE_SHARD, NULL, NULL), IO,
            "one: holds a model already");

    /* 6 | 24 | 2 + 0 + 8 bytes */
    T_OK(dir_make(at("many")));
    T_OK(safetensors_write_folder(at("many"), MODEL, N_MODEL, 16, NULL, NULL));
    T_OK(safetensors_open_folder(at("many"), &s));
    expect_model(s);
    T_HAS(safetensors_find(s, "b.weight")->file, "many/model-00001-of-00003.safetensors");
    T_HAS(safetensors_find(s, "a.weight")->file, "many/model-00002-of-00003.safetensors");
    T_HAS(safetensors_find(s, "a.bias")->file, "many/model-00003-of-00003.safetensors");
    T_OK(safetensors_sha256(s, one));
    safetensors_close(s);
    T_OK(file_read_all(at("many/model.safetensors.index.json"), MAX_FILE, &text, &n));
    T_HAS(text, "\"total_size\": 40");
    T_HAS(text, "\"half\": \"model-00003-of-00003.safetensors\"");
    mem_free(text);

    Sha256 *sha = NULL;
    char by_hand[SHA256_HEX];
    T_OK(sha256_begin(&sha));
    for (int i = 1; i <= 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "many/model-%05d-of-00003.safetensors", i);
        T_OK(file_read_all(at(name), MAX_FILE, &text, &n));
        sha256_add(sha, text, n);
        mem_free(text);
    }
    sha256_end(sha, by_hand);
    T_EQ_STR(one, by_hand);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(an_index_that_does_not_fit_its_shards_is_refused)
{
    static const struct {
        const char *index, *why;
    } cases[] = {
        {"{}", "index.json: weight_map: found nothing, expected an object"},
        {"{\"weight_map\":{}}", "weight_map: found an object, expected the names of tensors"},
        {"{\"weight_map\":{\"b.weight\":3}}", "weight_map.b.weight: found 3, expected a text"},
        {"{\"weight_map\":{\"b.weight\":\"../x.safetensors\"}}",
         "weight_map.b.weight: found the text \"../x.safetensors\", expected the name of a file in "
         "the same folder"},
        {"{\"weight_map\":{\"b.weight\":\"/etc/passwd\"}}", "in the same folder"},
        {"{\"weight_map\":{\"b.weight\":\"sub/x\"}}", "in the same folder"},
        {"{\"weight_map\":{\"b.weight\":\"..\"}}", "in the same folder"},
        {"{\"weight_map\":{\"b.weight\":\"\"}}", "in the same folder"},
        {"{\"weight_map\":{\"b.weight\":\"s1\",\"b.weight\":\"s1\"}}", "duplicate object key"},
        {"{\"weight_map\":{\"b.weight\":\"s1\"}}", "shards/s1: tensor a.weight is not listed in"},
        {"{\"weight_map\":{\"b.weight\":\"s1\",\"a.weight\":\"s2\"}}",
         "tensor a.weight is in both"},
        {"{\"weight_map\":{\"b.weight\":\"s1\",\"a.weight\":\"s1\",\"c\":\"s1\"}}",
         "index.json: weight_map.c: found the text \"s1\", expected a file that has it"},
        {"{\"weight_map\":{\"b.weight\":\"s1\",\"a.weight\":\"s1\",\"half\":\"s1\",\"e\":\"s3\"}}",
         "index.json: tensor half is said to be in s1, it is in s3"},
    };
    SafeTensors *s = NULL;
    const SafeTensor second[] = {MODEL[1], MODEL[2]};
    T_OK(dir_make(at("shards")));
    T_OK(safetensors_write(at("shards/s1"), MODEL, 2, NULL, NULL));
    T_OK(safetensors_write(at("shards/s2"), second, 2, NULL, NULL));
    T_OK(safetensors_write(at("shards/s3"), &MODEL[2], 1, NULL, NULL));
    for (int64_t i = 0; i < N_OF(cases); i++) {
        write_text(at("shards/model.safetensors.index.json"), cases[i].index);
        T_FAILS(safetensors_open_folder(at("shards"), &s), FORMAT, cases[i].why);
        T_TRUE(s == NULL);
        T_EQ_I64(mem_live(), 0);
    }
    write_text(at("shards/model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"none\"}}");
    T_FAILS(safetensors_open_folder(at("shards"), &s), DATA, "shards/none: cannot open");
}
END_TEST

START_TEST(a_folder_without_a_model_says_what_was_looked_for)
{
    SafeTensors *s = NULL;
    T_FAILS(safetensors_open_folder(at("nowhere"), &s), DATA, "nowhere: is not a directory");
    T_OK(dir_make(at("bare")));
    T_FAILS(safetensors_open_folder(at("bare"), &s), DATA,
            "bare: has neither model.safetensors nor model.safetensors.index.json");
    write_text(at("bare/pytorch_model.bin"), "x");
    T_FAILS(safetensors_open_folder(at("bare"), &s), DATA,
            "the pickled weights of pytorch_model.bin are not read");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

static double element(const SafeTensor *t, int64_t i)
{
    if (t->dtype == DT_F32) return ((const float *)t->data)[i];
    if (t->dtype == DT_F64) return ((const double *)t->data)[i];
    return ((const int32_t *)t->data)[i];
}

START_TEST(files_of_other_writers_are_read)
{
    static const struct {
        const char *file, *tensor, *dtype;
        int64_t n_tensor, n;
        double first, last;
    } cases[] = {
        {"models/safetensors_tiny/tensor-1d-int32.safetensors", "embedding", "I32", 1, 3, 1, 3},
        {"models/safetensors_tiny/tensor-2d-float64.safetensors", "embedding", "F64", 1, 6, 1, 26},
        {"models/safetensors_tiny/tensor-3d-float32.safetensors", "embedding", "F32", 1, 12, 22, 3},
        {"models/safetensors_tiny/tensor-4d-float32.safetensors", "embedding", "F32", 1, 18, 11,
         19},
    };
    for (int64_t i = 0; i < N_OF(cases); i++) {
        const char *path = test_shared_data(cases[i].file);
        if (!path) T_SKIP("the shared data are not here");
        SafeTensors *s = NULL;
        T_OK(safetensors_open(path, &s));
        const SafeTensor *t = safetensors_find(s, cases[i].tensor);
        T_TRUE(t != NULL);
        T_EQ_STR(t->stored_dtype, cases[i].dtype);
        T_EQ_I64(t->n, cases[i].n);
        T_NEAR(element(t, 0), cases[i].first, 1e-12);
        T_NEAR(element(t, t->n - 1), cases[i].last, 1e-12);
        safetensors_close(s);
    }
    const char *adapter =
        test_shared_data("models/lora_adapters/mlx_qwen2.5_0.5b/adapters.safetensors");
    if (!adapter) T_SKIP("the shared data are not here");
    SafeTensors *s = NULL;
    T_OK(safetensors_open(adapter, &s));
    T_EQ_I64(safetensors_count(s), 8);
    T_EQ_I64(safetensors_find(s, "model.layers.22.self_attn.q_proj.lora_a")->dim[0], 896);
    safetensors_close(s);
}
END_TEST

int main(void)
{
    const TTest *t[] = {what_the_format_allows_is_read,
                        every_broken_rule_is_named,
                        a_length_that_lies_is_refused,
                        a_file_cut_at_any_byte_is_refused,
                        a_model_comes_back_and_its_bytes_are_the_same_each_time,
                        values_may_come_one_tensor_at_a_time,
                        what_cannot_be_written_is_our_bug,
                        a_writer_that_fails_leaves_the_old_file,
                        a_reader_that_fails_says_so_and_leaves_nothing,
                        unaligned_data_are_handed_out_aligned,
                        a_tensor_of_more_than_four_gigabytes_is_read,
                        a_folder_is_one_file_or_shards_with_an_index,
                        an_index_that_does_not_fit_its_shards_is_refused,
                        a_folder_without_a_model_says_what_was_looked_for,
                        files_of_other_writers_are_read};
    return test_main("unit.safetensors", t, N_OF(t));
}
