/* gemm_onednn.c — oneDNN: matmul primitives for tiles, dnnl_sgemm for ragged or scaled products.
 *
 * A primitive is compiled for one shape (about 0.5 ms), so every thread keeps those it has made,
 * with a stream of its own. Ragged shapes, of which a run may see any number, go to dnnl_sgemm,
 * which compiles nothing; bf16 exists as a primitive only. The library would start OpenMP threads
 * of its own: it is held to one, when a primitive is made too, because blocking depends on it. */
#include "trainer/tensor/gemm_backend.h"
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>
#include <string.h>

enum {
    N_SET = 32, /* a thread keeps N_SET sets of N_WAY primitives */
    N_WAY = 8,
    MAX_THREAD = 1024,  /* ever started in one run */
    RAGGED = 32,        /* f32 primitives are made for multiples of this */
    TRANSPOSED_K = 512, /* A^T is copied first: cutting k keeps the copy in the cache */
    LONGEST_K = 4096    /* so are panels of B */
};

typedef struct Key {
    int64_t m, n, k, lda, ldb, ldc;
    int64_t trans_a, trans_b, bf16, adds;
} Key;

typedef struct Primitive {
    Key key;
    dnnl_primitive_t run; /* NULL: empty place */
    dnnl_memory_t a, b, c;
} Primitive;

typedef struct ThreadCache {
    dnnl_stream_t stream; /* NULL: not in use yet */
    Primitive at[N_SET][N_WAY];
    unsigned n_made;
} ThreadCache;

static dnnl_engine_t engine;
static ThreadCache caches[MAX_THREAD]; /* pages nobody touches cost nothing */
static atomic_int n_cache;             /* places given out since start */
static atomic_int generation;          /* counts stops: older places are gone */
static _Thread_local ThreadCache *own_cache;
static _Thread_local int own_generation = -1;

#define DNNL_DO(call) ASSERT((call) == dnnl_success)

static Status start(void)
{
    Status rc = ST_OK;
    if (engine) goto out;
    const dnnl_status_t answer = dnnl_engine_create(&engine, dnnl_cpu, 0);
    CHECK(answer == dnnl_success, BUG, "oneDNN gives no CPU engine: error %d", (int)answer);
out:
    return rc;
}

static void forget(Primitive *p)
{
    if (!p->run) return;
    dnnl_primitive_destroy(p->run);
    dnnl_memory_destroy(p->a);
    dnnl_memory_destroy(p->b);
    dnnl_memory_destroy(p->c);
    p->run = NULL;
}

static void stop(void)
{
    for (int t = 0; t < n_cache; t++) {
        for (int i = 0; i < N_SET * N_WAY; i++) forget(&caches[t].at[i / N_WAY][i % N_WAY]);
        if (caches[t].stream) dnnl_stream_destroy(caches[t].stream);
        caches[t].stream = NULL;
    }
    n_cache = 0;
    generation++;
    if (engine) dnnl_engine_destroy(engine);
    engine = NULL;
}

static ThreadCache *cache_of_thread(void)
{
    if (own_generation != generation) {
        const int place = n_cache++;
        ASSERT(place < MAX_THREAD);
        own_cache = &caches[place];
        own_generation = generation;
        DNNL_DO(dnnl_stream_create(&own_cache->stream, engine, dnnl_stream_in_order));
    }
    return own_cache;
}

static void describe(dnnl_memory_desc_t *d, int64_t rows, int64_t cols, int64_t ld, bool trans,
                     bool bf16)
{
    const dnnl_dims_t dims = {rows, cols}, strides = {trans ? 1 : ld, trans ? ld : 1};
    DNNL_DO(dnnl_memory_desc_init_by_strides(d, 2, dims, bf16 ? dnnl_bf16 : dnnl_f32, strides));
}

