/* SPDX-License-Identifier: Apache-2.0
 * hmmsearch_hits: template hits from the Stockholm alignment that hmmsearch writes over pdb_seqres.
 *
 * Rows are named "4pqx_A/2-217" and described "[subseq from] mol:protein length:217  ..."; rows of other molecules are
 * left out, but counted in the hits' numbers. The query's residues are the match columns (hmmbuild --hand keeps them
 * all). Rows whose description has another form, so of another database, are left out with one warning for all.
 * Source: AlphaFold data/tools/hmmsearch.py (get_template_hits), data/parsers.py (parse_hmmsearch_a3m).
 */
#ifndef FF_BIO_HMMSEARCH_HITS_H
#define FF_BIO_HMMSEARCH_HITS_H

#include <stddef.h>

#include "base/status.h"
#include "bio/template_hit.h"

/* text: the Stockholm file; an empty one has no hits (hmmsearch found nothing). name is the file's in messages.
 * FF_EINPUT with file and line. */
ff_status ff_hmmsearch_hits_parse(const char *name, const char *text, size_t len, const char *query,
                                  struct ff_template_hits *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_hmmsearch_hits_load(const char *path, const char *query, struct ff_template_hits *ret) FF_MUST_USE;

#endif
