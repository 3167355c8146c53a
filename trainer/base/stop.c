/* stop.c — requests that wait until they are asked for, and the thread that ends a rank that hangs.
 *
 * No handler runs while a run computes: the kernels that oneDNN makes at run time keep numbers where the system puts a
 * handler's frame, so a signal that came in the midst of a product damaged memory. */
#include "trainer/base/stop.h"
#include "trainer/base/comm.h"
#include "trainer/base/log.h"
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static bool requested;

/* Who presses Ctrl-C means the whole process group, mpirun included; it is ours to answer on a terminal alone. */
static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    if (isatty(STDERR_FILENO)) sigaddset(&set, SIGINT);
    return set;
}

void stop_hold(void)
{
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void stop_let_go(void)
{
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

bool stop_requested(void)
{
    const struct timespec no_time = {0};
    const sigset_t set = stop_signals();
    sigset_t again;
    while (sigtimedwait(&set, NULL, &no_time) > 0) requested = true;
    sigemptyset(&again);
    sigaddset(&again, SIGINT); /* who presses it once more does not want to wait */
    if (requested) pthread_sigmask(SIG_UNBLOCK, &again, NULL);
    return requested;
}

static const char *const PHASE_NAME[] = {"set-up", "step", "save", "idle"};
static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running;
    double limit_s[WATCH_IDLE + 1];
    WatchPhase phase;
    int64_t step;
    double entered_s;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void *watch(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&dog.lock);
    while (dog.running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&dog.wake, &dog.lock, &until);
        const double limit = dog.limit_s[dog.phase], spent = clock_s() - dog.entered_s;
        if (dog.running && limit > 0 && spent > limit) {
            LOG_LOCAL(LOG_ERROR,
                      "%s at step %lld has lasted %.0f s, the limit is %.0f s: another rank is "
                      "lost or hangs",
                      PHASE_NAME[dog.phase], LL(dog.step), spent, limit);
            comm_abort(status_exit_code(ST_PEER));
        }
    }
    pthread_mutex_unlock(&dog.lock);
    return NULL;
}

Status watchdog_start(double setup_s, double step_s, double save_s)
{
    Status rc = ST_OK;
    dog.limit_s[WATCH_SETUP] = setup_s;
    dog.limit_s[WATCH_STEP] = step_s;
    dog.limit_s[WATCH_SAVE] = save_s;
    dog.phase = WATCH_SETUP;
    dog.entered_s = clock_s();
    dog.running = true;
    CHECK(pthread_create(&dog.thread, NULL, watch, NULL) == 0, NOMEM,
          "cannot start the watchdog thread");
out:
    if (rc != ST_OK) dog.running = false;
    return rc;
}

void watchdog_stop(void)
{
    if (!dog.running) return;
    pthread_mutex_lock(&dog.lock);
    dog.running = false;
    pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
}

void watchdog_enter(WatchPhase phase, int64_t step)
{
    pthread_mutex_lock(&dog.lock);
    dog.phase = phase;
    dog.step = step;
    dog.entered_s = clock_s();
    pthread_mutex_unlock(&dog.lock);
}
