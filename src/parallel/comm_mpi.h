/* SPDX-License-Identifier: Apache-2.0
 * comm_mpi: the MPI communicator on host memory. Seen by comm.c only.
 */
#ifndef FF_PARALLEL_COMM_MPI_H
#define FF_PARALLEL_COMM_MPI_H

#include "parallel/comm.h"

ff_status ff_comm_mpi_start(int *argc, char ***argv) FF_MUST_USE;
void ff_comm_mpi_stop(void);
void ff_comm_mpi_abort(int code);
/* MPI is called by one thread at a time: every call stands between these two, and none of them waits for another rank
 * that may wait for a call of another thread. */
void ff_comm_mpi_lock(void);
void ff_comm_mpi_unlock(void);
int ff_comm_mpi_rank(void);
int ff_comm_mpi_size(void);
int ff_comm_mpi_local_rank(void);
int ff_comm_mpi_local_size(void);
/* This rank's number among, and the number of, the ranks of this machine that see the same GPUs: a launcher may give
 * each rank GPUs of its own. */
void ff_comm_mpi_device_place(int *ret_index, int *ret_count);
/* For tests, FF_TEST_LATE=1 in the environment makes collectives as late as they may be: at wait, and what they receive
 * is NaN before, so that a wait that is missing or too late shows. */
struct ff_comm *ff_comm_mpi_split(int color);

#endif
