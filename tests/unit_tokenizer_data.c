/* unit_tokenizer_data.c — published tokenizers: vectors of other programs, texts there and back. */
#include "data/data.h"
#include "data/normalizer.h"
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static const char *const NAMES[] = {"gpt2", "llama2", "llama3", "qwen2", "gpt_neox"};
static Tokenizer
    *opened[N_OF(NAMES)]; /* once, for all tests; NULL where there are no published ones */

static Tokenizer *real_tokenizer(const char *name)
{
    for (int64_t i = 0; i < N_OF(NAMES); i++)
        if (strcmp(NAMES[i], name) == 0) return opened[i];
    return NULL;
}

static bool open_all(void)
{
    for (int64_t i = 0; i < N_OF(NAMES); i++) {
        char folder[256];
        snprintf(folder, sizeof folder, "tokenizers/%s", NAMES[i]);
        const char *path = test_shared_data(folder);
        if (path && tokenizer_open(path, &opened[i]) != ST_OK) return false;
    }
    return true;
}

static char *read_shared(const char *name, size_t *n)
{
    char *text;
    const char *path = test_shared_data(name);
    T_TRUE(path);
    T_OK(file_read_all(path, 1 << 28, &text, n));
    return text;
}

/* Ids as llama.cpp writes them: a blank before each. */
static void write_ids(const TokenList *list, char *out, size_t n_out)
{
    size_t n = 0;
    out[0] = '\0';
    for (int64_t i = 0; i < list->n && n < n_out; i++)
        n += (size_t)snprintf(out + n, n_out - n, " %d", list->ids[i]);
    T_TRUE(n < n_out);
}

/* Texts with a line "__ggml_vocab_test__" behind each, ids line by line. */
static void check_vectors(const char *tokenizer, const char *vectors)
{
    static const char MARK[] = "\n__ggml_vocab_test__\n";
    const Tokenizer *tok = real_tokenizer(tokenizer);
    if (!tok) T_SKIP("no published tokenizers here");
    char name[256], *in, *out, ids[8192];
    size_t n_in, n_out;
    int64_t n = 0;
    TokenList list = {0};
    snprintf(name, sizeof name, "tokenizers/llama_cpp_vectors/ggml-vocab-%s.gguf.inp", vectors);
    in = read_shared(name, &n_in);
    snprintf(name, sizeof name, "tokenizers/llama_cpp_vectors/ggml-vocab-%s.gguf.out", vectors);
    out = read_shared(name, &n_out);
    const char *line = out;
    for (char *text = in, *end; (end = strstr(text, MARK)); text = end + strlen(MARK), n++) {
        const char *line_end = strchr(line, '\n');
        T_TRUE(line_end);
        list.n = 0;
        T_OK(tokenizer_encode(tok, text, end - text, TOKENIZER_PLAIN, &list));
        write_ids(&list, ids, sizeof ids);
        if ((ptrdiff_t)strlen(ids) != line_end - line || memcmp(ids, line, strlen(ids)) != 0)
            ck_abort_msg("%s, text %lld: \"%.*s\" gave%s, expected%.*s", tokenizer, LL(n),
                         (int)(end - text), text, ids, (int)(line_end - line), line);
        line = line_end + 1;
    }
    T_EQ_I64(n, 46);
    T_TRUE(!*line);
    token_list_fini(&list);
    mem_free(in);
    mem_free(out);
}

START_TEST(gpt2_equals_its_vectors)
{
    check_vectors("gpt2", "gpt-2");
}
END_TEST

START_TEST(llama3_equals_its_vectors)
{
    check_vectors("llama3", "llama-bpe");
}
END_TEST

START_TEST(qwen2_equals_its_vectors)
{
    check_vectors("qwen2", "qwen2");
}
END_TEST

START_TEST(llama2_equals_its_vectors)
{
    check_vectors("llama2", "llama-spm");
}
END_TEST

