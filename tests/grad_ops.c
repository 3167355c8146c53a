/* grad_ops.c — every op of op_list.h: its backward against central differences, in double.
 *
 * For a random v the loss is sum(y v). Per case, each subset of inputs is frozen in turn, and the
 * gradients of the others start once from random numbers (so `=` for `+=` is seen) and once blank,
 * full of NaN. */
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/tensor/op.h"
#include <math.h>
#include <omp.h>

#define OP_ENTRY(name) {#name, &op_##name},
static const struct {
    const char *name;
    const OpDef *op;
} ops[] = {OP_LIST(OP_ENTRY)};

static const double LIMIT = 1e-6, STEP = 1e-5;

typedef struct Probe {
    const OpDef *op;
    OpCall call;
    Tensor in[OP_MAX_IN], out;
    real *v;                  /* as out */
    real *numeric[OP_MAX_IN]; /* as in[i] */
    real *before[OP_MAX_IN];  /* the gradients before the backward; zero where blank */
} Probe;

static real *probe_reals(int64_t n)
{
    real *p = mem_array(n, sizeof *p);
    T_TRUE(p);
    return p;
}

static void probe_draw(real *p, int64_t n, double lo, double hi, Rng *r)
{
    for (int64_t i = 0; i < n; i++) p[i] = lo + (hi - lo) * rng_uniform(r);
}

static void probe_poison(real *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = NAN;
}

static int64_t probe_n_scratch(const OpCall *k)
{
    return k->n_scratch + k->n_scratch_thread * omp_get_max_threads();
}

static void probe_init(Probe *p, const OpDef *op, const OpCase *c)
{
    Rng r;
    rng_init(&r, 7, rng_hash_bytes(c->name, strlen(c->name), 0));
    *p = (Probe){.op = op, .call = {.n_in = c->n_in, .arg = c->arg, .out = &p->out}};
    for (int i = 0; i < c->n_in; i++) {
        Tensor *x = &p->in[i];
        *x = (Tensor){.n_dim = c->in[i].n_dim, .n = 1, .dtype = DT_REAL, .needs_grad = true};
        for (int d = 0; d < x->n_dim; d++) {
            x->dim[d] = c->in[i].dim[d];
            x->n *= x->dim[d];
        }
        x->raw = x->val = probe_reals(x->n);
        probe_draw(x->val, x->n, c->lo, c->hi, &r);
        p->numeric[i] = probe_reals(x->n);
        p->before[i] = probe_reals(x->n);
        p->call.in[i] = x;
    }
    T_OK(op->shape(&p->call));
    p->out.raw = p->out.val = probe_reals(p->out.n);
    p->out.grad = probe_reals(p->out.n);
    p->call.saved = probe_reals(p->call.n_saved);
    p->call.scratch = probe_reals(probe_n_scratch(&p->call));
    p->v = probe_reals(p->out.n);
    probe_draw(p->v, p->out.n, -1, 1, &r);
}

static void probe_fini(Probe *p)
{
    for (int i = 0; i < p->call.n_in; i++) {
        mem_free(p->in[i].val);
        mem_free(p->numeric[i]);
        mem_free(p->before[i]);
    }
    mem_free(p->out.val);
    mem_free(p->out.grad);
    mem_free(p->call.saved);
    mem_free(p->call.scratch);
    mem_free(p->v);
}

static double probe_loss(Probe *p)
{
    double loss = 0;
    probe_poison(p->out.val, p->out.n);
    probe_poison(p->call.saved, p->call.n_saved);
    probe_poison(p->call.scratch, probe_n_scratch(&p->call));
    p->op->fwd(&p->call);
    for (int64_t i = 0; i < p->out.n; i++) loss += p->out.val[i] * p->v[i];
    return loss;
}

static void probe_differences(Probe *p)
{
    for (int j = 0; j < p->call.n_in; j++) {
        for (int64_t i = 0; i < p->in[j].n; i++) {
            real *x = &p->in[j].val[i];
            const real at = *x;
            *x = at + STEP;
            const double above = probe_loss(p);
            *x = at - STEP;
            const double below = probe_loss(p);
            *x = at;
            p->numeric[j][i] = (above - below) / (2 * STEP);
        }
    }
}

static void probe_backward(Probe *p, int frozen, bool blank, Rng *r)
{
    for (int j = 0; j < p->call.n_in; j++) {
        Tensor *x = &p->in[j];
        if (frozen >> j & 1) continue;
        x->grad = probe_reals(x->n);
        x->grad_blank = blank;
        if (blank) {
            probe_poison(x->grad, x->n);
            memset(p->before[j], 0, (size_t)x->n * sizeof(real));
        } else {
            probe_draw(x->grad, x->n, -1, 1, r);
            memcpy(p->before[j], x->grad, (size_t)x->n * sizeof(real));
        }
    }
    const double loss = probe_loss(p);
    memcpy(p->out.grad, p->v, (size_t)p->out.n * sizeof(real));
    if (p->op->bwd_gives_out) probe_poison(p->out.val, p->out.n);
    probe_poison(p->call.scratch, probe_n_scratch(&p->call));
    p->op->bwd(&p->call);
    double again = 0;
    for (int64_t i = 0; i < p->out.n; i++) again += p->out.val[i] * p->v[i];
    T_NEAR(again, loss, 1e-12);
}

/* The largest error of any element, signed gradients compared as they are; NaN wins. */
static double probe_error(const Probe *p, int j)
{
    double worst = 0;
    for (int64_t i = 0; i < p->in[j].n; i++) {
        const double a = p->in[j].grad[i] - p->before[j][i], b = p->numeric[j][i];
        const double error = fabs(a - b) / fmax(1, fmax(fabs(a), fabs(b)));
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

static void check_case(const OpDef *op, const OpCase *c)
{
    Probe p;
    Rng r;
    rng_init(&r, 8, 0);
    probe_init(&p, op, c);
    probe_differences(&p);
    for (int frozen = 0; frozen < (1 << c->n_in) - 1; frozen++) {
        for (int blank = 0; blank < 2; blank++) {
            probe_backward(&p, frozen, blank, &r);
            for (int j = 0; j < c->n_in; j++) {
                if (frozen >> j & 1) continue;
                const double error = probe_error(&p, j);
                ck_assert_msg(error <= LIMIT,
                              "%s, case %s, input %d, frozen 0x%x, %s: error %g over %g", op->name,
                              c->name, j, (unsigned)frozen, blank ? "blank" : "prefilled", error,
                              LIMIT);
                mem_free(p.in[j].grad);
                p.in[j].grad = NULL;
            }
        }
    }
    probe_fini(&p);
}

START_TEST(every_op_is_complete)
{
    for (int64_t i = 0; i < N_OF(ops); i++) {
        T_EQ_STR(ops[i].op->name, ops[i].name);
        ck_assert_msg(ops[i].op->shape && ops[i].op->fwd && ops[i].op->bwd && ops[i].op->n_case > 0,
                      "op %s lacks shape, forward, backward or cases", ops[i].name);
    }
}
END_TEST

START_TEST(backward_is_the_derivative)
{
    const int64_t live = mem_live();
    for (int64_t i = 0; i < N_OF(ops); i++)
        for (int64_t c = 0; c < ops[i].op->n_case; c++) check_case(ops[i].op, &ops[i].op->cases[c]);
    T_EQ_I64(mem_live(), live);
}
END_TEST

int main(void)
{
    omp_set_num_threads(1); /* tiny loops: waiting for threads would be all the time it takes */
    const TTest *t[] = {every_op_is_complete, backward_is_the_derivative};
    return test_main("grad.ops", t, N_OF(t));
}
