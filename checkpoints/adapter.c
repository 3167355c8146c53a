/* adapter.c — the tensors of an adapter put together into pairs, and read as this program names them. */
#include "checkpoints/adapter_parts.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/tensor/dtype.h"
#include <stdio.h>
#include <string.h>

#define PICKLED "adapter_model.bin"
enum { CONFIG_MAX_BYTES = 1 << 22, NAME_TEXT = SAFETENSORS_MAX_NAME + 64 };

struct Adapter {
    const AdapterForm *form;
    JsonDoc *config;
    SafeTensors *tensors;
    const char *base;
    char sha256[SHA256_HEX];
    AdapterPair *pair;
    int64_t n_pair;
    const char **whole; /* points into the names of the tensors */
    int64_t n_whole;
    char **module; /* of each pair */
};

bool adapter_is(const char *dir)
{
    return path_has(dir, ADAPTER_CONFIG);
}

void adapter_close(Adapter *a)
{
    if (!a) return;
    for (int64_t i = 0; i < a->n_pair; i++) mem_free(a->module[i]);
    mem_free(a->module);
    mem_free(a->pair);
    mem_free(a->whole);
    safetensors_close(a->tensors);
    json_doc_close(a->config);
    mem_free(a);
}

bool adapter_ends_with(const char *text, const char *end, size_t *n_before)
{
    const size_t n = strlen(text), n_end = strlen(end);
    if (n < n_end || strcmp(text + n - n_end, end) != 0) return false;
    *n_before = n - n_end;
    return true;
}

static Status open_config(Adapter *a, const char *dir)
{
    Status rc = ST_OK;
    char *path = path_join(dir, ADAPTER_CONFIG);
    CHECK(path, NOMEM, "path of %s", dir);
    TRY(json_doc_open(path, CONFIG_MAX_BYTES, &a->config));
    const JsonAt top = json_doc_top(a->config);
    a->form = json_has(&top, "peft_type") ? &adapter_peft : NULL;
    if (json_has(&top, "lora_parameters")) a->form = &adapter_mlx;
    CHECK(a->form, FORMAT, "%s: has no peft_type (PEFT) and no lora_parameters (mlx-lm)", path);
    TRY(a->form->check(&top));
    TRY(json_opt_text(&top, a->form->base_key, &a->base));
out:
    mem_free(path);
    return rc;
}

static Status open_tensors(Adapter *a, const char *dir)
{
    Status rc = ST_OK;
    char *path = path_join(dir, a->form->file);
    CHECK(path, NOMEM, "path of %s", dir);
    CHECK(path_exists(path) || !path_has(dir, PICKLED), DATA,
          "%s/%s: pickled weights are not read, expected %s (save it with safe_serialization)", dir,
          PICKLED, a->form->file);
    TRY(safetensors_open(path, &a->tensors));
    TRY(safetensors_sha256(a->tensors, a->sha256));
out:
    mem_free(path);
    return rc;
}

/* ---- pairs ---- */

static const SafeTensor *find(const Adapter *a, const char *module, size_t n_module,
                              const char *end)
{
    char name[NAME_TEXT];
    snprintf(name, sizeof name, "%s%.*s%s", a->form->prefix, (int)n_module, module, end);
    return safetensors_find(a->tensors, name);
}

static Status check_matrix(const SafeTensor *t)
{
    Status rc = ST_OK;
    CHECK(t->n_dim == 2, FORMAT, "%s: %s has %d dimensions, expected 2", t->file, t->name,
          t->n_dim);
out:
    return rc;
}

/* t is the A of a module, whose name has n bytes. */
static Status add_pair(Adapter *a, const SafeTensor *t, const char *module, size_t n)
{
    Status rc = ST_OK;
    const JsonAt top = json_doc_top(a->config);
    const SafeTensor *b = find(a, module, n, a->form->b);
    const bool turned = a->form->in_out;
    CHECK(b, FORMAT, "%s: has %s, but no %.*s%s", t->file, t->name, (int)n, module, a->form->b);
    TRY(check_matrix(t));
    TRY(check_matrix(b));
    CHECK(t->dim[turned] == b->dim[!turned], FORMAT, "%s: %s has the rank %lld, %s has %lld",
          t->file, t->name, LL(t->dim[turned]), b->name, LL(b->dim[!turned]));
    CHECK(t->dim[turned] > 0, FORMAT, "%s: %s has the rank 0", t->file, t->name);
    a->module[a->n_pair] = mem_printf("%.*s", (int)n, module);
    CHECK(a->module[a->n_pair], NOMEM, "the name of %s", t->name);
    AdapterPair *p = &a->pair[a->n_pair];
    *p = (AdapterPair){.module = a->module[a->n_pair],
                       .r = t->dim[turned],
                       .n_in = t->dim[!turned],
                       .n_out = b->dim[turned]};
    a->n_pair++;
    TRY(a->form->settings(&top, p));
out:
    return rc;
}

static Status sort_tensor(Adapter *a, const SafeTensor *t)
{
    Status rc = ST_OK;
    const AdapterForm *form = a->form;
    const size_t n_prefix = strlen(form->prefix);
    size_t n;
    CHECK(t->dtype == DT_F32 || t->dtype == DT_F16 || t->dtype == DT_BF16, FORMAT,
          "%s: %s is stored as %s, expected F32, F16 or BF16", t->file, t->name, t->stored_dtype);
    CHECK(strncmp(t->name, form->prefix, n_prefix) == 0, FORMAT,
          "%s: found the tensor %s, expected names that begin with %s", t->file, t->name,
          form->prefix);
    const char *name = t->name + n_prefix;
    if (adapter_ends_with(name, form->a, &n)) {
        TRY(add_pair(a, t, name, n));
        goto out;
    }
    if (adapter_ends_with(name, form->b, &n)) {
        CHECK(find(a, name, n, form->a), FORMAT, "%s: has %s, but no %.*s%s", t->file, t->name,
              (int)n, name, form->a);
        goto out;
    }
    CHECK(form->has_whole && !strstr(name, ".lora_"), FORMAT,
          "%s: %s belongs to a kind of update that is not implemented", t->file, t->name);
    a->whole[a->n_whole++] = name;
out:
    return rc;
}

