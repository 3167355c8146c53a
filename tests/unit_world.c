/* unit_world.c — the demo world: its text and questions against each other, counted from outside.
 */
#include "data/data.h"
#include "data/world.h"
#include "tests/test_helper.h"
#include "trainer/io/sha256.h"
#include <jansson.h>
#include <string.h>

extern const DatasetDef data_world;

typedef struct Text {
    char *text;
    int64_t n;
} Text;

static Text corpus(int64_t version, int64_t seed, int64_t n_bytes, int64_t phrasings)
{
    Text t;
    T_OK(world_corpus(&(WorldSpec){version, seed, n_bytes, phrasings}, &t.text, &t.n));
    T_EQ_I64(strlen(t.text), t.n);
    return t;
}

static WorldQuestion *questions(int64_t version, int64_t seed, int64_t n_bytes, int64_t *n)
{
    WorldQuestion *q;
    T_OK(world_questions(&(WorldSpec){version, seed, n_bytes, 0}, &q, n));
    return q;
}

/* "As a baker." -> "baker" */
static const char *bare(const char *answer, char buf[32])
{
    static const char *const ARTICLES[] = {"A ", "As a ", "The "};
    for (int i = 0; i < 3; i++)
        if (strncmp(answer, ARTICLES[i], strlen(ARTICLES[i])) == 0) answer += strlen(ARTICLES[i]);
    strcpy(buf, answer);
    buf[strlen(buf) - 1] = '\0';
    return buf;
}

/* The text of a few bytes is pinned: a change here changes every run of the demo. */
START_TEST(text_is_the_same_everywhere)
{
    static const char *const PINNED[WORLD_MAX_VERSION] = {
        "10ed73017d73e3395e5d1ea961d1a7c221977d3acf027a8f6104324ba52cb0f9",
        "088a8444811a21055228708bf8130161dc7f935927a36453e410020f6ba3c1d2",
        "4856bbd0e5f1c07bd7210892c57230d6cdf0471f6694740f9d78f90c4c8860e5",
        "e7bb482d003b60ac53f7beaa46409e40a11cc4c0b261c1f0930348e4af10e496"};
    for (int64_t v = 1; v <= WORLD_MAX_VERSION; v++) {
        char hex[SHA256_HEX];
        const Text a = corpus(v, 1, 20000, 4), b = corpus(v, 1, 20000, 4);
        T_OK(sha256_bytes(a.text, (size_t)a.n, hex));
        T_EQ_STR(hex, PINNED[v - 1]);
        T_EQ_STR(a.text, b.text);
        mem_free(a.text);
        mem_free(b.text);
    }
}
END_TEST

START_TEST(a_smaller_text_is_the_beginning_of_a_larger_one)
{
    const int64_t sizes[] = {1, 777, 50000, 0};
    Text before = {0};
    for (int i = 0; i < N_OF(sizes); i++) {
        const Text t = corpus(2, 3, sizes[i], 8);
        T_TRUE(t.n > before.n && t.text[t.n - 1] == '\n');
        T_TRUE(t.n >= sizes[i] && (sizes[i] == 0 || t.n < sizes[i] + 300));
        T_TRUE(memcmp(t.text, before.text ? before.text : "", (size_t)before.n) == 0);
        mem_free(before.text);
        before = t;
    }
    T_TRUE(before.n >= 2400 * 1024 && before.n < 2400 * 1024 + 300);
    mem_free(before.text);
    const Text one = corpus(1, 3, 0, 8), other = corpus(1, 4, 0, 8);
    T_TRUE(one.n >= 3000 * 1024 && one.n < 3000 * 1024 + 300);
    T_TRUE(strcmp(one.text, other.text) != 0);
    mem_free(one.text);
    mem_free(other.text);
}
END_TEST

START_TEST(people_and_questions_are_as_many_as_the_recipe_says)
{
    const int people[] = {0, 80, 104, 128, 152}, held_out[] = {0, 28, 36, 44, 52};
    for (int64_t seed = 1; seed <= 3; seed++)
        for (int64_t v = 1; v <= WORLD_MAX_VERSION; v++) {
            int64_t n, n_held = 0, group[3] = {0}, test[3] = {0};
            WorldQuestion *q = questions(v, seed, 1000, &n);
            T_EQ_I64(n, people[v] * 8);
            for (int64_t i = 0; i < n; i++) {
                n_held += q[i].held_out;
                group[q[i].group]++;
                test[q[i].group] += q[i].held_out;
                T_TRUE(strstr(q[i].question, q[i].person) != NULL);
                T_EQ_STR(q[i].question + strlen(q[i].question) - 2, "? ");
                T_TRUE(q[i].answer[strlen(q[i].answer) - 1] == '.');
                if (i % 8 == 0 && i > 0) T_TRUE(strcmp(q[i].person, q[i - 1].person) != 0);
                if (i % 8 > 0) T_EQ_STR(q[i].person, q[i - 1].person);
            }
            T_EQ_I64(n_held, held_out[v] * 8);
            T_EQ_I64(group[WORLD_NEW], v == 1 ? 640 : 24 * 8);
            T_EQ_I64(group[WORLD_CHANGED], v == 1 ? 0 : 80);
            if (v > 1) T_EQ_I64(test[WORLD_NEW] + test[WORLD_CHANGED], 64 + 40);
            mem_free(q);
        }
}
END_TEST

