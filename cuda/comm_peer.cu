/* SPDX-License-Identifier: Apache-2.0
 * comm_peer: exchanges among GPUs of one host that reach each other's memory. Every rank writes what it sends to its
 * place in the receiver's memory, strides and all: nothing is packed. Copy engines do that where there is enough to
 * compute meanwhile, and take no multiprocessor. What is waited for soon they write in part, and a kernel of few blocks
 * the rest at the same time. The kernel has its multiprocessors for itself: computation leaves them out (ff_cuda_lend).
 * Or the operations that make a block write it there, and it is never in this rank's memory (reach).
 * All copies are on one stream, receiver after receiver: with a stream for each of three receivers the engines reached
 * 190 GB/s in place of 300.
 *
 * The process of a receiver tells that of the sender where the block is to lie, through a board in shared memory (a
 * ring of mails for every pair). The GPUs wait for each other by themselves. For every pair there are four flags in the
 * memory of the one that waits, which count blocks: `room`, the receiver's memory may be written to, and `come`,
 * `copied` and `made`, the block is there, from a kernel, from the engines or from operations, which know nothing of
 * each other. An exchange is
 *
 *   stream           behind the operands: room = n at every sender; this rank's own block
 *   copies           behind the operands: until room >= n of all that get theirs from the engines; their copies, then
 *                    copied = n at each of them (of what a kernel writes to a single receiver, a part)
 *   to[r], one for   behind the operands: until room >= n; kernel; come = n at r
 *   each other rank
 *   coming           until come or copied >= n from every sender, and behind the others: the end of the exchange
 *
 * Where operations write blocks there are no kernels, and
 *
 *   stream           behind what was before them: room = n at every sender
 *   the backend's    until room >= n of all whose blocks they write; the operations
 *   stream           behind them: made = n at each of these
 *   copies, coming   as above, of the other blocks
 *
 * In the order in which this is put on the streams every wait is behind the writes that it waits for, of this rank and
 * of the others in their order: so exchanges end however few queues the GPU has for its streams.
 *
 * The memory that is exchanged is one allocation on every rank: attach opens it for the others, detach closes it.
 */
#include <cuda.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "comm_gpu.cuh"
#include "comm_peer.h"

extern "C" {
#include "parallel/agree.h"
}

