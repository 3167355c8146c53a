/* loggp.c — what a message between two ranks of this machine costs, by the model of LogGP.
 *
 *   mpirun -n 2 build/release/bench/loggp
 *
 * Alexandrov, Ionescu, Schauser, Scheiman 1995, "LogGP: incorporating long messages into the LogP model": n bytes are there
 * o + (n - 1) G + L + o after the call, and a processor sends at most one message every g.
 *   o  the time of MPI_Isend of one byte, until it returns
 *   L  half a round trip of one byte, without 2 o
 *   g  of a train of messages of one byte, the time of each
 *   G  the slope of n bytes that both ranks send to each other at once, as the ordered sum does, 1 to 16 MiB
 *   A  and beside the model: the time to add a float to another, both ranks at once
 * Prints "key value" lines, seconds, medians; then the exchange of each size, measured and by the model. */
#include "trainer/base/comm_mpi.h"
#include "trainer/base/cpu.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <stdlib.h>

enum { N_ROUND = 31, N_TRAIN = 256, MAX_BYTES = 32 << 20, FLAT = 1 << 20, STEEP = 16 << 20 };

typedef struct Pair {
    const Comm *comm;
    int other;
    char *out, *in; /* (MAX_BYTES) */
    MPI_Request requests[2 * N_TRAIN];
} Pair;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over rounds of what one returns; the first round warms up. Rank: collective. */
static double median_of(Pair *p, double (*one)(Pair *p, int n_bytes), int n_bytes)
{
    double s[N_ROUND];
    one(p, n_bytes);
    for (int i = 0; i < N_ROUND; i++) {
        comm_barrier(p->comm);
        s[i] = one(p, n_bytes);
    }
    qsort(s, N_ROUND, sizeof *s, by_value);
    return s[N_ROUND / 2];
}

static void send(Pair *p, int n_bytes)
{
    MPI_DO(MPI_Send(p->out, n_bytes, MPI_CHAR, p->other, 0, p->comm->handle));
}

static void receive(Pair *p, int n_bytes)
{
    MPI_DO(MPI_Recv(p->in, n_bytes, MPI_CHAR, p->other, 0, p->comm->handle, MPI_STATUS_IGNORE));
}

static double round_trip(Pair *p, int n_bytes)
{
    const double begin = clock_s();
    for (int i = 0; i < N_TRAIN; i++) {
        if (p->other) send(p, n_bytes);
        receive(p, n_bytes);
        if (!p->other) send(p, n_bytes);
    }
    return (clock_s() - begin) / N_TRAIN;
}

/* Rank 0 sends, rank 1 receives. Both say how long rank 0 was busy with a call, or with the whole train. */
static double train(Pair *p, int n_bytes, bool whole)
{
    const double begin = clock_s();
    for (int i = 0; i < N_TRAIN; i++)
        MPI_DO(p->other ? MPI_Isend(p->out, n_bytes, MPI_CHAR, p->other, 0, p->comm->handle,
                                    &p->requests[i])
                        : MPI_Irecv(p->in, n_bytes, MPI_CHAR, p->other, 0, p->comm->handle,
                                    &p->requests[i]));
    const double called = clock_s();
    MPI_DO(MPI_Waitall(N_TRAIN, p->requests, MPI_STATUSES_IGNORE));
    if (p->other) /* the last one has arrived */
        receive(p, 1);
    else
        send(p, 1);
    return ((whole ? clock_s() : called) - begin) / N_TRAIN;
}

static double call(Pair *p, int n_bytes)
{
    return train(p, n_bytes, false);
}

static double gap(Pair *p, int n_bytes)
{
    return train(p, n_bytes, true);
}

/* Both at once. */
static double exchange(Pair *p, int n_bytes)
{
    const double begin = clock_s();
    MPI_DO(MPI_Irecv(p->in, n_bytes, MPI_CHAR, p->other, 0, p->comm->handle, &p->requests[0]));
    MPI_DO(MPI_Isend(p->out, n_bytes, MPI_CHAR, p->other, 0, p->comm->handle, &p->requests[1]));
    MPI_DO(MPI_Waitall(2, p->requests, MPI_STATUSES_IGNORE));
    return clock_s() - begin;
}

static double addition(Pair *p, int n_bytes)
{
    const int64_t n = n_bytes / (int)sizeof(float);
    float *restrict left = (float *)p->in;
    const float *restrict right = (const float *)p->out;
    const double begin = clock_s();
    for (int64_t i = 0; i < n; i++) left[i] += right[i];
    return (clock_s() - begin) / (double)n;
}

static void measure(Pair *p)
{
    const double o = median_of(p, call, 1), g = median_of(p, gap, 1),
                 half = median_of(p, round_trip, 1) / 2, flat = median_of(p, exchange, FLAT),
                 steep = median_of(p, exchange, STEEP), G = (steep - flat) / (STEEP - FLAT),
                 L = half > 2 * o ? half - 2 * o : 0, A = median_of(p, addition, STEEP);
    if (p->comm->rank == 0)
        printf("L %.3e\no %.3e\ng %.3e\nG %.3e\nA %.3e\n# %10s %12s %12s\n", L, o, g, G, A, "bytes",
               "measured, s", "model, s");
    for (int n = 1; n <= MAX_BYTES; n *= 8) {
        const double s = median_of(p, exchange, n);
        if (p->comm->rank == 0) printf("# %10d %12.3e %12.3e\n", n, s, 2 * o + L + (n - 1) * G);
    }
}

static Status run(const Comm *world)
{
    Status rc = ST_OK;
    CpuShare share;
    Pair p = {.comm = world, .other = 1 - comm_rank(world)};
    CHECK(comm_size(world) == 2, USAGE, "loggp: found %d ranks, expected 2", comm_size(world));
    TRY(cpu_claim_share(world, 1, &share)); /* as in training */
    p.out = mem_alloc(MAX_BYTES);
    p.in = mem_alloc(MAX_BYTES);
    TRY(comm_agree(world, p.out && p.in
                              ? ST_OK
                              : status_fail(ST_NOMEM, __FILE__, __LINE__, "loggp: messages")));
    measure(&p);
out:
    mem_free(p.out);
    mem_free(p.in);
    return rc;
}

int main(int argc, char **argv)
{
    Comm *world = NULL;
    Status rc = comm_start(&argc, &argv, &world);
    if (rc == ST_OK) rc = comm_agree(world, run(world));
    if (rc != ST_OK) LOG_E("%s", status_message());
    comm_finish(world);
    return status_exit_code(rc);
}
