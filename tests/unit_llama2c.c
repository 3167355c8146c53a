/* unit_llama2c.c — llama2.c files as Hugging Face folders: each number at its new place, each merge
 * in its order, and files that are not what they say. */
#include "scripts/llama2c.h"
#include "tests/test_helper.h"
#include "trainer/io/json_file.h"
#include "trainer/io/safetensors.h"
#include <stdio.h>
#include <string.h>

enum { VOCAB = 265, MAX_MODEL = 20000, MAX_TOKENIZER = 8000, TOKENIZER_JSON = 1 << 20 };

static const int32_t SIZES[7] = {8, 3, 2, 2, 1, VOCAB, 2}; /* head_dim 4 */

static const char *at(const char *name)
{
    static char path[8][256];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", test_dir(), name);
    return path[next];
}

/* Number k of the file is k. */
static size_t build_model(char file[MAX_MODEL], const int32_t sizes[7], int64_t n_float)
{
    memcpy(file, sizes, 28);
    for (int64_t k = 0; k < n_float; k++) {
        const float x = (float)k;
        memcpy(file + 28 + 4 * k, &x, sizeof x);
    }
    return (size_t)(28 + 4 * n_float);
}

static size_t add_piece(char *file, size_t n, float score, const char *text)
{
    const int32_t length = (int32_t)strlen(text);
    memcpy(file + n, &score, 4);
    memcpy(file + n + 4, &length, 4);
    memcpy(file + n + 8, text, (size_t)length);
    return n + 8 + (size_t)length;
}

static size_t build_tokenizer(char file[MAX_TOKENIZER])
{
    static const struct {
        float score;
        const char *text;
    } last[VOCAB - 259] = {{-9, " "}, {-9, "a"}, {-9, "é"}, {-2, " a"}, {-2, "aé"}, {-1, " aé"}};
    size_t n = 4;
    memset(file, 0, n);
    n = add_piece(file, n, 0, "<unk>");
    n = add_piece(file, n, 0, "\n<s>\n");
    n = add_piece(file, n, 0, "\n</s>\n");
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        n = add_piece(file, n, 0, text);
    }
    for (int64_t i = 0; i < N_OF(last); i++) n = add_piece(file, n, last[i].score, last[i].text);
    return n;
}

static const int64_t N_TIED = VOCAB * 8 + 16 + 2 * (64 + 32 + 32 + 64) + 16 + 2 * 3 * 24 + 8 + 8;

