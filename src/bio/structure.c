/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/structure.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

void ff_structure_alloc(struct ff_structure *s, int n_res)
{
    FF_ASSERT(n_res >= 0);
    size_t n = (size_t)n_res;
    *s = (struct ff_structure){.n_res = n_res};
    s->aatype = FF_NEW_ARRAY(int32_t, n);
    s->positions = FF_NEW_ARRAY(float, n * FF_N_ATOM37 * 3);
    s->mask = FF_NEW_ARRAY(float, n * FF_N_ATOM37);
    s->b_factors = FF_NEW_ARRAY(float, n * FF_N_ATOM37);
    s->residue_index = FF_NEW_ARRAY(int32_t, n);
    s->chain_index = FF_NEW_ARRAY(int32_t, n);
    s->insertion_code = FF_NEW_ARRAY(char, n);
    memset(s->insertion_code, ' ', n);
}

void ff_structure_free(struct ff_structure *s)
{
    free(s->aatype);
    free(s->positions);
    free(s->mask);
    free(s->b_factors);
    free(s->residue_index);
    free(s->chain_index);
    free(s->insertion_code);
    free(s->chain_id);
    *s = (struct ff_structure){0};
}

int ff_structure_chains(const struct ff_structure *s, int32_t **ret_index)
{
    int n = 0, cap = 0;
    int32_t *index = NULL;
    for (int r = 0; r < s->n_res; r++) {
        int32_t c = s->chain_index[r];
        int i = n;
        while (i > 0 && index[i - 1] > c) /* residues come chain by chain: the search ends at once as a rule */
            i--;
        if (i > 0 && index[i - 1] == c)
            continue;
        FF_GROW(index, n, cap);
        memmove(index + i + 1, index + i, (size_t)(n - i) * sizeof *index);
        index[i] = c;
        n++;
    }
    *ret_index = index;
    return n;
}
