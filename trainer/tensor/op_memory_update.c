/* op_memory_update.c — keys and values of a segment folded into compressed memories.
 *
 *   M' = M + sum_t w_t sigma(k_t)^T u_t,    z' = z + sum_t w_t sigma(k_t)
 *   u_t = v_t, or by the delta rule  v_t - sigma(k_t) M / (sigma(k_t) z + eps)
 *   w_t = 1, or 1 / (1 + exp(-c_t)) where each key has a gate c_t
 * Munkhdalai et al. 2024, arXiv:2404.07143, eq. (4) and (5); the gate is ours. States lie as in op_memory_read.c: [M z] as
 * D + 1 rows, S' = S + [u 1]^T (w f) with f = sigma(k). A memory that starts anew counts as zero before. Backward:
 *   du = w f dM',    g = [u 1] dS',    df = w g,    dw = g . f,    dc = dw w (1 - w),    dS += dS'
 *   delta, with r = num / den:  dnum = -du / den,  dden = (du . r) / den,
 *   df += [dnum dden] S,    dS += [dnum dden]^T f
 *   dv = du,    dk = df sigma'(k)
 * Threads share out (group, key head). */
#include "trainer/tensor/feature_map.h"
#include "trainer/tensor/op.h"
#include <math.h>

typedef struct Update {
    const OpCall *call;
    const MemoryArg *arg;
    int64_t D, C, L;   /* of a head, of a row of k; tokens of a group */
    int64_t group, at; /* of this item; its first column */
    int64_t row;       /* the first of its memory */
    int64_t head;      /* its key head */
    bool keeps;
} Update;

/* What a thread works in: f, fw = w f, r, du, df (L,D); u, d (L,D+1) */
typedef struct Room {
    real *f, *fw, *r, *du, *df, *u, *d;
} Room;

/* in: state (n_group*Hkv*(D+1),D), k, v (N,Hkv*D) [, c (N,Hkv)]; arg; out: the state after it */
static Status memory_update_shape(OpCall *k)
{
    Status rc = ST_OK;
    const MemoryArg *a = k->arg;
    const Tensor *s = k->in[0], *key = k->in[1], *v = k->in[2];
    const int64_t D = a->head_dim, C = a->n_kv_head * D;
    CHECK(s->n_dim == 2 && key->n_dim == 2 && v->n_dim == 2, SHAPE,
          "memory_update: the state has %d dims, k %d, v %d", s->n_dim, key->n_dim, v->n_dim);
    CHECK(a->n_group > 0 && key->dim[0] % a->n_group == 0 && key->dim[0] == v->dim[0] &&
              key->dim[1] == C && v->dim[1] == C,
          SHAPE,
          "memory_update: k is %lld x %lld, v %lld x %lld for %lld groups of %lld heads of %lld",
          LL(key->dim[0]), LL(key->dim[1]), LL(v->dim[0]), LL(v->dim[1]), LL(a->n_group),
          LL(a->n_kv_head), LL(D));
    CHECK(s->dim[0] == a->n_group * a->n_kv_head * (D + 1) && s->dim[1] == D, SHAPE,
          "memory_update: the state is %lld x %lld for %lld groups of %lld key heads of %lld",
          LL(s->dim[0]), LL(s->dim[1]), LL(a->n_group), LL(a->n_kv_head), LL(D));
    CHECK(k->n_in < 4 || k->in[3]->n == key->dim[0] * a->n_kv_head, SHAPE,
          "memory_update: %lld gates for %lld keys of %lld heads", LL(k->in[3]->n), LL(key->dim[0]),
          LL(a->n_kv_head));
    op_out_like(k, s);
    k->n_scratch_thread = key->dim[0] / a->n_group * (7 * D + 2);
out:
    return rc;
}