/* With the bos that the template puts in front. */
START_TEST(llama2_equals_llama2c)
{
    const Tokenizer *tok = real_tokenizer("llama2");
    if (!tok) T_SKIP("no published tokenizers here");
    size_t n;
    char *text = read_shared("tokenizers/llama2/llama2c_vectors.json", &n);
    json_t *all = json_loadb(text, n, 0, NULL), *one;
    size_t i;
    T_TRUE(json_array_size(all) == 5);
    json_array_foreach(all, i, one)
    {
        TokenList list = {0};
        const json_t *ids = json_object_get(one, "ids"), *prompt = json_object_get(one, "text");
        T_OK(tokenizer_encode(tok, json_string_value(prompt), (int64_t)json_string_length(prompt),
                              TOKENIZER_ADD_SPECIAL | TOKENIZER_PARSE_SPECIAL, &list));
        T_EQ_I64(list.n, json_array_size(ids));
        for (int64_t k = 0; k < list.n; k++)
            T_EQ_I64(list.ids[k], json_integer_value(json_array_get(ids, (size_t)k)));
        token_list_fini(&list);
    }
    json_decref(all);
    mem_free(text);
}
END_TEST

START_TEST(named_ids_of_real_tokenizers)
{
    static const struct {
        const char *name;
        int64_t vocab_size;
        int32_t bos, eos;
    } CASES[] = {{"gpt2", 50257, -1, 50256},
                 {"llama2", 32000, 1, 2},
                 {"llama3", 128256, 128000, 128001},
                 {"qwen2", 151646, -1, 151643},
                 {"gpt_neox", 50277, -1, 0}};
    for (int64_t i = 0; i < N_OF(CASES); i++) {
        const Tokenizer *tok = real_tokenizer(CASES[i].name);
        if (!tok) T_SKIP("no published tokenizers here");
        T_EQ_I64(tokenizer_vocab_size(tok), CASES[i].vocab_size);
        T_EQ_I64(tokenizer_bos(tok), CASES[i].bos);
        T_EQ_I64(tokenizer_eos(tok), CASES[i].eos);
        T_TRUE(tokenizer_is_special(tok, CASES[i].eos));
        T_EQ_I64(strlen(tokenizer_hash(tok)), 64);
    }
}
END_TEST

/* ---- there and back ---- */

typedef struct Real {
    const char *name;
    NormalStep step; /* what a text loses on the way: of these all, this alone */
    const Tokenizer *tok;
    Normalizer *lossy;
} Real;

static Real published[] = {
    {.name = "gpt2", .step = {.kind = NORMAL_STRIP}},
    {.name = "llama3", .step = {.kind = NORMAL_STRIP}},
    {.name = "qwen2", .step = {.kind = NORMAL_NFC}},
    {.name = "gpt_neox", .step = {.kind = NORMAL_NFC}},
    {.name = "llama2", .step = {.kind = NORMAL_REPLACE}}}; /* U+2581: a space */

static void losses_init(void)
{
    for (int64_t i = 0; i < N_OF(published); i++) {
        Real *r = &published[i];
        r->tok = real_tokenizer(r->name);
        T_OK(normalizer_create(&r->lossy));
        if (r->step.kind == NORMAL_REPLACE) {
            r->step.content = mem_strdup(" ");
            T_OK(pattern_create("\xe2\x96\x81", 3, PATTERN_LITERAL, &r->step.pattern));
        }
        T_OK(normalizer_add(r->lossy, &r->step));
    }
}

static void losses_fini(void)
{
    for (int64_t i = 0; i < N_OF(published); i++) normalizer_destroy(published[i].lossy);
}

