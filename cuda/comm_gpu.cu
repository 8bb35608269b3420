/* SPDX-License-Identifier: Apache-2.0
 * comm_gpu: see comm_gpu.cuh.
 */
#include "comm_gpu.cuh"

#include <stdio.h>
#include <unistd.h>

#include <algorithm>

extern "C" {
#include "base/clock.h"
}

namespace {

enum { SLOTS = ff_cuda_comm::SLOTS };

const char *const names[FF_COLLECTIVE_COUNT] = {"all_gather", "all_to_all"};

ff_cuda_comm *impl(const struct ff_comm *c) { return (ff_cuda_comm *)c->impl; }

/* --- the watch --- */

void too_long(ff_cuda_comm *g, const char *what)
{
    char why[160];
    snprintf(why, sizeof why, "not done after %.0f s; another rank has died or hangs, or the link is broken",
             g->time_limit);
    g->fail(what, (why + g->blame()).c_str());
}

/* What the watch has seen going on, and since when. */
struct seen {
    int64_t ticket;
    double since;
};

void look(ff_cuda_comm *g, seen *s)
{
    g->look();
    int64_t at = g->read;
    while (at < g->begun && cudaEventQuery(g->slots[at % SLOTS].end) == cudaSuccess)
        at++;
    double now = ff_clock_now();
    if (at == g->begun || cudaEventQuery(g->slots[at % SLOTS].start) != cudaSuccess)
        *s = {-1, now};
    else if (s->ticket != at)
        *s = {at, now};
    else if (now - s->since > g->time_limit)
        too_long(g, names[g->slots[at % SLOTS].kind]);
}

void watch(ff_cuda_comm *g)
{
    if (cudaSetDevice(g->device) != cudaSuccess)
        return;
    seen s = {-1, ff_clock_now()};
    auto period = std::chrono::duration<double>(std::min(1.0, g->time_limit / 4));
    std::unique_lock<std::mutex> hold(g->lock);
    while (!g->closing_changed.wait_for(hold, period, [g] { return g->closing; })) {
        double since = g->inside_since.load();
        if (since > 0 && ff_clock_now() - since > g->time_limit)
            too_long(g, g->inside_what.load());
        look(g, &s);
    }
}

/* --- slots --- */

/* Adds the times of the oldest exchange to the statistics; waits until it and its wait are over. */
void read_oldest(struct ff_comm *c)
{
    ff_cuda_comm *g = impl(c);
    struct ff_cuda_slot *s = &g->slots[g->read % SLOTS];
    FF_ASSERT(s->waited);
    float inside_ms = 0, wait_ms = 0;
    FF_CUDA(cudaEventSynchronize(s->end));
    FF_CUDA(cudaEventSynchronize(s->asked));
    FF_CUDA(cudaEventElapsedTime(&inside_ms, s->start, s->end));
    FF_CUDA(cudaEventElapsedTime(&wait_ms, s->asked, s->end));       /* negative: it was over before */
    c->stats.seconds[s->kind] += inside_ms * 1e-3;
    c->stats.wait[s->kind] += std::max(0.0f, wait_ms) * 1e-3;
    std::lock_guard<std::mutex> hold(g->lock);
    g->read++;
}

/* The slot of the next exchange, whose kind is as told. */
struct ff_cuda_slot *next_slot(struct ff_comm *c, enum ff_collective kind)
{
    ff_cuda_comm *g = impl(c);
    if (g->begun - g->read == SLOTS)
        read_oldest(c);
    struct ff_cuda_slot *s = &g->slots[g->begun % SLOTS];
    s->kind = kind;
    s->waited = false;
    return s;
}

/* What is on the backend's stream is done before what will be on the communication's. */
void stand_behind(ff_cuda_comm *g, struct ff_cuda_slot *s)
{
    FF_CUDA(cudaEventRecord(s->ready, g->compute));
    FF_CUDA(cudaStreamWaitEvent(g->stream, s->ready, 0));
}

/* The exchange of the next slot is on its way and will be over at the end of the stream. */
int64_t count(struct ff_comm *c, struct ff_cuda_slot *s, const struct ff_tensor *to, cudaStream_t at_end)
{
    ff_cuda_comm *g = impl(c);
    FF_CUDA(cudaEventRecord(s->end, at_end));
    c->stats.calls[s->kind]++;
    c->stats.bytes[s->kind] += ff_comm_sent(c, to);
    std::lock_guard<std::mutex> hold(g->lock);
    return g->begun++;
}

int64_t exchange(struct ff_comm *c, const struct ff_exchange *how, const struct ff_tensor *to,
                 const struct ff_tensor *from)
{
    ff_cuda_comm *g = impl(c);
    struct ff_cuda_slot *s = next_slot(c, how->kind);
    stand_behind(g, s);
    FF_CUDA(cudaEventRecord(s->start, g->stream));
    g->taken = 0;
    cudaStream_t at_end = g->move(s, how, to, from);
    if (g->taken > 0) {
        g->lender = g->begun;
        ff_cuda_lend(g->be, g->taken);
    }
    return count(c, s, to, at_end);
}

bool reach(struct ff_comm *c, bool beside, struct ff_tensor *to, const struct ff_tensor *from)
{
    ff_cuda_comm *g = impl(c);
    if (!g->reaches(beside))
        return false;
    struct ff_cuda_slot *s = next_slot(c, FF_ALL_TO_ALL);
    stand_behind(g, s);
    FF_CUDA(cudaEventRecord(s->start, g->stream));
    g->reach(beside, to, from);
    return true;
}

int64_t reached(struct ff_comm *c, const struct ff_tensor *to)
{
    ff_cuda_comm *g = impl(c);
    struct ff_cuda_slot *s = &g->slots[g->begun % SLOTS];
    stand_behind(g, s);
    return count(c, s, to, g->reached(s, to));
}

void wait_for(struct ff_comm *c, int64_t ticket)
{
    ff_cuda_comm *g = impl(c);
    FF_ASSERT(ticket < g->begun);
    if (ticket < g->read || g->slots[ticket % SLOTS].waited)
        return;
    if (ticket >= g->lender)
        ff_cuda_lend(g->be, 0);
    /* Earlier ones that nobody waited for are over with this one. */
    for (int64_t t = std::max(g->read, ticket - FF_COMM_IN_FLIGHT); t <= ticket; t++) {
        struct ff_cuda_slot *s = &g->slots[t % SLOTS];
        if (s->waited)
            continue;
        FF_CUDA(cudaEventRecord(s->asked, g->compute));
        s->waited = true;
    }
    FF_CUDA(cudaStreamWaitEvent(g->compute, g->slots[ticket % SLOTS].end, 0));
}

void update_stats(struct ff_comm *c)
{
    ff_cuda_comm *g = impl(c);
    while (g->read < g->begun && g->slots[g->read % SLOTS].waited)
        read_oldest(c);
}

void attach(struct ff_comm *c, void *memory, size_t bytes)
{
    impl(c)->attach(memory, bytes);
}

void detach(struct ff_comm *c)
{
    ff_cuda_comm *g = impl(c);
    g->be->sync(g->be);
    ff_cuda_lend(g->be, 0);
    g->detach();
}

/* --- host memory: MPI --- */

void gather_host(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset)
{
    ff_cuda_comm *g = impl(c);
    g->waits(true);
    g->host->gather_host(g->host, send, recv, bytes, offset);
    g->waits(false);
}

void broadcast_host(struct ff_comm *c, void *data, size_t bytes, int root)
{
    ff_cuda_comm *g = impl(c);
    g->waits(true);
    g->host->broadcast_host(g->host, data, bytes, root);
    g->waits(false);
}

void barrier(struct ff_comm *c)
{
    ff_cuda_comm *g = impl(c);
    g->waits(true);
    g->host->barrier(g->host);
    g->waits(false);
}

/* --- copies --- */

constexpr size_t most_pitch = ((size_t)1 << 31) - 1;     /* of a copy of rows */

void copy_rows(char *b, const char *a, const struct ff_block *k, cudaStream_t stream)
{
    if (k->n[0] > 1 && k->a[0] <= most_pitch && k->b[0] <= most_pitch) {
        FF_CUDA(cudaMemcpy2DAsync(b, k->b[0], a, k->a[0], k->width, k->n[0], cudaMemcpyDeviceToDevice, stream));
        return;
    }
    for (size_t x = 0; x < k->n[0]; x++)
        FF_CUDA(cudaMemcpyAsync(b + x * k->b[0], a + x * k->a[0], k->width, cudaMemcpyDeviceToDevice, stream));
}

/* Planes are a whole number of rows apart, which do not overlap. */
bool even_planes(const struct ff_block *k, const size_t *stride)
{
    return stride[0] <= most_pitch && stride[1] % stride[0] == 0 && stride[1] / stride[0] >= k->n[0];
}

void copy_planes(char *b, const char *a, const struct ff_block *k, cudaStream_t stream)
{
    if (k->n[0] > 1 && k->n[1] > 1 && even_planes(k, k->a) && even_planes(k, k->b)) {
        struct cudaMemcpy3DParms p = {};
        p.srcPtr = make_cudaPitchedPtr((void *)a, k->a[0], k->width, k->a[1] / k->a[0]);
        p.dstPtr = make_cudaPitchedPtr(b, k->b[0], k->width, k->b[1] / k->b[0]);
        p.extent = make_cudaExtent(k->width, k->n[0], k->n[1]);
        p.kind = cudaMemcpyDeviceToDevice;
        FF_CUDA(cudaMemcpy3DAsync(&p, stream));
        return;
    }
    for (size_t y = 0; y < k->n[1]; y++)
        copy_rows(b + y * k->b[1], a + y * k->a[1], k, stream);
}

/* Rows of bytes that lie at multiples of 16 on both sides; a warp takes up to 2 KiB of one at a time. */
constexpr unsigned push_threads = 1024, push_piece = 2048;
__global__ void __launch_bounds__(push_threads, 1) push(char *b, const char *a, struct ff_block k)
{
    const size_t pieces = (k.width + push_piece - 1) / push_piece, all = pieces * k.n[0] * k.n[1] * k.n[2];
    const unsigned warp = threadIdx.x / 32, warps = push_threads / 32, at = threadIdx.x % 32 * 16;
    for (size_t i = blockIdx.x * warps + warp; i < all; i += gridDim.x * warps) {
        const size_t from = i % pieces * push_piece, row = i / pieces, rest = row / k.n[0];
        const size_t x = row % k.n[0], y = rest % k.n[1], z = rest / k.n[1];
        const unsigned width = (unsigned)(k.width - from < push_piece ? k.width - from : push_piece);
        const char *source = a + z * k.a[2] + y * k.a[1] + x * k.a[0] + from;
        char *to = b + z * k.b[2] + y * k.b[1] + x * k.b[0] + from;
        uint4 v[4];
#pragma unroll
        for (unsigned j = 0; j < 4; j++)
            if (at + j * 512 < width)
                v[j] = *(const uint4 *)(source + at + j * 512);
#pragma unroll
        for (unsigned j = 0; j < 4; j++)
            if (at + j * 512 < width)
                *(uint4 *)(to + at + j * 512) = v[j];
    }
}

bool in_16(const struct ff_block *k, const void *a, const void *b)
{
    size_t all = (size_t)a | (size_t)b | k->width;
    for (int d = 0; d < FF_BLOCK_AXES; d++)
        all |= k->n[d] > 1 ? k->a[d] | k->b[d] : 0;
    return all % 16 == 0;
}

/* --- begin and end --- */

void destroy(struct ff_comm *c)
{
    ff_cuda_comm *g = impl(c);
    struct ff_comm *host = g->host;
    delete g;
    ff_comm_destroy(host);
    delete c;
}

} // namespace

