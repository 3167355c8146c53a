/* adapter_write.c — an adapter as PEFT writes it. */
#include "checkpoints/adapter_parts.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <math.h>

/* The same for every pair? */
static bool is_uniform(const AdapterOut *o)
{
    const AdapterPair *p = o->pair;
    for (int64_t i = 1; i < o->n_pair; i++)
        if (p[i].r != p->r || p[i].alpha != p->alpha || p[i].use_rslora != p->use_rslora)
            return false;
    return true;
}

/* A whole number without a fraction: some readers take no other. */
static json_t *number(double x)
{
    const json_int_t whole = (json_int_t)x;
    return (double)whole == x ? json_integer(whole) : json_real(x);
}

/* alpha without rsLoRA, which PEFT has for a whole adapter only. */
static double plain_alpha(const AdapterPair *p)
{
    return p->use_rslora ? p->alpha * sqrt((double)p->r) : p->alpha;
}

static json_t *words(const char *const *word, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n && list; i++)
        if (json_array_append_new(list, json_string(word[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

/* rank_pattern and alpha_pattern: what differs from the first pair. */
static Status put_patterns(json_t *config, const AdapterOut *o)
{
    Status rc = ST_OK;
    json_t *ranks = json_object_get(config, "rank_pattern"),
           *alphas = json_object_get(config, "alpha_pattern");
    const double alpha = plain_alpha(o->pair);
    for (int64_t i = 1; i < o->n_pair && !is_uniform(o); i++) {
        const AdapterPair *p = &o->pair[i];
        if (p->r != o->pair->r)
            CHECK(json_object_set_new(ranks, p->module, json_integer(p->r)) == 0, NOMEM,
                  "%s: no memory", ADAPTER_CONFIG);
        if (plain_alpha(p) != alpha)
            CHECK(json_object_set_new(alphas, p->module, number(plain_alpha(p))) == 0, NOMEM,
                  "%s: no memory", ADAPTER_CONFIG);
    }
out:
    return rc;
}

static Status write_config(const char *dir, const AdapterOut *o)
{
    Status rc = ST_OK;
    const AdapterPair *p = o->pair;
    const bool uniform = is_uniform(o);
    json_t *config = json_pack(
        "{s:s, s:s, s:s?, s:b, s:I, s:o, s:f, s:b, s:o, s:o, s:{}, s:{}, s:s, s:b, s:b, s:n}",
        "peft_type", "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", o->base,
        "inference_mode", true, "r", (json_int_t)p->r, "lora_alpha",
        number(uniform ? p->alpha : plain_alpha(p)), "lora_dropout", p->dropout, "use_rslora",
        uniform && p->use_rslora, "target_modules", words(o->target, o->n_target),
        "modules_to_save", o->n_whole ? words(o->whole, o->n_whole) : json_null(), "rank_pattern",
        "alpha_pattern", "bias", "none", "fan_in_fan_out", o->in_out, "init_lora_weights", true,
        "layers_to_transform");
    if (config) TRY(put_patterns(config, o));
    TRY(json_file_write(dir, ADAPTER_CONFIG, json_incref(config), false));
out:
    json_decref(config);
    return rc;
}

static Status write_tensors(const char *dir, const AdapterOut *o)
{
    Status rc = ST_OK;
    char *path = path_join(dir, ADAPTER_PEFT_MODEL);
    SafeTensor *t = mem_array(o->n_tensor, sizeof *t);
    char **name = mem_array(o->n_tensor, sizeof *name);
    CHECK(path && t && name, NOMEM, "%s: %lld tensors", dir, LL(o->n_tensor));
    for (int64_t i = 0; i < o->n_tensor; i++) {
        const AdapterTensor *from = &o->tensor[i];
        name[i] = mem_printf("%s%s", ADAPTER_PEFT_PREFIX, from->param);
        CHECK(name[i], NOMEM, "the name of %s", from->param);
        t[i] =
            (SafeTensor){.name = name[i], .dtype = DT_F32, .n_dim = from->n_dim, .data = from->val};
        for (int d = 0; d < from->n_dim; d++) t[i].dim[d] = from->dim[d];
    }
    TRY(safetensors_write(path, t, o->n_tensor, NULL, NULL));
out:
    for (int64_t i = 0; name && i < o->n_tensor; i++) mem_free(name[i]);
    mem_free(name);
    mem_free(t);
    mem_free(path);
    return rc;
}

Status adapter_write(const char *dir, const AdapterOut *out)
{
    Status rc = ST_OK;
    TRY(write_config(dir, out));
    TRY(write_tensors(dir, out));
out:
    return rc;
}
