/* dtype.h — numbers as files hold them, widened to real. */
#ifndef TRAINER_TENSOR_DTYPE_H
#define TRAINER_TENSOR_DTYPE_H
#include "trainer/tensor/gemm.h"

/* y[i] = x[i], exactly (F64 is rounded in a float build). Shapes: x any dtype, no alignment needed;
 * y (n) */
void dtype_widen(Dtype t, const void *x, int64_t n, real *y);
#endif
