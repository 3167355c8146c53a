/* mpi_score.c — any number of ranks gives the verdicts and the loss of one. */
#include "tests/tiny_run.h"
#include "trainer/io/files.h"
#include "trainer/run/evaluate.h"
#include "trainer/run/score.h"

enum { N_QUESTION = 53 };

static const char *shared_file(const char *name, const Text *text)
{
    const char *path = tiny_path(name);
    const bool writes = comm_rank(test_world()) == 0;
    T_OK(comm_agree(test_world(), writes ? file_write_atomic(path, text->s, text->n) : ST_OK));
    return path;
}

/* Every third question is right, every seventh gets the old answer. */
static const char *question_file(void)
{
    Text t = {0};
    for (int i = 0; i < N_QUESTION; i++)
        text_printf(&t,
                    "{\"question\": \"Number %d? \", \"answer\": \"%s.\", \"group\": \"changed\", "
                    "\"old_answer\": \"%s.\", \"held_out\": true, \"statements\": [%d]}\n",
                    i, i % 3 == 0 ? "A" : "C", i % 7 == 1 ? "A" : "D", i);
    const char *path = shared_file("questions.jsonl", &t);
    text_fini(&t);
    return path;
}

START_TEST(verdicts_do_not_depend_on_the_ranks)
{
    const int64_t live = mem_live();
    unsigned char follows[256] = {0};
    follows[' '] = 'A';
    follows['A'] = '.';
    QuestionSet *alone = NULL, *shared = NULL;
    LoadedModel *m = tiny_bigram_model(tiny_path("model"), follows);
    const char *path = question_file();
    T_OK(questions_read(path, false, &alone));
    T_OK(questions_read(path, false, &shared));
    T_OK(score_questions(comm_self(), m, alone));
    T_OK(score_questions(test_world(), m, shared));
    for (int i = 0; i < N_QUESTION; i++) {
        const Verdict expected = i % 3 == 0   ? VERDICT_RIGHT
                                 : i % 7 == 1 ? VERDICT_OLD
                                              : VERDICT_NEITHER;
        T_EQ_I64(alone->q[i].verdict, expected);
        T_EQ_I64(shared->q[i].verdict, expected);
        if (comm_rank(test_world()) == 0) T_EQ_STR(shared->q[i].given, alone->q[i].given);
    }
    questions_destroy(alone);
    questions_destroy(shared);
    loaded_model_close(m);
    T_EQ_I64(mem_live(), live);
}
END_TEST

START_TEST(ranks_with_different_questions_are_refused)
{
    unsigned char follows[256] = {0};
    LoadedModel *m = tiny_bigram_model(tiny_path("differ"), follows);
    QuestionSet *set = NULL;
    T_OK(questions_read(question_file(), false, &set));
    if (comm_rank(test_world()) == 0) set->hash++;
    if (comm_size(test_world()) == 1)
        T_OK(score_questions(test_world(), m, set));
    else
        T_FAILS(score_questions(test_world(), m, set), DATA, "different questions");
    questions_destroy(set);
    loaded_model_close(m);
}
END_TEST

START_TEST(the_loss_does_not_depend_on_the_ranks)
{
    const int64_t live = mem_live();
    LoadedModel *m = tiny_random_model(tiny_path("random"), 8);
    const Comm *each[] = {comm_self(), test_world()};
    const int64_t max_tokens[] = {0, 3 * TINY_CONTEXT};
    Text text = {0};
    for (int i = 0; i < 60; i++) text_printf(&text, "line %d of a text, with a number in it\n", i);
    DatasetOpts d;
    opt_set_defaults(DATASET_OPTS, &d);
    d.path = shared_file("data.txt", &text);
    d.document = "line";
    m->cfg->pack.cache_dir = tiny_path("cache");
    TokenSet *set = NULL;
    T_OK(token_set_open(test_world(), &d, &m->cfg->pack, m->tokenizer, SPLIT_TRAIN, &set));
    for (int k = 0; k < 2; k++) {
        Evaluation e[2];
        for (int i = 0; i < 2; i++) {
            Tape *tape = NULL;
            Batch *batch = NULL;
            T_OK(tape_create(&tape));
            T_OK(batch_create(4, TINY_CONTEXT, &batch));
            T_OK(evaluate_set(each[i], m->net.model, m->tokenizer, set, max_tokens[k], tape, batch,
                              &e[i]));
            batch_destroy(batch);
            tape_destroy(tape);
        }
        T_TRUE(e[0].loss == e[1].loss && e[0].loss > 0);
        T_EQ_I64(e[0].n_label, e[1].n_label);
        T_EQ_I64(e[0].n_byte, e[1].n_byte);
        T_TRUE(e[0].n_byte < e[0].n_label); /* ends of documents are labels without a text */
        if (k == 1) T_TRUE(e[0].n_label <= max_tokens[1] && e[0].n_label > max_tokens[1] - 8);
    }
    token_set_close(set);
    text_fini(&text);
    loaded_model_close(m);
    T_EQ_I64(mem_live(), live);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *tests[] = {verdicts_do_not_depend_on_the_ranks,
                            ranks_with_different_questions_are_refused,
                            the_loss_does_not_depend_on_the_ranks};
    return test_main_mpi("mpi.score", argc, argv, tests, N_OF(tests));
}
