/* SPDX-License-Identifier: Apache-2.0
 * comm: exchanges among the ranks that work on one target. Four kinds: self (one rank, nothing to do), MPI on host
 * memory, and on GPU memory GPUs that write into each other's memory (peer) or NCCL. comm.c is the only
 * file that knows which of them this build has (HAVE_MPI, HAVE_CUDA, HAVE_NCCL).
 *
 * Every rank of the communicator makes the same calls in the same order. Tensors' memory belongs to the backend that
 * the communicator was made for; the host calls take host memory whatever the backend. A failure or a time-out ends
 * the job (ff_die): there is no way to go on without a rank.
 */
#ifndef FF_PARALLEL_COMM_H
#define FF_PARALLEL_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "compute/backend.h"

enum ff_collective { FF_ALL_GATHER, FF_ALL_TO_ALL, FF_COLLECTIVE_COUNT };
enum { FF_COMM_IN_FLIGHT = 16 };            /* exchanges begun and not yet waited for, at most */

/* How an exchange is made. */
struct ff_exchange {
    enum ff_collective kind;                /* for the statistics */
    bool beside;                            /* there is enough to compute until it is waited for: it may take its time,
                                             * but nothing from computation */
};

struct ff_comm_stats {
    int64_t calls[FF_COLLECTIVE_COUNT];
    double bytes[FF_COLLECTIVE_COUNT];      /* sent by this rank to others */
    double seconds[FF_COLLECTIVE_COUNT];    /* from the start of the transfer to its end, other ranks' delay included */
    double wait[FF_COLLECTIVE_COUNT];       /* of these, what computation stood still for: not hidden behind it */
    /* Times that this rank has begun and ended to wait for others in MPI; parallel/team.h looks from its thread. */
    int64_t waits_begun, waits_ended;
};

struct ff_comm {
    const char *name;                       /* "self", "mpi", "peer", "nccl" */
    int rank, size;
    struct ff_comm_stats stats;             /* up to date after update_stats */
    void *impl;

    /* An exchange on the backend's memory: to[r] goes to rank r, where from[this rank] gets it; this rank's own to[]
     * goes to its own from[], unless they are the same. The shapes on both sides are equal; strides are each side's
     * own, but for the last axis, which is contiguous. What has no elements is not sent.
     *
     * It begins behind the operations that were given to the backend before, and runs beside those that are given to
     * it afterwards, until wait: operations given to the backend after wait(ticket) find this exchange and all earlier
     * ones done. In between nothing may write to what is sent, nor touch what is received, which may lie where
     * operations before the exchange have worked. The lists are the caller's again on return. Returned is the ticket
     * for wait. */
    int64_t (*exchange)(struct ff_comm *c, const struct ff_exchange *how, const struct ff_tensor *to,
                        const struct ff_tensor *from);
    void (*wait)(struct ff_comm *c, int64_t ticket);

    /* An all-to-all some of whose blocks are made where they are to lie, by operations of this rank that write to the
     * memory of others. to[r] is where rank r's block is to be made: it comes with a place of this rank, and may be
     * given one of rank r, its from[this rank], instead. Between reach and reached, which gets the same list,
     * operations that make the blocks are given to the backend, and no exchange is begun. All else, beside too, is as
     * with exchange. NULL or false, on all ranks, where no other rank's memory is to be written to: nothing has
     * happened then. */
    bool (*reach)(struct ff_comm *c, bool beside, struct ff_tensor *to, const struct ff_tensor *from);
    int64_t (*reached)(struct ff_comm *c, const struct ff_tensor *to);   /* returns the ticket */

    /* All exchanges until detach are in this memory of the backend. Collective; NULL where nothing needs to know. */
    void (*attach)(struct ff_comm *c, void *memory, size_t bytes);
    void (*detach)(struct ff_comm *c);

    /* Host memory; complete on return. gather_host: block r to offset[r] of recv on rank 0 (recv is not read
     * elsewhere). */
    void (*gather_host)(struct ff_comm *c, const void *send, void *recv, const size_t *bytes, const size_t *offset);
    void (*broadcast_host)(struct ff_comm *c, void *data, size_t bytes, int root);
    void (*barrier)(struct ff_comm *c);
    void (*update_stats)(struct ff_comm *c);    /* waits for the exchanges that were waited for */
    void (*destroy)(struct ff_comm *c);
};

/* One rank. Never fails. */
struct ff_comm *ff_comm_self(void);
void ff_comm_destroy(struct ff_comm *c);    /* NULL is allowed */
double ff_comm_sent(const struct ff_comm *c, const struct ff_tensor *to);   /* bytes to others */
static inline void ff_comm_attach(struct ff_comm *c, void *memory, size_t bytes)
{
    if (c->attach != NULL)
        c->attach(c, memory, bytes);
}
static inline void ff_comm_detach(struct ff_comm *c)
{
    if (c->detach != NULL)
        c->detach(c);
}

/* Starts MPI when this process was launched by mpirun or srun (else nothing happens and there is one rank). Call once,
 * before any thread; sets the rank of log and of ff_die, whose hook then aborts the whole job. FF_EUSAGE when the
 * program was launched on several ranks but built without MPI, or where MPI cannot be called by threads in turn. */
ff_status ff_comm_start(int *argc, char ***argv) FF_MUST_USE;
void ff_comm_stop(void);                    /* MPI_Finalize where it was started */
void ff_comm_abort(int code);               /* ends all ranks; returns only where there is one */
int ff_comm_world_rank(void);               /* 0 without MPI */
int ff_comm_world_size(void);               /* 1 without MPI */
int ff_comm_local_rank(void);               /* among the ranks of this machine */
int ff_comm_local_size(void);

/* A collective that takes longer than this ends the job: a rank has died or hangs. 0: no limit. For communicators that
 * are made afterwards. */
void ff_comm_set_time_limit(double seconds);
double ff_comm_time_limit(void);

/* How GPUs exchange: auto takes peer where all ranks of a communicator can, else NCCL. For communicators that are made
 * afterwards. */
enum ff_transport { FF_TRANSPORT_AUTO, FF_TRANSPORT_NCCL, FF_TRANSPORT_PEER };
void ff_comm_set_transport(enum ff_transport t);

/* Splits the world: ranks with the same color form one communicator, in world order, on the memory of be (which is no
 * wrapper; NULL: host calls alone). Collective over the world. FF_EUSAGE for several GPUs that do not reach each
 * other's memory in a build without NCCL, or where the transport asked for is not there. */
ff_status ff_comm_split(struct ff_backend *be, int color, struct ff_comm **ret) FF_MUST_USE;

#endif
