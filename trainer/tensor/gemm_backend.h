/* gemm_backend.h — what a GEMM library has to offer; gemm_list.h names those that are built in. */
#ifndef TRAINER_TENSOR_GEMM_BACKEND_H
#define TRAINER_TENSOR_GEMM_BACKEND_H
#include "trainer/tensor/gemm.h"

typedef struct GemmBackend {
    const char *name;
    bool has_bf16; /* multiplies two BF16 operands, sums in real */

    bool (*usable)(void);         /* (optional) on this CPU */
    const char *(*kernels)(void); /* the kernel set in use */
    Status (*start)(void);        /* (optional) called once, when chosen */
    void (*stop)(void);           /* (optional) */

    /* (optional) Sets the variables that the library reads before main, unless the user has set
     * them; `core` is OpenBLAS's name for this CPU. True when it changed any. */
    bool (*environment)(const char *core);
    /* (optional) Warns when the library runs other kernels than those asked for. */
    void (*report)(const char *core);

    /* C = beta C + alpha A B on the calling thread alone, whatever OpenMP says; many threads at
     * once may be inside. Operands both real, or both BF16 if has_bf16; m, n, k > 0; beta 0 or 1;
     * the bits depend on shapes and values only. */
    void (*product)(int64_t m, int64_t n, int64_t k, real alpha, Mat a, Mat b, real beta, real *c,
                    int64_t ldc);
} GemmBackend;

/* The backend in use, and whether operands are rounded to BF16 first. Set by gemm_choose.c, read
 * by gemm.c; `reference` in full precision until gemm_init. */
typedef struct GemmActive {
    const GemmBackend *backend;
    bool bf16;
} GemmActive;
extern GemmActive gemm_active;

extern const GemmBackend gemm_reference;
#endif
