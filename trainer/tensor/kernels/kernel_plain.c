#include "trainer/tensor/kernels/kernel_sets.h"
#include "trainer/tensor/kernels/vec_plain.h"
#define KERNEL_SET kernels_plain
#define KERNEL_SET_NAME "plain"
#include "trainer/tensor/kernels/kernel_loops.h"
