/* SPDX-License-Identifier: Apache-2.0
 * golden_features: files of features/ below test/data or the golden folder, and counts of the cases compared.
 */
#ifndef FF_TEST_UNIT_GOLDEN_FEATURES_H
#define FF_TEST_UNIT_GOLDEN_FEATURES_H

#include "unit/testing.h"

#include "format/npz.h"

static int golden_n_done, golden_n_skipped;

/* features/GROUP/NAME.npz; false, and counted, when it is not on this machine. */
static inline bool golden_load(const char *group, const char *name, struct ff_arrays *ret)
{
    char *relative = ff_xasprintf("features/%s/%s.npz", group, name);
    char *path = test_data_path(relative);
    free(relative);
    if (path == NULL) {
        golden_n_skipped++;
        return false;
    }
    assert_ok(ff_npz_load(path, ret));
    free(path);
    return true;
}

static inline void golden_report(void)
{
    print_message("%d golden cases compared, %d are not on this machine\n", golden_n_done, golden_n_skipped);
    assert_true(golden_n_done > 0);
}

/* Arrays of the published file by name, those with prefix left out: integers equal, floats within 1e-6. Returns how
 * many were compared. */
static inline int golden_compare(const char *name, const struct ff_arrays *got, const struct ff_arrays *expected,
                                 const char *const *except)
{
    int n = 0;
    for (int i = 0; i < expected->count; i++) {
        const struct ff_array *e = &expected->items[i];
        bool skip = false;
        for (int k = 0; except != NULL && except[k] != NULL; k++)
            skip = skip || strncmp(e->name, except[k], strlen(except[k])) == 0;
        if (skip)
            continue;
        char *what = ff_xasprintf("%s %s", name, e->name);
        test_assert_array(what, ff_arrays_find(got, e->name), e, e->dtype == FF_F32 ? 1e-6 : 0);
        free(what);
        n++;
    }
    return n;
}

#endif
