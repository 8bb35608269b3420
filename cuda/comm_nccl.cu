/* SPDX-License-Identifier: Apache-2.0
 * comm_nccl: collectives among GPUs with NCCL.
 *
 * They run on a stream of their own. A collective starts behind an event of the backend's stream, and wait makes the
 * backend's stream stand behind the collective's end; the host never waits. Blocks differ in size, so everything is
 * made of sends and receives in one group, which on a switched link moves as much as a ring does; broadcasts are
 * NCCL's own.
 *
 * Calls are kept in a ring of slots with four events each: `ready` (backend: operands are there), `start` and `end`
 * (communication), `asked` (backend: wait was called). Times are read from them when a slot is used again. A thread
 * looks at them as well: it ends the job when a collective that has started, or a call into NCCL, exceeds the time
 * limit, or when NCCL reports an error, so that nothing waits for ever for a rank that is gone.
 */
#include <stdio.h>
#include <nccl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

extern "C" {
#include "base/clock.h"
}
#include "comm_nccl.h"
#include "device.cuh"

namespace {

enum { SLOTS = 4 * FF_COMM_IN_FLIGHT };

const char *const names[FF_COLLECTIVE_COUNT] = {"all_gather", "all_to_all", "broadcast"};

struct slot {
    enum ff_collective kind;
    bool waited;
    cudaEvent_t ready, start, end, asked;
};

struct nccl_comm {
    struct ff_comm *host;
    ncclComm_t comm;
    int device;
    cudaStream_t compute, stream;
    struct slot slots[SLOTS];
    int64_t begun, read;                 /* tickets given out; those whose times are in the statistics */

    /* For the watching thread: begun, read and the events of slots in between are changed under the lock. */
    double time_limit;
    std::mutex lock;
    std::condition_variable closing_changed;
    bool closing;
    std::thread watch;
    std::atomic<double> inside_since;    /* 0: no call into NCCL is going on */
    std::atomic<const char *> inside;
};

nccl_comm *impl(const struct ff_comm *c) { return (nccl_comm *)c->impl; }

[[noreturn]] void fail(const char *what, const char *why)
{
    char host[256] = "?";
    (void)gethostname(host, sizeof host - 1);
    ff_die(FF_EGPU, __FILE__, __LINE__, "NCCL on %s: %s: %s", host, what, why);
}

void check(const nccl_comm *n, ncclResult_t result, const char *what)
{
    if (result == ncclSuccess)
        return;
    const char *last = n->comm ? ncclGetLastError(n->comm) : "";
    fail(what, last && last[0] ? last : ncclGetErrorString(result));
}

/* --- the watch --- */

void too_long(const nccl_comm *n, const char *what)
{
    char why[160];
    snprintf(why, sizeof why, "not done after %.0f s; another rank has died or hangs, or the link is broken",
             n->time_limit);
    fail(what, why);
}

/* What the watch has seen going on, and since when. */
struct seen {
    int64_t ticket;
    double since;
};

void look(nccl_comm *n, seen *s)
{
    ncclResult_t state = ncclSuccess;
    if (ncclCommGetAsyncError(n->comm, &state) == ncclSuccess && state != ncclInProgress)
        check(n, state, "asynchronous error");
    int64_t at = n->read;
    while (at < n->begun && cudaEventQuery(n->slots[at % SLOTS].end) == cudaSuccess)
        at++;
    double now = ff_clock_now();
    if (at == n->begun || cudaEventQuery(n->slots[at % SLOTS].start) != cudaSuccess)
        *s = {-1, now};
    else if (s->ticket != at)
        *s = {at, now};
    else if (now - s->since > n->time_limit)
        too_long(n, names[n->slots[at % SLOTS].kind]);
}

void watch(nccl_comm *n)
{
    if (cudaSetDevice(n->device) != cudaSuccess)
        return;
    seen s = {-1, ff_clock_now()};
    auto period = std::chrono::duration<double>(std::min(1.0, n->time_limit / 4));
    std::unique_lock<std::mutex> hold(n->lock);
    while (!n->closing_changed.wait_for(hold, period, [n] { return n->closing; })) {
        double since = n->inside_since.load();
        if (since > 0 && ff_clock_now() - since > n->time_limit)
            too_long(n, n->inside.load());
        if (n->comm)
            look(n, &s);
    }
}

/* A call into NCCL, which may wait for other ranks while it makes connections. */
template <class F> void inside(nccl_comm *n, const char *what, F &&call)
{
    n->inside.store(what);
    n->inside_since.store(ff_clock_now());
    ncclResult_t result = call();
    n->inside_since.store(0);
    check(n, result, what);
}

/* --- slots --- */

/* Adds the times of the oldest collective to the statistics; waits until it and its wait are over. */
void read_oldest(struct ff_comm *c)
{
    nccl_comm *n = impl(c);
    struct slot *s = &n->slots[n->read % SLOTS];
    FF_ASSERT(s->waited);
    float inside_ms = 0, wait_ms = 0;
    FF_CUDA(cudaEventSynchronize(s->end));
    FF_CUDA(cudaEventSynchronize(s->asked));
    FF_CUDA(cudaEventElapsedTime(&inside_ms, s->start, s->end));
    FF_CUDA(cudaEventElapsedTime(&wait_ms, s->asked, s->end));       /* negative: it was over before */
    c->stats.seconds[s->kind] += inside_ms * 1e-3;
    c->stats.wait[s->kind] += std::max(0.0f, wait_ms) * 1e-3;
    std::lock_guard<std::mutex> hold(n->lock);
    n->read++;
}

/* Runs move, which puts one group of NCCL calls on the communication's stream. */
template <class F> int64_t collective(struct ff_comm *c, enum ff_collective kind, double bytes, F &&move)
{
    nccl_comm *n = impl(c);
    if (n->begun - n->read == SLOTS)
        read_oldest(c);
    struct slot *s = &n->slots[n->begun % SLOTS];
    s->kind = kind;
    s->waited = false;
    FF_CUDA(cudaEventRecord(s->ready, n->compute));
    FF_CUDA(cudaStreamWaitEvent(n->stream, s->ready, 0));
    FF_CUDA(cudaEventRecord(s->start, n->stream));
    inside(n, names[kind], move);
    FF_CUDA(cudaEventRecord(s->end, n->stream));
    c->stats.calls[kind]++;
    c->stats.bytes[kind] += bytes;
    std::lock_guard<std::mutex> hold(n->lock);
    return n->begun++;
}

void wait_for(struct ff_comm *c, int64_t ticket)
{
    nccl_comm *n = impl(c);
    FF_ASSERT(ticket < n->begun);
    if (ticket < n->read)
        return;
    /* Earlier ones that nobody waited for are over with this one. */
    for (int64_t t = std::max(n->read, ticket - FF_COMM_IN_FLIGHT); t <= ticket; t++) {
        struct slot *s = &n->slots[t % SLOTS];
        if (s->waited)
            continue;
        FF_CUDA(cudaEventRecord(s->asked, n->compute));
        s->waited = true;
    }
    FF_CUDA(cudaStreamWaitEvent(n->compute, n->slots[ticket % SLOTS].end, 0));
}

void update_stats(struct ff_comm *c)
{
    nccl_comm *n = impl(c);
    while (n->read < n->begun && n->slots[n->read % SLOTS].waited)
        read_oldest(c);
}

/* --- collectives --- */

const char *at(const void *p, size_t offset) { return (const char *)p + offset; }
char *at(void *p, size_t offset) { return (char *)p + offset; }

void copy_own(nccl_comm *n, void *to, const void *from, size_t bytes)
{
    if (bytes > 0 && to != from)
        FF_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, n->stream));
}

