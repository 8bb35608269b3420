/* SPDX-License-Identifier: Apache-2.0
 * mmcif_write: predicted structures as mmCIF text with ModelCIF categories, byte for byte as AlphaFold writes them
 * (common/protein.py to_mmcif, common/mmcif_metadata.py, through Biopython's MMCIFIO).
 */
#ifndef FF_BIO_MMCIF_WRITE_H
#define FF_BIO_MMCIF_WRITE_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "bio/structure.h"

/* Who made a model. The published text names AlphaFold, its authors, licence and disclaimer; a program that ran other
 * code or other parameters says so here instead. */
struct ff_mmcif_origin {
    const char *software;         /* "fastfold" */
    const char *version;          /* "v0.1.0" */
    const char *model_group;      /* what the model comes from: software, parameters */
    const char *usage;            /* terms of use, one paragraph; NULL: none are written */
};

struct ff_mmcif_options {
    const char *id;               /* data block name; written in upper case, white space as '_' */
    bool multimer;                /* names the published model group "Multimer" instead of "Monomer" */
    bool chains_from_a;           /* chain ids A, B, ... in order (false: as published, by chain_index) */
    const struct ff_mmcif_origin *origin;   /* NULL: as published */
};

/* Appends the text to out. Residue numbers that a chain leaves out, from 1 on, are unknown residues of its sequence, as
 * published. FF_EINPUT: no atoms, values that are not finite, residue types outside 0..20, negative chain numbers. */
ff_status ff_mmcif_write(const struct ff_structure *s, const struct ff_mmcif_options *opt,
                         struct ff_strbuf *out) FF_MUST_USE;

#endif
