/* op_run.h — one op on random inputs without a tape, for tests that look at its numbers. */
#ifndef TESTS_OP_RUN_H
#define TESTS_OP_RUN_H
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/tensor/op.h"
#include <omp.h>

enum { OP_RUN_MAX_THREADS = 3 };

typedef struct OpRun {
    const OpDef *op;
    OpCall call;
    Tensor in[OP_MAX_IN], out;
} OpRun;

static inline real *op_run_reals(int64_t n)
{
    real *p = mem_array(n, sizeof *p);
    T_TRUE(p);
    return p;
}

static inline void op_run_draw(real *p, int64_t n, Rng *rng)
{
    for (int64_t i = 0; i < n; i++) p[i] = (real)(2 * rng_uniform(rng) - 1);
}

static inline Tensor op_run_tensor(int n_dim, const int64_t *dim)
{
    Tensor x = {.n_dim = n_dim, .n = 1, .dtype = DT_REAL, .needs_grad = true, .grad_blank = true};
    for (int i = 0; i < n_dim; i++) x.n *= x.dim[i] = dim[i];
    x.raw = x.val = op_run_reals(x.n);
    return x;
}

/* Matrices of the given shapes, values in [-1,1], gradients blank; shape has run. */
static inline void op_run_init(OpRun *r, const OpDef *op, int n_in, const int64_t (*dim)[2],
                               const void *arg, Rng *rng)
{
    *r = (OpRun){.op = op, .call = {.n_in = n_in, .arg = arg, .out = &r->out}};
    for (int i = 0; i < n_in; i++) {
        r->in[i] = op_run_tensor(2, dim[i]);
        r->in[i].grad = op_run_reals(r->in[i].n);
        op_run_draw(r->in[i].val, r->in[i].n, rng);
        r->call.in[i] = &r->in[i];
    }
    T_OK(op->shape(&r->call));
    r->out = op_run_tensor(r->out.n_dim, r->out.dim);
    r->out.grad = op_run_reals(r->out.n);
    op_run_draw(r->out.grad, r->out.n, rng);
    r->call.saved = op_run_reals(r->call.n_saved);
    r->call.scratch =
        op_run_reals(r->call.n_scratch + OP_RUN_MAX_THREADS * r->call.n_scratch_thread);
}

static inline void op_run_fini(OpRun *r)
{
    for (int i = 0; i < r->call.n_in; i++) {
        mem_free(r->in[i].val);
        mem_free(r->in[i].grad);
    }
    mem_free(r->out.val);
    mem_free(r->out.grad);
    mem_free(r->call.saved);
    mem_free(r->call.scratch);
}

/* A hash of everything the op gives with this many threads: output, saved, gradients. */
static inline uint64_t op_run_hash(OpRun *r, int n_thread)
{
    const int before = omp_get_max_threads();
    uint64_t h = 0;
    omp_set_num_threads(n_thread);
    r->op->fwd(&r->call);
    r->op->bwd(&r->call);
    omp_set_num_threads(before);
    h = rng_hash_bytes(r->out.val, (uint64_t)r->out.n * sizeof(real), h);
    h = rng_hash_bytes(r->call.saved, (uint64_t)r->call.n_saved * sizeof(real), h);
    for (int i = 0; i < r->call.n_in; i++)
        if (r->in[i].grad)
            h = rng_hash_bytes(r->in[i].grad, (uint64_t)r->in[i].n * sizeof(real), h);
    return h;
}

/* The largest |a - b| / max(1, |b|); NaN wins. */
static inline double op_run_error(const real *a, const double *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double size = b[i] < 0 ? -b[i] : b[i];
        const double error = ((double)a[i] < b[i] ? b[i] - (double)a[i] : (double)a[i] - b[i]) /
                             (size > 1 ? size : 1);
        if (!(error <= worst)) worst = error;
    }
    return worst;
}
#endif
