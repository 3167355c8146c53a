/* hf_tokenizer.c — the way of a text: added tokens are found, what lies between them is normalised,
 * cut into pieces, and each piece encoded. */
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <string.h>

/* ---- making ---- */

Status hf_create(HfTokenizer **out)
{
    Status rc = ST_OK;
    HfTokenizer *h = mem_alloc(sizeof *h);
    *out = NULL;
    CHECK(h, NOMEM, "tokenizer: %zu bytes", sizeof *h);
    for (int i = 0; i < N_NAMED_ID; i++) h->named[i] = -1;
    TRY(id_table_create(&h->names));
    TRY(id_table_create(&h->units));
    TRY(added_tokens_create(&h->added));
    TRY(normalizer_create(&h->normalizer));
    TRY(pretokenizer_create(&h->pretokenizer));
    TRY(detokenizer_create(&h->detokenizer));
    TRY(sha256_begin(&h->sha));
    *out = h;
    h = NULL;
out:
    hf_destroy(h);
    return rc;
}

void hf_destroy(HfTokenizer *h)
{
    if (!h) return;
    bpe_destroy(h->bpe);
    id_table_destroy(h->names);
    id_table_destroy(h->units);
    added_tokens_destroy(h->added);
    normalizer_destroy(h->normalizer);
    pretokenizer_destroy(h->pretokenizer);
    detokenizer_destroy(h->detokenizer);
    text_buf_fini(&h->repaired);
    mem_free(h->special);
    if (h->sha) sha256_end(h->sha, NULL);
    mem_free(h);
}

static bool begins_with_path(const char *message, const char *label)
{
    const size_t n = strlen(label);
    const char next = strncmp(message, label, n) == 0 ? message[n] : '\0';
    return next && (next == ':' || next == '/' || (n > 0 && label[n - 1] == '/'));
}

Status hf_in_file(const char *label, Status failed)
{
    char why[1024], message[1280];
    if (failed == ST_OK || begins_with_path(status_message(), label)) return failed;
    snprintf(why, sizeof why, "%s", status_message());
    snprintf(message, sizeof message, "%s: %s", label, why);
    status_clear();
    return status_adopt(failed, message);
}

Status hf_refuse(JsonAt at, Status failed, const char *expected)
{
    char why[256];
    if (failed != ST_FORMAT) return failed;
    snprintf(why, sizeof why, "%s", status_message());
    status_clear();
    return json_refuse(at, "%s (%s)", expected, why);
}

Status hf_read_file(HfTokenizer *h, const char *name, char **path, char **text, size_t *n)
{
    Status rc = ST_OK;
    *text = NULL;
    *path = path_join(h->dir, name);
    CHECK(*path, NOMEM, "the name of %s", name);
    TRY(file_read_all(*path, HF_MAX_FILE_BYTES, text, n));
    sha256_add(h->sha, name, strlen(name) + 1);
    sha256_add(h->sha, *text, *n);
out:
    return rc;
}

Status hf_open_json(const HfTokenizer *h, const char *name, JsonDoc **doc)
{
    Status rc = ST_OK;
    char *path = path_join(h->dir, name);
    *doc = NULL;
    CHECK(path, NOMEM, "the name of %s", name);
    if (path_exists(path)) TRY(json_doc_open(path, HF_MAX_FILE_BYTES, doc));
out:
    mem_free(path);
    return rc;
}

Status hf_add_split(Pretokenizer *p, const char *pattern, SplitBehavior behavior)
{
    Status rc = ST_OK;
    PieceStep step = {.kind = PIECE_SPLIT, .behavior = behavior};
    TRY(pattern_create(pattern, (int64_t)strlen(pattern), PATTERN_REGEX, &step.pattern));
    TRY(pretokenizer_add(p, &step));
out:
    return rc;
}

Status hf_add_bytes(Detokenizer *d)
{
    return detokenizer_add(d, &(DecodeStep){.kind = DECODE_BYTE_LEVEL});
}

Status hf_put_added(HfTokenizer *h, const AddedToken *token)
{
    Status rc = ST_OK;
    if (token->n == 0) goto out; /* nothing can be found */
    TRY(id_table_put(h->names, token->id, token->content, token->n));
    TRY(added_tokens_put(h->added, token));
out:
    return rc;
}

/* What the files' bytes do not tell: ids around a text, named ids, added tokens of config files. */
static void hash_rest(HfTokenizer *h)
{
    sha256_add(h->sha, &h->before, sizeof h->before);
    sha256_add(h->sha, &h->behind, sizeof h->behind);
    sha256_add(h->sha, h->named, sizeof h->named);
    for (int64_t i = 0; i < added_tokens_count(h->added); i++) {
        const AddedToken *t = added_tokens_at(h->added, i);
        const int32_t fields[] = {t->id,          t->special, t->normalized,
                                  t->single_word, t->lstrip,  t->rstrip};
        sha256_add(h->sha, fields, sizeof fields);
        sha256_add(h->sha, t->content, (size_t)t->n + 1);
    }
}

