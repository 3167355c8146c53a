/* unit_piece.c — documents that share their beginning, and rows nobody asks for, make no difference to loss and gradient. */
#include "tests/toy_model.h"
#include "trainer/base/rng.h"
#include <math.h>
#include <string.h>

enum { T = TOY_N, N_SHARED = 4, N_DOC = 7 };

/* Puts tokens [from, N_DOC) of a document at position t: the label of its token k is text[k+1] from n_prompt on. */
static int put_document(ToyModel *toy, int t, const int32_t *text, int from, int n_prompt)
{
    const int start = t;
    for (int k = from; k < N_DOC; k++, t++) {
        toy->tokens[t] = text[k];
        toy->labels[t] = k + 1 < N_DOC && k + 1 >= n_prompt ? text[k + 1] : -1;
        toy->doc_start[t] = start;
        toy->batch.n_label += toy->labels[t] >= 0;
    }
    return t;
}

static void put_filling(ToyModel *toy, int t)
{
    for (; t < T; t++) {
        toy->tokens[t] = 1;
        toy->labels[t] = -1;
        toy->doc_start[t] = t;
    }
}

/* The gradient of two documents that begin alike, the second whole or without its beginning. */
static double loss_of_two(ToyModel *toy, bool share, real *grad)
{
    static const int32_t FIRST[N_DOC] = {3, 9, 4, 7, 2, 8, 5},
                         SECOND[N_DOC] = {3, 9, 4, 7, 6, 10, 2};
    static int32_t shared_start[T], n_shared[T];
    memset(shared_start, 0, sizeof shared_start);
    memset(n_shared, 0, sizeof n_shared);
    toy->batch.n_label = 0;
    toy->batch.B = 1;
    toy->batch.T = T;
    toy->batch.shared_start = shared_start;
    toy->batch.n_shared = n_shared;
    const int first_end =
        put_document(toy, 0, FIRST, 0, N_SHARED); /* the last it shares is labelled */
    const int end = put_document(toy, first_end, SECOND, share ? N_SHARED : 0, N_SHARED + 1);
    for (int t = first_end; share && t < end; t++) n_shared[t] = N_SHARED;
    put_filling(toy, end);
    const double loss = toy_backward(toy);
    memcpy(grad, toy->grad, (size_t)toy->n * sizeof *grad);
    return loss;
}

START_TEST(a_shared_beginning_changes_nothing)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++)
        for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
            ToyModel toy;
            const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
            toy_model_init(&toy, &c);
            tape_checkpointing(toy.tape, checkpointing);
            real *whole = mem_array(toy.n, sizeof *whole),
                 *shared = mem_array(toy.n, sizeof *shared);
            const double a = loss_of_two(&toy, false, whole), b = loss_of_two(&toy, true, shared);
            double difference = 0, norm = 0;
            for (int64_t k = 0; k < toy.n; k++) {
                difference += pow((double)(whole[k] - shared[k]), 2);
                norm += pow((double)whole[k], 2);
            }
            ck_assert_msg(fabs(a - b) < 1e-5 * a && sqrt(difference) < 1e-5 * sqrt(norm),
                          "%s: loss %g and %g, gradients of norm %g differ by %g", TOY_FAMILIES[i],
                          a, b, sqrt(norm), sqrt(difference));
            mem_free(whole);
            mem_free(shared);
            toy_model_fini(&toy);
        }
}
END_TEST

START_TEST(a_shared_beginning_behind_its_document_is_refused)
{
    ToyModel toy;
    const ModelConfig c = toy_config();
    real *grad;
    double loss;
    toy_model_init(&toy, &c);
    grad = mem_array(toy.n, sizeof *grad);
    loss_of_two(&toy, true, grad);
    toy.batch.shared_start[N_DOC] = N_DOC - N_SHARED + 1;
    T_FAILS(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL), SHAPE,
            "token 7: its document starts at 7 and shares 4 tokens from 4 on");
    toy.batch.shared_start[N_DOC] = -1;
    T_FAILS(model_loss(toy.model, toy.tape, &toy.batch, true, &loss, NULL), SHAPE, "from -1 on");
    mem_free(grad);
    toy_model_fini(&toy);
}
END_TEST

/* Tokens with a label have the losses of `all`, the others none. */
static void expect_losses(const ToyModel *toy, const real *all, const char *family)
{
    const Batch *b = &toy->batch;
    double loss, sum = 0;
    const real *nats;
    T_OK(model_loss(toy->model, toy->tape, b, false, &loss, &nats));
    for (int64_t n = 0; n < b->B * b->T; n++) {
        const double expected = b->labels[n] >= 0 ? (double)all[n] : 0;
        ck_assert_msg(fabs((double)nats[n] - expected) < 1e-5, "%s: token %lld: %g, not %g", family,
                      LL(n), (double)nats[n], expected);
        sum += expected;
    }
    T_TRUE(fabs(loss - sum) < 1e-4);
}

/* The last block leaves out rows without a label; the others have the losses they have among all. */
START_TEST(rows_nobody_asks_for_are_left_out)
{
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        ToyModel toy;
        double loss;
        const real *nats;
        real all[TOY_N];
        const ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        toy_model_init(&toy, &c);
        for (int n = 0; n < TOY_N; n++) toy.labels[n] = n % TOY_V;
        T_OK(model_loss(toy.model, toy.tape, &toy.batch, false, &loss, &nats));
        memcpy(all, nats, sizeof all);
        for (int n = 0; n < TOY_N; n++)
            if (n % 5 != 2) toy.labels[n] = -1;
        expect_losses(&toy, all, TOY_FAMILIES[i]);
        toy_model_fini(&toy);
    }
}
END_TEST

/* Columns behind the last label of every row are not even looked at. */
START_TEST(what_stands_behind_the_last_label_is_left_out)
{
    enum { LONG = 40, LAST = 20, COMPUTED = 32 };
    for (int64_t i = 0; i < N_OF(TOY_FAMILIES); i++) {
        ToyModel toy;
        double loss;
        const real *nats;
        real all[2 * LONG];
        int32_t tokens[2 * LONG], labels[2 * LONG], doc_start[2 * LONG] = {0};
        ModelConfig c = toy_family_config(TOY_FAMILIES[i]);
        c.max_position_embeddings = LONG;
        toy_model_init(&toy, &c);
        toy.batch =
            (Batch){.B = 2, .T = LONG, .tokens = tokens, .labels = labels, .doc_start = doc_start};
        for (int n = 0; n < 2 * LONG; n++) tokens[n] = labels[n] = n * n % TOY_V;
        T_OK(model_loss(toy.model, toy.tape, &toy.batch, false, &loss, &nats));
        memcpy(all, nats, sizeof all);
        for (int n = 0; n < 2 * LONG; n++) {
            if (n % LONG > LAST - 7 * (n / LONG)) labels[n] = -1; /* the second row ends earlier */
            if (n % LONG >= COMPUTED) tokens[n] = TOY_V;
        }
        expect_losses(&toy, all, TOY_FAMILIES[i]);
        toy_model_fini(&toy);
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {
        a_shared_beginning_changes_nothing, a_shared_beginning_behind_its_document_is_refused,
        rows_nobody_asks_for_are_left_out, what_stands_behind_the_last_label_is_left_out};
    return test_main("unit.piece", t, N_OF(t));
}
