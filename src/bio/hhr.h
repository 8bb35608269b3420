/* SPDX-License-Identifier: Apache-2.0
 * hhr: result files of hhsearch (and hhblits): the alignments behind the table, one hit per 'No n' paragraph.
 * Source: AlphaFold data/parsers.py (parse_hhr). A file without hits is fine.
 */
#ifndef FF_BIO_HHR_H
#define FF_BIO_HHR_H

#include <stddef.h>

#include "base/status.h"
#include "bio/template_hit.h"

/* Hits in the order of the file. name is the file's in messages. FF_EINPUT with the line. */
ff_status ff_hhr_parse(const char *name, const char *text, size_t len, struct ff_template_hits *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_hhr_load(const char *path, struct ff_template_hits *ret) FF_MUST_USE;

#endif
