/* tree_sum.c — a binary counter of subtrees inside a rank, slices of whole subtrees between ranks.
 */
#include "trainer/base/tree_sum.h"
#include "trainer/base/comm_mpi.h"
#include "trainer/base/mem.h"
#include <string.h>

enum {
    MAX_DEPTH = 32,
    MAX_LEAF = 4096,
    BLOCK = 1 << 22 /* floats that all ranks together sum at a time: bounds the inbox */
};

/* A finished subtree: the sum of leaves [first, first + width). */
typedef struct Subtree {
    int first, width;
    float *sum;
} Subtree;

struct TreeSum {
    const Comm *comm;
    int n_leaf, next; /* next: the leaf to be filled */
    int64_t n;
    Subtree own[MAX_DEPTH]; /* finished, left to right */
    int n_own;
    float *spare[MAX_DEPTH + 1]; /* buffers not in use */
    int n_spare;
    Subtree *part; /* the subtrees of all ranks, in leaf order; sums point into the inbox */
    int n_part;
    const int64_t *cut; /* (size+1): rank r sums [cut[r], cut[r+1]), a slice at a time */
    int64_t
        *even; /* a cut of our own: all ranks are given the whole sum; NULL: it is the caller's */
    float *inbox; /* this rank's slice, once per subtree */
    MPI_Request *requests;
};

static int first_leaf(const TreeSum *ts, int rank)
{
    return (int)((int64_t)rank * ts->n_leaf / ts->comm->size);
}

/* The whole subtrees that cover [first, end), left to right: at each place the widest that fits. */
static int cover(int first, int end, Subtree *out)
{
    int n = 0;
    while (first < end) {
        int width = 1;
        while (first % (2 * width) == 0 && first + 2 * width <= end) width *= 2;
        out[n++] = (Subtree){first, width, NULL};
        first += width;
    }
    return n;
}

static int64_t slice_most(const TreeSum *ts)
{
    return (ts->n < BLOCK ? ts->n : BLOCK) / ts->comm->size + 16;
}

/* Of what rank r sums, the slice that starts `at` floats on. */
static int64_t slice_n(const TreeSum *ts, int64_t at, int r)
{
    return cut_begin(ts->cut, r, at + slice_most(ts)) - cut_begin(ts->cut, r, at);
}

static void add_into(float *restrict left, const float *restrict right, int64_t n)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) left[i] += right[i];
}

/* The subtrees of all ranks as they stand before any slice is summed; returns how many. */
static int list_parts(const TreeSum *ts, Subtree *part)
{
    int n = 0;
    for (int r = 0; r < ts->comm->size; r++)
        n += cover(first_leaf(ts, r), first_leaf(ts, r + 1), part + n);
    return n;
}

int64_t tree_sum_bytes(const Comm *c, int n_leaf, int64_t n)
{
    const TreeSum ts = {.comm = c, .n_leaf = n_leaf, .n = n};
    Subtree held[MAX_DEPTH];
    int n_part = 0, n_buffer = 0;
    for (int r = 0; r < c->size; r++) {
        const int first = first_leaf(&ts, r), end = first_leaf(&ts, r + 1);
        for (int leaf = first; leaf < end; leaf++) { /* while it is filled */
            const int n_held = cover(first, leaf, held) + 1;
            if (n_held > n_buffer) n_buffer = n_held;
        }
        n_part += cover(first, end, held);
    }
    const int64_t inbox = c->size > 1 ? n_part * slice_most(&ts) : 0;
    return (n_buffer * n + inbox) * (int64_t)sizeof(float);
}

/* Equal parts, cut at whole cache lines. */
static Status cut_evenly(TreeSum *ts)
{
    Status rc = ST_OK;
    const int size = ts->comm->size;
    ts->cut = ts->even = mem_array(size + 1, sizeof *ts->even);
    CHECK(ts->even, NOMEM, "ordered sum: %d slices", size);
    for (int r = 0; r < size; r++) ts->even[r] = ts->n * r / size / 16 * 16;
    ts->even[size] = ts->n;
out:
    return rc;
}

static Status prepare_exchange(TreeSum *ts)
{
    Status rc = ST_OK;
    ts->part = mem_array(ts->n_leaf, sizeof *ts->part);
    CHECK(ts->part, NOMEM, "ordered sum: %d subtrees", ts->n_leaf);
    ts->n_part = list_parts(ts, ts->part);
    ts->inbox = mem_array(ts->n_part * slice_most(ts), sizeof *ts->inbox);
    ts->requests =
        mem_array(ts->n_part + (int64_t)MAX_DEPTH * ts->comm->size, sizeof *ts->requests);
    CHECK(ts->inbox && ts->requests, NOMEM, "ordered sum: %lld floats to receive",
          LL(ts->n_part * slice_most(ts)));
    if (!ts->cut) TRY(cut_evenly(ts));
out:
    return rc;
}

Status tree_sum_create(const Comm *c, int n_leaf, int64_t n, const int64_t *cut, TreeSum **out)
{
    Status rc = ST_OK;
    TreeSum *ts = mem_alloc(sizeof *ts);
    CHECK(ts, NOMEM, "ordered sum: %zu bytes", sizeof *ts);
    CHECK(n_leaf > 0 && n_leaf <= MAX_LEAF && (n_leaf & (n_leaf - 1)) == 0, CONFIG,
          "reduction_groups is %d, a power of two up to %d is expected", n_leaf, MAX_LEAF);
    CHECK(c->size <= n_leaf, CONFIG,
          "%d ranks share %d reduction groups: use at most %d ranks, or more groups "
          "(reduction_groups, micro_batch_size)",
          c->size, n_leaf, n_leaf);
    ts->comm = c;
    ts->n_leaf = n_leaf;
    ts->n = n;
    ts->cut = cut;
    ts->next = first_leaf(ts, c->rank);
    if (c->size > 1) TRY(prepare_exchange(ts));
    *out = ts;
    ts = NULL;
out:
    tree_sum_destroy(ts);
    return rc;
}