static Update update_of(const OpCall *k, int64_t item)
{
    const MemoryArg *a = k->arg;
    const int64_t group = item / a->n_kv_head;
    return (Update){.call = k,
                    .arg = a,
                    .D = a->head_dim,
                    .C = a->n_kv_head * a->head_dim,
                    .L = k->in[1]->dim[0] / a->n_group,
                    .group = group,
                    .at = item % a->n_kv_head * a->head_dim,
                    .row = item * (a->head_dim + 1),
                    .head = item % a->n_kv_head,
                    .keeps = a->keeps[group]};
}

static Room room_of(const Update *u)
{
    const int64_t n = u->L * u->D;
    real *p = op_thread_scratch(u->call);
    return (Room){p, p + n, p + 2 * n, p + 3 * n, p + 4 * n, p + 5 * n, p + 6 * n + u->L};
}

/* What key n counts. */
static real weight(const Update *u, int64_t n)
{
    const OpCall *k = u->call;
    return k->n_in < 4 ? 1 : 1 / (1 + (real)exp(-k->in[3]->val[n * u->arg->n_kv_head + u->head]));
}

static Mat mat(const real *p, int64_t ld, bool trans)
{
    return (Mat){p, ld, DT_REAL, trans};
}

/* f, w f, and [u 1]; by the delta rule also r, and den in the last column of d */
static void load(const Update *u, const Room *w)
{
    const OpCall *k = u->call;
    const int64_t D = u->D;
    for (int64_t i = 0; i < u->L; i++) {
        const int64_t n = u->group * u->L + i, from = n * u->C + u->at;
        if (u->arg->takes[n])
            feature_map(D, k->in[1]->val + from, w->f + i * D);
        else
            memset(w->f + i * D, 0, (size_t)D * sizeof *w->f);
        const real counts = weight(u, n);
        for (int64_t c = 0; c < D; c++) w->fw[i * D + c] = counts * w->f[i * D + c];
        memcpy(w->u + i * (D + 1), k->in[2]->val + from, (size_t)D * sizeof *w->u);
        w->u[i * (D + 1) + D] = 1;
    }
    if (!u->arg->delta || !u->keeps) return;
    gemm_here(u->L, D + 1, D, 1, mat(w->f, D, false), mat(k->in[0]->val + u->row * D, D, true), 0,
              w->d, D + 1);
    for (int64_t i = 0; i < u->L; i++) {
        real *d = w->d + i * (D + 1);
        d[D] += (real)u->arg->eps;
        for (int64_t e = 0; e < D; e++) {
            w->r[i * D + e] = d[e] / d[D];
            w->u[i * (D + 1) + e] -= w->r[i * D + e];
        }
    }
}

static void update(const Update *u)
{
    const OpCall *k = u->call;
    const Room w = room_of(u);
    const int64_t D = u->D, n = (D + 1) * D;
    real *after = k->out->val + u->row * D;
    load(u, &w);
    if (u->keeps) memcpy(after, k->in[0]->val + u->row * D, (size_t)n * sizeof *after);
    gemm_here(D + 1, D, u->L, 1, mat(w.u, D + 1, true), mat(w.fw, D, false), u->keeps, after, D);
}

static void memory_update_fwd(OpCall *k)
{
    const MemoryArg *a = k->arg;
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < a->n_group * a->n_kv_head; item++) {
        const Update u = update_of(k, item);
        update(&u);
    }
}

/* df is that of w f: gives dc, and becomes that of f */
static void weigh_grads(const Update *u, const Room *w)
{
    const int64_t D = u->D;
    if (u->call->n_in < 4) return;
    real *dc = u->call->in[3]->grad;
    for (int64_t i = 0; i < u->L; i++) {
        const int64_t n = u->group * u->L + i;
        const real counts = weight(u, n), dw = (real)kernels()->dot(D, w->df + i * D, w->f + i * D);
        if (dc)
            *grad_span(u->call->in[3], n * u->arg->n_kv_head + u->head, 1) +=
                dw * counts * (1 - counts);
        for (int64_t c = 0; c < D; c++) w->df[i * D + c] *= counts;
    }
}

