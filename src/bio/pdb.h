/* SPDX-License-Identifier: Apache-2.0
 * pdb: structures as PDB text. Writing follows AlphaFold common/protein.py (to_pdb) byte for byte: one MODEL, ATOM
 * lines only, TER after each chain, all lines padded to 80 columns. Reading is for comparing structures.
 */
#ifndef FF_BIO_PDB_H
#define FF_BIO_PDB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "bio/structure.h"

struct ff_pdb_options {
    const char *const *remarks;   /* texts written as REMARK lines before MODEL, wrapped where too long; NULL-terminated
                                   * or NULL */
    bool chains_from_a;           /* letters A, B, ... in the order of chain_index; false: as published, the letter is
                                   * number chain_index of A-Z a-z 0-9, so multimers (asym_id from 1) start at B */
};

/* Why this structure cannot be written in the columns of PDB (more than 62 chains, residue or atom numbers with more
 * digits than their columns, coordinates too large or not finite), as a text for a message; NULL when it can. */
const char *ff_pdb_misfit(const struct ff_structure *s, const struct ff_pdb_options *opt);

/* Appends the text to out. opt may be NULL (as published). FF_EINPUT when ff_pdb_misfit finds a reason. */
ff_status ff_pdb_write(const struct ff_structure *s, const struct ff_pdb_options *opt,
                       struct ff_strbuf *out) FF_MUST_USE;

/* First model; ATOM lines, and HETATM lines of selenomethionine (as methionine, SE as SD). Of alternative locations the
 * one with the highest occupancy counts, the first on a tie. Residues without any atom of atom37 are left out; names
 * outside the 20 become X. name is used in messages ("FILE:LINE: ..."). FF_EINPUT. */
ff_status ff_pdb_parse(const char *name, const char *text, size_t len, struct ff_structure *ret) FF_MUST_USE;

/* Reads (gzip too) and parses a file. FF_EMISSING, FF_EIO, FF_EINPUT. */
ff_status ff_pdb_load(const char *path, struct ff_structure *ret) FF_MUST_USE;

#endif
