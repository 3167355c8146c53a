/* evaluate.c — each micro-batch belongs to one rank, so adding up the ranks' tallies is exact. */
#include "trainer/run/evaluate.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include <math.h>
#include <string.h>

typedef struct MicroTally {
    int64_t loss_bits, n_label, n_byte; /* the loss is a double; ranks exchange its bits */
} MicroTally;

enum { N_TALLY = sizeof(MicroTally) / sizeof(int64_t) };

double evaluation_perplexity(const Evaluation *e)
{
    return exp(e->loss);
}

double evaluation_bits_per_byte(const Evaluation *e)
{
    return e->loss * (double)e->n_label / (double)e->n_byte / log(2.0);
}

/* Rows [first, first + B) of the n_row that count; what lies behind them fills up the batch. */
static void fill_batch(const TokenSet *set, int64_t first, int64_t n_row, Batch *b)
{
    for (int64_t k = 0; k < b->B; k++) {
        const bool counts = first + k < n_row;
        token_set_row(set, counts ? first + k : n_row - 1, k, b);
        if (!counts) batch_mask_row(b, k);
    }
    b->noise = 0;
}

static Status evaluate_micro(const Model *m, const Tokenizer *tok, Tape *tape, const Batch *b,
                             MicroTally *tally)
{
    Status rc = ST_OK;
    double nats = 0;
    TRY(model_loss(m, tape, b, false, &nats, NULL));
    memcpy(&tally->loss_bits, &nats, sizeof nats);
    tally->n_label = b->n_label;
    for (int64_t i = 0; tok && i < b->B * b->T; i++) {
        int64_t n = 0;
        if (b->labels[i] >= 0 && !tokenizer_is_special(tok, b->labels[i]))
            tokenizer_piece(tok, b->labels[i], &n);
        tally->n_byte += n;
    }
out:
    return rc;
}

static void add_up(const MicroTally *tally, int64_t n_micro, Evaluation *out)
{
    double sum = 0;
    *out = (Evaluation){0};
    for (int64_t i = 0; i < n_micro; i++) {
        double nats;
        memcpy(&nats, &tally[i].loss_bits, sizeof nats);
        sum += nats;
        out->n_label += tally[i].n_label;
        out->n_byte += tally[i].n_byte;
    }
    out->loss = out->n_label > 0 ? sum / (double)out->n_label : NAN;
}

Status evaluate_set(const Comm *c, const Model *m, const Tokenizer *tok, const TokenSet *set,
                    int64_t max_tokens, Tape *tape, Batch *b, Evaluation *out)
{
    Status rc = ST_OK, local = ST_OK;
    const double begin_s = clock_s();
    int64_t n_row = token_set_n_row(set);
    if (max_tokens > 0 && n_row > (max_tokens + b->T - 1) / b->T)
        n_row = (max_tokens + b->T - 1) / b->T;
    const int64_t n_micro = (n_row + b->B - 1) / b->B;
    MicroTally *tally = mem_array(n_micro, sizeof *tally);
    if (!tally)
        local = status_fail(ST_NOMEM, __FILE__, __LINE__, "evaluation: %lld micro-batches",
                            LL(n_micro));
    for (int64_t i = comm_rank(c); local == ST_OK && i < n_micro; i += comm_size(c)) {
        fill_batch(set, i * b->B, n_row, b);
        local = evaluate_micro(m, tok, tape, b, &tally[i]);
    }
    TRY(comm_agree(c, local));
    comm_sum_i64(c, (int64_t *)tally, (int)(N_TALLY * n_micro));
    add_up(tally, n_micro, out);
    out->n_row = n_row;
    out->seconds = clock_s() - begin_s;
out:
    mem_free(tally);
    return rc;
}