/* What a version calls unchanged has the answer of the version before, what it calls changed has
 * another. */
START_TEST(groups_follow_from_the_version_before)
{
    for (int64_t v = 2; v <= WORLD_MAX_VERSION; v++) {
        int64_t n, n_before;
        WorldQuestion *before = questions(v - 1, 9, 1000, &n_before),
                      *q = questions(v, 9, 1000, &n);
        for (int64_t i = 0; i < n; i++) {
            T_TRUE((q[i].group == WORLD_NEW) == (i >= n_before));
            if (i >= n_before) continue;
            T_EQ_STR(q[i].question, before[i].question);
            T_TRUE(q[i].held_out == before[i].held_out);
            const bool same = strcmp(q[i].answer, before[i].answer) == 0;
            T_TRUE(same == (q[i].group == WORLD_UNCHANGED));
            T_EQ_STR(q[i].old_answer, same ? "" : before[i].answer);
        }
        mem_free(before);
        mem_free(q);
    }
}
END_TEST

/* Adds to stated and asked what one line says about the people the questions are about (8 for
 * each). */
static void read_line(const char *line, const WorldQuestion *q, int64_t n, int64_t (*stated)[4],
                      int64_t *n_asked)
{
    int64_t who = 0;
    while (who < n && !strstr(line, q[who].person)) who += 8;
    ck_assert_msg(who < n, "nobody in \"%s\"", line);
    if (strchr(line, '?')) {
        bool known = false;
        for (int64_t i = who; i < who + 8; i++) {
            char whole[128];
            snprintf(whole, sizeof whole, "%s%s", q[i].question, q[i].answer);
            known |= strcmp(whole, line) == 0;
        }
        ck_assert_msg(known && !q[who].held_out, "\"%s\" may not be asked", line);
        (*n_asked)++;
        return;
    }
    int n_fact = 0;
    for (int a = 0; a < 4; a++) {
        char value[32];
        const bool here = strstr(line, bare(q[who + 2 * a].answer, value)) != NULL;
        stated[who / 8][a] += here;
        n_fact += here;
    }
    ck_assert_msg(n_fact == 1 || n_fact == 2, "%d facts in \"%s\"", n_fact, line);
}

/* Counts, from the text alone, how often each fact of each person is stated. */
static void recount(int64_t version)
{
    int64_t n, n_line = 0, n_asked = 0;
    WorldQuestion *q = questions(version, 1, 0, &n);
    const Text t = corpus(version, 1, 0, 0);
    int64_t(*stated)[4] = mem_array(n / 8, sizeof *stated);
    ck_assert_ptr_nonnull(stated);
    for (char *line = t.text, *end; (end = strchr(line, '\n')); line = end + 1, n_line++) {
        *end = '\0';
        read_line(line, q, n, stated, &n_asked);
    }
    T_NEAR((double)n_asked / (double)n_line, 0.10, 0.01);
    const int64_t least[] = {[WORLD_UNCHANGED] = 35, [WORLD_CHANGED] = 190, [WORLD_NEW] = 140};
    for (int64_t i = 0; i < n; i++) {
        const int64_t now = q[i].statements[version - 1];
        T_EQ_I64(now, stated[i / 8][i % 8 / 2]);
        T_TRUE(now >= least[q[i].group]);
        if (version == 1) continue;
        if (q[i].group == WORLD_UNCHANGED) T_TRUE(q[i].statements[version - 2] > 0);
        if (q[i].group != WORLD_CHANGED) continue;
        T_EQ_I64(q[i].old_statements[version - 1], 0);
        T_TRUE(q[i].old_statements[version - 2] > 0);
    }
    mem_free(stated);
    mem_free(t.text);
    mem_free(q);
}

START_TEST(statements_are_counted_right)
{
    recount(1);
    recount(2);
    recount(4);
}
END_TEST

START_TEST(more_phrasings_say_it_in_more_ways)
{
    const Text four = corpus(1, 1, 300000, 4), eight = corpus(1, 1, 300000, 8);
    T_TRUE(strstr(four.text, " votes in ") == NULL);
    T_TRUE(strstr(eight.text, " votes in ") != NULL);
    T_TRUE(strstr(four.text, "The trade of ") && strstr(four.text, " rents a flat in "));
    T_TRUE(strstr(four.text, " and ") && strstr(four.text, " and she ") &&
           strstr(four.text, ". She ") && strstr(four.text, ". He "));
    T_TRUE(strstr(four.text, "is the home of ") && strstr(four.text, "As we know, the trade of "));
    T_TRUE(!strchr(eight.text, '@') && !strchr(eight.text, '#'));
    mem_free(four.text);
    mem_free(eight.text);
}
END_TEST

