/* tree_sum.c — a binary counter of subtrees inside a rank; between ranks pieces of whole subtrees, region by region from
 * the end of the vector, where a backward finishes first. */
#include "trainer/base/tree_sum.h"
#include "trainer/base/comm_mpi.h"
#include "trainer/base/mem.h"
#include <string.h>

enum {
    MAX_DEPTH = 32,
    MAX_LEAF = 4096,
    LINE = 16,     /* floats of a cache line */
    ON_THE_WAY = 2 /* regions whose pieces are sent and received at a time: bounds the inbox */
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
    Subtree own[MAX_DEPTH]; /* left to right; finished, but for the last one while it is filled */
    int n_own;
    float *spare[MAX_DEPTH + 1]; /* buffers not in use */
    int n_spare;

    /* Between ranks: */
    const Cut *cut; /* rank r sums its pieces */
    Cut even; /* ours, with which all ranks are given the whole sum; nothing in it: the cut is the caller's */
    int n_part;           /* subtrees of all ranks */
    Subtree *part;        /* (n_part) in leaf order */
    int64_t complete;     /* nothing is added any more to what this rank has from here on */
    int64_t sent, summed; /* regions, counted from the last one down */
    struct {
        float *inbox; /* this rank's piece of each subtree of the others */
        MPI_Request *request;
        int n_request;
    } way[ON_THE_WAY];
};

/* ---- leaves and subtrees ---- */

static int first_leaf(const TreeSum *ts, int rank)
{
    return (int)((int64_t)rank * ts->n_leaf / ts->comm->size);
}

static int end_leaf(const TreeSum *ts)
{
    return first_leaf(ts, ts->comm->rank + 1);
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

static bool are_halves(const Subtree *left, const Subtree *right)
{
    return left->width == right->width && left->first % (2 * left->width) == 0;
}

static void add_into(float *restrict left, const float *restrict right, int64_t n)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) left[i] += right[i];
}

/* As the last of n_own subtrees is finished: halves become wholes in floats [at, at + n). Returns how many are left. */
static int merge_last(Subtree *own, int n_own, int64_t at, int64_t n)
{
    for (; n_own >= 2 && are_halves(&own[n_own - 2], &own[n_own - 1]); n_own--) {
        add_into(own[n_own - 2].sum + at, own[n_own - 1].sum + at, n);
        own[n_own - 2].width *= 2;
    }
    return n_own;
}

/* What the most subtrees are that a rank holds at a time, the one that is filled included. */
static int buffers_of(const TreeSum *ts, int rank)
{
    const int first = first_leaf(ts, rank), end = first_leaf(ts, rank + 1);
    Subtree held[MAX_DEPTH];
    int most = 0;
    for (int leaf = first; leaf < end; leaf++) {
        const int n = cover(first, leaf, held) + 1;
        if (n > most) most = n;
    }
    return most;
}

/* The subtrees of all ranks, in leaf order; returns how many. */
static int list_parts(const TreeSum *ts, Subtree *part)
{
    int n = 0;
    for (int r = 0; r < ts->comm->size; r++)
        n += cover(first_leaf(ts, r), first_leaf(ts, r + 1), part + n);
    return n;
}

static int n_part_of(const TreeSum *ts, int rank)
{
    Subtree own[MAX_DEPTH];
    return cover(first_leaf(ts, rank), first_leaf(ts, rank + 1), own);
}

int64_t tree_sum_bytes(const Comm *c, int n_leaf, int64_t n)
{
    const TreeSum ts = {.comm = c, .n_leaf = n_leaf};
    const int64_t piece = n / (c->size * comm_n_region(c, n)) + CUT_GRAIN;
    int n_part = 0, n_buffer = 0, least = MAX_LEAF;
    for (int r = 0; r < c->size; r++) {
        const int n_own = n_part_of(&ts, r), n_held = buffers_of(&ts, r);
        n_part += n_own;
        if (n_own < least) least = n_own;
        if (n_held > n_buffer) n_buffer = n_held;
    }
    return (n_buffer * n + ON_THE_WAY * (n_part - least) * (piece < n ? piece : n)) *
           (int64_t)sizeof(float);
}

/* ---- memory ---- */

/* Equal pieces, cut at whole cache lines. */
static Status cut_evenly(TreeSum *ts)
{
    Status rc = ST_OK;
    const int64_t n = ts->comm->size * comm_n_region(ts->comm, ts->n);
    ts->even = (Cut){n, mem_array(n + 1, sizeof *ts->even.at)};
    CHECK(ts->even.at, NOMEM, "ordered sum: %lld pieces", LL(n));
    for (int64_t i = 0; i < n; i++)
        ts->even.at[i] = (ts->n / n * i + ts->n % n * i / n) / LINE * LINE;
    ts->even.at[n] = ts->n;
    ts->cut = &ts->even;
out:
    return rc;
}

