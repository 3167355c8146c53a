/* tape.h — autograd-lite: records the ops of one piece, runs them backward, and owns what they
 * make.
 *
 * An op whose inputs need no gradient is run and forgotten. Gradients of intermediates live from
 * the first op that adds to them to the end of their producer's backward, then their memory serves
 * the next. */
#ifndef TRAINER_TENSOR_TAPE_H
#define TRAINER_TENSOR_TAPE_H
#include "trainer/tensor/op.h"

typedef struct Tape Tape;

CHECKED Status tape_create(Tape **t);
void tape_destroy(Tape *t);
void tape_reset(Tape *t);         /* drops every tensor, keeps the memory for the next piece */
size_t tape_bytes(const Tape *t); /* memory held */
int64_t tape_n_op(const Tape *t); /* recorded, waiting for their backward */
void tape_checkpointing(Tape *t, bool on); /* what tape_block does; off at first */
void tape_no_grad(Tape *t,
                  bool on); /* leaves made while on need no gradient; a reset switches it off */

/* Leaves. A parameter needs a gradient when its grad is bound. Owns: borrow the numbers until
 * tape_reset. */
CHECKED Status tape_param(Tape *t, const Param *p, Tensor **w);
CHECKED Status tape_const(Tape *t, Dtype dtype, const void *raw, int n_dim, const int64_t *dim,
                          Tensor **w);
/* What another tape made. grad: the backward adds its gradient there; NULL: none is wanted. Shapes  val, grad: (dim) */
CHECKED Status tape_input(Tape *t, const real *val, real *grad, int n_dim, const int64_t *dim,
                          Tensor **x);
/* What another tape reads: its gradient begins as the one found there. Without a backward to come it does nothing. */
CHECKED Status tape_seed(Tape *t, Tensor *y, const real *grad);

/* Memory of the piece, for side data such as key ranges; valid until tape_reset (inside tape_block:
 * until the block's end, so make it outside). NULL when there is none. */
void *tape_alloc(Tape *t, int64_t n, size_t elem_bytes);

/* y = f(x), a part of the network that a block of memory can be saved on: with checkpointing on, its inner tensors are
 * dropped after the forward and computed again, same bits, in the backward. Without any gradient to come they are
 * always dropped. Parameters are leaves inside fn; x and y are its only other ties.
 * Owns    copies ctx (ctx_bytes); what it points to must live until the backward */
typedef Status (*TapeBlockFn)(Tape *t, const void *ctx, Tensor *x, Tensor **y);
CHECKED Status tape_block(Tape *t, TapeBlockFn fn, const void *ctx, size_t ctx_bytes, Tensor *x,
                          Tensor **y);

/* Any op by its definition; the typed forms below are what models use. arg is copied, its pointers
 * are not. */
CHECKED Status tape_call(Tape *t, const OpDef *op, int n_in, Tensor *const *in, const void *arg,
                         size_t arg_bytes, Tensor **y);

/* The same for an op that adds to its first input, or turns it: y lies where in[0] lay, and takes over its gradient, so that
 * neither is copied. Nobody else may read in[0]; where its maker's backward would (bwd_reads_out), or it is a leaf, y lies
 * apart. The op reads in[0]->val only to write out->val, and in bwd, when in[0]->grad == out->grad, makes the one of the
 * other there. */
CHECKED Status tape_call_over(Tape *t, const OpDef *op, int n_in, Tensor *const *in,
                              const void *arg, size_t arg_bytes, Tensor **y);

/* The same for a y that is to be forgotten: tape_forget gives its memory to others until a backward wants its numbers, which the
 * op then makes again from its inputs, same bits. Where no gradient is wanted of y it stays as any other. Not for an op
 * whose bwd reads y or gives it. */
CHECKED Status tape_call_brief(Tape *t, const OpDef *op, int n_in, Tensor *const *in,
                               const void *arg, size_t arg_bytes, Tensor **y);
void tape_forget(Tape *t, Tensor *y); /* nothing reads y any more in the forward */

/* The same for a y that no backward reads: it is not made again. */
CHECKED Status tape_call_passing(Tape *t, const OpDef *op, int n_in, Tensor *const *in,
                                 const void *arg, size_t arg_bytes, Tensor **y);

/* pad_id: this row gets no gradient from being looked up; -1: none. */
CHECKED Status tape_embedding(Tape *t, Tensor *table, const int32_t *ids, int64_t n, int64_t pad_id,
                              Tensor **y);
/* y = x w^T + bias, w (O,I); bias may be NULL. in_out: y = x w + bias, w (I,O), as GPT-2's Conv1D
 * stores it. */
CHECKED Status tape_linear(Tape *t, Tensor *x, Tensor *w, Tensor *bias, Tensor **y);
CHECKED Status tape_linear_in_out(Tape *t, Tensor *x, Tensor *w, Tensor *bias, Tensor **y);
/* y is read by ops alone that keep what they want of it. */
CHECKED Status tape_linear_passing(Tape *t, Tensor *x, Tensor *w, bool in_out, Tensor *bias,
                                   Tensor **y);
/* Where w is shorter than a row of x, every w-long group of columns is normalised by itself (heads).
 * offset: the scale is w_offset + w (Gemma: 1). */
CHECKED Status tape_rmsnorm(Tape *t, Tensor *x, Tensor *w, double eps, Tensor **y);
CHECKED Status tape_rmsnorm_offset(Tape *t, Tensor *x, Tensor *w, double w_offset, double eps,
                                   Tensor **y);
