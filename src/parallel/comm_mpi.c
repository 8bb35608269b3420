/* SPDX-License-Identifier: Apache-2.0
 * comm_mpi: see comm_mpi.h. Counts of MPI calls are ints; blocks are sent as units of UNIT bytes where they divide, so
 * that a block may be 2 GiB times UNIT.
 */
#include "parallel/comm_mpi.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

/* A collective between its call and its wait. */
struct pending {
    enum ff_collective kind;
    const void *send;
    void *recv;
    int root;
    MPI_Datatype type;
    int *counts[4];                  /* send counts and offsets, receive counts and offsets, [size] each */
    MPI_Request request;
    bool posted;
    double start;
};

struct mpi_comm {
    MPI_Comm comm;
    bool late;                       /* see ff_comm_mpi_split */
    double time_limit;
    int64_t begun, ended;            /* tickets given out, and waited for */
    struct pending pending[FF_COMM_IN_FLIGHT];
    struct pending host;             /* for the calls on host memory */
};

static int world_rank, world_size = 1, local_rank, local_size = 1, device_index, device_count = 1;

static void check(int code, const char *call)
{
    if (code == MPI_SUCCESS)
        return;
    char text[MPI_MAX_ERROR_STRING];
    int len = 0;
    MPI_Error_string(code, text, &len);
    ff_die(FF_EINTERNAL, __FILE__, __LINE__, "%s failed on rank %d: %.*s", call, world_rank, len, text);
}

/* Threads take turns here, so that MPI need not be built for several at once (MPI_THREAD_MULTIPLE). */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void ff_comm_mpi_lock(void)
{
    pthread_mutex_lock(&turn);
}

void ff_comm_mpi_unlock(void)
{
    pthread_mutex_unlock(&turn);
}

/* --- 1. the world ----------------------------------------------------------------------------------------------- */

void ff_comm_mpi_abort(int code)
{
    int running = 0;
    if (MPI_Initialized(&running) == MPI_SUCCESS && running)
        MPI_Abort(MPI_COMM_WORLD, code);
}

static void abort_job(void)
{
    ff_comm_mpi_abort(FF_EINTERNAL);
}

ff_status ff_comm_mpi_start(int *argc, char ***argv)
{
    int provided = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS)
        return ff_fail(FF_EUSAGE,
                       "MPI could not start; try without mpirun to see whether the program runs on one rank");
    if (provided < MPI_THREAD_SERIALIZED) {
        MPI_Finalize();
        return ff_fail(FF_EUSAGE, "this MPI library cannot be called from several threads in turn "
                       "(MPI_THREAD_SERIALIZED), which runs on several ranks need; use a build of it that can, or "
                       "start fastfold without mpirun");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &world_size), "MPI_Comm_size");
    MPI_Comm node, sharing;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, &node),
          "MPI_Comm_split_type");
    check(MPI_Comm_rank(node, &local_rank), "MPI_Comm_rank");
    check(MPI_Comm_size(node, &local_size), "MPI_Comm_size");
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    int color = visible != NULL ? (int)(ff_hash_fnv1a(visible, strlen(visible)) & INT32_MAX) : 0;
    check(MPI_Comm_split(node, color, world_rank, &sharing), "MPI_Comm_split");
    check(MPI_Comm_rank(sharing, &device_index), "MPI_Comm_rank");
    check(MPI_Comm_size(sharing, &device_count), "MPI_Comm_size");
    MPI_Comm_free(&sharing);
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

int ff_comm_mpi_local_size(void)
{
    return local_size;
}

