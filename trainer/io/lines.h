/* lines.h — text files line by line, plain or gzip; bounded memory, no silent truncation. */
#ifndef TRAINER_IO_LINES_H
#define TRAINER_IO_LINES_H
#include "trainer/base/status.h"

/* Plain or gzip is told by the first bytes; a .gz that is none, a truncated or damaged stream, and
 * bytes after its end are errors (further gzip members are not). UTF-8 is checked; a byte order
 * mark at the start is skipped. */
typedef struct LineReader LineReader;

/* Errors  ST_DATA missing, not a regular file, unreadable; ST_FORMAT a .gz that is no gzip */
CHECKED Status lines_open(const char *path, int64_t max_line_bytes, LineReader **r);
void lines_close(LineReader *r);

/* The next line without its end ("\n" or "\r\n"), NUL-terminated, valid until the next call;
 * *line is NULL at the end of the file.
 *
 * Errors  ST_FORMAT "path:line: ..." over-long line, NUL, invalid UTF-8 (with its byte);
 *         "path: ..." truncated or damaged gzip (with its byte); ST_DATA unreadable */
CHECKED Status lines_next(LineReader *r, const char **line, int64_t *n);
int64_t lines_number(const LineReader *r); /* 1-based, of the line last returned */
/* Puts "path:line: " of the line last returned in front of what is wrong with it. Errors: failed itself */
CHECKED Status lines_failed(const LineReader *r, Status failed);
bool lines_has_end(const LineReader *r); /* did that line end in "\n", or with the file */

/* Position of the first byte that is not UTF-8 (RFC 3629: no surrogates, no overlong forms); n when
 * all is well. */
int64_t utf8_check(const char *text, int64_t n);
#endif