CHECKED Status tape_rmsnorm_brief(Tape *t, Tensor *x, Tensor *w, double w_offset, double eps,
                                  Tensor **y); /* to be forgotten */
CHECKED Status tape_layernorm(Tape *t, Tensor *x, Tensor *w, Tensor *b, double eps, Tensor **y);
CHECKED Status tape_layernorm_brief(Tape *t, Tensor *x, Tensor *w, Tensor *b, double eps,
                                    Tensor **y); /* to be forgotten */
CHECKED Status tape_rope(Tape *t, Tensor *x, const RopeTable *table, const int32_t *pos,
                         int64_t n_head, Tensor **y);
/* The same in the place of x, which nobody else may read. */
CHECKED Status tape_rope_over(Tape *t, Tensor *x, const RopeTable *table, const int32_t *pos,
                              int64_t n_head, Tensor **y);
CHECKED Status tape_attention(Tape *t, Tensor *q, Tensor *k, Tensor *v, const AttentionArg *arg,
                              Tensor **y);
CHECKED Status tape_activation(Tape *t, Activation f, Tensor *x, Tensor **y); /* f(x) */
CHECKED Status tape_activation_brief(Tape *t, Activation f, Tensor *x,
                                     Tensor **y); /* to be forgotten */
CHECKED Status tape_glu(Tape *t, Activation f, Tensor *gate, Tensor *up,
                        Tensor **y); /* f(gate) up */
CHECKED Status
tape_glu_brief(Tape *t, Activation f, Tensor *gate, Tensor *up,
               Tensor **y); /* to be forgotten; keeps what it wants of passing ones */
CHECKED Status tape_swiglu(Tape *t, Tensor *gate, Tensor *up, Tensor **y);
CHECKED Status tape_add(Tape *t, Tensor *a, Tensor *b, Tensor **y);
CHECKED Status tape_axpy(Tape *t, Tensor *a, double c, Tensor *b, Tensor **y); /* a + c b */
/* The same, y in the place of a, which nobody else may read. */
CHECKED Status tape_add_over(Tape *t, Tensor *a, Tensor *b, Tensor **y);
/* y0 + c (x a^T) b^T in the place of y0, which nobody else may read. */
CHECKED Status tape_low_rank_over(Tape *t, Tensor *y0, double c, Tensor *x, Tensor *a, Tensor *b,
                                  Tensor **y);
CHECKED Status tape_scale(Tape *t, double c, Tensor *x, Tensor **y);                /* c x */
CHECKED Status tape_dropout(Tape *t, Tensor *x, const DropoutArg *arg, Tensor **y); /* p = 0: x */
CHECKED Status tape_columns(Tape *t, Tensor *x, int64_t first, int64_t n, Tensor **y);
CHECKED Status tape_join_rows(Tape *t, Tensor *a, Tensor *b, int64_t n_group,
                              Tensor **y); /* in each group the rows of a, then those of b */
CHECKED Status tape_column_scale(Tape *t, Tensor *x, Tensor *a, Tensor **y);
/* y = x w^T + bias head by head; bias may be NULL. Where w has n_out rows, they serve all heads. */
CHECKED Status tape_head_linear(Tape *t, Tensor *x, Tensor *w, Tensor *bias, int64_t n_head,
                                int64_t n_out, Tensor **y);
CHECKED Status tape_memory_read(Tape *t, Tensor *q, Tensor *state, const MemoryArg *arg,
                                Tensor **y);
/* weight: what each key counts (N,Hkv), before a sigmoid; NULL: 1 */
CHECKED Status tape_memory_update(Tape *t, Tensor *state, Tensor *k, Tensor *v, Tensor *weight,
                                  const MemoryArg *arg, Tensor **after);
CHECKED Status tape_gate_mix(Tape *t, Tensor *x, Tensor *x0, Tensor *gate, const uint8_t *takes,
                             Tensor **y); /* x0 + sigmoid(gate) (x - x0) */
CHECKED Status tape_ce_head(Tape *t, Tensor *x, Tensor *w, const int32_t *labels, Tensor **nats);
CHECKED Status tape_ce_head_softcap(Tape *t, Tensor *x, Tensor *w, const int32_t *labels,
                                    double softcap, Tensor **nats);

/* Backward from y with dy = 1 everywhere, and from what was seeded; adds to the gradients of the parameters. The records are
 * used up: one backward per forward. */
CHECKED Status tape_backward(Tape *t, Tensor *y);

/* What is told of a backward after each op that runs in it: of the flat gradient vector, what lies from `complete` on gets no
 * more added. */
typedef struct TapeWatch {
    void (*fn)(void *ctx, int64_t complete); /* NULL: nobody watches */
    void *ctx;
} TapeWatch;
/* Gives the one before. Stays until the next, whatever is reset. */
TapeWatch tape_watch(Tape *t, TapeWatch watch);

/* Fills cos and sin, (n_pos, half) each, with factor times those of the angles pos freq[i]. */
void rope_fill(const double *freq, double factor, int64_t n_pos, int64_t half, real *cos_out,
               real *sin_out);
/* One row of such a table. */
void rope_fill_row(const double *freq, double factor, int64_t pos, int64_t half, real *cos_out,
                   real *sin_out);
#endif
