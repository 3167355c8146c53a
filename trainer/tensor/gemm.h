/* gemm.h — matrix products: one small interface, several backends, one of them chosen at start for the whole run.
 *
 * Work is cut into fixed output tiles that OpenMP threads share; a backend is always called one-threaded on one
 * tile, and the inner dimension is never cut by thread. So bits depend on backend, kernel set and compute dtype
 * only, never on the thread count. */
#ifndef TRAINER_TENSOR_GEMM_H
#define TRAINER_TENSOR_GEMM_H
#include "trainer/base/status.h"
#include "trainer/tensor/real.h"

typedef enum Dtype { DT_F32, DT_BF16, DT_F16, DT_F64, N_DTYPE } Dtype;
#define DT_REAL (sizeof(real) == 8 ? DT_F64 : DT_F32)
size_t dtype_bytes(Dtype t);
const char *dtype_name(Dtype t); /* "F32", as in safetensors */

/* A matrix in memory: element (i,j) is p[i*ld + j]; `trans` reads it as its transpose. */
typedef struct Mat {
    const void *p;
    int64_t ld;
    Dtype dtype; /* of the stored numbers: real's own, or a frozen weight's */
    bool trans;
} Mat;

/* C = beta C + A B
 * Shapes  op(A): (m,k), op(B): (k,n), C: (m,n) in `real`, leading dimension ldc
 * Math    sums in real (f32 backends: f32); beta is 0 or 1; with beta 0, C may hold anything, NaN too
 * Rank    local; threads of the caller are used (OpenMP), safe to call from one thread only */
void gemm(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c, int64_t ldc);

/* What operands are rounded to before they are multiplied: DT_BF16 or DT_REAL. Who makes an operand in this dtype spares
 * gemm the copy, and changes no bit. */
Dtype gemm_operand_dtype(void);

/* C = beta C + alpha A B on the calling thread alone, without tiles: for use inside parallel regions. Operands
 * are stored as real, and are multiplied as they are whatever the compute dtype. */
void gemm_here(int64_t m, int64_t n, int64_t k, real alpha, Mat a, Mat b, real beta, real *c,
               int64_t ldc);

/* C = beta C + A B where one of m, n, k is small, as in low-rank updates. Operands are stored as real, and rounded when
 * the compute dtype is bf16 and the CPU multiplies pairs (kernels/pairs.h); one chain of additions per element.
 * Rank    local; threads of the caller are used (OpenMP), safe to call from one thread only */
void gemm_thin(int64_t m, int64_t n, int64_t k, Mat a, Mat b, real beta, real *c, int64_t ldc);

/* What was chosen; printed in the header, part of the numerics fingerprint. */
typedef struct GemmChoice {
    const char *backend;       /* "reference" | "openblas" | "onednn" */
    const char *kernels;       /* e.g. "SkylakeX", "avx512_core", "plain C" */
    const char *compute_dtype; /* "fp32" | "bf16" */
} GemmChoice;

/* Chooses backend, kernel set and compute dtype from the table by CPU feature, unless the user names them
 * ("auto" or NULL: table). Self-tests the choice against `reference` on small products.
 * Rank    replicated (the caller has the ranks agree on the choice)
 * Errors  ST_CONFIG unknown or unavailable backend, bf16 asked where no backend has it;
 *         ST_BUG    the backend's products are wrong on this machine */
CHECKED Status gemm_init(const char *backend, const char *compute_dtype);
void gemm_fini(void);
GemmChoice gemm_choice(void);
bool gemm_has_backend(const char *name); /* built in and usable here */

/* OpenBLAS reads its kernel choice before main: sets the variables for this CPU and runs the program again
 * when they are not set yet. Called first thing in main, before MPI starts; does not return if it re-executes. */
void gemm_fix_environment(char **argv);

/* A short timing (about 50 ms) of one big f32 product with `n_thread` threads, and what the table expects. */
typedef struct GemmRate {
    double gflops, expected_gflops; /* expected 0: this CPU is not in the table */
} GemmRate;
GemmRate gemm_rate(int n_thread);
#endif
