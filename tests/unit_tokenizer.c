/* unit_tokenizer.c — tokenizers from folders written here: every construct, where tokens end, what is
 * refused. */
#include "data/hf_tokenizer.h"
#include "tests/test_helper.h"
#include "tests/tokenizer_cases.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- folders ---- */

static const char *new_folder(void)
{
    static char path[256];
    static int n;
    snprintf(path, sizeof path, "%s/t%d", test_dir(), n++);
    T_TRUE(mkdir(path, 0700) == 0);
    return path;
}

/* ' stands for ". */
static void write_file(const char *folder, const char *name, const char *text)
{
    char *path = path_join(folder, name), *copy = mem_strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    T_OK(file_write_new(path, copy, strlen(copy)));
    mem_free(copy);
    mem_free(path);
}

static Tokenizer *opened(const char *folder)
{
    Tokenizer *tok;
    T_OK(tokenizer_open(folder, &tok));
    return tok;
}

static Tokenizer *from_json(const char *json)
{
    const char *folder = new_folder();
    write_file(folder, "tokenizer.json", json);
    return opened(folder);
}

/* "id:end id:end ..." */
static const char *encoded_n(const Tokenizer *tok, const char *text, int64_t n_bytes,
                             TokenizerFlags flags)
{
    static char out[1024];
    TokenList list = {0};
    int n = 0;
    T_OK(tokenizer_encode(tok, text, n_bytes, flags, &list));
    out[0] = '\0';
    for (int64_t i = 0; i < list.n; i++)
        n += snprintf(out + n, sizeof out - (size_t)n, i ? " %d:%lld" : "%d:%lld", list.ids[i],
                      LL(list.end[i]));
    token_list_fini(&list);
    return out;
}

static const char *encoded(const Tokenizer *tok, const char *text, TokenizerFlags flags)
{
    return encoded_n(tok, text, (int64_t)strlen(text), flags);
}

static const char *decoded(const Tokenizer *tok, const char *ids, TokenizerFlags flags)
{
    static char out[256];
    int32_t list[64];
    int64_t n = 0;
    for (char *end; *ids; ids = end) list[n++] = (int32_t)strtol(ids, &end, 10);
    const int64_t n_out = tokenizer_decode(tok, list, n, flags, out, sizeof out - 1);
    T_TRUE(n_out < (int64_t)sizeof out);
    out[n_out] = '\0';
    return out;
}

static const TokenizerFlags WITH_SPECIAL = TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL;

/* ---- single steps, as the tokenizers package does them ---- */

static JsonDoc *step_doc(const char *step)
{
    JsonDoc *doc;
    char text[1024];
    const int n = snprintf(text, sizeof text, "{\"step\": %s}", step);
    T_OK(json_doc_parse("step", text, (size_t)n, &doc));
    return doc;
}

START_TEST(normalizers_equal_the_package)
{
    for (int64_t i = 0; i < N_OF(NORMALIZERS); i++) {
        const StepCase *c = &NORMALIZERS[i];
        JsonDoc *doc = step_doc(c->step);
        const JsonAt top = json_doc_top(doc);
        Normalizer *z;
        TextView v = {c->text, (int64_t)strlen(c->text), NULL, 0};
        T_OK(normalizer_create(&z));
        T_OK(hf_read_normalizer(json_key(&top, "step"), z));
        T_OK(normalizer_run(z, &v, &v));
        if (v.n != (int64_t)strlen(c->expected) || memcmp(v.s, c->expected, (size_t)v.n) != 0)
            ck_abort_msg("%s: \"%s\" gave \"%.*s\", expected \"%s\"", c->step, c->text, (int)v.n,
                         v.s, c->expected);
        for (int64_t k = 0; k < v.n; k++) T_TRUE(view_end(&v, k) <= view_end(&v, k + 1));
        T_TRUE(view_end(&v, v.n) <= (int64_t)strlen(c->text));
        normalizer_destroy(z);
        json_doc_close(doc);
    }
}
END_TEST

START_TEST(pre_tokenizers_equal_the_package)
{
    for (int64_t i = 0; i < N_OF(PRE_TOKENIZERS); i++) {
        const StepCase *c = &PRE_TOKENIZERS[i];
        JsonDoc *doc = step_doc(c->step);
        const JsonAt top = json_doc_top(doc);
        Pretokenizer *p;
        TextView v = {c->text, (int64_t)strlen(c->text), NULL, 0};
        const Span *span;
        int64_t n_span;
        bool byte_level;
        char out[512] = "";
        T_OK(pretokenizer_create(&p));
        T_OK(hf_read_pretokenizer(json_key(&top, "step"), p, &byte_level));
        T_TRUE(!byte_level);
        T_OK(pretokenizer_run(p, &v, &v, &span, &n_span));
        for (int64_t k = 0; k < n_span; k++) {
            strncat(out, v.s + span[k].begin, (size_t)(span[k].end - span[k].begin));
            strcat(out, "|");
        }
        ck_assert_msg(strcmp(out, c->expected) == 0, "%s: \"%s\" gave \"%s\", expected \"%s\"",
                      c->step, c->text, out, c->expected);
        pretokenizer_destroy(p);
        json_doc_close(doc);
    }
}
END_TEST