void ff_comm_mpi_device_place(int *ret_index, int *ret_count)
{
    *ret_index = device_index;
    *ret_count = device_count;
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

static int *to_counts(struct pending *p, int which, int n, const size_t *bytes)
{
    size_t unit = p->type == MPI_BYTE ? 1 : UNIT;
    for (int i = 0; i < n; i++) {
        FF_ASSERT(bytes[i] / unit <= INT32_MAX);
        p->counts[which][i] = (int)(bytes[i] / unit);
    }
    return p->counts[which];
}

static const char *const call_names[FF_COLLECTIVE_COUNT] = {"MPI_Iallgatherv", "MPI_Ialltoallv", "MPI_Ibcast"};

static void post(struct ff_comm *c, struct pending *p)
{
    MPI_Comm comm = impl(c)->comm;
    int **n = p->counts, code = MPI_SUCCESS;
    /* A rank that has nothing to send may give the address that it receives at, which Open MPI takes for an exchange in
     * place. */
    static const char nothing;
    const void *send = p->send != p->recv ? p->send : &nothing;
    ff_comm_mpi_lock();
    if (p->kind == FF_ALL_GATHER)
        code = MPI_Iallgatherv(p->send, n[2][c->rank], p->type, p->recv, n[2], n[3], p->type, comm, &p->request);
    else if (p->kind == FF_ALL_TO_ALL)
        code = MPI_Ialltoallv(send, n[0], n[1], p->type, p->recv, n[2], n[3], p->type, comm, &p->request);
    else
        code = MPI_Ibcast(p->recv, n[2][0], p->type, p->root, comm, &p->request);
    check(code, call_names[p->kind]);
    ff_comm_mpi_unlock();
    p->posted = true;
}

/* Waits without keeping the processor from the other ranks, and not for ever. */
static void finish(struct ff_comm *c, MPI_Request *request, const char *call)
{
    double start = ff_clock_now(), limit = impl(c)->time_limit;
    __atomic_fetch_add(&c->stats.waits_begun, 1, __ATOMIC_RELAXED);
    for (int64_t n = 0;; n++) {
        int done = 0;
        ff_comm_mpi_lock();
        check(MPI_Test(request, &done, MPI_STATUS_IGNORE), call);
        ff_comm_mpi_unlock();
        if (done)
            break;
        if (n < 1000)
            sched_yield();
        else
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
        if (limit > 0 && ff_clock_now() - start > limit) {
            char host[256] = "?";
            gethostname(host, sizeof host - 1);
            ff_die(FF_EINTERNAL, __FILE__, __LINE__,
                   "rank %d on %s has waited %.0f s for the other ranks in %s; one of them has died or hangs",
                   world_rank, host, limit, call);
        }
    }
    __atomic_fetch_add(&c->stats.waits_ended, 1, __ATOMIC_RELAXED);
}

/* What is received late must not be taken for what is there: it reads as NaN until then. */
static void spoil(const struct ff_comm *c, const struct pending *p)
{
    int unit = p->type == MPI_BYTE ? 1 : UNIT;
    if (p->kind == FF_BROADCAST && c->rank != p->root)
        memset(p->recv, 0xff, (size_t)p->counts[2][0] * (size_t)unit);
    for (int r = 0; p->kind != FF_BROADCAST && r < c->size; r++)
        memset((char *)p->recv + (size_t)p->counts[3][r] * (size_t)unit, 0xff,
               (size_t)p->counts[2][r] * (size_t)unit);
}

static struct pending *begin(struct ff_comm *c, enum ff_collective kind, const void *send, void *recv)
{
    struct mpi_comm *m = impl(c);
    FF_ASSERT(m->begun - m->ended < FF_COMM_IN_FLIGHT);
    struct pending *p = &m->pending[m->begun % FF_COMM_IN_FLIGHT];
    p->kind = kind;
    p->send = send;
    p->recv = recv;
    p->posted = false;
    p->start = ff_clock_now();
    return p;
}

static int64_t begun(struct ff_comm *c, struct pending *p, double bytes)
{
    struct mpi_comm *m = impl(c);
    c->stats.calls[p->kind]++;
    c->stats.bytes[p->kind] += bytes;
    if (m->late)
        spoil(c, p);
    else
        post(c, p);
    return m->begun++;
}

static void wait_for(struct ff_comm *c, int64_t ticket)
{
    struct mpi_comm *m = impl(c);
    FF_ASSERT(ticket >= 0 && ticket < m->begun);
    for (; m->ended <= ticket; m->ended++) {
        struct pending *p = &m->pending[m->ended % FF_COMM_IN_FLIGHT];
        double start = ff_clock_now();
        if (!p->posted)
            post(c, p);
        finish(c, &p->request, call_names[p->kind]);
        double now = ff_clock_now();
        c->stats.seconds[p->kind] += now - p->start;
        c->stats.wait[p->kind] += now - start;
    }
}

static void set_gather(struct ff_comm *c, struct pending *p, const size_t *bytes, const size_t *offset)
{
    p->type = unit_of(c->size, bytes, offset, NULL, NULL);
    to_counts(p, 2, c->size, bytes);
    to_counts(p, 3, c->size, offset);
}

static int64_t all_gather(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    struct pending *p = begin(c, FF_ALL_GATHER, send, recv);
    set_gather(c, p, bytes, offset);
    return begun(c, p, (double)bytes[c->rank] * (c->size - 1));
}

static int64_t all_to_all(struct ff_comm *c, const void *send, const size_t *send_bytes, const size_t *send_offset,
                          void *recv, const size_t *recv_bytes, const size_t *recv_offset)
{
    struct pending *p = begin(c, FF_ALL_TO_ALL, send, recv);
    double sent = 0.0;
    int n = c->size;
    p->type = unit_of(n, send_bytes, send_offset, recv_bytes, recv_offset);
    to_counts(p, 0, n, send_bytes);
    to_counts(p, 1, n, send_offset);
    to_counts(p, 2, n, recv_bytes);
    to_counts(p, 3, n, recv_offset);
    for (int i = 0; i < n; i++)
        sent += i != c->rank ? (double)send_bytes[i] : 0.0;
    return begun(c, p, sent);
}

static int64_t broadcast(struct ff_comm *c, void *data, size_t bytes, int root)
{
    struct pending *p = begin(c, FF_BROADCAST, data, data);
    p->type = bytes % UNIT != 0 ? MPI_BYTE : MPI_INT32_T;
    p->root = root;
    to_counts(p, 2, 1, &bytes);
    return begun(c, p, c->rank == root ? (double)bytes * (c->size - 1) : 0.0);
}

static void broadcast_host(struct ff_comm *c, void *data, size_t bytes, int root)
{
    enum { MOST = 1 << 30 };
    for (size_t at = 0; at < bytes; at += MOST) {
        size_t n = bytes - at < MOST ? bytes - at : MOST;
        MPI_Request request;
        ff_comm_mpi_lock();
        check(MPI_Ibcast((char *)data + at, (int)n, MPI_BYTE, root, impl(c)->comm, &request), "MPI_Ibcast");
        ff_comm_mpi_unlock();
        finish(c, &request, "MPI_Ibcast");
    }
}

static void gather_host(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    struct mpi_comm *m = impl(c);
    struct pending *p = &m->host;
    set_gather(c, p, bytes, offset);
    ff_comm_mpi_lock();
    check(MPI_Igatherv(send, p->counts[2][c->rank], p->type, recv, p->counts[2], p->counts[3], p->type, 0, m->comm,
                       &p->request), "MPI_Igatherv");
    ff_comm_mpi_unlock();
    finish(c, &p->request, "MPI_Igatherv");
}

static void barrier(struct ff_comm *c)
{
    MPI_Request request;
    ff_comm_mpi_lock();
    check(MPI_Ibarrier(impl(c)->comm, &request), "MPI_Ibarrier");
    ff_comm_mpi_unlock();
    finish(c, &request, "MPI_Ibarrier");
}

static void update_stats(struct ff_comm *c)
{
    (void)c; /* counted as they happen */
}

static void counts_make(struct pending *p, int size)
{
    for (int i = 0; i < 4; i++)
        p->counts[i] = FF_NEW_ARRAY(int, (size_t)size);
}

static void counts_free(struct pending *p)
{
    for (int i = 0; i < 4; i++)
        free(p->counts[i]);
}

static void destroy(struct ff_comm *c)
{
    struct mpi_comm *m = impl(c);
    FF_ASSERT(m->begun == m->ended);
    ff_comm_mpi_lock();
    MPI_Comm_free(&m->comm);
    ff_comm_mpi_unlock();
    for (int i = 0; i < FF_COMM_IN_FLIGHT; i++)
        counts_free(&m->pending[i]);
    counts_free(&m->host);
    free(m);
    free(c);
}

/* Without keeping other threads from MPI. */
static void wait_for_all(void)
{
    MPI_Request request;
    int done = 0;
    ff_comm_mpi_lock();
    check(MPI_Ibarrier(MPI_COMM_WORLD, &request), "MPI_Ibarrier");
    ff_comm_mpi_unlock();
    while (!done) {
        ff_comm_mpi_lock();
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Ibarrier");
        ff_comm_mpi_unlock();
        if (!done)
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

struct ff_comm *ff_comm_mpi_split(int color)
{
    struct mpi_comm *m = FF_NEW(struct mpi_comm);
    struct ff_comm *c = FF_NEW(struct ff_comm);
    wait_for_all(); /* so that the split, which cannot be waited for apart, takes no time */
    ff_comm_mpi_lock();
    check(MPI_Comm_split(MPI_COMM_WORLD, color, world_rank, &m->comm), "MPI_Comm_split");
    ff_comm_mpi_unlock();
    *c = (struct ff_comm){
        .name = "mpi",
        .impl = m,
        .all_gather = all_gather,
        .all_to_all = all_to_all,
        .broadcast = broadcast,
        .wait = wait_for,
        .gather_host = gather_host,
        .broadcast_host = broadcast_host,
        .barrier = barrier,
        .update_stats = update_stats,
        .destroy = destroy,
    };
    check(MPI_Comm_rank(m->comm, &c->rank), "MPI_Comm_rank");
    check(MPI_Comm_size(m->comm, &c->size), "MPI_Comm_size");
    const char *late = getenv("FF_TEST_LATE");
    m->late = late != NULL && late[0] == '1';
    m->time_limit = ff_comm_time_limit();
    for (int i = 0; i < FF_COMM_IN_FLIGHT; i++)
        counts_make(&m->pending[i], c->size);
    counts_make(&m->host, c->size);
    return c;
}
