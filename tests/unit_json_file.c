/* unit_json_file.c — bounded JSON, typed getters, and what their messages say. */
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include <stdio.h>
#include <string.h>

static Status parse(const char *text, JsonDoc **doc)
{
    return json_doc_parse("config.json", text, strlen(text), doc);
}

START_TEST(what_is_no_json_object_is_refused_with_its_line)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "config.json:1: "},
        {"{\"a\": 1,\n \"a\": 2}", "config.json:2: duplicate object key near '\"a\"'"},
        {"{\"a\": 1,\n \"\\u0061\": 2}", "config.json:2: duplicate object key"},
        {"{\"model.layers.0.mlp.up_proj.weight\": 1,\n \"model.layers.0.mlp.up_proj.weight\": 2}",
         "config.json:2: duplicate object key near '\"model.layers.0.mlp.up_proj.weight\"'"},
        {"{\"a\":\n\n", "config.json:3: "},
        {"{} {}", "config.json:1: end of file expected"},
        {"[1]", "config.json: is a list, expected an object"},
        {"\"a\"", "config.json:1: '[' or '{' expected"},
        {"{\"a\": 1e999}", "config.json:1: real number overflow"},
        {"{\"a\": 12345678901234567890}", "config.json:1: too big integer"},
        {"{\"a\": NaN}", "config.json:1: invalid token"},
        {"{\"a\": \"\\u0000\"}", "config.json:1: \\u0000 is not allowed"},
        {"{\"a\": \"\\ud800\"}", "config.json:1: invalid Unicode"},
        {"{\"a\": \"\xff\"}", "config.json:1: unable to decode byte 0xff"},
        {"\xef\xbb\xbf{}", "config.json:1: "},
    };
    for (int64_t i = 0; i < N_OF(cases); i++) {
        JsonDoc *doc = NULL;
        T_FAILS(parse(cases[i].text, &doc), FORMAT, cases[i].why);
        T_TRUE(doc == NULL);
    }
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    JsonDoc *doc = NULL;
    T_FAILS(json_doc_parse("x", deep, sizeof deep, &doc), FORMAT, "maximum parsing depth");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_file_is_bounded_and_every_failure_is_told)
{
    char path[256];
    JsonDoc *doc = NULL;
    snprintf(path, sizeof path, "%s/config.json", test_dir());
    T_FAILS(json_doc_open(path, 100, &doc), DATA, "cannot open");
    T_OK(file_write_atomic(path, "{\"a\": 7}\n", 9));
    T_FAILS(json_doc_open(path, 8, &doc), DATA, "has 9 bytes, at most 8");
    for (int n = 1;; n++) {
        int64_t a = 0;
        fault_arm(n, false);
        const Status rc = json_doc_open(path, 9, &doc);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(rc == ST_OK || rc == ST_DATA || rc == ST_NOMEM);
        if (!hit) {
            const JsonAt top = json_doc_top(doc);
            T_OK(json_i64(json_key(&top, "a"), 0, 9, &a));
            T_EQ_I64(a, 7);
        }
        json_doc_close(doc);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
        status_clear();
    }
}
END_TEST