/* A byte alone that is no UTF-8 is U+FFFD to the package, itself to us. */
START_TEST(decoders_equal_the_package)
{
    for (int64_t i = 0; i < N_OF(DECODERS); i++) {
        const StepCase *c = &DECODERS[i];
        JsonDoc *doc = step_doc(c->step);
        const JsonAt top = json_doc_top(doc);
        Detokenizer *d;
        int32_t ids[8], n = 0;
        char out[256];
        TextBuf repaired = {0};
        T_OK(detokenizer_create(&d));
        T_OK(hf_read_decoder(json_key(&top, "step"), d));
        for (const char *t = c->text; *t; n++) {
            const size_t len = strcspn(t, "|");
            T_OK(detokenizer_put(d, n, t, (int64_t)len));
            ids[n] = n;
            t += len + (t[len] == '|');
        }
        TextView v = {out, detokenizer_run(d, ids, n, NULL, out, sizeof out), NULL, 0};
        T_OK(view_repair(&v, &repaired, &v));
        ck_assert_msg(v.n == (int64_t)strlen(c->expected) &&
                          memcmp(v.s, c->expected, (size_t)v.n) == 0,
                      "%s: \"%s\" gave \"%.*s\", expected \"%s\"", c->step, c->text, (int)v.n, v.s,
                      c->expected);
        text_buf_fini(&repaired);
        detokenizer_destroy(d);
        json_doc_close(doc);
    }
}
END_TEST

/* ---- whole tokenizers ---- */

/* Like Llama 2: spaces are U+2581, one in front; characters fall back to bytes. */
static const char LLAMA[] =
    "{'model': {'type': 'BPE', 'unk_token': '<unk>', 'byte_fallback': true, 'fuse_unk': true,"
    " 'vocab': {'<unk>': 0, '<s>': 1, '</s>': 2, '\\u2581': 3, 'a': 4, 'b': 5, '\\u2581a': 6,"
    "           'ab': 7, '\\u2581ab': 8, '<0xC3>': 9, '<0xA9>': 10, '<0x0A>': 11},"
    " 'merges': ['\\u2581 a', ['a', 'b'], '\\u2581a b']},"
    " 'added_tokens': [{'id': 1, 'content': '<s>', 'special': true, 'normalized': false},"
    "                  {'id': 2, 'content': '</s>', 'special': true, 'normalized': false},"
    "                  {'id': 12, 'content': '<w>', 'special': false, 'single_word': true},"
    "                  {'id': 13, 'content': '<l>', 'lstrip': true},"
    "                  {'id': 14, 'content': '<r>', 'rstrip': true},"
    "                  {'id': 15, 'content': '<r><r>'}],"
    " 'normalizer': {'type': 'Sequence', 'normalizers': ["
    "   {'type': 'Prepend', 'prepend': '\\u2581'},"
    "   {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '\\u2581'}]},"
    " 'post_processor': {'type': 'TemplateProcessing',"
    "   'single': [{'SpecialToken': {'id': '<s>', 'type_id': 0}}, {'Sequence': {'id': 'A', "
    "'type_id': 0}},"
    "              {'SpecialToken': {'id': '</s>', 'type_id': 0}}],"
    "   'special_tokens': {'<s>': {'id': '<s>', 'ids': [1], 'tokens': ['<s>']},"
    "                      '</s>': {'id': '</s>', 'ids': [2], 'tokens': ['</s>']}}},"
    " 'decoder': {'type': 'Sequence', 'decoders': ["
    "   {'type': 'Replace', 'pattern': {'String': '\\u2581'}, 'content': ' '},"
    "   {'type': 'ByteFallback'}, {'type': 'Fuse'},"
    "   {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]}}";

