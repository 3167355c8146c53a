/* op.c — the few things every op uses. */
#include "trainer/tensor/op.h"
#include <omp.h>

void op_out(OpCall *k, int n_dim, const int64_t *dim)
{
    Tensor *y = k->out;
    y->n_dim = n_dim;
    y->n = 1;
    y->dtype = DT_REAL;
    for (int i = 0; i < n_dim; i++) {
        y->dim[i] = dim[i];
        y->n *= dim[i];
    }
}

void op_out_like(OpCall *k, const Tensor *x)
{
    op_out(k, x->n_dim, x->dim);
}

bool op_reads_nothing(const OpCall *k, int i)
{
    (void)k;
    (void)i;
    return false;
}

real *op_thread_scratch(const OpCall *k)
{
    return k->scratch + k->n_scratch + omp_get_thread_num() * k->n_scratch_thread;
}

void op_add_parts(real *dst, const real *part, int64_t n_part, int64_t n)
{
    enum { WIDTH = 512 };
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n; first += WIDTH) {
        const int64_t end = first + WIDTH < n ? first + WIDTH : n;
        for (int64_t p = 0; p < n_part; p++)
            for (int64_t i = first; i < end; i++) dst[i] += part[p * n + i];
    }
}
