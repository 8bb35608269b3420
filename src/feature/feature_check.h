/* SPDX-License-Identifier: Apache-2.0
 * feature_check: compares named arrays of a file with what is expected of them, from a table.
 *
 * Files come from fastfold, from the published program's users or from other converters, so numbers may be stored
 * wider than needed: an array is converted in place to the expected dtype when every value survives it.
 */
#ifndef FF_FEATURE_FEATURE_CHECK_H
#define FF_FEATURE_FEATURE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "format/array.h"

enum ff_feature_presence { FF_FEATURE_OPTIONAL, FF_FEATURE_REQUIRED };

struct ff_feature_spec {
    const char *name;
    enum ff_dtype dtype;                /* FF_I32, FF_F32, or FF_U8 for text */
    const char *dims;                   /* "R S N 49": letters are sizes that agree everywhere; "" is a scalar */
    double min, max;                    /* every value lies in min .. max and is finite; min > max: any finite value */
    enum ff_feature_presence presence;
};

/* Sizes of the letters A..Z, -1 where unknown yet. */
struct ff_feature_sizes {
    int64_t of[26];
};

void ff_feature_sizes_init(struct ff_feature_sizes *s);
int64_t ff_feature_size(const struct ff_feature_sizes *s, char letter);

/* Checks every array of the table, in order; a letter's size is set by the first array that has it. Arrays that the
 * table does not name are left alone. file is for messages. FF_EINPUT names file and array, what was found and what
 * was expected. */
ff_status ff_feature_check(const char *file, struct ff_arrays *arrays, const struct ff_feature_spec *table, int n,
                           struct ff_feature_sizes *sizes) FF_MUST_USE;

/* Number of strings in a text array that joins them by newlines; an empty text is one empty string. */
int64_t ff_feature_text_count(const struct ff_array *text);

#endif
