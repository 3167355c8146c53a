/* fault_run.c — one allocation or system call of a whole training run fails, on one of its ranks: the run
 * ends with the same error on all of them, what was saved before stays good, and the same command goes on to the
 * same bits. Under mpirun the first rank is broken, then the last. SAMPLES in the environment says how many of the
 * places are broken (default 12; 0: all of them). */
#include "checkpoints/ckpt.h"
#include "tests/test_helper.h"
#include "trainer/base/log.h"
#include "trainer/io/files.h"
#include "trainer/run/train.h"
#include "trainer/tensor/gemm.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static RunConfig *read_config(const char *dir)
{
    RunConfig *cfg = NULL;
    char *text =
        mem_printf("output_dir: %s/l\n"
                   "cache_dir: %s/cache\n"
                   "version: v1\n"
                   "datasets: [{type: world, name: w, world_version: 1, world_bytes: 900}]\n"
                   "eval_datasets: [{type: world, name: e, world_version: 2, world_bytes: 200}]\n"
                   "model: {hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,\n"
                   "        num_attention_heads: 1, vocab_size: 256}\n"
                   "max_seq_length: 16\n"
                   "global_batch_size: 4\n"
                   "optim: adamw_8bit\n"
                   "save_steps: 5\n"
                   "save_total_limit: 1\n"
                   "eval_steps: 4\n"
                   "average_main: true\n"
                   "average_every: 1\n",
                   dir, dir);
    T_OK(config_parse("fault.yaml", text, strlen(text), 0, NULL, &cfg));
    mem_free(text);
    return cfg;
}

/* All checkpoints at `dir` and below are whole; counts them. */
static int64_t verify_below(const char *dir)
{
    int64_t n = 0, n_intact = 0;
    char **names = NULL, *manifest = path_join(dir, "manifest.json");
    if (path_exists(manifest)) {
        T_OK(ckpt_verify(dir));
        n_intact = 1;
    } else if (path_is_dir(dir)) {
        T_OK(dir_list(dir, &names, &n));
    }
    for (int64_t i = 0; i < n; i++) {
        char *path = path_join(dir, names[i]);
        if (path_is_dir(path) && !strstr(names[i], ".tmp-")) n_intact += verify_below(path);
        mem_free(path);
    }
    dir_list_free(names, n);
    mem_free(manifest);
    return n_intact;
}

static void read_hashes(const RunConfig *cfg, char hashes[3][65])
{
    static const char *const ENDS[] = {"branch-points/v1", "releases/v1", "releases/v1-averaged"};
    for (int i = 0; i < 3; i++) {
        Ckpt *k = NULL;
        char *dir = path_join(cfg->output_dir, ENDS[i]);
        T_OK(ckpt_open(dir, &k));
        snprintf(hashes[i], 65, "%s", ckpt_payload_sha256(k));
        ckpt_close(k);
        mem_free(dir);
    }
}

/* A run says much on the console; none of it is looked at here. */
static int silence(void)
{
    fflush(stderr);
    const int kept = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
    return kept;
}

static void speak(int kept)
{
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
}

static Status quiet_train(const RunConfig *cfg)
{
    const int kept = silence();
    const Status rc = train(test_world(), cfg);
    speak(kept);
    return rc;
}

static char whole[3][65]; /* of the run that nothing befell */

static void expect_whole(const RunConfig *cfg)
{
    char now[3][65];
    read_hashes(cfg, now);
    for (int i = 0; i < 3; i++) T_EQ_STR(now[i], whole[i]);
}

static bool is_rank(int r)
{
    return comm_rank(test_world()) == r;
}

