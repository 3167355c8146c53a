/* mpi_cpu.c — ranks of a node divide its CPUs between them. */
#include "tests/test_helper.h"
#include "trainer/base/cpu.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>

START_TEST(shares_do_not_overlap_while_cores_last)
{
    const Comm *world = test_world();
    CpuShare share;
    unsetenv("OMP_NUM_THREADS");
    T_OK(cpu_claim_share(world, 0, &share));
    T_TRUE(share.n_thread >= 1);
    cpu_set_t own;
    T_EQ_I64(sched_getaffinity(0, sizeof own, &own), 0);
    T_EQ_I64(CPU_COUNT(&own), share.n_cpu);
    int64_t users[CPU_SETSIZE] = {0};
    for (int i = 0; i < CPU_SETSIZE; i++) users[i] = CPU_ISSET(i, &own) != 0;
    comm_sum_i64(world, users, CPU_SETSIZE);
    int64_t most = 0, n_cpu = 0;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (users[i] > most) most = users[i];
        n_cpu += users[i] > 0;
    }
    if (most == 1)
        T_TRUE(n_cpu >= comm_size(world)); /* everybody has some, nobody the same */
    else
        T_EQ_I64(share.n_thread, 1); /* more ranks than cores: all share all */
    T_TRUE(most == 1 || n_cpu < comm_size(world) || share.n_core < comm_size(world));
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *t[] = {shares_do_not_overlap_while_cores_last};
    return test_main_mpi("mpi.cpu", argc, argv, t, N_OF(t));
}