START_TEST(texts_with_marked_spaces)
{
    Tokenizer *tok = from_json(LLAMA);
    T_EQ_STR(encoded(tok, "ab ab a", TOKENIZER_PLAIN), "8:2 8:5 6:7");
    T_EQ_STR(encoded(tok, "b", TOKENIZER_PLAIN), "3:0 5:1"); /* the mark has no text */
    T_EQ_STR(encoded(tok, "a\xc3\xa9\n", TOKENIZER_PLAIN), "6:1 9:2 10:3 11:4");
    T_EQ_STR(encoded(tok, "axyb", TOKENIZER_PLAIN), "6:1 0:3 5:4"); /* fused */
    T_EQ_STR(encoded(tok, "", TOKENIZER_PLAIN), "");
    T_EQ_STR(encoded(tok, "", WITH_SPECIAL), "1:0 2:0");
    T_EQ_STR(encoded(tok, "a", WITH_SPECIAL), "1:0 6:1 2:1");

    T_EQ_STR(decoded(tok, "1 8 3 5 9 10 2", TOKENIZER_SKIP_SPECIAL), "ab b\xc3\xa9");
    T_EQ_STR(decoded(tok, "1 8 2", TOKENIZER_PLAIN), "<s> ab</s>");
    T_EQ_STR(decoded(tok, "3 3 6", TOKENIZER_PLAIN), "  a"); /* one space less */
    T_EQ_STR(decoded(tok, "9 9 99 -1", TOKENIZER_PLAIN), "\xc3\xc3");
    T_EQ_I64(tokenizer_vocab_size(tok), 16);
    T_EQ_I64(tokenizer_bos(tok), 1); /* of the template */
    T_EQ_I64(tokenizer_eos(tok), 2); /* by its name */
    T_EQ_I64(tokenizer_pad(tok), -1);
    T_EQ_I64(tokenizer_id(tok, "</s>"), 2);
    T_EQ_I64(tokenizer_id(tok, "none"), -1);
    T_EQ_STR(tokenizer_token(tok, 6), "\xe2\x96\x81"
                                      "a");
    T_TRUE(!tokenizer_token(tok, 16) && !tokenizer_token(tok, -1));
    T_TRUE(tokenizer_is_special(tok, 1) && !tokenizer_is_special(tok, 12));
    T_TRUE(!tokenizer_is_special(tok, -1) && !tokenizer_is_special(tok, 16));
    T_TRUE(tokenizer_is_end(tok, 2) && !tokenizer_is_end(tok, 1) && !tokenizer_is_end(tok, -1));
    int64_t n;
    T_EQ_STR(tokenizer_piece(tok, 6, &n), " a");
    T_EQ_I64(n, 2);
    tokenizer_piece(tok, 77, &n);
    T_EQ_I64(n, 0);
    tokenizer_close(tok);
}
END_TEST

START_TEST(added_tokens_are_found_as_they_are_written)
{
    Tokenizer *tok = from_json(LLAMA);
    /* what stands between them is a text of its own, with its own mark in front */
    T_EQ_STR(encoded(tok, "a<s>a", TOKENIZER_PARSE_SPECIAL), "6:1 1:4 6:5");
    T_EQ_STR(encoded(tok, "a<s>a", TOKENIZER_PLAIN), "6:1 0:4 4:5"); /* text like any other */
    T_EQ_STR(encoded(tok, "a <w> a", TOKENIZER_PLAIN), "6:1 3:2 12:5 3:5 6:7");
    T_EQ_STR(encoded(tok, "<w>a", TOKENIZER_PLAIN), "3:0 0:3 4:4"); /* inside a word: none */
    T_EQ_STR(encoded(tok, "a \xe3\x80\x80<l>a", TOKENIZER_PLAIN), "6:1 13:8 6:9");
    T_EQ_STR(encoded(tok, "<r> \n a", TOKENIZER_PLAIN), "14:6 6:7");
    T_EQ_STR(encoded(tok, "<r><r><r>", TOKENIZER_PLAIN), "15:6 14:9"); /* the longest */
    T_EQ_STR(encoded(tok, "<r>  <l>", TOKENIZER_PLAIN), "14:5 13:8"); /* spaces go with the first */
    tokenizer_close(tok);

    tok = from_json("{'model': {'vocab': {'a': 0, 'A': 1, 'B': 2}, 'merges': []},"
                    " 'normalizer': {'type': 'Lowercase'},"
                    " 'added_tokens': [{'id': 3, 'content': 'AB', 'normalized': true},"
                    "                  {'id': 4, 'content': 'BA', 'normalized': false}]}");
    T_EQ_STR(encoded(tok, "abaABBAba", TOKENIZER_PLAIN), "3:2 0:3 3:5 4:7 0:9");
    T_EQ_STR(decoded(tok, "4 3", TOKENIZER_PLAIN), "BA ab"); /* no decoder: spaces between */
    tokenizer_close(tok);
}
END_TEST

