/* tape.c — a list of records in an arena; gradients, and values that may be forgotten, in a second one,
 * recycled by size.
 *
 * Backward walks the records from the last to the first. A gradient is taken from the pool, blank,
 * when the first consumer of its tensor comes up, and given back as soon as the producer's backward
 * is done. */
#include "trainer/tensor/tape.h"
#include "trainer/base/mem.h"
#include "trainer/base/profile.h"
#include "trainer/tensor/arena.h"
#include <omp.h>

typedef struct Block {
    TapeBlockFn fn;
    const void *ctx;
} Block;

typedef struct Record {
    struct Record *before;
    const OpDef *op; /* NULL: a block to be computed again */
    OpCall call;     /* of a block: in[0] and out only */
    bool over;       /* out lies where in[0] lay */
    int64_t
        grads_end; /* of the gradients of all parameters that were leaves by then, in the flat vector */
    Block block;
} Record;

typedef struct FreeBuffer {
    struct FreeBuffer *next;
    int64_t n;
} FreeBuffer;

struct Tape {
    Arena values, pool;
    FreeBuffer *free; /* of the pool; lies in the freed memory itself */
    Record *last;
    int64_t n_op;
    int64_t grads_end;
    bool recording, checkpointing, no_grad;
    TapeWatch watch;
};

Status tape_create(Tape **t)
{
    Status rc = ST_OK;
    *t = mem_alloc(sizeof **t);
    CHECK(*t, NOMEM, "tape: %zu bytes", sizeof **t);
    (*t)->recording = true;
out:
    return rc;
}

void tape_destroy(Tape *t)
{
    if (!t) return;
    arena_fini(&t->values);
    arena_fini(&t->pool);
    mem_free(t);
}

void tape_reset(Tape *t)
{
    arena_reset(&t->values);
    arena_reset(&t->pool);
    t->free = NULL;
    t->last = NULL;
    t->n_op = 0;
    t->grads_end = 0;
    t->recording = true;
    t->no_grad = false;
}

size_t tape_bytes(const Tape *t)
{
    return arena_bytes(&t->values) + arena_bytes(&t->pool);
}

int64_t tape_n_op(const Tape *t)
{
    return t->n_op;
}

void tape_checkpointing(Tape *t, bool on)
{
    t->checkpointing = on;
}

void tape_no_grad(Tape *t, bool on)
{
    t->no_grad = on;
}

TapeWatch tape_watch(Tape *t, TapeWatch watch)
{
    const TapeWatch before = t->watch;
    t->watch = watch;
    return before;
}

void *tape_alloc(Tape *t, int64_t n, size_t elem_bytes)
{
    return arena_alloc(&t->values, n, elem_bytes);
}

#define TAKE(p, t, n, size, what)                                                                  \
    CHECK(((p) = arena_alloc(&(t)->values, (n), (size))), NOMEM,                                   \
          "%s: %lld x %zu bytes beside the %zu in use", what, LL(n), (size_t)(size),               \
          tape_bytes(t))

/* --- the pool --- */

static Status pool_take(Tape *t, int64_t n, real **x)
{
    Status rc = ST_OK;
    const int64_t least = sizeof(FreeBuffer) / sizeof(real);
    for (FreeBuffer **f = &t->free; *f; f = &(*f)->next) {
        if ((*f)->n != n) continue;
        *x = (real *)*f;
        *f = (*f)->next;
        goto out;
    }
    *x = arena_alloc(&t->pool, n > least ? n : least, sizeof(real));
    CHECK(*x, NOMEM, "a buffer of %lld reals beside the %zu bytes in use", LL(n), tape_bytes(t));
out:
    return rc;
}

static void pool_give(Tape *t, int64_t n, real *x)
{
    FreeBuffer *f = (FreeBuffer *)x;
    *f = (FreeBuffer){t->free, n};
    t->free = f;
}

/* --- leaves --- */

static Status tape_leaf(Tape *t, const char *what, const Tensor *like, Tensor **leaf)
{
    Status rc = ST_OK;
    TAKE(*leaf, t, 1, sizeof **leaf, what);
    **leaf = *like;
    (*leaf)->n = 1;
    for (int i = 0; i < like->n_dim; i++) (*leaf)->n *= like->dim[i];
    if (like->dtype == DT_REAL) (*leaf)->val = (real *)(uintptr_t)like->raw;
out:
    return rc;
}