static Status sort_tensors(Adapter *a)
{
    Status rc = ST_OK;
    const int64_t n = safetensors_count(a->tensors);
    a->pair = mem_array(n, sizeof *a->pair);
    a->module = mem_array(n, sizeof *a->module);
    a->whole = mem_array(n, sizeof *a->whole);
    CHECK(a->pair && a->module && a->whole, NOMEM, "an adapter of %lld tensors", LL(n));
    for (int64_t i = 0; i < n; i++) TRY(sort_tensor(a, safetensors_at(a->tensors, i)));
    CHECK(a->n_pair > 0, FORMAT, "%s: holds no tensor that ends in %s", a->form->file, a->form->a);
out:
    return rc;
}

Status adapter_open(const char *dir, Adapter **out)
{
    Status rc = ST_OK;
    Adapter *a = mem_alloc(sizeof *a);
    *out = NULL;
    CHECK(a, NOMEM, "adapter %s: %zu bytes", dir, sizeof *a);
    TRY(open_config(a, dir));
    TRY(open_tensors(a, dir));
    TRY(sort_tensors(a));
    *out = a;
    a = NULL;
out:
    adapter_close(a);
    return rc;
}

const char *adapter_base(const Adapter *a)
{
    return a->base;
}

const char *adapter_sha256(const Adapter *a)
{
    return a->sha256;
}

int64_t adapter_n_pair(const Adapter *a)
{
    return a->n_pair;
}

const AdapterPair *adapter_pair_at(const Adapter *a, int64_t i)
{
    return &a->pair[i];
}

int64_t adapter_n_whole(const Adapter *a)
{
    return a->n_whole;
}

const char *adapter_whole_at(const Adapter *a, int64_t i)
{
    return a->whole[i];
}

bool adapter_unties(const Adapter *a, const char *param)
{
    const JsonAt top = json_doc_top(a->config), list = json_key(&top, "modules_to_save");
    const char *dot = strrchr(param, '.');
    const size_t n = dot ? (size_t)(dot - param) : strlen(param);
    if (json_is_true(json_key(&top, "ensure_weight_tying").value)) return false;
    for (int64_t i = 0; i < json_count(list); i++) {
        const char *word = json_string_value(json_item(&list, i).value);
        const size_t n_word = word ? strlen(word) : 0;
        if (word && n_word <= n && strncmp(param + n - n_word, word, n_word) == 0) return true;
    }
    return false;
}

bool adapter_whole_same(const Adapter *a, int64_t i, int64_t j)
{
    const SafeTensor *x = find(a, a->whole[i], strlen(a->whole[i]), ""),
                     *y = find(a, a->whole[j], strlen(a->whole[j]), "");
    return x->dtype == y->dtype && x->n_bytes == y->n_bytes &&
           memcmp(x->data, y->data, x->n_bytes) == 0;
}

/* ---- numbers ---- */

/* The tensor of a parameter, and whether it lies turned round. */
static const SafeTensor *find_param(const Adapter *a, const char *param, bool *turned)
{
    size_t n;
    *turned = a->form->in_out;
    if (adapter_ends_with(param, adapter_peft.a, &n)) return find(a, param, n, a->form->a);
    if (adapter_ends_with(param, adapter_peft.b, &n)) return find(a, param, n, a->form->b);
    *turned = false;
    return a->form->has_whole ? find(a, param, strlen(param), "") : NULL;
}

static Status read_turned(const SafeTensor *t, real *val)
{
    Status rc = ST_OK;
    const int64_t R = t->dim[0], C = t->dim[1];
    real *x = mem_array(t->n, sizeof *x); /* (R,C) */
    CHECK(x, NOMEM, "%s: %lld numbers", t->name, LL(t->n));
    dtype_widen(t->dtype, t->data, t->n, x);
    for (int64_t r = 0; r < R; r++)
        for (int64_t c = 0; c < C; c++) val[c * R + r] = x[r * C + c];
out:
    mem_free(x);
    return rc;
}

Status adapter_read(const Adapter *a, const char *param, int n_dim, const int64_t *dim, real *val)
{
    Status rc = ST_OK;
    bool turned;
    const SafeTensor *t = find_param(a, param, &turned);
    CHECK(t, DATA, "%s: has no tensor for %s", safetensors_at(a->tensors, 0)->file, param);
    bool same = t->n_dim == n_dim;
    for (int d = 0; d < n_dim && same; d++) same = t->dim[turned ? n_dim - 1 - d : d] == dim[d];
    const int64_t last = n_dim > 1 ? dim[1] : 1;
    CHECK(same, DATA, "%s: %s has %lld x %lld numbers, the model makes it %lld x %lld%s", t->file,
          t->name, LL(t->n_dim > 0 ? t->dim[0] : 1), LL(t->n_dim > 1 ? t->dim[1] : 1),
          LL(turned ? last : dim[0]), LL(turned ? dim[0] : last),
          t->n_dim == n_dim ? "" : " in another number of dimensions");
    if (turned)
        TRY(read_turned(t, val));
    else
        dtype_widen(t->dtype, t->data, t->n, val);
out:
    return rc;
}
