/* tokenize_rate.c — MB/s of a tokenizer on one core: FOLDER FILE [SECONDS]. The file is encoded in
 * documents of about 4 KiB, cut at line ends, again and again for that long; the median pass counts. */
#include "data/data.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DOCUMENT = 4096, MAX_PASS = 1000, MAX_FILE = 1 << 30 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static Status one_pass(const Tokenizer *tok, const char *text, size_t n, TokenList *list,
                       int64_t *n_token)
{
    Status rc = ST_OK;
    *n_token = 0;
    for (size_t from = 0, to; from < n; from = to) {
        to = from + DOCUMENT < n ? from + DOCUMENT : n;
        const char *newline = memchr(text + to, '\n', n - to);
        to = newline ? (size_t)(newline - text) + 1 : n;
        list->n = 0;
        TRY(tokenizer_encode(tok, text + from, (int64_t)(to - from), TOKENIZER_PLAIN, list));
        *n_token += list->n;
    }
out:
    return rc;
}

static Status measure(const char *folder, const char *path, double budget_s)
{
    Status rc = ST_OK;
    static double rate[MAX_PASS];
    Tokenizer *tok = NULL;
    TokenList list = {0};
    char *text = NULL;
    size_t n;
    int64_t n_token = 0, n_pass = 0;
    const double begin = seconds();
    TRY(tokenizer_open(folder, &tok));
    const double opened = seconds();
    TRY(file_read_all(path, MAX_FILE, &text, &n));
    for (double now = seconds(), end = now + budget_s; now < end && n_pass < MAX_PASS;) {
        const double from = now;
        TRY(one_pass(tok, text, n, &list, &n_token));
        now = seconds();
        rate[n_pass++] = (double)n / (now - from) * 1e-6;
    }
    const double first = rate[0];
    qsort(rate, (size_t)n_pass, sizeof *rate, by_value);
    printf("opened in %.2f s; %zu bytes, %lld tokens; first pass %.1f MB/s; median of %lld: %.1f "
           "MB/s\n",
           opened - begin, n, LL(n_token), first, LL(n_pass), rate[n_pass / 2]);
out:
    mem_free(text);
    token_list_fini(&list);
    tokenizer_close(tok);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: tokenize_rate FOLDER FILE [SECONDS]\n");
        return status_exit_code(ST_USAGE);
    }
    const Status rc = measure(argv[1], argv[2], argc > 3 ? atof(argv[3]) : 2.0);
    if (rc != ST_OK) fprintf(stderr, "%s\n", status_message());
    return status_exit_code(rc);
}