/* The longest of this rank's pieces. */
static int64_t longest_piece(const TreeSum *ts)
{
    int64_t most = 0;
    for (int64_t i = ts->comm->rank; i < ts->cut->n_piece; i += ts->comm->size)
        if (ts->cut->at[i + 1] - ts->cut->at[i] > most) most = ts->cut->at[i + 1] - ts->cut->at[i];
    return most;
}

static Status prepare_exchange(TreeSum *ts)
{
    Status rc = ST_OK;
    const int size = ts->comm->size;
    ts->part = mem_array(ts->n_leaf, sizeof *ts->part);
    CHECK(ts->part, NOMEM, "ordered sum: %d subtrees", ts->n_leaf);
    ts->n_part = list_parts(ts, ts->part);
    if (!ts->cut) TRY(cut_evenly(ts));
    const int n_own = n_part_of(ts, ts->comm->rank), n_other = ts->n_part - n_own;
    for (int i = 0; i < ON_THE_WAY; i++) {
        ts->way[i].inbox = mem_array(n_other * longest_piece(ts), sizeof *ts->way[i].inbox);
        ts->way[i].request = mem_array(n_other + n_own * (size - 1), sizeof *ts->way[i].request);
        CHECK(ts->way[i].inbox && ts->way[i].request, NOMEM, "ordered sum: %lld floats to receive",
              LL(n_other * longest_piece(ts)));
    }
out:
    return rc;
}

Status tree_sum_create(const Comm *c, int n_leaf, int64_t n, const Cut *cut, TreeSum **out)
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
    ts->next = end_leaf(ts);
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
    for (int i = 0; i < ON_THE_WAY; i++) {
        mem_free(ts->way[i].inbox);
        mem_free(ts->way[i].request);
    }
    mem_free(ts->part);
    mem_free(ts->even.at);
    mem_free(ts);
}

/* The subtrees from the n-th on are needed no more. */
static void drop_own(TreeSum *ts, int n)
{
    while (ts->n_own > n) ts->spare[ts->n_spare++] = ts->own[--ts->n_own].sum;
}

Status tree_sum_begin(TreeSum *ts)
{
    Status rc = ST_OK;
    ASSERT(ts->next == end_leaf(ts));
    drop_own(ts, 0);
    for (int n = buffers_of(ts, ts->comm->rank); ts->n_spare < n; ts->n_spare++) {
        float *buf = mem_array(ts->n, sizeof *buf);
        CHECK(buf, NOMEM, "gradient: %lld floats", LL(ts->n));
        ts->spare[ts->n_spare] = buf;
    }
    ts->next = first_leaf(ts, ts->comm->rank);
    ts->complete = ts->n;
    ts->sent = ts->summed = 0;
out:
    return rc;
}

void tree_sum_rest(TreeSum *ts)
{
    drop_own(ts, 0);
    while (ts->n_spare > 0) mem_free(ts->spare[--ts->n_spare]);
}

/* ---- inside a rank ---- */

void tree_sum_leaves(const TreeSum *ts, int *first, int *end)
{
    *first = first_leaf(ts, ts->comm->rank);
    *end = end_leaf(ts);
}

float *tree_sum_leaf(TreeSum *ts)
{
    ASSERT(ts->n_spare > 0 && ts->next < end_leaf(ts));
    float *buf = ts->spare[--ts->n_spare];
    memset(buf, 0, (size_t)ts->n * sizeof *buf);
    ts->own[ts->n_own++] = (Subtree){ts->next, 1, buf};
    return buf;
}

/* The last leaf of many ranks is left to be merged as its regions are sent. */
void tree_sum_leaf_done(TreeSum *ts)
{
    if (++ts->next == end_leaf(ts) && ts->comm->size > 1) return;
    drop_own(ts, merge_last(ts->own, ts->n_own, 0, ts->n));
}

float *tree_sum_alone(TreeSum *ts)
{
    if (ts->n_spare == 0) {
        ts->spare[0] = mem_array(ts->n, sizeof *ts->spare[0]);
        if (!ts->spare[0]) return NULL;
        ts->n_spare = 1;
    }
    return memset(ts->spare[ts->n_spare - 1], 0, (size_t)ts->n * sizeof(float));
}

/* ---- between ranks ---- */

static int64_t n_region(const TreeSum *ts)
{
    return ts->cut->n_piece / ts->comm->size;
}

/* Where the pieces of the i-th region from the end begin: rank r's is [at[r], at[r+1]). */
static const int64_t *region(const TreeSum *ts, int64_t i)
{
    return ts->cut->at + (n_region(ts) - 1 - i) * ts->comm->size;
}

