/* step.c — the global batch is a fixed list of micro-batches, cut into fixed groups; ranks share
 * out the groups. Where rows are not packed, a micro-batch holds samples of like length, as it costs what
 * its longest one does. */
#include "trainer/run/step.h"
#include "trainer/base/mem.h"
#include "trainer/base/profile.h"
#include "trainer/base/stop.h"
#include "trainer/base/tree_sum.h"
#include "trainer/run/evaluate.h"
#include "trainer/run/leg.h"
#include "trainer/run/prefix_cache.h"
#include "trainer/tensor/tape.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Sized {
    int64_t sample, n; /* of the step, from 0; its tokens */
} Sized;

struct Stepper {
    const Comm *comm;
    TrainState *state;
    Tape *tape;
    Batch *batch; /* (micro_batch_size, max_seq_length) */
    TreeSum *sum;
    PrefixCache *prefix; /* NULL: every block is run */
    int n_group;
    int64_t n_micro;
    Sized *order;          /* (global batch) in micro-batches, room to sort; NULL: as it comes */
    const CkptWrite *save; /* that is being written; NULL: none */
    int64_t *tally; /* what the ranks tell each other: TALLY_..., then loss bits and labels of each
                       micro-batch */
};

enum { TALLY_STOP, TALLY_WRITING, TALLY_MICRO }; /* ranks asked to stop, ranks that still write */

static int64_t tally_n(const Stepper *st)
{
    return TALLY_MICRO + 2 * st->n_micro;
}

int stepper_groups(const RunConfig *cfg)
{
    int g = (int)cfg->reduction_groups;
    while (g > cfg->global_batch_size / cfg->micro_batch_size) g /= 2;
    return g;
}

void stepper_destroy(Stepper *st)
{
    if (!st) return;
    tree_sum_destroy(st->sum);
    batch_destroy(st->batch);
    tape_destroy(st->tape);
    prefix_cache_destroy(st->prefix);
    mem_free(st->tally);
    mem_free(st->order);
    mem_free(st);
}

static Status create(const Comm *c, TrainState *s, Stepper **out)
{
    Status rc = ST_OK;
    const RunConfig *cfg = s->cfg;
    Stepper *st = mem_alloc(sizeof *st);
    CHECK(st, NOMEM, "step: %zu bytes", sizeof *st);
    st->comm = c;
    st->state = s;
    st->n_micro = cfg->global_batch_size / cfg->micro_batch_size;
    st->n_group = stepper_groups(cfg);
    st->tally = mem_array(tally_n(st), sizeof *st->tally);
    CHECK(st->tally, NOMEM, "step: %lld micro-batches", LL(st->n_micro));
    if (!cfg->pack.packing && cfg->micro_batch_size > 1) {
        st->order = mem_array(2 * cfg->global_batch_size, sizeof *st->order);
        CHECK(st->order, NOMEM, "step: order of %lld samples", LL(cfg->global_batch_size));
    }
    TRY(tape_create(&st->tape));
    tape_checkpointing(st->tape, cfg->gradient_checkpointing);
    TRY(batch_create(cfg->micro_batch_size, cfg->pack.max_seq_length, &st->batch));
    TRY(prefix_cache_create(cfg, &s->net, &st->prefix));
    TRY(tree_sum_create(c, st->n_group, params_flat_n(s->net.params), optim_cut(s->optim),
                        &st->sum));
    *out = st;
    st = NULL;
out:
    stepper_destroy(st);
    return rc;
}

Status stepper_create(const Comm *c, TrainState *s, Stepper **st)
{
    return comm_agree(c, create(c, s, st));
}

void stepper_watch(Stepper *st, const CkptWrite *save)
{
    st->save = save;
}

void stepper_rest(Stepper *st)
{
    tree_sum_rest(st->sum);
}

json_t *stepper_numerics(const Stepper *st)
{
    return numerics_fingerprint(st->n_group, prefix_cache_blocks(st->prefix));
}

/* Of micro-batch `micro` of the step that runs now; never 0. */
static uint64_t noise_at(const Stepper *st, int64_t micro)
{
    static const char STREAM[] = "noise";
    return rng_at((uint64_t)st->state->cfg->seed, rng_hash_bytes(STREAM, sizeof STREAM, 0),
                  (uint64_t)(st->state->step * st->n_micro + micro)) |
           1;
}

static int64_t first_micro(const Stepper *st, int group)
{
    return group * st->n_micro / st->n_group;
}

static int longest_first(const void *x, const void *y)
{
    const Sized *a = x, *b = y;
    if (a->n != b->n) return a->n > b->n ? -1 : 1;
    return a->sample < b->sample ? -1 : 1;
}