START_TEST(values_come_out_as_they_are)
{
    JsonDoc *doc = NULL;
    T_OK(parse("{\"heads\": 12, \"eps\": 1e-5, \"tied\": true, \"name\": \"llama\", \"none\": null,"
               " \"rope\": {\"factor\": 8}, \"eos\": [1, 2, 3]}",
               &doc));
    const JsonAt top = json_doc_top(doc), rope = json_key(&top, "rope"),
                 eos = json_key(&top, "eos");
    int64_t i = 0;
    double f = 0.0;
    bool b = false;
    const char *s = NULL;
    T_OK(json_i64(json_key(&top, "heads"), 12, 12, &i));
    T_EQ_I64(i, 12);
    T_OK(json_f64(json_key(&top, "eps"), 0.0, 1.0, &f));
    T_TRUE(f == 1e-5);
    T_OK(json_f64(json_key(&rope, "factor"), 1.0, 64.0, &f));
    T_TRUE(f == 8.0);
    T_OK(json_bool(json_key(&top, "tied"), &b));
    T_TRUE(b);
    T_OK(json_text(json_key(&top, "name"), &s));
    T_EQ_STR(s, "llama");
    T_OK(json_is_list(eos));
    T_OK(json_is_map(rope));
    T_EQ_I64(json_count(eos), 3);
    T_EQ_I64(json_count(top), 7);
    T_EQ_I64(json_count(json_key(&top, "heads")), 0);
    T_OK(json_i64(json_item(&eos, 2), INT64_MIN, INT64_MAX, &i));
    T_EQ_I64(i, 3);
    T_TRUE(json_has(&top, "heads") && !json_has(&top, "none") && !json_has(&top, "other"));
    T_OK(json_opt_i64(&top, "heads", 1, 99, &i));
    T_EQ_I64(i, 12);
    T_OK(json_opt_i64(&top, "none", 1, 99, &i));
    T_OK(json_opt_i64(&top, "other", 1, 99, &i));
    T_EQ_I64(i, 12);
    T_OK(json_opt_f64(&top, "none", 1, 99, &f));
    T_OK(json_opt_bool(&top, "none", &b));
    T_OK(json_opt_text(&top, "none", &s));
    T_TRUE(f == 8.0 && b && !strcmp(s, "llama"));
    json_doc_close(doc);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_refusal_names_file_place_finding_and_expectation)
{
    JsonDoc *doc = NULL;
    T_OK(parse("{\"heads\": \"12\", \"eps\": 1.5, \"tied\": 1, \"none\": null, \"big\": 70000,"
               " \"rope\": {\"factor\": 0.5, \"list\": [[1, {}]]},"
               " \"bad\\nkey\": \"a\\u001b[31m\","
               " \"long\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}",
               &doc));
    const JsonAt top = json_doc_top(doc), rope = json_key(&top, "rope"),
                 list = json_key(&rope, "list"), inner = json_item(&list, 0);
    int64_t i = 5;
    double f = 5.0;
    bool b = true;
    const char *s = "kept";
    T_FAILS(json_i64(json_key(&top, "heads"), 1, 65536, &i), FORMAT,
            "config.json: heads: found the text \"12\", expected a whole number 1 .. 65536");
    T_FAILS(json_i64(json_key(&top, "big"), 1, 65536, &i), FORMAT, "big: found 70000, expected");
    T_FAILS(json_i64(json_key(&top, "eps"), 1, INT64_MAX, &i), FORMAT,
            "eps: found 1.5, expected a whole number from 1");
    T_FAILS(json_i64(json_key(&top, "none"), 1, 2, &i), FORMAT, "none: found null, expected");
    T_FAILS(json_i64(json_key(&top, "gone"), 1, 2, &i), FORMAT, "gone: found nothing, expected");
    T_FAILS(json_opt_i64(&top, "heads", 1, 2, &i), FORMAT, "heads: found the text");
    T_FAILS(json_f64(json_key(&rope, "factor"), 1.0, 1e6, &f), FORMAT,
            "config.json: rope.factor: found 0.5, expected a number 1 .. 1000000");
    T_FAILS(json_bool(json_key(&top, "tied"), &b), FORMAT, "found 1, expected true or false");
    T_FAILS(json_text(rope, &s), FORMAT, "rope: found an object, expected a text");
    T_FAILS(json_text(json_item(&inner, 1), &s), FORMAT, "rope.list[0][1]: found an object");
    T_FAILS(json_text(json_item(&inner, 7), &s), FORMAT, "rope.list[0][7]: found nothing");
    T_FAILS(json_text(json_item(&inner, -1), &s), FORMAT, "rope.list[0][-1]: found nothing");
    T_FAILS(json_is_list(rope), FORMAT, "rope: found an object, expected a list");
    T_FAILS(json_is_map(list), FORMAT, "rope.list: found a list, expected an object");
    T_FAILS(json_bool(top, &b), FORMAT, "config.json: found an object, expected true or false");
    T_FAILS(json_refuse(json_key(&top, "bad\nkey"), "one of %s", "a, b"), FORMAT,
            "config.json: bad key: found the text \"a [31m\", expected one of a, b");
    T_FAILS(json_bool(json_key(&top, "long"), &b), FORMAT, "aaa..., expected true or false");
    T_EQ_I64(i, 5);
    T_TRUE(f == 5.0 && b && !strcmp(s, "kept"));
    json_doc_close(doc);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

int main(void)
{
    const TTest *t[] = {what_is_no_json_object_is_refused_with_its_line,
                        a_file_is_bounded_and_every_failure_is_told, values_come_out_as_they_are,
                        a_refusal_names_file_place_finding_and_expectation};
    return test_main("unit.json_file", t, N_OF(t));
}
