/* params.h — named parameters: the trainable ones in one flat vector, their gradients in another; the
 * frozen ones wherever they lie. */
#ifndef TRAINER_TENSOR_PARAMS_H
#define TRAINER_TENSOR_PARAMS_H
#include "trainer/base/rng.h"
#include "trainer/base/status.h"
#include "trainer/tensor/gemm.h"

enum { MAX_DIM = 4 };

typedef enum ParamKind {
    PARAM_MATRIX,
    PARAM_EMBEDDING,
    PARAM_NORM,
    PARAM_BIAS,
    PARAM_GATE, /* of a small module beside the network: never decays */
    PARAM_OTHER
} ParamKind;

typedef struct Param {
    const char
        *name; /* canonical, as in the Hugging Face folder: "model.layers.0.mlp.up_proj.weight" */
    ParamKind kind;
    int n_dim;
    int64_t dim[MAX_DIM];
    int64_t n;       /* product of dim */
    bool frozen;     /* decided before params_split: no gradient, no place in the flat vectors */
    double lr_scale; /* its learning rate as a multiple of the run's: 1 unless changed */
    int64_t offset;  /* of its first element in the flat vectors; a multiple of 16 */
    Dtype dtype;     /* of raw */
    const void *raw; /* the numbers; of a frozen matrix as its file has them */
    real *val;       /* the same numbers where dtype is DT_REAL, else NULL */
    real *grad; /* into the gradient vector in use; NULL while none is bound, and when frozen */
} Param;

typedef struct ParamSet ParamSet;

CHECKED Status params_create(ParamSet **ps);
void params_destroy(ParamSet *ps);

/* Declares a parameter.
 * Errors  ST_BUG name given twice or set split already; ST_NOMEM   Owns: copies name */
CHECKED Status params_add(ParamSet *ps, const char *name, ParamKind kind, int n_dim,
                          const int64_t *dim);
/* Takes Param.frozen as it stands now: from here on no parameter can be added, and params_count and
 * params_at are about the trainable ones alone. Errors: ST_BUG split already; ST_NOMEM */
CHECKED Status params_split(ParamSet *ps);
/* Splits, unless that was done, and gives the trainable ones memory (zeros). */
CHECKED Status params_seal(ParamSet *ps);

int64_t params_count(const ParamSet *ps);                 /* how many parameters (tensors) */
Param *params_at(const ParamSet *ps, int64_t i);          /* in order of declaration */
Param *params_find(const ParamSet *ps, const char *name); /* frozen or not; NULL: not there */
int64_t params_n_frozen(const ParamSet *ps);
Param *params_frozen_at(const ParamSet *ps, int64_t i);
int64_t params_n_frozen_elem(const ParamSet *ps);

/* The numbers of a frozen parameter: somebody else's, read where they lie, ... */
void params_lend(Param *p, Dtype dtype, const void *raw);
/* ... or a copy as real, p->val, to be filled by the caller; the set frees it. Errors: ST_NOMEM */
CHECKED Status params_own(Param *p);
int64_t params_n_elem(const ParamSet *ps); /* trainable numbers, without padding */
int64_t params_flat_n(const ParamSet *ps); /* length of the flat vectors, with padding */
real *params_flat(const ParamSet *ps);     /* all values; padding stays zero */

/* Points every Param.grad into `flat` (flat_n reals; the caller's); NULL unbinds. */
void params_bind_grad(ParamSet *ps, real *flat);
#endif
