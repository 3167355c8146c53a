/* unit_chat_template.c — chat templates against jinja2 (tests/golden/chat_templates.py), what is learned of a
 * conversation, where templates come from, and what is refused. */
#include "data/chat_template.h"
#include "tests/test_helper.h"
#include "trainer/io/files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char GOLDEN[] = SWITCHYARD_SOURCE_DIR "/tests/golden/chat_templates";

static json_t *golden(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s.json", GOLDEN);
    json_error_t why;
    json_t *root = json_load_file(path, 0, &why);
    ck_assert_msg(root != NULL, "%s:%d: %s", path, why.line, why.text);
    return root;
}

static char *template_text(const char *name, size_t *n)
{
    char path[512], *text;
    snprintf(path, sizeof path, "%s/%s.jinja", GOLDEN, name);
    T_OK(file_read_all(path, 1 << 16, &text, n));
    return text;
}

static ChatTemplate *parse(const char *source)
{
    ChatTemplate *t;
    T_OK(chat_template_parse("t", source, strlen(source), &t));
    return t;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool span_is(const ChatText *out, int64_t begin, int64_t end, const char *expected)
{
    return (size_t)(end - begin) == strlen(expected) &&
           memcmp(out->text + begin, expected, (size_t)(end - begin)) == 0;
}

/* ---- against jinja2 ---- */
static void expect_learned(const char *where, const ChatText *out, const json_t *messages,
                           const json_t *learned)
{
    size_t n_assistant = 0;
    T_EQ_I64(out->n_span, json_array_size(messages));
    for (int64_t i = 0; i < out->n_span; i++) {
        const ChatSpan *s = &out->span[i];
        T_TRUE(s->turn_begin <= s->learn_begin || s->learn_end == 0);
        T_TRUE(s->learn_begin <= s->learn_end && s->learn_end <= out->n && s->turn_end <= out->n);
        if (strcmp(text_at(json_array_get(messages, (size_t)i), "role"), "assistant") != 0)
            continue;
        const char *expected = json_string_value(json_array_get(learned, n_assistant++));
        ck_assert_msg(span_is(out, s->learn_begin, s->learn_end, expected),
                      "%s: message %lld: learned \"%.*s\", expected \"%s\"", where, LL(i),
                      (int)(s->learn_end - s->learn_begin), out->text + s->learn_begin, expected);
    }
    T_EQ_I64(n_assistant, json_array_size(learned));
}

START_TEST(published_templates_render_as_in_jinja2)
{
    json_t *root = golden(), *c;
    size_t i;
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        char where[128];
        size_t n;
        char *source = template_text(text_at(c, "template"), &n);
        ChatTemplate *t;
        ChatText out;
        snprintf(where, sizeof where, "case %zu: %s, %s", i, text_at(c, "template"),
                 text_at(c, "conversation"));
        T_OK(chat_template_parse(text_at(c, "template"), source, n, &t));
        const ChatInput in = {
            .messages =
                json_object_get(json_object_get(root, "conversations"), text_at(c, "conversation")),
            .vars = json_object_get(c, "vars"),
            .bos_token = text_at(c, "bos_token"),
            .eos_token = text_at(c, "eos_token"),
            .add_generation_prompt = json_is_true(json_object_get(c, "add_generation_prompt")),
            .now = json_integer_value(json_object_get(root, "now")),
        };
        const char *expected = text_at(c, "text");
        if (expected) {
            const Status rc = chat_template_render(t, &in, &out);
            ck_assert_msg(rc == ST_OK, "%s: %s", where, status_message());
            ck_assert_msg(strcmp(out.text, expected) == 0, "%s:\n%s\n--- expected:\n%s", where,
                          out.text, expected);
            T_TRUE((out.span == NULL) == in.add_generation_prompt);
            if (out.span) expect_learned(where, &out, in.messages, json_object_get(c, "learned"));
        } else {
            T_FAILS(chat_template_render(t, &in, &out), DATA, text_at(c, "error"));
        }
        chat_text_fini(&out);
        chat_template_destroy(t);
        mem_free(source);
    }
    T_TRUE(i > 80);
    json_decref(root);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(constructs_render_as_in_jinja2)
{
    json_t *root = golden(), *c;
    size_t i;
    const ChatInput in = {.messages = json_object_get(root, "messages"),
                          .vars = json_object_get(root, "vars"),
                          .now = json_integer_value(json_object_get(root, "now"))};
    json_array_foreach(json_object_get(root, "constructs"), i, c)
    {
        ChatTemplate *t = parse(text_at(c, "source"));
        ChatText out;
        const Status rc = chat_template_render(t, &in, &out);
        ck_assert_msg(rc == ST_OK, "%s: %s", text_at(c, "source"), status_message());
        ck_assert_msg(strcmp(out.text, text_at(c, "text")) == 0,
                      "%s\ngave     \"%s\"\nexpected \"%s\"", text_at(c, "source"), out.text,
                      text_at(c, "text"));
        chat_text_fini(&out);
        chat_template_destroy(t);
    }
    T_TRUE(i > 80);
    json_decref(root);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* Parses and renders; the message of what failed first. */
static Status attempt(const char *source, size_t n, const ChatInput *in)
{
    ChatTemplate *t = NULL;
    ChatText out = {0};
    Status rc = chat_template_parse("t", source, n, &t);
    if (rc == ST_OK) rc = chat_template_render(t, in, &out);
    chat_text_fini(&out);
    chat_template_destroy(t);
    return rc;
}

START_TEST(what_jinja2_refuses_is_refused)
{
    json_t *root = golden(), *source;
    size_t i;
    const ChatInput in = {.messages = json_object_get(root, "messages"),
                          .vars = json_object_get(root, "vars")};
    json_array_foreach(json_object_get(root, "refused"), i, source)
    {
        const Status rc = attempt(json_string_value(source), json_string_length(source), &in);
        ck_assert_msg(rc == ST_FORMAT || rc == ST_DATA, "%s gave %s: %s", json_string_value(source),
                      status_name(rc), status_message());
        T_HAS(status_message(), "t:1: ");
        status_clear();
    }
    T_TRUE(i > 60);
    json_decref(root);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* ---- refusals ---- */
START_TEST(what_is_not_understood_is_named)
{
    static const struct {
        const char *source, *message;
    } CASES[] = {
        {"\n{% include 'x' %}",
         "t:2: the statement {% include %} is not understood; known: for, if, set, macro"},
        {"{% call m() %}", "{% call %} is not understood"},
        {"{% raw %}{{{% endraw %}", "{% raw %} is not understood"},
        {"a\n\n{{ s | wordcount }}",
         "t:3: the filter \"wordcount\" is not understood; known: trim, length"},
        {"{{ s is upper }}", "the test \"upper\" is not understood; known: defined, undefined"},
        {"{{ 2 ** 3 }}", "the operator ** is not understood"},
        {"{{ f(*a) }}", "*arguments and **arguments are not understood"},
        {"{{ a[1, 2] }}", "several subscripts [a, b] are not understood"},
        {"{% for i in [1] recursive %}{% endfor %}", "recursive is not understood"},
        {"{% set a | trim %}x{% endset %}", "a filter on {% set %}"},
        {"{{ '\\N{BULLET}' }}", "\\N{...} is not understood"},
        {"{{ 'a'.zfill(3) }}",
         "the method \"zfill\" of a string is not understood; known: of strings strip"},
        {"{{ {'items': 1}.items }}", ".items of a mapping is its method"},
        {"{{ {'a': 1}['items'] }}", ".items of a mapping is its method"},
        {"{% for i in [1] %}{{ loop.cycle }}{% endfor %}",
         "loop.cycle is not understood; known: index"},
        {"{{ '\xC3\x9F' | upper }}", "\"upper\" of the letter \xC3\x9F is not understood"},
        {"{{ range }}", "a function cannot be written out"},
        {"{{ namespace() }}", "a namespace cannot be written out"},
        {"{% generation %}x{% endgeneration %}", "outside of a loop over the messages"},
        {"{{ 99999999999999999999 }}", "does not fit 64 bits"},
        {"{{ 9223372036854775807 + 1 }}", "a number beyond 64 bits"},
        {"\xFF", "not UTF-8"},
        {"{{ \xC3\xA9 }}", "unexpected character"},
        {"{% if x %}\n{{ y ", "t:2: a tag {{ is not closed by }}"},
        {"{% if x %}\n\n", "{% endif %} is missing"},
    };
    json_t *messages = json_array();
    const ChatInput in = {.messages = messages};
    for (int64_t i = 0; i < N_OF(CASES); i++) {
        const Status rc = attempt(CASES[i].source, strlen(CASES[i].source), &in);
        ck_assert_msg(rc == ST_FORMAT, "%s gave %s", CASES[i].source, status_name(rc));
        T_HAS(status_message(), CASES[i].message);
        status_clear();
    }
    T_FAILS(attempt("a\0b", 3, &in), FORMAT, "holds a NUL");
    json_decref(messages);
}
END_TEST

START_TEST(messages_have_to_be_objects_in_an_array)
{
    json_t *object = json_object(), *list = json_pack("[s]", "x"), *good = json_array();
    T_FAILS(attempt("x", 1, &(ChatInput){0}), FORMAT, "t: the messages are no array");
    T_FAILS(attempt("x", 1, &(ChatInput){.messages = object}), FORMAT, "no array");
    T_FAILS(attempt("x", 1, &(ChatInput){.messages = list}), FORMAT, "t: message 0 is no object");
    T_FAILS(attempt("x", 1, &(ChatInput){.messages = good, .vars = list}), FORMAT,
            "variables are no object");
    json_decref(object);
    json_decref(list);
    json_decref(good);
}
END_TEST

START_TEST(a_hostile_template_ends)
{
    static const char *const SOURCES[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% "
        "endfor %}",
        "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor "
        "%}",
        "{% set n = namespace(s=[]) %}{% for i in range(9999) %}{% set n.s = [n.s] %}{% endfor "
        "%}{{ n.s }}",
        "{% set n = namespace(s=[]) %}{% for i in range(9999) %}{% set n.s = [n.s] %}{% endfor "
        "%}{{ n.s | tojson }}",
        "{% set n = namespace(s=[]) %}{% for i in range(9999) %}{% set n.s = [n.s] %}{% endfor "
        "%}{{ n.s == [n.s] }}",
        "{% set n = namespace(s=1) %}{% for i in range(64) %}{% set n.s = n.s * 2 %}{% endfor %}",
        "{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' * 9000000000 }}",
        "{{ ('a' * 60000000) | replace('a', 'b' * 1000000) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% "
        "endfor %}",
        "{{ ('a' * 6000000).strip('b' * 6000000) }}",
        "{% set s = 'a' * 6000000 %}{% for a in range(99999) %}{% set b = s.split('b') %}{% "
        "endfor %}",
        "{% set s = 'a' * 6000000 %}{% for a in range(99999) %}{% set b = 'b' in s %}{% endfor %}",
        "{% set s = 'a' * 6000000 %}{% for a in range(99999) %}{% set b = s == s %}{% endfor %}",
        "{% set s = 'a' * 6000000 %}{% for a in range(99999) %}{% set b = s[-1] %}{% endfor %}",
        "{% set s = 'a' * 6000000 %}{% for a in range(99999) %}{% set b = s.replace('b', 'c', 1) "
        "%}{% endfor %}",
        "{{ range(-9223372036854775807, 9223372036854775807) }}",
        "{{ {'a': 1} | tojson(indent=99999999) }}",
    };
    json_t *messages = json_array();
    const ChatInput in = {.messages = messages};
    for (int64_t i = 0; i < N_OF(SOURCES); i++)
        T_FAILS(attempt(SOURCES[i], strlen(SOURCES[i]), &in), FORMAT, "t:1: ");

    static const char *const REPEATED[] = {"(",    "[",        "{",          "-",
                                           "not ", "{{ x if ", "{% if x %}", "{% for a in b %}",
                                           "a.",   "a|trim|",  "{#"};
    char *deep = mem_alloc(1 << 18);
    for (int64_t i = 0; i < N_OF(REPEATED); i++) {
        const size_t n = strlen(REPEATED[i]);
        strcpy(deep, "{{");
        for (size_t at = strchr(REPEATED[i], '{') && n > 1 ? 0 : 2; at + n < 1 << 18; at += n)
            memcpy(deep + at, REPEATED[i], n);
        T_FAILS(attempt(deep, strlen(deep), &in), FORMAT, "t:");
    }
    /* A long chain is no deep one to the parser; to run it, it is. */
    strcpy(deep, "{{ 1");
    for (size_t at = 4; at < 200000; at += 2) memcpy(deep + at, "+1", 3);
    strcat(deep, "}}");
    T_FAILS(attempt(deep, strlen(deep), &in), FORMAT, "nested deeper than");
    memset(deep, 'x', 1 << 18);
    T_OK(attempt(deep, 1 << 18, &in));
    T_FAILS(attempt(deep, (1 << 18) + 1, &in), FORMAT, "has 262145 bytes, more than 262144");
    mem_free(deep);
    json_decref(messages);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* ---- what is learned ---- */
static json_t *conversation(void)
{
    return json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "role", "system", "content", "S", "role",
                     "user", "content", "U", "role", "assistant", "content", "A");
}

static void expect_spans(const char *source, json_t *messages, const char *const turn[],
                         const char *const learn[])
{
    ChatTemplate *t = parse(source);
    ChatText out;
    T_OK(chat_template_render(
        t, &(ChatInput){.messages = messages, .bos_token = "<s>", .eos_token = "</s>"}, &out));
    for (int64_t i = 0; i < out.n_span; i++) {
        const ChatSpan *s = &out.span[i];
        ck_assert_msg(span_is(&out, s->turn_begin, s->turn_end, turn[i]),
                      "%s: turn %lld is \"%.*s\", expected \"%s\"", source, LL(i),
                      (int)(s->turn_end - s->turn_begin), out.text + s->turn_begin, turn[i]);
        ck_assert_msg(span_is(&out, s->learn_begin, s->learn_end, learn[i]),
                      "%s: learned %lld is \"%.*s\", expected \"%s\"", source, LL(i),
                      (int)(s->learn_end - s->learn_begin), out.text + s->learn_begin, learn[i]);
    }
    chat_text_fini(&out);
    chat_template_destroy(t);
}

START_TEST(every_byte_knows_its_message)
{
    json_t *m = conversation();
    /* A loop over the messages; the generation prompt has to be one. */
    expect_spans("{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>\n{% endfor %}{% if "
                 "add_generation_prompt %}<assistant>{% endif %}",
                 m,
                 (const char *const[]){"<system>S<end>\n", "<user>U<end>\n", "<assistant>A<end>\n"},
                 (const char *const[]){"S<end>", "U<end>", "A<end>"});
    /* What the template puts between the generation prompt and the content is said by the model. */
    expect_spans("{% for m in messages %}<{{ m.role }}>[{{ m.content }}]\n{% endfor %}{% if "
                 "add_generation_prompt %}<assistant>{% else %}<as{% endif %}",
                 m, (const char *const[]){"<system>[S]\n", "<user>[U]\n", "<assistant>[A]\n"},
                 (const char *const[]){"S]", "U]", "[A]"});
    /* The system message is written in the turn of the user's. */
    expect_spans("{% for m in messages[1:] %}({% if loop.first %}{{ messages[0].content }}+{% "
                 "endif %}{{ m.content }}){% endfor %}",
                 m, (const char *const[]){"S", "(S+U)", "(A)"},
                 (const char *const[]){"S", "U)", "A)"});
    /* Over numbers; through variables, filters, captured blocks and macros; backwards. */
    expect_spans(
        "{% for i in range(messages | length) %}<{{ messages[i]['content'] }}>{% endfor %}", m,
        (const char *const[]){"<S>", "<U>", "<A>"}, (const char *const[]){"S>", "U>", "A>"});
    expect_spans("{% macro w(x) %}<{{ x | lower | upper }}>{% endmacro %}{% set t %}{% for m in "
                 "messages[::-1] %}"
                 "{% set c = '-' ~ m.content ~ '-' %}{{ w(c[1:]) }}{% endfor %}{% endset %}{{ t | "
                 "replace('>', '>\n') }}",
                 m, (const char *const[]){"<S->\n", "<U->\n", "<A->\n"},
                 (const char *const[]){"S->", "U->", "A->"});
    expect_spans(
        "{% for m in messages %}{% endfor %}{% for m in messages %}{{ [m.content] }}{{ {'k': "
        "m.content} | tojson }}{% endfor %}",
        m,
        (const char *const[]){"['S']{\"k\": \"S\"}", "['U']{\"k\": \"U\"}", "['A']{\"k\": \"A\"}"},
        (const char *const[]){"S']{\"k\": \"S\"}", "U']{\"k\": \"U\"}", "A']{\"k\": \"A\"}"});
    /* Without a loop; not at all. */
    expect_spans("<{{ messages[2].content }}>{{ messages[0].content }}", m,
                 (const char *const[]){"S", "", "A"}, (const char *const[]){"S", "", "A"});
    expect_spans("{% for m in messages %}{{ m.role }}.{% endfor %}", m,
                 (const char *const[]){"system.", "user.", "assistant."},
                 (const char *const[]){"", "", ""});
    /* The template's own marks rule. */
    expect_spans("{% for m in messages %}{{ m.role }}:{% if loop.last %}{% generation %} {{ "
                 "m.content }}\n{% endgeneration %}{% endif %}{% endfor %}",
                 m, (const char *const[]){"system:", "user:", "assistant: A\n"},
                 (const char *const[]){"", "", " A\n"});
    ChatTemplate *t = parse("{% for m in messages %}{% generation %}a{% endgeneration %}b{% "
                            "generation %}c{% endgeneration %}{% endfor %}");
    ChatText out;
    T_FAILS(chat_template_render(t, &(ChatInput){.messages = m}, &out), FORMAT,
            "message 0 has two {% generation %} blocks");
    chat_template_destroy(t);
    json_decref(m);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(empty_content_still_gives_the_end)
{
    json_t *m = json_pack("[{s:s,s:s}]", "role", "assistant", "content", "");
    expect_spans("{% for m in messages %}[{{ m.content }}] {% endfor %}", m,
                 (const char *const[]){"[] "}, (const char *const[]){"]"});
    expect_spans("{% for m in messages %}{{ ('[' + m.content + ']').strip() }} {% endfor %}", m,
                 (const char *const[]){"[] "}, (const char *const[]){"]"});
    json_decref(m);
    m = json_pack("[{s:s,s:s}]", "role", "assistant", "content", " \n ");
    expect_spans("{% for m in messages %}[{{ m.content | trim }}]{% endfor %}", m,
                 (const char *const[]){"[]"}, (const char *const[]){"]"});
    /* Nothing of the message is written, so there is nothing to begin with. */
    expect_spans("{% for m in messages %}[]{% endfor %}", m, (const char *const[]){"[]"},
                 (const char *const[]){""});
    /* White space that is content is learned. */
    expect_spans("{% for m in messages %}[{{ m.content }}\n{% endfor %}", m,
                 (const char *const[]){"[ \n \n"}, (const char *const[]){" \n "});
    json_decref(m);
}
END_TEST

START_TEST(bytes_beyond_text_pass_through)
{
    json_t *m = json_pack("[{s:s,s:s%}]", "role", "assistant", "content", "a\0b", (size_t)3);
    ChatTemplate *t = parse("{% for m in messages %}{{ m.content }}|{{ m.content | length }}|{{ "
                            "m.content | tojson }}{% endfor %}");
    ChatText out;
    T_OK(chat_template_render(t, &(ChatInput){.messages = m}, &out));
    T_EQ_I64(out.n, 16);
    T_TRUE(memcmp(out.text, "a\0b|3|\"a\\u0000b\"", 17) == 0);
    chat_text_fini(&out);
    chat_template_destroy(t);
    json_decref(m);
}
END_TEST

START_TEST(a_template_is_used_again_and_again)
{
    json_t *m = conversation();
    ChatTemplate *t = parse("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = "
                            "ns.n + 1 %}{% endfor %}{{ ns.n }}");
    for (int i = 0; i < 3; i++) {
        ChatText out;
        T_OK(chat_template_render(t, &(ChatInput){.messages = m, .add_generation_prompt = true},
                                  &out));
        T_EQ_STR(out.text, "3");
        chat_text_fini(&out);
    }
    T_EQ_STR(chat_template_name(t), "t");
    chat_template_destroy(t);
    json_decref(m);
}
END_TEST

/* ---- where templates come from ---- */
START_TEST(built_in_templates_are_the_published_ones)
{
    char names[128];
    snprintf(names, sizeof names, "%s", chat_template_builtin_names());
    int n_name = 0;
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", "), n_name++) {
        size_t n;
        char *text = template_text(name, &n);
        ChatTemplate *t;
        T_OK(chat_template_open(name, NULL, &t));
        T_EQ_STR(chat_template_source(t), text);
        chat_template_destroy(t);
        mem_free(text);
    }
    T_EQ_I64(n_name, 7);
}
END_TEST

static const char *write_in(const char *dir, const char *name, const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", test_dir(), dir, name);
    T_OK(file_write_atomic(path, text, strlen(text)));
    return path;
}

static const char *make_folder(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    T_OK(dir_make(path));
    return path;
}

static void expect_source(const char *choice, const char *dir, const char *source)
{
    ChatTemplate *t;
    T_OK(chat_template_open(choice, dir, &t));
    T_EQ_STR(chat_template_source(t), source);
    chat_template_destroy(t);
}

START_TEST(a_folder_has_its_template)
{
    const char *dir = make_folder("tokenizer");
    ChatTemplate *t;
    char *bos, *eos;
    T_FAILS(chat_template_open("tokenizer_default", dir, &t), DATA, "has no chat template");
    T_OK(chat_tokens_read(dir, &bos, &eos));
    T_TRUE(!bos && !eos);
    write_in("tokenizer", "tokenizer_config.json",
             "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"</s>\"}");
    T_FAILS(chat_template_open("tokenizer_default", dir, &t), DATA, "has no chat template");
    T_OK(chat_tokens_read(dir, &bos, &eos));
    T_EQ_STR(bos, "<s>");
    T_EQ_STR(eos, "</s>");
    mem_free(bos);
    mem_free(eos);
    write_in("tokenizer", "tokenizer_config.json",
             "{\"chat_template\": \"one\", \"bos_token\": null}");
    expect_source("tokenizer_default", dir, "one");
    T_OK(chat_tokens_read(dir, &bos, &eos));
    T_TRUE(!bos && !eos);
    write_in("tokenizer", "tokenizer_config.json",
             "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}, {\"name\": "
             "\"default\", \"template\": \"two\"}]}");
    expect_source("tokenizer_default", dir, "two");
    const char *path = write_in("tokenizer", "chat_template.jinja", "three\n");
    expect_source("tokenizer_default", dir, "three\n");
    expect_source(path, NULL, "three\n");

    dir = make_folder("broken");
    write_in(
        "broken", "tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}], \"eos_token\": 3}");
    T_FAILS(chat_template_open("tokenizer_default", dir, &t), FORMAT,
            "a template named \"default\"");
    T_FAILS(chat_tokens_read(dir, &bos, &eos), FORMAT, "eos_token");
    write_in("broken", "tokenizer_config.json", "{\"chat_template\": 3}");
    T_FAILS(chat_template_open("tokenizer_default", dir, &t), FORMAT,
            "tokenizer_config.json: chat_template: found 3");
    write_in("broken", "tokenizer_config.json", "{\"chat_template\": \"a\\n{{ }}\"}");
    T_FAILS(chat_template_open("tokenizer_default", dir, &t), FORMAT,
            "tokenizer_config.json: chat_template:2: expected a value");
    write_in("broken", "tokenizer_config.json", "{\"chat_template\"");
    T_FAILS(chat_template_open("tokenizer_default", dir, &t), FORMAT, "tokenizer_config.json:1: ");

    T_FAILS(chat_template_open("tokenizer_default", NULL, &t), CONFIG,
            "the tokenizer has no folder");
    T_FAILS(chat_template_open("chatmi", NULL, &t), CONFIG,
            "\"chatmi\" is not known; known: tokenizer_default, a FILE.jinja, or one of chatml");
    T_FAILS(chat_template_open("no/such.jinja", NULL, &t), DATA, "no/such.jinja");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* ---- memory ---- */
START_TEST(every_allocation_may_fail)
{
    const char *dir = make_folder("fault");
    size_t n_source;
    char *source = template_text("qwen3", &n_source);
    json_t *config = json_pack("{s:s,s:s,s:s}", "chat_template", source, "bos_token", "<s>",
                               "eos_token", "</s>");
    char *text = json_dumps(config, 0);
    write_in("fault", "tokenizer_config.json", text);
    free(text);
    json_decref(config);
    mem_free(source);
    json_t *m = conversation();
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        ChatTemplate *t = NULL;
        ChatText out = {0};
        char *bos = NULL, *eos = NULL;
        fault_arm(n, false);
        Status rc = chat_template_open("tokenizer_default", dir, &t);
        if (rc == ST_OK) rc = chat_tokens_read(dir, &bos, &eos);
        if (rc == ST_OK)
            rc = chat_template_render(
                t, &(ChatInput){.messages = m, .bos_token = bos, .eos_token = eos}, &out);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_TRUE(rc == ST_OK || rc == ST_NOMEM ||
               rc == ST_DATA); /* ST_DATA: a file that could not be read */
        T_TRUE((rc == ST_OK) == (out.text != NULL));
        status_clear();
        chat_text_fini(&out);
        chat_template_destroy(t);
        mem_free(bos);
        mem_free(eos);
        T_EQ_I64(mem_live(), live);
        if (!hit) {
            T_TRUE(n > 15);
            break;
        }
    }
    json_decref(m);
}
END_TEST

int main(void)
{
    const TTest *t[] = {published_templates_render_as_in_jinja2,
                        constructs_render_as_in_jinja2,
                        what_jinja2_refuses_is_refused,
                        what_is_not_understood_is_named,
                        messages_have_to_be_objects_in_an_array,
                        a_hostile_template_ends,
                        every_byte_knows_its_message,
                        empty_content_still_gives_the_end,
                        bytes_beyond_text_pass_through,
                        a_template_is_used_again_and_again,
                        built_in_templates_are_the_published_ones,
                        a_folder_has_its_template,
                        every_allocation_may_fail};
    return test_main("unit.chat_template", t, N_OF(t));
}
