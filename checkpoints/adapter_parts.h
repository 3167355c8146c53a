/* adapter_parts.h — what the two forms of an adapter share; for adapter*.c alone. */
#ifndef CHECKPOINTS_ADAPTER_PARTS_H
#define CHECKPOINTS_ADAPTER_PARTS_H
#include "checkpoints/adapter.h"
#include "trainer/io/json_file.h"

#define ADAPTER_CONFIG "adapter_config.json"
#define ADAPTER_PEFT_MODEL "adapter_model.safetensors"
#define ADAPTER_PEFT_PREFIX "base_model.model."

/* How a form calls things. */
typedef struct AdapterForm {
    const char *file;     /* of the tensors */
    const char *prefix;   /* of every name in it */
    const char *a, *b;    /* ends of the names of a pair */
    bool in_out;          /* A lies as (n_in,r), B as (r,n_out) */
    bool has_whole;       /* there may be parameters that are trained whole */
    const char *base_key; /* of the config */
    /* The settings of one pair, whose module and sizes are known. */
    Status (*settings)(const JsonAt *config, AdapterPair *pair);
    Status (*check)(const JsonAt *config); /* what the config says is what is implemented */
} AdapterForm;
extern const AdapterForm adapter_peft, adapter_mlx;

/* A text ends so; *n_before is what comes before. */
bool adapter_ends_with(const char *text, const char *end, size_t *n_before);
#endif
