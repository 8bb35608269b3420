/* SPDX-License-Identifier: Apache-2.0
 * comm_mpi: see comm_mpi.h. Counts of MPI calls are ints; blocks are sent as units of UNIT bytes where they divide, so
 * that a block may be 2 GiB times UNIT.
 */
#include "parallel/comm_mpi.h"

#include <mpi.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

struct mpi_comm {
    MPI_Comm comm;
    int *counts[4];                  /* send counts and offsets, receive counts and offsets, [size] each */
};

static int world_rank, world_size = 1, local_rank;

static void check(int code, const char *call)
{
    if (code == MPI_SUCCESS)
        return;
    char text[MPI_MAX_ERROR_STRING];
    int len = 0;
    MPI_Error_string(code, text, &len);
    ff_die(FF_EINTERNAL, __FILE__, __LINE__, "%s failed on rank %d: %.*s", call, world_rank, len, text);
}

/* --- 1. the world ----------------------------------------------------------------------------------------------- */

static void abort_job(void)
{
    int running = 0;
    if (MPI_Initialized(&running) == MPI_SUCCESS && running)
        MPI_Abort(MPI_COMM_WORLD, FF_EINTERNAL);
}

ff_status ff_comm_mpi_start(int *argc, char ***argv)
{
    int provided = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return ff_fail(FF_EUSAGE,
                       "MPI could not start; try without mpirun to see whether the program runs on one rank");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &world_size), "MPI_Comm_size");
    MPI_Comm node;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, &node),
          "MPI_Comm_split_type");
    check(MPI_Comm_rank(node, &local_rank), "MPI_Comm_rank");
    MPI_Comm_free(&node);
    ff_log_set_rank(world_rank);
    ff_die_set_hook(abort_job, world_rank);
    return FF_OK;
}

void ff_comm_mpi_stop(void)
{
    MPI_Finalize();
}

int ff_comm_mpi_rank(void)
{
    return world_rank;
}

int ff_comm_mpi_size(void)
{
    return world_size;
}

int ff_comm_mpi_local_rank(void)
{
    return local_rank;
}

/* --- 2. collectives --------------------------------------------------------------------------------------------- */

static struct mpi_comm *impl(const struct ff_comm *c)
{
    return c->impl;
}

enum { UNIT = 4 };                   /* every tensor's block is a multiple of 2 bytes, most of 4 */

/* Bytes to counts of the datatype; all blocks of a call use the same one. */
static MPI_Datatype unit_of(int n, const size_t *a, const size_t *b, const size_t *c, const size_t *d)
{
    const size_t *lists[4] = {a, b, c, d};
    for (int l = 0; l < 4; l++)
        for (int i = 0; lists[l] != NULL && i < n; i++)
            if (lists[l][i] % UNIT != 0)
                return MPI_BYTE;
    return MPI_INT32_T;
}

static int *to_counts(struct mpi_comm *m, int which, int n, const size_t *bytes, MPI_Datatype type)
{
    size_t unit = type == MPI_BYTE ? 1 : UNIT;
    for (int i = 0; i < n; i++) {
        FF_ASSERT(bytes[i] / unit <= INT32_MAX);
        m->counts[which][i] = (int)(bytes[i] / unit);
    }
    return m->counts[which];
}

static void count(struct ff_comm *c, enum ff_collective kind, double bytes, double start)
{
    c->stats.calls[kind]++;
    c->stats.bytes[kind] += bytes;
    c->stats.seconds[kind] += ff_clock_now() - start;
}

static void all_gather(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    struct mpi_comm *m = impl(c);
    double start = ff_clock_now();
    MPI_Datatype type = unit_of(c->size, bytes, offset, NULL, NULL);
    int *counts = to_counts(m, 2, c->size, bytes, type), *displs = to_counts(m, 3, c->size, offset, type);
    check(MPI_Allgatherv(send, counts[c->rank], type, recv, counts, displs, type, m->comm), "MPI_Allgatherv");
    count(c, FF_ALL_GATHER, (double)bytes[c->rank] * (c->size - 1), start);
}

static void all_to_all(struct ff_comm *c, const void *send, const size_t *send_bytes, const size_t *send_offset,
                       void *recv, const size_t *recv_bytes, const size_t *recv_offset)
{
    struct mpi_comm *m = impl(c);
    double start = ff_clock_now(), sent = 0.0;
    int n = c->size;
    MPI_Datatype type = unit_of(n, send_bytes, send_offset, recv_bytes, recv_offset);
    check(MPI_Alltoallv(send, to_counts(m, 0, n, send_bytes, type), to_counts(m, 1, n, send_offset, type), type, recv,
                        to_counts(m, 2, n, recv_bytes, type), to_counts(m, 3, n, recv_offset, type), type, m->comm),
          "MPI_Alltoallv");
    for (int i = 0; i < n; i++)
        sent += i != c->rank ? (double)send_bytes[i] : 0.0;
    count(c, FF_ALL_TO_ALL, sent, start);
}

static void broadcast(struct ff_comm *c, void *data, size_t bytes, int root)
{
    double start = ff_clock_now();
    enum { MOST = 1 << 30 };
    for (size_t at = 0; at < bytes; at += MOST) {
        size_t n = bytes - at < MOST ? bytes - at : MOST;
        check(MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, root, impl(c)->comm), "MPI_Bcast");
    }
    count(c, FF_BROADCAST, c->rank == root ? (double)bytes * (c->size - 1) : 0.0, start);
}

static void gather_host(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    struct mpi_comm *m = impl(c);
    MPI_Datatype type = unit_of(c->size, bytes, offset, NULL, NULL);
    int *counts = to_counts(m, 2, c->size, bytes, type), *displs = to_counts(m, 3, c->size, offset, type);
    check(MPI_Gatherv(send, counts[c->rank], type, recv, counts, displs, type, 0, m->comm), "MPI_Gatherv");
}

static void barrier(struct ff_comm *c)
{
    check(MPI_Barrier(impl(c)->comm), "MPI_Barrier");
}

static void destroy(struct ff_comm *c)
{
    struct mpi_comm *m = impl(c);
    MPI_Comm_free(&m->comm);
    for (int i = 0; i < 4; i++)
        free(m->counts[i]);
    free(m);
    free(c);
}

struct ff_comm *ff_comm_mpi_split(int color)
{
    struct mpi_comm *m = FF_NEW(struct mpi_comm);
    struct ff_comm *c = FF_NEW(struct ff_comm);
    check(MPI_Comm_split(MPI_COMM_WORLD, color, world_rank, &m->comm), "MPI_Comm_split");
    *c = (struct ff_comm){
        .name = "mpi",
        .impl = m,
        .all_gather = all_gather,
        .all_to_all = all_to_all,
        .broadcast = broadcast,
        .gather_host = gather_host,
        .broadcast_host = broadcast,
        .barrier = barrier,
        .destroy = destroy,
    };
    check(MPI_Comm_rank(m->comm, &c->rank), "MPI_Comm_rank");
    check(MPI_Comm_size(m->comm, &c->size), "MPI_Comm_size");
    for (int i = 0; i < 4; i++)
        m->counts[i] = FF_NEW_ARRAY(int, (size_t)c->size);
    return c;
}
