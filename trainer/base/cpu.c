/* cpu.c — see cpu.h. */
#include "trainer/base/cpu.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include <cpuid.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned cpu_features(void)
{
    unsigned f = 0;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) f |= CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        f |= CPU_AVX512;
    if (__builtin_cpu_supports("avx512bf16")) f |= CPU_AVX512_BF16;
    if (__builtin_cpu_supports("avx512vp2intersect")) f |= CPU_AVX512_VP2INTERSECT;
    if (__builtin_cpu_is("amd")) f |= CPU_AMD;
    return f;
}

void cpu_name(char *buf, size_t n_buf)
{
    enum { N_LEAF = 3 };
    const unsigned first_leaf = 0x80000002u;
    unsigned words[N_LEAF][4] = {{0}};
    char text[sizeof words + 1] = "";
    for (unsigned i = 0; i < N_LEAF; i++)
        if (!__get_cpuid(first_leaf + i, &words[i][0], &words[i][1], &words[i][2], &words[i][3]))
            break;
    memcpy(text, words, sizeof words);
    const char *begin = text + strspn(text, " ");
    snprintf(buf, n_buf, "%s", begin);
}

int cpu_part(const int64_t *core, int n, int index, int count, int *first, int *end)
{
    int n_core = 0;
    for (int i = 0; i < n; i++) n_core += i == 0 || core[i] != core[i - 1];
    *first = 0;
    *end = n;
    if (count > n_core || count <= 1) return n_core;
    const int first_core = (int)((int64_t)index * n_core / count);
    const int end_core = (int)((int64_t)(index + 1) * n_core / count);
    for (int i = 0, at = -1; i < n; i++) {
        at += i == 0 || core[i] != core[i - 1];
        if (at < first_core) *first = i + 1;
        if (at < end_core) *end = i + 1;
    }
    return end_core - first_core;
}

/* The first number in a small file of /proc or /sys; `otherwise` when there is none. */
static int64_t number_in(const char *path, int64_t otherwise)
{
    FILE *f = fopen(path, "re");
    long long value = otherwise;
    if (f && fscanf(f, "%lld", &value) != 1) value = otherwise;
    if (f) fclose(f);
    return value;
}

/* CPUs' worth of time that the container grants; 0 means no limit. */
static int64_t cpu_quota(void)
{
    long long quota = -1, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re"); /* "200000 100000" or "max 100000" */
    if (f) {
        if (fscanf(f, "%lld %lld", &quota, &period) != 2) quota = -1;
        fclose(f);
    } else {
        quota = number_in("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", -1);
        period = number_in("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 0);
    }
    return quota > 0 && period > 0 ? (quota + period - 1) / period : 0;
}

static bool is_launcher(const char *command)
{
    static const char *const names[] = {"mpirun",  "mpiexec", "orterun",         "orted",
                                        "prterun", "prted",   "hydra_pmi_proxy", "mpiexec.hydra"};
    for (int64_t i = 0; i < N_OF(names); i++)
        if (strcmp(command, names[i]) == 0) return true;
    return false;
}

/* The nearest ancestor that is an MPI launcher; 0: none. */
static pid_t launcher_pid(void)
{
    pid_t pid = getppid();
    while (pid > 1) {
        char path[64], command[64] = "";
        int parent = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "re");
        if (!f) return 0;
        const int n_read = fscanf(f, "%*d (%63[^)]) %*c %d", command, &parent);
        fclose(f);
        if (n_read != 2) return 0;
        if (is_launcher(command)) return pid;
        pid = parent;
    }
    return 0;
}

/* What the job may use: own affinity, or that of the launcher, which has narrowed ours. */
static bool allowed_cpus(cpu_set_t *set)
{
    const pid_t launcher = launcher_pid();
    return (launcher > 0 && sched_getaffinity(launcher, sizeof *set, set) == 0) ||
           sched_getaffinity(0, sizeof *set, set) == 0;
}

static bool binds_itself(void)
{
    return getenv("OMP_PROC_BIND") || getenv("OMP_PLACES");
}

static int positive_env(const char *name)
{
    const char *text = getenv(name);
    const int n = text ? atoi(text) : 1;
    return n > 0 ? n : 1;
}