static void write_file(const char *path, const void *bytes, size_t n) /* no wait for the disk */
{
    FILE *f = fopen(path, "wb");
    T_TRUE(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

static Status convert(const void *model, size_t n_model, const void *tokenizer, size_t n_tokenizer)
{
    write_file(at("m.bin"), model, n_model);
    write_file(at("t.bin"), tokenizer, n_tokenizer);
    return llama2c_convert(at("m.bin"), at("t.bin"), at("out"));
}

static const float *values(const SafeTensors *s, const char *name, int64_t rows, int64_t cols)
{
    const SafeTensor *t;
    T_OK(safetensors_weight(s, name, &t));
    T_EQ_I64(t->n_dim, cols ? 2 : 1);
    T_EQ_I64(t->dim[0], rows);
    if (cols) T_EQ_I64(t->dim[1], cols);
    return t->data;
}

START_TEST(each_number_gets_to_its_place)
{
    char model[MAX_MODEL], tokenizer[MAX_TOKENIZER];
    const size_t n = build_tokenizer(tokenizer);
    for (int tied = 0; tied < 2; tied++) {
        int32_t sizes[7];
        memcpy(sizes, SIZES, sizeof sizes);
        if (!tied) sizes[5] = -VOCAB;
        T_OK(convert(model, build_model(model, sizes, N_TIED + (tied ? 0 : VOCAB * 8)), tokenizer,
                     n));
        SafeTensors *s = NULL;
        T_OK(safetensors_open_folder(at("out"), &s));
        T_EQ_I64(safetensors_count(s), tied ? 20 : 21);
        const int64_t wq = VOCAB * 8 + 16, wk = wq + 128, wv = wk + 64, w1 = wv + 64 + 128 + 16;
        T_EQ_I64(values(s, "model.embed_tokens.weight", VOCAB, 8)[8], 8);
        T_EQ_I64(values(s, "model.layers.1.input_layernorm.weight", 8, 0)[0], wq - 8);
        const float *q = values(s, "model.layers.1.self_attn.q_proj.weight", 8, 8);
        static const int row_of[8] = {0, 2, 1, 3, 4, 6, 5, 7};
        for (int row = 0; row < 8; row++) T_EQ_I64(q[8 * row + 3], wq + 64 + 8 * row_of[row] + 3);
        T_EQ_I64(values(s, "model.layers.0.self_attn.k_proj.weight", 4, 8)[8], wk + 16);
        T_EQ_I64(values(s, "model.layers.0.self_attn.v_proj.weight", 4, 8)[8], wv + 8);
        T_EQ_I64(values(s, "model.layers.0.mlp.gate_proj.weight", 3, 8)[0], w1);
        T_EQ_I64(values(s, "model.layers.1.mlp.down_proj.weight", 8, 3)[0], w1 + 48 + 24);
        T_EQ_I64(values(s, "model.layers.0.mlp.up_proj.weight", 3, 8)[0], w1 + 96);
        T_EQ_I64(values(s, "model.norm.weight", 8, 0)[0], w1 + 144);
        if (!tied) T_EQ_I64(values(s, "lm_head.weight", VOCAB, 8)[0], N_TIED);
        safetensors_close(s);

        JsonDoc *config = NULL;
        bool said_tied = !tied;
        int64_t kv = 0;
        T_OK(json_doc_open(at("out/config.json"), 4096, &config));
        const JsonAt top = json_doc_top(config);
        T_OK(json_bool(json_key(&top, "tie_word_embeddings"), &said_tied));
        T_OK(json_i64(json_key(&top, "num_key_value_heads"), 1, 9, &kv));
        T_TRUE(said_tied == tied && kv == 1);
        json_doc_close(config);
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(merges_stand_by_falling_score)
{
    char tokenizer[MAX_TOKENIZER];
    write_file(at("t.bin"), tokenizer, build_tokenizer(tokenizer));
    T_OK(llama2c_convert_tokenizer(at("t.bin"), VOCAB, 2, test_dir()));
    JsonDoc *doc = NULL;
    T_OK(json_doc_open(at("tokenizer.json"), TOKENIZER_JSON, &doc));
    const JsonAt top = json_doc_top(doc), model = json_key(&top, "model");
    const JsonAt vocab = json_key(&model, "vocab"), merges = json_key(&model, "merges");
    /* the splits of one piece in the order of their left parts' ids */
    static const char *const expected[] = {"▁ aé", "▁a é", "▁ a", "a é"};
    T_EQ_I64(json_count(vocab), VOCAB);
    T_EQ_I64(json_count(merges), N_OF(expected));
    for (int64_t i = 0; i < N_OF(expected); i++) {
        const char *merge;
        T_OK(json_text(json_item(&merges, i), &merge));
        T_EQ_STR(merge, expected[i]);
    }
    json_doc_close(doc);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(files_that_lie_are_refused)
{
    char model[MAX_MODEL], tokenizer[MAX_TOKENIZER], broken[MAX_TOKENIZER];
    const size_t n_model = build_model(model, SIZES, N_TIED), n = build_tokenizer(tokenizer);
    T_FAILS(convert(model, 27, tokenizer, n), FORMAT, "m.bin: 27 bytes, expected a header of 28");
    T_FAILS(convert(model, n_model - 1, tokenizer, n), FORMAT, "for the sizes in its header");
    T_FAILS(convert(model, n_model + 4, tokenizer, n), FORMAT, "for the sizes in its header");
    static const int32_t wrong[][2] = {
        {0, 0}, {0, 7}, {0, INT32_MAX}, {1, -1}, {2, 1 << 20},   {3, 3},         {3, 8},
        {4, 0}, {4, 3}, {5, 0},         {6, -5}, {5, INT32_MIN}, {5, INT32_MAX}, {6, INT32_MAX}};
    for (int64_t i = 0; i < N_OF(wrong); i++) {
        int32_t sizes[7];
        memcpy(sizes, SIZES, sizeof sizes);
        sizes[wrong[i][0]] = wrong[i][1];
        memcpy(model, sizes, sizeof sizes);
        T_FAILS(convert(model, n_model, tokenizer, n), FORMAT, "are no sizes of a llama2.c model");
    }
    memcpy(model, SIZES, sizeof SIZES);
    for (size_t cut = 0; cut < n; cut += cut < n - 40 ? 37 : 1) {
        const Status rc = convert(model, n_model, tokenizer, cut);
        T_EQ_I64(rc, ST_FORMAT);
        status_clear();
    }
    T_FAILS(convert(model, n_model, tokenizer, n + 1), FORMAT, "1 bytes after piece 264");
    memcpy(broken, tokenizer, n);
    memcpy(memmem(broken, n, "<0x41>", 6), "<0x4_>", 6);
    T_FAILS(convert(model, n_model, broken, n), FORMAT, "piece <0x41> is missing");
    memcpy(memmem(broken, n, "<0x4_>", 6), "<0x42>", 6);
    T_FAILS(convert(model, n_model, broken, n), FORMAT, "piece 69 doubles \"<0x42>\"");
    memcpy(broken, tokenizer, n);
    broken[n - 1] = 'x'; /* after the first byte of é */
    T_FAILS(convert(model, n_model, broken, n), FORMAT, "piece 264 is no UTF-8");
    memset(broken + n - 12, 0xff, 4); /* the score: not a number */
    T_FAILS(convert(model, n_model, broken, n), FORMAT, "piece 264 has length 4 and score");
    T_FAILS(llama2c_convert(at("none"), at("t.bin"), at("out")), DATA, "none");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(every_failure_is_told)
{
    char model[MAX_MODEL], tokenizer[MAX_TOKENIZER];
    const size_t n_model = build_model(model, SIZES, N_TIED), n = build_tokenizer(tokenizer);
    T_OK(convert(model, n_model, tokenizer, n));
    for (int k = 1;; k++) {
        fault_arm(k, false);
        const Status rc = llama2c_convert(at("m.bin"), at("t.bin"), at("out"));
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(rc == ST_OK || rc == ST_DATA || rc == ST_NOMEM || rc == ST_IO);
        T_EQ_I64(mem_live(), 0);
        status_clear();
        if (!hit) break;
    }
}
END_TEST

START_TEST(a_trained_model_is_converted)
{
    if (!test_shared_data("models/stories260K")) T_SKIP("../shared/data is not there");
    const char *dir = test_shared_data("models/stories260K");
    char model[512], tokenizer[512];
    snprintf(model, sizeof model, "%s/stories260K.bin", dir);
    snprintf(tokenizer, sizeof tokenizer, "%s/tok512_reconstructed.bin", dir);
    T_OK(llama2c_convert(model, tokenizer, at("stories")));
    SafeTensors *s = NULL;
    T_OK(safetensors_open_folder(at("stories"), &s));
    T_EQ_I64(safetensors_count(s), 47);
    values(s, "model.layers.4.self_attn.k_proj.weight", 32, 64);
    safetensors_close(s);
}
END_TEST

int main(void)
{
    const TTest *t[] = {each_number_gets_to_its_place, merges_stand_by_falling_score,
                        files_that_lie_are_refused, every_failure_is_told,
                        a_trained_model_is_converted};
    return test_main("unit.llama2c", t, N_OF(t));
}
