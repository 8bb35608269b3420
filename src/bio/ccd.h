/* SPDX-License-Identifier: Apache-2.0
 * ccd: one-letter codes of chemical components, also of modified amino acids and nucleotides.
 *
 * Names are those of the Chemical Component Dictionary; the letters are the list that SCOP uses, as in AlphaFold
 * common/residue_constants.py (CCD_NAME_TO_ONE_LETTER).
 */
#ifndef FF_BIO_CCD_H
#define FF_BIO_CCD_H

#include <stddef.h>

/* Letter of a component name of len bytes ("MSE" gives 'M'); 'X' for names that are not in the list. */
char ff_ccd_letter(const char *name, size_t len);

#endif
