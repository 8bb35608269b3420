/* SPDX-License-Identifier: Apache-2.0
 * golden_hits: template hits of the golden folder, parsed here and as the published code parsed them.
 */
#ifndef FF_TEST_UNIT_GOLDEN_HITS_H
#define FF_TEST_UNIT_GOLDEN_HITS_H

#include "unit/golden_features.h"

#include "base/strbuf.h"
#include "bio/hhr.h"
#include "bio/hmmsearch_hits.h"

struct golden_hits {
    const char *name;            /* "fam_A/pdb_hits.hhr" */
    struct ff_arrays arrays;     /* the published results */
    char *query;
    struct ff_template_hits hits;    /* ours */
};

static inline bool golden_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* False, and counted, when the files are not on this machine. */
static inline bool golden_hits_open(const char *name, struct golden_hits *g)
{
    *g = (struct golden_hits){.name = name};
    const char *slash = strchr(name, '/');
    char *relative = ff_xasprintf("features/inputs/%s", name);
    char *path = test_data_path(relative);
    free(relative);
    if (!path) {
        golden_n_skipped++;
        return false;
    }
    relative = ff_xasprintf("%.*s__%s", (int)(slash - name), name, slash + 1);
    bool found = golden_load("hits", relative, &g->arrays);
    free(relative);
    if (found) {
        const struct ff_array *query = ff_arrays_find(&g->arrays, "query_sequence");
        assert_non_null(query);
        g->query = ff_xstrndup(query->data, (size_t)query->shape[0]);
        if (golden_ends_with(name, ".hhr"))
            assert_ok(ff_hhr_load(path, &g->hits));
        else
            assert_ok(ff_hmmsearch_hits_load(path, g->query, &g->hits));
        golden_n_done++;
    }
    free(path);
    return found;
}

static inline void golden_hits_close(struct golden_hits *g)
{
    ff_arrays_free(&g->arrays);
    ff_template_hits_free(&g->hits);
    free(g->query);
}

static inline void golden_check_text(const struct golden_hits *g, const char *array, const char *text, size_t len)
{
    const struct ff_array *expected = ff_arrays_find(&g->arrays, array);
    assert_non_null(expected);
    if ((size_t)expected->shape[0] != len || (len > 0 && memcmp(expected->data, text, len) != 0))
        fail_msg("%s %s: '%.*s' instead of '%.*s'", g->name, array, (int)len, text, (int)expected->shape[0],
                 (const char *)expected->data);
}

static inline void golden_check_ints(const struct golden_hits *g, const char *array, const int32_t *values, int n)
{
    struct ff_array got = {.dtype = FF_I32, .ndim = 1, .shape = {n}, .data = (void *)(uintptr_t)values};
    char *what = ff_xasprintf("%s %s", g->name, array);
    test_assert_array(what, &got, ff_arrays_find(&g->arrays, array), 0);
    free(what);
}

/* Lists of all hits one after the other, and where each begins. */
struct golden_lists {
    int32_t *values;
    int n, capacity;
    int32_t offsets[64];
    int n_offset;
};

static inline void golden_list_add(struct golden_lists *l, const int32_t *values, int n)
{
    for (int i = 0; i < n; i++) {
        FF_GROW(l->values, l->n, l->capacity);
        l->values[l->n++] = values[i];
    }
    assert_true(l->n_offset < 62);
    l->offsets[++l->n_offset] = l->n;
}

static inline void golden_list_check(const struct golden_hits *g, const char *array, const char *offset_array,
                                     struct golden_lists *l)
{
    golden_check_ints(g, array, l->values, l->n);
    if (offset_array)
        golden_check_ints(g, offset_array, l->offsets, l->n_offset + 1);
    free(l->values);
}

/* Everything that the parsers say. */
static inline void golden_hits_check(const struct golden_hits *g)
{
    struct ff_strbuf names = {0}, queries = {0}, sequences = {0};
    struct golden_lists index_query = {0}, index_hit = {0};
    int32_t index[64], aligned_cols[64];
    float sum_probs[64];
    int n = g->hits.count;
    assert_true(n < 64);
    for (int i = 0; i < n; i++) {
        const struct ff_template_hit *h = &g->hits.items[i];
        const char *comma = i ? "\n" : "";
        ff_strbuf_printf(&names, "%s%s", comma, h->name);
        ff_strbuf_printf(&queries, "%s%s", comma, h->query);
        ff_strbuf_printf(&sequences, "%s%s", comma, h->hit_sequence);
        index[i] = h->index;
        aligned_cols[i] = h->aligned_cols;
        sum_probs[i] = (float)h->sum_probs;
        golden_list_add(&index_query, h->indices_query, h->n_query);
        golden_list_add(&index_hit, h->indices_hit, h->n_hit);
    }
    golden_check_text(g, "name", ff_strbuf_cstr(&names), names.len);
    golden_check_text(g, "query", ff_strbuf_cstr(&queries), queries.len);
    golden_check_text(g, "hit_sequence", ff_strbuf_cstr(&sequences), sequences.len);
    golden_check_ints(g, "index", index, n);
    golden_check_ints(g, "aligned_cols", aligned_cols, n);
    struct ff_array probs = {.dtype = FF_F32, .ndim = 1, .shape = {n}, .data = sum_probs};
    test_assert_array(g->name, &probs, ff_arrays_find(&g->arrays, "sum_probs"), 0);
    golden_list_check(g, "indices_query", "indices_query_offset", &index_query);
    golden_list_check(g, "indices_hit", "indices_hit_offset", &index_hit);
    ff_strbuf_free(&names);
    ff_strbuf_free(&queries);
    ff_strbuf_free(&sequences);
}

#endif
