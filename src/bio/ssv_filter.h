/* SPDX-License-Identifier: Apache-2.0
 * ssv_filter: which sequences of a database HMMER's first filter may let pass for a query, found in a fraction of its
 * time. The others need not be given to HMMER at all, and what it finds stays the same.
 *
 * HMMER's first filter (MSV) takes the best ungapped local alignments of the sequence to the profile, in 8-bit thirds
 * of bits. Here the best one alone is computed, in the same units. A sequence passes when that could bring the filter
 * below its P-value, or when it is good enough for a second alignment to count (then MSV, not this, would have to
 * decide); and SLACK thirds of bits below both, as the profile's file has rounded numbers. So more pass here than
 * there, never fewer.
 * Source: Eddy, Accelerated profile HMM searches, PLoS Comput Biol 7, e1002195 (2011).
 */
#ifndef FF_BIO_SSV_FILTER_H
#define FF_BIO_SSV_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct ff_ssv;

/* The vectors that the processor has; FF_SSV_PLAIN is for tests and other processors, and not worth its time. */
enum ff_ssv_isa { FF_SSV_PLAIN, FF_SSV_V3, FF_SSV_V4 };
enum ff_ssv_isa ff_ssv_best_isa(void);

/* From a profile in HMMER's text format. p: P-value that HMMER's first filter is called with. FF_EINPUT. */
ff_status ff_ssv_new(const char *name, const char *hmm, size_t len, double p, enum ff_ssv_isa isa,
                     struct ff_ssv **ret) FF_MUST_USE;
void ff_ssv_free(struct ff_ssv *f);                  /* NULL is allowed */

/* Room for the calls of one thread. Caller frees. */
void *ff_ssv_scratch(const struct ff_ssv *f);

/* text: residues as letters, with white space, without a header. */
bool ff_ssv_may_pass(const struct ff_ssv *f, void *scratch, const char *text, size_t len);

/* The best ungapped score in thirds of bits, 0 to 255; -1: there are characters that are no residues. */
int ff_ssv_score(const struct ff_ssv *f, void *scratch, const char *text, size_t len, int *ret_n);

#endif
