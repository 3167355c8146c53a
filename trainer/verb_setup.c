/* verb_setup.c — configs and kernels, agreed by all ranks. */
#include "trainer/verb_setup.h"
#include "trainer/base/cpu.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include "trainer/models/segments.h"
#include "trainer/run/leg.h"
#include "trainer/tensor/gemm.h"
#include <stdlib.h>
#include <string.h>

static uint64_t json_hash(const json_t *j)
{
    char *text = json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT);
    const uint64_t h = text ? rng_hash_bytes(text, strlen(text), 0) : 0;
    free(text);
    return h;
}

static Status read_config(int argc, char **argv, const VerbFlag *flags, int64_t n_flag,
                          RunConfig **cfg, json_t **resolved)
{
    Status rc = ST_OK;
    int n_rest = 0;
    const char **rest = mem_array(argc, sizeof *rest);
    CHECK(rest, NOMEM, "%d arguments", argc);
    TRY(verb_parse(argc, argv, flags, n_flag, 1, argc, rest, &n_rest));
    TRY(config_load(rest[0], n_rest - 1, rest + 1, cfg));
    TRY(config_to_json(*cfg, resolved));
out:
    mem_free(rest);
    return rc;
}

Status setup_config(const Comm *world, int argc, char **argv, const VerbFlag *flags, int64_t n_flag,
                    RunConfig **cfg)
{
    Status rc = ST_OK;
    json_t *resolved = NULL;
    TRY(comm_agree(world, read_config(argc, argv, flags, n_flag, cfg, &resolved)));
    CHECK(comm_same(world, json_hash(resolved)), CONFIG,
          "the ranks have read different configs from %s: is the file the same on every node?",
          argv[1]);
out:
    json_decref(resolved);
    return rc;
}

Status setup_machine(const Comm *world, const char *backend, const char *compute_dtype,
                     int n_thread)
{
    Status rc = ST_OK;
    json_t *numerics = NULL;
    CpuShare share;
    TRY(cpu_claim_share(world, n_thread, &share));
    TRY(comm_agree(world, gemm_init(backend, compute_dtype)));
    numerics = numerics_fingerprint(0, 0);
    CHECK(comm_same(world, json_hash(numerics)), CONFIG,
          "the ranks run on CPUs of different kinds and would compute with different kernels: "
          "choose gemm_backend and compute_dtype, or one kind of node");
out:
    json_decref(numerics);
    return rc;
}

Status setup_model(const Comm *world, const ModelChoice *choice, const char *compute_dtype,
                   LoadedModel **m)
{
    Status rc = ST_OK;
    TRY(comm_agree(world, loaded_model_open(choice, m)));
    const RunConfig *cfg = (*m)->cfg;
    CHECK(comm_same(world, rng_hash_bytes((*m)->payload_sha256, LINE_HASH, 0)), DATA,
          "the ranks see different checkpoints in %s: is it the same on every node?", choice->dir);
    TRY(setup_machine(world, cfg->gemm_backend, compute_dtype ? compute_dtype : cfg->compute_dtype,
                      (int)cfg->threads));
out:
    return rc;
}

Status setup_blind(LoadedModel *m, bool on)
{
    Status rc = ST_OK;
    if (!on) goto out;
    CHECK(model_segments(m->net.model), CONFIG,
          "%s: --without-memory: this model has no memory (kind: memory_gate)", m->dir);
    model_blind(m->net.model, true);
out:
    return rc;
}