/* Of the next region: sends each rank its piece of all own subtrees, receives the own piece of all others'. */
static void send_region(TreeSum *ts)
{
    const Comm *c = ts->comm;
    const int64_t *at = region(ts, ts->sent), mine = at[c->rank + 1] - at[c->rank];
    const int slot = (int)(ts->sent % ON_THE_WAY);
    float *inbox = ts->way[slot].inbox;
    MPI_Request *request = ts->way[slot].request;
    Subtree own[MAX_DEPTH];
    memcpy(own, ts->own, (size_t)ts->n_own * sizeof *own);
    const int n_own = merge_last(own, ts->n_own, at[0], at[c->size] - at[0]);
    for (int r = 0; r < c->size; r++) {
        const int n_tag = r == c->rank ? 0 : n_part_of(ts, r);
        for (int tag = 0; tag < n_tag; tag++, inbox += mine)
            MPI_DO(MPI_Irecv(inbox, (int)mine, MPI_FLOAT, r, tag, c->handle, request++));
    }
    for (int r = 0; r < c->size; r++)
        for (int tag = 0; tag < n_own && r != c->rank; tag++)
            MPI_DO(MPI_Isend(own[tag].sum + at[r], (int)(at[r + 1] - at[r]), MPI_FLOAT, r, tag,
                             c->handle, request++));
    ts->way[slot].n_request = (int)(request - ts->way[slot].request);
    ts->sent++;
}

/* Has all arrived, in and out, of the region that was sent first? */
static bool has_arrived(TreeSum *ts, bool wait)
{
    const int slot = (int)(ts->summed % ON_THE_WAY), n = ts->way[slot].n_request;
    int arrived = 1;
    if (wait)
        MPI_DO(MPI_Waitall(n, ts->way[slot].request, MPI_STATUSES_IGNORE));
    else
        MPI_DO(MPI_Testall(n, ts->way[slot].request, &arrived, MPI_STATUSES_IGNORE));
    return arrived;
}

/* Sums the pieces of all subtrees, given in leaf order, as the tree does. The result lands in
 * part[0]. */
static void fold(Subtree *part, int n_part, int64_t n)
{
    while (n_part > 1) {
        int kept = 0;
        for (int i = 0; i < n_part; i++) {
            if (kept > 0 && are_halves(&part[kept - 1], &part[i])) {
                add_into(part[kept - 1].sum, part[i].sum, n);
                part[kept - 1].width *= 2;
            } else {
                part[kept++] = part[i];
            }
        }
        n_part = kept;
    }
}

static void sum_region(TreeSum *ts)
{
    const int rank = ts->comm->rank;
    const int64_t *at = region(ts, ts->summed), n = at[rank + 1] - at[rank];
    float *inbox = ts->way[ts->summed % ON_THE_WAY].inbox, *sum = ts->own[0].sum + at[rank];
    list_parts(ts, ts->part); /* as they were before the last region was folded */
    for (int i = 0, tag = 0; i < ts->n_part; i++) {
        const int first = ts->part[i].first;
        if (first_leaf(ts, rank) <= first && first < end_leaf(ts)) {
            ts->part[i].sum = ts->own[tag++].sum + at[rank];
        } else {
            ts->part[i].sum = inbox;
            inbox += n;
        }
    }
    fold(ts->part, ts->n_part, n);
    if (ts->part[0].sum != sum) memcpy(sum, ts->part[0].sum, (size_t)n * sizeof *sum);
    ts->summed++;
}

/* Sends what is complete and adds up what has arrived; wait: until all is done. */
static void advance(TreeSum *ts, bool wait)
{
    for (;;) {
        while (ts->sent < n_region(ts) && ts->sent - ts->summed < ON_THE_WAY &&
               region(ts, ts->sent)[0] >= ts->complete)
            send_region(ts);
        if (ts->summed == ts->sent || !has_arrived(ts, wait)) break;
        sum_region(ts);
    }
}

void tree_sum_complete(TreeSum *ts, int64_t from)
{
    if (ts->comm->size == 1) return;
    ASSERT(ts->n_own > 0 && ts->own[ts->n_own - 1].first == end_leaf(ts) - 1);
    if (from < ts->complete) ts->complete = from;
    advance(ts, false);
}

int64_t tree_sum_n_sent(const TreeSum *ts)
{
    return ts->sent;
}

float *tree_sum_finish(TreeSum *ts)
{
    const Comm *c = ts->comm;
    while (ts->next < end_leaf(ts)) {
        if (ts->n_own == 0 || ts->own[ts->n_own - 1].first < ts->next) (void)tree_sum_leaf(ts);
        tree_sum_leaf_done(ts);
    }
    if (c->size == 1) return ts->own[0].sum;
    ts->complete = 0;
    advance(ts, true);
    drop_own(ts, 1);
    if (ts->even.at) comm_share_pieces(c, ts->own[0].sum, &ts->even);
    return ts->own[0].sum;
}
