/* SPDX-License-Identifier: Apache-2.0
 * suggest: the known word that a mistyped one was probably meant to be.
 */
#ifndef FF_APP_SUGGEST_H
#define FF_APP_SUGGEST_H

struct ff_suggest {
    const char *given;
    const char *best;            /* NULL: nothing near enough so far */
    int distance;
};

/* Edits (insert, delete, replace, swap of neighbours) between two words; words longer than 63 bytes are cut. */
int ff_suggest_distance(const char *a, const char *b);
/* Begins with {given}; candidates are shown one by one. A dotted candidate also matches by its last part. */
void ff_suggest_try(struct ff_suggest *s, const char *candidate);

#endif
