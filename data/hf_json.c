/* hf_json.c — tokenizer.json: vocabulary, merges, added tokens, what goes around a text. */
#include "data/byte_level.h"
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <string.h>

enum { MAX_TOKEN = 4096, MAX_DEPTH = 8 };

/* ---- NUL ---- */

/* jansson knows no key with a NUL, some vocabularies do: U+FDD0, which never is a character, stands
 * for it between here and put_token. */
static const char NUL_MARK[] = "\xef\xb7\x90";

static void hide_nul(char *text, size_t n)
{
    for (char *s = text; (s = memmem(s, n - (size_t)(s - text), "\\u0000", 6)); s += 6) {
        int64_t n_before = 0;
        while (s - n_before > text && s[-n_before - 1] == '\\') n_before++;
        if (n_before % 2 == 0) memcpy(s + 2, "fdd0", 4);
    }
}

static int64_t with_nul(const char *text, char *out)
{
    int64_t n = 0;
    while (*text && n < MAX_TOKEN) {
        const bool is_nul = strncmp(text, NUL_MARK, 3) == 0;
        out[n++] = is_nul ? '\0' : *text;
        text += is_nul ? 3 : 1;
    }
    return n;
}

/* ---- model ---- */

static Status put_token(HfTokenizer *h, const char *name, int64_t id, bool of_bytes)
{
    Status rc = ST_OK;
    char text[MAX_TOKEN];
    CHECK(strlen(name) <= MAX_TOKEN, FORMAT, "a token of %zu bytes; the longest is %d",
          strlen(name), MAX_TOKEN);
    int64_t n = with_nul(name, text);
    TRY(id_table_put(h->names, id, text, n));
    if (of_bytes) n = byte_level_decode(text, n, text);
    if (n >= 0) TRY(id_table_put(h->units, id, text, n)); /* else no text can lead to it */
out:
    return rc;
}

static Status read_vocab(HfTokenizer *h, JsonAt vocab, bool of_bytes)
{
    Status rc = ST_OK;
    const char *name;
    json_t *value;
    TRY(json_is_map(vocab));
    json_object_foreach((json_t *)vocab.value, name, value)
    {
        const JsonAt at = {value, &vocab, name, 0, vocab.doc};
        int64_t id;
        TRY(json_i64(at, 0, ID_TABLE_MAX_ID, &id));
        TRY(hf_refuse(at, put_token(h, name, id, of_bytes), "an id of its own"));
    }
out:
    return rc;
}

/* "a b" or ["a", "b"] */
static Status read_merge(const HfTokenizer *h, JsonAt at, int32_t *left, int32_t *right)
{
    Status rc = ST_OK;
    char text[2 * MAX_TOKEN + 1], *space;
    int64_t n_left, n;
    if (json_is_string(at.value)) {
        const char *s = json_string_value(at.value);
        if (strlen(s) >= MAX_TOKEN)
            TRY(json_refuse(at, "a merge shorter than %d bytes", MAX_TOKEN));
        n = with_nul(s, text);
        space = memchr(text, ' ', (size_t)n);
        if (!space || memchr(space + 1, ' ', (size_t)(text + n - space - 1)))
            TRY(json_refuse(at, "two tokens with one space between them"));
        n_left = space - text;
    } else {
        const JsonAt l = json_item(&at, 0), r = json_item(&at, 1);
        if (json_count(at) != 2 || !json_is_string(l.value) || !json_is_string(r.value))
            TRY(json_refuse(at, "a pair of tokens"));
        if (json_string_length(l.value) > MAX_TOKEN || json_string_length(r.value) > MAX_TOKEN)
            TRY(json_refuse(at, "tokens of at most %d bytes", MAX_TOKEN));
        n_left = with_nul(json_string_value(l.value), text);
        space = text + n_left;
        n = n_left + 1 + with_nul(json_string_value(r.value), space + 1);
    }
    *left = id_table_find(h->names, text, n_left);
    *right = id_table_find(h->names, space + 1, text + n - space - 1);
    if (*left < 0 || *right < 0) TRY(json_refuse(at, "two tokens of the vocabulary"));
out:
    return rc;
}

static Status read_merges(HfTokenizer *h, JsonAt merges)
{
    Status rc = ST_OK;
    TRY(json_is_list(merges));
    for (int64_t i = 0; i < json_count(merges); i++) {
        int32_t left, right;
        const JsonAt at = json_item(&merges, i);
        TRY(read_merge(h, at, &left, &right));
        if (id_table_text(h->units, left, NULL) && id_table_text(h->units, right, NULL))
            TRY(hf_refuse(at, bpe_add_merge(h->bpe, left, right, i), "a merge that makes a token"));
    }
out:
    return rc;
}

/* Absent, null, "" or 0. */
static Status refuse_unless_empty(JsonAt model, const char *key)
{
    const JsonAt at = json_key(&model, key);
    const bool is_empty = !json_is_there(at) ||
                          (json_is_string(at.value) && json_string_length(at.value) == 0) ||
                          (json_is_number(at.value) && json_number_value(at.value) == 0);
    return is_empty ? ST_OK : json_refuse(at, "none: this is not supported");
}

