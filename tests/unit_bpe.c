/* unit_bpe.c — byte-pair encoding judged by the plainest way to do it, and what has no token. */
#include "data/bpe.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include <stdio.h>
#include <string.h>

static IdTable *vocabulary(const char *const *tokens, int64_t n)
{
    IdTable *t;
    T_OK(id_table_create(&t));
    for (int64_t i = 0; i < n; i++) T_OK(id_table_put(t, i, tokens[i], (int64_t)strlen(tokens[i])));
    return t;
}

/* "id:end id:end ..." */
static const char *encoded(Bpe *b, const char *text)
{
    static char out[512];
    TokenList list = {0};
    const TextView v = {text, (int64_t)strlen(text), NULL, 0};
    int n = 0;
    T_OK(bpe_encode(b, &v, 0, v.n, &list));
    out[0] = '\0';
    for (int64_t i = 0; i < list.n; i++)
        n += snprintf(out + n, sizeof out - (size_t)n, "%d:%lld ", list.ids[i], LL(list.end[i]));
    token_list_fini(&list);
    return out;
}

/* ---- against the plainest way ---- */

enum { N_LETTER = 4, N_TOKEN = 60, MAX_WORD = 400 };

typedef struct Language { /* random tokens over few letters, each a merge of two earlier ones */
    IdTable *vocab;
    Bpe *bpe;
    int32_t left[N_TOKEN], right[N_TOKEN];
} Language;

static int32_t below(Rng *rng, int64_t n)
{
    return (int32_t)(rng_uniform(rng) * (double)n);
}

