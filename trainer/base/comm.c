/* comm.c — the only file that calls MPI, with tree_sum.c. An MPI call that fails cannot be agreed
 * on: it aborts. */
#include "trainer/base/comm_mpi.h"
#include "trainer/base/log.h"
#include "trainer/base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool mpi_runs;
static const Comm SELF = {.size = 1, .node_size = 1, .n_node = 1, .mpi = false};

void comm_check_mpi(int code, const char *call)
{
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(code, text, &n);
    LOG_LOCAL(LOG_ERROR, "%s: %s", call, text);
    comm_abort(status_exit_code(ST_PEER));
}

const Comm *comm_self(void)
{
    return &SELF;
}

/* How many tasks the scheduler says it started; 0 when no scheduler is seen. */
static int scheduled_tasks(void)
{
    const char *n = getenv("SLURM_STEP_NUM_TASKS");
    return n ? atoi(n) : 0;
}

static Status comm_wrap(MPI_Comm handle, bool owns, Comm **out)
{
    Status rc = ST_OK;
    Comm *c = mem_alloc(sizeof *c);
    CHECK(c, NOMEM, "communicator: %zu bytes", sizeof *c);
    c->mpi = true;
    c->owns = owns;
    c->handle = handle;
    MPI_DO(MPI_Comm_rank(handle, &c->rank));
    MPI_DO(MPI_Comm_size(handle, &c->size));
    MPI_Comm node;
    MPI_DO(MPI_Comm_split_type(handle, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &node));
    MPI_DO(MPI_Comm_rank(node, &c->node_rank));
    MPI_DO(MPI_Comm_size(node, &c->node_size));
    MPI_DO(MPI_Comm_free(&node));
    int is_first = c->node_rank == 0;
    MPI_DO(MPI_Allreduce(&is_first, &c->n_node, 1, MPI_INT, MPI_SUM, handle));
    *out = c;
out:
    return rc;
}

Status comm_start(int *argc, char ***argv, Comm **world)
{
    Status rc = ST_OK;
    int provided = 0;
    MPI_DO(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
    mpi_runs = true;
    status_on_assert(comm_abort);
    MPI_DO(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    TRY(comm_wrap(MPI_COMM_WORLD, false, world));
    log_set_rank((*world)->rank, (*world)->size);
    CHECK((*world)->size > 1 || scheduled_tasks() <= 1, CONFIG,
          "the scheduler started %d tasks but this one is alone: start them with mpirun, or srun "
          "--mpi=pmix",
          scheduled_tasks());
out:
    return rc;
}

void comm_finish(Comm *world)
{
    comm_destroy(world);
    if (mpi_runs) MPI_Finalize();
    mpi_runs = false;
}

void comm_destroy(Comm *c)
{
    if (!c || c == &SELF) return;
    if (c->owns) MPI_Comm_free(&c->handle);
    mem_free(c);
}

void comm_abort(int exit_code)
{
    fflush(NULL);
    if (mpi_runs) MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code);
}

int comm_rank(const Comm *c)
{
    return c->rank;
}

int comm_size(const Comm *c)
{
    return c->size;
}

int comm_node_rank(const Comm *c)
{
    return c->node_rank;
}

int comm_node_size(const Comm *c)
{
    return c->node_size;
}

int comm_n_node(const Comm *c)
{
    return c->n_node;
}

Status comm_split(const Comm *c, int color, Comm **part)
{
    if (!c->mpi) {
        *part = (Comm *)c;
        return ST_OK;
    }
    MPI_Comm handle;
    MPI_DO(MPI_Comm_split(c->handle, color, c->rank, &handle));
    return comm_agree(c, comm_wrap(handle, true, part));
}

Status comm_agree(const Comm *c, Status local)
{
    if (c->size == 1) return local;
    struct {
        int status, rank;
    } mine = {local, c->rank}, worst;
    MPI_DO(MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MAXLOC, c->handle));
    if (worst.status == ST_OK) return ST_OK;
    char text[1024];
    int64_t alike = (int)local == worst.status; /* then it is no news which rank speaks */
    comm_min_i64(c, &alike, 1);
    if (worst.rank == c->rank && alike)
        snprintf(text, sizeof text, "%s", status_message());
    else if (worst.rank == c->rank)
        snprintf(text, sizeof text, "rank %d: %s", c->rank, status_message());
    comm_bcast(c, text, sizeof text, worst.rank);
    return status_adopt((Status)worst.status, text);
}

static void reduce_i64(const Comm *c, int64_t *x, int n, MPI_Op op)
{
    if (c->size > 1) MPI_DO(MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_INT64_T, op, c->handle));
}