/* Micro-batches of samples of like length, dealt to the groups in turn, so that no rank has the long ones alone. */
static void order_samples(Stepper *st, const Version *v, int64_t first_sample)
{
    const int64_t B = st->batch->B, n = st->n_micro * B;
    Sized *sorted = st->order + n;
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (Sized){i, version_row_tokens(v, version_sample(v, first_sample + i))};
    qsort(sorted, (size_t)n, sizeof *sorted, longest_first);
    for (int64_t round = 0, at = 0; at < n; round++)
        for (int g = 0; g < st->n_group; g++) {
            const int64_t m = first_micro(st, g) + round;
            if (m >= first_micro(st, g + 1)) continue;
            memcpy(st->order + m * B, sorted + at, (size_t)B * sizeof *sorted);
            at += B;
        }
}

/* Loss and gradient of one micro-batch, added to the bound gradient. */
static Status run_micro(Stepper *st, const Version *v, int64_t first_sample, int64_t micro,
                        double *loss)
{
    Status rc = ST_OK;
    Batch *b = st->batch;
    const int before = profile_enter(PROFILE_PHASE, "data");
    for (int64_t row = 0; row < b->B; row++) {
        const int64_t at = micro * b->B + row, i = st->order ? st->order[at].sample : at;
        version_row(v, version_sample(v, first_sample + i), row, b);
    }
    b->noise = noise_at(st, micro);
    profile_leave(before);
    if (st->prefix) TRY(prefix_cache_fill(st->prefix, b));
    TRY(model_loss(st->state->net.model, st->tape, b, true, loss, NULL));
out:
    b->hidden = NULL;
    return rc;
}

/* The identity of a batch: its sample ids in order. */
static void hash_batch(const Stepper *st, const Version *v, int64_t first_sample, char text[17])
{
    uint64_t h = 0;
    for (int64_t i = 0; i < st->n_micro * st->batch->B; i++) {
        const SampleId id = version_sample(v, first_sample + i);
        const int64_t word[3] = {id.set, id.row, id.epoch};
        h = rng_hash_bytes(word, sizeof word, h);
    }
    snprintf(text, 17, "%016llx", (unsigned long long)h);
}

static void sum_early(void *ctx, int64_t complete)
{
    const int before = profile_enter(PROFILE_PHASE, "gradient sum");
    tree_sum_complete(ctx, complete);
    profile_leave(before);
}

/* Forward and backward of this rank's groups; while the last backward runs, what it has done with travels. Rank: local. */
static Status forward_backward(Stepper *st, const Version *v, int64_t first_sample)
{
    Status rc = ST_OK;
    int first, end;
    const bool overlap = st->state->cfg->overlap_comm && comm_size(st->comm) > 1;
    tree_sum_leaves(st->sum, &first, &end);
    memset(st->tally, 0, (size_t)tally_n(st) * sizeof *st->tally);
    for (int g = first; g < end; g++) {
        const int before = profile_enter(PROFILE_PHASE, "gradient sum");
        float *grad = tree_sum_leaf(st->sum);
        profile_leave(before);
        params_bind_grad(st->state->net.params, grad);
        for (int64_t m = first_micro(st, g); m < first_micro(st, g + 1); m++) {
            double loss = 0;
            if (overlap && m + 1 == first_micro(st, end))
                tape_watch(st->tape, (TapeWatch){sum_early, st->sum});
            TRY(run_micro(st, v, first_sample, m, &loss));
            memcpy(&st->tally[TALLY_MICRO + 2 * m], &loss, sizeof loss);
            st->tally[TALLY_MICRO + 2 * m + 1] = st->batch->n_label;
        }
        const int again = profile_enter(PROFILE_PHASE, "gradient sum");
        tree_sum_leaf_done(st->sum);
        profile_leave(again);
    }
    st->tally[TALLY_STOP] = stop_requested();
    st->tally[TALLY_WRITING] = st->save && !ckpt_write_done(st->save);
out:
    tape_watch(st->tape, (TapeWatch){NULL, NULL});
    params_bind_grad(st->state->net.params, NULL);
    return rc;
}

/* Sums losses and labels in order of the micro-batches; says which one is not finite (-1: none). */
static int64_t read_tally(const Stepper *st, StepResult *out)
{
    int64_t bad = -1;
    double sum = 0;
    out->stop = st->tally[TALLY_STOP] > 0;
    out->saved = st->save && st->tally[TALLY_WRITING] == 0;
    out->n_label = 0;
    for (int64_t m = 0; m < st->n_micro; m++) {
        double loss;
        memcpy(&loss, &st->tally[TALLY_MICRO + 2 * m], sizeof loss);
        if (!isfinite(loss) && bad < 0) bad = m;
        sum += loss;
        out->n_label += st->tally[TALLY_MICRO + 2 * m + 1];
    }
    out->loss = sum / (double)out->n_label;
    return bad;
}

static bool all_finite(const float *x, int64_t n)
{
    bool finite = true;
    for (int64_t i = 0; i < n && finite; i++) finite = isfinite(x[i]);
    return finite;
}

