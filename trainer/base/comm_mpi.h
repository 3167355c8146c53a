/* comm_mpi.h — what comm.c and tree_sum.c share; nobody else includes MPI. */
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
