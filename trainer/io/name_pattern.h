/* name_pattern.h — regular expressions that choose modules and parameters by their names. */
#ifndef TRAINER_IO_NAME_PATTERN_H
#define TRAINER_IO_NAME_PATTERN_H
#include "trainer/base/status.h"

typedef struct NamePattern NamePattern;
typedef enum NameMatch {
    NAME_WHOLE, /* all of the name */
    NAME_START  /* from its first byte on */
} NameMatch;

/* A PCRE2 expression of n bytes; what Python's `re` takes for names means the same here.
 * Errors  ST_CONFIG with what is wrong and where; ST_NOMEM */
CHECKED Status name_pattern_create(const char *text, int64_t n, NamePattern **p);
void name_pattern_destroy(NamePattern *p);

/* Errors: ST_CONFIG the expression takes too long on this name; ST_NOMEM */
CHECKED Status name_pattern_matches(const NamePattern *p, const char *name, NameMatch how,
                                    bool *matches);
#endif
