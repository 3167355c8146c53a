/* tokenizer.c — finds the kind of tokenizer a name means, and passes the calls on. */
#include "data/tokenizer.h"
#include "data/tokenizer_list.h"
#include "trainer/base/mem.h"

#define DECLARE(name) extern const TokenizerDef tokenizer_##name;
TOKENIZER_LIST(DECLARE)
#undef DECLARE

static const TokenizerDef *const KINDS[] = {
#define ROW(name) &tokenizer_##name,
    TOKENIZER_LIST(ROW)
#undef ROW
};

#define WORD(name) " " #name
static const char *const KNOWN = TOKENIZER_LIST(WORD);
#undef WORD

struct Tokenizer {
    const TokenizerDef *def;
    void *self;
};

Status tokenizer_open(const char *name, Tokenizer **tok)
{
    Status rc = ST_OK;
    Tokenizer *t = NULL;
    const TokenizerDef *def = NULL;
    *tok = NULL;
    for (int64_t i = 0; i < N_OF(KINDS) && !def; i++)
        if (KINDS[i]->knows(name)) def = KINDS[i];
    CHECK(def, CONFIG, "tokenizer \"%s\" is unknown; known:%s", name, KNOWN);
    t = mem_alloc(sizeof *t);
    CHECK(t, NOMEM, "tokenizer \"%s\": %zu bytes", name, sizeof *t);
    t->def = def;
    TRY(def->open(name, &t->self));
    *tok = t;
    t = NULL;
out:
    mem_free(t);
    return rc;
}

void tokenizer_close(Tokenizer *tok)
{
    if (!tok) return;
    tok->def->close(tok->self);
    mem_free(tok);
}

int64_t tokenizer_vocab_size(const Tokenizer *tok)
{
    return tok->def->vocab_size(tok->self);
}

int32_t tokenizer_eos(const Tokenizer *tok)
{
    return tok->def->eos(tok->self);
}

const char *tokenizer_hash(const Tokenizer *tok)
{
    return tok->def->hash(tok->self);
}

int64_t tokenizer_encode(const Tokenizer *tok, const char *text, int64_t n_bytes, int32_t *ids,
                         int64_t max)
{
    return tok->def->encode(tok->self, text, n_bytes, ids, max);
}

int64_t tokenizer_decode(const Tokenizer *tok, const int32_t *ids, int64_t n, char *text,
                         int64_t max)
{
    return tok->def->decode(tok->self, ids, n, text, max);
}
