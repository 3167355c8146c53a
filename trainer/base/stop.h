/* stop.h — requests from outside: a signal waits, and nothing else; the step loop asks. And the
 * watchdog. */
#ifndef TRAINER_BASE_STOP_H
#define TRAINER_BASE_STOP_H
#include "trainer/base/status.h"

/* SIGUSR1, SIGTERM (and on a terminal the first SIGINT) wait until stop_requested asks for them, also across exec: first
 * thing in main, as threads inherit it. */
void stop_hold(void);
void stop_let_go(void);    /* for what has nothing to save: they end it */
bool stop_requested(void); /* Rank: local, by the main thread */

/* A thread of its own that ends this rank with exit 69 when a phase lasts longer than its limit,
 * naming rank, phase and step. Rank: local. limit_s <= 0 switches it off. */
CHECKED Status watchdog_start(double setup_s, double step_s, double save_s);
void watchdog_stop(void);
typedef enum WatchPhase { WATCH_SETUP, WATCH_STEP, WATCH_SAVE, WATCH_IDLE } WatchPhase;
void watchdog_enter(WatchPhase phase, int64_t step); /* also says: alive */
#endif
