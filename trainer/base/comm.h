/* comm.h — the only door to MPI: start and end, agreement on errors, ordered sums. */
#ifndef TRAINER_BASE_COMM_H
#define TRAINER_BASE_COMM_H
#include "trainer/base/status.h"

typedef struct Comm Comm; /* opaque: a communicator and what we know of it */

/* Starts MPI (MPI_THREAD_FUNNELED) and gives the world. Call once; comm_finish ends MPI.
 * A launch that lost its ranks (the scheduler says N > 1 tasks, the world has 1) is refused.
 * Rank  collective   Errors  ST_CONFIG for such a launch */
CHECKED Status comm_start(int *argc, char ***argv, Comm **world);
void comm_finish(Comm *world);

/* For programs and tests that stay on one rank and never start MPI. Rank: local. */
const Comm *comm_self(void);

int comm_rank(const Comm *c);
int comm_size(const Comm *c);
int comm_node_rank(const Comm *c); /* among the ranks of this node */
int comm_node_size(const Comm *c);
int comm_n_node(const Comm *c);

/* Ranks with the same colour form a new communicator, ordered by rank. Rank: collective. */
CHECKED Status comm_split(const Comm *c, int color, Comm **part);
void comm_destroy(Comm *c);

/* Turns one rank's answer into everybody's: the worst code, and the message of the first rank that
 * has it ("rank 2: ..." unless all ranks have it). Rank: collective; ranks that failed call it too */
CHECKED Status comm_agree(const Comm *c, Status local);

/* Element-wise reductions of a few numbers, in place, same result on all ranks. Rank: collective.
 */
void comm_max_i64(const Comm *c, int64_t *x, int n);
void comm_min_i64(const Comm *c, int64_t *x, int n);
void comm_sum_i64(const Comm *c, int64_t *x, int n); /* exact, so order does not matter */
void comm_bcast(const Comm *c, void *p, size_t n_bytes, int root);
void comm_barrier(const Comm *c);

/* Which rank has what of a long vector: piece i, [at[i], at[i+1]), is rank i % size's. `size` neighbouring pieces are a
 * region: wherever in the vector work is, there is some for every rank. */
typedef struct Cut {
    int64_t n_piece; /* a multiple of size */
    int64_t *
        at; /* (n_piece + 1), ascending, from 0 to the length of the vector; the same on all ranks */
} Cut;

enum { CUT_GRAIN = 1 << 14 }; /* numbers of a piece, on average, where there are that many */

/* Into how many regions n numbers are to be cut: so many that ranks need little memory for what they tell each other of one. */
int64_t comm_n_region(const Comm *c, int64_t n);

/* What each rank has of x in its pieces reaches all others. Rank: collective. */
void comm_share_pieces(const Comm *c, float *x, const Cut *cut);

/* Every rank gives n_bytes (its own number); rank 0 receives all of them in rank order.
 * Owns  *all and *n_each (size entries) are the caller's, NULL on other ranks. Rank: collective. */
CHECKED Status comm_gather(const Comm *c, const void *mine, size_t n_bytes, void **all,
                           size_t **n_each);

/* True on all ranks when all gave the same hash. Rank: collective. */
bool comm_same(const Comm *c, uint64_t hash);

/* Ends the job on every rank at once, for what cannot be agreed on. */
void comm_abort(int exit_code) __attribute__((noreturn));
void comm_hostname(char *buf, size_t n_buf);
#endif
