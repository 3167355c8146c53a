/* verb_setup.h — what verbs that compute do first: the config of all ranks, the kernels of all
 * ranks. */
#ifndef TRAINER_VERB_SETUP_H
#define TRAINER_VERB_SETUP_H
#include "trainer/run/config.h"
#include "trainer/run/loaded_model.h"
#include "trainer/verb.h"

/* argv: [verb] x.yaml [key=value ...], with the verb's own flags among them. All ranks must have read the same.
 * Rank    collective
 * Errors  ST_USAGE; ST_CONFIG, also when ranks read different configs */
CHECKED Status setup_config(const Comm *world, int argc, char **argv, const VerbFlag *flags,
                            int64_t n_flag, RunConfig **cfg);

/* Threads and affinity of this rank, GEMM backend and compute dtype, the same on all ranks.
 * Rank    collective
 * Errors  ST_CONFIG the backend is not there, or ranks would compute with different kernels */
CHECKED Status setup_machine(const Comm *world, const char *backend, const char *compute_dtype,
                             int n_thread);

/* The model, the same on all ranks, and the machine set up as its config says; compute_dtype NULL: in that, too.
 * Rank: collective. Errors: those of loaded_model_open and setup_machine; ST_DATA when ranks see different checkpoints */
CHECKED Status setup_model(const Comm *world, const ModelChoice *choice, const char *compute_dtype,
                           LoadedModel **m);

/* --without-memory: texts that are read in segments find their memory empty. Errors: ST_CONFIG there is none */
CHECKED Status setup_blind(LoadedModel *m, bool on);
#endif
