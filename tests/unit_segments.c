/* unit_segments.c — rows read in segments with a memory: exact against direct evaluation, the same in training, evaluation and
 * token by token. */
#include "tests/toy_methods.h"
#include "trainer/models/segments.h"
#include "trainer/tensor/tape.h"
#include <math.h>
#include <string.h>

enum { LONG_T = 23, LONG_B = 2, LONG_N = LONG_B * LONG_T };
static const double NEAR = sizeof(real) == 8 ? 1e-11 : 2e-5;

/* A toy model with gates away from their start, and two long rows of one document each. */
typedef struct Long {
    ToyMethods m;
    int32_t tokens[LONG_N], labels[LONG_N], doc_start[LONG_N];
    int64_t rows[LONG_N];
    real logits[LONG_N * TOY_V];
} Long;

static void long_init_family(Long *l, const ModelConfig *cfg, const ToyEntry *e)
{
    Rng r;
    memset(l, 0, sizeof *l);
    toy_methods_init(&l->m, cfg, e);
    rng_init(&r, 8, 0);
    for (int64_t i = 0; i < params_count(l->m.toy.ps); i++)
        toy_shake(&r, params_at(l->m.toy.ps, i));
    for (int i = 0; i < LONG_N; i++) {
        l->tokens[i] = (int32_t)rng_below(&r, TOY_V);
        l->labels[i] = i % 4 == 1 ? -1 : (int32_t)rng_below(&r, TOY_V);
        l->rows[i] = i;
    }
    l->m.toy.batch = (Batch){.B = LONG_B,
                             .T = LONG_T,
                             .tokens = l->tokens,
                             .labels = l->labels,
                             .doc_start = l->doc_start};
}

static void long_init(Long *l, const ToyEntry *e)
{
    ModelConfig c = toy_config();
    c.max_position_embeddings = 64;
    long_init_family(l, &c, e);
}

static void long_fini(Long *l)
{
    toy_methods_fini(&l->m);
}

static void say(Long *l)
{
    const Batch *b = &l->m.toy.batch;
    T_OK(model_logits(l->m.toy.model, l->m.toy.tape, b, b->B * b->T, l->rows, l->logits));
}

static double furthest(const real *a, const real *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs((double)(a[i] - b[i])));
    return most;
}

/* What is said of the text that ends at each token when it is read by a model without the method. */
static void base_says(const ModelConfig *cfg, const Long *l, real *logits)
{
    ToyModel base;
    toy_model_init(&base, cfg);
    T_OK(model_logits(base.model, base.tape, &l->m.toy.batch, LONG_N, l->rows, logits));
    toy_model_fini(&base);
}

static const ToyEntry KINDS[] = {
    {"memory_gate", {"segment_len", "5"}},
    {"memory_gate", {"segment_len", "5", "n_sink", "2", "n_window", "3"}},
    {"memory_gate",
     {"segment_len", "4", "n_sink", "6", "n_window", "4", "rope_position", "global", "memory_rope",
      "true", "memory_update", "delta"}},
    {"memory_gate",
     {"segment_len", "6", "n_window", "1", "memory_update", "delta", "memory_write", "gated",
      "gate_heads", "own"}},
    {"memory_gate", {"segment_len", "7", "n_sink", "9", "gate", "mlp"}},
};

/* ---- the base is there ---- */

/* Texts up to the threshold bit for bit, and the first segment of longer ones. */
START_TEST(short_texts_are_those_of_the_base)
{
    ModelConfig c = toy_config();
    c.max_position_embeddings = 64;
    static real want[LONG_N * TOY_V];
    static const ToyEntry WIDE = {"memory_gate", {"segment_len", "5", "route_threshold", "23"}};
    Long l;
    long_init(&l, &WIDE);
    say(&l);
    base_says(&c, &l, want);
    T_TRUE(memcmp(l.logits, want, sizeof want) == 0);
    long_fini(&l);
    long_init(&l, &KINDS[0]);
    say(&l);
    for (int64_t i = 0; i < LONG_N; i++) {
        const bool same = memcmp(l.logits + i * TOY_V, want + i * TOY_V, TOY_V * sizeof *want) == 0;
        T_TRUE(same == (i % LONG_T < 5));
    }
    long_fini(&l);
}
END_TEST