static void make(Primitive *p, const Key *key)
{
    dnnl_memory_desc_t a, b, c;
    describe(&a, key->m, key->k, key->lda, key->trans_a, key->bf16);
    describe(&b, key->k, key->n, key->ldb, key->trans_b, key->bf16);
    describe(&c, key->m, key->n, key->ldc, false, false);
    dnnl_matmul_desc_t matmul;
    DNNL_DO(dnnl_matmul_desc_init(&matmul, &a, &b, NULL, &c));
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    dnnl_primitive_desc_t desc;
    DNNL_DO(dnnl_primitive_attr_create(&attr));
    DNNL_DO(dnnl_post_ops_create(&post));
    if (key->adds) DNNL_DO(dnnl_post_ops_append_sum(post, 1.0f));
    DNNL_DO(dnnl_primitive_attr_set_post_ops(attr, post));
    DNNL_DO(dnnl_primitive_desc_create(&desc, &matmul, attr, engine, NULL));
    DNNL_DO(dnnl_primitive_create(&p->run, desc));
    DNNL_DO(dnnl_memory_create(&p->a, &a, engine, DNNL_MEMORY_NONE));
    DNNL_DO(dnnl_memory_create(&p->b, &b, engine, DNNL_MEMORY_NONE));
    DNNL_DO(dnnl_memory_create(&p->c, &c, engine, DNNL_MEMORY_NONE));
    dnnl_primitive_desc_destroy(desc);
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attr);
    p->key = *key;
}

static Primitive *find_or_make(ThreadCache *cache, const Key *key)
{
    const int64_t *word = (const int64_t *)key;
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof *key / sizeof *word; i++)
        hash = (hash ^ (uint64_t)word[i]) * 0x9e3779b97f4a7c15u;
    Primitive *set = cache->at[(hash >> 32) % N_SET];
    for (int i = 0; i < N_WAY; i++)
        if (set[i].run && memcmp(&set[i].key, key, sizeof *key) == 0) return &set[i];
    Primitive *p = &set[cache->n_made++ % N_WAY];
    forget(p);
    make(p, key);
    return p;
}

static void run_primitive(const Key *key, const void *a, const void *b, real *c)
{
    ThreadCache *cache = cache_of_thread();
    Primitive *p = find_or_make(cache, key);
    /* The C interface takes no const; operands are only read. */
    DNNL_DO(dnnl_memory_set_data_handle(p->a, (void *)(uintptr_t)a));
    DNNL_DO(dnnl_memory_set_data_handle(p->b, (void *)(uintptr_t)b));
    DNNL_DO(dnnl_memory_set_data_handle(p->c, c));
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, p->a}, {DNNL_ARG_WEIGHTS, p->b}, {DNNL_ARG_DST, p->c}};
    DNNL_DO(dnnl_primitive_execute(p->run, cache->stream, (int)N_OF(args), args));
    DNNL_DO(dnnl_stream_wait(cache->stream));
}

static void run_tile(int64_t m, int64_t n, int64_t k, Mat a, Mat b, bool adds, real *c, int64_t ldc)
{
    const bool bf16 = a.dtype == DT_BF16;
    const int64_t step = a.trans ? TRANSPOSED_K : LONGEST_K;
    for (int64_t p = 0; p < k; p += step) {
        const int64_t np = k - p < step ? k - p : step;
        const Key key = {m, n, np, a.ld, b.ld, ldc, a.trans, b.trans, bf16, adds || p > 0};
        const size_t bytes = dtype_bytes(a.dtype);
        run_primitive(&key, (const char *)a.p + (size_t)(a.trans ? p * a.ld : p) * bytes,
                      (const char *)b.p + (size_t)(b.trans ? p : p * b.ld) * bytes, c);
    }
}

static void product(int64_t m, int64_t n, int64_t k, real alpha, Mat a, Mat b, real beta, real *c,
                    int64_t ldc)
{
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const bool ragged = m % RAGGED || n % RAGGED || k % RAGGED;
    if (a.dtype == DT_BF16 || (alpha == 1 && !ragged)) {
        ASSERT(alpha == 1);
        run_tile(m, n, k, a, b, beta != 0, c, ldc);
    } else {
        DNNL_DO(dnnl_sgemm(a.trans ? 'T' : 'N', b.trans ? 'T' : 'N', m, n, k, alpha, a.p, a.ld, b.p,
                           b.ld, beta, c, ldc));
    }
    omp_set_num_threads(threads);
}

static const char *kernels(void)
{
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41:
        return "sse41";
    case dnnl_cpu_isa_avx:
        return "avx";
    case dnnl_cpu_isa_avx2:
        return "avx2";
    case dnnl_cpu_isa_avx2_vnni:
        return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core:
        return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
        return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
        return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx:
        return "avx512_core_amx";
    default:
        return "other";
    }
}

/* Below AVX-512 the library has no bf16 product and its f32 product is no faster than OpenBLAS. */
static bool usable(void)
{
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
}

const GemmBackend gemm_onednn = {.name = "onednn",
                                 .has_bf16 = true,
                                 .usable = usable,
                                 .kernels = kernels,
                                 .start = start,
                                 .stop = stop,
                                 .product = product};
