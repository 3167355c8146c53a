/* stop.h — requests from outside: a signal sets a flag, nothing else; the step loop asks. And the
 * watchdog. */
#ifndef TRAINER_BASE_STOP_H
#define TRAINER_BASE_STOP_H
#include "trainer/base/status.h"

/* A signal that comes before anybody can act on it waits, also across exec: first thing in main. */
void stop_hold(void);
/* Then one of these. A run: SIGUSR1, SIGTERM (and the first SIGINT on a terminal) set the flag.
 * Whatever has nothing to save: they end it. */
void stop_install(void);
void stop_let_go(void);
bool stop_requested(void);
void stop_request(void); /* what the handler does; for tests */

/* A thread of its own that ends this rank with exit 69 when a phase lasts longer than its limit,
 * naming rank, phase and step. Rank: local. limit_s <= 0 switches it off. */
CHECKED Status watchdog_start(double setup_s, double step_s, double save_s);
void watchdog_stop(void);
typedef enum WatchPhase { WATCH_SETUP, WATCH_STEP, WATCH_SAVE, WATCH_IDLE } WatchPhase;
void watchdog_enter(WatchPhase phase, int64_t step); /* also says: alive */
#endif
