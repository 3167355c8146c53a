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

enum { MAX_RANK = 16 };

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

/* Of n floats, rank r of P wants those from n (r/P)^2 on: shares of very different length. */
static void uneven_cut(int64_t n, int64_t *cut)
{
    const int size = comm_size(test_world());
    for (int r = 0; r <= size; r++) cut[r] = n * r * r / (size * size);
}

static void check_sum(int n_leaf, int64_t n, const int64_t *cut)
{
    TreeSum *ts = NULL;
    const int rank = comm_rank(test_world());
    const int64_t begin = cut ? cut[rank] : 0, last = cut ? cut[rank + 1] : n;
    T_OK(tree_sum_create(test_world(), n_leaf, n, cut, &ts));
    for (int again = 0; again < 2; again++) {
        int first, end;
        tree_sum_leaves(ts, &first, &end);
        for (int leaf = first; leaf < end; leaf++) {
            float *buf = tree_sum_leaf(ts);
            for (int64_t i = 0; i < n; i++) buf[i] += leaf_value(leaf, i);
            tree_sum_leaf_done(ts);
        }
        const float *sum = tree_sum_finish(ts);
        for (int64_t i = begin; i < last; i++) {
            const float expected = tree_at(0, n_leaf, i);
            if (memcmp(&sum[i], &expected, sizeof expected) !=
                0) /* a passing assertion costs a write */
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
    const int64_t large = ((int64_t)1 << 22) + 12345;
    for (int n_leaf = 4; n_leaf <= 32; n_leaf *= 2) {
        check_sum(n_leaf, 1, NULL);
        check_sum(n_leaf, 17, NULL);
        check_sum(n_leaf, 5000, NULL);
    }
    check_sum(8, large, NULL);
}
END_TEST

START_TEST(ordered_sum_gives_each_rank_its_own_stretch)
{
    int64_t cut[MAX_RANK + 1];
    const int64_t sizes[] = {1, 17, 5000, ((int64_t)1 << 22) + 12345};
    for (int64_t i = 0; i < N_OF(sizes); i++) {
        uneven_cut(sizes[i], cut);
        check_sum(8, sizes[i], cut);
    }
}
END_TEST

START_TEST(slices_reach_all_ranks)
{
    enum { N = 1000 };
    int64_t cut[MAX_RANK + 1];
    float x[N];
    const int rank = comm_rank(test_world());
    uneven_cut(N, cut);
    for (int64_t i = 0; i < N; i++)
        x[i] = cut[rank] <= i && i < cut[rank + 1] ? leaf_value(1, i) : NAN;
    comm_share_slices(test_world(), x, cut);
    for (int64_t i = 0; i < N; i++) T_TRUE(x[i] == leaf_value(1, i));
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
                        ordered_sum_gives_each_rank_its_own_stretch,
                        slices_reach_all_ranks,
                        ordered_sum_refuses_more_ranks_than_groups};
    return test_main_mpi("mpi.base", argc, argv, t, N_OF(t));
}
