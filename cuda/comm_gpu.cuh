/* SPDX-License-Identifier: Apache-2.0
 * comm_gpu: what the communicators on GPU memory share: the order of exchanges and computation, times, the watch, host
 * calls. For comm_gpu.cu, comm_nccl.cu and comm_peer.cu.
 *
 * Exchanges run on streams of their own. One starts behind an event of the backend's stream, and wait makes the
 * backend's stream stand behind its end; the host does not wait for the GPU.
 *
 * Exchanges are kept in a ring of slots with four events each: `ready` (backend: operands are there), `start` and `end`
 * (communication), `asked` (backend: wait was called). Times are read from them when a slot is used again. A thread
 * looks at them as well: it ends the job when an exchange that has started, or a call that may wait for other ranks,
 * exceeds the time limit, so that nothing waits for ever for a rank that is gone.
 */
#ifndef FF_CUDA_COMM_GPU_CUH
#define FF_CUDA_COMM_GPU_CUH

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "device.cuh"

extern "C" {
#include "parallel/block.h"
#include "parallel/comm.h"
}

struct ff_cuda_slot {
    enum ff_collective kind;
    bool waited;
    cudaEvent_t ready, start, end, asked;
};

struct ff_cuda_comm {
    enum { SLOTS = 4 * FF_COMM_IN_FLIGHT };

    struct ff_backend *be;
    struct ff_comm *host;                /* taken over; for the calls on host memory */
    struct ff_comm *self;                /* what the rest of the program has of this */
    int rank, size, device;
    cudaStream_t compute, stream;        /* the backend's; where exchanges start */
    int taken = 0;                       /* multiprocessors that the kernels of an exchange take; set by move */
    int64_t lender = -1;                 /* the last exchange that took some: they are lent until it is waited for */
    double time_limit;

    virtual ~ff_cuda_comm() {}
    /* Puts an exchange on streams, where s->start is recorded already; operands are there at s->ready, which
     * this->stream stands behind. Returns the stream at whose end as of now it will be over. */
    virtual cudaStream_t move(const struct ff_cuda_slot *s, const struct ff_exchange *how, const struct ff_tensor *to,
                              const struct ff_tensor *from) = 0;
    /* reach and reached of comm.h, for those whose operations write to other ranks' memory (beside: whether to any).
     * this->stream stands behind what the backend was given before each, s->ready in the second too; the first lets the
     * backend's stream wait for the receivers. reached returns as move does. */
    virtual bool reaches(bool beside) const { return (void)beside, false; }
    virtual void reach(bool beside, struct ff_tensor *to, const struct ff_tensor *from)
    {
        (void)beside, (void)to, (void)from;
    }
    virtual cudaStream_t reached(const struct ff_cuda_slot *s, const struct ff_tensor *to)
    {
        return (void)s, (void)to, stream;
    }
    /* By the watch, now and then: ends the job when something has gone wrong. */
    virtual void look() {}
    /* By the watch, when an exchange takes too long: who keeps it from ending, " (...)", or "". */
    virtual std::string blame() { return ""; }
    virtual void attach(void *memory, size_t bytes) { (void)memory, (void)bytes; }
    virtual void detach() {}
    virtual const char *name() const = 0;

    /* A call that may wait for other ranks, for the watch. */
    template <class F> auto inside(const char *what, F &&call)
    {
        inside_what.store(what);
        inside_since.store(now());
        auto result = call();
        inside_since.store(0);
        return result;
    }
    /* The host waits for other ranks between these two. */
    void waits(bool begin)
    {
        __atomic_fetch_add(begin ? &self->stats.waits_begun : &self->stats.waits_ended, 1, __ATOMIC_RELAXED);
    }
    [[noreturn]] void fail(const char *what, const char *why) const;
    static double now();

    struct ff_cuda_slot slots[SLOTS];
    int64_t begun = 0, read = 0;         /* tickets given out; those whose times are in the statistics */
    /* begun, read and the events of slots in between are changed under the lock. */
    std::mutex lock;
    std::condition_variable closing_changed;
    bool closing = false;
    std::thread watch;
    std::atomic<double> inside_since{0}; /* 0: no such call is going on */
    std::atomic<const char *> inside_what{nullptr};
};

/* Streams, events, the watch; from here on g owns host. */
struct ff_comm *ff_cuda_comm_open(struct ff_cuda_comm *g, struct ff_backend *be, struct ff_comm *host);
/* To another GPU's memory: by so many blocks of a kernel where everything lies at multiples of 16 bytes; else, and with
 * 0, by the copy engines. Returns how many multiprocessors that takes. */
int ff_cuda_copy_away(const struct ff_tensor *to, const struct ff_tensor *from, unsigned blocks, cudaStream_t stream);
/* Within this GPU's memory, by the backend's kernel, but on another stream than its own. */
void ff_cuda_copy_here(struct ff_backend *be, const struct ff_tensor *to, const struct ff_tensor *from,
                       cudaStream_t stream);
/* Exchanges are over, the watch looks no more at the derived class, which then ends what it has. */
void ff_cuda_comm_quiet(struct ff_cuda_comm *g);

#endif