double ff_cuda_comm::now() { return ff_clock_now(); }

void ff_cuda_comm::fail(const char *what, const char *why) const
{
    char text[256] = "?";
    (void)gethostname(text, sizeof text - 1);
    ff_die(FF_EGPU, __FILE__, __LINE__, "%s on %s: %s: %s", name(), text, what, why);
}

void ff_cuda_copy_here(struct ff_backend *be, const struct ff_tensor *to, const struct ff_tensor *from,
                       cudaStream_t stream)
{
    if (ff_tensor_count(to) == 0 || to->data == from->data)
        return;
    struct ff_cuda_device *d = ff_cuda_device_of(be);
    struct ff_copy_args args = {};
    args.out = *to;
    args.x = *from;
    cudaStream_t own = d->stream;
    d->stream = stream;
    be->ops->copy(be, &args);
    d->stream = own;
}

int ff_cuda_copy_away(const struct ff_tensor *to, const struct ff_tensor *from, unsigned blocks, cudaStream_t stream)
{
    FF_ASSERT(ff_tensor_same_shape(to, from) && to->dtype == from->dtype && ff_tensor_count(to) > 0);
    struct ff_block k = ff_block_make(ff_dtype_size(to->dtype), to->ndim, to->shape, from->stride, to->stride);
    if (blocks > 0 && in_16(&k, from->data, to->data)) {
        push<<<blocks, push_threads, 0, stream>>>((char *)to->data, (const char *)from->data, k);
        FF_CUDA_LAUNCHED();
        return (int)blocks;
    }
    for (size_t z = 0; z < k.n[2]; z++)
        copy_planes((char *)to->data + z * k.b[2], (const char *)from->data + z * k.a[2], &k, stream);
    return 0;
}

