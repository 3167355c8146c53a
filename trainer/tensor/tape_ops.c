/* tape_ops.c — the typed forms of tape_call. */
#include "trainer/tensor/tape.h"

Status tape_embedding(Tape *t, Tensor *table, const int32_t *ids, int64_t n, int64_t pad_id,
                      Tensor **y)
{
    const EmbeddingArg arg = {n, ids, pad_id};
    return tape_call(t, &op_embedding, 1, &table, &arg, sizeof arg, y);
}

Status tape_linear(Tape *t, Tensor *x, Tensor *w, Tensor *bias, Tensor **y)
{
    const LinearArg arg = {.in_out = false};
    return tape_call(t, &op_linear, bias ? 3 : 2, (Tensor *[]){x, w, bias}, &arg, sizeof arg, y);
}

Status tape_linear_in_out(Tape *t, Tensor *x, Tensor *w, Tensor *bias, Tensor **y)
{
    const LinearArg arg = {.in_out = true};
    return tape_call(t, &op_linear, bias ? 3 : 2, (Tensor *[]){x, w, bias}, &arg, sizeof arg, y);
}

Status tape_linear_passing(Tape *t, Tensor *x, Tensor *w, bool in_out, Tensor *bias, Tensor **y)
{
    const LinearArg arg = {in_out};
    return tape_call_passing(t, &op_linear, bias ? 3 : 2, (Tensor *[]){x, w, bias}, &arg,
                             sizeof arg, y);
}

Status tape_rmsnorm(Tape *t, Tensor *x, Tensor *w, double eps, Tensor **y)
{
    return tape_rmsnorm_offset(t, x, w, 0, eps, y);
}

Status tape_rmsnorm_offset(Tape *t, Tensor *x, Tensor *w, double w_offset, double eps, Tensor **y)
{
    const RmsnormArg arg = {eps, w_offset};
    return tape_call(t, &op_rmsnorm, 2, (Tensor *[]){x, w}, &arg, sizeof arg, y);
}

Status tape_rmsnorm_brief(Tape *t, Tensor *x, Tensor *w, double w_offset, double eps, Tensor **y)
{
    const RmsnormArg arg = {eps, w_offset};
    return tape_call_brief(t, &op_rmsnorm, 2, (Tensor *[]){x, w}, &arg, sizeof arg, y);
}

Status tape_layernorm_brief(Tape *t, Tensor *x, Tensor *w, Tensor *b, double eps, Tensor **y)
{
    const LayernormArg arg = {eps};
    return tape_call_brief(t, &op_layernorm, 3, (Tensor *[]){x, w, b}, &arg, sizeof arg, y);
}

Status tape_layernorm(Tape *t, Tensor *x, Tensor *w, Tensor *b, double eps, Tensor **y)
{
    const LayernormArg arg = {eps};
    return tape_call(t, &op_layernorm, 3, (Tensor *[]){x, w, b}, &arg, sizeof arg, y);
}

Status tape_rope(Tape *t, Tensor *x, const RopeTable *table, const int32_t *pos, int64_t n_head,
                 Tensor **y)
{
    const RopeArg arg = {*table, n_head, pos};
    return tape_call(t, &op_rope, 1, &x, &arg, sizeof arg, y);
}

Status tape_rope_over(Tape *t, Tensor *x, const RopeTable *table, const int32_t *pos,
                      int64_t n_head, Tensor **y)
{
    const RopeArg arg = {*table, n_head, pos};
    return tape_call_over(t, &op_rope, 1, &x, &arg, sizeof arg, y);
}

Status tape_attention(Tape *t, Tensor *q, Tensor *k, Tensor *v, const AttentionArg *arg, Tensor **y)
{
    return tape_call(t, &op_attention, 3, (Tensor *[]){q, k, v}, arg, sizeof *arg, y);
}

Status tape_activation(Tape *t, Activation f, Tensor *x, Tensor **y)
{
    const ActivationArg arg = {f, false};
    return tape_call(t, &op_activation, 1, &x, &arg, sizeof arg, y);
}

Status tape_activation_brief(Tape *t, Activation f, Tensor *x, Tensor **y)
{
    const ActivationArg arg = {f, false};
    return tape_call_brief(t, &op_activation, 1, &x, &arg, sizeof arg, y);
}

Status tape_glu(Tape *t, Activation f, Tensor *gate, Tensor *up, Tensor **y)
{
    const ActivationArg arg = {f, false};
    return tape_call(t, &op_activation, 2, (Tensor *[]){gate, up}, &arg, sizeof arg, y);
}

