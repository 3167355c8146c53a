/* comm_mpi.h — what comm.c, tree_sum.c and bench/loggp.c share; nobody else sees MPI. */
#ifndef TRAINER_BASE_COMM_MPI_H
#define TRAINER_BASE_COMM_MPI_H
#include "trainer/base/comm.h"
#include <mpi.h>

struct Comm {
    MPI_Comm handle;
    bool mpi, owns; /* mpi false: the communicator of one rank without MPI */
    int rank, size, node_rank, node_size, n_node;
};

/* Where the slice begins that lies `at` into rank r's part of a cut vector; past its end: its end. */
static inline int64_t cut_begin(const int64_t *cut, int r, int64_t at)
{
    return cut[r] + at < cut[r + 1] ? cut[r] + at : cut[r + 1];
}

/* Length of the longest part. */
static inline int64_t cut_longest(const int64_t *cut, int size)
{
    int64_t most = 0;
    for (int r = 0; r < size; r++)
        if (cut[r + 1] - cut[r] > most) most = cut[r + 1] - cut[r];
    return most;
}

void comm_check_mpi(int code, const char *call);
#define MPI_DO(call) comm_check_mpi(call, #call)
#endif