Status tape_param(Tape *t, const Param *p, Tensor **w)
{
    Tensor like = {
        .n_dim = p->n_dim, .dtype = p->dtype, .raw = p->raw, .grad = t->no_grad ? NULL : p->grad};
    like.needs_grad = like.grad;
    memcpy(like.dim, p->dim, sizeof like.dim);
    if (like.grad && p->offset + p->n > t->grads_end) t->grads_end = p->offset + p->n;
    return tape_leaf(t, p->name, &like, w);
}

Status tape_const(Tape *t, Dtype dtype, const void *raw, int n_dim, const int64_t *dim, Tensor **w)
{
    Tensor like = {.n_dim = n_dim, .dtype = dtype, .raw = raw};
    memcpy(like.dim, dim, (size_t)n_dim * sizeof *dim);
    return tape_leaf(t, "constant", &like, w);
}

Status tape_input(Tape *t, const real *val, real *grad, int n_dim, const int64_t *dim, Tensor **x)
{
    Tensor like = {.n_dim = n_dim, .dtype = DT_REAL, .raw = val, .grad = t->no_grad ? NULL : grad};
    like.needs_grad = like.grad;
    memcpy(like.dim, dim, (size_t)n_dim * sizeof *dim);
    return tape_leaf(t, "input", &like, x);
}

/* --- forward --- */

static Status tape_take_scratch(Tape *t, OpCall *k, const char *name)
{
    Status rc = ST_OK;
    const int64_t n = k->n_scratch + omp_get_max_threads() * k->n_scratch_thread;
    TAKE(k->scratch, t, n, sizeof(real), name);
out:
    return rc;
}

static int64_t tape_round(int64_t n)
{
    return (n + 15) / 16 * 16; /* so that what stands behind it begins on a cache line */
}

static Status tape_record(Tape *t, const Record *like, Record **made)
{
    Status rc = ST_OK;
    TAKE(*made, t, 1, sizeof **made, "tape");
    **made = *like;
    (*made)->grads_end = t->grads_end;
    (*made)->before = t->last;
    t->last = *made;
    t->n_op++;
out:
    return rc;
}

typedef enum Place { APART, OVER_FIRST, BRIEF, PASSING } Place;

static Status tape_run(Tape *t, const OpDef *op, int n_in, Tensor *const *in, const void *arg,
                       size_t arg_bytes, Place place, Tensor **y)
{
    Status rc = ST_OK;
    Tensor *out = NULL;
    void *own_arg = NULL;
    bool needs_grad = false;
    ASSERT(n_in <= OP_MAX_IN);
    TAKE(out, t, 1, sizeof *out, op->name);
    *out = (Tensor){0};
    Record rec = {
        .op = op, .call = {.n_in = n_in, .arg = arg, .out = out}, .over = place == OVER_FIRST};
    OpCall *k = &rec.call;
    for (int i = 0; i < n_in; i++) {
        k->in[i] = in[i];
        needs_grad |= in[i]->needs_grad;
    }
    const bool keep = needs_grad && t->recording;
    /* What is not recorded goes with its block, or stays. */
    const bool made_again = place == BRIEF && keep,
               recycled = made_again || (place == PASSING && keep);
    TRY(op->shape(k));
    k->n_scratch = tape_round(k->n_scratch);
    k->n_scratch_thread = tape_round(k->n_scratch_thread);
    out->needs_grad = needs_grad;
    out->may_be_overwritten = !op->bwd_reads_out && !made_again;
    out->recycled = recycled;
    if (place == OVER_FIRST) {
        out->val = in[0]->val;
        out->recycled = in[0]->recycled;
        in[0]->recycled = false;
    } else if (recycled)
        TRY(pool_take(t, out->n, &out->val));
    else {
        TAKE(out->val, t, out->n, sizeof(real), op->name);
    }
    out->raw = out->val;

    ArenaMark mark = arena_mark(&t->values);
    if (keep && arg) {
        TAKE(own_arg, t, 1, arg_bytes, op->name);
        memcpy(own_arg, arg, arg_bytes);
        k->arg = own_arg;
    }
    TAKE(k->saved, t, k->n_saved, sizeof(real), op->name);
    if (keep) {
        Record *made;
        TRY(tape_record(t, &rec, &made));
        if (made_again) out->maker = made;
        k = &made->call;
        mark = arena_mark(&t->values);
    }
    if (!keep || !op->bwd_gives_out) {
        TRY(tape_take_scratch(t, k, op->name));
        const int before = profile_enter(PROFILE_FORWARD, op->name);
        op->fwd(k);
        profile_leave(before);
    }
    arena_release(&t->values, mark);
    *y = out;
out:
    return rc;
}

