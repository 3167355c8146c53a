/* kernel_sets.h — the sets that kernel.c chooses from; each is kernel_loops.h over its own vec_*.h.
 */
#ifndef TRAINER_TENSOR_KERNELS_KERNEL_SETS_H
#define TRAINER_TENSOR_KERNELS_KERNEL_SETS_H
#include "trainer/tensor/kernels/kernel.h"

extern const Kernels kernels_plain;
#ifndef REAL_IS_DOUBLE
extern const Kernels kernels_avx2, kernels_avx512;
#endif
#endif