/* Tokens of several bytes end inside a character, or behind what it came from. */
START_TEST(ends_are_those_of_the_text_as_given)
{
    Tokenizer *tok = from_json(
        "{'model': {'vocab': {'\\u00c3': 0, '\\u00a9': 1, 'a': 2, '\\u0120': 3, '\\u0120a': 4,"
        " '\\u00ef': 5, '\\u00bf': 6, '\\u00bd': 7}, 'merges': ['\\u0120 a']},"
        " 'normalizer': {'type': 'NFC'},"
        " 'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': true}}");
    T_EQ_STR(encoded(tok, "a a", TOKENIZER_PLAIN), "4:1 4:3"); /* the first space was not there */
    T_EQ_STR(encoded(tok, " a", TOKENIZER_PLAIN), "4:2");
    T_EQ_STR(encoded(tok, "\xc3\xa9", TOKENIZER_PLAIN), "3:0 0:1 1:2");
    T_EQ_STR(encoded(tok,
                     "e\xcc\x81"
                     "a",
                     TOKENIZER_PLAIN),
             "3:0 0:3 1:3 2:4");
    /* no UTF-8: each is U+FFFD, and what is around it stays */
    T_EQ_STR(encoded(tok,
                     "a\xff"
                     "a",
                     TOKENIZER_PLAIN),
             "4:1 5:2 6:2 7:2 2:3");
    T_EQ_STR(encoded(tok, "a\xe2\x82", TOKENIZER_PLAIN), "4:1 5:3 6:3 7:3"); /* one of two bytes */
    T_EQ_STR(encoded_n(tok, "a\0a", 3, TOKENIZER_PLAIN), "4:1 2:3");
    tokenizer_close(tok);
}
END_TEST

START_TEST(repair_follows_the_standard)
{
    static const struct {
        const char *bytes, *repaired; /* ? for U+FFFD */
    } CASES[] = {
        {"\x80", "?"},
        {"\xc0\xaf", "??"},
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x91\x92\x93\xff"
         "A",
         "?????A"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
         "A",
         "????A"},
        {"\xf0\x9f\x98", "?"},
        {"A\xf0\x9f", "A?"},
        {"\xc3\x28", "?("},
    };
    for (int64_t i = 0; i < N_OF(CASES); i++) {
        TextBuf b = {0};
        TextView v = {CASES[i].bytes, (int64_t)strlen(CASES[i].bytes), NULL, 0};
        char out[64] = "";
        T_OK(view_repair(&v, &b, &v));
        int n = 0;
        for (int64_t at = 0; at < v.n; n++) {
            const bool bad = at + 2 < v.n && memcmp(v.s + at, "\xef\xbf\xbd", 3) == 0;
            out[n] = bad ? '?' : v.s[at];
            at += bad ? 3 : 1;
        }
        T_EQ_STR(out, CASES[i].repaired);
        T_EQ_I64(view_end(&v, v.n), strlen(CASES[i].bytes));
        text_buf_fini(&b);
    }
}
END_TEST

START_TEST(a_vocabulary_may_hold_nul)
{
    Tokenizer *tok =
        from_json("{'model': {'vocab': {'\\u0000': 0, 'a': 1, 'a\\u0000': 2, '\\\\u0000': 3},"
                  " 'merges': [['a', '\\u0000']]}}");
    T_EQ_STR(encoded_n(tok, "\0a\0a", 4, TOKENIZER_PLAIN), "0:1 2:3 1:4");
    T_EQ_I64(tokenizer_id(tok, "\\u0000"), 3);
    tokenizer_close(tok);
}
END_TEST

/* ---- the other files ---- */

