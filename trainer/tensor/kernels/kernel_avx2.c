#include "trainer/tensor/kernels/kernel_sets.h"
#include "trainer/tensor/kernels/vec_avx2.h"
#define KERNEL_SET kernels_avx2
#define KERNEL_SET_NAME "avx2"
#include "trainer/tensor/kernels/kernel_loops.h"
