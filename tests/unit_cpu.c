/* unit_cpu.c — how cores are cut between ranks, and what one rank alone gets. */
#include "tests/test_helper.h"
#include "trainer/base/cpu.h"
#include <omp.h>
#include <stdlib.h>

START_TEST(parts_are_whole_cores_and_cover_everything)
{
    static const int64_t core[] = {0, 0, 1, 1, 2, 2, 7, 7, 8, 8}; /* five cores, two threads each */
    for (int count = 1; count <= 5; count++) {
        int n_core = 0, at = 0;
        for (int index = 0; index < count; index++) {
            int first, end;
            const int n = cpu_part(core, N_OF(core), index, count, &first, &end);
            T_EQ_I64(first, at);
            T_EQ_I64(end - first, 2 * n);
            T_TRUE(n >= 5 / count && n <= 5 / count + 1);
            at = end;
            n_core += n;
        }
        T_EQ_I64(at, N_OF(core));
        T_EQ_I64(n_core, 5);
    }
}
END_TEST

START_TEST(more_ranks_than_cores_share_all)
{
    static const int64_t core[] = {3, 4};
    int first, end;
    T_EQ_I64(cpu_part(core, 2, 2, 3, &first, &end), 2);
    T_EQ_I64(first, 0);
    T_EQ_I64(end, 2);
    T_EQ_I64(cpu_part(core, 0, 0, 1, &first, &end), 0);
    T_EQ_I64(end, 0);
}
END_TEST

START_TEST(threads_follow_config_then_environment_then_cores)
{
    CpuShare share;
    unsetenv("OMP_NUM_THREADS");
    T_OK(cpu_claim_share(comm_self(), 0, &share));
    T_TRUE(share.n_core >= 1 && share.n_cpu >= share.n_core);
    T_TRUE(share.n_thread >= 1 && share.n_thread <= share.n_core);
    T_EQ_I64(omp_get_max_threads(), share.n_thread);
    setenv("OMP_NUM_THREADS", "5", 1);
    omp_set_num_threads(5);
    T_OK(cpu_claim_share(comm_self(), 0, &share));
    T_EQ_I64(share.n_thread, 5);
    T_OK(cpu_claim_share(comm_self(), 3, &share));
    T_EQ_I64(share.n_thread, 3);
    T_EQ_I64(omp_get_max_threads(), 3);
    unsetenv("OMP_NUM_THREADS");
}
END_TEST

START_TEST(users_own_binding_is_left_alone)
{
    CpuShare share;
    setenv("OMP_PROC_BIND", "true", 1);
    T_TRUE(!cpu_environment());
    omp_set_num_threads(2);
    T_OK(cpu_claim_share(comm_self(), 0, &share));
    T_EQ_I64(share.n_thread, 2);
    unsetenv("OMP_PROC_BIND");
}
END_TEST

static int spin_count(const char *threads)
{
    unsetenv("GOMP_SPINCOUNT");
    setenv("OMP_NUM_THREADS", threads, 1);
    T_TRUE(cpu_environment());
    T_TRUE(!cpu_environment()); /* set now: once is enough */
    return atoi(getenv("GOMP_SPINCOUNT"));
}

START_TEST(threads_spin_for_a_short_time)
{
    unsetenv("OMP_WAIT_POLICY");
    T_TRUE(spin_count("1") < 100000);
    T_TRUE(spin_count("100000") < spin_count("1"));
    setenv("GOMP_SPINCOUNT", "7", 1);
    T_TRUE(!cpu_environment());
    T_EQ_STR(getenv("GOMP_SPINCOUNT"), "7");
    unsetenv("OMP_NUM_THREADS");
    unsetenv("GOMP_SPINCOUNT");
}
END_TEST

START_TEST(survives_missing_memory)
{
    const int64_t live = mem_live();
    for (int n = 1;; n++) {
        CpuShare share;
        fault_arm(n, false);
        const Status rc = cpu_claim_share(comm_self(), 0, &share);
        const bool hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        T_EQ_I64(mem_live(), live);
        status_clear();
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *t[] = {parts_are_whole_cores_and_cover_everything,
                        more_ranks_than_cores_share_all,
                        threads_follow_config_then_environment_then_cores,
                        users_own_binding_is_left_alone,
                        threads_spin_for_a_short_time,
                        survives_missing_memory};
    return test_main("unit.cpu", t, N_OF(t));
}