START_TEST(config_files_name_ids)
{
    static const char TOKENIZER[] =
        "{'model': {'vocab': {'a': 0, '<x>': 1, '<y>': 2, '<z>': 3}, 'merges': []},"
        " 'added_tokens': [{'id': 1, 'content': '<x>', 'special': true}]}";
    const char *folder = new_folder();
    write_file(folder, "tokenizer.json", TOKENIZER);
    Tokenizer *tok = opened(folder);
    char plain[SHA256_HEX];
    T_TRUE(tokenizer_bos(tok) == -1 && tokenizer_eos(tok) == -1);
    strcpy(plain, tokenizer_hash(tok));
    tokenizer_close(tok);

    folder = new_folder();
    write_file(folder, "tokenizer.json", TOKENIZER);
    write_file(folder, "tokenizer_config.json",
               "{'bos_token': null, 'eos_token': {'content': '<y>', 'special': true},"
               " 'added_tokens_decoder': {'4': {'content': '<new>', 'special': true},"
               "                          '1': {'content': '<x>', 'special': true}}}");
    write_file(folder, "special_tokens_map.json", "{'eos_token': '<x>', 'pad_token': '<new>'}");
    write_file(folder, "generation_config.json", "{'eos_token_id': [2, 3, 77], 'bos_token_id': 1}");
    write_file(folder, "config.json", "{'pad_token_id': -1, 'eos_token_id': 0}");
    tok = opened(folder);
    T_EQ_I64(tokenizer_bos(tok), -1); /* null is an answer */
    T_EQ_I64(tokenizer_eos(tok), 2);
    T_EQ_I64(tokenizer_pad(tok), 4);
    T_TRUE(tokenizer_is_end(tok, 2) && tokenizer_is_end(tok, 3) && !tokenizer_is_end(tok, 77));
    T_EQ_STR(encoded(tok, "a<new><y>", TOKENIZER_PARSE_SPECIAL),
             "0:1 4:6"); /* <y> is no added one */
    T_TRUE(strcmp(plain, tokenizer_hash(tok)) != 0);
    tokenizer_close(tok);
    tok = opened(folder);
    strcpy(plain, tokenizer_hash(tok));
    tokenizer_close(tok);
    tok = opened(folder);
    T_EQ_STR(tokenizer_hash(tok), plain);
    tokenizer_close(tok);

    folder = new_folder();
    write_file(folder, "tokenizer.json", TOKENIZER);
    write_file(folder, "config.json",
               "{'bos_token_id': 3, 'eos_token_id': [1], 'pad_token_id': 0}");
    tok = opened(folder);
    T_TRUE(tokenizer_bos(tok) == 3 && tokenizer_eos(tok) == 1 && tokenizer_pad(tok) == 0);
    tokenizer_close(tok);
}
END_TEST

static const char VOCAB[] =
    "{'a': 0, 'b': 1, '\\u0120': 2, '1': 3, '2': 4, 'ab': 5, '\\u0120ab': 6,"
    " '12': 7, '\\u00cc': 8, '\\u0123': 9, '\\u00c3': 10, '\\u0142': 11,"
    " '<|endoftext|>': 12, 'e': 13, '\\u0123\\u0123': 14}";
static const char MERGES[] = "#version: 0.2\na b\n\xc4\xa0 ab\r\n\n1 2\n";

START_TEST(vocab_and_merges)
{
    const char *folder = new_folder();
    write_file(folder, "vocab.json", VOCAB);
    write_file(folder, "merges.txt", MERGES);
    Tokenizer *tok = opened(folder); /* nothing tells: GPT-2 */
    T_EQ_STR(encoded(tok, "ab ab12<|endoftext|>", TOKENIZER_PARSE_SPECIAL), "5:2 6:5 7:7 12:20");
    T_EQ_STR(decoded(tok, "5 6 7", TOKENIZER_PLAIN), "ab ab12");
    T_EQ_I64(tokenizer_eos(tok), 12);
    T_EQ_I64(tokenizer_bos(tok), -1);
    tokenizer_close(tok);

    folder = new_folder();
    write_file(folder, "vocab.json", VOCAB);
    write_file(folder, "merges.txt", MERGES);
    write_file(folder, "tokenizer_config.json",
               "{'tokenizer_class': 'Qwen2TokenizerFast', 'eos_token': 'b'}");
    write_file(folder, "added_tokens.json", "{'<t>': 20}");
    tok = opened(folder);
    T_EQ_STR(encoded(tok, "12b<t>", TOKENIZER_PARSE_SPECIAL),
             "3:1 4:2 1:3 20:6");                                 /* digit by digit */
    T_EQ_STR(encoded(tok, "e\xcc\x81", TOKENIZER_PLAIN), "10:3"); /* NFC; A9 has no token here */
    T_EQ_I64(tokenizer_eos(tok), 1);
    T_TRUE(tokenizer_is_special(tok, 1));
    T_EQ_I64(tokenizer_id(tok, "<|im_end|>"), 16);
    tokenizer_close(tok);

    folder = new_folder();
    write_file(folder, "vocab.json", VOCAB);
    write_file(folder, "merges.txt", MERGES);
    write_file(folder, "tokenizer_config.json",
               "{'tokenizer_class': 'GPT2Tokenizer', 'add_prefix_space': true}");
    tok = opened(folder);
    T_EQ_STR(encoded(tok, "ab", TOKENIZER_PLAIN), "6:2");
    tokenizer_close(tok);
}
END_TEST