void comm_max_i64(const Comm *c, int64_t *x, int n)
{
    reduce_i64(c, x, n, MPI_MAX);
}

void comm_min_i64(const Comm *c, int64_t *x, int n)
{
    reduce_i64(c, x, n, MPI_MIN);
}

void comm_sum_i64(const Comm *c, int64_t *x, int n)
{
    reduce_i64(c, x, n, MPI_SUM);
}

void comm_bcast(const Comm *c, void *p, size_t n_bytes, int root)
{
    enum { CHUNK = 1 << 30 }; /* MPI counts are int */
    for (size_t at = 0; c->size > 1 && at < n_bytes; at += CHUNK) {
        const size_t n = n_bytes - at < CHUNK ? n_bytes - at : CHUNK;
        MPI_DO(MPI_Bcast((char *)p + at, (int)n, MPI_BYTE, root, c->handle));
    }
}

void comm_barrier(const Comm *c)
{
    if (c->size > 1) MPI_DO(MPI_Barrier(c->handle));
}

int64_t comm_n_region(const Comm *c, int64_t n)
{
    enum { REGION = 1 << 20 };
    const int64_t least = (int64_t)c->size * CUT_GRAIN, region = least > REGION ? least : REGION;
    return n < region ? 1 : n / region;
}

/* Every rank sends to the k-th after it while it receives from the k-th before it, for all k: no
 * message waits for another. */
void comm_share_pieces(const Comm *c, float *x, const Cut *cut)
{
    enum { MOST = 64 }; /* regions at a time */
    MPI_Request request[2 * MOST];
    for (int k = 1; k < c->size; k++) {
        const int to = (c->rank + k) % c->size, from = (c->rank - k + c->size) % c->size;
        int n = 0;
        for (int64_t first = 0; first < cut->n_piece; first += c->size) {
            const int64_t *in = cut->at + first + from, *out = cut->at + first + c->rank;
            MPI_DO(MPI_Irecv(x + in[0], (int)(in[1] - in[0]), MPI_FLOAT, from, 0, c->handle,
                             &request[n++]));
            MPI_DO(MPI_Isend(x + out[0], (int)(out[1] - out[0]), MPI_FLOAT, to, 0, c->handle,
                             &request[n++]));
            if (n < 2 * MOST && first + c->size < cut->n_piece) continue;
            MPI_DO(MPI_Waitall(n, request, MPI_STATUSES_IGNORE));
            n = 0;
        }
    }
}

Status comm_gather(const Comm *c, const void *mine, size_t n_bytes, void **all, size_t **n_each)
{
    Status rc = ST_OK;
    const bool root = c->rank == 0;
    int *counts = NULL, *starts = NULL;
    int64_t n = (int64_t)n_bytes, total = 0;
    *all = NULL;
    *n_each = NULL;
    counts = root ? mem_array(c->size, sizeof *counts) : NULL;
    starts = root ? mem_array(c->size, sizeof *starts) : NULL;
    *n_each = root ? mem_array(c->size, sizeof **n_each) : NULL;
    comm_sum_i64(c, &n, 1);
    *all = root ? mem_alloc((size_t)n) : NULL;
    const bool have = !root || (counts && starts && *n_each && *all);
    TRY(comm_agree(c, have && n < (1 << 30) ? ST_OK
                                            : status_fail(ST_NOMEM, __FILE__, __LINE__,
                                                          "gather: %lld bytes", LL(n))));
    if (c->size == 1) {
        memcpy(*all, mine, n_bytes);
        (*n_each)[0] = n_bytes;
        goto out;
    }
    const int own = (int)n_bytes;
    MPI_DO(MPI_Gather(&own, 1, MPI_INT, counts, 1, MPI_INT, 0, c->handle));
    for (int r = 0; root && r < c->size; r++) {
        starts[r] = (int)total;
        total += counts[r];
        (*n_each)[r] = (size_t)counts[r];
    }
    MPI_DO(MPI_Gatherv(mine, own, MPI_BYTE, *all, counts, starts, MPI_BYTE, 0, c->handle));
out:
    mem_free(counts);
    mem_free(starts);
    if (rc != ST_OK) {
        mem_free(*all);
        mem_free(*n_each);
        *all = NULL;
        *n_each = NULL;
    }
    return rc;
}

bool comm_same(const Comm *c, uint64_t hash)
{
    int64_t x[2] = {(int64_t)hash, ~(int64_t)hash}; /* the minimum of ~x is ~ of the maximum */
    comm_min_i64(c, x, 2);
    return x[0] == ~x[1];
}

void comm_hostname(char *buf, size_t n_buf)
{
    if (gethostname(buf, n_buf) != 0) snprintf(buf, n_buf, "unknown");
    buf[n_buf - 1] = '\0';
}