namespace {

enum { RING = 64 };                      /* mails that a receiver may be ahead */
enum { FLAG_BYTES = 128 };               /* apart */
constexpr unsigned PUSH_BLOCKS = 12;     /* of the kernels of an exchange, for all receivers together */
/* Beside kernels copy engines write all that the first of several receivers gets, of what a single one gets so much. */
constexpr int64_t ENGINES_OF_8 = 3;

/* Where a block is to lie. */
struct mail {
    alignas(128) uint64_t number;        /* of the block, from 1; written last */
    uint64_t offset;                     /* from the receiver's memory */
    struct ff_tensor t;
};

struct member {
    alignas(128) cudaIpcMemHandle_t flags;
    cudaIpcMemHandle_t memory;
    int world_rank;
    int64_t begun;                       /* exchanges, for the watch */
};

/* Shared by the ranks: members, then for every receiver and sender how many mails were taken, then their rings. */
struct board {
    uint64_t size;
    struct member members[1];
};

struct taken {
    alignas(128) uint64_t count;
};

size_t board_bytes(int size)
{
    size_t n = (size_t)size;
    size_t pair = sizeof(struct taken) + RING * sizeof(struct mail);
    return sizeof(struct board) + n * sizeof(struct member) + n * n * pair;
}

struct taken *taken_of(struct board *b, int receiver, int sender)
{
    struct taken *all = (struct taken *)(b->members + b->size);
    return all + (size_t)receiver * b->size + (size_t)sender;
}

struct mail *mail_of(struct board *b, int receiver, int sender, uint64_t number)
{
    struct mail *all = (struct mail *)taken_of(b, (int)b->size, 0);
    return all + ((size_t)receiver * b->size + (size_t)sender) * RING + number % RING;
}

/* The driver's functions, which the runtime does not have. */
typedef CUresult batch_function(CUstream, unsigned, CUstreamBatchMemOpParams *, unsigned);

batch_function *find_batch()
{
    void *f = nullptr;
    cudaDriverEntryPointQueryResult found = {};
#if CUDART_VERSION >= 12050
    cudaError_t err = cudaGetDriverEntryPointByVersion("cuStreamBatchMemOp", &f, 12000, cudaEnableDefault, &found);
#else
    cudaError_t err = cudaGetDriverEntryPoint("cuStreamBatchMemOp", &f, cudaEnableDefault, &found);
#endif
    return err == cudaSuccess && found == cudaDriverEntryPointSuccess ? (batch_function *)f : nullptr;
}

/* Another rank, as this one sees it. */
struct peer {
    char *flags, *memory;                /* opened */
    cudaStream_t to;
    cudaEvent_t sent;
    uint64_t n_sent, n_come;             /* blocks */
    struct ff_tensor there;              /* where the one that is being sent is to lie */
};

struct peer_comm : ff_cuda_comm {
    struct board *board = nullptr;
    batch_function *batch = nullptr;
    char *flags = nullptr, *memory = nullptr;    /* this rank's */
    size_t memory_bytes = 0;
    std::vector<struct peer> peers;              /* [size] */
    /* The exchange that is being put on the streams. */
    struct ff_exchange how = {};
    bool making = false;                         /* by operations, as far as they reach */
    std::vector<bool> expected;                  /* [size] whether a block comes from there */
    std::vector<CUstreamBatchMemOpParams> ops;   /* being collected */
    cudaStream_t copies = nullptr, coming = nullptr;
    cudaEvent_t own_done = nullptr, part_done = nullptr;

    const char *name() const override { return "peer"; }

    /* --- flags --- */

    enum flag { ROOM, COME, COPIED, MADE, FLAGS };
    /* Of rank r, in the memory of the rank that waits. */
    static CUdeviceptr flag_at(char *base, enum flag which, int r)
    {
        return (CUdeviceptr)(base + (FLAGS * r + which) * FLAG_BYTES);
    }

    void set(int r, enum flag which, uint64_t n)
    {
        CUstreamBatchMemOpParams op = {};
        op.writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
        op.writeValue.address = flag_at(peers[(size_t)r].flags, which, rank);
        op.writeValue.value = (cuuint32_t)n;
        ops.push_back(op);
    }

    void until(int r, enum flag which, uint64_t n)
    {
        CUstreamBatchMemOpParams op = {};
        op.waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
        op.waitValue.address = flag_at(flags, which, r);
        op.waitValue.value = (cuuint32_t)n;
        op.waitValue.flags = CU_STREAM_WAIT_VALUE_GEQ;
        ops.push_back(op);
    }

    bool put(cudaStream_t on)
    {
        CUresult result = CUDA_SUCCESS;
        if (!ops.empty())
            result = batch((CUstream)on, (unsigned)ops.size(), ops.data(), 0);
        ops.clear();
        return result == CUDA_SUCCESS;
    }

    /* --- the board --- */

    /* Until the number is that, which another rank's host writes. */
    void await(const uint64_t *number, uint64_t least, int r)
    {
        double start = 0;
        for (int64_t n = 0; __atomic_load_n(number, __ATOMIC_ACQUIRE) < least; n++) {
            if (n < 100)
                continue;
            if (start == 0) {
                waits(true);
                start = now();
            }
            if (n < 20000) {
                sched_yield();
                continue;
            }
            const struct timespec pause = {0, 20000};
            nanosleep(&pause, nullptr);
            if (time_limit > 0 && now() - start > time_limit) {
                char why[160];
                snprintf(why, sizeof why, "rank %d has not come to it for %.0f s; it has died or hangs",
                         board->members[r].world_rank, time_limit);
                fail("exchange", why);
            }
        }
        if (start > 0)
            waits(false);
    }

