/* SPDX-License-Identifier: Apache-2.0
 * comm_mpi: see comm_mpi.h. Blocks with strides are sent as MPI's own types, which it packs where it must.
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
#include "parallel/block.h"

/* An exchange between its call and its wait. */
struct pending {
    enum ff_collective kind;
    struct ff_tensor *to, *from;     /* [size] */
    MPI_Request *requests;           /* [2 size] */
    int n_request;
    bool posted;
    double start;
};

struct mpi_comm {
    MPI_Comm comm;
    bool late;                       /* see ff_comm_mpi_split */
    double time_limit;
    int64_t begun, ended;            /* tickets given out, and waited for */
    struct pending pending[FF_COMM_IN_FLIGHT];
    int *counts, *offsets;           /* [size]: of the calls on host memory */
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

/* The elements of a tensor in their order, which is the same on both sides whatever the strides. */
static MPI_Datatype type_of(const struct ff_tensor *t)
{
    size_t element = ff_dtype_size(t->dtype);
    MPI_Datatype type = element == 4 ? MPI_INT32_T : element == 2 ? MPI_INT16_T : MPI_BYTE, inner;
    FF_ASSERT(element <= 4 && element != 3);
    for (int d = t->ndim - 1; d >= 0; d--) {
        inner = type;
        FF_ASSERT(t->shape[d] <= INT32_MAX);
        check(MPI_Type_create_hvector((int)t->shape[d], 1, t->stride[d] * (MPI_Aint)element, inner, &type),
              "MPI_Type_create_hvector");
        if (d < t->ndim - 1)
            MPI_Type_free(&inner);
    }
    check(MPI_Type_commit(&type), "MPI_Type_commit");
    return type;
}

static void copy_own(struct ff_tensor from, const struct ff_tensor *to)
{
    if (ff_tensor_count(to) == 0 || from.data == to->data)
        return;
    struct ff_block k = ff_block_make(ff_dtype_size(to->dtype), to->ndim, to->shape, to->stride, from.stride);
    ff_block_copy(&k, from.data, to->data);
}

static void post(struct ff_comm *c, struct pending *p)
{
    MPI_Comm comm = impl(c)->comm;
    p->n_request = 0;
    copy_own(p->from[c->rank], &p->to[c->rank]);
    ff_comm_mpi_lock();
    for (int k = 1; k < c->size; k++) {
        int to = (c->rank + k) % c->size, from = (c->rank - k + c->size) % c->size;
        if (ff_tensor_count(&p->from[from]) > 0) {
            MPI_Datatype type = type_of(&p->from[from]);
            check(MPI_Irecv(p->from[from].data, 1, type, from, 0, comm, &p->requests[p->n_request++]), "MPI_Irecv");
            MPI_Type_free(&type);
        }
        if (ff_tensor_count(&p->to[to]) > 0) {
            MPI_Datatype type = type_of(&p->to[to]);
            check(MPI_Isend(p->to[to].data, 1, type, to, 0, comm, &p->requests[p->n_request++]), "MPI_Isend");
            MPI_Type_free(&type);
        }
    }
    ff_comm_mpi_unlock();
    p->posted = true;
}

/* Waits without keeping the processor from the other ranks, and not for ever. */
static void finish(struct ff_comm *c, int n_request, MPI_Request *requests, const char *call)
{
    double start = ff_clock_now(), limit = impl(c)->time_limit;
    __atomic_fetch_add(&c->stats.waits_begun, 1, __ATOMIC_RELAXED);
    for (int64_t n = 0;; n++) {
        int done = 0;
        ff_comm_mpi_lock();
        check(MPI_Testall(n_request, requests, &done, MPI_STATUSES_IGNORE), call);
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
    for (int r = 0; r < c->size; r++) {
        const struct ff_tensor *t = &p->from[r];
        if (ff_tensor_count(t) == 0 || t->data == p->to[r].data)
            continue;
        struct ff_block k = ff_block_make(ff_dtype_size(t->dtype), t->ndim, t->shape, t->stride, t->stride);
        unsigned char *nan = ff_xmalloc(k.width);
        memset(nan, 0xff, k.width);
        memset(k.a, 0, sizeof k.a);
        ff_block_copy(&k, t->data, nan);
        free(nan);
    }
}

static int64_t exchange(struct ff_comm *c, const struct ff_exchange *how, const struct ff_tensor *to,
                        const struct ff_tensor *from)
{
    struct mpi_comm *m = impl(c);
    enum ff_collective kind = how->kind;
    FF_ASSERT(m->begun - m->ended < FF_COMM_IN_FLIGHT);
    struct pending *p = &m->pending[m->begun % FF_COMM_IN_FLIGHT];
    p->kind = kind;
    p->posted = false;
    p->start = ff_clock_now();
    for (int r = 0; r < c->size; r++) {
        p->to[r] = to[r];
        p->from[r] = from[r];
    }
    __atomic_fetch_add(&c->stats.calls[kind], 1, __ATOMIC_RELAXED); /* the team looks on */
    c->stats.bytes[kind] += ff_comm_sent(c, to);
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
        finish(c, p->n_request, p->requests, "MPI_Testall");
        double now = ff_clock_now();
        c->stats.seconds[p->kind] += now - p->start;
        c->stats.wait[p->kind] += now - start;
    }
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
        finish(c, 1, &request, "MPI_Ibcast");
    }
}