/* All bytes, and "ab", "abc", "bc" with ranks in another order than their lengths. */
static void write_tiktoken(const char *folder, const char *more)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[8192];
    int n = 0;
    for (int b = 0; b < 256; b++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%c%c== %d\n", DIGITS[b >> 2],
                      DIGITS[(b & 3) << 4], b);
    snprintf(text + n, sizeof text - (size_t)n, "%s", more);
    write_file(folder, "tokenizer.model", text);
}

START_TEST(ranks_of_tiktoken)
{
    const char *folder = new_folder();
    write_tiktoken(folder, "YmM= 256\nYWI= 257\nYWJj 258\n");
    Tokenizer *tok = opened(folder);
    T_EQ_STR(encoded(tok, "ab", WITH_SPECIAL), "259:0 257:2");
    T_EQ_STR(encoded(tok, "abc", TOKENIZER_PLAIN), "258:3");
    T_EQ_STR(encoded(tok, "abcb", TOKENIZER_PLAIN), "258:3 98:4");
    T_EQ_STR(encoded(tok, "<|eot_id|>\n", TOKENIZER_PARSE_SPECIAL), "268:10 10:11");
    T_EQ_I64(tokenizer_vocab_size(tok), 259 + 256);
    T_EQ_I64(tokenizer_eos(tok), 260);
    T_EQ_STR(tokenizer_token(tok, 32), "\xc4\xa0");
    T_EQ_STR(tokenizer_token(tok, 514), "<|reserved_special_token_247|>");
    T_EQ_STR(decoded(tok, "259 258 255", TOKENIZER_SKIP_SPECIAL), "abc\xff");
    tokenizer_close(tok);
}
END_TEST

/* ---- hostile files ---- */

static const struct {
    const char *json, *why;
} BAD_JSON[] = {
    {"", "tokenizer.json:1:"},
    {"[]", "expected an object"},
    {"{}", "model: found nothing"},
    {"{'model': 3}", "model: found 3"},
    {"{'model': {'vocab': {'a': 0}}}", "model.merges: found nothing"},
    {"{'model': {'merges': []}}", "model.vocab: found nothing"},
    {"{'model': {'type': 'Unigram', 'vocab': []}}",
     "model.type: found the text \"Unigram\", expected \"BPE\""},
    {"{'model': {'type': 'WordPiece'}}", "WordPiece"},
    {"{'model': {'vocab': {'a': 0, 'b': 0}, 'merges': []}}",
     "model.vocab.b: found 0, expected an id of its own (id 0 belongs to two tokens, \"a\" and "
     "\"b\")"},
    {"{'model': {'vocab': {'a': -1}, 'merges': []}}", "model.vocab.a: found -1"},
    {"{'model': {'vocab': {'a': 99999999999}, 'merges': []}}", "model.vocab.a: found 99999999999"},
    {"{'model': {'vocab': {'a': 0.5}, 'merges': []}}", "found 0.5"},
    {"{'model': {'vocab': {'a': 0, 'a': 1}, 'merges': []}}", "duplicate"},
    {"{'model': {'vocab': {'a': 0}, 'merges': ['a b']}}",
     "model.merges[0]: found the text \"a b\", expected two tokens of the vocabulary"},
    {"{'model': {'vocab': {'a': 0}, 'merges': ['a a']}}",
     "(the merge of \"a\" and \"a\" makes no token)"},
    {"{'model': {'vocab': {'a': 0}, 'merges': ['aa']}}", "one space between"},
    {"{'model': {'vocab': {'a': 0}, 'merges': ['a a a']}}", "one space between"},
    {"{'model': {'vocab': {'a': 0}, 'merges': [['a']]}}", "expected a pair of tokens"},
    {"{'model': {'vocab': {'a': 0}, 'merges': [['a', 1]]}}", "expected a pair of tokens"},
    {"{'model': {'vocab': {'a': 0}, 'merges': [], 'dropout': 0.1}}", "model.dropout: found 0.1"},
    {"{'model': {'vocab': {'a': 0}, 'merges': [], 'end_of_word_suffix': '</w>'}}",
     "end_of_word_suffix"},
    {"{'model': {'vocab': {'a': 0}, 'merges': [], 'unk_token': '<unk>'}}",
     "model.unk_token: found the text \"<unk>\", expected a token of the vocabulary"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'added_tokens': [{'id': 1, 'content': 'a'}]}",
     "added_tokens[0]: found an object, expected a token of its own (token \"a\" has two ids, 0 "
     "and 1)"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'added_tokens': [{'id': 0, 'content': 'b'}]}",
     "id 0 belongs to two tokens"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'added_tokens': [{'id': 1}]}",
     "added_tokens[0].content: found nothing"},
    {"{'normalizer': {'type': 'Precompiled'}}",
     "normalizer.type: found the text \"Precompiled\", expected a normalizer that is supported"},
    {"{'normalizer': {'type': 'BertNormalizer'}}", "BertNormalizer"},
    {"{'normalizer': {'type': 'Replace', 'pattern': {'Regex': '('}, 'content': ''}}",
     "normalizer.pattern: found an object, expected a regular expression that is supported "
     "(missing closing parenthesis)"},
    {"{'normalizer': {'type': 'Replace', 'pattern': {'Regex': 'a'}}}",
     "normalizer.content: found nothing"},
    {"{'pre_tokenizer': {'type': 'BertPreTokenizer'}}",
     "expected a pre-tokenizer that is supported"},
    {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '[a&&b]'}, 'behavior': 'Isolated'}}",
     "intersection"},
    {"{'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': 'a'}, 'behavior': 'Never'}}",
     "pre_tokenizer.behavior: found the text \"Never\""},
    {"{'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'ByteLevel'}, {'type': "
     "'Digits'}]}}",
     "pre_tokenizer.pretokenizers[1].type: found the text \"Digits\", expected nothing behind "
     "ByteLevel"},
    {"{'pre_tokenizer': {'type': 'Metaspace', 'prepend_scheme': 'last'}}",
     "always, first or never"},
    {"{'decoder': {'type': 'CTC'}}", "expected a decoder that is supported"},
    {"{'decoder': {'type': 'Sequence', 'decoders': [{'type': 'Fuse'}, {'type': 'ByteLevel'}]}}",
     "behind Fuse only a Strip"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'post_processor': {'type': 'BertProcessing'}}",
     "TemplateProcessing, ByteLevel or a Sequence"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'post_processor': {'type': "
     "'TemplateProcessing', 'single': []}}",
     "post_processor.single: found a list, expected a Sequence"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'post_processor': {'type': "
     "'TemplateProcessing', 'single': [{'SpecialToken': {'id': 'x'}}, {'Sequence': {}}], "
     "'special_tokens': {'x': {'ids': [7]}}}}",
     "found 7"},
    {"{'model': {'vocab': {'a': 0}, 'merges': []}, 'post_processor': {'type': "
     "'TemplateProcessing', 'single': [{'SpecialToken': {'id': 'x'}}, {'Sequence': {}}]}}",
     "found nothing"},
};

