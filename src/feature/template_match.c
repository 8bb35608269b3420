/* SPDX-License-Identifier: Apache-2.0 */
#include "feature/template_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/msa.h"
#include "bio/residue.h"

enum {
    MIN_ALIGNED_LENGTH = 6,      /* kalign takes no shorter sequences */
    MIN_ATOMS = 5,               /* an alanine */
};

static const double min_identity = 0.9;
static const double max_ca_ca_distance = 150.0;      /* angstrom; only what cannot be a chain at all is refused */

/* --- finding --- */

/* Place of the first match with X as wildcard, -1 when there is none. */
static int find_fuzzy(const char *sequence, const char *letters)
{
    size_t n = strlen(sequence), m = strlen(letters);

    for (size_t i = 0; i + m <= n; i++) {
        size_t k = 0;
        while (k < m && (sequence[i + k] == letters[k] || sequence[i + k] == 'X' || letters[k] == 'X'))
            k++;
        if (k == m)
            return (int)i;
    }
    return -1;
}

static int find_exact(const char *sequence, const char *letters)
{
    const char *found = strstr(sequence, letters);
    return found ? (int)(found - sequence) : -1;
}

const struct ff_mmcif_chain *ff_template_match_find(const struct ff_mmcif *m, const char *chain_id,
                                                    const char *letters, int *ret_offset)
{
    const struct ff_mmcif_chain *chain = ff_mmcif_find_chain(m, chain_id);

    if (chain && (*ret_offset = find_exact(chain->sequence, letters)) >= 0)
        return chain;
    for (int i = 0; i < m->n_chain; i++)
        if ((*ret_offset = find_exact(m->chains[i].sequence, letters)) >= 0)
            return &m->chains[i];
    for (int i = 0; i < m->n_chain; i++)
        if ((*ret_offset = find_fuzzy(m->chains[i].sequence, letters)) >= 0)
            return &m->chains[i];
    return NULL;
}

const struct ff_mmcif_chain *ff_template_match_fallback(const struct ff_mmcif *m, const char *chain_id)
{
    const struct ff_mmcif_chain *chain = ff_mmcif_find_chain(m, chain_id);
    return !chain && m->n_chain == 1 ? &m->chains[0] : chain;
}

/* --- aligning anew --- */

/* Number in b of each residue of a, from the rows of their alignment; identical pairs are counted. */
static void read_rows(const char *row_a, const char *row_b, int32_t *b_of_a /* [n_a] */, int n_a, int *ret_same)
{
    int i = -1, j = -1;

    *ret_same = 0;
    for (int k = 0; k < n_a; k++)
        b_of_a[k] = -1;
    for (; *row_a && *row_b; row_a++, row_b++) {
        i += *row_a != '-';
        j += *row_b != '-';
        if (*row_a == '-' || *row_b == '-' || i >= n_a)
            continue;
        b_of_a[i] = j;
        *ret_same += *row_a == *row_b;
    }
}

/* Whether row is letters with gaps. */
static bool spells(const char *row, const char *letters)
{
    for (; *row; row++)
        if (*row != '-' && *row != *letters++)
            return false;
    return *letters == '\0';
}

ff_status ff_template_match_realign(const char *letters, const struct ff_mmcif_chain *chain,
                                    ff_template_aligner align, void *user, struct ff_template_mapping *mapping)
{
    int n_old = (int)strlen(letters);
    int n_new = chain->n_res;
    char *row_old = NULL, *row_new = NULL;

    if (n_old < MIN_ALIGNED_LENGTH || n_new < MIN_ALIGNED_LENGTH)
        return ff_fail(FF_EINPUT, "sequences of %d and %d residues are too short to be aligned (at least %d)", n_old,
                       n_new, MIN_ALIGNED_LENGTH);
    if (!align)
        return ff_fail(FF_EMISSING, "it must be aligned anew, but there is no alignment program");
    FF_TRY(align(user, letters, chain->sequence, &row_old, &row_new));

    ff_status st = FF_OK;
    int32_t *new_of_old = ff_xmalloc((size_t)n_old * sizeof *new_of_old);
    int n_same;
    if (strlen(row_old) != strlen(row_new) || !spells(row_old, letters) || !spells(row_new, chain->sequence)) {
        st = ff_fail(FF_EINPUT, "the alignment program returned other sequences than it was given");
        goto done;
    }
    read_rows(row_old, row_new, new_of_old, n_old, &n_same);
    int n_shorter = n_old < n_new ? n_old : n_new;
    if ((double)n_same / n_shorter < min_identity) {
        st = ff_fail(FF_EINPUT, "its sequence differs too much from that of chain %s: %d of %d residues are identical, "
                     "90 %% are needed", chain->id, n_same, n_shorter);
        goto done;
    }
    for (int i = 0; i < mapping->n; i++)
        mapping->hit[i] = mapping->hit[i] < n_old ? new_of_old[mapping->hit[i]] : -1;
done:
    free(new_of_old);
    free(row_old);
    free(row_new);
    return st;
}

