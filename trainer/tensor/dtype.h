/* dtype.h — numbers as files hold them, widened to real and rounded back. */
#ifndef TRAINER_TENSOR_DTYPE_H
#define TRAINER_TENSOR_DTYPE_H
#include "trainer/tensor/gemm.h"

/* y[i] = x[i], exactly (F64 is rounded in a float build). Shapes: x any dtype, no alignment needed;
 * y (n) */
void dtype_widen(Dtype t, const void *x, int64_t n, real *y);
/* y[i] = x[i], rounded once to the nearest, ties to even. Shapes: x (n); y no alignment needed.
 * Returns false where a finite number became infinite: it is too large for t. */
bool dtype_narrow(const real *x, int64_t n, Dtype t, void *y);
#endif