Status tape_call(Tape *t, const OpDef *op, int n_in, Tensor *const *in, const void *arg,
                 size_t arg_bytes, Tensor **y)
{
    return tape_run(t, op, n_in, in, arg, arg_bytes, APART, y);
}

Status tape_call_over(Tape *t, const OpDef *op, int n_in, Tensor *const *in, const void *arg,
                      size_t arg_bytes, Tensor **y)
{
    bool over = in[0]->may_be_overwritten;
    for (int i = 1; i < n_in; i++) over &= in[i] != in[0];
    return tape_run(t, op, n_in, in, arg, arg_bytes, over ? OVER_FIRST : APART, y);
}

Status tape_call_brief(Tape *t, const OpDef *op, int n_in, Tensor *const *in, const void *arg,
                       size_t arg_bytes, Tensor **y)
{
    ASSERT(!op->bwd_reads_out && !op->bwd_gives_out);
    return tape_run(t, op, n_in, in, arg, arg_bytes, BRIEF, y);
}

Status tape_call_passing(Tape *t, const OpDef *op, int n_in, Tensor *const *in, const void *arg,
                         size_t arg_bytes, Tensor **y)
{
    ASSERT(!op->bwd_reads_out && !op->bwd_gives_out);
    return tape_run(t, op, n_in, in, arg, arg_bytes, PASSING, y);
}

void tape_forget(Tape *t, Tensor *x)
{
    if (!x->recycled || !x->val) return;
    pool_give(t, x->n, x->val);
    x->raw = x->val = NULL;
}

/* Drops everything since the mark but y, which moves down to it. It moves towards lower addresses
 * of the same memory, or into other memory, so nothing is overwritten before it is read. */
static Status tape_keep_only(Tape *t, ArenaMark mark, Tensor **y)
{
    Status rc = ST_OK;
    Tensor kept = **y;
    const real *from = kept.val;
    arena_release(&t->values, mark);
    TAKE(kept.val, t, kept.n, sizeof(real), "block");
    memmove(kept.val, from, (size_t)kept.n * sizeof(real));
    kept.raw = kept.val;
    TAKE(*y, t, 1, sizeof kept, "block");
    **y = kept;
out:
    return rc;
}

Status tape_block(Tape *t, TapeBlockFn fn, const void *ctx, size_t ctx_bytes, Tensor *x, Tensor **y)
{
    Status rc = ST_OK;
    Record *const last = t->last, *made;
    void *own_ctx = NULL;
    const bool recording = t->recording;
    const ArenaMark mark = arena_mark(&t->values);
    t->recording = recording && !t->checkpointing;
    TRY(fn(t, ctx, x, y));
    t->recording = recording;
    if (t->last != last || *y == x) goto out; /* recorded op by op, or nothing done */
    TRY(tape_keep_only(t, mark, y));
    if (!(*y)->needs_grad || !recording) goto out;
    TAKE(own_ctx, t, 1, ctx_bytes, "block");
    memcpy(own_ctx, ctx, ctx_bytes);
    Record rec = {.call = {.in = {x}, .n_in = 1, .out = *y}, .block = {fn, own_ctx}};
    TRY(tape_record(t, &rec, &made));
out:
    t->recording = recording;
    return rc;
}

/* --- backward --- */

static Status tape_want_grad(Tape *t, Tensor *x)
{
    Status rc = ST_OK;
    if (x->grad || !x->needs_grad) goto out;
    TRY(pool_take(t, x->n, &x->grad));
    x->grad_blank = true;
out:
    return rc;
}

Status tape_seed(Tape *t, Tensor *y, const real *grad)
{
    Status rc = ST_OK;
    if (!y->needs_grad || !t->recording) goto out;
    TRY(tape_want_grad(t, y));
    memcpy(y->grad, grad, (size_t)y->n * sizeof *grad);
    y->grad_blank = false;
out:
    return rc;
}

