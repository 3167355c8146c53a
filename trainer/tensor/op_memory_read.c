/* op_memory_read.c — what compressed memories answer to queries.
 *
 *   y[n] = sigma(q[n]) M / (sigma(q[n]) z + eps),    sigma: feature_map.h
 * Munkhdalai et al. 2024, arXiv:2404.07143, eq. (3). There is a memory for each group of tokens and key head; query head h
 * reads that of key head h / (H/Hkv). It lies in D + 1 rows: row e is column e of M (D,D), the last one is z (D). Tokens
 * that do not read get zeros. Backward, with f = sigma(q) and den = f z + eps:
 *   dnum = dy / den,    dden = -(dy . y) / den
 *   df = sum_e dnum[e] M_e + dden z,    dq = df sigma'(q)
 *   dM_e += dnum[e] f,    dz += dden f
 * Threads share out (group, head) in the forward and (group, key head) in the backward. */
#include "trainer/tensor/feature_map.h"
#include "trainer/tensor/op.h"

typedef struct Read {
    const OpCall *call;
    const MemoryArg *arg;
    int64_t D, C, L; /* of a head, of a row of q; tokens of a group */
} Read;

static Read read_of(const OpCall *k)
{
    const MemoryArg *a = k->arg;
    return (Read){k, a, a->head_dim, a->n_head * a->head_dim, k->in[0]->dim[0] / a->n_group};
}

/* in: q (N,H*D), state (n_group*Hkv*(D+1),D); arg; out: y (N,H*D); saved: den (H,N) */
static Status memory_read_shape(OpCall *k)
{
    Status rc = ST_OK;
    const MemoryArg *a = k->arg;
    const Tensor *q = k->in[0], *s = k->in[1];
    const int64_t D = a->head_dim;
    CHECK(q->n_dim == 2 && s->n_dim == 2, SHAPE, "memory_read: q has %d dims, the state %d",
          q->n_dim, s->n_dim);
    CHECK(a->n_group > 0 && q->dim[0] % a->n_group == 0 && q->dim[1] == a->n_head * D, SHAPE,
          "memory_read: q is %lld x %lld for %lld groups of %lld heads of %lld", LL(q->dim[0]),
          LL(q->dim[1]), LL(a->n_group), LL(a->n_head), LL(D));
    CHECK(s->dim[0] == a->n_group * a->n_kv_head * (D + 1) && s->dim[1] == D, SHAPE,
          "memory_read: the state is %lld x %lld for %lld groups of %lld key heads of %lld",
          LL(s->dim[0]), LL(s->dim[1]), LL(a->n_group), LL(a->n_kv_head), LL(D));
    op_out_like(k, q);
    k->n_saved = a->n_head * q->dim[0];
    k->n_scratch_thread = q->dim[0] / a->n_group * (3 * D + 1);
out:
    return rc;
}

/* f (L,D): sigma of the queries of a group and head, zero where they do not read */
static void load_features(const Read *r, int64_t group, int64_t head, real *f)
{
    for (int64_t i = 0; i < r->L; i++, f += r->D) {
        const int64_t n = group * r->L + i;
        if (r->arg->takes[n])
            feature_map(r->D, r->call->in[0]->val + n * r->C + head * r->D, f);
        else
            memset(f, 0, (size_t)r->D * sizeof *f);
    }
}

static int64_t memory_row(const Read *r, int64_t group, int64_t kv_head)
{
    return (group * r->arg->n_kv_head + kv_head) * (r->D + 1);
}

static void read_head(const Read *r, int64_t group, int64_t head)
{
    const OpCall *k = r->call;
    const int64_t D = r->D, share = r->arg->n_head / r->arg->n_kv_head;
    real *f = op_thread_scratch(k), *num_den = f + r->L * D; /* (L,D), (L,D+1) */
    const Mat state = {k->in[1]->val + memory_row(r, group, head / share) * D, D, DT_REAL, true};
    load_features(r, group, head, f);
    gemm_here(r->L, D + 1, D, 1, (Mat){f, D, DT_REAL, false}, state, 0, num_den, D + 1);
    for (int64_t i = 0; i < r->L; i++, num_den += D + 1) {
        const int64_t n = group * r->L + i;
        const real den = num_den[D] + (real)r->arg->eps;
        real *y = k->out->val + n * r->C + head * D;
        k->saved[head * k->in[0]->dim[0] + n] = den;
        for (int64_t e = 0; e < D; e++) y[e] = num_den[e] / den;
    }
}

