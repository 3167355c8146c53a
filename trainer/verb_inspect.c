/* verb_inspect.c — trainer inspect DIR [--json]: what a checkpoint holds. */
#include "checkpoints/ckpt.h"
#include "trainer/verb.h"
#include <math.h>
#include <stdio.h>

static json_t *tensors_json(const Ckpt *k)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < ckpt_n_tensor(k); i++) {
        const CkptTensor *t = ckpt_tensor_at(k, i);
        json_t *dims = json_array();
        bool ok = true;
        for (int d = 0; d < t->n_dim; d++)
            ok = ok && json_array_append_new(dims, json_integer(t->dim[d])) == 0;
        json_t *one = json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", "F32", "dims", dims);
        if (json_array_append_new(list, one) != 0 || !ok) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static Status print_json(const Ckpt *k)
{
    Status rc = ST_OK;
    const CkptInfo *i = ckpt_info(k);
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:s, s:s, s:I, s:I, s:O?, s:O?, s:O?, s:o}",
        "kind", i->kind, "version", i->version, "step", (json_int_t)i->step, "tokens",
        (json_int_t)i->tokens, "samples", (json_int_t)i->samples, "updates", (json_int_t)i->updates,
        "lr", isfinite(i->lr) ? json_real(i->lr) : json_null(), "seed", (json_int_t)i->seed,
        "trainable_params", (json_int_t)ckpt_trainable_params(k), "payload_sha256",
        ckpt_payload_sha256(k), "state_sha256", ckpt_state_sha256(k), "parts",
        (json_int_t)ckpt_n_part(k), "bytes", (json_int_t)ckpt_bytes(k), "fingerprint",
        i->fingerprint, "extra", i->extra, "config", i->config, "tensors", tensors_json(k));
    CHECK(root, NOMEM, "no memory to print a manifest");
    CHECK(json_dumpf(root, stdout, JSON_INDENT(1)) == 0 && putchar('\n') == '\n', IO,
          "standard output: cannot write");
out:
    json_decref(root);
    return rc;
}

static void print_text(const Ckpt *k)
{
    const CkptInfo *i = ckpt_info(k);
    printf("kind              %s\n", i->kind);
    printf("version           %s\n", i->version);
    printf("step              %lld\n", LL(i->step));
    printf("tokens            %lld\n", LL(i->tokens));
    printf("samples           %lld of this version's data\n", LL(i->samples));
    printf("updates           %lld\n", LL(i->updates));
    printf(isfinite(i->lr) ? "lr                %.6g\n" : "lr                none yet\n", i->lr);
    printf("seed              %llu\n", (unsigned long long)i->seed);
    printf("trainable_params  %lld\n", LL(ckpt_trainable_params(k)));
    printf("payload_sha256    %s\n", ckpt_payload_sha256(k));
    printf("state_sha256      %s\n", ckpt_state_sha256(k));
    printf("parts             %lld, %.1f MB\n", LL(ckpt_n_part(k)), 1e-6 * (double)ckpt_bytes(k));
    printf("tensors           %lld\n", LL(ckpt_n_tensor(k)));
    for (int64_t j = 0; j < ckpt_n_tensor(k); j++) {
        const CkptTensor *t = ckpt_tensor_at(k, j);
        printf("  %s (", t->name);
        for (int d = 0; d < t->n_dim; d++) printf(d ? ",%lld" : "%lld", LL(t->dim[d]));
        printf(")\n");
    }
}

static Status inspect(const char *dir, bool json)
{
    Status rc = ST_OK;
    Ckpt *k = NULL;
    TRY(ckpt_open(dir, &k));
    if (json)
        TRY(print_json(k));
    else
        print_text(k);
out:
    ckpt_close(k);
    return rc;
}

Status verb_inspect(const Comm *world, int argc, char **argv)
{
    return verb_look(world, argc, argv, inspect);
}