Status tape_glu_brief(Tape *t, Activation f, Tensor *gate, Tensor *up, Tensor **y)
{
    const ActivationArg arg = {f, gate->recycled};
    return tape_call_brief(t, &op_activation, 2, (Tensor *[]){gate, up}, &arg, sizeof arg, y);
}

Status tape_swiglu(Tape *t, Tensor *gate, Tensor *up, Tensor **y)
{
    return tape_glu(t, ACT_SILU, gate, up, y);
}

Status tape_add(Tape *t, Tensor *a, Tensor *b, Tensor **y)
{
    return tape_axpy(t, a, 1, b, y);
}

Status tape_axpy(Tape *t, Tensor *a, double c, Tensor *b, Tensor **y)
{
    const AddArg arg = {c};
    return tape_call(t, &op_add, 2, (Tensor *[]){a, b}, &arg, sizeof arg, y);
}

Status tape_add_over(Tape *t, Tensor *a, Tensor *b, Tensor **y)
{
    const AddArg arg = {1};
    return tape_call_over(t, &op_add, 2, (Tensor *[]){a, b}, &arg, sizeof arg, y);
}

Status tape_low_rank_over(Tape *t, Tensor *y0, double c, Tensor *x, Tensor *a, Tensor *b,
                          Tensor **y)
{
    const LowRankArg arg = {c};
    return tape_call_over(t, &op_low_rank, 4, (Tensor *[]){y0, x, a, b}, &arg, sizeof arg, y);
}

Status tape_scale(Tape *t, double c, Tensor *x, Tensor **y)
{
    const ScaleArg arg = {c};
    return tape_call(t, &op_scale, 1, &x, &arg, sizeof arg, y);
}

Status tape_dropout(Tape *t, Tensor *x, const DropoutArg *arg, Tensor **y)
{
    if (arg->p != 0) return tape_call(t, &op_dropout, 1, &x, arg, sizeof *arg, y);
    *y = x;
    return ST_OK;
}

Status tape_columns(Tape *t, Tensor *x, int64_t first, int64_t n, Tensor **y)
{
    const ColumnsArg arg = {first, n};
    return tape_call(t, &op_columns, 1, &x, &arg, sizeof arg, y);
}

Status tape_ce_head(Tape *t, Tensor *x, Tensor *w, const int32_t *labels, Tensor **nats)
{
    return tape_ce_head_softcap(t, x, w, labels, 0, nats);
}

Status tape_ce_head_softcap(Tape *t, Tensor *x, Tensor *w, const int32_t *labels, double softcap,
                            Tensor **nats)
{
    const CeHeadArg arg = {labels, softcap};
    return tape_call(t, &op_ce_head, 2, (Tensor *[]){x, w}, &arg, sizeof arg, nats);
}

Status tape_join_rows(Tape *t, Tensor *a, Tensor *b, int64_t n_group, Tensor **y)
{
    const JoinRowsArg arg = {n_group};
    return tape_call(t, &op_join_rows, 2, (Tensor *[]){a, b}, &arg, sizeof arg, y);
}

Status tape_column_scale(Tape *t, Tensor *x, Tensor *a, Tensor **y)
{
    return tape_call(t, &op_column_scale, 2, (Tensor *[]){x, a}, NULL, 0, y);
}

Status tape_head_linear(Tape *t, Tensor *x, Tensor *w, Tensor *bias, int64_t n_head, int64_t n_out,
                        Tensor **y)
{
    const HeadLinearArg arg = {n_head, n_out};
    return tape_call(t, &op_head_linear, bias ? 3 : 2, (Tensor *[]){x, w, bias}, &arg, sizeof arg,
                     y);
}

Status tape_memory_read(Tape *t, Tensor *q, Tensor *state, const MemoryArg *arg, Tensor **y)
{
    return tape_call(t, &op_memory_read, 2, (Tensor *[]){q, state}, arg, sizeof *arg, y);
}

Status tape_memory_update(Tape *t, Tensor *state, Tensor *k, Tensor *v, Tensor *weight,
                          const MemoryArg *arg, Tensor **after)
{
    return tape_call(t, &op_memory_update, weight ? 4 : 3, (Tensor *[]){state, k, v, weight}, arg,
                     sizeof *arg, after);
}

Status tape_gate_mix(Tape *t, Tensor *x, Tensor *x0, Tensor *gate, const uint8_t *takes, Tensor **y)
{
    const GateMixArg arg = {takes};
    return tape_call(t, &op_gate_mix, 3, (Tensor *[]){x, x0, gate}, &arg, sizeof arg, y);
}
