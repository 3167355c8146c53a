/* mapped.c — mmap, and a signal handler that looks a faulting address up in a list of all mappings.
 */
#include "trainer/io/mapped.h"
#include "trainer/io/sys.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

struct Mapped {
    void *data;
    size_t n_bytes;
    char *path, *farewell; /* what the handler writes: it cannot format */
    size_t n_farewell;
    Mapped *next;
};

static Mapped *_Atomic all; /* the handler reads it while the owner's thread stands still */
static struct sigaction before;

static const Mapped *mapping_of(const void *address)
{
    for (const Mapped *m = all; m; m = m->next)
        if ((uintptr_t)address - (uintptr_t)m->data < m->n_bytes) return m;
    return NULL;
}

/* Async-signal-safe. */
static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
    static atomic_flag speaking = ATOMIC_FLAG_INIT;
    const Mapped *m = info->si_code > 0 ? mapping_of(info->si_addr) : NULL;
    (void)context;
    if (!m) {
        sigaction(SIGBUS, &before, NULL);             /* a fault repeats at the return, */
        if (info->si_code <= 0) raise(signal_number); /* what was sent waits for it */
        return;
    }
    while (atomic_flag_test_and_set(&speaking)) pause(); /* another thread faults, too */
    const ssize_t put = write(STDERR_FILENO, m->farewell, m->n_farewell);
    (void)put;
    _exit(status_exit_code(ST_IO));
}

static void watch_sigbus(void)
{
    struct sigaction now, ours = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, NULL, &now);
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus) return;
    sigaction(SIGBUS, &ours, &before);
}

Status mapped_open(const char *path, Mapped **out)
{
    Status rc = ST_OK;
    int fd = -1;
    int64_t n = 0;
    Mapped *m = mem_alloc(sizeof *m);
    *out = NULL;
    CHECK(m, NOMEM, "%s: no memory to map it", path);
    TRY(sys_open_regular(path, &fd, &n));
    CHECK(n > 0, DATA, "%s: is empty", path);
    m->path = mem_strdup(path);
    m->farewell = mem_printf("error: %s: was cut or cannot be read any more while it was in use; "
                             "it had %lld bytes\n",
                             path, LL(n));
    CHECK(m->path && m->farewell, NOMEM, "%s: no memory to map it", path);
    m->n_farewell = strlen(m->farewell);
    void *data = fault_here() ? (errno = EIO, MAP_FAILED)
                              : mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(data != MAP_FAILED, DATA, "%s: cannot map %lld bytes: %s", path, LL(n), strerror(errno));
    m->data = data;
    m->n_bytes = (size_t)n;
    m->next = all;
    all = m;
    watch_sigbus();
    *out = m;
    m = NULL;
out:
    mapped_close(m);
    if (fd >= 0) close(fd);
    return rc;
}

static void forget(const Mapped *m)
{
    if (all == m) all = m->next;
    for (Mapped *at = all; at; at = at->next)
        if (at->next == m) at->next = m->next;
}

void mapped_close(Mapped *m)
{
    if (!m) return;
    if (m->data) {
        forget(m);
        munmap(m->data, m->n_bytes);
    }
    mem_free(m->farewell);
    mem_free(m->path);
    mem_free(m);
}

const void *mapped_data(const Mapped *m)
{
    return m->data;
}

int64_t mapped_bytes(const Mapped *m)
{
    return (int64_t)m->n_bytes;
}

const char *mapped_path(const Mapped *m)
{
    return m->path;
}
