/* network.h — the model of a run with its methods, on the weights it stands on. */
#ifndef TRAINER_RUN_NETWORK_H
#define TRAINER_RUN_NETWORK_H
#include "trainer/io/safetensors.h"
#include "trainer/methods/methods.h"
#include "trainer/models/model.h"
#include "trainer/run/config.h"

/* The base is the folder model_name_or_path: mapped, frozen matrices are read where they lie. Without a
 * folder, frozen weights are those of init_from, or random ones of the seed. */
typedef struct Network {
    ParamSet *params;
    Model *model;
    Hooks *hooks;
    SafeTensors *base;            /* NULL: not opened, or there is none */
    char base_sha256[SHA256_HEX]; /* of the files the run started from; "": none is known (yet) */
} Network;

/* Names and shapes, split into trainable and frozen; no numbers.
 * Rank    local
 * Errors  ST_CONFIG sizes or methods that do not fit; ST_NOMEM
 * Owns    *net is the caller's (network_fini), also after a failure; hooks borrow strings of cfg */
CHECKED Status network_declare(const RunConfig *cfg, Network *net);
/* The same after a look at the base's files: shapes are compared, frozen matrices have the dtype they are
 * stored in. Errors: also ST_DATA, ST_FORMAT: the base is missing, damaged or of another shape */
CHECKED Status network_look(const RunConfig *cfg, Network *net);
/* As network_declare, with memory, and with the numbers of what is frozen.
 * Errors  as network_look */
CHECKED Status network_create(const RunConfig *cfg, Network *net);
/* The stored model as it is: all of it frozen, no methods. Errors: as network_create */
CHECKED Status network_open(const RunConfig *cfg, Network *net);
/* Numbers to start a run from, for what is trained: the base's or random ones; methods start as the base, or
 * where the adapter adapter_name_or_path ended. Errors: also those of adapter_open, adapter_read */
CHECKED Status network_start(const RunConfig *cfg, Network *net);
/* Makes base_sha256 known where a base is open: reads all of it, so not before somebody asks. Errors: those of
 * safetensors_sha256 */
CHECKED Status network_hash_base(Network *net);
/* Is what is frozen here what the checkpoint was trained on? base: of its manifest, {path, sha256}, or NULL.
 * Errors  ST_DATA naming both; nothing frozen: nothing to compare */
CHECKED Status network_check_base(Network *net, const RunConfig *cfg, const char *dir,
                                  const json_t *base);
void network_fini(Network *net);
#endif