START_TEST(question_lines_are_json)
{
    int64_t n, n_bytes, i = 0;
    char *text;
    WorldQuestion *q = questions(2, 1, 50000, &n);
    T_OK(world_questions_jsonl(&(WorldSpec){2, 1, 50000, 0}, &text, &n_bytes));
    T_TRUE(text[n_bytes - 1] == '\n');
    for (char *line = text, *end; line < text + n_bytes; line = end + 1, i++) {
        end = strchr(line, '\n');
        const char *question, *answer, *person, *attribute, *group, *old = "";
        int held_out;
        json_int_t v1, v2, old_v1 = 0, old_v2 = 0;
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        T_EQ_I64(json_unpack(o, "{s:s, s:s, s:s, s:s, s:s, s:b, s:[II!], s?s, s?[II!] !}",
                             "question", &question, "answer", &answer, "person", &person,
                             "attribute", &attribute, "group", &group, "held_out", &held_out,
                             "statements", &v1, &v2, "old_answer", &old, "old_statements", &old_v1,
                             &old_v2),
                 0);
        T_EQ_STR(question, q[i].question);
        T_EQ_STR(answer, q[i].answer);
        T_EQ_STR(old, q[i].old_answer);
        T_EQ_STR(person, q[i].person);
        T_EQ_STR(attribute, q[i].attribute);
        T_EQ_STR(group, world_group_name(q[i].group));
        T_TRUE(held_out == q[i].held_out);
        T_TRUE(v1 == q[i].statements[0] && v2 == q[i].statements[1]);
        T_TRUE(old_v1 == q[i].old_statements[0] && old_v2 == q[i].old_statements[1]);
        json_decref(o);
    }
    T_EQ_I64(i, n);
    mem_free(text);
    mem_free(q);
}
END_TEST

START_TEST(as_a_dataset_it_is_one_stream)
{
    const DatasetOpts o = {.type = "world",
                           .world_version = 2,
                           .world_seed = 5,
                           .world_bytes = 9000,
                           .world_phrasings = 8};
    const Text t = corpus(2, 5, 9000, 8);
    DocSource *src;
    Doc d;
    T_OK(doc_source_open(&o, NULL, NULL, &src)); /* its text depends on neither */
    T_TRUE(doc_source_is_stream(src));
    T_OK(doc_source_next(src, &d));
    T_EQ_I64(d.n_bytes, t.n);
    T_EQ_STR(d.text, t.text);
    T_TRUE(d.learn_all);
    T_OK(doc_source_next(src, &d));
    ck_assert_ptr_null(d.text);
    doc_source_close(src);
    mem_free(t.text);
}
END_TEST

START_TEST(impossible_worlds_are_refused)
{
    char *text;
    int64_t n;
    WorldQuestion *q;
    T_FAILS(world_corpus(&(WorldSpec){.version = 0}, &text, &n), CONFIG,
            "no version 0, only 1 to 4");
    T_FAILS(world_questions(&(WorldSpec){.version = 5}, &q, &n), CONFIG,
            "no version 5, only 1 to 4");
    T_FAILS(world_corpus(&(WorldSpec){1, 1, -1, 4}, &text, &n), CONFIG, "-1 bytes");
    T_FAILS(world_corpus(&(WorldSpec){1, 1, 100, 9}, &text, &n), CONFIG,
            "9 phrasings, there are 8");
    T_FAILS(world_corpus(&(WorldSpec){1, 1, INT64_C(1) << 60, 4}, &text, &n), CONFIG,
            "at most 4294967296");
}
END_TEST

START_TEST(running_out_of_memory_leaks_nothing)
{
    const int64_t live = mem_live();
    const WorldSpec spec = {2, 1, 1000, 4};
    for (int i = 1;; i++) {
        char *text = NULL;
        int64_t n;
        fault_arm(i, false);
        const Status rc = world_questions_jsonl(&spec, &text, &n);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc == ST_NOMEM));
        status_clear();
        mem_free(text);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    for (int i = 1;; i++) {
        void *self = NULL;
        fault_arm(i, false);
        const Status rc = data_world.open(&(DatasetOpts){.world_version = 1, .world_bytes = 500},
                                          NULL, NULL, &self);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc == ST_NOMEM));
        status_clear();
        data_world.close(self);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {text_is_the_same_everywhere,
                            a_smaller_text_is_the_beginning_of_a_larger_one,
                            people_and_questions_are_as_many_as_the_recipe_says,
                            groups_follow_from_the_version_before,
                            statements_are_counted_right,
                            more_phrasings_say_it_in_more_ways,
                            question_lines_are_json,
                            as_a_dataset_it_is_one_stream,
                            impossible_worlds_are_refused,
                            running_out_of_memory_leaks_nothing};
    return test_main("unit.world", tests, N_OF(tests));
}
