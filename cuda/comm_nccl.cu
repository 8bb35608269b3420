/* SPDX-License-Identifier: Apache-2.0
 * comm_nccl: exchanges among GPUs with NCCL, for GPUs of several hosts and those that do not reach each other's memory.
 *
 * Blocks differ in size, so everything is made of sends and receives in one group, which on a switched link moves as
 * much as a ring does. NCCL sends contiguous memory: other blocks are packed and unpacked in a stage, on the
 * communication's stream, as many rows at a time as the stage holds for each rank.
 */
#include <nccl.h>
#include <stdlib.h>

#include <algorithm>

#include "comm_gpu.cuh"
#include "comm_nccl.h"

namespace {

constexpr size_t STAGE = (size_t)32 << 20;       /* bytes that are sent at a time; as many are received */

/* Rows of a tensor in its order: all axes but the last, as one; two of them are left. */
struct rows {
    struct ff_tensor t;                          /* three axes */
    size_t width;
    int64_t n;
};

struct rows rows_of(const struct ff_tensor *whole)
{
    struct ff_tensor t = *whole;
    FF_ASSERT(t.ndim <= 3);
    while (t.ndim < 3) {
        for (int d = t.ndim; d > 0; d--) {
            t.shape[d] = t.shape[d - 1];
            t.stride[d] = t.stride[d - 1];
        }
        t.shape[0] = 1;
        t.stride[0] = 0;
        t.ndim++;
    }
    return {t, (size_t)t.shape[2] * ff_dtype_size(t.dtype), ff_tensor_count(&t) > 0 ? t.shape[0] * t.shape[1] : 0};
}

struct nccl_comm : ff_cuda_comm {
    ncclComm_t comm = nullptr;
    char *stage[2] = {};                         /* sent, received: STAGE bytes each, a part for every other rank */

    const char *name() const override { return "nccl"; }

    void check(ncclResult_t result, const char *what) const
    {
        if (result == ncclSuccess)
            return;
        const char *last = comm ? ncclGetLastError(comm) : "";
        fail(what, last && last[0] ? last : ncclGetErrorString(result));
    }

    void look() override
    {
        ncclResult_t state = ncclSuccess;
        if (comm && ncclCommGetAsyncError(comm, &state) == ncclSuccess && state != ncclInProgress)
            check(state, "asynchronous error");
    }

    /* Of one rank in a stage, at an address as good as that of an allocation. */
    size_t part() const { return STAGE / (size_t)(size - 1) / 256 * 256; }
    /* Where in a stage the part of rank r is. */
    char *place(int which, int r) const { return stage[which] + part() * (size_t)(r < rank ? r : r - 1); }
    /* Both sides of a block come to the same number. */
    int64_t rows_at_once(const struct rows *x) const { return std::max<int64_t>(1, (int64_t)(part() / x->width)); }
    int64_t pieces(const struct rows *x) const { return x->n > 0 ? (x->n - 1) / rows_at_once(x) + 1 : 0; }

    /* Piece p of x between its rows and contiguous memory. */
    void copy_piece(const struct rows *x, int64_t p, char *memory, bool pack)
    {
        int64_t at = p * rows_at_once(x), end = std::min(x->n, at + rows_at_once(x)), n = x->t.shape[1];
        while (at < end) {
            int64_t i = at / n, j = at % n;
            bool planes = j == 0 && end - at >= n;
            int64_t count = planes ? (end - at) / n : std::min(n - j, end - at);
            struct ff_tensor some = ff_tensor_slice(x->t, 0, i, planes ? count : 1);
            if (!planes)
                some = ff_tensor_slice(some, 1, j, count);
            struct ff_tensor packed = ff_tensor_make(memory, some.dtype, 3, some.shape);
            ff_cuda_copy_here(be, pack ? &packed : &some, pack ? &some : &packed, stream);
            memory += ff_tensor_bytes(&some);
            at += planes ? count * n : count;
        }
    }

    /* Where piece p of x lies or is to lie; a stage where x is not contiguous. */
    char *memory_of(const struct rows *x, int64_t p, int which, int r) const
    {
        FF_ASSERT(x->width <= part() || ff_tensor_contiguous(&x->t));
        return ff_tensor_contiguous(&x->t) ? (char *)x->t.data + (size_t)(p * rows_at_once(x)) * x->width
                                           : place(which, r);
    }

