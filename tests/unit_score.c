/* unit_score.c — questions to a model whose every answer is known, and files that are no question
 * files. */
#include "tests/tiny_run.h"
#include "trainer/io/files.h"
#include "trainer/run/score.h"

#define Q(question, answer, rest)                                                                  \
    "{\"question\": \"" question "\", \"answer\": \"" answer "\", " rest "}\n"

static const char *spill(const char *text)
{
    const char *path = tiny_path("questions.jsonl");
    T_OK(file_remove(path));
    T_OK(file_write_new(path, text, strlen(text)));
    return path;
}

/* What the model of these tests says: after "? " the answer "Ab.", after "! " nothing but "x". */
static LoadedModel *answering_model(const char *name)
{
    unsigned char follows[256] = {0};
    follows[' '] = 'A';
    follows['A'] = 'b';
    follows['b'] = '.';
    follows['!'] = 'x';
    follows['x'] = 'x';
    return tiny_bigram_model(tiny_path(name), follows);
}

static QuestionSet *read(const char *text, bool all)
{
    QuestionSet *set = NULL;
    T_OK(questions_read(spill(text), all, &set));
    return set;
}

START_TEST(answers_are_judged_byte_for_byte)
{
    LoadedModel *m = answering_model("judged");
    QuestionSet *set = read(
        Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": true, \"statements\": [0, 20]")
            Q("Two? ", "ab.", "\"group\": \"new\", \"held_out\": true, \"statements\": [19]")
                Q("Three? ", "Cd.",
                  "\"group\": \"changed\", \"held_out\": true, \"statements\": [300, 79], "
                  "\"old_answer\": \"Ab.\"") Q("Four? ", "Ab.",
                                               "\"group\": \"changed\", \"held_out\": true, "
                                               "\"statements\": [0, 80], \"old_answer\": \"Ef.\"")
                    Q("Five? ", "Abc.",
                      "\"group\": \"unchanged\", \"held_out\": false, \"statements\": [1]")
                        Q("Six!", "A longer answer.",
                          "\"group\": \"unchanged\", \"held_out\": true, \"statements\": [40]"),
        false);
    T_EQ_I64(set->n, 5);
    T_EQ_I64(set->n_file, 6);
    T_OK(score_questions(comm_self(), m, set));
    const Verdict expected[] = {VERDICT_RIGHT, VERDICT_NEITHER, VERDICT_OLD, VERDICT_RIGHT,
                                VERDICT_NEITHER};
    for (int i = 0; i < 5; i++) T_EQ_I64(set->q[i].verdict, expected[i]);
    T_EQ_STR(set->q[0].given, "Ab.");
    T_EQ_STR(set->q[4].given, "xxxxxxxxxxxxxxxx"); /* as long as the longest answer, no longer */

    const ScoreCount new = score_count(set, WORLD_NEW, 0, INT64_MAX),
                     rare = score_count(set, WORLD_NEW, 0, 19),
                     changed = score_count(set, WORLD_CHANGED, 0, INT64_MAX),
                     all = score_count(set, SCORE_ALL, 0, INT64_MAX);
    T_EQ_I64(new.n, 2);
    T_EQ_I64(new.verdict[VERDICT_RIGHT], 1);
    T_EQ_I64(new.n_statement, 39);
    T_EQ_I64(new.least_statements, 19);
    T_EQ_I64(rare.n, 1);
    T_EQ_I64(rare.verdict[VERDICT_NEITHER], 1);
    T_EQ_I64(changed.verdict[VERDICT_OLD], 1);
    T_EQ_I64(changed.verdict[VERDICT_RIGHT], 1);
    T_EQ_I64(all.n, 5);

    Text text = {0}, json = {0};
    score_text(set, &text);
    score_json(set, &json);
    T_OK(text_check(&text));
    T_HAS(text.s, "changed       mean 80, least 79      2      1   50.0 %      50.0 %    0.0 %\n");
    T_HAS(text.s, "                          40-79      1      0    0.0 %     100.0 %    0.0 %\n");
    json_t *o = json_loads(json.s, JSON_REJECT_DUPLICATES, NULL);
    T_TRUE(o);
    const json_t *groups = json_object_get(o, "groups"), *last = json_array_get(groups, 3);
    T_EQ_I64(json_array_size(groups), 4);
    T_EQ_STR(json_string_value(json_object_get(last, "group")), "all");
    T_EQ_I64(json_integer_value(json_object_get(last, "right")), 2);
    T_NEAR(json_number_value(json_object_get(last, "right_percent")), 40, 1e-12);
    T_EQ_I64(json_array_size(json_object_get(last, "by_statements")), 4);
    T_EQ_I64(json_array_size(json_object_get(o, "answers")), 5);
    json_decref(o);
    text_fini(&text);
    text_fini(&json);
    questions_destroy(set);
    loaded_model_close(m);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(all_asks_all)
{
    const char *two =
        Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": false, \"statements\": [2]")
            Q("Two? ", "Ab.", "\"group\": \"new\", \"held_out\": true, \"statements\": [2]");
    QuestionSet *held_out = read(two, false), *all = read(two, true);
    T_EQ_I64(held_out->n, 1);
    T_EQ_STR(held_out->q[0].question, "Two? ");
    T_EQ_I64(all->n, 2);
    questions_destroy(held_out);
    questions_destroy(all);
}
END_TEST

