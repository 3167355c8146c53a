/* stop.c — the flag a signal sets, and the thread that ends a rank that hangs. */
#include "trainer/base/stop.h"
#include "trainer/base/comm.h"
#include "trainer/base/log.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t requested;

static void on_signal(int sig)
{
    (void)sig;
    requested = 1;
}

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
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

void stop_install(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sa.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_flags |= SA_RESETHAND; /* who presses Ctrl-C twice does not want to wait */
    if (isatty(STDERR_FILENO)) sigaction(SIGINT, &sa, NULL);
    stop_let_go();
}

bool stop_requested(void)
{
    return requested != 0;
}

void stop_request(void)
{
    requested = 1;
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