START_TEST(bad_tokenizer_json_is_refused)
{
    for (int64_t i = 0; i < N_OF(BAD_JSON); i++) {
        const char *folder = new_folder();
        Tokenizer *tok;
        write_file(folder, "tokenizer.json", BAD_JSON[i].json);
        T_FAILS(tokenizer_open(folder, &tok), FORMAT, BAD_JSON[i].why);
        T_TRUE(!tok);
    }
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    enum { DEEP = 3000 };
    static const char OPEN[] = "{'type': 'Sequence', 'normalizers': [", CLOSE[] = "]}";
    char *json = mem_alloc(DEEP * (sizeof OPEN + sizeof CLOSE) + 64);
    for (int depth = 20; depth <= DEEP; depth += DEEP - 20) {
        const char *folder = new_folder();
        Tokenizer *tok;
        char *end = stpcpy(json, "{'normalizer': ");
        for (int i = 0; i < depth; i++) end = stpcpy(end, OPEN);
        for (int i = 0; i < depth; i++) end = stpcpy(end, CLOSE);
        strcpy(end, "}");
        write_file(folder, "tokenizer.json", json);
        T_FAILS(tokenizer_open(folder, &tok), FORMAT, depth == 20 ? "8 deep at most" : "depth");
    }
    mem_free(json);
}
END_TEST

