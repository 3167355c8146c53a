/* op_embedding.c — rows of a table by id.
 *
 *   y[n] = table[ids[n]]
 * Backward:
 *   dtable[i] = sum over n with ids[n] = i of dy[n], in the order of n, 0 for the padding; threads
 * share out the columns
 */
#include "trainer/tensor/dtype.h"
#include "trainer/tensor/op.h"

/* in: table (V,C), in any dtype where frozen; arg: ids (N); out: y (N,C) */
static Status embedding_shape(OpCall *k)
{
    Status rc = ST_OK;
    const Tensor *table = k->in[0];
    const EmbeddingArg *a = k->arg;
    CHECK(table->n_dim == 2, SHAPE, "embedding: the table has %d dims", table->n_dim);
    for (int64_t n = 0; n < a->n; n++)
        CHECK(a->ids[n] >= 0 && a->ids[n] < table->dim[0], SHAPE,
              "embedding: id %d at %lld, the table has %lld rows", a->ids[n], LL(n),
              LL(table->dim[0]));
    op_out(k, 2, (int64_t[]){a->n, table->dim[1]});
out:
    return rc;
}

static void embedding_fwd(OpCall *k)
{
    const EmbeddingArg *a = k->arg;
    const Tensor *table = k->in[0];
    const int64_t C = table->dim[1];
    const size_t row_bytes = (size_t)C * dtype_bytes(table->dtype);
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < a->n; n++)
        dtype_widen(table->dtype, (const char *)table->raw + (size_t)a->ids[n] * row_bytes, C,
                    k->out->val + n * C);
}

static void embedding_bwd(OpCall *k)
{
    enum { COLUMNS = 64 };
    const EmbeddingArg *a = k->arg;
    const int64_t C = k->in[0]->dim[1];
    if (!k->in[0]->grad) return;
    real *dtable = grad_rows(k->in[0], 0, k->in[0]->dim[0]);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < C; first += COLUMNS) {
        const int64_t end = first + COLUMNS < C ? first + COLUMNS : C;
        for (int64_t n = 0; n < a->n; n++) {
            if (a->ids[n] == a->pad_id) continue;
            const real *restrict dy = k->out->grad + n * C;
            real *restrict d = dtable + a->ids[n] * C;
            for (int64_t c = first; c < end; c++) d[c] += dy[c];
        }
    }
}

// clang-format off
static const int32_t embedding_case_ids[] = { 2, 0, 2, 3 };
static const EmbeddingArg embedding_case_arg = { N_OF(embedding_case_ids), embedding_case_ids, -1 };
static const OpCase embedding_cases[] = {
    { "repeated_id", 1, { { 2, { 5, 3 } } }, &embedding_case_arg, -2.0, 2.0 },
};
// clang-format on
const OpDef op_embedding = {.name = "embedding",
                            .shape = embedding_shape,
                            .fwd = embedding_fwd,
                            .bwd = embedding_bwd,
                            .bwd_reads = op_reads_nothing,
                            .cases = embedding_cases,
                            .n_case = N_OF(embedding_cases)};