/* Where everything is in sight (sinks and window hold what comes before the last segment) and the memory is not read, this is attention over the whole text. */
START_TEST(all_in_sight_is_whole_attention)
{
    static const ToyEntry ALL[] = {
        {"memory_gate",
         {"segment_len", "8", "n_sink", "8", "n_window", "8", "route_threshold", "8"}},
        {"memory_gate",
         {"segment_len", "8", "n_sink", "10", "n_window", "6", "route_threshold", "8",
          "rope_position", "global"}},
        {"memory_gate", {"segment_len", "10", "n_sink", "20", "route_threshold", "10"}},
    };
    static const char *const FAMILIES[] = {"llama", "mistral", "qwen2", "qwen3", "gemma2"};
    static real want[LONG_N * TOY_V];
    for (int f = 0; f < N_OF(FAMILIES); f++)
        for (int i = 0; i < N_OF(ALL); i++) {
            Long l;
            ModelConfig c = toy_family_config(FAMILIES[f]);
            c.max_position_embeddings = 64;
            c.sliding_window = 9;
            long_init_family(&l, &c, &ALL[i]);
            model_blind(l.m.toy.model, true);
            say(&l);
            base_says(&c, &l, want);
            const double off = furthest(l.logits, want, LONG_N * TOY_V);
            ck_assert_msg(off < NEAR, "%s, %d: %.3g", FAMILIES[f], i, off);
            model_blind(l.m.toy.model, false);
            say(&l);
            T_TRUE(furthest(l.logits, want, LONG_N * TOY_V) > 1e-3);
            long_fini(&l);
        }
}
END_TEST

/* 2 d m + m + 2 H d numbers a block with shared MLPs. */
START_TEST(trains_as_many_as_it_says)
{
    static const struct {
        ToyEntry entry;
        int64_t n; /* of a block with 4 heads of 4, 2 key heads */
    } CASE[] = {
        {{"memory_gate", {"segment_len", "5"}}, 2 * 4 * 16 + 16 + 2 * 4 * 4},
        {{"memory_gate", {"segment_len", "5", "gate_heads", "own"}},
         4 * (2 * 4 * 16 + 16) + 2 * 4 * 4},
        {{"memory_gate", {"segment_len", "5", "gate", "vector"}}, 4 * 4},
        {{"memory_gate", {"segment_len", "5", "gate", "scalar"}}, 4},
        {{"memory_gate", {"segment_len", "5", "gate", "mlp"}}, 2 * 4 * 16 + 16 + 4 * 4 + 4},
        {{"memory_gate", {"segment_len", "5", "gate", "scalar", "memory_write", "gated"}},
         4 + 2 * (2 * 4 + 1)},
    };
    for (int i = 0; i < N_OF(CASE); i++) {
        Long l;
        long_init(&l, &CASE[i].entry);
        T_EQ_I64(params_n_elem(l.m.toy.ps), 2 * CASE[i].n);
        long_fini(&l);
    }
}
END_TEST

/* ---- the memory ---- */

enum { H = 4, HKV = 2, D = 3, SEGMENT = 4, N_SEGMENT = 4, N_TOKEN = SEGMENT * N_SEGMENT };

static double feature(real x)
{
    return x > 0 ? x + 1 : exp(x);
}

static Status chain(Tape *t, int64_t n_kv, const real *q, const real *k, const real *v,
                    Tensor *answer[N_SEGMENT])
{
    Status rc = ST_OK;
    static const uint8_t all[SEGMENT] = {1, 1, 1, 1};
    static real zero[H * (D + 1) * D];
    Tensor *state, *tq, *tk, *tv;
    const MemoryArg arg = {
        .n_group = 1, .n_head = H, .n_kv_head = n_kv, .head_dim = D, .takes = all, .keeps = all};
    TRY(tape_const(t, DT_REAL, zero, 2, (int64_t[]){n_kv * (D + 1), D}, &state));
    for (int s = 0; s < N_SEGMENT; s++) {
        const int64_t dim_q[] = {SEGMENT, H * D}, dim_k[] = {SEGMENT, n_kv * D};
        TRY(tape_const(t, DT_REAL, q + s * SEGMENT * H * D, 2, dim_q, &tq));
        TRY(tape_const(t, DT_REAL, k + s * SEGMENT * n_kv * D, 2, dim_k, &tk));
        TRY(tape_const(t, DT_REAL, v + s * SEGMENT * n_kv * D, 2, dim_k, &tv));
        if (s > 0) TRY(tape_memory_read(t, tq, state, &arg, &answer[s]));
        TRY(tape_memory_update(t, state, tk, tv, NULL, &arg, &state));
    }
out:
    return rc;
}

static void draw(Rng *r, real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = (real)rng_normal(r);
}

