/* cpu.h — what this CPU can do, and which CPUs of the node this rank computes on. */
#ifndef TRAINER_BASE_CPU_H
#define TRAINER_BASE_CPU_H
#include "trainer/base/comm.h"

typedef enum CpuFeature {
    CPU_AVX2 = 1,
    CPU_AVX512 = 2, /* F, DQ, BW and VL */
    CPU_AVX512_BF16 = 4,
    CPU_AVX512_VP2INTERSECT = 8, /* tells Zen 5 from Zen 4 */
    CPU_AMD = 16,
} CpuFeature;

unsigned cpu_features(void);            /* a sum of CpuFeature */
void cpu_name(char *buf, size_t n_buf); /* "AMD EPYC 9965 192-Core Processor"; "" unknown */

/* Prepares what the OpenMP library reads before main, so the program has to be run again when it
 * returns true. Affinity becomes that of the launcher, for the library spins only as long as it
 * believes to have a CPU per thread. GOMP_SPINCOUNT is made short unless the user has set it, shorter
 * with more threads on the node than CPUs: where others use the CPUs too, spinning threads keep out
 * those they wait for (with the library's 300,000 turns a small model was 2 to 6 times slower). */
bool cpu_environment(void);

typedef struct CpuShare {
    int n_cpu;    /* hardware threads this rank may run on */
    int n_core;   /* the cores they belong to */
    int n_thread; /* OpenMP threads that follow, now set */
} CpuShare;

/* Gives every rank its part of the CPUs that the job may use on its node, and sets the number of
 * OpenMP threads: `threads` if positive, else OMP_NUM_THREADS if set, else one per core of the part
 * (fewer under a container's CPU quota).
 *
 * mpirun binds ranks to cores; what the job may use is then the affinity of mpirun itself. Ranks
 * started otherwise keep what they were given, and divide it where several were given the same.
 * More ranks than cores share all of them. With OMP_PROC_BIND or OMP_PLACES set, affinity is the
 * user's own affair. Called after comm_start and before the first parallel region.
 * Rank    collective
 * Errors  ST_NOMEM */
CHECKED Status cpu_claim_share(const Comm *c, int64_t threads, CpuShare *share);

/* Part `index` of `count` of n CPUs, cut between cores as evenly as can be: entries [first, end).
 * Shapes  core: (n), ascending, equal for the hardware threads of one core
 * Returns how many cores the part has; with more parts than cores each is everything.
 * Rank    replicated */
int cpu_part(const int64_t *core, int n, int index, int count, int *first, int *end);
#endif
