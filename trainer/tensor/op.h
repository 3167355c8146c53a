/* op.h — what a tensor is, and what an op is: a shape rule, a forward, its derivative, and cases to
 * test it with. */
#ifndef TRAINER_TENSOR_OP_H
#define TRAINER_TENSOR_OP_H
#include "trainer/tensor/activation.h"
#include "trainer/tensor/gemm.h"
#include "trainer/tensor/params.h"
#include <string.h>

enum { OP_MAX_IN = 4 };

typedef struct Tensor {
    int n_dim;
    int64_t dim[MAX_DIM];    /* row-major */
    int64_t n;               /* product of dim */
    Dtype dtype;             /* DT_REAL; a frozen matrix keeps the dtype of its file */
    const void *raw;         /* the numbers, in dtype: for gemm and embedding look-up */
    real *val;               /* the same numbers where dtype is DT_REAL, else NULL */
    real *grad;              /* same shape as val; NULL: no gradient wanted, skip the work */
    bool needs_grad;         /* lies above a trainable parameter */
    bool may_be_overwritten; /* no backward of its own wants val again: tape_call_over */
    bool recycled;           /* tape_forget gives val to others */
    const void *maker;       /* the record that makes val again after that; NULL: nobody wants it */
    bool grad_blank; /* grad holds anything, NaN too: the first to add to it has to write (below) */
} Tensor;

/* A tensor as an operand of gemm, viewed as (n / last dim, last dim). */
static inline Mat tensor_mat(const Tensor *t, bool trans)
{
    return (Mat){t->raw, t->dim[t->n_dim - 1], t->dtype, trans};
}
static inline Mat grad_mat(const Tensor *t, bool trans)
{
    return (Mat){t->grad, t->dim[t->n_dim - 1], DT_REAL, trans};
}

/* A backward adds to in[i]->grad. What is blank is not cleared in a pass of its own: a gemm takes
 * grad_beta, a loop asks for its rows by grad_rows, or its elements by grad_span, just before it adds to them, when they are about
 * to be in cache. Every element of a blank gradient must be covered by one of the two, once per
 * backward. */
static inline real grad_beta(const Tensor *t)
{
    return t->grad_blank ? 0 : 1;
}
static inline real *grad_span(const Tensor *t, int64_t first, int64_t n)
{
    real *g = t->grad + first;
    if (t->grad_blank) memset(g, 0, (size_t)n * sizeof *g);
    return g;
}
static inline real *grad_rows(const Tensor *t, int64_t first, int64_t n_row)
{
    const int64_t width = t->dim[t->n_dim - 1];
    return grad_span(t, first * width, n_row * width);
}

/* One application of an op. The tape fills it, runs shape, gives out and the buffers, runs fwd,
 * later bwd. */
typedef struct OpCall {
    Tensor *in[OP_MAX_IN];
    int n_in;
    const void
        *arg; /* the op's own struct (below), copied by the tape; NULL when the op has none */
    Tensor *out;
    real *saved; /* n_saved reals that live from fwd to bwd; in evaluation they live during fwd only
                  */
    real *scratch; /* n_scratch reals for all threads, then n_scratch_thread for each; contents
                      undefined */
    int64_t n_saved, n_scratch, n_scratch_thread; /* set by shape, 0 at first */
} OpCall;

typedef struct OpCase {
    const char *name;
    int n_in;
    struct {
        int n_dim;
        int64_t dim[MAX_DIM];
    } in[OP_MAX_IN];
    const void *arg; /* points to a constant struct; what it points to must be constant too */
    double lo, hi;   /* inputs are drawn from [lo, hi] */
} OpCase;

/* shape  checks inputs and arg, calls op_out, sets n_saved, n_scratch*. The only place where an op
 * can fail. fwd    in, arg -> out->val, saved. bwd    adds the derivative of sum(out->val *
 * out->grad) to every in[i]->grad that is not NULL. bwd_gives_out: bwd writes out->val as well, and
 * the tape leaves fwd out where a bwd will follow (for a loss whose backward computes the forward
 * anyway). Then out->val is valid after tape_backward only. bwd_reads_out: bwd reads out->val. All three: OpenMP inside; bits do not
 * depend on the thread count. */
typedef struct OpDef {
    const char *name;
    Status (*shape)(OpCall *k);
    void (*fwd)(OpCall *k);
    void (*bwd)(OpCall *k);
    const OpCase *cases;
    int64_t n_case;
    bool bwd_gives_out, bwd_reads_out;
    bool (*bwd_reads)(const OpCall *k, int i); /* does bwd read in[i]->val? NULL: of every input */
} OpDef;

void op_out(OpCall *k, int n_dim, const int64_t *dim); /* the shape of k->out; used in shape */
void op_out_like(OpCall *k, const Tensor *x);
bool op_reads_nothing(const OpCall *k, int i); /* a bwd_reads: gradients pass as they come */
real *op_thread_scratch(const OpCall *k);      /* the calling thread's n_scratch_thread reals */

