/* adapter.h — low-rank updates of a stored model, in the folder form of PEFT or of mlx-lm. Knows names
 * and shapes of tensors; no model, no method. All functions are local.
 *
 * At a module with the weight W (n_out,n_in):  y = W x + scale B A x,  A (r,n_in), B (n_out,r).
 * docs/formats.md, "Adapters", says what is read and what is refused. */
#ifndef CHECKPOINTS_ADAPTER_H
#define CHECKPOINTS_ADAPTER_H
#include "trainer/io/safetensors.h"

typedef struct AdapterPair {
    const char *module; /* "model.layers.0.self_attn.q_proj" */
    int64_t r, n_in, n_out;
    double alpha; /* scale = alpha / r, or alpha / sqrt(r) with use_rslora */
    bool use_rslora;
    double dropout; /* of x, while it is trained */
} AdapterPair;

typedef struct Adapter Adapter;

bool adapter_is(const char *dir); /* adapter_config.json is there */

/* Errors  ST_DATA   a file is missing or unreadable
 *         ST_FORMAT not LoRA, or a kind of it that is not implemented; tensors that do not agree with
 *         the config: file, key or tensor, what was found, what was expected
 * Owns    *a is the caller's (adapter_close) */
CHECKED Status adapter_open(const char *dir, Adapter **a);
void adapter_close(Adapter *a); /* accepts NULL */

const char *adapter_base(const Adapter *a); /* the base as its config calls it; NULL: it does not */
const char *adapter_sha256(const Adapter *a); /* of the file of tensors */
int64_t adapter_n_pair(const Adapter *a);
const AdapterPair *adapter_pair_at(const Adapter *a, int64_t i); /* in order of their modules */
int64_t adapter_n_whole(const Adapter *a);
const char *adapter_whole_at(const Adapter *a, int64_t i); /* a parameter that is trained whole */

/* Does PEFT train this parameter, a table that is also the head, apart from the head? (modules_to_save names it, and
 * ensure_weight_tying is not set.) */
bool adapter_unties(const Adapter *a, const char *param);
/* Do two of them have the same numbers? (The table and the head of a model that ties them.) */
bool adapter_whole_same(const Adapter *a, int64_t i, int64_t j);

/* The numbers of "<module>.lora_A.weight", "<module>.lora_B.weight" or a whole parameter.
 * Shapes  val (dim[0], ..., dim[n_dim - 1])
 * Errors  ST_DATA it is not there, or has another shape: both are named */
CHECKED Status adapter_read(const Adapter *a, const char *param, int n_dim, const int64_t *dim,
                            real *val);

/* ---- writing ---- */

/* A tensor of the adapter: `param` as in adapter_read. */
typedef struct AdapterTensor {
    const char *param;
    int n_dim;
    int64_t dim[4];
    const real *val;
} AdapterTensor;

typedef struct AdapterOut {
    const char *base;        /* becomes base_model_name_or_path */
    const AdapterPair *pair; /* at least one */
    int64_t n_pair;
    const char *const *target, *const *whole; /* target_modules and modules_to_save */
    int64_t n_target, n_whole;
    bool in_out; /* the base stores its weights as (in,out): fan_in_fan_out */
    const AdapterTensor *tensor;
    int64_t n_tensor;
} AdapterOut;

/* adapter_config.json and adapter_model.safetensors in dir, which exists and has neither; PEFT computes
 * with them what was trained here. What a failure leaves, the caller removes.
 * Errors  ST_IO; ST_NOMEM */
CHECKED Status adapter_write(const char *dir, const AdapterOut *out);
#endif
