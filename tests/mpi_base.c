/* mpi_base.c — agreement on errors, small reductions, and the ordered sum against one rank's own.
 */
#include "tests/test_helper.h"
#include "trainer/base/tree_sum.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static Status fail_on(int rank)
{
    Status rc = ST_OK;
    CHECK(comm_rank(test_world()) != rank, DATA, "cannot open shard_%02d.bin", rank);
out:
    return rc;
}

START_TEST(one_rank_fails_all_ranks_know)
{
    const Comm *c = test_world();
    char expected[64] = "cannot open shard_00.bin";
    for (int r = 0; r < comm_size(c); r++) {
        if (comm_size(c) > 1)
            snprintf(expected, sizeof expected, "rank %d: cannot open shard_%02d.bin", r, r);
        T_EQ_I64(comm_agree(c, fail_on(r)), ST_DATA);
        T_EQ_STR(status_message(), expected);
        status_clear();
    }
    T_OK(comm_agree(c, fail_on(-1)));
}
END_TEST

START_TEST(small_reductions_and_gather)
{
    const Comm *c = test_world();
    const int rank = comm_rank(c), size = comm_size(c);
    int64_t x[2] = {rank, -rank};
    comm_max_i64(c, x, 2);
    T_EQ_I64(x[0], size - 1);
    T_EQ_I64(x[1], 0);
    T_TRUE(comm_same(c, 42));
    T_EQ_I64(comm_same(c, (uint64_t)rank), size == 1);
    char text[16];
    void *all = NULL;
    size_t *n_each = NULL;
    memset(text, 'a' + rank, sizeof text);
    T_OK(comm_gather(c, text, (size_t)rank + 1, &all, &n_each));
    T_EQ_I64(all != NULL, rank == 0);
    for (int r = 0, at = 0; rank == 0 && r < size; at += ++r) {
        T_EQ_I64(n_each[r], r + 1);
        T_EQ_I64(((char *)all)[at], 'a' + r);
    }
    mem_free(all);
    mem_free(n_each);
}
END_TEST

START_TEST(split_makes_smaller_worlds)
{
    const Comm *c = test_world();
    Comm *half = NULL;
    T_OK(comm_split(c, comm_rank(c) % 2, &half));
    T_EQ_I64(comm_size(half), (comm_size(c) + (comm_rank(c) % 2 == 0)) / 2);
    int64_t one = 1;
    comm_sum_i64(half, &one, 1);
    T_EQ_I64(one, comm_size(half));
    comm_destroy(half);
}
END_TEST

enum { LARGE = (1 << 22) + 12345 };

static float leaf_value(int leaf, int64_t i)
{
    return (float)((i * 2654435761u + (uint32_t)leaf * 40503u) % 1000003u) * 1e-3f - 400.0f;
}

/* What the tree is by definition: left half + right half. */
static float tree_at(int first, int width, int64_t i)
{
    if (width == 1) return leaf_value(first, i);
    return tree_at(first, width / 2, i) + tree_at(first + width / 2, width / 2, i);
}

/* n floats in n_region regions, the i-th of R pieces from n (i/R)^2 on: pieces of very different length, some empty. */
static Cut uneven_cut(int64_t n, int n_region)
{
    const int64_t n_piece = (int64_t)comm_size(test_world()) * n_region;
    const Cut cut = {n_piece, mem_array(n_piece + 1, sizeof *cut.at)};
    for (int64_t i = 0; i <= n_piece; i++)
        cut.at[i] = (int64_t)((double)n * (double)(i * i) / (double)(n_piece * n_piece));
    return cut;
}

static bool is_mine(const Cut *cut, int64_t i)
{
    int64_t piece = 0;
    while (cut && cut->at[piece + 1] <= i) piece++;
    return !cut || piece % comm_size(test_world()) == comm_rank(test_world());
}

/* n_early > 0: fills the last leaf from its end on, in so many parts, and says so after each. */
static void fill_leaf(TreeSum *ts, int leaf, int64_t n, int n_early)
{
    float *buf = tree_sum_leaf(ts);
    for (int part = n_early; part > 0; part--) {
        const int64_t from = n * (part - 1) / n_early;
        for (int64_t i = from; i < n * part / n_early; i++) buf[i] += leaf_value(leaf, i);
        tree_sum_complete(ts, from);
    }
    for (int64_t i = 0; n_early == 0 && i < n; i++) buf[i] += leaf_value(leaf, i);
    T_TRUE(n_early == 0 || comm_size(test_world()) == 1 || tree_sum_n_sent(ts) > 0);
    tree_sum_leaf_done(ts);
}

