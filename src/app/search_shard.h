/* SPDX-License-Identifier: Apache-2.0
 * search_shard: one FASTA database searched in parts side by side, with the result of one search, byte for byte.
 *
 * E-values depend on the number of sequences in the whole database (Z), and which domains are kept depends on the
 * number of hits in it (domZ). So the search has two steps. First every part is searched by phmmer, which does what
 * jackhmmer does in its only round, with the whole database's Z; parts are ranges of the file that reach phmmer
 * through a pipe, so no copy is written. Then jackhmmer searches the few sequences that were hit, again with that Z:
 * it finds the same hits, which is the right domZ, and writes the alignment. On the way to phmmer names are replaced
 * by the place of the record in the file, which is where the second step takes the sequences from; and records that
 * its first filter would drop are left out (bio/ssv_filter.h), as finding those is most of the work of a search.
 */
#ifndef FF_APP_SEARCH_SHARD_H
#define FF_APP_SEARCH_SHARD_H

#include "app/search_job.h"

/* Whether what phmmer would drop at once is left out on this processor. Then one phmmer has enough to do for several
 * processors with what the others, which look for that, hand on. */
bool ff_search_shard_filters(void);

/* The job's database in job->shards parts; query is its FASTA file. Appends the alignment to text. */
ff_status ff_search_shard_run(const struct ff_search_job *job, const char *query, struct ff_strbuf *text,
                              struct ff_search_record *r) FF_MUST_USE;

#endif