/* Sums over rows go by fixed chunks of ROW_CHUNK rows: chunk i adds up in part[i] (n reals each),
 * then op_add_parts adds part[0], part[1], ... to dst in this order. */
enum { ROW_CHUNK = 64 };
static inline int64_t row_chunks(int64_t n_row)
{
    return (n_row + ROW_CHUNK - 1) / ROW_CHUNK;
}
void op_add_parts(real *dst, const real *part, int64_t n_part, int64_t n);

/* --- arguments --- */

/* The keys that each query sees: n_range ranges [first, end) of key rows for each query, disjoint
 * and ascending; empty where end <= first. Causal: end = t + 1. Packed documents: first = start of
 * the document. Sink + window + segment, shared prefixes: more ranges. A query must see at least
 * one key. n_group: queries and keys fall into that many equal groups (rows of a batch), and no
 * query sees a key of another group; 1 is always right, more lets the op share out work. */
typedef struct KeyRange {
    int32_t first, end;
} KeyRange;
typedef struct KeyRanges {
    int64_t n_query, n_key, n_group;
    int n_range;
    const KeyRange *range; /* (n_query, n_range) */
} KeyRanges;

/* cos and sin of position x frequency, each (n_pos, half): the first 2 half columns of a head turn. */
typedef struct RopeTable {
    int64_t n_pos, half;
    const real *cos, *sin;
} RopeTable;

typedef struct EmbeddingArg {
    int64_t n;
    const int32_t *ids; /* (n) rows of the table */
    int64_t pad_id; /* its row gets no gradient from here, as PyTorch's padding_idx; -1: all do */
} EmbeddingArg;
typedef struct LinearArg {
    bool in_out; /* w is stored (I,O), as Conv1D of GPT-2 does, not (O,I) */
} LinearArg;
typedef struct RmsnormArg {
    double eps, w_offset; /* the scale is w_offset + w: 0, or 1 as in Gemma */
} RmsnormArg;
typedef struct LayernormArg {
    double eps;
} LayernormArg;
typedef struct ActivationArg {
    Activation f;
    bool keeps; /* gated: `saved` has what the backward wants of x and up, as pairs under bf16 */
} ActivationArg;
typedef struct AddArg {
    double c; /* y = a + c b */
} AddArg;
typedef struct LowRankArg {
    double c; /* y = y0 + c (x a^T) b^T */
} LowRankArg;
typedef struct ScaleArg {
    double c;
} ScaleArg;
/* The mask is a pure function of (seed, stream, element). A stream is one tensor of one pass: hash
 * site, step and micro-batch into it, never the rank. */
typedef struct DropoutArg {
    double p; /* of an element to be dropped; 0 <= p < 1 */
    uint64_t seed, stream;
} DropoutArg;
typedef struct ColumnsArg {
    int64_t first, n;
} ColumnsArg;
typedef struct RopeArg {
    RopeTable table;
    int64_t n_head;
    const int32_t *pos; /* (N) */
} RopeArg;
typedef struct AttentionArg {
    KeyRanges keys;
    int64_t n_head, n_kv_head, head_dim;
    double scale; /* of the scores; 0: 1/sqrt(head_dim) */
    double
        softcap; /* scores become softcap tanh(score / softcap), before masking; 0: they do not */
} AttentionArg;
/* Compressed memories: one for each group of equally many tokens and key head (op_memory_read.c). */
typedef struct MemoryArg {
    int64_t n_group, n_head, n_kv_head, head_dim;
    double eps;           /* beside the normaliser */
    bool delta;           /* update: by the delta rule */
    const uint8_t *takes; /* (N) read: does the query read; update: is the key taken up */
    const uint8_t *keeps; /* (n_group) update: 0: the memory starts anew */
} MemoryArg;
typedef struct JoinRowsArg {
    int64_t n_group; /* a and b fall into that many equal groups of rows */
} JoinRowsArg;
typedef struct HeadLinearArg {
    int64_t n_head, n_out; /* n_out: of a head */
} HeadLinearArg;
typedef struct GateMixArg {
    const uint8_t *takes; /* (N) 0: the row is x0 */
} GateMixArg;
typedef struct CeHeadArg {
    const int32_t *labels; /* (N) ids, -1: nothing to be learned in this row */
    double softcap;        /* logits become softcap tanh(logit / softcap); 0: they do not */
} CeHeadArg;
/* Reals that attention takes beside its tensors while it runs, for each thread; n_key: of a group. */
int64_t attention_scratch(int64_t n_key, int64_t head_dim);
/* Reals that ce_head takes beside its tensors while it runs, with n_label labels. */
int64_t ce_head_scratch(int64_t n_label, int64_t C, int64_t V);

#define OP_DECLARE(name) extern const OpDef op_##name;
#include "trainer/tensor/op_list.h"
OP_LIST(OP_DECLARE)
#undef OP_DECLARE
#endif
