/* SPDX-License-Identifier: Apache-2.0
 * comm: see comm.h.
 */
#include "parallel/comm.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "parallel/mail.h"
#ifdef HAVE_MPI
#include "parallel/comm_mpi.h"
#endif
#ifdef HAVE_CUDA
#include "base/log.h"
#include "comm_peer.h"
#endif
#ifdef HAVE_NCCL
#include "comm_nccl.h"
#endif

/* --- one rank: nobody to talk to -------------------------------------------------------------------------------- */

static void self_destroy(struct ff_comm *c)
{
    free(c);
}

static void self_barrier(struct ff_comm *c)
{
    (void)c;
}

static void self_broadcast_host(struct ff_comm *c, void *data, size_t bytes, int root)
{
    (void)c;
    (void)data;
    (void)bytes;
    FF_ASSERT(root == 0);
}

struct ff_comm *ff_comm_self(void)
{
    struct ff_comm *c = FF_NEW(struct ff_comm);
    /* Collectives are never called on one rank: the callers use the tensor that they have. */
    *c = (struct ff_comm){.name = "self", .size = 1, .broadcast_host = self_broadcast_host, .barrier = self_barrier,
                          .update_stats = self_barrier, .destroy = self_destroy};
    return c;
}

void ff_comm_destroy(struct ff_comm *c)
{
    if (c != NULL)
        c->destroy(c);
}

double ff_comm_sent(const struct ff_comm *c, const struct ff_tensor *to)
{
    double sum = 0.0;
    for (int r = 0; r < c->size; r++)
        sum += r != c->rank ? (double)ff_tensor_bytes(&to[r]) : 0.0;
    return sum;
}

/* --- time limit -------------------------------------------------------------------------------------------------- */

static double time_limit = 600.0;

void ff_comm_set_time_limit(double seconds)
{
    time_limit = seconds;
}

double ff_comm_time_limit(void)
{
    return time_limit;
}

static enum ff_transport transport;

void ff_comm_set_transport(enum ff_transport t)
{
    transport = t;
}

/* --- the world -------------------------------------------------------------------------------------------------- */

#ifdef HAVE_MPI
static bool started;
#endif

/* Launched by mpirun (Open MPI, MPICH) or srun on more than one rank. */
static bool launched_on_ranks(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && strtol(value, NULL, 10) > 1)
            return true;
    }
    return false;
}

#ifdef HAVE_MPI

ff_status ff_comm_start(int *argc, char ***argv)
{
    if (!launched_on_ranks())
        return FF_OK;
    FF_TRY(ff_comm_mpi_start(argc, argv));
    started = true;
    if (ff_comm_mpi_size() == 1)
        return ff_fail(FF_EUSAGE, "launched on several ranks, but MPI knows of one: the launcher does not belong to "
                       "this MPI library; use its own mpirun, or srun --mpi=pmix");
    int index = 0, count = 1;
    ff_comm_mpi_device_place(&index, &count);
    ff_backend_set_place(index, count);
    return FF_OK;
}

void ff_comm_stop(void)
{
    if (started)
        ff_comm_mpi_stop();
    started = false;
}

void ff_comm_abort(int code)
{
    if (started)
        ff_comm_mpi_abort(code);
}

int ff_comm_world_rank(void)
{
    return started ? ff_comm_mpi_rank() : 0;
}

int ff_comm_world_size(void)
{
    return started ? ff_comm_mpi_size() : 1;
}

int ff_comm_local_rank(void)
{
    return started ? ff_comm_mpi_local_rank() : 0;
}

int ff_comm_local_size(void)
{
    return started ? ff_comm_mpi_local_size() : 1;
}

static ff_status through_nccl(struct ff_backend *be, struct ff_comm *host, struct ff_comm **ret)
{
#ifdef HAVE_NCCL
    return ff_comm_nccl_create(be, host, ret);
#else
    (void)be;
    *ret = NULL;
    ff_comm_destroy(host);
    return ff_fail(FF_EUSAGE, "several GPUs that do not reach each other's memory need NCCL for one target, and this "
                   "fastfold was built without it; install libnccl-dev and build it again, or use parallel.dap=1 or "
                   "--device cpu");
#endif
}

static ff_status on_gpus(struct ff_backend *be, struct ff_comm *host, struct ff_comm **ret)
{
#ifdef HAVE_CUDA
    if (transport != FF_TRANSPORT_NCCL) {
        ff_status st = ff_comm_peer_create(be, host, ret);
        if (st == FF_OK)
            return FF_OK;
        if (transport == FF_TRANSPORT_PEER) {
            ff_comm_destroy(host);
            return ff_fail(FF_EUSAGE, "parallel.transport is peer, but %s; use auto or nccl", ff_status_message());
        }
        if (host->rank == 0)
            ff_info("GPUs exchange through NCCL: %s", ff_status_message());
        ff_status_clear();
    }
#endif
    return through_nccl(be, host, ret);
}

ff_status ff_comm_split(struct ff_backend *be, int color, struct ff_comm **ret)
{
    *ret = started ? ff_comm_mpi_split(color) : ff_comm_self();
    return (*ret)->size > 1 && be != NULL && strcmp(be->name, "cuda") == 0 ? on_gpus(be, *ret, ret) : FF_OK;
}

#else

ff_status ff_comm_start(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (launched_on_ranks())
        return ff_fail(FF_EUSAGE, "launched on several ranks, but this fastfold was built without MPI; install "
                       "libopenmpi-dev and build it again with make MPI=1");
    return FF_OK;
}

void ff_comm_stop(void)
{
}

void ff_comm_abort(int code)
{
    (void)code;
}

int ff_comm_world_rank(void)
{
    return 0;
}

int ff_comm_world_size(void)
{
    return 1;
}

int ff_comm_local_rank(void)
{
    return 0;
}

int ff_comm_local_size(void)
{
    return 1;
}

ff_status ff_comm_split(struct ff_backend *be, int color, struct ff_comm **ret)
{
    (void)be;
    (void)color;
    *ret = ff_comm_self();
    return FF_OK;
}

/* Never called on one rank. */
void ff_mail_open(void)
{
}

void ff_mail_close(void)
{
}

void ff_mail_send(int to, const struct ff_mail *m)
{
    FF_ASSERT(to == 0 && m == NULL);
}

bool ff_mail_receive(struct ff_mail *ret)
{
    *ret = (struct ff_mail){0};
    return false;
}

#endif