/* A token that is looked for in the normalised text stands for what was found there. */
static Status put_pieces(HfTokenizer *h)
{
    Status rc = ST_OK;
    for (int64_t id = 0, n; id < id_table_size(h->names); id++) {
        const char *name = id_table_text(h->names, id, &n);
        if (name) TRY(detokenizer_put(h->detokenizer, (int32_t)id, name, n));
    }
    for (int64_t i = 0; i < added_tokens_count(h->added); i++) {
        const AddedToken *t = added_tokens_at(h->added, i);
        TextView v = {t->content, t->n, NULL, 0};
        if (!t->normalized) continue;
        TRY(normalizer_run(h->normalizer, &v, &v));
        TRY(detokenizer_put(h->detokenizer, t->id, v.s, v.n));
    }
out:
    return rc;
}

Status hf_finish(HfTokenizer *h)
{
    Status rc = ST_OK;
    static const char VERSION[] = "switchyard tokenizer 1"; /* another one: other ids for a text */
    TRY(bpe_finish(h->bpe));
    TRY(added_tokens_finish(h->added, h->normalizer));
    TRY(put_pieces(h));
    h->special = mem_array(id_table_size(h->names) + 1, sizeof *h->special);
    CHECK(h->special, NOMEM, "tokenizer: %lld ids", LL(id_table_size(h->names)));
    for (int64_t i = 0; i < added_tokens_count(h->added); i++) {
        const AddedToken *t = added_tokens_at(h->added, i);
        h->special[t->id] = t->special;
    }
    sha256_add(h->sha, VERSION, sizeof VERSION);
    hash_rest(h);
    sha256_end(h->sha, h->hash);
    h->sha = NULL;
out:
    return rc;
}

/* ---- encoding ---- */

static Status encode_plain(HfTokenizer *h, const TextView *in, TokenList *list)
{
    Status rc = ST_OK;
    TextView v;
    const Span *span;
    int64_t n_span;
    TRY(pretokenizer_run(h->pretokenizer, in, &v, &span, &n_span));
    for (int64_t i = 0; i < n_span; i++)
        TRY(bpe_encode(h->bpe, &v, span[i].begin, span[i].end, list));
out:
    return rc;
}

typedef Status EncodePart(HfTokenizer *h, const TextView *v, bool parse_special, TokenList *list);

/* Added tokens of one kind become ids, `between` encodes what is not one. */
static Status encode_around(HfTokenizer *h, const TextView *v, bool normalized, bool parse_special,
                            EncodePart *between, TokenList *list)
{
    Status rc = ST_OK;
    AddedMatch m = {0};
    TextView part;
    int64_t from = 0;
    while (added_tokens_next(h->added, normalized, parse_special, v, from, &m)) {
        part = view_part(v, from, m.begin);
        if (part.n > 0) TRY(between(h, &part, parse_special, list));
        TRY(token_list_add(list, m.token->id, view_end(v, m.end)));
        from = m.end;
    }
    part = view_part(v, from, v->n);
    if (part.n > 0) TRY(between(h, &part, parse_special, list));
out:
    return rc;
}

static Status encode_normalized(HfTokenizer *h, const TextView *v, bool parse_special,
                                TokenList *list)
{
    (void)parse_special;
    return encode_plain(h, v, list);
}

static Status encode_text(HfTokenizer *h, const TextView *in, bool parse_special, TokenList *list)
{
    Status rc = ST_OK;
    TextView v;
    TRY(normalizer_run(h->normalizer, in, &v));
    TRY(encode_around(h, &v, true, parse_special, encode_normalized, list));
out:
    return rc;
}

static Status add_around(const HfIds *a, int64_t end, TokenList *list)
{
    Status rc = ST_OK;
    for (int64_t i = 0; i < a->n; i++) TRY(token_list_add(list, a->id[i], end));
out:
    return rc;
}

Status hf_encode(HfTokenizer *h, const char *text, int64_t n, TokenizerFlags flags, TokenList *list)
{
    Status rc = ST_OK;
    const TextView given = {text, n, NULL, 0};
    const bool parse_special = flags & TOKENIZER_PARSE_SPECIAL;
    TextView v;
    if (flags & TOKENIZER_ADD_SPECIAL) TRY(add_around(&h->before, 0, list));
    if (n > 0) {
        TRY(view_repair(&given, &h->repaired, &v));
        TRY(encode_around(h, &v, false, parse_special, encode_text, list));
    }
    if (flags & TOKENIZER_ADD_SPECIAL) TRY(add_around(&h->behind, n, list));
out:
    return rc;
}
