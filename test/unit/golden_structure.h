/* SPDX-License-Identifier: Apache-2.0
 * golden_structure: the structures of test/data/features/pdb_text and the texts the published code writes of them.
 */
#ifndef FF_TEST_UNIT_GOLDEN_STRUCTURE_H
#define FF_TEST_UNIT_GOLDEN_STRUCTURE_H

#include "unit/testing.h"

#include "base/strbuf.h"
#include "bio/structure.h"
#include "format/npz.h"

enum { GOLDEN_N_STRUCTURE = 3 };
static const char *const golden_structures[GOLDEN_N_STRUCTURE] = {"two_chains", "from_prediction_monomer",
                                                                  "from_prediction_multimer"};

static inline char *golden_structure_path(const char *name, const char *extension)
{
    return ff_xasprintf("test/data/features/pdb_text/%s.%s", name, extension);
}

static inline void golden_copy(const struct ff_arrays *a, const char *name, void *to, size_t bytes)
{
    const struct ff_array *from = ff_arrays_find(a, name);
    assert_non_null(from);
    assert_int_equal(ff_array_bytes(from), bytes);
    memcpy(to, from->data, bytes);
}

/* Fields of a Protein, or features and results of a prediction, which the published code first turns into one:
 * residue numbers from 1, chains by asym_id (a monomer has none), B factors from pLDDT. */
static inline void golden_structure_load(const char *name, struct ff_structure *ret)
{
    struct ff_arrays a = {0};
    char *path = golden_structure_path(name, "npz");
    assert_ok(ff_npz_load(path, &a));
    free(path);
    bool prediction = ff_arrays_find(&a, "plddt") != NULL;
    int n = (int)ff_arrays_find(&a, "aatype")->shape[0];
    ff_structure_alloc(ret, n);
    size_t n_atom = (size_t)n * FF_N_ATOM37;
    golden_copy(&a, "aatype", ret->aatype, (size_t)n * sizeof *ret->aatype);
    golden_copy(&a, "residue_index", ret->residue_index, (size_t)n * sizeof *ret->residue_index);
    golden_copy(&a, prediction ? "final_atom_positions" : "atom_positions", ret->positions, 3 * n_atom * sizeof(float));
    golden_copy(&a, prediction ? "final_atom_mask" : "atom_mask", ret->mask, n_atom * sizeof(float));
    if (prediction) {
        const struct ff_array *asym_id = ff_arrays_find(&a, "asym_id");
        const struct ff_array *plddt = ff_arrays_find(&a, "plddt");
        for (int i = 0; i < n; i++) {
            ret->residue_index[i] += 1;
            ret->chain_index[i] = asym_id ? (int32_t)test_element(asym_id, i) : 0;
            for (int k = 0; k < FF_N_ATOM37; k++)
                ret->b_factors[i * FF_N_ATOM37 + k] = ((const float *)plddt->data)[i];
        }
    } else {
        golden_copy(&a, "chain_index", ret->chain_index, (size_t)n * sizeof *ret->chain_index);
        golden_copy(&a, "b_factors", ret->b_factors, n_atom * sizeof(float));
    }
    ff_arrays_free(&a);
}

static inline void golden_structure_check(const char *name, const char *extension, const struct ff_strbuf *got)
{
    char *path = golden_structure_path(name, extension), *expected;
    size_t len, line = 1;
    assert_ok(ff_file_read(path, &expected, &len));
    for (size_t i = 0; i < len || i < got->len; i++) {
        if (i >= len || i >= got->len || expected[i] != got->s[i])
            fail_msg("%s: line %zu differs: got %.80s\nexpected %.80s", path, line, got->s + (i > 60 ? i - 60 : 0),
                     expected + (i > 60 ? i - 60 : 0));
        line += expected[i] == '\n';
    }
    free(expected);
    free(path);
}

#endif