/* sum over all tokens of earlier segments, without a memory in between; query heads 0, 1 ask key head 0. */
START_TEST(answers_as_a_direct_sum)
{
    real q[N_TOKEN * H * D], k[N_TOKEN * HKV * D], v[N_TOKEN * HKV * D];
    Tensor *answer[N_SEGMENT];
    Tape *t = NULL;
    Rng r;
    rng_init(&r, 4, 0);
    draw(&r, q, N_OF(q));
    draw(&r, k, N_OF(k));
    draw(&r, v, N_OF(v));
    T_OK(tape_create(&t));
    T_OK(chain(t, HKV, q, k, v, answer));
    for (int n = SEGMENT; n < N_TOKEN; n++)
        for (int h = 0; h < H; h++) {
            double den = 0, num[D] = {0};
            for (int i = 0; i < n / SEGMENT * SEGMENT; i++) {
                const int64_t at = (i * HKV + h / 2) * D;
                double w = 0;
                for (int c = 0; c < D; c++)
                    w += feature(q[(n * H + h) * D + c]) * feature(k[at + c]);
                den += w;
                for (int c = 0; c < D; c++) num[c] += w * v[at + c];
            }
            const real *got = answer[n / SEGMENT]->val + (n % SEGMENT * H + h) * D;
            for (int c = 0; c < D; c++)
                T_NEAR(got[c], num[c] / den, 1e-5 * fmax(1, fabs(num[c] / den)));
        }
    tape_destroy(t);
}
END_TEST

/* Key heads written out once for each query head that asks them: 0 0 1 1. */
START_TEST(heads_of_a_group_ask_their_own_key_head)
{
    real q[N_TOKEN * H * D], k[N_TOKEN * HKV * D], v[N_TOKEN * HKV * D], k4[N_TOKEN * H * D],
        v4[N_TOKEN * H * D];
    Tensor *two[N_SEGMENT], *four[N_SEGMENT];
    Tape *t = NULL;
    Rng r;
    rng_init(&r, 5, 0);
    draw(&r, q, N_OF(q));
    draw(&r, k, N_OF(k));
    draw(&r, v, N_OF(v));
    for (int i = 0; i < N_TOKEN * H * D; i++) {
        const int n = i / (H * D), h = i / D % H, c = i % D;
        k4[i] = k[(n * HKV + h / 2) * D + c];
        v4[i] = v[(n * HKV + h / 2) * D + c];
    }
    T_OK(tape_create(&t));
    T_OK(chain(t, HKV, q, k, v, two));
    T_OK(chain(t, H, q, k4, v4, four));
    for (int s = 1; s < N_SEGMENT; s++)
        T_TRUE(furthest(two[s]->val, four[s]->val, SEGMENT * H * D) < NEAR / 10);
    tape_destroy(t);
}
END_TEST

/* ---- one way to read ---- */

/* A token has no say in what stands before it, nor its segment in what the segments up to it find. */
START_TEST(no_token_sees_what_follows)
{
    static real before[LONG_N * TOY_V];
    for (int i = 0; i < N_OF(KINDS); i++)
        for (int at = 3; at < LONG_T; at += 6) {
            Long l;
            long_init(&l, &KINDS[i]);
            say(&l);
            memcpy(before, l.logits, sizeof before);
            l.tokens[at] = (l.tokens[at] + 1) % TOY_V;
            say(&l);
            for (int n = 0; n < LONG_N; n++) {
                const bool same =
                    memcmp(before + n * TOY_V, l.logits + n * TOY_V, TOY_V * sizeof(real)) == 0;
                if (n < at || n >= LONG_T) T_TRUE(same); /* the other row of the batch, too */
                if (n == at || n == LONG_T - 1) T_TRUE(!same);
            }
            long_fini(&l);
        }
}
END_TEST

