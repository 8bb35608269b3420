/* SPDX-License-Identifier: Apache-2.0
 * search_part: a range of a FASTA database searched by one phmmer, which reads it from a pipe that threads fill.
 */
#ifndef FF_APP_SEARCH_PART_H
#define FF_APP_SEARCH_PART_H

#include <pthread.h>
#include <stdatomic.h>

#include "app/search_job.h"
#include "bio/ssv_filter.h"

/* A record that phmmer hit. */
struct ff_search_hit {
    int64_t place;               /* of its record in the database */
    double score;                /* bits, as printed */
};

struct ff_search_part {
    const struct ff_search_job *job;
    const char *query;
    const struct ff_ssv *filter;         /* NULL: everything is searched */
    int cpus;
    int fd;                      /* of the database */
    bool compressed;             /* then the only part */
    int64_t from, to;
    char *fifo;
    int n_feeder;                /* threads that write into the pipe; with a filter, as many as find work in turns */
    atomic_llong next;           /* where the next turn begins, from on */
    int pipe;                    /* its end for writing; -1: phmmer never opened it */
    pthread_mutex_t lock;        /* of writing, as records go in whole */
    atomic_bool ended;           /* phmmer is not there any more */
    atomic_bool read_failed;
    /* results */
    struct ff_search_hit *hits;
    int n_hit, capacity;
    struct ff_strbuf line;       /* of phmmer's table that is not complete yet */
    bool has_end;                /* the table's last line came */
    struct ff_search_record record;
    ff_status status;
    char *message;
};

/* Searches a ff_search_part and leaves the results there; the function of a thread. */
void *ff_search_part_run(void *part);

#endif
