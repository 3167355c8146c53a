/* tree_sum.h — the ordered gradient sum: G group sums added in one fixed binary tree, whatever the
 * rank count.
 *
 * Leaves 0..G-1 (G a power of two). Rank r of P (P <= G) owns leaves [r G / P, (r+1) G / P). Inside
 * a rank, finished subtrees are merged as soon as both halves exist, so at most log2(G) + 1 buffers
 * live. Between ranks, whole subtrees travel: each rank owns a slice of the vector, receives that
 * slice of every subtree, adds in tree order, and hands the sum to all. Every addition is left +
 * right of the same tree, so the bits do not depend on P. A leaf may hold anything: losses and
 * counts travel at the tail of the gradient. */
#ifndef TRAINER_BASE_TREE_SUM_H
#define TRAINER_BASE_TREE_SUM_H
#include "trainer/base/comm.h"

typedef struct TreeSum TreeSum;

/* n floats per leaf. Rank: replicated arguments, no communication. Errors: ST_NOMEM, ST_CONFIG when
 * P > G or G is no power of two. */
CHECKED Status tree_sum_create(const Comm *c, int n_leaf, int64_t n, TreeSum **ts);
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

/* After all own leaves: the sum over all G leaves on every rank, to be scaled in place by the
 * caller if it likes. Valid until the next tree_sum_leaf. Rank: collective. */
float *tree_sum_finish(TreeSum *ts);
#endif
