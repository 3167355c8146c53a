/* hf_configs.c — what lies beside the vocabulary: added tokens, and the ids that begin, end and fill
 * up a text. The first file that says anything about one of these decides, null too. */
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdlib.h>
#include <string.h>

static const char *const TOKEN_KEYS[N_NAMED_ID] = {
    [ID_BOS] = "bos_token", [ID_EOS] = "eos_token", [ID_PAD] = "pad_token"};
static const char *const ID_KEYS[N_NAMED_ID] = {
    [ID_BOS] = "bos_token_id", [ID_EOS] = "eos_token_id", [ID_PAD] = "pad_token_id"};

typedef struct Configs {
    HfTokenizer *h;
    bool decided[N_NAMED_ID];
} Configs;

static bool is_known(const HfTokenizer *h, int64_t id)
{
    return id_table_text(h->names, id, NULL) != NULL;
}

/* "</s>", or {"content": "</s>", ...}. Where the vocabulary's file lists no added tokens, one that
 * is named is one. */
static Status read_token(HfTokenizer *h, JsonAt at, int32_t *id)
{
    Status rc = ST_OK;
    AddedToken token = {0};
    *id = -1;
    if (!json_is_there(at)) goto out;
    if (json_is_string(at.value)) {
        TRY(json_text(at, &token.content));
        token.n = (int64_t)strlen(token.content);
    } else {
        TRY(hf_added_from_json(at, &token));
    }
    *id = id_table_find(h->names, token.content, token.n);
    token.id = *id;
    token.special = true;
    if (*id >= 0 && !h->lists_added) TRY(hf_put_added(h, &token));
out:
    return rc;
}

static Status read_token_names(Configs *c, JsonAt top)
{
    Status rc = ST_OK;
    const JsonAt more = json_key(&top, "additional_special_tokens");
    int32_t id;
    for (int i = 0; i < N_NAMED_ID; i++) {
        const JsonAt at = json_key(&top, TOKEN_KEYS[i]);
        if (!at.value || c->decided[i]) continue;
        TRY(read_token(c->h, at, &c->h->named[i]));
        c->decided[i] = true;
    }
    TRY(read_token(c->h, json_key(&top, "unk_token"), &id));
    for (int64_t i = 0; i < json_count(more); i++) TRY(read_token(c->h, json_item(&more, i), &id));
out:
    return rc;
}

/* {"151643": {"content": "<|endoftext|>", ...}} */
static Status read_added_decoder(HfTokenizer *h, JsonAt map)
{
    Status rc = ST_OK;
    const char *key;
    json_t *value;
    if (!json_is_there(map)) goto out;
    TRY(json_is_map(map));
    json_object_foreach((json_t *)map.value, key, value)
    {
        const JsonAt at = {value, &map, key, 0, map.doc};
        AddedToken token = {0};
        char *end;
        const long long id = strtoll(key, &end, 10);
        if (*end || end == key || id < 0 || id > ID_TABLE_MAX_ID)
            TRY(json_refuse(at, "an id 0 .. %d as its key", ID_TABLE_MAX_ID));
        TRY(hf_added_from_json(at, &token));
        token.id = (int32_t)id;
        const bool is_new = id_table_find(h->names, token.content, token.n) < 0;
        if (is_new || !h->lists_added)
            TRY(hf_refuse(at, hf_put_added(h, &token), "a token of its own"));
    }
out:
    return rc;
}

/* added_tokens.json: {"<|im_end|>": 151645} */
static Status read_added_map(HfTokenizer *h, JsonAt map)
{
    Status rc = ST_OK;
    const char *content;
    json_t *value;
    json_object_foreach((json_t *)map.value, content, value)
    {
        const JsonAt at = {value, &map, content, 0, map.doc};
        AddedToken token = {.content = content, .n = (int64_t)strlen(content), .normalized = true};
        int64_t id;
        TRY(json_i64(at, 0, ID_TABLE_MAX_ID, &id));
        token.id = (int32_t)id;
        if (id_table_find(h->names, content, token.n) < 0)
            TRY(hf_refuse(at, hf_put_added(h, &token), "a token of its own"));
    }
out:
    return rc;
}

/* A number or a list of them; what is not in the vocabulary (-1, often) is none. */
static Status read_ids(Configs *c, JsonAt top)
{
    Status rc = ST_OK;
    HfTokenizer *const h = c->h;
    for (int i = 0; i < N_NAMED_ID; i++) {
        const JsonAt at = json_key(&top, ID_KEYS[i]);
        const int64_t n = json_is_array(at.value) ? json_count(at) : json_is_there(at);
        for (int64_t k = 0; k < n; k++) {
            int64_t id;
            TRY(json_i64(json_is_array(at.value) ? json_item(&at, k) : at, INT32_MIN, INT32_MAX,
                         &id));
            if (!is_known(h, id)) continue;
            if (i == ID_EOS && h->ends.n < HF_MAX_IDS) h->ends.id[h->ends.n++] = (int32_t)id;
            if (!c->decided[i]) h->named[i] = (int32_t)id;
            c->decided[i] = true;
        }
    }
out:
    return rc;
}

typedef Status ReadConfig(Configs *c, JsonAt top);

static Status read_tokenizer_config(Configs *c, JsonAt top)
{
    Status rc = ST_OK;
    TRY(read_added_decoder(c->h, json_key(&top, "added_tokens_decoder")));
    TRY(read_token_names(c, top));
out:
    return rc;
}

static Status read_added_tokens(Configs *c, JsonAt top)
{
    return read_added_map(c->h, top);
}

static Status read_file(Configs *c, const char *name, ReadConfig *read)
{
    Status rc = ST_OK;
    JsonDoc *doc = NULL;
    TRY(hf_open_json(c->h, name, &doc));
    if (doc) TRY(read(c, json_doc_top(doc)));
out:
    json_doc_close(doc);
    return rc;
}

/* Where no file says it: the token a template begins with; an end token of a well-known name. */
static void guess(Configs *c)
{
    static const char *const ENDS[] = {"<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>"};
    HfTokenizer *const h = c->h;
    if (!c->decided[ID_BOS] && h->before.n > 0) h->named[ID_BOS] = h->before.id[0];
    for (int64_t i = 0; i < N_OF(ENDS) && !c->decided[ID_EOS] && h->named[ID_EOS] < 0; i++)
        for (int64_t k = 0; k < added_tokens_count(h->added); k++) {
            const AddedToken *t = added_tokens_at(h->added, k);
            if (t->special && strcmp(t->content, ENDS[i]) == 0) h->named[ID_EOS] = t->id;
        }
}

Status hf_read_configs(HfTokenizer *h)
{
    static const struct {
        const char *name;
        ReadConfig *read;
    } FILES[] = {
        {"added_tokens.json", read_added_tokens},
        {"tokenizer_config.json", read_tokenizer_config},
        {"special_tokens_map.json", read_token_names},
        {"generation_config.json", read_ids},
        {"config.json", read_ids},
    };
    Status rc = ST_OK;
    Configs c = {.h = h};
    for (int64_t i = 0; i < N_OF(FILES); i++) TRY(read_file(&c, FILES[i].name, FILES[i].read));
    guess(&c);
out:
    return rc;
}
