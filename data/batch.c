/* batch.c — memory of a micro-batch. */
#include "data/data.h"
#include "trainer/base/mem.h"

Status batch_create(int64_t B, int64_t T, Batch **out_batch)
{
    Status rc = ST_OK;
    int64_t n = 0;
    Batch *b = mem_alloc(sizeof *b);
    *out_batch = NULL;
    CHECK(B > 0 && T > 0 && !__builtin_mul_overflow(B, T, &n), SHAPE,
          "batch: %lld rows of %lld tokens", LL(B), LL(T));
    CHECK(b, NOMEM, "batch: %zu bytes", sizeof *b);
    b->B = B;
    b->T = T;
    b->tokens = mem_array(n, sizeof *b->tokens);
    b->labels = mem_array(n, sizeof *b->labels);
    b->doc_start = mem_array(n, sizeof *b->doc_start);
    b->shared_start = mem_array(n, sizeof *b->shared_start);
    b->n_shared = mem_array(n, sizeof *b->n_shared);
    CHECK(b->tokens && b->labels && b->doc_start && b->shared_start && b->n_shared, NOMEM,
          "batch: %lld rows of %lld tokens", LL(B), LL(T));
    for (int64_t i = 0; i < n; i++) b->labels[i] = -1;
    *out_batch = b;
    b = NULL;
out:
    batch_destroy(b);
    return rc;
}

void batch_mask_row(Batch *b, int64_t row)
{
    int32_t *labels = b->labels + row * b->T;
    for (int64_t t = 0; t < b->T; t++) {
        b->n_label -= labels[t] >= 0;
        labels[t] = -1;
    }
}

void batch_destroy(Batch *b)
{
    if (!b) return;
    mem_free(b->tokens);
    mem_free(b->labels);
    mem_free(b->doc_start);
    mem_free(b->shared_start);
    mem_free(b->n_shared);
    mem_free(b);
}
