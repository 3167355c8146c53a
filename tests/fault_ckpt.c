/* fault_ckpt.c — allocations and system calls fail in turn, the disk is full, the job is killed: the
 * previous checkpoint stays good. */
#include "tests/ckpt_fixture.h"
#include "trainer/base/log.h"
#include <errno.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static char *step_path(const char *parent, int64_t step)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/step-%06lld", parent, LL(step));
    return path;
}

static bool is_gone_or_whole(const char *dir)
{
    return !path_exists(dir) || ckpt_verify(dir) == ST_OK;
}

/* Breaks every place of a write, or every `stride`th; the checkpoint before it stays good. `n_absorbed`:
 * places without which a checkpoint is written all the same. */
static void break_writes(const char *name, bool background, bool stays, int stride,
                         int64_t n_absorbed)
{
    Fixture f, next;
    fixture_init(&f, 1);
    fixture_init(&next, 2);
    next.opts.checkpoint_part_bytes = 16384; /* two parts */
    const char *parent = fixture_path(name);
    char *old = path_join(parent, "step-000010"), *new = path_join(parent, "step-000020");
    T_OK(fixture_write(&f, old));
    const int64_t live = mem_live();
    for (int n = 1;; n += stride) {
        fault_arm(n, stays);
        const Status rc = fixture_write_on(&next, comm_self(), new, background);
        const bool hit = fault_disarm();
        T_TRUE(hit || rc == ST_OK);
        T_EQ_I64(mem_live(), live);
        if (!hit) break;
        T_TRUE(rc == ST_OK || rc == ST_IO || rc == ST_NOMEM);
        T_TRUE(rc == ST_OK ? path_exists(new) : strlen(status_message()) > 10);
        n_absorbed -= rc == ST_OK;
        status_clear();
        T_TRUE(is_gone_or_whole(new));
        fixture_expect(&f, old);
        T_OK(ckpt_prune(parent, 5)); /* what a next start does */
        T_OK(dir_remove(new));
        char **names = NULL;
        int64_t n_name = 0;
        T_OK(dir_list(parent, &names, &n_name));
        T_EQ_I64(n_name, 1);
        dir_list_free(names, n_name);
    }
    T_EQ_I64(n_absorbed, 0);
    T_OK(ckpt_verify(old));
    T_OK(ckpt_verify(new));
    mem_free(old);
    mem_free(new);
}

START_TEST(a_write_fails_at_every_place_in_turn)
{
    break_writes("once", false, false, 1, 0);
    break_writes("for-ever", false, true, 1, 0);
    break_writes("thread-once", true, false, 1, 2); /* the copy, the thread */
    break_writes("thread-for-ever", true, true, 1, 0);
}
END_TEST

START_TEST(the_json_library_runs_out_of_memory)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    break_writes("json", false, false, 5, 0);
    json_set_alloc_funcs(malloc, free);
}
END_TEST

START_TEST(reading_fails_at_every_place_in_turn)
{
    Fixture f;
    fixture_init(&f, 1);
    char *parent = fixture_path("r"), *path = NULL;
    T_OK(fixture_write(&f, fixture_path("r/step-000010")));
    for (int stays = 0; stays <= 1; stays++) {
        for (int n = 1;; n++) {
            fault_arm(n, stays);
            const Status rc = ckpt_verify(fixture_path("r/step-000010"));
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc != ST_OK));
            T_TRUE(!hit || rc == ST_NOMEM || rc == ST_DATA);
            status_clear();
            T_EQ_I64(mem_live(), 0);
            if (!hit) break;
        }
        for (int n = 1;; n++) {
            fault_arm(n, stays);
            const Status rc =
                ckpt_newest(parent, &path); /* unreadable is damaged: then there is none */
            const bool hit = fault_disarm();
            T_TRUE(hit == (rc != ST_OK));
            T_TRUE((path != NULL) == (rc == ST_OK));
            status_clear();
            mem_free(path);
            T_EQ_I64(mem_live(), 0);
            if (!hit) break;
        }
    }
}
END_TEST

START_TEST(pruning_fails_at_every_place_in_turn)
{
    Fixture f;
    fixture_init(&f, 1);
    char *parent = fixture_path("p"), *path = NULL;
    char *a = fixture_path("p/step-000010"), *b = fixture_path("p/step-000020");
    T_OK(fixture_write(&f, b));
    for (int stays = 0; stays <= 1; stays++) {
        for (int n = 1;; n++) {
            if (!path_exists(a)) T_OK(fixture_write(&f, a));
            T_OK(dir_make(fixture_path("p/step-000030.tmp-99/x")));
            fault_arm(n, stays);
            const Status rc = ckpt_prune(parent, 1);
            const bool hit = fault_disarm();
            T_TRUE(
                !hit || rc != ST_OK ||
                path_exists(a)); /* a checkpoint that cannot be read is not counted, nor removed */
            status_clear();
            T_EQ_I64(mem_live(), 0);
            T_TRUE(is_gone_or_whole(a));
            T_OK(ckpt_verify(b));
            if (!hit) break;
        }
        T_TRUE(!path_exists(a) && !path_exists(fixture_path("p/step-000030.tmp-99")));
        T_OK(ckpt_newest(parent, &path));
        T_HAS(path, "step-000020");
        mem_free(path);
    }
}
END_TEST