/* d = [dnum dden] */
static void delta_grads(const Update *u, const Room *w)
{
    const int64_t D = u->D;
    for (int64_t i = 0; i < u->L; i++) {
        real *d = w->d + i * (D + 1);
        const real *du = w->du + i * D, one = 1 / d[D];
        for (int64_t e = 0; e < D; e++) d[e] = -du[e] * one;
        d[D] = (real)kernels()->dot(D, du, w->r + i * D) * one;
    }
}

static void add_token_grads(const Update *u, const Room *w)
{
    const Tensor *key = u->call->in[1], *v = u->call->in[2];
    for (int64_t i = 0; i < u->L; i++) {
        const int64_t n = u->group * u->L + i, at = n * u->C + u->at, D = u->D;
        real *dk = key->grad ? grad_span(key, at, D) : NULL,
             *dv = v->grad ? grad_span(v, at, D) : NULL;
        if (!u->arg->takes[n]) continue;
        for (int64_t c = 0; dk && c < D; c++)
            dk[c] += w->df[i * D + c] * feature_slope(key->val[at + c], w->f[i * D + c]);
        for (int64_t c = 0; dv && c < D; c++) dv[c] += w->du[i * D + c];
    }
}

static void update_bwd(const Update *u)
{
    const OpCall *k = u->call;
    const Tensor *s = k->in[0];
    const Room w = room_of(u);
    const int64_t D = u->D, L = u->L;
    const real *dafter = k->out->grad + u->row * D;
    real *dstate = s->grad ? grad_rows(s, u->row, D + 1) : NULL;
    load(u, &w);
    gemm_here(L, D, D, 1, mat(w.fw, D, false), mat(dafter, D, true), 0, w.du, D);
    gemm_here(L, D, D + 1, 1, mat(w.u, D + 1, false), mat(dafter, D, false), 0, w.df, D);
    weigh_grads(u, &w);
    for (int64_t i = 0; u->keeps && dstate && i < (D + 1) * D; i++) dstate[i] += dafter[i];
    if (u->arg->delta && u->keeps) {
        delta_grads(u, &w);
        gemm_here(L, D, D + 1, 1, mat(w.d, D + 1, false), mat(s->val + u->row * D, D, false), 1,
                  w.df, D);
        if (dstate)
            gemm_here(D + 1, D, L, 1, mat(w.d, D + 1, true), mat(w.f, D, false), 1, dstate, D);
    }
    add_token_grads(u, &w);
}

static void memory_update_bwd(OpCall *k)
{
    const MemoryArg *a = k->arg;
#pragma omp parallel for schedule(dynamic)
    for (int64_t item = 0; item < a->n_group * a->n_kv_head; item++) {
        const Update u = update_of(k, item);
        update_bwd(&u);
    }
}

// clang-format off
static const uint8_t memory_update_takes[] = { 1, 1, 1, 0, 1, 1 }, memory_update_keeps[] = { 1, 0 };
#define CASE(name_, n_in_, delta_) \
    { name_, n_in_, { { 2, { 16, 3 } }, { 2, { 6, 6 } }, { 2, { 6, 6 } }, { 2, { 6, 2 } } }, &(const MemoryArg){ 2, 2, 2, 3, 1e-6, delta_, memory_update_takes, memory_update_keeps }, 0.1, 1.2 }
static const OpCase memory_update_cases[] = {
    CASE("linear", 3, false), CASE("delta", 3, true), CASE("linear_gated", 4, false), CASE("delta_gated", 4, true) };
// clang-format on
const OpDef op_memory_update = {.name = "memory_update",
                                .shape = memory_update_shape,
                                .fwd = memory_update_fwd,
                                .bwd = memory_update_bwd,
                                .cases = memory_update_cases,
                                .n_case = N_OF(memory_update_cases)};