static Status read_model(HfTokenizer *h, JsonAt model, bool of_bytes)
{
    Status rc = ST_OK;
    static const char *const UNSUPPORTED[] = {"dropout", "continuing_subword_prefix",
                                              "end_of_word_suffix"};
    BpeOpts o = {.of_bytes = of_bytes, .unk = -1};
    const char *type = "BPE", *unk = NULL;
    TRY(json_is_map(model));
    TRY(json_opt_text(&model, "type", &type));
    if (strcmp(type, "BPE") != 0)
        TRY(json_refuse(json_key(&model, "type"), "\"BPE\", the one model that is supported"));
    for (int64_t i = 0; i < N_OF(UNSUPPORTED); i++) TRY(refuse_unless_empty(model, UNSUPPORTED[i]));
    TRY(json_opt_bool(&model, "byte_fallback", &o.byte_fallback));
    TRY(json_opt_bool(&model, "ignore_merges", &o.ignore_merges));
    TRY(json_opt_bool(&model, "fuse_unk", &o.fuse_unk));
    TRY(json_opt_text(&model, "unk_token", &unk));
    TRY(read_vocab(h, json_key(&model, "vocab"), of_bytes));
    if (unk) o.unk = id_table_find(h->names, unk, (int64_t)strlen(unk));
    if (unk && o.unk < 0)
        TRY(json_refuse(json_key(&model, "unk_token"), "a token of the vocabulary"));
    TRY(bpe_create(h->units, &o, &h->bpe));
    TRY(read_merges(h, json_key(&model, "merges")));
out:
    return rc;
}

/* ---- added tokens ---- */

Status hf_added_from_json(JsonAt at, AddedToken *token)
{
    Status rc = ST_OK;
    TRY(json_is_map(at));
    TRY(json_text(json_key(&at, "content"), &token->content));
    token->n = (int64_t)strlen(token->content);
    TRY(json_opt_bool(&at, "special", &token->special));
    TRY(json_opt_bool(&at, "normalized", &token->normalized));
    TRY(json_opt_bool(&at, "single_word", &token->single_word));
    TRY(json_opt_bool(&at, "lstrip", &token->lstrip));
    TRY(json_opt_bool(&at, "rstrip", &token->rstrip));
out:
    return rc;
}

static Status read_added(HfTokenizer *h, JsonAt list)
{
    Status rc = ST_OK;
    if (!json_is_there(list)) goto out;
    TRY(json_is_list(list));
    for (int64_t i = 0; i < json_count(list); i++) {
        const JsonAt at = json_item(&list, i);
        AddedToken token = {0};
        int64_t id;
        TRY(hf_added_from_json(at, &token));
        TRY(json_i64(json_key(&at, "id"), 0, ID_TABLE_MAX_ID, &id));
        token.id = (int32_t)id;
        TRY(hf_refuse(at, hf_put_added(h, &token), "a token of its own"));
    }
out:
    return rc;
}

/* ---- what goes around a text ---- */

static Status read_special(HfTokenizer *h, JsonAt at, JsonAt ids, HfIds *to)
{
    Status rc = ST_OK;
    TRY(json_is_list(ids));
    for (int64_t i = 0; i < json_count(ids); i++) {
        int64_t id;
        TRY(json_i64(json_item(&ids, i), 0, id_table_size(h->names) - 1, &id));
        if (to->n == HF_MAX_IDS) TRY(json_refuse(at, "at most %d tokens", HF_MAX_IDS));
        to->id[to->n++] = (int32_t)id;
    }
out:
    return rc;
}

static Status read_template(HfTokenizer *h, JsonAt at)
{
    Status rc = ST_OK;
    const JsonAt single = json_key(&at, "single"), specials = json_key(&at, "special_tokens");
    HfIds *to = &h->before;
    TRY(json_is_list(single));
    if (h->before.n + h->behind.n > 0) TRY(json_refuse(at, "one template, not two"));
    for (int64_t i = 0; i < json_count(single); i++) {
        const JsonAt item = json_item(&single, i), token = json_key(&item, "SpecialToken");
        if (json_is_there(token)) {
            const char *name;
            TRY(json_text(json_key(&token, "id"), &name));
            const JsonAt special = json_key(&specials, name);
            TRY(read_special(h, item, json_key(&special, "ids"), to));
        } else {
            if (!json_has(&item, "Sequence") || to == &h->behind)
                TRY(json_refuse(item, "special tokens around one Sequence"));
            to = &h->behind;
        }
    }
    if (to == &h->before) TRY(json_refuse(single, "a Sequence"));
out:
    return rc;
}

static Status read_around(HfTokenizer *h, JsonAt at, int depth)
{
    Status rc = ST_OK;
    const char *type;
    const JsonAt list = json_key(&at, "processors");
    if (!json_is_there(at)) goto out;
    TRY(json_text(json_key(&at, "type"), &type));
    if (strcmp(type, "TemplateProcessing") == 0) {
        TRY(read_template(h, at));
    } else if (strcmp(type, "Sequence") == 0 && depth < MAX_DEPTH) {
        TRY(json_is_list(list));
        for (int64_t i = 0; i < json_count(list); i++)
            TRY(read_around(h, json_item(&list, i), depth + 1));
    } else if (strcmp(type, "ByteLevel") != 0) { /* that one moves offsets only */
        TRY(json_refuse(json_key(&at, "type"), "TemplateProcessing, ByteLevel or a Sequence"));
    }
out:
    return rc;
}

Status hf_read_json(HfTokenizer *h, const char *label, char *text, size_t n)
{
    Status rc = ST_OK;
    JsonDoc *doc = NULL;
    bool of_bytes = false;
    hide_nul(text, n);
    TRY(json_doc_parse(label, text, n, &doc));
    const JsonAt top = json_doc_top(doc);
    TRY(hf_read_normalizer(json_key(&top, "normalizer"), h->normalizer));
    TRY(hf_read_pretokenizer(json_key(&top, "pre_tokenizer"), h->pretokenizer, &of_bytes));
    TRY(hf_read_decoder(json_key(&top, "decoder"), h->detokenizer));
    TRY(read_model(h, json_key(&top, "model"), of_bytes));
    TRY(read_added(h, json_key(&top, "added_tokens")));
    TRY(read_around(h, json_key(&top, "post_processor"), 0));
out:
    json_doc_close(doc);
    return rc;
}