    void post(int sender, const struct ff_tensor *from)
    {
        uint64_t number = ++peers[(size_t)sender].n_come, offset = (uint64_t)((char *)from->data - memory);
        FF_ASSERT(memory && (char *)from->data >= memory && offset < memory_bytes);
        if (number > RING)
            await(&taken_of(board, rank, sender)->count, number - RING, sender);
        struct mail *m = mail_of(board, rank, sender, number);
        m->offset = offset;
        m->t = *from;
        __atomic_store_n(&m->number, number, __ATOMIC_RELEASE);
    }

    /* The next block of receiver, as a tensor of this rank. */
    struct ff_tensor take(int receiver)
    {
        struct peer *p = &peers[(size_t)receiver];
        uint64_t number = ++p->n_sent;
        struct mail *m = mail_of(board, receiver, rank, number);
        await(&m->number, number, receiver);
        struct ff_tensor t = m->t;
        t.data = p->memory + m->offset;
        __atomic_store_n(&taken_of(board, receiver, rank)->count, number, __ATOMIC_RELEASE);
        return t;
    }

    std::string blame() override
    {
        int last = 0;
        for (int r = 1; r < size; r++)
            if (begun_by(r) < begun_by(last))
                last = r;
        return begun_by(last) < begun_by(rank) ? " (rank " + std::to_string(board->members[last].world_rank) +
                                                     " has begun the fewest exchanges)"
                                               : "";
    }

    int64_t begun_by(int r) const { return __atomic_load_n(&board->members[r].begun, __ATOMIC_RELAXED); }

    /* --- an exchange --- */

    bool sends(const struct ff_tensor *to, int r) const { return r != rank && ff_tensor_count(&to[r]) > 0; }
    /* Whether rank r sends a block, to where from[r] is. */
    bool comes(const struct ff_tensor *from, int r) const { return r != rank && ff_tensor_count(&from[r]) > 0; }

    /* To how many of the others operations write their blocks, which is slower than to write to memory here: beside
     * other work to a third, so that they take no longer; of what is waited for to two thirds, while engines send what
     * those before them have made for the rest. */
    int n_made(bool beside) const { return beside ? (size - 1) / 3 : (2 * (size - 1) + 2) / 3; }

    /* Who writes to the k-th rank after the sender, and so the flag that says that the block is there. */
    enum flag writer(int k) const
    {
        if (making)
            return k > n_made(how.beside) ? COPIED : MADE;
        return how.beside || (size > 2 && k == 1) ? COPIED : COME;
    }
    int after(int k) const { return (rank + k) % size; }

    void put_or_fail(cudaStream_t on)
    {
        if (!put(on))
            fail("exchange", "the driver refuses operations on flags");
    }

    /* Sender and receiver agree on where blocks are to lie; behind what is on the stream others may write there. */
    void begin(const struct ff_exchange *as, bool by_operations, const struct ff_tensor *to,
               const struct ff_tensor *from)
    {
        how = *as;
        making = by_operations;
        for (int r = 0; r < size; r++) {
            expected[(size_t)r] = comes(from, r);
            if (comes(from, r)) {
                post(r, &from[r]);
                set(r, ROOM, peers[(size_t)r].n_come);
            }
        }
        put_or_fail(stream);
        for (int r = 0; r < size; r++)
            if (sends(to, r))
                peers[(size_t)r].there = take(r);
    }

    void send_by_engines(const struct ff_cuda_slot *s, const struct ff_tensor *to)
    {
        for (int k = 1; k < size; k++)
            if (writer(k) == COPIED && sends(to, after(k)))
                until(after(k), ROOM, peers[(size_t)after(k)].n_sent);
        if (ops.empty())
            return;
        FF_CUDA(cudaStreamWaitEvent(copies, s->ready, 0));
        put_or_fail(copies);
        for (int k = 1; k < size; k++) {
            const int r = after(k);
            if (writer(k) != COPIED || !sends(to, r))
                continue;
            struct peer *p = &peers[(size_t)r];
            (void)ff_cuda_copy_away(&p->there, &to[r], 0, copies);
            set(r, COPIED, p->n_sent);
        }
        put_or_fail(copies);             /* none sooner: each would hold up the next copy */
        for (int k = 1; k < size; k++)
            if (writer(k) == COPIED && sends(to, after(k)))
                FF_CUDA(cudaEventRecord(peers[(size_t)after(k)].sent, copies));
    }

