/* gemm_choose.c — which backend, kernel set and compute dtype this CPU gets, and whether they work. */
#include "trainer/base/cpu.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include "trainer/tensor/gemm_backend.h"
#include "trainer/tensor/gemm_list.h"
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first line whose features the CPU has. The rates are GFLOP/s of one thread, medians of
 * bench/gemm; 0 where nobody has measured. The core names are OpenBLAS 0.3.21's, which knows
 * neither Zen 4 nor Zen 5 and would run Haswell kernels on them. */
typedef struct CpuEntry {
    unsigned features;
    const char *backend, *compute_dtype, *openblas_core;
    double rate_fp32, rate_bf16;
} CpuEntry;

enum { ZEN5 = CPU_AMD | CPU_AVX512 | CPU_AVX512_BF16 | CPU_AVX512_VP2INTERSECT };

// clang-format off
static const CpuEntry TABLE[] = {
    { ZEN5,                                   "onednn",    "bf16", "SkylakeX",   195, 430 },
    { CPU_AMD | CPU_AVX512 | CPU_AVX512_BF16, "onednn",    "bf16", "SkylakeX",     0,   0 },
    { CPU_AVX512 | CPU_AVX512_BF16,           "onednn",    "bf16", "Cooperlake",   0,   0 },
    { CPU_AVX512,                             "onednn",    "fp32", "SkylakeX",    90,   0 },
    { CPU_AMD | CPU_AVX2,                     "openblas",  "fp32", "Zen",          0,   0 },
    { CPU_AVX2,                               "openblas",  "fp32", "Haswell",      0,   0 },
    { 0,                                      "openblas",  "fp32", NULL,           0,   0 },
};
// clang-format on

#define EXTERN_BACKEND(name) extern const GemmBackend gemm_##name;
GEMM_LIST(EXTERN_BACKEND)
#define BACKEND_ADDRESS(name) &gemm_##name,
static const GemmBackend *const BACKENDS[] = {GEMM_LIST(BACKEND_ADDRESS)};

static const CpuEntry *entry(void)
{
    const unsigned have = cpu_features();
    const CpuEntry *e = TABLE;
    while ((e->features & have) != e->features) e++;
    return e;
}

static const GemmBackend *find(const char *name)
{
    for (int64_t i = 0; i < N_OF(BACKENDS); i++)
        if (strcmp(BACKENDS[i]->name, name) == 0) return BACKENDS[i];
    return NULL;
}

static bool usable(const GemmBackend *b)
{
    return b && (!b->usable || b->usable());
}

bool gemm_has_backend(const char *name)
{
    return usable(find(name));
}

void gemm_fix_environment(char **argv)
{
    bool changed = cpu_environment();
    for (int64_t i = 0; i < N_OF(BACKENDS); i++)
        if (BACKENDS[i]->environment) changed |= BACKENDS[i]->environment(entry()->openblas_core);
    /* Should this fail, the run goes on with the kernels it has, and gemm_init says which. */
    if (changed) execv("/proc/self/exe", argv);
}

/* Small whole numbers: every sum is exact in f32, so a correct backend has equal bits. */
static bool gives_exact_products(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b)
{
    enum { LARGEST = 131 * 101 };
    static real a[LARGEST], b[LARGEST], got[LARGEST], want[LARGEST];
    for (int64_t i = 0; i < LARGEST; i++) {
        a[i] = (real)(i * 7 % 17 - 8);
        b[i] = (real)(i * 5 % 13 - 6);
        got[i] = want[i] = (real)(i % 11);
    }
    const Mat ma = {a, trans_a ? m : k, DT_REAL, trans_a};
    const Mat mb = {b, trans_b ? k : n, DT_REAL, trans_b};
    gemm_reference.product(m, n, k, 1, ma, mb, 1, want, n);
    gemm(m, n, k, ma, mb, 1, got, n);
    return memcmp(got, want, (size_t)(m * n) * sizeof *got) == 0;
}

static Status self_test(void)
{
    static const int64_t shapes[][3] = {{1, 7, 33}, {64, 96, 64}, {96, 131, 101}};
    Status rc = ST_OK;
    for (int64_t i = 0; i < N_OF(shapes); i++)
        for (int trans = 0; trans < 4; trans++) {
            const int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            CHECK(
                gives_exact_products(m, n, k, trans & 1, trans & 2), BUG,
                "gemm: %s with %s kernels and %s products is wrong on this machine at (%lld,%lld) "
                "x (%lld,%lld)",
                gemm_choice().backend, gemm_choice().kernels, gemm_choice().compute_dtype, LL(m),
                LL(k), LL(k), LL(n));
        }
out:
    return rc;
}