static const char *const BYTES[N_LETTER] = {"a", "b", "c", "d"};
static const char *const CHARS[N_LETTER] = {"a", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80"};

static void make_language(Language *l, Rng *rng, bool of_bytes, bool ignore_merges)
{
    const BpeOpts o = {.of_bytes = of_bytes, .ignore_merges = ignore_merges, .unk = -1};
    l->vocab = vocabulary(of_bytes ? BYTES : CHARS, N_LETTER);
    for (int32_t id = N_LETTER; id < N_TOKEN;) {
        char text[512];
        int64_t n_left, n_right;
        l->left[id] = below(rng, id);
        l->right[id] = below(rng, id);
        const char *s = id_table_text(l->vocab, l->left[id], &n_left);
        memcpy(text, s, (size_t)n_left);
        s = id_table_text(l->vocab, l->right[id], &n_right);
        if (n_left + n_right > 40) continue;
        memcpy(text + n_left, s, (size_t)n_right);
        if (id_table_find(l->vocab, text, n_left + n_right) >= 0) continue;
        T_OK(id_table_put(l->vocab, id++, text, n_left + n_right));
    }
    T_OK(bpe_create(l->vocab, &o, &l->bpe));
    for (int32_t id = N_LETTER; id < N_TOKEN; id++)
        T_OK(bpe_add_merge(l->bpe, l->left[id], l->right[id], id));
    T_OK(bpe_finish(l->bpe));
}

/* The first merge of the list that applies anywhere, at its leftmost place, again and again. */
static int64_t plainest(const Language *l, int32_t *ids, int64_t n)
{
    for (int32_t id = N_LETTER; id < N_TOKEN; id++)
        for (int64_t i = 0; i + 1 < n; i++)
            if (ids[i] == l->left[id] && ids[i + 1] == l->right[id]) {
                ids[i] = id;
                memmove(ids + i + 1, ids + i + 2, (size_t)(n - i - 2) * sizeof *ids);
                n--;
                id = N_LETTER - 1;
                break;
            }
    return n;
}

static void compare(const Language *l, Rng *rng, const char *const *letters, int64_t n)
{
    char text[4 * MAX_WORD];
    int32_t ids[MAX_WORD];
    TokenList list = {0};
    TextView v = {text, 0, NULL, 0};
    for (int64_t i = 0; i < n; i++) {
        ids[i] = below(rng, N_LETTER);
        memcpy(text + v.n, letters[ids[i]], strlen(letters[ids[i]]));
        v.n += (int64_t)strlen(letters[ids[i]]);
    }
    const int64_t expected = plainest(l, ids, n);
    for (int again = 0; again < 2; again++) { /* the second time from memory */
        list.n = 0;
        T_OK(bpe_encode(l->bpe, &v, 0, v.n, &list));
        T_EQ_I64(list.n, expected);
        T_TRUE(memcmp(list.ids, ids, (size_t)expected * sizeof *ids) == 0);
        T_EQ_I64(list.end[list.n - 1], v.n);
    }
    token_list_fini(&list);
}

START_TEST(words_of_every_length_are_merged_in_order)
{
    Rng rng;
    rng_init(&rng, 3, 0);
    for (int round = 0; round < 40; round++) {
        Language l;
        make_language(&l, &rng, round % 2 == 0, false);
        for (int64_t n = 1; n < 80; n += 1 + n / 4)
            compare(&l, &rng, round % 2 == 0 ? BYTES : CHARS, n);
        compare(&l, &rng, round % 2 == 0 ? BYTES : CHARS, MAX_WORD);
        bpe_destroy(l.bpe);
        id_table_destroy(l.vocab);
    }
}
END_TEST

/* One word of a megabyte that nothing cuts, and whose every pair merges. */
START_TEST(long_words_take_no_square_of_time)
{
    enum { N = 1 << 20 };
    static const char *const TOKENS[] = {"a", "aa", "aaaa"};
    IdTable *t = vocabulary(TOKENS, 3);
    Bpe *b;
    TokenList list = {0};
    char *text = mem_alloc(N);
    memset(text, 'a', N);
    T_OK(bpe_create(t, &(BpeOpts){.of_bytes = true, .unk = -1}, &b));
    T_OK(bpe_add_merge(b, 0, 0, 0));
    T_OK(bpe_add_merge(b, 1, 1, 1));
    T_OK(bpe_finish(b));
    T_OK(bpe_encode(b, &(TextView){text, N, NULL, 0}, 0, N, &list));
    T_EQ_I64(list.n, N / 4);
    T_EQ_I64(list.ids[list.n - 1], 2);
    T_EQ_I64(list.end[0], 4);
    mem_free(text);
    token_list_fini(&list);
    bpe_destroy(b);
    id_table_destroy(t);
}
END_TEST

/* ---- what has no token ---- */

static Bpe *small(const IdTable *t, BpeOpts o)
{
    Bpe *b;
    T_OK(bpe_create(t, &o, &b));
    T_OK(bpe_add_merge(b, 1, 2, 0)); /* a b */
    T_OK(bpe_finish(b));
    return b;
}

START_TEST(characters_without_a_token)
{
    static const char *const TOKENS[] = {"<unk>", "a", "b", "ab", "<0xC3>", "<0xA9>", "abb"};
    IdTable *t = vocabulary(TOKENS, N_OF(TOKENS));
    Bpe *b = small(t, (BpeOpts){.unk = -1});
    T_EQ_STR(encoded(b, "axyb"), "3:4 "); /* dropped: a and b stand side by side */
    T_EQ_STR(encoded(b, "axxxxxxxxxxxxxxxxxxxxxxxxxxxxxb"), "3:31 ");
    T_EQ_STR(encoded(b, "abxb"), "3:2 2:4 ");
    bpe_destroy(b);
    b = small(t, (BpeOpts){.unk = 0});
    T_EQ_STR(encoded(b, "axyab"), "1:1 0:2 0:3 3:5 ");
    bpe_destroy(b);
    b = small(t, (BpeOpts){.unk = 0, .fuse_unk = true});
    T_EQ_STR(encoded(b, "axyab"), "1:1 0:3 3:5 ");
    T_EQ_STR(encoded(b, "xyxyxyxyxyxyxyxyxyxyxyxyxyxyxya"), "0:30 1:31 "); /* never cut */
    bpe_destroy(b);
    b = small(t, (BpeOpts){.unk = 0, .byte_fallback = true});
    T_EQ_STR(encoded(b, "a\xc3\xa9\xc3\xaa"), "1:1 4:2 5:3 0:5 "); /* bytes, where all are there */
    bpe_destroy(b);
    b = small(t, (BpeOpts){.unk = -1, .ignore_merges = true});
    T_EQ_STR(encoded(b, "abb"), "6:3 ");
    T_EQ_STR(encoded(b, "abba"), "3:2 2:3 1:4 ");
    bpe_destroy(b);
    id_table_destroy(t);
}
END_TEST

START_TEST(bad_merges_and_ids_are_refused)
{
    static const char *const TOKENS[] = {"a", "b", "ab"};
    IdTable *t = vocabulary(TOKENS, 3);
    Bpe *b;
    T_OK(bpe_create(t, &(BpeOpts){.unk = -1}, &b));
    T_FAILS(bpe_add_merge(b, 1, 0, 0), FORMAT, "the merge of \"b\" and \"a\" makes no token");
    T_FAILS(id_table_put(t, 2, "x", 1), FORMAT, "id 2 belongs to two tokens, \"ab\" and \"x\"");
    T_FAILS(id_table_put(t, 7, "ab", 2), FORMAT, "token \"ab\" has two ids, 2 and 7");
    T_FAILS(id_table_put(t, -1, "y", 1), FORMAT, "token \"y\" has the id -1");
    T_FAILS(id_table_put(t, ID_TABLE_MAX_ID + 1, "y", 1), FORMAT, "not 0 .. 4194303");
    T_OK(id_table_put(t, 2, "ab", 2));
    T_EQ_I64(id_table_size(t), 3);
    T_TRUE(!id_table_text(t, 3, NULL) && !id_table_text(t, -1, NULL));
    bpe_destroy(b);
    id_table_destroy(t);
}
END_TEST

int main(void)
{
    const TTest *t[] = {words_of_every_length_are_merged_in_order,
                        long_words_take_no_square_of_time, characters_without_a_token,
                        bad_merges_and_ids_are_refused};
    return test_main("unit.bpe", t, N_OF(t));
}