/* What the generator writes is what is read. */
START_TEST(the_world_s_own_questions_are_read)
{
    const WorldSpec spec = {.version = 2, .seed = 1};
    char *text = NULL;
    int64_t n_bytes = 0, n_changed = 0;
    T_OK(world_questions_jsonl(&spec, &text, &n_bytes));
    QuestionSet *set = read(text, false);
    for (int64_t i = 0; i < set->n; i++) {
        n_changed += set->q[i].group == WORLD_CHANGED;
        T_TRUE((set->q[i].group == WORLD_CHANGED) == (set->q[i].old_answer != NULL));
        T_TRUE(set->q[i].held_out);
    }
    T_EQ_I64(set->n, (28 + 8) * 4 * 2);
    T_EQ_I64(set->n_file, (80 + 24) * 4 * 2);
    T_TRUE(n_changed > 30);
    questions_destroy(set);
    mem_free(text);
}
END_TEST

static void refuse(const char *text, Status code, const char *part)
{
    QuestionSet *set = NULL;
    const Status rc = questions_read(spill(text), false, &set);
    ck_assert_msg(rc == code, "%s gave %s (%s)", text, status_name(rc), status_message());
    T_HAS(status_message(), part);
    status_clear();
    T_TRUE(!set);
}

#define GOOD "\"group\": \"new\", \"held_out\": true, \"statements\": [2]"

START_TEST(hostile_files_are_refused_with_their_line)
{
    QuestionSet *set = NULL;
    T_FAILS(questions_read(tiny_path("missing.jsonl"), false, &set), DATA, "missing.jsonl");
    T_FAILS(questions_read(test_dir(), false, &set), DATA, test_dir());
    refuse("", ST_DATA, "holds no question");
    refuse(Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": false, \"statements\": [2]"),
           ST_DATA, "none of its 1 questions is held out");
    refuse("\n", ST_FORMAT, "questions.jsonl:1: ");
    refuse(Q("One? ", "Ab.", GOOD) "{\"question\": \n", ST_FORMAT, "questions.jsonl:2: column");
    refuse(Q("One? ", "Ab.", GOOD) "[1, 2]\n", ST_FORMAT, "questions.jsonl:2: expected an object");
    refuse("17\n", ST_FORMAT, "questions.jsonl:1: ");
    refuse("{\"answer\": \"Ab.\", " GOOD "}\n", ST_FORMAT, ":1: \"question\" is missing");
    refuse("{\"question\": \"\", \"answer\": \"Ab.\", " GOOD "}\n", ST_FORMAT, "\"question\"");
    refuse("{\"question\": \"a\", \"question\": \"b\", \"answer\": \"Ab.\", " GOOD "}\n", ST_FORMAT,
           ":1: column");
    refuse("{\"question\": 5, \"answer\": \"Ab.\", " GOOD "}\n", ST_FORMAT, "\"question\"");
    refuse("{\"question\": \"a\\u0000b\", \"answer\": \"Ab.\", " GOOD "}\n", ST_FORMAT,
           ":1: column");
    refuse("{\"question\": \"One? \", " GOOD "}\n", ST_FORMAT, "\"answer\" is missing");
    refuse(Q("One? ", "Ab", GOOD), ST_FORMAT, "\"Ab\" does not end with its only full stop");
    refuse(Q("One? ", "A. b.", GOOD), ST_FORMAT, "\"A. b.\" does not end with its only full stop");
    refuse(Q("One? ", "Ab.", "\"group\": \"newer\", \"held_out\": true, \"statements\": [2]"),
           ST_FORMAT, "\"group\" is \"newer\"");
    refuse(Q("One? ", "Ab.", "\"held_out\": true, \"statements\": [2]"), ST_FORMAT,
           "\"group\" is missing");
    refuse(Q("One? ", "Ab.", "\"group\": \"new\", \"statements\": [2]"), ST_FORMAT, "\"held_out\"");
    refuse(Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": 1, \"statements\": [2]"), ST_FORMAT,
           "\"held_out\"");
    refuse(Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": true"), ST_FORMAT,
           "\"statements\"");
    refuse(Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": true, \"statements\": []"),
           ST_FORMAT, "\"statements\"");
    refuse(Q("One? ", "Ab.", "\"group\": \"new\", \"held_out\": true, \"statements\": [-1]"),
           ST_FORMAT, "\"statements\"");
    refuse(Q("One? ", "Ab.", "\"group\": \"changed\", \"held_out\": true, \"statements\": [2]"),
           ST_FORMAT, "\"old_answer\" is missing");
    refuse("{\"question\": \"\xff\"}\n", ST_FORMAT, "UTF-8");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(no_memory_is_survived_everywhere)
{
    LoadedModel *m = answering_model("faults");
    const char *path =
        spill(Q("One? ", "Ab.", GOOD) Q("Two? ", "Ab.",
                                        "\"group\": \"changed\", \"held_out\": true, "
                                        "\"statements\": [2], \"old_answer\": \"Ef.\""));
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        QuestionSet *set = NULL;
        Text out = {0};
        fault_arm(n, false);
        Status rc = questions_read(path, false, &set);
        if (rc == ST_OK) rc = score_questions(comm_self(), m, set);
        if (rc == ST_OK) score_json(set, &out);
        if (rc == ST_OK) rc = text_check(&out);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        questions_destroy(set);
        text_fini(&out);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
    }
    loaded_model_close(m);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        answers_are_judged_byte_for_byte, all_asks_all, the_world_s_own_questions_are_read,
        hostile_files_are_refused_with_their_line, no_memory_is_survived_everywhere};
    return test_main("unit.score", tests, N_OF(tests));
}
