/* model_json.c — see model_json.h. The tables of the families say which keys there are. */
#include "trainer/models/model_json.h"
#include "trainer/base/mem.h"
#include "trainer/io/json_file.h"
#include "trainer/models/rope_freq.h"
#include "trainer/models/transformer.h"
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 4 << 20, N_WORD = 64 };

/* Beside those of a family: what some folders have and no family here computes. */
static const ModelFixedKey FIXED_KEYS[] = {
    {"quantization_config", ""},
    {"num_experts", ""},
    {"num_local_experts", ""},
    {"is_encoder_decoder", "false"},
    {"add_cross_attention", "false"},
    {"partial_rotary_factor", "1"},
    {"rope_interleaved", "false"},
    {"use_qk_norm", "false"},
    {"original_max_position_embeddings", ""},
    {NULL, NULL},
};

static const ModelFixedKey FIXED_ROPE_KEYS[] = {
    {"partial_rotary_factor", "1"}, {"truncate", "true"}, {"mrope_section", ""}, {"mscale", ""},
    {"mscale_all_dim", ""},         {NULL, NULL},
};

/* --- reading --- */

static Status read_option(JsonAt at, const char *option, ModelConfig *cfg)
{
    const OptSpec *spec = opt_find(MODEL_OPTS, option);
    void *field = (char *)cfg + spec->offset;
    switch (spec->type) {
    case OPT_F64_T:
        return json_f64(at, spec->lo, spec->hi, field);
    case OPT_BOOL_T:
        return json_bool(at, field);
    default:
        return json_i64(at, (int64_t)spec->lo, (int64_t)spec->hi, field);
    }
}

/* -1 is what older files have for a token that there is not. */
static bool is_none(const json_t *value)
{
    return json_is_null(value) || (json_is_integer(value) && json_integer_value(value) == -1);
}

/* What says "not set", or "derived": a default out of bounds, else 0. */
static double none_of(const OptSpec *spec)
{
    return spec->def_num < spec->lo ? spec->def_num : 0;
}

static void set_none(const OptSpec *spec, ModelConfig *cfg)
{
    void *field = (char *)cfg + spec->offset;
    if (spec->type == OPT_F64_T)
        *(double *)field = none_of(spec);
    else
        *(int64_t *)field = (int64_t)none_of(spec);
}

static Status read_key(const JsonAt *top, const ModelKey *k, ModelConfig *cfg)
{
    Status rc = ST_OK;
    const OptSpec *spec = opt_find(MODEL_OPTS, k->option);
    const JsonAt at = json_key(top, k->key);
    if (k->nullable && is_none(at.value))
        set_none(spec, cfg);
    else if (at.value || !k->absent)
        TRY(read_option(at, k->option, cfg));
    else if (*k->absent)
        TRY(opt_set(spec, cfg, k->absent, false));
out:
    return rc;
}

/* A scalar as a table of words has it; NULL: it is none. */
static const char *word_of(const json_t *value, char word[N_WORD])
{
    if (json_is_boolean(value)) return json_is_true(value) ? "true" : "false";
    if (json_is_string(value)) return json_string_value(value);
    if (!json_is_number(value)) return NULL;
    snprintf(word, N_WORD, "%.17g", json_number_value(value));
    return word;
}

static Status check_fixed(const JsonAt *object, const ModelFixedKey *keys)
{
    Status rc = ST_OK;
    char buf[N_WORD];
    for (const ModelFixedKey *k = keys; k->key; k++) {
        const JsonAt at = json_key(object, k->key);
        if (!json_is_there(at)) continue;
        const char *word = word_of(at.value, buf);
        if (word && model_word_in(k->words, word)) continue;
        TRY(*k->words ? json_refuse(at, "%s: nothing else is implemented", k->words)
                      : json_refuse(at, "no such key: it is not implemented"));
    }
out:
    return rc;
}

/* The first key of a document that is there and says the scaling; rope_parameters is of transformers 5. */
static JsonAt rope_object(const JsonAt *top)
{
    const JsonAt new = json_key(top, "rope_parameters");
    return json_is_there(new) ? new : json_key(top, "rope_scaling");
}

static Status read_rope_type(const JsonAt *rope, ModelConfig *cfg)
{
    Status rc = ST_OK;
    const OptSpec *spec = opt_find(MODEL_OPTS, "rope_type");
    const JsonAt at = json_key(rope, json_has(rope, "rope_type") ? "rope_type" : "type");
    const char *type = "default";
    TRY(json_opt_text(rope, at.key, &type));
    if (strcmp(type, "default") == 0) goto out;
    cfg->rope_type = rope_type_find(type);
    if (!cfg->rope_type) TRY(json_refuse(at, "one of default|%s", spec->choices));
out:
    return rc;
}

static Status read_rope(const JsonAt *top, ModelConfig *cfg)
{
    Status rc = ST_OK;
    const JsonAt rope = rope_object(top);
    if (json_has(top, "rope_theta"))
        TRY(read_option(json_key(top, "rope_theta"), "rope_theta", cfg));
    if (!json_is_there(rope)) goto out;
    TRY(json_is_map(rope));
    TRY(check_fixed(&rope, FIXED_ROPE_KEYS));
    TRY(read_rope_type(&rope, cfg));
    if (json_has(&rope, "rope_theta"))
        TRY(read_option(json_key(&rope, "rope_theta"), "rope_theta", cfg));
    for (const RopeKey *k = ROPE_KEYS; k->key && cfg->rope_type; k++) {
        if (!model_word_in(k->types, cfg->rope_type)) continue;
        if (k->required || json_has(&rope, k->key))
            TRY(read_option(json_key(&rope, k->key), k->option, cfg));
    }
out:
    return rc;
}