static bool is_auto(const char *word)
{
    return !word || strcmp(word, "auto") == 0;
}

/* The table's backend, or the next best that is built in and can do it. */
static const GemmBackend *choose_backend(bool bf16)
{
    const char *const by_preference[] = {entry()->backend, "onednn", "openblas"};
    for (int64_t i = 0; i < N_OF(by_preference); i++) {
        const GemmBackend *b = find(by_preference[i]);
        if (usable(b) && (b->has_bf16 || !bf16)) return b;
    }
    return bf16 ? NULL : &gemm_reference;
}

static const char *list_of_usable(char *buf, size_t n_buf)
{
    size_t used = 0;
    for (int64_t i = 0; i < N_OF(BACKENDS) && used < n_buf; i++)
        if (usable(BACKENDS[i]))
            used += (size_t)snprintf(buf + used, n_buf - used, "%s%s", used ? ", " : "",
                                     BACKENDS[i]->name);
    return buf;
}

static Status resolve(const char *backend, const char *compute_dtype, GemmActive *active)
{
    Status rc = ST_OK;
    char names[64];
    const bool any_dtype = is_auto(compute_dtype);
    const bool asks_bf16 = !any_dtype && strcmp(compute_dtype, "bf16") == 0;
    CHECK(any_dtype || asks_bf16 || strcmp(compute_dtype, "fp32") == 0, CONFIG,
          "compute_dtype is \"%s\", not one of auto, fp32, bf16", compute_dtype);
    const bool is_native = strcmp(entry()->compute_dtype, "bf16") == 0;
    if (is_auto(backend)) {
        const GemmBackend *b = choose_backend(asks_bf16 || (any_dtype && is_native));
        if (!b && any_dtype) b = choose_backend(false);
        CHECK(b, CONFIG, "compute_dtype is bf16, but none of %s has bf16 products here",
              list_of_usable(names, sizeof names));
        active->backend = b;
    } else {
        const GemmBackend *b = find(backend);
        CHECK(usable(b), CONFIG, "gemm backend \"%s\" is %s; there are %s", backend,
              b ? "not usable on this CPU" : "not built in", list_of_usable(names, sizeof names));
        CHECK(b->has_bf16 || !asks_bf16, CONFIG,
              "compute_dtype is bf16, but %s has no bf16 product", b->name);
        active->backend = b;
    }
    const bool is_fast = active->backend->has_bf16 && active->backend != &gemm_reference;
    active->bf16 = asks_bf16 || (any_dtype && is_native && is_fast);
out:
    return rc;
}

Status gemm_init(const char *backend, const char *compute_dtype)
{
    Status rc = ST_OK;
    GemmActive active = gemm_active;
    TRY(resolve(backend, compute_dtype, &active));
    gemm_fini();
    if (active.backend->start) TRY(active.backend->start());
    gemm_active = active;
    if (active.backend->report) active.backend->report(entry()->openblas_core);
    TRY(self_test());
out:
    if (rc != ST_OK) gemm_fini();
    return rc;
}

void gemm_fini(void)
{
    if (gemm_active.backend->stop) gemm_active.backend->stop();
    gemm_active = (GemmActive){&gemm_reference, false};
}

GemmChoice gemm_choice(void)
{
    return (GemmChoice){gemm_active.backend->name, gemm_active.backend->kernels(),
                        gemm_active.bf16 ? "bf16" : "fp32"};
}

GemmRate gemm_rate(int n_thread)
{
    enum { N = 1024 };
    const double enough_s = 0.05, flops = 2.0 * N * N * N;
    const int threads = omp_get_max_threads();
    const double rate = gemm_active.bf16 ? entry()->rate_bf16 : entry()->rate_fp32;
    GemmRate out = {0, rate * n_thread};
    real *x = mem_array(3 * N * N, sizeof *x);
    if (!x) return out;
    for (int64_t i = 0; i < 2 * N * N; i++) x[i] = (real)(i % 7 - 3);
    const Mat a = {x, N, DT_REAL, false}, b = {x + N * N, N, DT_REAL, true};
    omp_set_num_threads(n_thread);
    const double start_s = clock_s();
    /* The first product also warms up; the best one is what the machine can do. */
    for (double now_s = start_s; now_s < start_s + enough_s;) {
        gemm(N, N, N, a, b, 0, x + 2 * N * N, N);
        const double then_s = now_s;
        now_s = clock_s();
        const double gflops = flops / (now_s - then_s) / 1e9;
        if (gflops > out.gflops) out.gflops = gflops;
    }
    omp_set_num_threads(threads);
    mem_free(x);
    return out;
}
