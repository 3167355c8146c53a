/* weights.c — see weights.h. */
#include "trainer/models/weights.h"
#include "trainer/models/transformer.h"
#include "trainer/tensor/dtype.h"
#include <stdio.h>

enum { SHAPE_TEXT = 96 };

static const char *shape_text(int n_dim, const int64_t *dim, char text[SHAPE_TEXT])
{
    int n = snprintf(text, SHAPE_TEXT, "(");
    for (int i = 0; i < n_dim && n < SHAPE_TEXT - 24; i++)
        n += snprintf(text + n, SHAPE_TEXT - (size_t)n, "%s%lld", i ? ", " : "", LL(dim[i]));
    snprintf(text + n, SHAPE_TEXT - (size_t)n, ")");
    return text;
}

static Status read_param(Param *p, const SafeTensor *w, WeightsFor which)
{
    Status rc = ST_OK;
    char theirs[SHAPE_TEXT], ours[SHAPE_TEXT];
    CHECK(w->n_dim == p->n_dim && memcmp(w->dim, p->dim, (size_t)p->n_dim * sizeof *p->dim) == 0,
          DATA, "%s: %s has the shape %s, config.json makes it %s", w->file, w->name,
          shape_text(w->n_dim, w->dim, theirs), shape_text(p->n_dim, p->dim, ours));
    CHECK(w->dtype == DT_F32 || w->dtype == DT_F16 || w->dtype == DT_BF16, DATA,
          "%s: %s is stored as %s, expected F32, F16 or BF16", w->file, w->name, w->stored_dtype);
    if (p->frozen && (p->kind == PARAM_MATRIX || p->kind == PARAM_EMBEDDING)) {
        params_lend(p, w->dtype, which == WEIGHTS_LOOK ? NULL : w->data);
        goto out;
    }
    if (which == WEIGHTS_LOOK) goto out;
    if (p->frozen) TRY(params_own(p));
    dtype_widen(w->dtype, w->data, p->n, p->val);
out:
    return rc;
}

/* As the family names it, or without the prefix that only a model with a head has. */
const SafeTensor *model_find_weight(const Model *m, const SafeTensors *s, const Param *p)
{
    const ModelDef *def = model_def(m);
    const SafeTensor *w = safetensors_find(s, p->name);
    const size_t n = strlen(def->prefix);
    if (!w && strncmp(p->name, def->prefix, n) == 0) w = safetensors_find(s, p->name + n);
    return w;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), n_end = strlen(end);
    return n >= n_end && strcmp(name + n - n_end, end) == 0;
}

/* The model's own, the copy of a tied head, or a buffer that older files hold beside the weights. */
static bool is_known(const Model *m, const char *name)
{
    const ModelView view = model_view(m);
    const ModelDef *def = model_def(m);
    const size_t n = strlen(def->prefix);
    if (view.tied && strcmp(name, "lm_head.weight") == 0) return true;
    for (int64_t i = 0; i < view.n_param; i++) {
        const char *own = view.param[i]->name;
        if (strcmp(own, name) == 0) return true;
        if (strncmp(own, def->prefix, n) == 0 && strcmp(own + n, name) == 0) return true;
    }
    for (const char *const *end = def->buffers; end && *end; end++)
        if (ends_with(name, *end)) return true;
    return false;
}

Status model_read_weights(Model *m, const SafeTensors *s, const char *label, WeightsFor which)
{
    Status rc = ST_OK;
    const ModelView view = model_view(m);
    for (int64_t i = 0; i < view.n_param; i++) {
        Param *p = view.param[i];
        const SafeTensor *w = model_find_weight(m, s, p);
        CHECK(w, DATA, "%s: has no tensor %s", label, p->name);
        if (which != WEIGHTS_FROZEN || p->frozen) TRY(read_param(p, w, which));
    }
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const SafeTensor *w = safetensors_at(s, i);
        CHECK(is_known(m, w->name), DATA,
              "%s: holds %s, which is no part of a model of type %s with the sizes of config.json",
              w->file, w->name, model_config(m)->model_type);
    }
out:
    return rc;
}