    size_t bytes_of(const struct rows *x, int64_t p) const
    {
        return (size_t)std::min(rows_at_once(x), x->n - p * rows_at_once(x)) * x->width;
    }

    /* One group: piece p of every block that has one. Peers in an order that gives every rank another partner at a
     * time. */
    ncclResult_t swap_pieces(const struct rows *to, const struct rows *from, int64_t p)
    {
        for (int r = 0; r < size; r++)
            if (r != rank && p < pieces(&to[r]) && !ff_tensor_contiguous(&to[r].t))
                copy_piece(&to[r], p, place(0, r), true);
        ncclResult_t result = ncclGroupStart();
        for (int k = 1; k < size && result == ncclSuccess; k++) {
            int t = (rank + k) % size, f = (rank - k + size) % size;
            if (p < pieces(&to[t]))
                result = ncclSend(memory_of(&to[t], p, 0, t), bytes_of(&to[t], p), ncclInt8, t, comm, stream);
            if (result == ncclSuccess && p < pieces(&from[f]))
                result = ncclRecv(memory_of(&from[f], p, 1, f), bytes_of(&from[f], p), ncclInt8, f, comm, stream);
        }
        ncclResult_t ended = ncclGroupEnd();
        for (int r = 0; r < size; r++)
            if (r != rank && p < pieces(&from[r]) && !ff_tensor_contiguous(&from[r].t))
                copy_piece(&from[r], p, place(1, r), false);
        return result != ncclSuccess ? result : ended;
    }

    cudaStream_t move(const struct ff_cuda_slot *, const struct ff_exchange *, const struct ff_tensor *to,
                      const struct ff_tensor *from) override
    {
        std::vector<struct rows> send, receive;
        int64_t most = 0;
        for (int r = 0; r < size; r++) {
            send.push_back(rows_of(&to[r]));
            receive.push_back(rows_of(&from[r]));
            if (r != rank)
                most = std::max({most, pieces(&send[(size_t)r]), pieces(&receive[(size_t)r])});
        }
        ff_cuda_copy_here(be, &from[rank], &to[rank], stream);
        for (int64_t p = 0; p < most; p++)
            check(inside("exchange", [&] { return swap_pieces(send.data(), receive.data(), p); }), "exchange");
        return stream;
    }

    /* NCCL makes its connections, and takes their memory, at the first use: before the plan asks how much is free. */
    void connect()
    {
        enum { UNIT = 256 };
        char *memory;
        FF_CUDA(cudaMalloc((void **)&memory, 2 * (size_t)size * UNIT));
        std::vector<struct ff_tensor> to, from;
        const int64_t shape[1] = {UNIT};
        for (int r = 0; r < size; r++) {
            to.push_back(ff_tensor_make(memory + r * UNIT, FF_U8, 1, shape));
            from.push_back(ff_tensor_make(memory + (size + r) * UNIT, FF_U8, 1, shape));
        }
        const struct ff_exchange how = {FF_ALL_TO_ALL, false};
        self->wait(self, self->exchange(self, &how, to.data(), from.data()));
        be->sync(be);
        FF_CUDA(cudaFree(memory));
        self->update_stats(self);
        self->stats = {};
    }

    ~nccl_comm() override
    {
        (void)cudaStreamSynchronize(compute);
        (void)cudaStreamSynchronize(stream);
        ncclComm_t ended = comm;
        {
            std::lock_guard<std::mutex> hold(lock); /* the watch asks no more for its errors */
            comm = nullptr;
        }
        if (ended)
            check(inside("end", [ended] { return ncclCommDestroy(ended); }), "end");
        ff_cuda_comm_quiet(this);
        for (char *memory : stage)
            (void)cudaFree(memory);
    }
};

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
    *ret = ff_cuda_comm_open(n, be, host);
    for (char *&memory : n->stage)
        FF_CUDA(cudaMalloc((void **)&memory, STAGE));
    ncclComm_t comm = nullptr;
    n->check(n->inside("start", [&] { return ncclCommInitRank(&comm, n->size, id, n->rank); }), "start");
    {
        std::lock_guard<std::mutex> hold(n->lock);
        n->comm = comm;
    }
    n->connect();
    return FF_OK;
}
