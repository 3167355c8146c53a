#include "trainer/tensor/kernels/kernel_sets.h"
#include "trainer/tensor/kernels/vec_avx512.h"
#define KERNEL_SET kernels_avx512
#define KERNEL_SET_NAME "avx512"
#include "trainer/tensor/kernels/kernel_loops.h"