/* The loss is fine but the gradient is not: runs the micro-batches one by one to name the first
 * that is to blame. */
static Status find_bad_micro(Stepper *st, const Version *v, int64_t first_sample, int64_t *bad)
{
    Status rc = ST_OK;
    int first, end;
    *bad = INT64_MAX;
    tree_sum_leaves(st->sum, &first, &end);
    for (int g = first; g < end; g++)
        for (int64_t m = first_micro(st, g); m < first_micro(st, g + 1); m++) {
            double loss = 0;
            float *grad = tree_sum_alone(st->sum);
            CHECK(grad, NOMEM, "gradient: %lld floats", LL(params_flat_n(st->state->net.params)));
            params_bind_grad(st->state->net.params, grad);
            TRY(run_micro(st, v, first_sample, m, &loss));
            if (!all_finite(grad, params_flat_n(st->state->net.params)) && m < *bad) *bad = m;
        }
out:
    params_bind_grad(st->state->net.params, NULL);
    return rc;
}

/* Nothing is updated: either the run ends here, on all ranks alike, or the step is counted as
 * skipped. */
static Status refuse_update(Stepper *st, const Version *v, int64_t first_sample, int64_t bad,
                            StepResult *out)
{
    Status rc = ST_OK;
    TrainState *s = st->state;
    const char *what = bad >= 0 ? "loss" : "gradient";
    if (bad < 0) {
        TRY(comm_agree(st->comm, find_bad_micro(st, v, first_sample, &bad)));
        comm_min_i64(st->comm, &bad, 1);
    }
    if (bad == INT64_MAX) {
        what = "sum of the gradients";
        bad = st->n_micro - 1;
    }
    const int64_t B = st->batch->B, from = st->order ? 0 : bad * B,
                  end = st->order ? st->n_micro * B : from + B;
    CHECK(strcmp(s->cfg->on_nonfinite, "skip") == 0, NONFINITE,
          "step %lld, micro-batch %lld (%s samples %lld to %lld of the version): the %s is not "
          "finite; nothing was updated",
          LL(s->step), LL(bad), st->order ? "among" : "the", LL(first_sample + from),
          LL(first_sample + end - 1), what);
    s->skipped++;
    CHECK(
        s->skipped <= s->cfg->max_nonfinite_skips, NONFINITE,
        "step %lld: %lld updates were skipped because something was not finite, the limit is %lld",
        LL(s->step), LL(s->skipped), LL(s->cfg->max_nonfinite_skips));
    out->skipped = true;
out:
    return rc;
}

Status stepper_run(Stepper *st, const Version *v, int64_t first_sample, SchedPoint at,
                   StepResult *out)
{
    Status rc = ST_OK;
    TrainState *s = st->state;
    *out = (StepResult){0};
    if (st->order) order_samples(st, v, first_sample);
    int before = profile_enter(PROFILE_PHASE, "waiting for ranks");
    rc = comm_agree(st->comm, tree_sum_begin(st->sum));
    profile_leave(before);
    TRY(rc);
    const Status computed = forward_backward(st, v, first_sample);
    before = profile_enter(PROFILE_PHASE, "waiting for ranks");
    rc = comm_agree(st->comm, computed);
    profile_leave(before);
    before = profile_enter(PROFILE_PHASE, "gradient sum");
    const float *grad = tree_sum_finish(st->sum); /* after a failure too */
    profile_leave(before);
    TRY(rc);
    comm_sum_i64(st->comm, st->tally, (int)tally_n(st)); /* each entry comes from one rank: exact */
    const int64_t bad = read_tally(st, out);
    CHECK(out->n_label > 0, DATA, "step %lld: no token of the batch carries a label", LL(s->step));
    const double scale = 1.0 / (double)out->n_label;
    before = profile_enter(PROFILE_PHASE, "gradient norm");
    out->grad_norm = optim_grad_norm(s->optim, grad, scale);
    profile_leave(before);
    hash_batch(st, v, first_sample, out->batch_hash);
    before = profile_enter(PROFILE_PHASE, "optimizer");
    if (bad >= 0 || !isfinite(out->grad_norm))
        rc = refuse_update(st, v, first_sample, bad, out);
    else
        optim_step(s->optim, s->net.params, grad, scale, out->grad_norm, at.lr, at.beta2);
    profile_leave(before);
    TRY(rc);
    s->lr = at.lr;
    s->step++;
    s->tokens += st->n_micro * st->batch->B * st->batch->T;
out:
    return rc;
}

Status stepper_evaluate(Stepper *st, const TokenSet *set, int64_t max_tokens, double *loss,
                        int64_t *n_label)
{
    Status rc = ST_OK;
    Evaluation e;
    TRY(evaluate_set(st->comm, st->state->net.model, NULL, set, max_tokens, st->tape, st->batch,
                     &e));
    *loss = e.loss;
    *n_label = e.n_label;
out:
    return rc;
}
