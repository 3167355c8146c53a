/* gemm_openblas.c — OpenBLAS, called one-threaded. */
#include "trainer/base/log.h"
#include "trainer/tensor/gemm_backend.h"
#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CORETYPE "OPENBLAS_CORETYPE"

/* A build for one CPU type only does not read OPENBLAS_CORETYPE. */
static bool is_dynamic(void)
{
    return strstr(openblas_get_config(), "DYNAMIC_ARCH") != NULL;
}

static bool set_if_absent(const char *name, const char *value)
{
    return !getenv(name) && setenv(name, value, 0) == 0;
}

static bool environment(const char *core)
{
    const bool threads = set_if_absent("OPENBLAS_NUM_THREADS", "1");
    return (core && is_dynamic() && set_if_absent(CORETYPE, core)) || threads;
}

static void report(const char *core)
{
    const char *runs = openblas_get_corename(), *user = getenv(CORETYPE);
    const char *asked = user ? user : core;
    if (!asked || strcasecmp(runs, asked) == 0) return;
    if (!is_dynamic())
        LOG_W("OpenBLAS is built for %s only, the best for this CPU is %s", runs, asked);
    else
        LOG_W("OpenBLAS runs its %s kernels, %s asked for %s", runs,
              user ? CORETYPE : "the table of CPUs", asked);
}

static Status start(void)
{
    openblas_set_num_threads(1);
    return ST_OK;
}

static const char *kernels(void)
{
    return openblas_get_corename();
}

static void product(int64_t m, int64_t n, int64_t k, real alpha, Mat a, Mat b, real beta, real *c,
                    int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, a.trans ? CblasTrans : CblasNoTrans,
                b.trans ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a.p,
                (blasint)a.ld, b.p, (blasint)b.ld, beta, c, (blasint)ldc);
}

const GemmBackend gemm_openblas = {.name = "openblas",
                                   .kernels = kernels,
                                   .start = start,
                                   .environment = environment,
                                   .report = report,
                                   .product = product};
