/* op_list.h — every op, one line each; op_<name>.c has its formula.
 *
 *   embedding   table (V,C); ids (N)                          -> y (N,C)
 *   linear      x (N,I), w (O,I) or (I,O) [, bias (O)]        -> y (N,O) = x w^T + bias
 *   rmsnorm     x (N,C), w (C or a divisor)                   -> y (N,C)
 *   layernorm   x (N,C), w (C), b (C)                         -> y (N,C)
 *   rope        x (N,H*D); positions (N)                      -> y (N,H*D)
 *   attention   q (Nq,H*D), k (Nk,Hkv*D), v (Nk,Hkv*D); keys  -> y (Nq,H*D)
 *   activation  x (N,I) [, up (N,I)]; f                       -> y (N,I) = f(x) [up]
 *   add         a, b of one shape; c                          -> y = a + c b
 *   low_rank    y0 (N,O), x (N,I), a (r,I), b (O,r); c        -> y (N,O) = y0 + c (x a^T) b^T
 *   scale       x; c                                          -> y = c x
 *   dropout     x; p, seed, stream                            -> y = x mask / (1 - p)
 *   columns     x (N,C); first, n                             -> y (N,n)
 *   join_rows   a (G*n,C), b (G*m,C)                          -> y (G*(n+m),C), group by group
 *   column_scale   x (N,C), a (C)                             -> y (N,C) = x a
 *   head_linear    x (N,H*I), w (O or H*O,I) [, bias]         -> y (N,H*O), head by head
 *   memory_read    q (N,H*D), state (G*Hkv*(D+1),D)           -> y (N,H*D)
 *   memory_update  state, k, v (N,Hkv*D) [, weight (N,Hkv)]   -> state
 *   gate_mix       x, x0 (N,C), c (N,C), (C) or (heads)       -> y = x0 + sigmoid(c) (x - x0)
 *   ce_head     x (N,C), w (V,C); labels (N)                  -> y (N) nats per row, 0 without a label */
#ifndef TRAINER_TENSOR_OP_LIST_H
#define TRAINER_TENSOR_OP_LIST_H
// clang-format off
#define OP_LIST(X)    \
    X(embedding)     \
    X(linear)        \
    X(rmsnorm)       \
    X(layernorm)     \
    X(rope)          \
    X(attention)     \
    X(activation)    \
    X(add)           \
    X(low_rank)      \
    X(scale)         \
    X(dropout)       \
    X(columns)       \
    X(join_rows)     \
    X(column_scale)  \
    X(head_linear)   \
    X(memory_read)   \
    X(memory_update) \
    X(gate_mix)      \
    X(ce_head)
// clang-format on
#endif
