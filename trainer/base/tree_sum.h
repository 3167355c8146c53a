/* tree_sum.h — the ordered gradient sum: G group sums added in one fixed binary tree, whatever the
 * rank count.
 *
 * Leaves 0..G-1 (G a power of two). Rank r of P (P <= G) owns leaves [r G / P, (r+1) G / P). Inside
 * a rank, finished subtrees are merged as soon as both halves exist, so at most log2(G) + 1 buffers
 * live. Between ranks, whole subtrees travel: each rank owns a stretch of the vector, receives it of
 * every subtree, a slice at a time, adds in tree order, and hands the sum to all, or keeps it where
 * each needs its own stretch alone. Every addition is left + right of the same tree, so the bits do
 * not depend on P. A leaf may hold anything: losses and
 * counts travel at the tail of the gradient. */
#ifndef TRAINER_BASE_TREE_SUM_H
#define TRAINER_BASE_TREE_SUM_H
#include "trainer/base/comm.h"

typedef struct TreeSum TreeSum;

/* n floats per leaf. cut (P + 1 places, from 0 to n): rank r wants [cut[r], cut[r+1]) of the sum;
 * NULL: all ranks want all of it.
 *
 * Rank    replicated arguments, no communication
 * Errors  ST_NOMEM, ST_CONFIG when P > G or G is no power of two
 * Owns    borrows cut */
CHECKED Status tree_sum_create(const Comm *c, int n_leaf, int64_t n, const int64_t *cut,
                               TreeSum **ts);
void tree_sum_destroy(TreeSum *ts);
/* Memory that the rank with most of it will hold. Rank: replicated. */
int64_t tree_sum_bytes(const Comm *c, int n_leaf, int64_t n);

void tree_sum_leaves(const TreeSum *ts, int *first, int *end); /* this rank's leaves */

/* A zeroed buffer of n floats for this rank's next leaf; fill it, then tree_sum_leaf_done. NULL:
 * out of memory. Rank: local. */
float *tree_sum_leaf(TreeSum *ts);
void tree_sum_leaf_done(TreeSum *ts);

/* A zeroed buffer of n floats outside the sum, to look at one contribution alone; valid until the next call of any
 * function here. NULL: out of memory. Rank: local. */
float *tree_sum_alone(TreeSum *ts);

/* After all own leaves: the sum over all G leaves, to be scaled in place by the caller if it likes;
 * with a cut, in the own stretch alone. Valid until the next tree_sum_leaf. Rank: collective. */
float *tree_sum_finish(TreeSum *ts);

/* Between two sums: gives the buffers back; the next leaf gets new ones. Rank: local. */
void tree_sum_rest(TreeSum *ts);
#endif