    /* Copy engines write the first part of a block, until part_done. Of both sides the rest is left. False where it is
     * not cut. */
    bool cut(const struct ff_cuda_slot *s, int r, struct ff_tensor *there, struct ff_tensor *own)
    {
        int axis = 0;
        for (int d = 1; d < own->ndim - 1; d++)
            if (own->shape[d] > own->shape[axis])
                axis = d;
        const int64_t all = own->shape[axis], part = own->ndim > 1 ? all * ENGINES_OF_8 / 8 : 0;
        if (part == 0)
            return false;
        struct ff_tensor to = ff_tensor_slice(*there, axis, 0, part), from = ff_tensor_slice(*own, axis, 0, part);
        FF_CUDA(cudaStreamWaitEvent(copies, s->ready, 0));
        until(r, ROOM, peers[(size_t)r].n_sent);
        put_or_fail(copies);
        (void)ff_cuda_copy_away(&to, &from, 0, copies);
        FF_CUDA(cudaEventRecord(part_done, copies));
        *there = ff_tensor_slice(*there, axis, part, all - part);
        *own = ff_tensor_slice(*own, axis, part, all - part);
        return true;
    }

    void send_by_kernel(const struct ff_cuda_slot *s, int r, struct ff_tensor own)
    {
        const unsigned n_kernel = size > 2 ? (unsigned)size - 2 : 1, blocks = (PUSH_BLOCKS + n_kernel - 1) / n_kernel;
        struct peer *p = &peers[(size_t)r];
        struct ff_tensor there = p->there;
        const bool both = size == 2 && cut(s, r, &there, &own);
        FF_CUDA(cudaStreamWaitEvent(p->to, s->ready, 0));
        until(r, ROOM, p->n_sent);
        put_or_fail(p->to);
        taken += ff_cuda_copy_away(&there, &own, blocks, p->to);
        if (both)
            FF_CUDA(cudaStreamWaitEvent(p->to, part_done, 0));
        set(r, COME, p->n_sent);
        put_or_fail(p->to);
        FF_CUDA(cudaEventRecord(p->sent, p->to));
    }

    /* The end: what this rank sends has left, and what comes is there. */
    cudaStream_t end(const struct ff_tensor *to)
    {
        FF_CUDA(cudaEventRecord(own_done, stream));
        for (int k = 1; k < size; k++) {
            const int r = after(k);
            if (sends(to, r) && writer(k) != MADE)
                FF_CUDA(cudaStreamWaitEvent(coming, peers[(size_t)r].sent, 0));
            if (expected[(size_t)r])
                until(r, writer(size - k), peers[(size_t)r].n_come);
        }
        FF_CUDA(cudaStreamWaitEvent(coming, own_done, 0));
        put_or_fail(coming);
        __atomic_fetch_add(&board->members[rank].begun, 1, __ATOMIC_RELAXED);
        return coming;
    }

    cudaStream_t move(const struct ff_cuda_slot *s, const struct ff_exchange *as, const struct ff_tensor *to,
                      const struct ff_tensor *from) override
    {
        begin(as, false, to, from);
        ff_cuda_copy_here(be, &from[rank], &to[rank], stream);
        send_by_engines(s, to);
        for (int k = 1; k < size; k++)
            if (writer(k) == COME && sends(to, after(k)))
                send_by_kernel(s, after(k), to[after(k)]);
        return end(to);
    }

    bool reaches(bool beside) const override { return n_made(beside) > 0; }

