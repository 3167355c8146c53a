/* llama2c_tokenizer.c — pieces with scores -> a tokenizer.json of kind BPE with byte fallback.
 *
 * File: int32 longest piece, then for each id float32 score, int32 length, bytes. SentencePiece
 * joins the neighbours whose joined piece has the highest score; BPE joins the pair that stands first
 * in a list. So the list has every split of every piece into two pieces, by falling score. */
#include "scripts/llama2c.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 26, MAX_PIECE = 256, N_SPECIAL = 3, N_BYTE = 256 };
#define SPACE "\xe2\x96\x81" /* U+2581 stands for the space */

static const char *const SPECIAL[N_SPECIAL] = {"<unk>", "<s>", "</s>"};

typedef struct Merge {
    float score;           /* of the joined piece */
    int64_t piece, n_left; /* its id; bytes of its left part */
    int64_t left_id, right_id;
} Merge;

typedef struct Pieces {
    const char *path;
    int64_t n;
    char (*text)[3 * MAX_PIECE + 1]; /* with SPACE for " " */
    float *score;
    json_t *id_of;
    Merge *merge;
    int64_t n_merge;
} Pieces;

static void spell_spaces(const char *raw, int64_t n, char *text)
{
    for (int64_t i = 0; i < n; i++) {
        const char one[2] = {raw[i], 0}, *as = raw[i] == ' ' ? SPACE : one;
        text = stpcpy(text, as);
    }
}

static Status pieces_read(Pieces *p, const char *bytes, size_t n_bytes)
{
    Status rc = ST_OK;
    const char *at = bytes + sizeof(int32_t), *const end = bytes + n_bytes;
    for (int64_t id = 0; id < p->n; id++) {
        int32_t length;
        CHECK(end - at >= (ptrdiff_t)(sizeof(float) + sizeof length), FORMAT,
              "%s: ends at piece %lld of %lld", p->path, LL(id), LL(p->n));
        memcpy(&p->score[id], at, sizeof(float));
        memcpy(&length, at + sizeof(float), sizeof length);
        at += sizeof(float) + sizeof length;
        CHECK(length >= 1 && length <= MAX_PIECE && length <= end - at && p->score[id] > -1e30F &&
                  p->score[id] < 1e30F && !memchr(at, 0, (size_t)length),
              FORMAT, "%s: piece %lld has length %d and score %g", p->path, LL(id), length,
              (double)p->score[id]);
        if (id < N_SPECIAL) /* spelt with line breaks there, so that no text gives them */
            strcpy(p->text[id], SPECIAL[id]);
        else
            spell_spaces(at, length, p->text[id]);
        at += length;
        CHECK(!json_object_get(p->id_of, p->text[id]), FORMAT, "%s: piece %lld doubles \"%s\"",
              p->path, LL(id), p->text[id]);
        CHECK(json_object_set_new(p->id_of, p->text[id], json_integer(id)) == 0, FORMAT,
              "%s: piece %lld is no UTF-8", p->path, LL(id));
    }
    CHECK(at == end, FORMAT, "%s: %lld bytes after piece %lld, the last of the model", p->path,
          LL(end - at), LL(p->n - 1));
    for (int b = 0; b < N_BYTE; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        CHECK(json_object_get(p->id_of, name), FORMAT, "%s: piece %s is missing", p->path, name);
    }
out:
    return rc;
}

static int64_t id_of(const Pieces *p, const char *text, int64_t n)
{
    const json_t *id = json_object_getn(p->id_of, text, (size_t)n);
    return id ? json_integer_value(id) : -1;
}

static Status pieces_add_merge(Pieces *p, Merge m)
{
    Status rc = ST_OK;
    if ((p->n_merge & (p->n_merge - 1)) == 0) { /* full at powers of two */
        const size_t n = (size_t)p->n_merge * sizeof m;
        Merge *more = mem_resize(p->merge, n, n ? 2 * n : sizeof m);
        CHECK(more, NOMEM, "no memory for %lld merges", LL(2 * p->n_merge));
        p->merge = more;
    }
    p->merge[p->n_merge++] = m;
out:
    return rc;
}

static int by_score(const void *a, const void *b)
{
    const Merge *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->piece != y->piece) return x->piece < y->piece ? -1 : 1;
    return x->left_id < y->left_id ? -1 : x->left_id > y->left_id;
}

