/* SPDX-License-Identifier: Apache-2.0
 * pairing: which rows of the chains' UniProt alignments belong together.
 */
#include "feature/pairing.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

enum { MAX_ROWS_PER_SPECIES = 600 };

void ff_paired_rows_free(struct ff_paired_rows *p)
{
    free(p->rows);
    free(p->n_partner);
    *p = (struct ff_paired_rows){0};
}

/* ---- rows by species --------------------------------------------------------------------------------------------- */

/* One named row; sorting puts the rows of a species together, the most similar first. */
struct named_row {
    const char *name;                /* not NUL-terminated */
    int len;
    int identical;                   /* columns equal to the query's */
    int row;
};

static int compare_names(const struct named_row *a, const struct named_row *b)
{
    int c = memcmp(a->name, b->name, (size_t)(a->len < b->len ? a->len : b->len));
    return c ? c : a->len - b->len;
}

static int compare_rows(const void *x, const void *y)
{
    const struct named_row *a = x, *b = y;
    int c = compare_names(a, b);
    if (c != 0)
        return c;
    return a->identical != b->identical ? b->identical - a->identical : a->row - b->row;
}

static int count_identical(const struct ff_pairing_chain *c, int row)
{
    const int32_t *a = c->msa, *b = c->msa + (int64_t)row * c->n_res;
    int sum = 0;
    for (int i = 0; i < c->n_res; i++)
        sum += a[i] == b[i];
    return sum;
}

/* Rows that have a species, sorted; returns their number. */
static int collect_rows(const struct ff_pairing_chain *c, struct named_row *ret /* [n_row] */)
{
    int count = 0;
    const char *p = c->species, *end = p + c->species_len;
    for (int row = 0; row < c->n_row && p <= end; row++) {
        const char *newline = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        int len = (int)((newline ? newline : end) - p);
        if (len > 0)
            ret[count++] = (struct named_row){p, len, count_identical(c, row), row};
        p += len + 1;
    }
    if (count > 0)
        qsort(ret, (size_t)count, sizeof *ret, compare_rows);
    return count;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static void add_rows(struct ff_paired_rows *p, const int32_t *rows, int n_partner)
{
    if (p->n_row >= p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 64;
        p->rows = ff_xreallocarray(p->rows, (size_t)p->capacity * (size_t)p->n_chain, sizeof *p->rows);
        p->n_partner = ff_xreallocarray(p->n_partner, (size_t)p->capacity, sizeof *p->n_partner);
    }
    memcpy(p->rows + (int64_t)p->n_row * p->n_chain, rows, (size_t)p->n_chain * sizeof *rows);
    p->n_partner[p->n_row++] = n_partner;
}

struct chain_rows {
    struct named_row *rows;
    int count, at;                   /* at: first row of the next species */
    int n_here;                      /* rows of the current species */
};

/* Pairs the species that begins at each chain's place, if it is name; scratch is [n_chain]. */
static void pair_species(struct ff_paired_rows *p, struct chain_rows *chains, const struct named_row *name,
                         int32_t *scratch)
{
    int n_partner = 0, fewest = MAX_ROWS_PER_SPECIES, most = 0;
    for (int c = 0; c < p->n_chain; c++) {
        struct chain_rows *r = &chains[c];
        r->n_here = 0;
        while (r->at + r->n_here < r->count && compare_names(&r->rows[r->at + r->n_here], name) == 0)
            r->n_here++;
        if (r->n_here == 0)
            continue;
        n_partner++;
        fewest = r->n_here < fewest ? r->n_here : fewest;
        most = r->n_here > most ? r->n_here : most;
    }
    for (int k = 0; n_partner > 1 && most <= MAX_ROWS_PER_SPECIES && k < fewest; k++) {
        for (int c = 0; c < p->n_chain; c++)
            scratch[c] = chains[c].n_here ? chains[c].rows[chains[c].at + k].row : -1;
        add_rows(p, scratch, n_partner);
    }
    for (int c = 0; c < p->n_chain; c++)
        chains[c].at += chains[c].n_here;
}

void ff_pairing_match(int n_chain, const struct ff_pairing_chain *chains, struct ff_paired_rows *ret)
{
    FF_ASSERT(n_chain >= 1);
    *ret = (struct ff_paired_rows){.n_chain = n_chain};
    struct chain_rows *sorted = FF_NEW_ARRAY(struct chain_rows, (size_t)n_chain);
    int32_t *scratch = FF_NEW_ARRAY(int32_t, (size_t)n_chain);
    add_rows(ret, scratch, n_chain);
    for (int c = 0; c < n_chain; c++) {
        sorted[c].rows = FF_NEW_ARRAY(struct named_row, (size_t)chains[c].n_row);
        sorted[c].count = collect_rows(&chains[c], sorted[c].rows);
    }
    for (;;) {
        const struct named_row *first = NULL;
        for (int c = 0; c < n_chain; c++) {
            const struct chain_rows *r = &sorted[c];
            if (r->at < r->count && (first == NULL || compare_names(&r->rows[r->at], first) < 0))
                first = &r->rows[r->at];
        }
        if (first == NULL)
            break;
        pair_species(ret, sorted, first, scratch);
    }
    for (int c = 0; c < n_chain; c++)
        free(sorted[c].rows);
    free(sorted);
    free(scratch);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

struct sort_key {
    int n_partner;
    int64_t product;
    int at;
};

static int compare_keys(const void *x, const void *y)
{
    const struct sort_key *a = x, *b = y;
    if (a->n_partner != b->n_partner)
        return b->n_partner - a->n_partner;
    if (a->product != b->product)
        return a->product < b->product ? -1 : 1;
    return a->at - b->at;
}

/* |product| as 64-bit integers give it: with many chains it wraps around, in the published program too. */
static int64_t wrapped_product(const int32_t *rows, int n_chain)
{
    uint64_t product = 1;
    for (int c = 0; c < n_chain; c++)
        product *= (uint64_t)(int64_t)rows[c];
    return (int64_t)((int64_t)product < 0 ? 0 - product : product);
}

void ff_pairing_sort(struct ff_paired_rows *p)
{
    struct sort_key *keys = FF_NEW_ARRAY(struct sort_key, (size_t)p->n_row);
    for (int r = 0; r < p->n_row; r++)
        keys[r] = (struct sort_key){p->n_partner[r], wrapped_product(p->rows + (int64_t)r * p->n_chain, p->n_chain), r};
    qsort(keys, (size_t)p->n_row, sizeof *keys, compare_keys);
    int32_t *rows = FF_NEW_ARRAY(int32_t, (size_t)p->n_row * (size_t)p->n_chain);
    for (int r = 0; r < p->n_row; r++) {
        memcpy(rows + (int64_t)r * p->n_chain, p->rows + (int64_t)keys[r].at * p->n_chain,
               (size_t)p->n_chain * sizeof *rows);
        p->n_partner[r] = keys[r].n_partner;
    }
    free(p->rows);
    p->rows = rows;
    p->capacity = p->n_row;
    free(keys);
}