    void reach(bool beside, struct ff_tensor *to, const struct ff_tensor *from) override
    {
        const struct ff_exchange as = {FF_ALL_TO_ALL, beside};
        begin(&as, true, to, from);
        for (int k = 1; k < size; k++) {
            const int r = after(k);
            if (writer(k) != MADE || !sends(to, r))
                continue;
            const struct peer *p = &peers[(size_t)r];
            FF_ASSERT(ff_tensor_same_shape(&to[r], &p->there) && to[r].dtype == p->there.dtype);
            to[r] = p->there;
            until(r, ROOM, p->n_sent);
        }
        put_or_fail(compute);
    }

    cudaStream_t reached(const struct ff_cuda_slot *s, const struct ff_tensor *to) override
    {
        for (int k = 1; k < size; k++)
            if (writer(k) == MADE && sends(to, after(k)))
                set(after(k), MADE, peers[(size_t)after(k)].n_sent);
        put_or_fail(stream);
        send_by_engines(s, to);
        return end(to);
    }

    /* --- begin and end --- */

    /* A board that all ranks of host see; NULL where they cannot. Collective. */
    static struct board *open_board(struct ff_comm *host)
    {
        char text[64];
        size_t bytes = board_bytes(host->size);
        int file = -1;
        snprintf(text, sizeof text, "/fastfold-%ld-%.0f", (long)getpid(), now() * 1e9);
        if (host->rank == 0) {
            file = shm_open(text, O_RDWR | O_CREAT | O_EXCL, 0600);
            if (file >= 0 && posix_fallocate(file, 0, (off_t)bytes) != 0)
                text[0] = '\0';
        }
        host->broadcast_host(host, text, sizeof text, 0);
        if (host->rank != 0)
            file = shm_open(text, O_RDWR, 0600);
        void *p = file >= 0 ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
        if (file >= 0)
            close(file);
        bool all = ff_agree_least(host, p != MAP_FAILED) > 0;
        if (host->rank == 0)
            shm_unlink(text);
        if (all) {
            ((struct board *)p)->size = (uint64_t)host->size;
            return (struct board *)p;
        }
        if (p != MAP_FAILED)
            munmap(p, bytes);
        return nullptr;
    }

    /* Opens what all other ranks show. */
    ff_status open_all(cudaIpcMemHandle_t member::*handle, char *peer::*at)
    {
        for (int r = 0; r < size; r++)
            if (r != rank) {
                void *p = nullptr;
                cudaError_t err = cudaIpcOpenMemHandle(&p, board->members[r].*handle, cudaIpcMemLazyEnablePeerAccess);
                if (err != cudaSuccess) {
                    (void)cudaGetLastError();
                    return ff_fail(FF_EGPU, "memory of the GPU of rank %d does not open: %s",
                                   board->members[r].world_rank, cudaGetErrorString(err));
                }
                peers[(size_t)r].*at = (char *)p;
            }
        return FF_OK;
    }

    void close_all(char *peer::*at)
    {
        for (struct peer &p : peers)
            if (p.*at) {
                (void)cudaIpcCloseMemHandle(p.*at);
                p.*at = nullptr;
            }
    }

    /* Whether flags that other ranks write come here. Collective. */
    ff_status try_flags()
    {
        const uint32_t mark = 0x5eed;
        for (int r = 0; r < size; r++)
            if (r != rank)
                set(r, COME, mark);
        bool good = put(stream) && cudaStreamSynchronize(stream) == cudaSuccess;
        host->barrier(host);
        std::vector<char> seen((size_t)(FLAGS * size * FLAG_BYTES));
        FF_CUDA(cudaMemcpyAsync(seen.data(), flags, seen.size(), cudaMemcpyDeviceToHost, stream));
        FF_CUDA(cudaStreamSynchronize(stream));
        for (int r = 0; r < size && good; r++)
            good = r == rank || memcmp(&seen[(size_t)((FLAGS * r + COME) * FLAG_BYTES)], &mark, sizeof mark) == 0;
        FF_CUDA(cudaMemsetAsync(flags, 0, seen.size(), stream));
        FF_CUDA(cudaStreamSynchronize(stream));
        return good ? FF_OK : ff_fail(FF_EGPU, "flags that another GPU writes do not come");
    }