/* Breaks place n of a fresh run on one rank, and runs it again. False: it has no such place. */
static bool break_run(int rank, int64_t n, bool stays, int64_t *n_absorbed)
{
    char *dir = mem_printf("%s/run", test_dir());
    RunConfig *cfg = read_config(dir);
    const int64_t live = mem_live();
    int64_t hit = 0;
    if (is_rank(rank)) fault_arm(n, stays);
    Status rc = quiet_train(cfg);
    if (is_rank(rank)) hit = fault_disarm();
    comm_max_i64(test_world(), &hit, 1);
    rc = test_agreed(rc);
    ck_assert_msg(hit || rc == ST_OK, "nothing was broken: %s", status_message());
    ck_assert_msg(rc == ST_OK || status_message()[0], "place %lld: %s: \"%s\" (%s)", LL(n),
                  status_name(rc), status_message(), status_trail());
    ck_assert_msg(rc == ST_OK || rc == ST_IO || rc == ST_NOMEM || rc == ST_DATA,
                  "place %lld: %s, %s", LL(n), status_name(rc), status_message());
    status_clear();
    ck_assert_msg(mem_live() == live, "place %lld: %lld blocks were not freed", LL(n),
                  LL(mem_live() - live));
    *n_absorbed += hit && rc == ST_OK;
    if (is_rank(0)) verify_below(cfg->output_dir);
    comm_barrier(test_world());
    if (rc != ST_OK) {
        rc = quiet_train(cfg);
        ck_assert_msg(rc == ST_OK, "after place %lld: %s", LL(n), status_message());
    }
    expect_whole(cfg);
    T_EQ_I64(mem_live(), live);
    T_OK(comm_agree(test_world(), is_rank(0) ? dir_remove(dir) : ST_OK));
    config_destroy(cfg);
    mem_free(dir);
    return hit;
}

static int64_t n_place; /* on this rank, in a run from its start to its end */

static void break_rank(int rank, bool stays)
{
    const char *given = getenv("SAMPLES");
    const int64_t n_sample = given ? atoll(given) : 12;
    int64_t n_absorbed = 0, n_tried = 0, n_there = n_place;
    comm_bcast(test_world(), &n_there, sizeof n_there, rank);
    const int64_t stride = n_sample > 0 && n_there > n_sample ? n_there / n_sample : 1;
    for (int64_t n = 1 + n_there % stride; n <= n_there; n += stride, n_tried++)
        ck_assert_msg(break_run(rank, n, stays, &n_absorbed),
                      "place %lld of %lld on rank %d was not reached", LL(n), LL(n_there), rank);
    if (is_rank(0))
        printf("rank %d: %lld places, every %lldth broken%s: %lld runs, %lld came through all the "
               "same\n",
               rank, LL(n_there), LL(stride), stays ? " for good" : "", LL(n_tried),
               LL(n_absorbed));
    /* Nothing depends on what the header looks up, on the title of a leg, on status.json; and a
     * checkpoint that cannot be read is not counted among those that are kept. These are 3 of 100
     * places; a dozen of them may meet two. */
    T_TRUE(n_absorbed <= 1 + n_tried / 10);
}

static void break_runs(bool stays)
{
    const int last = comm_size(test_world()) - 1;
    break_rank(0, stays);
    if (last > 0) break_rank(last, stays);
}

START_TEST(nothing_fails)
{
    char *dir = mem_printf("%s/whole", test_dir());
    RunConfig *cfg = read_config(dir);
    fault_arm(INT64_MAX, false);
    const Status rc = quiet_train(cfg);
    T_TRUE(!fault_disarm());
    n_place = fault_passed();
    T_OK(rc);
    if (is_rank(0)) T_EQ_I64(verify_below(cfg->output_dir), 6);
    comm_barrier(test_world());
    read_hashes(cfg, whole);
    config_destroy(cfg);
    mem_free(dir);
    T_EQ_I64(mem_live(), comm_size(test_world()) > 1); /* the world itself */
}
END_TEST

START_TEST(one_call_fails)
{
    break_runs(false);
}
END_TEST

START_TEST(all_calls_from_one_on_fail)
{
    break_runs(true);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *t[] = {nothing_fails, one_call_fails, all_calls_from_one_on_fail};
    log_set_level(LOG_ERROR);
    if (gemm_init("openblas", "fp32") != ST_OK) return EXIT_FAILURE;
    if (!getenv("OMPI_COMM_WORLD_SIZE")) return test_main("fault.run", t, N_OF(t));
    return test_main_mpi("fault.run", argc, argv, t, N_OF(t));
}
