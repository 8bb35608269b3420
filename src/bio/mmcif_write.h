/* SPDX-License-Identifier: Apache-2.0
 * mmcif_write: predicted structures as mmCIF text with ModelCIF categories, byte for byte as AlphaFold writes them
 * (common/protein.py to_mmcif, common/mmcif_metadata.py, through Biopython).
 */
#ifndef FF_BIO_MMCIF_WRITE_H
#define FF_BIO_MMCIF_WRITE_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "bio/structure.h"

struct ff_mmcif_options {
    const char *id;               /* data block name; written in upper case */
    bool multimer;                /* names the model group "Multimer" instead of "Monomer" */
    bool chains_from_a;           /* chain ids A, B, ... in order (false: as published, by chain_index) */
};

/* Appends the text to out. FF_EINPUT: no residues, or coordinates that are not finite. */
ff_status ff_mmcif_write(const struct ff_structure *s, const struct ff_mmcif_options *opt,
                         struct ff_strbuf *out) FF_MUST_USE;

#endif
