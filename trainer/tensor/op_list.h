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
 *   ce_head     x (N,C), w (V,C); labels (N)                  -> y (N) nats per row, 0 without a label */
#ifndef TRAINER_TENSOR_OP_LIST_H
#define TRAINER_TENSOR_OP_LIST_H
// clang-format off
#define OP_LIST(X) \
    X(embedding)   \
    X(linear)      \
    X(rmsnorm)     \
    X(layernorm)   \
    X(rope)        \
    X(attention)   \
    X(activation)  \
    X(add)         \
    X(low_rank)    \
    X(scale)       \
    X(dropout)    \
    X(columns)     \
    X(ce_head)
// clang-format on
#endif
