/* unit_yaml.c — what the reader of configurations accepts, refuses, and how long it takes to say so. */
#include "tests/test_helper.h"
#include "trainer/run/yaml.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static Yaml *parsed(const char *text)
{
    Yaml *root = NULL;
    T_OK(yaml_parse("x.yaml", 1, text, strlen(text), &root));
    return root;
}

static const char *text_of(const Yaml *map, const char *key)
{
    const Yaml *y = yaml_find(map, key);
    ck_assert_msg(y && y->kind == YAML_TEXT, "%s is no text", key);
    return y->text;
}

START_TEST(keeps_order_lines_and_quotes)
{
    Yaml *root = parsed(
        "# a comment\na: 1\nb: '1'\n\nlist:\n  - x\n  - {y: \"z\"}\nblock: |\n  one\n  two\n");
    T_EQ_I64(root->n, 4);
    T_EQ_STR(text_of(root, "a"), "1");
    T_TRUE(!yaml_find(root, "a")->quoted);
    T_TRUE(yaml_find(root, "b")->quoted);
    T_EQ_I64(yaml_find(root, "b")->line, 3);
    const Yaml *list = yaml_find(root, "list");
    T_EQ_I64(list->n, 2);
    T_EQ_I64(list->line, 5);
    T_EQ_STR(yaml_at(list, 0)->text, "x");
    T_EQ_STR(text_of(yaml_at(list, 1), "y"), "z");
    T_EQ_I64(yaml_at(list, 1)->line, 7);
    T_EQ_STR(text_of(root, "block"), "one\ntwo\n");
    T_TRUE(yaml_at(list, 2) == NULL && yaml_find(list, "x") == NULL);
    yaml_destroy(root);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(empty_is_an_empty_map)
{
    static const char *const EMPTY[] = {"",      "\n",           "# only a comment\n",
                                        "---\n", "\xef\xbb\xbf", "{}"};
    for (int64_t i = 0; i < N_OF(EMPTY); i++) {
        Yaml *root = parsed(EMPTY[i]);
        if (root->kind == YAML_MAP) T_EQ_I64(root->n, 0);
        if (i != 3) T_TRUE(root->kind == YAML_MAP); /* "---" is one empty text */
        yaml_destroy(root);
    }
}
END_TEST

START_TEST(tree_can_be_edited)
{
    Yaml *root = parsed("a: 1\nb: 2\nc: 3\n");
    Yaml *b = yaml_detach(root, yaml_find(root, "b"));
    T_EQ_I64(root->n, 2);
    yaml_append(root, b);
    T_TRUE(root->last == b && !b->next);
    Yaml *d = yaml_create(YAML_LIST, 2);
    yaml_replace(root, b, d);
    T_TRUE(root->last == d && yaml_find(root, "c")->next == d);
    d->key = mem_strdup("d");
    T_TRUE(yaml_find(root, "b") == NULL && yaml_find(root, "d") == d);
    yaml_destroy(yaml_detach(root, root->first));
    yaml_destroy(yaml_detach(root, root->last));
    T_TRUE(root->first == root->last && root->n == 1);
    yaml_destroy(root);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* Each text is refused, and the message has this part. */
static const struct {
    const char *text, *part;
} REFUSED[] = {
    {"a: 1\na: 2\n", "x.yaml:2: a: found a second time, expected once (first on line 1)"},
    {"m:\n  k: 1\n  k: 1\n", "x.yaml:3: k: found a second time"},
    {"{a: 1, \"a\": 2}", "x.yaml:1: a: found a second time"},
    {"a: &x 1\n", "x.yaml:1: a: found an anchor"},
    {"a: &x [1]\n", "found an anchor"},
    {"&x a: 1\n", "found an anchor"},
    {"b: *x\n", "x.yaml:1: b: found an alias"},
    {"a: &a [*a]\n", "found an anchor"},
    {"*x : 1\n", "found an alias"},
    {"a: !!int 1\n", "x.yaml:1: a: found a tag"},
    {"a: !x [1]\n", "found a tag"},
    {"!!map {a: 1}\n", "found a tag"},
    {"<<: {a: 1}\n", "found a merge key"},
    {"a: 1\n---\nb: 2\n", "x.yaml:2: found a second document"},
    {"%YAML 1.1\n---\na: 1\n", "found a directive"},
    {"%TAG ! tag:x,2000:\n---\na: 1\n", "found a directive"},
    {"? [a]\n: 1\n", "x.yaml:1: found a list or map as a key"},
    {"{{a: 1}: 2}", "found a list or map as a key"},
    {"'': 1\n", "found an empty key"},
    {": 1\n", "x.yaml:1: found no YAML"},
    {"a: \"\\0\"\n", "found a NUL"},
    {"a: \xff\n", "x.yaml:1: found invalid leading UTF-8 octet"},
    {"ok: 1\na: \xc3\n", "x.yaml:2: found"},
    {"a: \xed\xa0\x80\n", "x.yaml:1: found"},
    {"a: \x01\n", "x.yaml:1: found control characters"},
    {"a: [1, 2\n", "x.yaml:2: a: found no YAML"},
    {"a: 'x\n", "found no YAML"},
    {"a: \"x\n", "found no YAML"},
    {"a: b: c\n", "x.yaml:1: found no YAML: mapping values are not allowed"},
    {"a:\n\tb: 2\n", "x.yaml:2: a: found no YAML: while scanning for the next token, found "
                     "character that cannot start any token "
                     "(a tab? indent with spaces)"},
    {"a: 1\n\tb: 2\n", "found a tab character"},
    {"a: @x\n", "found no YAML"},
    {"a: `x\n", "found no YAML"},
    {"a: %x\n", "found no YAML"},
    {"  a: 1\n b: 2\n", "x.yaml:2:"},
    {"a: 1\n]\n", "x.yaml:2:"},
    {"- a\nb: 1\n", "x.yaml:2:"},
};

START_TEST(refuses_what_a_config_does_not_need)
{
    for (int64_t i = 0; i < N_OF(REFUSED); i++) {
        Yaml *root = NULL;
        T_FAILS(yaml_parse("x.yaml", 1, REFUSED[i].text, strlen(REFUSED[i].text), &root), CONFIG,
                REFUSED[i].part);
        T_TRUE(!root);
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(refuses_nul_utf16_and_size)
{
    Yaml *root = NULL;
    T_FAILS(yaml_parse("x.yaml", 1, "a: 1\nb: \0c\n", 11, &root), CONFIG, "x.yaml:2: found a NUL");
    T_FAILS(yaml_parse("x.yaml", 1,
                       "\xff\xfe"
                       "a\0",
                       4, &root),
            CONFIG, "found a NUL");
    T_FAILS(yaml_parse("x.yaml", 1, "\xff\xfe\x61\x62", 4, &root), CONFIG, "x.yaml:1: found");
    char *big = mem_alloc(YAML_MAX_BYTES + 1);
    memset(big, ' ', YAML_MAX_BYTES + 1);
    T_OK(yaml_parse("x.yaml", 1, big, YAML_MAX_BYTES, &root));
    yaml_destroy(root);
    T_FAILS(yaml_parse("x.yaml", 1, big, YAML_MAX_BYTES + 1, &root), CONFIG,
            "expected at most 1048576");
    mem_free(big);
}
END_TEST

/* Of this process: a busy machine is no failure. */
static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* `n` copies of a pattern after a prefix. */
static char *repeated(const char *prefix, const char *pattern, size_t n_bytes)
{
    char *s = mem_alloc(n_bytes + 1);
    size_t n = strlen(prefix);
    memcpy(s, prefix, n);
    while (n + strlen(pattern) <= n_bytes) {
        memcpy(s + n, pattern, strlen(pattern));
        n += strlen(pattern);
    }
    return s;
}

START_TEST(depth_is_bounded)
{
    Yaml *root = NULL;
    char deep[2 * YAML_MAX_DEPTH + 8];
    for (int depth = YAML_MAX_DEPTH; depth <= YAML_MAX_DEPTH + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        const Status rc = yaml_parse("x.yaml", 1, deep, 2 * (size_t)depth, &root);
        T_TRUE((rc == ST_OK) == (depth == YAML_MAX_DEPTH));
        if (rc == ST_OK) yaml_destroy(root);
        status_clear();
    }
    char *brackets = repeated("a: ", "[", 400000);
    const double start = cpu_s();
    T_FAILS(yaml_parse("x.yaml", 1, brackets, 400000, &root), CONFIG,
            "x.yaml:1: a: found nesting deeper than 32 levels");
    T_TRUE(cpu_s() - start < 0.1);
    mem_free(brackets);
}
END_TEST

START_TEST(any_pattern_is_answered_at_once)
{
    static const char *const PREFIX[] = {"", "a: ", "[", "{a: ", "\""};
    static const char *const PATTERN[] = {
        "[",  "{",    "- ",  "? ",      "{a: ",  "[],",  "a: 1\n",  "a\n",      "'",
        "\"", "\\",   "|\n", "# c\n",   "\n",    " ",    "- - a\n", "? a\n",    "a ",
        "%",  "!",    "!a ", "&a ",     "*a ",   "'a',", "\"a\",",  "a: b: ",   "-\n",
        "\t", "[a,",  "{a,", "--- a\n", "...\n", ":\n",  ": ",      "\xc3\xa9", "a:\n",
        "\r", "a,b,", "? [", "\"\\\n",  ">\n\n"};
    for (int64_t i = 0; i < N_OF(PREFIX); i++)
        for (int64_t j = 0; j < N_OF(PATTERN); j++) {
            char *text = repeated(PREFIX[i], PATTERN[j], YAML_MAX_BYTES);
            Yaml *root = NULL;
            const double start = cpu_s();
            const Status rc = yaml_parse("x.yaml", 1, text, strlen(text), &root);
            const double took = cpu_s() - start;
            ck_assert_msg(took < 1.0, "%s%s took %.2f s", PREFIX[i], PATTERN[j], took);
            if (rc == ST_OK) yaml_destroy(root);
            status_clear();
            mem_free(text);
        }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(many_entries_are_refused)
{
    char *list = repeated("[", "a,", 8 * YAML_MAX_ENTRIES);
    Yaml *root = NULL;
    T_FAILS(yaml_parse("x.yaml", 1, list, strlen(list), &root), CONFIG,
            "more than 1024 entries in one list");
    mem_free(list);
    char *map = mem_alloc(16 * (YAML_MAX_ENTRIES + 2));
    size_t n = 0;
    for (int i = 0; i <= YAML_MAX_ENTRIES; i++) n += (size_t)sprintf(map + n, "k%d: 1\n", i);
    T_FAILS(yaml_parse("x.yaml", 1, map, n, &root), CONFIG,
            "x.yaml:1025: found more than 1024 entries in one map");
    mem_free(map);
}
END_TEST

START_TEST(foreign_text_fits_a_line)
{
    char buf[8];
    T_EQ_STR(yaml_printable("a\n\x1b"
                            "b",
                            buf, sizeof buf),
             "a??b");
    T_EQ_STR(yaml_printable("1234567", buf, sizeof buf), "1234567");
    T_EQ_STR(yaml_printable("12345678", buf, sizeof buf), "1234...");
    T_EQ_STR(yaml_printable("123\xc3\xa9"
                            "5678",
                            buf, sizeof buf),
             "123...");
}
END_TEST

START_TEST(missing_memory_is_reported)
{
    static const char TEXT[] = "a: 1\nlist: [x, {y: z}]\n";
    for (int n = 1;; n++) {
        Yaml *root = NULL;
        fault_arm(n, false);
        const Status rc = yaml_parse("x.yaml", 1, TEXT, sizeof TEXT - 1, &root);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(!hit || rc == ST_NOMEM);
        status_clear();
        yaml_destroy(root);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {
        keeps_order_lines_and_quotes,        empty_is_an_empty_map,      tree_can_be_edited,
        refuses_what_a_config_does_not_need, refuses_nul_utf16_and_size, depth_is_bounded,
        any_pattern_is_answered_at_once,     many_entries_are_refused,   foreign_text_fits_a_line,
        missing_memory_is_reported};
    return test_main("unit.yaml", t, N_OF(t));
}
