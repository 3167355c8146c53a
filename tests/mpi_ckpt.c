/* mpi_ckpt.c — ranks write one checkpoint: the same whatever their number, or none at all. */
#include "tests/ckpt_fixture.h"

static Status write_all(const Fixture *f, const char *dir)
{
    return fixture_write_on(f, test_world(), dir, false);
}

static int64_t live_at_start; /* the communicator's own */

static bool only_rank_0(void)
{
    return comm_rank(test_world()) == 0;
}

static void expect_same_files(const char *one, const char *other)
{
    char **names = NULL;
    int64_t n = 0;
    T_OK(dir_list(other, &names, &n));
    T_EQ_I64(n, 5);
    for (int64_t i = 0; i < n; i++) {
        char *a = path_join(one, names[i]), *b = path_join(other, names[i]), hash_a[SHA256_HEX],
             hash_b[SHA256_HEX];
        int64_t bytes = 0;
        T_OK(sha256_file(a, hash_a, &bytes));
        T_OK(sha256_file(b, hash_b, &bytes));
        T_EQ_STR(hash_a, hash_b);
        mem_free(a);
        mem_free(b);
    }
    dir_list_free(names, n);
}

START_TEST(any_number_of_ranks_writes_the_same_files)
{
    Fixture f;
    live_at_start = mem_live();
    fixture_init(&f, 3);
    char *alone = fixture_path("alone"), *together = fixture_path("together");
    T_OK(write_all(&f, together));
    fixture_expect(&f, together);
    T_OK(ckpt_verify(together));
    if (only_rank_0()) {
        T_OK(fixture_write(&f, alone));
        expect_same_files(alone, together);
    }
    comm_barrier(test_world());
    T_EQ_I64(mem_live(), live_at_start);
}
END_TEST

START_TEST(what_changes_meanwhile_is_not_written)
{
    Fixture f, then;
    CkptWrite *w = NULL;
    fixture_init(&f, 7);
    fixture_init(&then, 7);
    char *foreground = fixture_path("foreground"), *background = fixture_path("background");
    T_OK(write_all(&then, foreground));
    T_OK(fixture_begin(&f, test_world(), background, true, &w));
    for (int i = 0; i < N_VALUE; i++) f.val[i] = -1.0f;
    T_TRUE(!path_exists(background));
    while (!ckpt_write_done(w)) { /* it does so by itself */
    }
    T_TRUE(!path_exists(background));
    T_OK(ckpt_write_end(w));
    fixture_expect(&then, background);
    T_OK(ckpt_verify(background));
    if (only_rank_0()) expect_same_files(foreground, background);
    comm_barrier(test_world());
    T_EQ_I64(mem_live(), live_at_start);
}
END_TEST

START_TEST(a_dropped_checkpoint_leaves_nothing)
{
    Fixture f;
    CkptWrite *w = NULL;
    char *parent = fixture_path("dropped"), *dir = fixture_path("dropped/step-000120");
    fixture_init(&f, 8);
    T_OK(fixture_begin(&f, test_world(), dir, true, &w));
    ckpt_write_drop(w);
    if (only_rank_0()) {
        char **names = NULL;
        int64_t n = 0;
        T_OK(dir_list(parent, &names, &n));
        T_EQ_I64(n, 0);
        dir_list_free(names, n);
    }
    comm_barrier(test_world());
    T_EQ_I64(mem_live(), live_at_start);
}
END_TEST

/* Every third place of a write fails on the first rank, then on the last. In the background two of
 * all end in a checkpoint all the same: a rank without a copy, or without a thread, does it itself. */
static void break_one_rank(bool background)
{
    Fixture f;
    fixture_init(&f, 4);
    char *parent = fixture_path("fails"), *dir = fixture_path("fails/step-000120");
    const int victims[] = {0, comm_size(test_world()) - 1};
    for (int64_t v = 0; v < N_OF(victims); v++) {
        int64_t n_absorbed = 0, hit = 1;
        for (int n = 1; hit; n += 3) {
            int64_t n_name = 0;
            hit = 0;
            if (comm_rank(test_world()) == victims[v]) fault_arm(n, false);
            const Status rc = test_agreed(fixture_write_on(&f, test_world(), dir, background));
            if (comm_rank(test_world()) == victims[v]) hit = fault_disarm();
            comm_max_i64(test_world(), &hit, 1);
            T_TRUE(hit || rc == ST_OK);
            T_TRUE(rc == ST_OK || rc == ST_IO || rc == ST_NOMEM);
            T_TRUE((rc != ST_OK) == (strlen(status_message()) > 0));
            status_clear();
            n_absorbed += hit && rc == ST_OK;
            if (only_rank_0()) {
                char **names = NULL;
                if (path_exists(parent)) T_OK(dir_list(parent, &names, &n_name));
                if (n_name ==
                    1) { /* when only the very last sync failed it is there and whole, too */
                    T_EQ_STR(names[0], "step-000120");
                    T_OK(ckpt_verify(dir));
                }
                T_TRUE(n_name <= 1 && (rc != ST_OK || n_name == 1));
                dir_list_free(names, n_name);
                T_OK(dir_remove(dir));
            }
            comm_barrier(test_world());
            T_EQ_I64(mem_live(), live_at_start);
        }
        T_TRUE(n_absorbed <= (background ? 2 : 0));
    }
}

START_TEST(one_rank_that_cannot_write_stops_all_and_leaves_nothing)
{
    break_one_rank(false);
    break_one_rank(true);
}
END_TEST

START_TEST(an_existing_directory_is_refused_by_all)
{
    Fixture f;
    fixture_init(&f, 5);
    char *dir = fixture_path("exists");
    T_OK(write_all(&f, dir));
    T_FAILS(test_agreed(write_all(&f, dir)), IO, "exists: exists already");
    T_OK(ckpt_verify(dir));
    comm_barrier(test_world());
}
END_TEST

START_TEST(ranks_that_drifted_apart_are_refused)
{
    Fixture f;
    fixture_init(&f, 6);
    char *dir = fixture_path("drift");
    if (comm_size(test_world()) == 1) T_SKIP("one rank cannot differ from itself");
    if (comm_rank(test_world()) == comm_size(test_world()) - 1) f.t[2].val[59] += 1e-6f;
    T_FAILS(test_agreed(write_all(&f, dir)), BUG,
            "the ranks hold different numbers in param/model.layers.2.norm.weight");
    T_FAILS(test_agreed(fixture_write_on(&f, test_world(), dir, true)), BUG,
            "the ranks hold different numbers in param/model.layers.2.norm.weight");
    T_TRUE(!path_exists(dir));
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *t[] = {any_number_of_ranks_writes_the_same_files,
                        what_changes_meanwhile_is_not_written,
                        a_dropped_checkpoint_leaves_nothing,
                        one_rank_that_cannot_write_stops_all_and_leaves_nothing,
                        an_existing_directory_is_refused_by_all,
                        ranks_that_drifted_apart_are_refused};
    return test_main_mpi("mpi.ckpt", argc, argv, t, N_OF(t));
}
