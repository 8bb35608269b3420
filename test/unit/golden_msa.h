/* SPDX-License-Identifier: Apache-2.0
 * golden_msa: comparing alignments and their texts with the golden files of features/parsers.
 */
#ifndef FF_TEST_UNIT_GOLDEN_MSA_H
#define FF_TEST_UNIT_GOLDEN_MSA_H

#include "unit/testing.h"

#include "base/strbuf.h"
#include "bio/msa.h"
#include "format/npz.h"

struct golden_case {
    const char *name;            /* "fam_A/uniref90_hits.sto" */
    char *input;                 /* path of the alignment */
    struct ff_arrays arrays;     /* what the published parser made of it */
};

static int golden_n_done, golden_n_skipped;

/* False, and counted, when the files are not on this machine. */
static inline bool golden_case_open(const char *name, struct golden_case *g)
{
    *g = (struct golden_case){.name = name};
    const char *slash = strchr(name, '/');
    char *relative = ff_xasprintf("features/parsers/%.*s__%s.npz", (int)(slash - name), name, slash + 1);
    char *golden = test_data_path(relative);
    free(relative);
    relative = ff_xasprintf("features/inputs/%s", name);
    g->input = test_data_path(relative);
    free(relative);
    if (!golden || !g->input) {
        free(golden);
        free(g->input);
        golden_n_skipped++;
        return false;
    }
    assert_ok(ff_npz_load(golden, &g->arrays));
    free(golden);
    golden_n_done++;
    return true;
}

static inline void golden_case_close(struct golden_case *g)
{
    ff_arrays_free(&g->arrays);
    free(g->input);
}

static inline void golden_report(void)
{
    print_message("%d golden cases compared, %d are not on this machine\n", golden_n_done, golden_n_skipped);
    assert_true(golden_n_done > 0);
}

/* NULL when the golden file has no such array. */
static inline const struct ff_array *golden_array(const struct golden_case *g, const char *prefix, const char *name)
{
    char *key = ff_xasprintf("%s%s", prefix, name);
    const struct ff_array *a = ff_arrays_find(&g->arrays, key);
    free(key);
    return a;
}

/* deletions: NULL where they do not matter. */
static inline void check_msa_row(const struct ff_msa *m, int row, const char *letters, const int32_t *deletions)
{
    assert_int_equal(m->n_col, strlen(letters));
    assert_memory_equal(ff_msa_row(m, row), letters, strlen(letters));
    int32_t *got = FF_NEW_ARRAY(int32_t, (size_t)m->n_col);
    ff_msa_deletions(m, row, got);
    for (int i = 0; deletions && i < m->n_col; i++)
        assert_int_equal(got[i], deletions[i]);
    free(got);
}

/* prefix: "" or "trunc501_". */
static inline void golden_check_msa(const struct golden_case *g, const char *prefix, const struct ff_msa *m)
{
    const int64_t shape[2] = {m->n_row, m->n_col};
    struct ff_arrays got = {0};
    struct ff_array *ids = ff_arrays_add(&got, "msa_ids", FF_I32, 2, shape);
    for (int64_t i = 0; i < ff_array_count(ids); i++)
        ((int32_t *)ids->data)[i] = ff_msa_hhblits_id(m->letters[i]);
    test_assert_array(g->name, ids, golden_array(g, prefix, "msa_ids"), 0.0);

    int32_t *wide = FF_NEW_ARRAY(int32_t, (size_t)(shape[0] * shape[1]));
    for (int i = 0; i < m->n_row; i++)
        ff_msa_deletions(m, i, wide + i * shape[1]);
    struct ff_array deletions = {.dtype = FF_I32, .ndim = 2, .shape = {shape[0], shape[1]}, .data = wide};
    test_assert_array(g->name, &deletions, golden_array(g, prefix, "deletion_matrix"), 0.0);
    free(wide);

    struct ff_strbuf names = {0};
    for (int i = 0; i < m->n_row; i++)
        ff_strbuf_printf(&names, "%s%s", i ? "\n" : "", m->descriptions[i]);
    const struct ff_array *expected = golden_array(g, prefix, "descriptions");
    assert_non_null(expected);
    assert_int_equal(names.len, expected->shape[0]);
    assert_memory_equal(names.s, expected->data, names.len);
    ff_strbuf_free(&names);
    ff_arrays_free(&got);
}

/* The text equals the golden array, byte for byte. */
static inline void golden_check_text(const struct golden_case *g, const char *array, const struct ff_strbuf *got)
{
    const struct ff_array *expected = golden_array(g, "", array);
    assert_non_null(expected);
    size_t n = (size_t)expected->shape[0];
    size_t same = 0;
    while (same < n && same < got->len && got->s[same] == ((const char *)expected->data)[same])
        same++;
    if (same != n || got->len != n)
        fail_msg("%s: %s: %zu bytes instead of %zu, they differ from byte %zu on: ...%.60s", g->name, array, got->len,
                 n, same, got->s + (same > 20 ? same - 20 : 0));
}

#endif
