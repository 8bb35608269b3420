/* SPDX-License-Identifier: Apache-2.0
 * output_order: results in the order of the input.
 */
#include "app/output_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Which axes of an array count residues. */
static const struct {
    const char *name;
    int first, last;
} axes[] = {
    {"structure_module/final_atom_positions", 0, 0},
    {"structure_module/final_atom_mask", 0, 0},
    {"distogram/logits", 0, 1},
    {"experimentally_resolved/logits", 0, 0},
    {"masked_msa/logits", 1, 1},
    {"predicted_lddt/logits", 0, 0},
    {"predicted_aligned_error/logits", 0, 1},
    {"predicted_aligned_error", 0, 1},
    {"plddt", 0, 0},
    {"representations/single", 0, 0},
    {"representations/structure_module", 0, 0},
    {"representations/msa_first_row", 0, 0},
    {"representations/pair", 0, 1},
};

/* Element i of the axis becomes what element from[i] was. Goes along the cycles of the permutation, so that the largest
 * arrays need the room of one element more and not of themselves again. */
static void permute_axis(struct ff_array *a, int axis, const int *from /* [shape[axis]] */)
{
    size_t outer = 1, n = (size_t)a->shape[axis], inner = ff_dtype_size(a->dtype);
    for (int d = 0; d < axis; d++)
        outer *= (size_t)a->shape[d];
    for (int d = axis + 1; d < a->ndim; d++)
        inner *= (size_t)a->shape[d];
    char *first = ff_xmalloc(inner);
    bool *done = ff_xmalloc(n);
    for (size_t o = 0; o < outer; o++) {
        char *data = (char *)a->data + o * n * inner;
        memset(done, 0, n);
        for (size_t start = 0; start < n; start++) {
            if (done[start])
                continue;
            memcpy(first, data + start * inner, inner);
            size_t to = start;
            for (; (size_t)from[to] != start; to = (size_t)from[to]) {
                memcpy(data + to * inner, data + (size_t)from[to] * inner, inner);
                done[to] = true;
            }
            memcpy(data + to * inner, first, inner);
            done[to] = true;
        }
    }
    free(done);
    free(first);
}

static void permute_ints(int32_t *values, int n, const int *from)
{
    int32_t *old = ff_xmalloc((size_t)n * sizeof *old);
    memcpy(old, values, (size_t)n * sizeof *old);
    for (int i = 0; i < n; i++)
        values[i] = old[from[i]];
    free(old);
}

static void permute_scores(struct ff_chain_scores *s, const int *from /* [n_chain] */)
{
    int n = s->n_chain;
    struct ff_array one = {.dtype = FF_F64, .ndim = 1, .shape = {n}};
    struct ff_array table = {.dtype = FF_F64, .ndim = 2, .shape = {n, n}};
    permute_ints(s->n_res, n, from);
    for (int i = 0; i < n; i++)
        s->asym_id[i] = i + 1;
    double *lists[] = {s->plddt, s->ptm}, *tables[] = {s->pair_ptm, s->pair_iptm};
    for (int i = 0; i < 2; i++) {
        one.data = lists[i];
        if (one.data != NULL)
            permute_axis(&one, 0, from);
        table.data = tables[i];
        if (table.data == NULL)
            continue;
        permute_axis(&table, 0, from);
        permute_axis(&table, 1, from);
    }
}

/* chain_from[place] is the chain that stands there in the input; false when input_chain is no order of the chains. */
static bool invert(int n_chain, const int32_t *input_chain, int *chain_from)
{
    bool moved = false;
    for (int c = 0; c < n_chain; c++)
        chain_from[c] = -1;
    for (int c = 0; c < n_chain; c++) {
        int32_t place = input_chain[c];
        if (place < 0 || place >= n_chain || chain_from[place] >= 0)
            return false;
        chain_from[place] = c;
        moved = moved || place != c;
    }
    return moved;
}

int *ff_output_order_find(int n_res, const int32_t *asym_id, int n_chain, const int32_t *input_chain)
{
    for (int i = 0; i < n_res; i++)
        if (asym_id[i] < 1 || asym_id[i] > n_chain)
            return NULL;
    int *chain_from = FF_NEW_ARRAY(int, (size_t)n_chain), *from = FF_NEW_ARRAY(int, (size_t)n_res), at = 0;
    bool moved = invert(n_chain, input_chain, chain_from);
    for (int place = 0; moved && place < n_chain; place++) {
        int before = at;
        for (int i = 0; i < n_res; i++)
            if (asym_id[i] == chain_from[place] + 1)
                from[at++] = i;
        moved = at > before;
    }
    free(chain_from);
    if (moved)
        return from;
    free(from);
    return NULL;
}

void ff_output_order(struct ff_prediction *p, struct ff_output_residues *r, int n_chain, const int32_t *input_chain,
                     const int *from)
{
    if (from == NULL)
        return;
    int n = r->n_res;
    permute_ints(r->aatype, n, from);
    permute_ints(r->residue_index, n, from);
    permute_ints(r->asym_id, n, from);
    for (int i = 0; i < n; i++)
        r->asym_id[i] = input_chain[r->asym_id[i] - 1] + 1;
    for (size_t k = 0; k < sizeof axes / sizeof *axes; k++) {
        struct ff_array *a = ff_arrays_find(&p->arrays, axes[k].name);
        for (int axis = axes[k].first; a != NULL && axis <= axes[k].last; axis++)
            permute_axis(a, axis, from);
    }
    struct ff_array *asym_id = ff_arrays_find(&p->arrays, "predicted_aligned_error/asym_id");
    if (asym_id != NULL)
        memcpy(asym_id->data, r->asym_id, (size_t)n * sizeof(int32_t));
    if (p->chains.n_chain == 0)
        return;
    FF_ASSERT(p->chains.n_chain == n_chain);
    int *chain_from = FF_NEW_ARRAY(int, (size_t)n_chain);
    invert(n_chain, input_chain, chain_from);
    permute_scores(&p->chains, chain_from);
    free(chain_from);
}