enum { UNIT = 4 };

/* Counts of MPI calls are ints: of units where all blocks divide into them. */
static void gather_host(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    struct mpi_comm *m = impl(c);
    size_t unit = UNIT;
    for (int r = 0; r < c->size; r++)
        unit = bytes[r] % UNIT != 0 || offset[r] % UNIT != 0 ? 1 : unit;
    for (int r = 0; r < c->size; r++) {
        FF_ASSERT(bytes[r] / unit <= INT32_MAX && offset[r] / unit <= INT32_MAX);
        m->counts[r] = (int)(bytes[r] / unit);
        m->offsets[r] = (int)(offset[r] / unit);
    }
    MPI_Datatype type = unit == 1 ? MPI_BYTE : MPI_INT32_T;
    MPI_Request request;
    ff_comm_mpi_lock();
    check(MPI_Igatherv(send, m->counts[c->rank], type, recv, m->counts, m->offsets, type, 0, m->comm, &request),
          "MPI_Igatherv");
    ff_comm_mpi_unlock();
    finish(c, 1, &request, "MPI_Igatherv");
}

static void barrier(struct ff_comm *c)
{
    MPI_Request request;
    ff_comm_mpi_lock();
    check(MPI_Ibarrier(impl(c)->comm, &request), "MPI_Ibarrier");
    ff_comm_mpi_unlock();
    finish(c, 1, &request, "MPI_Ibarrier");
}

static void update_stats(struct ff_comm *c)
{
    (void)c; /* counted as they happen */
}

static void destroy(struct ff_comm *c)
{
    struct mpi_comm *m = impl(c);
    FF_ASSERT(m->begun == m->ended);
    ff_comm_mpi_lock();
    MPI_Comm_free(&m->comm);
    ff_comm_mpi_unlock();
    for (int i = 0; i < FF_COMM_IN_FLIGHT; i++) {
        free(m->pending[i].to);
        free(m->pending[i].from);
        free(m->pending[i].requests);
    }
    free(m->counts);
    free(m->offsets);
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
        .exchange = exchange,
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
    size_t size = (size_t)c->size;
    for (int i = 0; i < FF_COMM_IN_FLIGHT; i++) {
        m->pending[i].to = FF_NEW_ARRAY(struct ff_tensor, size);
        m->pending[i].from = FF_NEW_ARRAY(struct ff_tensor, size);
        m->pending[i].requests = FF_NEW_ARRAY(MPI_Request, 2 * size);
    }
    m->counts = FF_NEW_ARRAY(int, size);
    m->offsets = FF_NEW_ARRAY(int, size);
    return c;
}