START_TEST(a_full_disk_leaves_the_earlier_checkpoint)
{
    Fixture f;
    fixture_init(&f, 1);
    char *disk = fixture_path("disk"), **names = NULL, *path = NULL;
    int64_t n = 0, n_full[2] = {0};
    T_OK(dir_make(disk));
    if (geteuid() != 0) T_SKIP("only root may mount a small disk");
    if (mount("tmpfs", disk, "tmpfs", 0, "size=160k") != 0)
        T_SKIP("a tmpfs cannot be mounted here");
    T_OK(fixture_write(&f, fixture_path("disk/step-000001")));
    for (int step = 2; step < 10;
         step++) { /* 60 kB each; what is left is full in the middle of one */
        char name[64];
        snprintf(name, sizeof name, "disk/step-%06d", step);
        const bool background = step % 2;
        const Status rc = fixture_write_on(&f, comm_self(), fixture_path(name), background);
        if (rc == ST_OK) continue;
        n_full[background]++;
        T_TRUE(rc == ST_IO);
        T_HAS(status_message(), "No space left on device");
        T_HAS(status_message(), name);
        status_clear();
        T_TRUE(!path_exists(fixture_path(name)));
    }
    T_TRUE(n_full[0] > 0 && n_full[1] > 0);
    T_OK(dir_list(disk, &names, &n));
    T_TRUE(n >= 1 && n < 4);
    for (int64_t i = 0; i < n; i++) {
        T_TRUE(strstr(names[i], "tmp") == NULL);
        char *dir = path_join(disk, names[i]);
        fixture_expect(&f, dir);
        T_OK(ckpt_verify(dir));
        mem_free(dir);
    }
    dir_list_free(names, n);
    T_OK(ckpt_newest(disk, &path));
    T_TRUE(path != NULL);
    mem_free(path);
    T_TRUE(umount2(disk, MNT_DETACH) == 0);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* Writes one checkpoint after the other until it is killed; tells the step of each finished one. */
static void write_for_ever(const Fixture *f, int64_t step, int told)
{
    const char *parent = fixture_path("killed");
    for (Fixture now = *f;; step++) {
        now.info.step = step;
        if (fixture_write(&now, step_path(parent, step)) != ST_OK) _exit(1);
        if (write(told, &step, sizeof step) != sizeof step) _exit(1);
        if (ckpt_prune(parent, 2) != ST_OK) _exit(1);
    }
}

START_TEST(a_killed_job_loses_no_finished_checkpoint)
{
    enum { N_KILL = 30 };
    Fixture f;
    Rng rng;
    int64_t step = 1, n_written = 0;
    fixture_init(&f, 1);
    rng_init(&rng, 1, 0);
    const double start = clock_s();
    T_OK(fixture_write(&f, fixture_path("killed/step-000000")));
    const double one_write_s = clock_s() - start;
    for (int kills = 0; kills < N_KILL; kills++) {
        int told[2], status = 0;
        int64_t last = step - 1, found = 0;
        char *path = NULL;
        T_TRUE(pipe(told) == 0);
        const pid_t child = fork();
        T_TRUE(child >= 0);
        if (child == 0) write_for_ever(&f, step, told[1]);
        close(told[1]);
        usleep((useconds_t)(rng_uniform(&rng) * 3e6 * one_write_s));
        T_TRUE(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
        T_TRUE(WIFSIGNALED(status));
        while (read(told[0], &last, sizeof last) == sizeof last) n_written++;
        close(told[0]);
        T_OK(ckpt_newest(fixture_path("killed"), &path));
        if (path) {
            found = strtoll(strrchr(path, '-') + 1, NULL, 10);
            T_OK(ckpt_verify(path));
            fixture_expect(&f, path);
        }
        T_TRUE(found >= last); /* one may have been published and not told */
        T_OK(ckpt_prune(fixture_path("killed"), 2));
        mem_free(path);
        step = found + 1;
    }
    T_TRUE(n_written > 0);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

int main(void)
{
    const TTest *t[] = {
        a_write_fails_at_every_place_in_turn,      the_json_library_runs_out_of_memory,
        reading_fails_at_every_place_in_turn,      pruning_fails_at_every_place_in_turn,
        a_full_disk_leaves_the_earlier_checkpoint, a_killed_job_loses_no_finished_checkpoint};
    log_set_level(LOG_ERROR);
    omp_set_num_threads(1); /* a forked child has no other threads to wait for */
    return test_main("fault.ckpt", t, N_OF(t));
}
