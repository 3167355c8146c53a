/* gemm_list.h — the backends built in: X(name) stands for gemm_<name> in gemm_<name>.c. */
#ifndef TRAINER_TENSOR_GEMM_LIST_H
#define TRAINER_TENSOR_GEMM_LIST_H

#ifdef REAL_IS_DOUBLE
#define GEMM_LIST(X) X(reference)
#elif defined HAVE_ONEDNN
#define GEMM_LIST(X) X(reference) X(openblas) X(onednn)
#else
#define GEMM_LIST(X) X(reference) X(openblas)
#endif
#endif