bool cpu_environment(void)
{
    cpu_set_t set;
    if (binds_itself() || !allowed_cpus(&set)) return false;
    const bool widened = sched_setaffinity(0, sizeof set, &set) == 0;
    const int64_t n_thread =
        (int64_t)positive_env("OMP_NUM_THREADS") * positive_env("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (!widened || getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return false;
    return setenv("GOMP_SPINCOUNT", n_thread > CPU_COUNT(&set) ? "1000" : "10000", 0) == 0;
}

typedef struct NodeCpus {
    uint64_t host;
    cpu_set_t allowed;
} NodeCpus;

/* Which of how many ranks on this node that were given some of the same CPUs. */
static Status find_sharers(const Comm *c, const NodeCpus *mine, int *index, int *count)
{
    Status rc = ST_OK;
    void *gathered = NULL;
    size_t *n_each = NULL;
    const int n = comm_size(c);
    NodeCpus *all = mem_array(n, sizeof *all);
    TRY(comm_agree(c, all ? ST_OK
                          : status_fail(ST_NOMEM, __FILE__, __LINE__, "CPU sets of %d ranks", n)));
    TRY(comm_gather(c, mine, sizeof *mine, &gathered, &n_each));
    if (gathered) memcpy(all, gathered, (size_t)n * sizeof *all);
    comm_bcast(c, all, (size_t)n * sizeof *all, 0);
    *index = *count = 0;
    for (int r = 0; r < n; r++) {
        cpu_set_t both;
        CPU_AND(&both, &all[r].allowed, &mine->allowed);
        if (all[r].host != mine->host || CPU_COUNT(&both) == 0) continue;
        *index += r < comm_rank(c);
        ++*count;
    }
out:
    mem_free(gathered);
    mem_free(n_each);
    mem_free(all);
    return rc;
}

typedef struct CpuPlace {
    int64_t core; /* package and core in one number; -1 - cpu where the kernel does not say */
    int cpu;
} CpuPlace;

static int by_core(const void *a, const void *b)
{
    const CpuPlace *x = a, *y = b;
    if (x->core != y->core) return x->core < y->core ? -1 : 1;
    return x->cpu - y->cpu;
}

static int list_places(const cpu_set_t *set, CpuPlace *places)
{
    int n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, set)) continue;
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id",
                 cpu);
        const int64_t package = number_in(path, -1);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
        const int64_t core = number_in(path, -1);
        const bool known = package >= 0 && core >= 0;
        places[n++] = (CpuPlace){known ? package << 32 | core : -1 - cpu, cpu};
    }
    qsort(places, (size_t)n, sizeof *places, by_core);
    return n;
}

static void take_part(const cpu_set_t *allowed, int index, int count, cpu_set_t *part,
                      CpuShare *share)
{
    CpuPlace places[CPU_SETSIZE];
    int64_t core[CPU_SETSIZE];
    const int n = list_places(allowed, places);
    for (int i = 0; i < n; i++) core[i] = places[i].core;
    int first, end;
    share->n_core = cpu_part(core, n, index, count, &first, &end);
    share->n_cpu = end - first;
    CPU_ZERO(part);
    for (int i = first; i < end; i++) CPU_SET(places[i].cpu, part);
}

static int threads_for(const CpuShare *share, int count, int64_t threads)
{
    if (threads > 0) return (int)threads;
    if (getenv("OMP_NUM_THREADS")) return omp_get_max_threads();
    /* More ranks than cores: one thread each. Otherwise the part has its cores to itself. */
    int64_t n = count > share->n_core ? 1 : share->n_core;
    const int64_t quota = cpu_quota();
    if (quota > 0 && n * count > quota) n = quota / count;
    return n < 1 ? 1 : (int)n;
}

Status cpu_claim_share(const Comm *c, int64_t threads, CpuShare *share)
{
    Status rc = ST_OK;
    char host[256] = "";
    NodeCpus mine = {0};
    cpu_set_t part;
    int index = 0, count = 1;
    *share = (CpuShare){.n_thread = threads > 0 ? (int)threads : omp_get_max_threads()};
    comm_hostname(host, sizeof host);
    mine.host = rng_hash_bytes(host, strlen(host), 0);
    const bool known = allowed_cpus(&mine.allowed);
    TRY(find_sharers(c, &mine, &index, &count));
    if (known && !binds_itself()) {
        take_part(&mine.allowed, index, count, &part, share);
        share->n_thread = threads_for(share, count, threads);
        if (sched_setaffinity(0, sizeof part, &part) != 0)
            LOG_LOCAL(LOG_WARN, "cannot move to %d CPUs of this node", share->n_cpu);
    }
    omp_set_num_threads(share->n_thread);
out:
    return rc;
}