/* --- laying on the query --- */

/* Index as Python takes it: negative ones count from the end; -1 when it lies outside. */
static int wrap_index(int i, int n)
{
    if (i < 0)
        i += n;
    return i >= 0 && i < n ? i : -1;
}

/* Neighbours with CA atoms further apart than any chain could be: text for a message, else NULL. */
static char *find_jump(const struct ff_mmcif_chain *chain)
{
    const float *last = NULL;    /* CA of the residue before, NULL when it has none */

    for (int i = 0; i < chain->n_res; i++) {
        const struct ff_mmcif_residue *r = &chain->residues[i];
        const float *ca = r->positions && r->mask[FF_ATOM_CA] > 0 ? r->positions + FF_ATOM_CA * 3 : NULL;
        if (ca && last) {
            double dx = (double)ca[0] - last[0], dy = (double)ca[1] - last[1], dz = (double)ca[2] - last[2];
            double distance = sqrt(dx * dx + dy * dy + dz * dz);
            if (distance > max_ca_ca_distance)
                return ff_xasprintf("CA atoms of residues %d and %d of chain %s are %.1f A apart (limit %.0f)", i,
                                    i + 1, chain->id, distance, max_ca_ca_distance);
        }
        last = ca;
    }
    return NULL;
}

static void lay_residue(const struct ff_mmcif_residue *from, float *positions /* [37, 3] */, float *mask /* [37] */)
{
    if (from->positions) {
        memcpy(positions, from->positions, FF_N_ATOM37 * 3 * sizeof *positions);
        memcpy(mask, from->mask, FF_N_ATOM37 * sizeof *mask);
    } else {
        memset(positions, 0, FF_N_ATOM37 * 3 * sizeof *positions);
        memset(mask, 0, FF_N_ATOM37 * sizeof *mask);
    }
}

enum ff_template_laid ff_template_match_lay(const struct ff_mmcif_chain *chain, const char *letters, int offset,
                                            const struct ff_template_mapping *mapping, int n_query,
                                            struct ff_template *ret, char **what_failed)
{
    int n_letter = (int)strlen(letters);

    *what_failed = NULL;
    if (chain->state == FF_MMCIF_CHAIN_ABSENT) {
        *what_failed = ff_xasprintf("the first model has no chain %s", chain->id);
        return FF_TEMPLATE_NO_CHAIN;
    }
    if (chain->state == FF_MMCIF_CHAIN_BROKEN)
        *what_failed = ff_xasprintf("the first model lacks residues of chain %s", chain->id);
    else
        *what_failed = find_jump(chain);
    if (*what_failed)
        return FF_TEMPLATE_NO_ATOMS;

    for (int i = 0; i < mapping->n; i++) {
        int q = wrap_index(mapping->query[i], n_query);
        int from = wrap_index(mapping->hit[i] + offset, chain->n_res);
        int letter = wrap_index(mapping->hit[i], n_letter);
        if (q < 0 || from < 0 || letter < 0 || ff_msa_hhblits_id(letters[letter]) < 0) {
            *what_failed = ff_xasprintf("residue %d of the hit is not in chain %s", mapping->hit[i] + 1, chain->id);
            return FF_TEMPLATE_NO_ATOMS;
        }
        lay_residue(&chain->residues[from], ret->positions + (size_t)q * FF_N_ATOM37 * 3,
                    ret->mask + (size_t)q * FF_N_ATOM37);
        ret->sequence[q] = letters[letter];
    }
    double n_atom = 0;
    for (size_t i = 0; i < (size_t)n_query * FF_N_ATOM37; i++)
        n_atom += ret->mask[i];
    if (n_atom >= MIN_ATOMS)
        return FF_TEMPLATE_LAID;
    *what_failed = ff_xasprintf("the aligned residues of chain %s have no coordinates", chain->id);
    return FF_TEMPLATE_NO_ATOMS;
}
