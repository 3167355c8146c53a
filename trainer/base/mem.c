/* mem.c — a 64-byte header in front of every block holds its size, so live and peak bytes are
 * exact. */
#include "trainer/base/mem.h"
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 64 };

static atomic_int_least64_t n_live, live_bytes, peak_bytes;
static atomic_int_least64_t fault_countdown; /* 0: not armed */
static int64_t fault_n, fault_n_passed;
static atomic_bool fault_stays, fault_hit;

void fault_arm(int64_t n, bool stays)
{
    fault_hit = false;
    fault_stays = stays;
    fault_countdown = fault_n = n;
}

bool fault_disarm(void)
{
    fault_n_passed = fault_n - fault_countdown;
    fault_countdown = 0;
    return fault_hit;
}

int64_t fault_passed(void)
{
    return fault_n_passed;
}

bool fault_here(void)
{
    int64_t left = fault_countdown;
    if (left == 0) return false;
    if (fault_hit) return fault_stays;
    while (left > 1 && !atomic_compare_exchange_weak(&fault_countdown, &left, left - 1)) {
    }
    if (left > 1) return false;
    return !atomic_exchange(&fault_hit, true) || fault_stays;
}

static size_t *size_of(void *p)
{
    return (size_t *)((char *)p - HEADER);
}

static void count(int64_t blocks, int64_t bytes)
{
    n_live += blocks;
    const int64_t now = atomic_fetch_add(&live_bytes, bytes) + bytes;
    int64_t peak = peak_bytes;
    while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now)) {
    }
}

void *mem_alloc(size_t n_bytes)
{
    if (fault_here() || n_bytes > SIZE_MAX / 2) return NULL;
    const size_t padded = (n_bytes + HEADER - 1) / HEADER * HEADER;
    char *block = NULL;
    /* Large blocks come zeroed from the kernel page by page; touching them here would defeat that.
     */
    if (padded >= (size_t)1 << 20) {
        char *raw = calloc(1, padded + 3 * HEADER);
        if (!raw) return NULL;
        block = (char *)(((uintptr_t)raw + 2 * HEADER - 1) / HEADER * HEADER);
        ((void **)block)[1] = raw;
    } else {
        block = aligned_alloc(HEADER, padded + HEADER);
        if (!block) return NULL;
        memset(block, 0, padded + HEADER);
        ((void **)block)[1] = block;
    }
    void *p = block + HEADER;
    *size_of(p) = n_bytes;
    count(1, (int64_t)n_bytes);
    return p;
}

void *mem_array(int64_t n, size_t elem_bytes)
{
    size_t n_bytes;
    if (n < 0 || __builtin_mul_overflow((size_t)n, elem_bytes, &n_bytes)) return NULL;
    return mem_alloc(n_bytes);
}

void *mem_resize(void *p, size_t old_bytes, size_t new_bytes)
{
    void *q = mem_alloc(new_bytes);
    if (!q) return NULL;
    if (p) memcpy(q, p, old_bytes < new_bytes ? old_bytes : new_bytes);
    mem_free(p);
    return q;
}

char *mem_strdup(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *copy = mem_alloc(n);
    if (copy) memcpy(copy, s, n);
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : mem_alloc((size_t)n + 1);
    if (s) vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

void mem_free(void *p)
{
    if (!p) return;
    count(-1, -(int64_t)*size_of(p));
    free(((void **)size_of(p))[1]);
}

void mem_trim(void)
{
    malloc_trim(0);
}

int64_t mem_live(void)
{
    return n_live;
}

int64_t mem_live_bytes(void)
{
    return live_bytes;
}

int64_t mem_peak_bytes(void)
{
    return peak_bytes;
}