static void memory_read_fwd(OpCall *k)
{
    const Read r = read_of(k);
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < r.arg->n_group * r.arg->n_head; item++)
        read_head(&r, item / r.arg->n_head, item % r.arg->n_head);
}

/* d (L,D+1): the gradients of num and den */
static void grads_of_parts(const Read *r, int64_t group, int64_t head, real *d)
{
    const OpCall *k = r->call;
    const int64_t D = r->D;
    for (int64_t i = 0; i < r->L; i++, d += D + 1) {
        const int64_t n = group * r->L + i, at = n * r->C + head * D;
        const real *y = k->out->val + at, *dy = k->out->grad + at;
        const real one = r->arg->takes[n] ? 1 / k->saved[head * k->in[0]->dim[0] + n] : 0;
        for (int64_t e = 0; e < D; e++) d[e] = dy[e] * one;
        d[D] = -(real)kernels()->dot(D, dy, y) * one;
    }
}

static void add_query_grads(const Read *r, int64_t group, int64_t head, const real *f,
                            const real *df)
{
    const Tensor *q = r->call->in[0];
    for (int64_t i = 0; i < r->L; i++, f += r->D, df += r->D) {
        const int64_t n = group * r->L + i, at = n * r->C + head * r->D;
        real *dq = grad_span(q, at, r->D);
        if (!r->arg->takes[n]) continue;
        for (int64_t c = 0; c < r->D; c++) dq[c] += df[c] * feature_slope(q->val[at + c], f[c]);
    }
}

static void read_head_bwd(const Read *r, int64_t group, int64_t head, const real *state,
                          real *dstate)
{
    const OpCall *k = r->call;
    const int64_t D = r->D;
    real *f = op_thread_scratch(k), *d = f + r->L * D, *df = d + r->L * (D + 1);
    load_features(r, group, head, f);
    grads_of_parts(r, group, head, d);
    if (k->in[0]->grad) {
        gemm_here(r->L, D, D + 1, 1, (Mat){d, D + 1, DT_REAL, false},
                  (Mat){state, D, DT_REAL, false}, 0, df, D);
        add_query_grads(r, group, head, f, df);
    }
    if (dstate)
        gemm_here(D + 1, D, r->L, 1, (Mat){d, D + 1, DT_REAL, true}, (Mat){f, D, DT_REAL, false}, 1,
                  dstate, D);
}

static void memory_read_bwd(OpCall *k)
{
    const Read r = read_of(k);
    const Tensor *s = k->in[1];
    const int64_t n_kv = r.arg->n_kv_head, share = r.arg->n_head / n_kv;
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < r.arg->n_group * n_kv; item++) {
        const int64_t group = item / n_kv, kv_head = item % n_kv,
                      row = memory_row(&r, group, kv_head);
        real *dstate = s->grad ? grad_rows(s, row, r.D + 1) : NULL;
        for (int64_t head = kv_head * share; head < (kv_head + 1) * share; head++)
            read_head_bwd(&r, group, head, s->val + row * r.D, dstate);
    }
}

// clang-format off
static const uint8_t memory_read_all[] = { 1, 1, 1, 1, 1, 1 }, memory_read_some[] = { 0, 1, 1, 1, 0, 1 };
static const OpCase memory_read_cases[] = {
    { "one_head", 2, { { 2, { 3, 4 } }, { 2, { 5, 4 } } }, &(const MemoryArg){ 1, 1, 1, 4, 1e-6, false, memory_read_all, NULL }, 0.2, 1.5 },
    { "grouped",  2, { { 2, { 6, 12 } }, { 2, { 16, 3 } } }, &(const MemoryArg){ 2, 4, 2, 3, 1e-6, false, memory_read_some, NULL }, 0.1, 1.2 },
};
// clang-format on
const OpDef op_memory_read = {.name = "memory_read",
                              .shape = memory_read_shape,
                              .fwd = memory_read_fwd,
                              .bwd = memory_read_bwd,
                              .cases = memory_read_cases,
                              .n_case = N_OF(memory_read_cases),
                              .bwd_reads_out = true};
