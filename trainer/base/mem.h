/* mem.h — checked memory: every allocation of the program goes through here, so tests can count and
 * break it. */
#ifndef TRAINER_BASE_MEM_H
#define TRAINER_BASE_MEM_H
#include "trainer/base/status.h"

/* Zeroed memory, aligned to 64 bytes; NULL when there is none (or a test asked for a failure).
 * Zero bytes give a valid pointer. Owns: the caller, until mem_free. */
void *mem_alloc(size_t n_bytes) __attribute__((malloc));
void *mem_array(int64_t n, size_t elem_bytes); /* NULL also when the product overflows or n < 0 */
void *mem_resize(void *p, size_t old_bytes,
                 size_t new_bytes); /* new bytes are zeroed; p stays valid on NULL */
char *mem_strdup(const char *s);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p); /* accepts NULL */

/* Gives freed memory back to the system. The C library keeps blocks of up to 32 MB otherwise, once one was freed. */
void mem_trim(void);

int64_t mem_live(void);       /* blocks not yet freed, for leak tests */
int64_t mem_peak_bytes(void); /* highest sum of live bytes so far */
int64_t mem_live_bytes(void);

/* Test hook: the n-th allocation or I/O call from now on fails (n = 1 is the next one). 0 disarms.
 * `stays` keeps every later one failing too, as a full disk does. */
void fault_arm(int64_t n, bool stays);
bool fault_disarm(void);    /* did it get that far? */
int64_t fault_passed(void); /* calls between fault_arm and fault_disarm that did not fail */
bool fault_here(void);      /* asked by mem.c and by io/ before each call that can fail */
#endif