void tree_sum_destroy(TreeSum *ts)
{
    if (!ts) return;
    for (int i = 0; i < ts->n_own; i++) mem_free(ts->own[i].sum);
    for (int i = 0; i < ts->n_spare; i++) mem_free(ts->spare[i]);
    mem_free(ts->part);
    mem_free(ts->even);
    mem_free(ts->inbox);
    mem_free(ts->requests);
    mem_free(ts);
}

void tree_sum_leaves(const TreeSum *ts, int *first, int *end)
{
    *first = first_leaf(ts, ts->comm->rank);
    *end = first_leaf(ts, ts->comm->rank + 1);
}

static void merge_last(TreeSum *ts)
{
    while (ts->n_own >= 2) {
        Subtree *left = &ts->own[ts->n_own - 2];
        const Subtree *right = &ts->own[ts->n_own - 1];
        if (left->width != right->width || left->first % (2 * left->width) != 0) break;
        add_into(left->sum, right->sum, ts->n);
        left->width *= 2;
        ts->spare[ts->n_spare++] = right->sum;
        ts->n_own--;
    }
}

static float *zeroed_buffer(TreeSum *ts)
{
    float *buf = ts->n_spare > 0 ? ts->spare[--ts->n_spare] : mem_array(ts->n, sizeof *buf);
    if (buf) memset(buf, 0, (size_t)ts->n * sizeof *buf);
    return buf;
}

float *tree_sum_leaf(TreeSum *ts)
{
    if (ts->next == first_leaf(ts, ts->comm->rank)) /* a new sum: drop the last result */
        while (ts->n_own > 0) ts->spare[ts->n_spare++] = ts->own[--ts->n_own].sum;
    float *buf = zeroed_buffer(ts);
    if (buf) ts->own[ts->n_own++] = (Subtree){ts->next, 1, buf};
    return buf;
}

float *tree_sum_alone(TreeSum *ts)
{
    float *buf = zeroed_buffer(ts);
    if (buf) ts->spare[ts->n_spare++] = buf;
    return buf;
}

void tree_sum_leaf_done(TreeSum *ts)
{
    ts->next++;
    merge_last(ts);
}

/* Sums the slices of all subtrees, given in leaf order, as the tree does. The result lands in
 * slice[0]. */
static void fold_slices(Subtree *part, int n_part, int64_t n)
{
    while (n_part > 1) {
        int kept = 0;
        for (int i = 0; i < n_part; i++) {
            Subtree *left = kept > 0 ? &part[kept - 1] : NULL;
            if (left && left->width == part[i].width && left->first % (2 * left->width) == 0) {
                add_into(left->sum, part[i].sum, n);
                left->width *= 2;
            } else {
                part[kept++] = part[i];
            }
        }
        n_part = kept;
    }
}

/* Sends each rank its slice of all own subtrees, receives the own slice of all others' into the
 * inbox. */
static void exchange_slices(TreeSum *ts, int64_t at_float)
{
    const Comm *c = ts->comm;
    const int64_t mine = slice_n(ts, at_float, c->rank);
    int n_request = 0;
    ts->n_part = list_parts(ts, ts->part); /* as they were before the last slice was folded */
    for (int i = 0; i < ts->n_part; i++) ts->part[i].sum = ts->inbox + i * mine;
    for (int r = 0, at = 0; r < c->size; r++) {
        for (int tag = 0; at < ts->n_part && ts->part[at].first < first_leaf(ts, r + 1);
             at++, tag++) {
            float *slot = ts->part[at].sum;
            if (r == c->rank)
                memcpy(slot, ts->own[tag].sum + cut_begin(ts->cut, r, at_float),
                       (size_t)mine * sizeof *slot);
            else
                MPI_DO(MPI_Irecv(slot, (int)mine, MPI_FLOAT, r, tag, c->handle,
                                 &ts->requests[n_request++]));
        }
    }
    for (int r = 0; r < c->size; r++) {
        for (int tag = 0; tag < ts->n_own && r != c->rank; tag++)
            MPI_DO(MPI_Isend(ts->own[tag].sum + cut_begin(ts->cut, r, at_float),
                             (int)slice_n(ts, at_float, r), MPI_FLOAT, r, tag, c->handle,
                             &ts->requests[n_request++]));
    }
    MPI_DO(MPI_Waitall(n_request, ts->requests, MPI_STATUSES_IGNORE));
}

float *tree_sum_finish(TreeSum *ts)
{
    const Comm *c = ts->comm;
    ASSERT(ts->next == first_leaf(ts, c->rank + 1));
    ts->next = first_leaf(ts, c->rank);
    float *sum = ts->own[0].sum;
    if (c->size == 1) return sum;
    for (int64_t at = 0; at < cut_longest(ts->cut, c->size); at += slice_most(ts)) {
        const int64_t n = slice_n(ts, at, c->rank);
        exchange_slices(ts, at);
        fold_slices(ts->part, ts->n_part, n);
        memcpy(sum + cut_begin(ts->cut, c->rank, at), ts->part[0].sum, (size_t)n * sizeof *sum);
    }
    if (ts->even) comm_share_slices(c, sum, ts->even);
    return sum;
}

void tree_sum_rest(TreeSum *ts)
{
    while (ts->n_own > 0) ts->spare[ts->n_spare++] = ts->own[--ts->n_own].sum;
    while (ts->n_spare > 0) mem_free(ts->spare[--ts->n_spare]);
}