    ff_status show_flags()
    {
        batch = find_batch();
        if (!batch)
            return ff_fail(FF_EGPU, "the driver has no operations on flags");
        if (cudaIpcGetMemHandle(&board->members[rank].flags, flags) == cudaSuccess)
            return FF_OK;
        (void)cudaGetLastError();
        return ff_fail(FF_EGPU, "memory of this GPU cannot be opened by other processes");
    }

    /* Collective; all ranks or none. */
    ff_status start()
    {
        size_t bytes = (size_t)(FLAGS * size * FLAG_BYTES);
        peers.resize((size_t)size);
        expected.resize((size_t)size);
        board->members[rank].world_rank = ff_comm_world_rank();
        FF_CUDA(cudaStreamCreateWithFlags(&coming, cudaStreamNonBlocking));
        FF_CUDA(cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking));
        for (cudaEvent_t *e : {&own_done, &part_done})
            FF_CUDA(cudaEventCreateWithFlags(e, cudaEventDisableTiming));
        int least, greatest; /* kernels that send get the multiprocessors that fall free first */
        FF_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
        for (struct peer &p : peers) {
            FF_CUDA(cudaStreamCreateWithPriority(&p.to, cudaStreamNonBlocking, greatest));
            FF_CUDA(cudaEventCreateWithFlags(&p.sent, cudaEventDisableTiming));
        }
        FF_CUDA(cudaMalloc((void **)&flags, bytes));
        FF_CUDA(cudaMemsetAsync(flags, 0, bytes, stream));
        FF_CUDA(cudaStreamSynchronize(stream));
        FF_TRY(ff_agree(host, show_flags()));
        FF_TRY(ff_agree(host, open_all(&member::flags, &peer::flags)));
        FF_TRY(ff_agree(host, try_flags()));
        return FF_OK;
    }

    void attach(void *at, size_t bytes) override
    {
        memory = (char *)at;
        memory_bytes = bytes;
        FF_CUDA(cudaIpcGetMemHandle(&board->members[rank].memory, at));
        self->barrier(self);
        if (open_all(&member::memory, &peer::memory) != FF_OK)
            fail("attach", ff_status_message());
        self->barrier(self);
    }

    void synchronize()
    {
        for (struct peer &p : peers)
            (void)cudaStreamSynchronize(p.to);
        (void)cudaStreamSynchronize(copies);
        (void)cudaStreamSynchronize(stream);
        (void)cudaStreamSynchronize(coming);
    }

    void detach() override
    {
        synchronize();
        close_all(&peer::memory);
        memory = nullptr;
        self->barrier(self); /* now it may be freed */
    }

    ~peer_comm() override
    {
        synchronize();
        ff_cuda_comm_quiet(this);
        close_all(&peer::flags);
        if (host)
            host->barrier(host);
        (void)cudaFree(flags);
        for (struct peer &p : peers) {
            (void)cudaStreamDestroy(p.to);
            (void)cudaEventDestroy(p.sent);
        }
        for (cudaEvent_t e : {own_done, part_done})
            (void)cudaEventDestroy(e);
        (void)cudaStreamDestroy(copies);
        (void)cudaStreamDestroy(coming);
        munmap(board, board_bytes(size));
    }
};

} // namespace

extern "C" ff_status ff_comm_peer_create(struct ff_backend *be, struct ff_comm *host, struct ff_comm **ret)
{
    *ret = nullptr;
    struct board *board = peer_comm::open_board(host);
    if (!board)
        return ff_fail(FF_EGPU, "the ranks do not share the memory of one host (/dev/shm)");
    peer_comm *p = new peer_comm();
    p->board = board;
    struct ff_comm *c = ff_cuda_comm_open(p, be, host);
    ff_status st = p->start();
    if (st == FF_OK) {
        *ret = c;
        return FF_OK;
    }
    delete p;
    delete c;
    return st;
}