static void tape_free_grad(Tape *t, Tensor *x)
{
    pool_give(t, x->n, x->grad);
    x->grad = NULL;
}

/* What was forgotten is made again. */
static Status tape_want_value(Tape *t, Tensor *x)
{
    Status rc = ST_OK;
    const Record *r = x->maker;
    const ArenaMark mark = arena_mark(&t->values);
    if (!r || x->val) goto out;
    OpCall k = r->call;
    for (int i = 0; i < k.n_in; i++) TRY(tape_want_value(t, k.in[i]));
    TRY(pool_take(t, x->n, &x->val));
    x->raw = x->val;
    TRY(tape_take_scratch(t, &k, r->op->name));
    const int before = profile_enter(PROFILE_FORWARD, r->op->name);
    r->op->fwd(&k);
    profile_leave(before);
    arena_release(&t->values, mark);
out:
    return rc;
}

static bool tape_is_twice(const OpCall *k, int i)
{
    for (int j = 0; j < i; j++)
        if (k->in[j] == k->in[i]) return true;
    return false;
}

/* The gradient of out becomes that of in[0], as it is. */
static bool tape_hands_over(const Record *r)
{
    return r->over && r->call.in[0]->needs_grad && !r->call.in[0]->grad;
}

static Status tape_op_backward(Tape *t, Record *r)
{
    Status rc = ST_OK;
    OpCall *k = &r->call;
    const ArenaMark mark = arena_mark(&t->values);
    const bool hands_over = tape_hands_over(r);
    if (hands_over) k->in[0]->grad = k->out->grad;
    for (int i = 0; i < k->n_in; i++) {
        if (!r->op->bwd_reads || r->op->bwd_reads(k, i)) TRY(tape_want_value(t, k->in[i]));
        TRY(tape_want_grad(t, k->in[i]));
        if (tape_is_twice(k, i) && k->in[i]->grad_blank) {
            memset(k->in[i]->grad, 0, (size_t)k->in[i]->n * sizeof(real));
            k->in[i]->grad_blank = false;
        }
    }
    TRY(tape_take_scratch(t, k, r->op->name));
    const int before = profile_enter(PROFILE_BACKWARD, r->op->name);
    r->op->bwd(k);
    profile_leave(before);
    for (int i = 0; i < k->n_in; i++) k->in[i]->grad_blank = false;
    if (hands_over)
        k->out->grad = NULL;
    else
        tape_free_grad(t, k->out);
    tape_forget(t, k->out);
    arena_release(&t->values, mark);
out:
    return rc;
}

static Status tape_run_backward(Tape *t, int64_t outside);

/* The records of the block stand on a list of their own while it is computed again and run
 * backward. */
static Status tape_block_backward(Tape *t, Record *r)
{
    Status rc = ST_OK;
    Record *const last = t->last;
    Tensor *y = NULL;
    const ArenaMark mark = arena_mark(&t->values);
    t->last = NULL;
    TRY(r->block.fn(t, r->block.ctx, r->call.in[0], &y));
    y->grad = r->call.out->grad;
    r->call.out->grad = NULL;
    TRY(tape_run_backward(t, r->grads_end));
    t->last = last;
    arena_release(&t->values, mark);
out:
    return rc;
}

/* outside: the end of the gradients that what is not on the list may add to. Nothing new is complete inside a block, whose
 * records were made when all leaves were there. */
static Status tape_run_backward(Tape *t, int64_t outside)
{
    Status rc = ST_OK;
    while (t->last) {
        Record *r = t->last;
        t->last = r->before;
        t->n_op--;
        if (!r->call.out->grad) continue; /* the loss does not depend on it */
        if (r->op)
            TRY(tape_op_backward(t, r));
        else
            TRY(tape_block_backward(t, r));
        const int64_t left = r->before ? r->before->grads_end : 0;
        if (t->watch.fn) t->watch.fn(t->watch.ctx, left > outside ? left : outside);
    }
out:
    return rc;
}

Status tape_backward(Tape *t, Tensor *y)
{
    Status rc = ST_OK;
    if (y->needs_grad) {
        TRY(tape_want_grad(t, y));
        for (int64_t i = 0; i < y->n; i++) y->grad[i] = 1;
        y->grad_blank = false;
    }
    TRY(tape_run_backward(t, 0));
out:
    return rc;
}
