/* SPDX-License-Identifier: Apache-2.0
 * chain_id: names of chains by number, from 0.
 */
#ifndef FF_APP_CHAIN_ID_H
#define FF_APP_CHAIN_ID_H

#include <stdbool.h>

enum { FF_CHAIN_ID_SIZE = 16, FF_CHAIN_LETTERS = 62 };

/* A-Z, a-z, 0-9 as in PDB files when letters is set and number is below 62; otherwise A ... Z, AA, BA, ... as in mmCIF
 * files. Returns ret. */
char *ff_chain_id(int number, bool letters, char ret[FF_CHAIN_ID_SIZE]);

#endif
