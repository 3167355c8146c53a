/* tokenizer.c — finds the kind of tokenizer a name means, and passes the calls on. */
#include "data/tokenizer.h"
#include "data/tokenizer_list.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"

#define DECLARE(name) extern const TokenizerDef tokenizer_##name;
TOKENIZER_LIST(DECLARE)
#undef DECLARE

static const TokenizerDef *const KINDS[] = {
#define ROW(name) &tokenizer_##name,
    TOKENIZER_LIST(ROW)
#undef ROW
};

struct Tokenizer {
    const TokenizerDef *def;
    void *self;
    char *folder; /* NULL: none */
};

Status tokenizer_open(const char *name, Tokenizer **tok)
{
    Status rc = ST_OK;
    Tokenizer *t = NULL;
    const TokenizerDef *def = NULL;
    *tok = NULL;
    for (int64_t i = 0; i < N_OF(KINDS) && !def; i++)
        if (KINDS[i]->knows(name)) def = KINDS[i];
    CHECK(def, CONFIG, "tokenizer \"%s\" is not \"bytes\" and no folder that is there", name);
    t = mem_alloc(sizeof *t);
    CHECK(t, NOMEM, "tokenizer \"%s\": %zu bytes", name, sizeof *t);
    t->def = def;
    if (path_is_dir(name)) {
        t->folder = mem_strdup(name);
        CHECK(t->folder, NOMEM, "tokenizer \"%s\": no memory for its name", name);
    }
    TRY(def->open(name, &t->self));
    *tok = t;
    t = NULL;
out:
    if (t) mem_free(t->folder);
    mem_free(t);
    return rc;
}

void tokenizer_close(Tokenizer *tok)
{
    if (!tok) return;
    tok->def->close(tok->self);
    mem_free(tok->folder);
    mem_free(tok);
}

int64_t tokenizer_vocab_size(const Tokenizer *tok)
{
    return tok->def->vocab_size(tok->self);
}

const char *tokenizer_folder(const Tokenizer *tok)
{
    return tok->folder;
}

const char *tokenizer_hash(const Tokenizer *tok)
{
    return tok->def->hash(tok->self);
}

int32_t tokenizer_bos(const Tokenizer *tok)
{
    return tok->def->named_id(tok->self, ID_BOS);
}

int32_t tokenizer_eos(const Tokenizer *tok)
{
    return tok->def->named_id(tok->self, ID_EOS);
}

int32_t tokenizer_pad(const Tokenizer *tok)
{
    return tok->def->named_id(tok->self, ID_PAD);
}

int32_t tokenizer_id(const Tokenizer *tok, const char *token)
{
    return tok->def->id(tok->self, token);
}

const char *tokenizer_token(const Tokenizer *tok, int32_t id)
{
    return tok->def->token(tok->self, id);
}

bool tokenizer_is_special(const Tokenizer *tok, int32_t id)
{
    return tok->def->is_special(tok->self, id);
}

bool tokenizer_is_end(const Tokenizer *tok, int32_t id)
{
    return tok->def->is_end(tok->self, id);
}

const char *tokenizer_piece(const Tokenizer *tok, int32_t id, int64_t *n_bytes)
{
    return tok->def->piece(tok->self, id, n_bytes);
}

Status tokenizer_encode(const Tokenizer *tok, const char *text, int64_t n_bytes,
                        TokenizerFlags flags, TokenList *list)
{
    const int64_t n = list->n;
    const Status rc = tok->def->encode(tok->self, text, n_bytes, flags, list);
    if (rc != ST_OK) list->n = n;
    return rc;
}

int64_t tokenizer_decode(const Tokenizer *tok, const int32_t *ids, int64_t n, TokenizerFlags flags,
                         char *text, int64_t max)
{
    return tok->def->decode(tok->self, ids, n, flags, text, max);
}

void token_list_fini(TokenList *list)
{
    mem_free(list->ids);
    mem_free(list->end);
    *list = (TokenList){0};
}

static Status grow(TokenList *list)
{
    Status rc = ST_OK;
    const size_t n = (size_t)list->n, wanted = n + n / 2 + 64;
    int32_t *ids = mem_resize(list->ids, n * sizeof *ids, wanted * sizeof *ids);
    CHECK(ids, NOMEM, "%zu tokens", wanted);
    list->ids = ids;
    int64_t *end = mem_resize(list->end, n * sizeof *end, wanted * sizeof *end);
    CHECK(end, NOMEM, "%zu tokens", wanted);
    list->end = end;
    list->cap = (int64_t)wanted;
out:
    return rc;
}

Status token_list_add(TokenList *list, int32_t id, int64_t end)
{
    Status rc = ST_OK;
    if (list->n == list->cap) TRY(grow(list));
    list->ids[list->n] = id;
    list->end[list->n++] = end;
out:
    return rc;
}

Status tokenizer_save(const Tokenizer *tok, const char *dir)
{
    return tok->def->save(tok->self, tok->folder, dir);
}
