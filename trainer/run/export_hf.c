/* export_hf.c — a whole model as a Hugging Face folder: weights with what methods add merged in, config.json, tokenizer. */
#include "data/chat_template.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include "trainer/models/model_json.h"
#include "trainer/models/weights.h"
#include "trainer/run/export.h"
#include "trainer/tensor/dtype.h"
#include <string.h>

#define CONFIG_JSON "config.json"
#define GENERATION_CONFIG "generation_config.json"
enum { MAX_CONFIG_BYTES = 1 << 22 };

/* ---- weights ---- */

typedef struct HfWeight {
    const Param *param;
    const Site *site;         /* whose weight it is, where a method adds to it; else NULL */
    const SafeTensor *stored; /* what is written as it lies; else NULL */
} HfWeight;

typedef struct HfWeights {
    const LoadedModel *m;
    HfWeight *weight;
    SafeTensor *tensor;
    int64_t n;
    real *wide;   /* of the largest that is not written as it lies */
    char *narrow; /* the same, as it is written */
} HfWeights;

/* The methods that act on a linear layer can be put into its weight. */
static Status check_mergeable(const LoadedModel *m)
{
    Status rc = ST_OK;
    TRY(export_check_attention(m));
    for (int64_t i = 0; m->net.hooks && i < m->net.hooks->n; i++) {
        const MethodDef *def = m->net.hooks->at[i].def;
        CHECK(!def->linear || def->merge, CONFIG,
              "kind: %s cannot be merged into the weights of a model", def->name);
    }
out:
    return rc;
}

static bool adds_to(const LoadedModel *m, const Site *site)
{
    const Hooks *hooks = m->net.hooks;
    LowRank update;
    for (int64_t i = 0; hooks && i < hooks->n; i++) {
        const Hook *h = &hooks->at[i];
        for (int64_t k = 0; h->def->low_rank && h->def->low_rank(h->self, k, &update); k++)
            if (update.site == site) return true;
        if (h->def->merge && !h->def->low_rank) return true;
    }
    return false;
}

static const Site *site_of(const LoadedModel *m, const Param *p)
{
    const ModelView view = model_view(m->net.model);
    for (int64_t i = 0; i < view.n_site; i++)
        if (view.site[i]->weight == p) return adds_to(m, view.site[i]) ? view.site[i] : NULL;
    return NULL;
}

static Dtype named_dtype(const char *name)
{
    if (strcmp(name, "bfloat16") == 0) return DT_BF16;
    return strcmp(name, "float16") == 0 ? DT_F16 : DT_F32;
}

static Status list_weights(HfWeights *w, const char *dtype)
{
    Status rc = ST_OK;
    int64_t largest = 0;
    const ModelView view = model_view(w->m->net.model);
    w->weight = mem_array(view.n_param, sizeof *w->weight);
    w->tensor = mem_array(view.n_param, sizeof *w->tensor);
    CHECK(w->weight && w->tensor, NOMEM, "a model of %lld tensors", LL(view.n_param));
    for (w->n = 0; w->n < view.n_param; w->n++) {
        const Param *p = view.param[w->n];
        const Site *site = site_of(w->m, p);
        const SafeTensor *stored = NULL;
        if (strcmp(dtype, "auto") == 0 && p->frozen && !site && w->m->net.base)
            stored = model_find_weight(w->m->net.model, w->m->net.base, p);
        w->weight[w->n] = (HfWeight){p, site, stored};
        SafeTensor *t = &w->tensor[w->n];
        *t = (SafeTensor){.name = p->name,
                          .dtype = stored ? stored->dtype : named_dtype(dtype),
                          .n_dim = p->n_dim,
                          .n = p->n};
        for (int d = 0; d < p->n_dim; d++) t->dim[d] = p->dim[d];
        if (p->n > largest) largest = p->n;
    }
    w->wide = mem_array(largest, sizeof *w->wide);
    w->narrow = mem_array(largest, sizeof(real));
    CHECK(w->wide && w->narrow, NOMEM, "a tensor of %lld numbers", LL(largest));
out:
    return rc;
}

/* The i-th tensor's numbers as they are written. */
static Status give_values(void *self, int64_t i, const void **data)
{
    Status rc = ST_OK;
    HfWeights *w = self;
    const Hooks *hooks = w->m->net.hooks;
    const Param *p = w->weight[i].param;
    const SafeTensor *t = &w->tensor[i];
    *data = w->weight[i].stored ? w->weight[i].stored->data : p->raw;
    if (w->weight[i].stored || (!w->weight[i].site && p->dtype == t->dtype)) goto out;
    dtype_widen(p->dtype, p->raw, p->n, w->wide);
    for (int64_t k = 0; w->weight[i].site && k < hooks->n; k++)
        if (hooks->at[k].def->merge)
            TRY(hooks->at[k].def->merge(hooks->at[k].self, w->weight[i].site, w->wide));
    CHECK(dtype_narrow(w->wide, p->n, t->dtype, w->narrow), DATA,
          "%s: holds numbers that are too large for %s", p->name, dtype_name(t->dtype));
    *data = w->narrow;
out:
    return rc;
}

