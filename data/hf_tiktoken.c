/* hf_tiktoken.c — tokenizer.model of Llama 3: lines of a token's bytes in base64 and its rank.
 *
 * Two neighbours merge where both together are a token, the lower rank first: so every way to cut a
 * token in two tokens is a merge of its rank, and a piece that is a token is taken whole. */
#include "data/byte_level.h"
#include "data/hf_tokenizer.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKEN = 1024, N_SPECIAL = 256 };

/* By their place behind the ranks, as Hugging Face's folders of Llama 3.1 have them; the others are
 * <|reserved_special_token_N|>, counted from 0. */
static const char *special_name(int i, int *n_reserved, char name[64])
{
    static const char *const NAMES[] = {
        [0] = "<|begin_of_text|>",   [1] = "<|end_of_text|>",   [4] = "<|finetune_right_pad_id|>",
        [6] = "<|start_header_id|>", [7] = "<|end_header_id|>", [8] = "<|eom_id|>",
        [9] = "<|eot_id|>",          [10] = "<|python_tag|>"};
    if (i < N_OF(NAMES) && NAMES[i]) return NAMES[i];
    snprintf(name, 64, "<|reserved_special_token_%d|>", (*n_reserved)++);
    return name;
}

static int sextet(char c)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(DIGITS, c) : NULL;
    return at ? (int)(at - DIGITS) : -1;
}

/* RFC 4648, with padding; -1: it is none, or longer than MAX_TOKEN. */
static int64_t base64(const char *s, int64_t n, char *bytes)
{
    int64_t n_bytes = 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 > MAX_TOKEN) return -1;
    const int n_pad = (s[n - 1] == '=') + (s[n - 1] == '=' && s[n - 2] == '=');
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t word = 0;
        for (int64_t k = i; k < i + 4; k++) {
            const int x = k >= n - n_pad ? 0 : sextet(s[k]);
            if (x < 0) return -1;
            word = word << 6 | (uint32_t)x;
        }
        bytes[n_bytes++] = (char)(word >> 16);
        bytes[n_bytes++] = (char)(word >> 8);
        bytes[n_bytes++] = (char)word;
    }
    return n_bytes - n_pad;
}

static Status read_line(HfTokenizer *h, const char *line, int64_t n, int64_t number)
{
    Status rc = ST_OK;
    char bytes[MAX_TOKEN], name[2 * MAX_TOKEN], *end = NULL;
    const char *space = memchr(line, ' ', (size_t)n);
    const int64_t n_bytes = space ? base64(line, space - line, bytes) : -1;
    const long long id = space ? strtoll(space + 1, &end, 10) : -1;
    CHECK(
        n_bytes > 0 && end == line + n && end > space + 1, FORMAT,
        "line %lld is no \"base64 rank\" (only this form is read; a SentencePiece model needs its "
        "tokenizer.json)",
        LL(number));
    TRY(id_table_put(h->units, id, bytes, n_bytes));
    TRY(id_table_put(h->names, id, name, byte_level_encode(bytes, n_bytes, name)));
out:
    return rc;
}

static Status read_lines(HfTokenizer *h, const char *text, size_t n_text)
{
    Status rc = ST_OK;
    const char *const end = text + n_text;
    for (int64_t number = 1; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *const line_end = newline ? newline : end;
        if (line_end > text) TRY(read_line(h, text, line_end - text, number));
        text = newline ? newline + 1 : end;
    }
    for (int i = 0; i < 256; i++) {
        const char c = (char)i;
        CHECK(id_table_find(h->units, &c, 1) >= 0, FORMAT, "the byte 0x%02x has no rank",
              (unsigned)i);
    }
out:
    return rc;
}

static Status add_merges(HfTokenizer *h)
{
    Status rc = ST_OK;
    for (int64_t id = 0, n; id < id_table_size(h->units); id++) {
        const char *s = id_table_text(h->units, id, &n);
        for (int64_t k = 1; s && k < n; k++) {
            const int32_t left = id_table_find(h->units, s, k);
            const int32_t right = left < 0 ? -1 : id_table_find(h->units, s + k, n - k);
            if (right >= 0) TRY(bpe_add_merge(h->bpe, left, right, id));
        }
    }
out:
    return rc;
}

static Status add_specials(HfTokenizer *h)
{
    Status rc = ST_OK;
    const int64_t first = id_table_size(h->units);
    int n_reserved = 0;
    char name[64];
    for (int i = 0; i < N_SPECIAL; i++) {
        AddedToken token = {.id = (int32_t)(first + i), .special = true};
        token.content = special_name(i, &n_reserved, name);
        token.n = (int64_t)strlen(token.content);
        TRY(hf_put_added(h, &token));
    }
    h->before.id[h->before.n++] = (int32_t)first;
out:
    return rc;
}

Status hf_read_tiktoken(HfTokenizer *h)
{
    Status rc = ST_OK;
    char *path = NULL, *text = NULL;
    size_t n;
    const BpeOpts o = {.of_bytes = true, .ignore_merges = true, .unk = -1};
    TRY(hf_read_file(h, "tokenizer.model", &path, &text, &n));
    TRY(hf_in_file(path, read_lines(h, text, n)));
    TRY(bpe_create(h->units, &o, &h->bpe));
    TRY(add_merges(h));
    TRY(hf_add_split(h->pretokenizer, PATTERN_LLAMA3, SPLIT_ISOLATED));
    TRY(hf_add_bytes(h->detokenizer));
    TRY(add_specials(h));
    h->lists_added = true;
out:
    mem_free(path);
    mem_free(text);
    return rc;
}
