/* tree_sum.h — the ordered gradient sum: G group sums added in one fixed binary tree, whatever the
 * rank count.
 *
 * Leaves 0..G-1 (G a power of two). Rank r of P (P <= G) owns leaves [r G / P, (r+1) G / P). Inside
 * a rank, finished subtrees are merged as soon as both halves exist, so at most log2(G) + 1 buffers
 * live. Between ranks, whole subtrees travel: each rank owns pieces of the vector, receives them of
 * every subtree, a region at a time, adds in tree order, and hands the sum to all, or keeps it where
 * each needs its own pieces alone. Regions whose numbers are complete travel while the others are
 * still computed. Every addition is left + right of the same tree, so the bits do not depend on P,
 * nor on when something was sent. */
#ifndef TRAINER_BASE_TREE_SUM_H
#define TRAINER_BASE_TREE_SUM_H
#include "trainer/base/comm.h"

typedef struct TreeSum TreeSum;

/* n floats per leaf. cut: each rank wants its pieces of the sum; NULL: all ranks want all of it.
 *
 * Rank    replicated arguments, no communication
 * Errors  ST_NOMEM, ST_CONFIG when P > G or G is no power of two
 * Owns    borrows cut */
CHECKED Status tree_sum_create(const Comm *c, int n_leaf, int64_t n, const Cut *cut, TreeSum **ts);
void tree_sum_destroy(TreeSum *ts);
/* Memory that the rank with most of it will hold, at most: with a cut whose pieces are CUT_GRAIN longer than equal ones. Rank: replicated. */
int64_t tree_sum_bytes(const Comm *c, int n_leaf, int64_t n);

void tree_sum_leaves(const TreeSum *ts, int *first, int *end); /* this rank's leaves */

/* A new sum, and the memory for it; the last one is dropped. Rank: local; all ranks have to agree that
 * it went well before a leaf is filled. Errors: ST_NOMEM */
CHECKED Status tree_sum_begin(TreeSum *ts);

/* A zeroed buffer of n floats for this rank's next leaf; fill it, then tree_sum_leaf_done. Rank: local. */
float *tree_sum_leaf(TreeSum *ts);
void tree_sum_leaf_done(TreeSum *ts);

/* While this rank's last leaf is filled: what it holds from `from` on is complete. Sends what it can and adds up what has
 * come, waiting for nobody; to be called often, messages advance in it. Rank: local. */
void tree_sum_complete(TreeSum *ts, int64_t from);
int64_t
tree_sum_n_sent(const TreeSum *ts); /* regions on their way or summed, since tree_sum_begin */

/* The sum over all G leaves, to be scaled in place by the caller if it likes; with a cut, in the own pieces alone. Leaves
 * that were not filled, because something failed, count as they are: every rank that began has to come here, or others
 * would wait. Valid until the next tree_sum_begin. Rank: collective. */
float *tree_sum_finish(TreeSum *ts);

/* A zeroed buffer of n floats outside the sum, to look at one contribution alone; valid until the next call of any
 * function here, and not while leaves are filled. NULL: out of memory. Rank: local. */
float *tree_sum_alone(TreeSum *ts);

/* Between two sums: gives the buffers back. Rank: local. */
void tree_sum_rest(TreeSum *ts);
#endif