static Status pieces_split(Pieces *p)
{
    Status rc = ST_OK;
    for (int64_t id = N_SPECIAL; id < p->n; id++) {
        const char *text = p->text[id];
        const int64_t n = (int64_t)strlen(text);
        for (int64_t k = 1; k < n; k++) {
            const Merge m = {p->score[id], id, k, id_of(p, text, k), id_of(p, text + k, n - k)};
            if (m.left_id >= N_SPECIAL && m.right_id >= N_SPECIAL) TRY(pieces_add_merge(p, m));
        }
    }
    if (p->n_merge) qsort(p->merge, (size_t)p->n_merge, sizeof *p->merge, by_score);
out:
    return rc;
}

static json_t *merges_json(const Pieces *p)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < p->n_merge; i++) {
        const Merge *m = &p->merge[i];
        const char *text = p->text[m->piece];
        json_array_append_new(list,
                              json_sprintf("%.*s %s", (int)m->n_left, text, text + m->n_left));
    }
    return list;
}

static json_t *special_json(int id)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", SPECIAL[id],
                     "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
}

/* As transformers converts a Llama 2 tokenizer: a space in front, spaces as SPACE, <s> before. */
static json_t *tokenizer_json(const Pieces *p)
{
    json_t *normalizer = json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence",
                                   "normalizers", "type", "Prepend", "prepend", SPACE, "type",
                                   "Replace", "pattern", "String", " ", "content", SPACE);
    json_t *post_processor = json_pack(
        "{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}],"
        " s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}],"
        " s:{s:{s:s, s:[i], s:[s]}}}",
        "type", "TemplateProcessing", "single", "SpecialToken", "id", "<s>", "type_id", 0,
        "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", "<s>", "type_id", 0,
        "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", "<s>", "type_id", 1, "Sequence",
        "id", "B", "type_id", 1, "special_tokens", "<s>", "id", "<s>", "ids", 1, "tokens", "<s>");
    json_t *decoder = json_pack(
        "{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence",
        "decoders", "type", "Replace", "pattern", "String", SPACE, "content", " ", "type",
        "ByteFallback", "type", "Fuse", "type", "Strip", "content", " ", "start", 1, "stop", 0);
    json_t *model = json_pack("{s:s, s:n, s:s, s:n, s:n, s:b, s:b, s:b, s:O, s:o}", "type", "BPE",
                              "dropout", "unk_token", "<unk>", "continuing_subword_prefix",
                              "end_of_word_suffix", "fuse_unk", 1, "byte_fallback", 1,
                              "ignore_merges", 0, "vocab", p->id_of, "merges", merges_json(p));
    return json_pack("{s:s, s:n, s:n, s:[o, o, o], s:o, s:n, s:o, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens", special_json(0), special_json(1),
                     special_json(2), "normalizer", normalizer, "pre_tokenizer", "post_processor",
                     post_processor, "decoder", decoder, "model", model);
}

Status llama2c_convert_tokenizer(const char *tokenizer, int64_t n_vocab, int64_t n_context,
                                 const char *dir)
{
    Status rc = ST_OK;
    char *bytes = NULL;
    size_t n_bytes;
    Pieces p = {.path = tokenizer, .n = n_vocab, .id_of = json_object()};
    p.text = mem_array(n_vocab, sizeof *p.text);
    p.score = mem_array(n_vocab, sizeof *p.score);
    CHECK(p.text && p.score && p.id_of, NOMEM, "no memory for %lld pieces", LL(n_vocab));
    TRY(file_read_all(tokenizer, MAX_FILE, &bytes, &n_bytes));
    CHECK(n_bytes >= sizeof(int32_t), FORMAT, "%s: %zu bytes are no tokenizer", tokenizer, n_bytes);
    TRY(pieces_read(&p, bytes, n_bytes));
    TRY(pieces_split(&p));
    TRY(json_file_write(dir, "tokenizer.json", tokenizer_json(&p), false));
    TRY(json_file_write(dir, "tokenizer_config.json",
                        json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "tokenizer_class",
                                  "PreTrainedTokenizerFast", "bos_token", "<s>", "eos_token",
                                  "</s>", "unk_token", "<unk>", "model_max_length",
                                  (json_int_t)n_context, "clean_up_tokenization_spaces", 0),
                        false));
out:
    json_decref(p.id_of);
    mem_free(p.merge);
    mem_free(p.score);
    mem_free(p.text);
    mem_free(bytes);
    return rc;
}
