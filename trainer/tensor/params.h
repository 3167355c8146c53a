/* params.h — the trainable set: named parameters in one flat vector, their gradients in another. */
#ifndef TRAINER_TENSOR_PARAMS_H
#define TRAINER_TENSOR_PARAMS_H
#include "trainer/base/rng.h"
#include "trainer/base/status.h"
#include "trainer/tensor/real.h"

enum { MAX_DIM = 4 };

typedef enum ParamKind {
    PARAM_MATRIX,
    PARAM_EMBEDDING,
    PARAM_NORM,
    PARAM_BIAS,
    PARAM_OTHER
} ParamKind;

typedef struct Param {
    const char
        *name; /* canonical, as in the Hugging Face folder: "model.layers.0.mlp.up_proj.weight" */
    ParamKind kind;
    int n_dim;
    int64_t dim[MAX_DIM];
    int64_t n;      /* product of dim */
    int64_t offset; /* of its first element in the flat vectors; a multiple of 16 */
    real *val;      /* into ParamSet.val */
    real *grad;     /* into the gradient vector in use; NULL while none is bound */
} Param;

typedef struct ParamSet ParamSet;

CHECKED Status params_create(ParamSet **ps);
void params_destroy(ParamSet *ps);

/* Declares a parameter; after params_seal no more can be added and val pointers exist (zeroed).
 * Errors  ST_BUG name given twice or set sealed; ST_NOMEM   Owns: copies name */
CHECKED Status params_add(ParamSet *ps, const char *name, ParamKind kind, int n_dim,
                          const int64_t *dim);
CHECKED Status params_seal(ParamSet *ps);

int64_t params_count(const ParamSet *ps);                 /* how many parameters (tensors) */
Param *params_at(const ParamSet *ps, int64_t i);          /* in order of declaration */
Param *params_find(const ParamSet *ps, const char *name); /* NULL: not there */
int64_t params_n_elem(const ParamSet *ps);                /* trainable numbers, without padding */
int64_t params_flat_n(const ParamSet *ps); /* length of the flat vectors, with padding */
real *params_flat(const ParamSet *ps);     /* all values; padding stays zero */

/* Points every Param.grad into `flat` (flat_n reals; the caller's); NULL unbinds. */
void params_bind_grad(ParamSet *ps, real *flat);
#endif