/* How config.json calls the dtype that readers shall compute in: the one of all tensors, or float32. */
static const char *common_dtype(const HfWeights *w)
{
    const Dtype t = w->tensor[0].dtype;
    for (int64_t i = 1; i < w->n; i++)
        if (w->tensor[i].dtype != t) return "float32";
    return t == DT_BF16 ? "bfloat16" : t == DT_F16 ? "float16" : "float32";
}

/* ---- what lies beside them ---- */

static Status put(json_t *object, const char *key, json_t *value)
{
    Status rc = ST_OK;
    CHECK(value && json_object_set_new(object, key, value) == 0, NOMEM, "%s: %s", CONFIG_JSON, key);
out:
    return rc;
}

/* The base's file in all that was not trained. */
static Status read_base_config(const char *base, json_t **json)
{
    Status rc = ST_OK;
    JsonDoc *doc = NULL;
    char *path = path_join(base, CONFIG_JSON);
    CHECK(path, NOMEM, "path of %s", base);
    TRY(json_doc_open(path, MAX_CONFIG_BYTES, &doc));
    *json = json_copy((json_t *)json_doc_top(doc).value);
    CHECK(*json, NOMEM, "%s: no memory for it", path);
out:
    json_doc_close(doc);
    mem_free(path);
    return rc;
}

static Status write_config(const LoadedModel *m, const char *dtype, const char *dir)
{
    Status rc = ST_OK;
    json_t *made = NULL, *json = NULL;
    const char *base = m->cfg->model_name_or_path;
    TRY(model_config_to_json(model_config(m->net.model), dtype, &made));
    if (base && path_has(base, CONFIG_JSON)) {
        TRY(read_base_config(base, &json));
        TRY(put(json, "architectures", json_incref(json_object_get(made, "architectures"))));
        TRY(put(json, json_object_get(json, "dtype") ? "dtype" : "torch_dtype",
                json_string(dtype)));
    } else {
        json = json_incref(made);
        const int32_t bos = m->tokenizer ? tokenizer_bos(m->tokenizer) : -1,
                      eos = m->tokenizer ? tokenizer_eos(m->tokenizer) : -1;
        TRY(put(json, "bos_token_id", bos < 0 ? json_null() : json_integer(bos)));
        TRY(put(json, "eos_token_id", eos < 0 ? json_null() : json_integer(eos)));
    }
    TRY(json_file_write(dir, CONFIG_JSON, json_incref(json), false));
out:
    json_decref(json);
    json_decref(made);
    return rc;
}

/* A model that was tuned on conversations is used with the template it was tuned with. */
static Status write_chat_template(const LoadedModel *m, const char *dir)
{
    Status rc = ST_OK;
    ChatTemplate *t = NULL;
    const char *choice = m->cfg->pack.chat_template;
    char *path = path_join(dir, "chat_template.jinja");
    CHECK(path, NOMEM, "path of a chat template");
    if (!config_is_set(m->cfg, "chat_template") || strcmp(choice, "tokenizer_default") == 0)
        goto out;
    TRY(chat_template_open(choice, tokenizer_folder(m->tokenizer), &t));
    const char *text = chat_template_source(t);
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    chat_template_destroy(t);
    mem_free(path);
    return rc;
}

static Status hf_write(const LoadedModel *m, const ExportOpts *o, const char *dir,
                       ExportFacts *facts)
{
    Status rc = ST_OK;
    HfWeights w = {.m = m};
    TRY(check_mergeable(m));
    TRY(list_weights(&w, o->dtype));
    TRY(safetensors_write_folder(dir, w.tensor, w.n, o->max_shard_bytes, give_values, &w));
    facts->n_tensor = w.n;
    for (int64_t i = 0; i < w.n; i++)
        facts->n_bytes += w.tensor[i].n * (int64_t)dtype_bytes(w.tensor[i].dtype);
    TRY(write_config(m, common_dtype(&w), dir));
    const char *base = m->cfg->model_name_or_path;
    if (base && path_has(base, GENERATION_CONFIG)) TRY(file_copy(base, dir, GENERATION_CONFIG));
    if (m->tokenizer) {
        TRY(tokenizer_save(m->tokenizer, dir));
        TRY(write_chat_template(m, dir));
    }
out:
    mem_free(w.narrow);
    mem_free(w.wide);
    mem_free(w.tensor);
    mem_free(w.weight);
    return rc;
}

const ExportDef export_hf = {.name = "hf", .whole = true, .write = hf_write};