static void check_sum(int n_leaf, int64_t n, const Cut *cut, int n_early)
{
    TreeSum *ts = NULL;
    T_OK(tree_sum_create(test_world(), n_leaf, n, cut, &ts));
    for (int again = 0; again < 2; again++) {
        int first, end;
        tree_sum_leaves(ts, &first, &end);
        T_OK(tree_sum_begin(ts));
        for (int leaf = first; leaf < end; leaf++)
            fill_leaf(ts, leaf, n, leaf == end - 1 ? n_early : 0);
        const float *sum = tree_sum_finish(ts);
        for (int64_t i = 0; i < n; i += n < LARGE ? 1 : 11) {
            const float expected = tree_at(0, n_leaf, i);
            if (memcmp(&sum[i], &expected, sizeof expected) != 0 && is_mine(cut, i))
                ck_abort_msg("leaves %d, element %lld: %.9g, expected %.9g", n_leaf, LL(i),
                             (double)sum[i], (double)expected);
        }
        const int64_t live = mem_live();
        tree_sum_rest(ts);
        T_TRUE(mem_live() < live);
    }
    tree_sum_destroy(ts);
}

START_TEST(ordered_sum_is_the_tree_whatever_the_ranks)
{
    for (int n_leaf = 4; n_leaf <= 32; n_leaf *= 2) {
        check_sum(n_leaf, 1, NULL, 0);
        check_sum(n_leaf, 17, NULL, 0);
        check_sum(n_leaf, 5000, NULL, 0);
    }
    check_sum(8, LARGE, NULL, 0);
}
END_TEST

START_TEST(ordered_sum_gives_each_rank_its_own_pieces)
{
    const int64_t sizes[] = {1, 17, 5000, LARGE};
    for (int64_t i = 0; i < N_OF(sizes); i++)
        for (int n_region = 1; n_region <= 5; n_region += 2) {
            const Cut cut = uneven_cut(sizes[i], n_region);
            check_sum(8, sizes[i], &cut, 0);
            mem_free(cut.at);
        }
}
END_TEST

START_TEST(what_is_complete_early_travels_early)
{
    const int64_t sizes[] = {1, 17, 5000, LARGE};
    for (int64_t i = 0; i < N_OF(sizes); i++)
        for (int n_early = sizes[i] == LARGE ? 7 : 1; n_early <= 7; n_early += 3) {
            const Cut cut = uneven_cut(sizes[i], 5);
            check_sum(8, sizes[i], &cut, n_early);
            check_sum(4, sizes[i], NULL, n_early);
            mem_free(cut.at);
        }
}
END_TEST

/* One rank fills nothing, another but the first part of its last leaf: nobody waits, and the next sum is right. */
START_TEST(a_sum_that_failed_is_finished)
{
    TreeSum *ts = NULL;
    const int rank = comm_rank(test_world());
    int first, end;
    const Cut cut = uneven_cut(LARGE, 5);
    T_OK(tree_sum_create(test_world(), 8, LARGE, &cut, &ts));
    tree_sum_leaves(ts, &first, &end);
    for (int round = 0; round < 2; round++) {
        T_OK(tree_sum_begin(ts));
        for (int leaf = first; leaf < end && (rank > 0 || round == 1); leaf++) {
            if (round == 0 && leaf == end - 1) {
                (void)tree_sum_leaf(ts);
                tree_sum_complete(ts, LARGE / 2);
            } else {
                fill_leaf(ts, leaf, LARGE, leaf == end - 1 ? 3 : 0);
            }
        }
        const float *sum = tree_sum_finish(ts);
        for (int64_t i = 0; i < LARGE && round == 1; i += 4099)
            if (is_mine(&cut, i)) T_TRUE(sum[i] == tree_at(0, 8, i));
    }
    tree_sum_destroy(ts);
    mem_free(cut.at);
}
END_TEST

START_TEST(pieces_reach_all_ranks)
{
    enum { N = 1000 };
    const int n_region[] = {1, 3, 64, 200}; /* more than travel at a time */
    float x[N];
    for (int k = 0; k < N_OF(n_region); k++) {
        const Cut cut = uneven_cut(N, n_region[k]);
        for (int64_t i = 0; i < N; i++) x[i] = is_mine(&cut, i) ? leaf_value(1, i) : NAN;
        comm_share_pieces(test_world(), x, &cut);
        for (int64_t i = 0; i < N; i++) T_TRUE(x[i] == leaf_value(1, i));
        mem_free(cut.at);
    }
}
END_TEST

START_TEST(ordered_sum_refuses_more_ranks_than_groups)
{
    TreeSum *ts = NULL;
    T_FAILS(tree_sum_create(test_world(), 3, 10, NULL, &ts), CONFIG, "power of two");
    if (comm_size(test_world()) > 1)
        T_FAILS(tree_sum_create(test_world(), 1, 10, NULL, &ts), CONFIG, "reduction groups");
    T_EQ_I64(mem_live(), 1); /* the world itself */
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *t[] = {one_rank_fails_all_ranks_know,
                        small_reductions_and_gather,
                        split_makes_smaller_worlds,
                        ordered_sum_is_the_tree_whatever_the_ranks,
                        ordered_sum_gives_each_rank_its_own_pieces,
                        what_is_complete_early_travels_early,
                        a_sum_that_failed_is_finished,
                        pieces_reach_all_ranks,
                        ordered_sum_refuses_more_ranks_than_groups};
    return test_main_mpi("mpi.base", argc, argv, t, N_OF(t));
}