/* Decoding gives the text again. */
static void there_and_back(const Real *r, const char *path, const char *text, int64_t n)
{
    TokenList list = {0};
    TextBuf repaired = {0};
    TextView v = {text, n, NULL, 0};
    T_OK(view_repair(&v, &repaired, &v));
    T_OK(normalizer_run(r->lossy, &v, &v));
    T_OK(tokenizer_encode(r->tok, text, n, TOKENIZER_PLAIN, &list));
    char *back = mem_alloc((size_t)v.n);
    const int64_t n_back = tokenizer_decode(r->tok, list.ids, list.n, TOKENIZER_PLAIN, back, v.n);
    int64_t same = 0;
    while (same < v.n && same < n_back && back[same] == v.s[same]) same++;
    if (n_back != v.n || same != v.n)
        ck_abort_msg("%s, %s: %lld bytes became %lld, the first that differs is %lld: \"%.20s\"",
                     r->name, path, LL(v.n), LL(n_back), LL(same), v.s + same);
    bool rises = list.n == 0 || list.end[list.n - 1] == n;
    for (int64_t i = 1; i < list.n; i++) rises = rises && list.end[i] >= list.end[i - 1];
    ck_assert_msg(rises, "%s: the ends of its tokens fall, or do not reach its end", path);
    mem_free(back);
    text_buf_fini(&repaired);
    token_list_fini(&list);
}

/* A file of text, or what a gzip file holds; NULL for another kind of file. Where EVERY_TEXT is set
 * all of it, else its beginning. */
static char *read_text(const char *path, int64_t *n)
{
    const unsigned most = getenv("EVERY_TEXT") ? 1 << 26 : 1 << 14;
    static const char *const ENDS[] = {".txt", ".json", ".jsonl", ".csv", ".gz", ".dev",
                                       ".all", ".test", ".train", ".tsv", ".inp"};
    bool is_text = false;
    for (int64_t i = 0; i < N_OF(ENDS); i++) {
        const size_t n_end = strlen(ENDS[i]), n_path = strlen(path);
        is_text = is_text || (n_path > n_end && strcmp(path + n_path - n_end, ENDS[i]) == 0);
    }
    if (!is_text) return NULL;
    char *text = mem_alloc(most);
    gzFile f = gzopen(path, "rb");
    T_TRUE(text && f);
    *n = gzread(f, text, most);
    gzclose(f);
    T_TRUE(*n >= 0 && (*n < most || !getenv("EVERY_TEXT")));
    if (!memchr(text, 0, (size_t)*n)) return text;
    mem_free(text); /* pictures */
    return NULL;
}

static int64_t n_bytes_seen;

static void check_file(const char *path)
{
    int64_t n;
    char *text = read_text(path, &n);
    if (!text) return;
    for (int64_t i = 0; i < N_OF(published); i++) there_and_back(&published[i], path, text, n);
    n_bytes_seen += n;
    mem_free(text);
}

static void check_folder(const char *path)
{
    DIR *dir = opendir(path);
    T_TRUE(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        char name[1024];
        struct stat st;
        if (e->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        T_TRUE(stat(name, &st) == 0);
        if (S_ISDIR(st.st_mode))
            check_folder(name);
        else
            check_file(name);
    }
    closedir(dir);
}

START_TEST(decoding_gives_every_text_back)
{
    const char *shared = test_shared_data("");
    if (!shared || !opened[0]) T_SKIP("no published texts here");
    char root[1024];
    snprintf(root, sizeof root, "%s", shared);
    losses_init();
    check_folder(root);
    printf("%lld bytes there and back with %lld tokenizers\n", LL(n_bytes_seen),
           LL(N_OF(published)));
    T_TRUE(n_bytes_seen > 100000);
    losses_fini();
}
END_TEST

int main(void)
{
    const TTest *t[] = {gpt2_equals_its_vectors,       llama3_equals_its_vectors,
                        qwen2_equals_its_vectors,      llama2_equals_its_vectors,
                        llama2_equals_llama2c,         named_ids_of_real_tokenizers,
                        decoding_gives_every_text_back};
    if (!open_all()) {
        fprintf(stderr, "%s\n", status_message());
        return EXIT_FAILURE;
    }
    const int code = test_main("unit.tokenizer_data", t, N_OF(t));
    for (int64_t i = 0; i < N_OF(NAMES); i++) tokenizer_close(opened[i]);
    return code;
}