/* Which layers have a window is the family's rule; the list of transformers 5 has to agree with it. */
static Status check_layer_types(const JsonAt *top, const ModelDef *def, const ModelConfig *cfg)
{
    Status rc = ST_OK;
    const JsonAt list = json_key(top, "layer_types");
    if (!json_is_there(list)) goto out;
    TRY(json_is_list(list));
    if (json_count(list) != cfg->num_hidden_layers)
        TRY(json_refuse(list, "as many as num_hidden_layers: %lld", LL(cfg->num_hidden_layers)));
    for (int64_t i = 0; i < cfg->num_hidden_layers; i++) {
        const JsonAt at = json_item(&list, i);
        const char *type = NULL,
                   *want = layer_is_windowed(def, cfg, i) ? "sliding_attention" : "full_attention";
        TRY(json_text(at, &type));
        if (strcmp(type, want) != 0)
            TRY(json_refuse(at, "%s, as a %s with this window has", want, def->model_type));
    }
out:
    return rc;
}

static Status read_type(const JsonAt *top, const ModelDef **def)
{
    Status rc = ST_OK;
    const char *model_type = NULL;
    const JsonAt at = json_key(top, "model_type");
    TRY(json_text(at, &model_type));
    *def = model_def_find(model_type);
    if (!*def) TRY(json_refuse(at, "a family that is known here: %s", model_def_names()));
out:
    return rc;
}

/* The sizes as a whole; the message gets the file's name. */
static Status check_config(const char *path, ModelConfig *cfg)
{
    Status rc = ST_OK;
    char why[256] = "";
    if (model_check_config(cfg) != ST_OK) {
        snprintf(why, sizeof why, "%s", status_message());
        status_clear();
    }
    CHECK(!*why, FORMAT, "%s: %s", path, why);
out:
    return rc;
}

Status model_config_read(const char *dir, ModelConfig *cfg)
{
    Status rc = ST_OK;
    JsonDoc *doc = NULL;
    const ModelDef *def = NULL;
    char *path = mem_printf("%s/config.json", dir);
    CHECK(path, NOMEM, "%s: no memory for its path", dir);
    TRY(json_doc_open(path, CONFIG_MAX_BYTES, &doc));
    const JsonAt top = json_doc_top(doc);
    TRY(read_type(&top, &def));
    opt_set_defaults(MODEL_OPTS, cfg);
    cfg->model_type = def->model_type;
    TRY(check_fixed(&top, FIXED_KEYS));
    TRY(check_fixed(&top, def->fixed));
    for (const ModelKey *k = def->keys; k->key; k++) TRY(read_key(&top, k, cfg));
    if (def->rotary) TRY(read_rope(&top, cfg));
    TRY(check_layer_types(&top, def, cfg));
    TRY(check_config(path, cfg));
out:
    json_doc_close(doc);
    mem_free(path);
    return rc;
}

/* --- writing --- */

static Status put(json_t *object, const char *key, json_t *value)
{
    Status rc = ST_OK;
    CHECK(value && json_object_set_new(object, key, value) == 0, NOMEM, "config.json: %s", key);
out:
    return rc;
}

static json_t *option_json(const ModelConfig *cfg, const char *option, bool nullable)
{
    const OptSpec *spec = opt_find(MODEL_OPTS, option);
    const void *field = (const char *)cfg + spec->offset;
    if (spec->type == OPT_BOOL_T) return json_boolean(*(const bool *)field);
    const double value =
        spec->type == OPT_F64_T ? *(const double *)field : (double)*(const int64_t *)field;
    if (nullable && value == none_of(spec)) return json_null();
    return spec->type == OPT_F64_T ? json_real(value) : json_integer(*(const int64_t *)field);
}

/* The first word, as a truth value or a text. */
static json_t *fixed_json(const ModelFixedKey *k)
{
    if (strcmp(k->words, "true") == 0) return json_true();
    if (strcmp(k->words, "false") == 0) return json_false();
    return json_stringn(k->words, strcspn(k->words, "|"));
}

static Status put_rope(json_t *top, const ModelConfig *cfg)
{
    Status rc = ST_OK;
    json_t *rope = cfg->rope_type ? json_object() : json_null();
    TRY(put(top, "rope_theta", json_real(cfg->rope_theta)));
    TRY(put(top, "rope_scaling", rope));
    if (!cfg->rope_type) goto out;
    TRY(put(rope, "rope_type", json_string(cfg->rope_type)));
    for (const RopeKey *k = ROPE_KEYS; k->key; k++) {
        if (!model_word_in(k->types, cfg->rope_type)) continue;
        json_t *value = option_json(cfg, k->option, true);
        if (!json_is_null(value)) TRY(put(rope, k->key, value));
    }
out:
    return rc;
}

Status model_config_to_json(const ModelConfig *cfg, const char *dtype, json_t **json)
{
    Status rc = ST_OK;
    const ModelDef *def = model_def_find(cfg->model_type);
    json_t *top = json_object();
    CHECK(top, NOMEM, "config.json: no memory for it");
    TRY(put(top, "architectures", json_pack("[s]", def->architecture)));
    TRY(put(top, "model_type", json_string(def->model_type)));
    for (const ModelKey *k = def->keys; k->key; k++)
        TRY(put(top, k->key, option_json(cfg, k->option, k->nullable)));
    for (const ModelFixedKey *k = def->fixed; k->key; k++) TRY(put(top, k->key, fixed_json(k)));
    if (def->rotary) TRY(put_rope(top, cfg));
    TRY(put(top, "torch_dtype", json_string(dtype)));
    *json = top;
    top = NULL;
out:
    json_decref(top);
    return rc;
}
