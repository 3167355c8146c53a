/* log.h — lines for people, on standard error. Rank 0 speaks for all unless LOG_LOCAL is used. */
#ifndef TRAINER_BASE_LOG_H
#define TRAINER_BASE_LOG_H
#include "trainer/base/status.h"

typedef enum LogLevel { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } LogLevel;

void log_set_rank(int rank, int n_rank); /* called once by comm.c */
void log_set_level(LogLevel level);
void log_line(LogLevel level, bool every_rank, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define LOG_E(...) log_line(LOG_ERROR, false, __VA_ARGS__)
#define LOG_W(...) log_line(LOG_WARN, false, __VA_ARGS__)
#define LOG_I(...) log_line(LOG_INFO, false, __VA_ARGS__)
#define LOG_D(...) log_line(LOG_DEBUG, false, __VA_ARGS__)
#define LOG_LOCAL(level, ...) log_line(level, true, __VA_ARGS__)

double clock_s(void); /* monotonic seconds */
#endif
