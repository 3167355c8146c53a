/* text.h — a growing string; its one failure is remembered and asked for at the end. */
#ifndef TRAINER_RUN_TEXT_H
#define TRAINER_RUN_TEXT_H
#include "trainer/base/status.h"

typedef struct Text { /* {0} is an empty text */
    char *s;          /* NUL-terminated once something was added; NULL before */
    size_t n, cap;
    bool failed; /* memory ran out: everything added after that is dropped */
} Text;

void text_fini(Text *t);
void text_add(Text *t, const char *s);
void text_bytes(Text *t, const char *s, size_t n);
void text_printf(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Foreign text inside HTML, attributes included: markup is escaped, what is no UTF-8 or a control
 * character becomes U+FFFD. NULL adds nothing. */
void text_html(Text *t, const char *s);
void text_json_string(Text *t,
                      const char *s); /* with its quotes, escaped the same way; NULL: null */

/* The shortest decimal that reads back to the same double; null for NaN and infinities. */
void text_json_number(Text *t, double x);

CHECKED Status text_check(const Text *t); /* ST_NOMEM when any addition was lost */
#endif
