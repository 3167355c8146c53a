/* real.h — the type of all arithmetic outside the GEMM backends: float, or double in the *_f64 libraries that
 * the gradient tests link. */
#ifndef TRAINER_TENSOR_REAL_H
#define TRAINER_TENSOR_REAL_H
#ifdef REAL_IS_DOUBLE
typedef double real;
#else
typedef float real;
#endif
#endif
