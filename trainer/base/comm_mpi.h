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

void comm_check_mpi(int code, const char *call);
#define MPI_DO(call) comm_check_mpi(call, #call)
#endif