START_TEST(bad_files_beside_are_refused)
{
    static const struct {
        const char *name, *text, *why;
    } CASES[] = {
        {"merges.txt", "a b\na b b\n", "merges.txt: line 2: \"a b b\", expected two tokens"},
        {"merges.txt", "a z\n",
         "merges.txt: line 1: \"a z\" names a token that is not in vocab.json"},
        {"merges.txt", "b a\n", "merges.txt: the merge of \"b\" and \"a\" makes no token"},
        {"tokenizer_config.json", "{'tokenizer_class': 'T5Tokenizer'}",
         "tokenizer_class: found the text \"T5Tokenizer\", expected GPT2Tokenizer or "
         "Qwen2Tokenizer"},
        {"tokenizer_config.json", "{'added_tokens_decoder': {'x': {'content': 'y'}}}",
         "added_tokens_decoder.x"},
        {"tokenizer_config.json", "{'added_tokens_decoder': {'3': {'content': 'y'}}}",
         "id 3 belongs to two tokens"},
        {"tokenizer_config.json", "{'eos_token': 3}", "eos_token"},
        {"added_tokens.json", "{'<t>': 3}", "id 3 belongs to two tokens"},
        {"generation_config.json", "{'eos_token_id': 'x'}", "eos_token_id"},
        {"config.json", "{'model_type': 1}", "model_type"},
        {"vocab.json", "{'a': 0, 'b': 'c'}", "vocab.json: b: found the text \"c\""},
    };
    for (int64_t i = 0; i < N_OF(CASES); i++) {
        const char *folder = new_folder();
        Tokenizer *tok;
        if (strcmp(CASES[i].name, "vocab.json") != 0) write_file(folder, "vocab.json", VOCAB);
        if (strcmp(CASES[i].name, "merges.txt") != 0) write_file(folder, "merges.txt", MERGES);
        write_file(folder, CASES[i].name, CASES[i].text);
        T_FAILS(tokenizer_open(folder, &tok), FORMAT, CASES[i].why);
    }
    const char *folder = new_folder();
    Tokenizer *tok;
    T_FAILS(tokenizer_open(folder, &tok), DATA,
            "there is no tokenizer.json, vocab.json or tokenizer.model");
    write_file(folder, "vocab.json", VOCAB);
    char why[640];
    snprintf(why, sizeof why, "%s/merges.txt: cannot open: No such file or directory", folder);
    T_TRUE(tokenizer_open(folder, &tok) == ST_DATA);
    T_EQ_STR(status_message(), why);
    status_clear();

    static const struct {
        const char *more, *why;
    } RANKS[] = {{"YWI= 255\n", "id 255 belongs to two tokens"},
                 {"YQ== 256\n", "has two ids"},
                 {"YWI= x\n", "tokenizer.model: line 257 is no \"base64 rank\""},
                 {"YW!= 256\n", "line 257"},
                 {"YWI 256\n", "line 257"},
                 {"YWI= 99999999999999999999\n", "has the id"}};
    for (int64_t i = 0; i < N_OF(RANKS); i++) {
        folder = new_folder();
        write_tiktoken(folder, RANKS[i].more);
        T_FAILS(tokenizer_open(folder, &tok), FORMAT, RANKS[i].why);
    }
    folder = new_folder();
    write_file(folder, "tokenizer.model", "\n\x0e\n\x05<unk>");
    T_FAILS(tokenizer_open(folder, &tok), FORMAT, "a SentencePiece model needs its tokenizer.json");
    folder = new_folder();
    write_file(folder, "tokenizer.model", "AA== 0\n");
    T_FAILS(tokenizer_open(folder, &tok), FORMAT, "the byte 0x01 has no rank");
}
END_TEST

/* ---- when memory or a file fails ---- */

static Status use(const char *folder)
{
    Status rc = ST_OK;
    Tokenizer *tok = NULL;
    TokenList list = {0};
    char text[256];
    memset(text, 'a', sizeof text);
    TRY(tokenizer_open(folder, &tok));
    TRY(tokenizer_encode(tok, "ab <s>\xff ab", 10, WITH_SPECIAL, &list));
    TRY(tokenizer_encode(tok, text, sizeof text, TOKENIZER_PLAIN, &list));
out:
    token_list_fini(&list);
    tokenizer_close(tok);
    return rc;
}

START_TEST(every_failure_is_told_and_leaves_nothing)
{
    const char *folder = new_folder();
    write_file(folder, "tokenizer.json", LLAMA);
    write_file(folder, "tokenizer_config.json", "{'eos_token': '</s>'}");
    const int64_t live = mem_live();
    int n_told = 0;
    for (int n = 1;; n++) {
        fault_arm(n, false);
        const Status rc = use(folder);
        const bool hit = fault_disarm();
        T_TRUE(hit || rc == ST_OK); /* a pattern without machine code is slower, and no failure */
        n_told += rc != ST_OK;
        status_clear();
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    T_TRUE(n_told > 100);
}
END_TEST

int main(void)
{
    const TTest *t[] = {normalizers_equal_the_package,
                        pre_tokenizers_equal_the_package,
                        decoders_equal_the_package,
                        texts_with_marked_spaces,
                        added_tokens_are_found_as_they_are_written,
                        ends_are_those_of_the_text_as_given,
                        repair_follows_the_standard,
                        a_vocabulary_may_hold_nul,
                        config_files_name_ids,
                        vocab_and_merges,
                        ranks_of_tiktoken,
                        bad_tokenizer_json_is_refused,
                        deep_nesting_is_refused,
                        bad_files_beside_are_refused,
                        every_failure_is_told_and_leaves_nothing};
    return test_main("unit.tokenizer", t, N_OF(t));
}
