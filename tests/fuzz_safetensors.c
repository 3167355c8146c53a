/* fuzz_safetensors.c — any bytes as a safetensors file: refused, or read and then true to itself. */
#include "trainer/base/mem.h"
#include "trainer/io/safetensors.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void expect(bool holds)
{
    if (!holds) abort();
}

/* Every byte of every tensor is touched, every tensor is found, and together they fill the file. */
static void read_it_all(const SafeTensors *s, size_t n_file)
{
    size_t n_data = 0;
    unsigned bits = 0;
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const SafeTensor *t = safetensors_at(s, i);
        const unsigned char *bytes = t->data;
        int64_t n = 1;
        for (size_t b = 0; b < t->n_bytes; b++) bits |= bytes[b];
        for (int d = 0; d < t->n_dim; d++) n *= t->dim[d];
        expect(n == t->n && safetensors_find(s, t->name) == t);
        expect(i == 0 || strcmp(safetensors_at(s, i - 1)->name, t->name) < 0);
        n_data += t->n_bytes;
    }
    expect(n_data + 10 <= n_file && bits <= 0xff);
}

static void try_to_open(const void *bytes, size_t n)
{
    SafeTensors *s = NULL;
    const Status rc = safetensors_open_bytes("fuzz", bytes, n, &s);
    expect(rc == ST_OK || rc == ST_FORMAT);
    expect((rc == ST_OK) == (s != NULL) && (rc == ST_OK) == !status_message()[0]);
    if (s) read_it_all(s, n);
    safetensors_close(s);
    status_clear();
    expect(mem_live() == 0);
}

/* An input that begins with '{' lacks the length: its header ends at the last '}', so that a mutation
 * need not keep the two in step. All others are whole files. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    if (n == 0 || input[0] != '{') {
        try_to_open(input, n);
        return 0;
    }
    const uint8_t *last = memrchr(input, '}', n);
    const uint64_t n_header = last ? (uint64_t)(last - input) + 1 : n;
    uint8_t *file = malloc(sizeof n_header + n);
    expect(file != NULL);
    memcpy(file, &n_header, sizeof n_header);
    memcpy(file + sizeof n_header, input, n);
    try_to_open(file, sizeof n_header + n);
    free(file);
    return 0;
}
