#include "trainer/tensor/kernels/kernel.h"
#include "trainer/tensor/kernels/kernel_sets.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#ifndef REAL_IS_DOUBLE
static bool cpu_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static bool cpu_any(void)
{
    return true;
}

/* Best first. */
static const struct {
    const Kernels *set;
    bool (*usable)(void);
} sets[] = {
#ifndef REAL_IS_DOUBLE
    {&kernels_avx512, cpu_has_avx512},
    {&kernels_avx2, cpu_has_avx2},
#endif
    {&kernels_plain, cpu_any},
};

static _Atomic(const Kernels *) chosen;

bool kernels_use(const char *name)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if ((name && strcmp(name, sets[i].set->name) != 0) || !sets[i].usable()) continue;
        atomic_store(&chosen, sets[i].set);
        return true;
    }
    return false;
}

const Kernels *kernels(void)
{
    const Kernels *set = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!set) {
        (void)kernels_use(NULL); /* the plain set is always usable */
        set = atomic_load(&chosen);
    }
    return set;
}