/* One group: send_bytes(r) from send_at(r) to every other rank r, recv_bytes[r] from it. Peers in an order that gives
 * every rank another partner at a time. */
template <class S, class A>
ncclResult_t swap_blocks(const struct ff_comm *c, S &&send_bytes, A &&send_at, void *recv, const size_t *recv_bytes,
                         const size_t *recv_offset)
{
    nccl_comm *n = impl(c);
    ncclResult_t result = ncclGroupStart();
    for (int k = 1; k < c->size && result == ncclSuccess; k++) {
        int to = (c->rank + k) % c->size, from = (c->rank - k + c->size) % c->size;
        if (send_bytes(to) > 0)
            result = ncclSend(send_at(to), send_bytes(to), ncclInt8, to, n->comm, n->stream);
        if (result == ncclSuccess && recv_bytes[from] > 0)
            result = ncclRecv(at(recv, recv_offset[from]), recv_bytes[from], ncclInt8, from, n->comm, n->stream);
    }
    ncclResult_t ended = ncclGroupEnd();
    return result != ncclSuccess ? result : ended;
}

int64_t all_gather(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    size_t own = bytes[c->rank];
    return collective(c, FF_ALL_GATHER, (double)own * (c->size - 1), [&] {
        copy_own(impl(c), at(recv, offset[c->rank]), send, own);
        return swap_blocks(c, [&](int) { return own; }, [&](int) { return send; }, recv, bytes, offset);
    });
}

int64_t all_to_all(struct ff_comm *c, const void *send, const size_t *send_bytes, const size_t *send_offset, void *recv,
                   const size_t *recv_bytes, const size_t *recv_offset)
{
    double sent = 0;
    for (int r = 0; r < c->size; r++)
        sent += r != c->rank ? (double)send_bytes[r] : 0.0;
    return collective(c, FF_ALL_TO_ALL, sent, [&] {
        copy_own(impl(c), at(recv, recv_offset[c->rank]), at(send, send_offset[c->rank]), send_bytes[c->rank]);
        return swap_blocks(c, [&](int r) { return send_bytes[r]; }, [&](int r) { return at(send, send_offset[r]); },
                           recv, recv_bytes, recv_offset);
    });
}

int64_t broadcast(struct ff_comm *c, void *data, size_t bytes, int root)
{
    return collective(c, FF_BROADCAST, c->rank == root ? (double)bytes * (c->size - 1) : 0.0, [&] {
        return ncclBroadcast(data, data, bytes, ncclInt8, root, impl(c)->comm, impl(c)->stream);
    });
}

