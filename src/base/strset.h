/* SPDX-License-Identifier: Apache-2.0
 * strset: a set of byte strings that numbers them in the order of their first appearance: 0, 1, 2, ...
 *
 * What row names, duplicate checks and name-to-row tables need. Keys are copied. {0} is an empty set.
 */
#ifndef FF_BASE_STRSET_H
#define FF_BASE_STRSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ff_strset {
    int count;
    int key_capacity;
    size_t *offset;      /* [count] of the key in text */
    size_t *length;      /* [count] bytes, NUL not counted */
    uint64_t *hash;      /* [count] */
    char *text;          /* keys one after the other, each with a NUL behind it */
    size_t text_len;
    size_t text_cap;
    int32_t *slot;       /* [n_slot] number of the key, or -1; n_slot is a power of two, at least twice count */
    size_t n_slot;
};

void ff_strset_free(struct ff_strset *s);                                  /* also resets to {0} */
/* Number of the key, added when it is new. added may be NULL. */
int ff_strset_add(struct ff_strset *s, const char *key, size_t len, bool *added);
int ff_strset_find(const struct ff_strset *s, const char *key, size_t len); /* -1 when absent */
/* Key i, NUL-terminated; valid until the next add. */
const char *ff_strset_key(const struct ff_strset *s, int i);

#endif