START_TEST(token_by_token_is_all_at_once)
{
    for (int i = 0; i < N_OF(KINDS); i++)
        for (int step = 1; step < 9; step += 3) {
            Long l;
            SegmentCache *c = NULL, *whole = NULL;
            real logits[TOY_V];
            long_init(&l, &KINDS[i]);
            const Model *m = l.m.toy.model;
            const int64_t len = model_segments(m)->len;
            say(&l);
            T_OK(segment_cache_create(m, 1, &c));
            T_OK(segment_cache_create(m, 1, &whole));
            for (int n = 0; n < LONG_T; n += step) {
                const int n_new = n + step < LONG_T ? step : LONG_T - n;
                T_OK(model_extend_segments(m, l.m.toy.tape, c, n_new, l.tokens + n, logits));
                T_EQ_I64(segment_cache_n_past(c), n + n_new);
                T_TRUE(furthest(logits, l.logits + (n + n_new - 1) * TOY_V, TOY_V) < NEAR);
            }
            const int64_t full = LONG_T / len * len, n_state = HKV * (4 + 1) * 4;
            T_OK(model_extend_segments(m, l.m.toy.tape, whole, full, l.tokens, logits));
            for (int64_t k = 0; k < 2; k++) { /* what is left over is in no memory */
                T_TRUE(furthest(segment_cache_state(c, k), segment_cache_state(whole, k), n_state) <
                       NEAR);
                T_TRUE(fabs((double)segment_cache_state(c, k)[n_state - 1]) > 0.1);
            }
            segment_cache_forget(c);
            T_OK(model_extend_segments(m, l.m.toy.tape, c, 2, l.tokens + LONG_T, logits));
            T_TRUE(furthest(logits, l.logits + (LONG_T + 1) * TOY_V, TOY_V) < NEAR);
            segment_cache_destroy(c);
            segment_cache_destroy(whole);
            long_fini(&l);
        }
}
END_TEST

/* A pass that learns and one that does not agree, and losses of tokens stand at their places. */
START_TEST(learns_from_what_evaluation_sees)
{
    for (int i = 0; i < N_OF(KINDS); i++) {
        Long l;
        const real *nats;
        double loss, sum = 0;
        long_init(&l, &KINDS[i]);
        T_OK(model_loss(l.m.toy.model, l.m.toy.tape, &l.m.toy.batch, false, &loss, &nats));
        for (int n = 0; n < LONG_N; n++) {
            T_TRUE((nats[n] != 0) == (l.labels[n] >= 0));
            sum += nats[n];
        }
        T_NEAR(sum, loss, 1e-4);
        T_NEAR(toy_backward(&l.m.toy), loss, NEAR * LONG_N);
        T_OK(model_loss(l.m.toy.model, l.m.toy.tape, &l.m.toy.batch, false, &loss, NULL));
        say(&l);
        double from_logits = 0;
        for (int n = 0; n < LONG_N; n++) {
            double z = 0;
            for (int v = 0; v < TOY_V; v++) z += exp((double)l.logits[n * TOY_V + v]);
            if (l.labels[n] >= 0) from_logits += log(z) - l.logits[n * TOY_V + l.labels[n]];
        }
        T_NEAR(from_logits, loss, NEAR * LONG_N * 10);
        long_fini(&l);
    }
}
END_TEST

/* Windows, caps, biases and norms of their own. */
START_TEST(every_family_learns_from_what_it_sees)
{
    static const char *const FAMILIES[] = {"llama", "mistral", "qwen2", "qwen3", "gemma2"};
    for (int f = 0; f < N_OF(FAMILIES); f++)
        for (int i = 0; i < 2; i++) {
            Long l;
            ModelConfig c = toy_family_config(FAMILIES[f]);
            c.max_position_embeddings = 64;
            long_init_family(&l, &c, &KINDS[i]);
            const double seen = toy_loss(&l.m.toy);
            T_NEAR(toy_backward(&l.m.toy), seen, NEAR * LONG_N);
            model_blind(l.m.toy.model, true);
            T_TRUE(fabs(toy_loss(&l.m.toy) - seen) > 1e-3);
            long_fini(&l);
        }
}
END_TEST

/* Two documents in a row, the second from the start of a segment on, are as each by itself; so is one that starts inside a
 * segment, for what is in sight and for what the memory holds of it. */
START_TEST(documents_do_not_meet)
{
    static real both[LONG_N * TOY_V];
    for (int i = 0; i < N_OF(KINDS); i++)
        for (int inside = 0; inside < 2; inside++) {
            Long l;
            long_init(&l, &KINDS[i]);
            const int len = (int)model_segments(l.m.toy.model)->len, start = 2 * len + inside;
            for (int n = start; n < LONG_T; n++) l.doc_start[n] = start;
            say(&l);
            memcpy(both, l.logits, sizeof both);
            for (int n = 0; n < start; n++) l.tokens[n] = (l.tokens[n] + 3) % TOY_V;
            say(&l);
            for (int n = start; n < LONG_T; n++)
                T_TRUE(memcmp(both + n * TOY_V, l.logits + n * TOY_V, TOY_V * sizeof(real)) == 0);
            if (inside == 0) { /* the second document as the first one */
                memset(l.doc_start, 0, sizeof l.doc_start);
                memmove(l.tokens, l.tokens + start, (size_t)(LONG_T - start) * sizeof *l.tokens);
                say(&l);
                T_TRUE(furthest(both + start * TOY_V, l.logits, (LONG_T - start) * TOY_V) < NEAR);
            }
            long_fini(&l);
        }
}
END_TEST

