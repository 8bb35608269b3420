/* SPDX-License-Identifier: Apache-2.0
 * search_mmseqs: a search by MMseqs2, with the calls of ColabFold. Only search*.c use it.
 *
 * A FASTA database is converted once: into search.cache_dir, under a key of what the file is; without such a folder for
 * one search only. A database of MMseqs2 is taken as it is; one with clusters beside it (PATH_seq, PATH_aln) has those
 * of its hits expanded and aligned again. The result is an A3M of the first words of the headers, with /FROM-TO behind
 * them as HMMER has it, so that rows of UniProt can be paired by species.
 */
#ifndef FF_APP_SEARCH_MMSEQS_H
#define FF_APP_SEARCH_MMSEQS_H

#include "app/search_job.h"

/* query: the job's sequence as a FASTA file. Appends the alignment to text. */
ff_status ff_search_mmseqs_run(const struct ff_search_job *job, const char *query, struct ff_strbuf *text,
                               struct ff_search_record *r) FF_MUST_USE;

/* An A3M from the table of mmseqs convertalis: qstart, qend, tstart, tend, qaln, taln, theader. max_rows 0: all.
 * FF_ETOOL. */
ff_status ff_search_mmseqs_a3m(const char *name, const char *sequence, const char *table, size_t len, int max_rows,
                               struct ff_strbuf *ret) FF_MUST_USE;

#endif
