/* SPDX-License-Identifier: Apache-2.0
 * mail: see mail.h. A mail is one MPI message: the struct, then the text with its end.
 */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/status.h"
#include "parallel/comm_mpi.h"
#include "parallel/mail.h"

static MPI_Comm mail_comm;

static void check(int code, const char *call)
{
    if (code != MPI_SUCCESS)
        ff_die(FF_EINTERNAL, __FILE__, __LINE__, "%s failed (error %d)", call, code);
}

void ff_mail_open(void)
{
    ff_comm_mpi_lock();
    check(MPI_Comm_dup(MPI_COMM_WORLD, &mail_comm), "MPI_Comm_dup");
    ff_comm_mpi_unlock();
}

void ff_mail_close(void)
{
    ff_comm_mpi_lock();
    check(MPI_Comm_free(&mail_comm), "MPI_Comm_free");
    ff_comm_mpi_unlock();
}

void ff_mail_send(int to, const struct ff_mail *m)
{
    size_t text = m->text != NULL ? strlen(m->text) + 1 : 0;
    char *bytes = ff_xmalloc(sizeof *m + text);
    memcpy(bytes, m, sizeof *m);
    if (text > 0)
        memcpy(bytes + sizeof *m, m->text, text);
    MPI_Request request;
    int done = 0;
    ff_comm_mpi_lock();
    check(MPI_Isend(bytes, (int)(sizeof *m + text), MPI_BYTE, to, 0, mail_comm, &request), "MPI_Isend");
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    ff_comm_mpi_unlock();
    while (!done) {
        usleep(100);
        ff_comm_mpi_lock();
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
        ff_comm_mpi_unlock();
    }
    free(bytes);
}

static char *receive(int *ret_from, int *ret_bytes)
{
    MPI_Status status;
    int there = 0, n = 0;
    check(MPI_Iprobe(MPI_ANY_SOURCE, 0, mail_comm, &there, &status), "MPI_Iprobe");
    if (!there)
        return NULL;
    check(MPI_Get_count(&status, MPI_BYTE, &n), "MPI_Get_count");
    char *bytes = ff_xmalloc((size_t)n);
    check(MPI_Recv(bytes, n, MPI_BYTE, status.MPI_SOURCE, 0, mail_comm, MPI_STATUS_IGNORE), "MPI_Recv");
    *ret_from = status.MPI_SOURCE;
    *ret_bytes = n;
    return bytes;
}

bool ff_mail_receive(struct ff_mail *ret)
{
    int from, n;
    ff_comm_mpi_lock();
    char *bytes = receive(&from, &n);
    ff_comm_mpi_unlock();
    if (bytes == NULL)
        return false;
    FF_ASSERT((size_t)n >= sizeof *ret);
    memcpy(ret, bytes, sizeof *ret);
    ret->from = from;
    ret->text = (size_t)n > sizeof *ret ? ff_xstrdup(bytes + sizeof *ret) : NULL;
    free(bytes);
    return true;
}