/* Cut to so many segments as a row has, nothing is cut; cut to fewer, the loss is the same, the gradient is not. */
START_TEST(gradients_end_where_they_are_cut)
{
    static const ToyEntry CUT[] = {
        {"memory_gate", {"segment_len", "5", "memory_grad_segments", "0"}},
        {"memory_gate", {"segment_len", "5", "memory_grad_segments", "5"}},
        {"memory_gate", {"segment_len", "5", "memory_grad_segments", "2"}},
    };
    static real grad[4096];
    double loss = 0;
    for (int i = 0; i < N_OF(CUT); i++) {
        Long l;
        long_init(&l, &CUT[i]);
        T_TRUE(l.m.toy.n <= N_OF(grad));
        const double got = toy_backward(&l.m.toy);
        if (i == 0) {
            loss = got;
            memcpy(grad, l.m.toy.grad, (size_t)l.m.toy.n * sizeof *grad);
        }
        T_TRUE(got == loss);
        const bool same = memcmp(grad, l.m.toy.grad, (size_t)l.m.toy.n * sizeof *grad) == 0;
        T_TRUE(same == (i < 2));
        long_fini(&l);
    }
}
END_TEST

/* ---- memory taken ---- */

START_TEST(takes_no_more_for_longer_texts)
{
    enum { LONGEST = 4096 };
    static int32_t tokens[LONGEST];
    static const ToyEntry e = {"memory_gate",
                               {"segment_len", "32", "n_sink", "4", "n_window", "16"}};
    Long l;
    real logits[TOY_V];
    SegmentCache *c = NULL;
    long_init(&l, &e);
    const int64_t before = mem_live_bytes(), foretold = segment_cache_bytes(l.m.toy.model, 1);
    T_OK(segment_cache_create(l.m.toy.model, 1, &c));
    const int64_t held = mem_live_bytes() - before; /* and the list of blocks */
    T_TRUE(foretold < held && held < foretold + 1024);
    size_t tape = 0;
    int64_t live = 0;
    for (int64_t n = 1024; n <= LONGEST; n *= 4) {
        segment_cache_forget(c);
        T_OK(model_extend_segments(l.m.toy.model, l.m.toy.tape, c, n, tokens, logits));
        if (n == 1024) tape = tape_bytes(l.m.toy.tape);
        if (n == 1024) live = mem_live_bytes();
        T_TRUE(tape_bytes(l.m.toy.tape) == tape && mem_live_bytes() == live);
    }
    segment_cache_destroy(c);
    long_fini(&l);
}
END_TEST

START_TEST(survives_every_failed_allocation)
{
    for (int i = 0; i < N_OF(KINDS); i++)
        for (int n = 1;; n++) {
            Long l;
            double loss;
            long_init(&l, &KINDS[i]);
            fault_arm(n, false);
            const Status rc =
                model_loss(l.m.toy.model, l.m.toy.tape, &l.m.toy.batch, true, &loss, NULL);
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc == ST_NOMEM));
            status_clear();
            long_fini(&l);
            T_EQ_I64(mem_live(), 0);
            if (!hit) break;
        }
}
END_TEST

START_TEST(needs_rotary_positions)
{
    ModelConfig c = toy_family_config("gpt2");
    ToyMethods m;
    const ToyEntry e = {"memory_gate", {"segment_len", "5"}};
    T_FAILS(toy_methods_declare(&m, &c, 1, &e), CONFIG, "rotary positions");
    toy_methods_fini(&m);
}
END_TEST

int main(void)
{
    const TTest *t[] = {short_texts_are_those_of_the_base,
                        all_in_sight_is_whole_attention,
                        trains_as_many_as_it_says,
                        answers_as_a_direct_sum,
                        heads_of_a_group_ask_their_own_key_head,
                        no_token_sees_what_follows,
                        token_by_token_is_all_at_once,
                        learns_from_what_evaluation_sees,
                        every_family_learns_from_what_it_sees,
                        documents_do_not_meet,
                        gradients_end_where_they_are_cut,
                        takes_no_more_for_longer_texts,
                        survives_every_failed_allocation,
                        needs_rotary_positions};
    return test_main("unit.segments", t, N_OF(t));
}