/* --- host memory: MPI --- */

void gather_host(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    struct ff_comm *host = impl(c)->host;
    host->gather_host(host, send, recv, bytes, offset);
}

void broadcast_host(struct ff_comm *c, void *data, size_t bytes, int root)
{
    struct ff_comm *host = impl(c)->host;
    host->broadcast_host(host, data, bytes, root);
}

void barrier(struct ff_comm *c)
{
    struct ff_comm *host = impl(c)->host;
    host->barrier(host);
}

/* --- creation --- */

void destroy(struct ff_comm *c)
{
    nccl_comm *n = impl(c);
    (void)cudaStreamSynchronize(n->compute);
    (void)cudaStreamSynchronize(n->stream);
    ncclComm_t comm = n->comm;
    {
        std::lock_guard<std::mutex> hold(n->lock); /* the watch asks no more for its errors */
        n->comm = nullptr;
    }
    if (comm)
        inside(n, "end", [comm] { return ncclCommDestroy(comm); });
    if (n->watch.joinable()) {
        {
            std::lock_guard<std::mutex> hold(n->lock);
            n->closing = true;
        }
        n->closing_changed.notify_all();
        n->watch.join();
    }
    for (struct slot &s : n->slots)
        for (cudaEvent_t e : {s.ready, s.start, s.end, s.asked})
            (void)cudaEventDestroy(e);
    (void)cudaStreamDestroy(n->stream);
    ff_comm_destroy(n->host);
    delete n;
    delete c;
}

/* NCCL makes its connections, and takes their memory, at the first use: before the plan asks how much is free. */
void connect(struct ff_backend *be, struct ff_comm *c)
{
    nccl_comm *n = impl(c);
    size_t unit = 256, size = (size_t)c->size;
    char *memory;
    FF_CUDA(cudaMalloc((void **)&memory, 2 * size * unit));
    size_t *bytes = new size_t[2 * size];
    for (size_t r = 0; r < size; r++) {
        bytes[r] = unit;
        bytes[size + r] = r * unit;
    }
    (void)all_to_all(c, memory, bytes, bytes + size, memory + size * unit, bytes, bytes + size);
    wait_for(c, broadcast(c, memory, unit, 0));
    be->sync(be);
    FF_CUDA(cudaStreamSynchronize(n->stream));
    FF_CUDA(cudaFree(memory));
    delete[] bytes;
    update_stats(c);
    c->stats = {};
}

void start(nccl_comm *n)
{
    /* Before NCCL's kernels, communication gets the multiprocessors that fall free first. */
    int least, greatest;
    FF_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    FF_CUDA(cudaStreamCreateWithPriority(&n->stream, cudaStreamNonBlocking, greatest));
    for (struct slot &s : n->slots) {
        FF_CUDA(cudaEventCreateWithFlags(&s.ready, cudaEventDisableTiming));
        for (cudaEvent_t *e : {&s.start, &s.end, &s.asked})
            FF_CUDA(cudaEventCreate(e));
    }
    if (n->time_limit > 0)
        n->watch = std::thread(watch, n);
}

} // namespace

extern "C" ff_status ff_comm_nccl_create(struct ff_backend *be, struct ff_comm *host, struct ff_comm **ret)
{
    *ret = nullptr;
    /* Multicast over the switch is of use to reductions only, and some machines offer it without letting it start. */
    (void)setenv("NCCL_NVLS_ENABLE", "0", 0);
    ncclUniqueId id = {};
    ncclResult_t made = host->rank == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
    int32_t code = made;
    host->broadcast_host(host, &code, sizeof code, 0);
    if (code != ncclSuccess) {
        ff_comm_destroy(host);
        return ff_fail(FF_EGPU, "NCCL does not start: %s; NCCL_DEBUG=WARN tells more",
                       ncclGetErrorString((ncclResult_t)code));
    }
    host->broadcast_host(host, &id, sizeof id, 0);

    nccl_comm *n = new nccl_comm();
    struct ff_comm *c = new ff_comm();
    n->host = host;
    n->device = ff_cuda_device_of(be)->index;
    n->compute = ff_cuda_stream(be);
    n->time_limit = ff_comm_time_limit();
    c->name = "nccl";
    c->rank = host->rank;
    c->size = host->size;
    c->impl = n;
    c->all_gather = all_gather;
    c->all_to_all = all_to_all;
    c->broadcast = broadcast;
    c->wait = wait_for;
    c->gather_host = gather_host;
    c->broadcast_host = broadcast_host;
    c->barrier = barrier;
    c->update_stats = update_stats;
    c->destroy = destroy;
    start(n);
    ncclComm_t comm = nullptr;
    inside(n, "start", [&] { return ncclCommInitRank(&comm, c->size, id, c->rank); });
    {
        std::lock_guard<std::mutex> hold(n->lock);
        n->comm = comm;
    }
    connect(be, c);
    *ret = c;
    return FF_OK;
}
