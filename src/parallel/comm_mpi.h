/* SPDX-License-Identifier: Apache-2.0
 * comm_mpi: the MPI communicator on host memory. Seen by comm.c only.
 */
#ifndef FF_PARALLEL_COMM_MPI_H
#define FF_PARALLEL_COMM_MPI_H

#include "parallel/comm.h"

ff_status ff_comm_mpi_start(int *argc, char ***argv) FF_MUST_USE;
void ff_comm_mpi_stop(void);
int ff_comm_mpi_rank(void);
int ff_comm_mpi_size(void);
int ff_comm_mpi_local_rank(void);
struct ff_comm *ff_comm_mpi_split(int color);

#endif