struct ff_comm *ff_cuda_comm_open(struct ff_cuda_comm *g, struct ff_backend *be, struct ff_comm *host)
{
    g->be = be;
    g->host = host;
    g->rank = host->rank;
    g->size = host->size;
    g->device = ff_cuda_device_of(be)->index;
    g->compute = ff_cuda_stream(be);
    g->time_limit = ff_comm_time_limit();
    struct ff_comm *c = g->self = new ff_comm();
    c->name = g->name();
    c->rank = host->rank;
    c->size = host->size;
    c->impl = g;
    c->exchange = exchange;
    c->wait = wait_for;
    c->reach = reach;
    c->reached = reached;
    c->attach = attach;
    c->detach = detach;
    c->gather_host = gather_host;
    c->broadcast_host = broadcast_host;
    c->barrier = barrier;
    c->update_stats = update_stats;
    c->destroy = destroy;
    /* Where communication takes multiprocessors it gets those that fall free first. */
    int least, greatest;
    FF_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    FF_CUDA(cudaStreamCreateWithPriority(&g->stream, cudaStreamNonBlocking, greatest));
    for (struct ff_cuda_slot &s : g->slots) {
        FF_CUDA(cudaEventCreateWithFlags(&s.ready, cudaEventDisableTiming));
        for (cudaEvent_t *e : {&s.start, &s.end, &s.asked})
            FF_CUDA(cudaEventCreate(e));
    }
    if (g->time_limit > 0)
        g->watch = std::thread(watch, g);
    return c;
}

void ff_cuda_comm_quiet(struct ff_cuda_comm *g)
{
    (void)cudaStreamSynchronize(g->compute);
    (void)cudaStreamSynchronize(g->stream);
    if (g->watch.joinable()) {
        {
            std::lock_guard<std::mutex> hold(g->lock);
            g->closing = true;
        }
        g->closing_changed.notify_all();
        g->watch.join();
    }
    for (struct ff_cuda_slot &s : g->slots)
        for (cudaEvent_t e : {s.ready, s.start, s.end, s.asked})
            (void)cudaEventDestroy(e);
    (void)cudaStreamDestroy(g->stream);
}
