/* SPDX-License-Identifier: Apache-2.0
 * identifiers: the species mnemonic in UniProt sequence names, by which chains of a complex are paired.
 *
 * "tr|A0A146SKV9|A0A146SKV9_FUNHE/1-100 ..." gives "FUNHE". Source: AlphaFold data/msa_identifiers.py.
 */
#ifndef FF_BIO_IDENTIFIERS_H
#define FF_BIO_IDENTIFIERS_H

enum { FF_SPECIES_SIZE = 6 };

/* Species of a description's first word (up to its first '/'): (tr|sp) '|' accession of 6 to 10 letters or digits,
 * perhaps '_' and one digit, '|' entry '_' species of 1 to 5, perhaps '_' and digits. "" when it has another form.
 * Returns ret. */
char *ff_identifiers_species(const char *description, char ret[FF_SPECIES_SIZE]);

#endif
